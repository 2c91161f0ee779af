"""Files whose names are no UTF-8, as a machine with Latin-1 wrote them, go through every command."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from phantoms import make_volume

from mrikit.errors import ConfigError
from mrikit.randomness import generator
from mrikit.runs.run_folder import append_log
from mrikit.storage import parse_location, write_text
from mrikit.volumes import write_fastmri
from mrikit.words import in_unicode

NAME = os.fsdecode(b"knie_m\xfcller")


@pytest.fixture
def data(tmp_path):
    """Two volumes, one of them with such a name, in a folder with such a name."""
    folder = tmp_path / os.fsdecode(b"d\xfc ta") / "multicoil_val"
    try:
        folder.mkdir(parents=True)
    except OSError:
        pytest.skip("the file system takes names in UTF-8 only")
    for name in ("a", NAME):
        volume = make_volume()
        write_fastmri(folder / f"{name}.h5", replace(volume, info=replace(volume.info, patient_id=name[0])))
    return folder.parent


def mrikit(*words):
    """What a command prints, as bytes."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mrikit", *map(str, words)],
        capture_output=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.mark.slow
def test_a_volume_of_such_a_name_is_indexed_checked_reconstructed_scored_and_shown(data, tmp_path):
    recon = tmp_path / os.fsdecode(b"r\xfc")
    assert b"2 volumes, 0 bad files" in mrikit("data", "index", data)
    for _ in range(2):  # the second time from the journal
        assert b"0 errors" in mrikit("data", "check", data, "--deep")
    mrikit("reconstruct", "--data", data, "--out", recon, "--model", "zero_filled", "--acceleration", "4")
    assert (recon / "multicoil_val" / f"{NAME}.h5").exists()
    assert os.fsencode(recon / "scores.json") in mrikit("evaluate", "--recon", recon)
    scores = json.loads((recon / "scores.json").read_text(encoding="utf-8"))
    assert sorted(row["volume_id"] for row in scores["rows"]) == ["a", NAME]
    table = (recon / "scores.csv").read_text(encoding="utf-8").splitlines()
    assert sorted(row["volume_id"] for row in csv.DictReader(table)) == ["a", r"knie_m\xfcller"]
    assert json.loads(mrikit("evaluate", "--recon", recon, "--json"))["folders"]
    mrikit("report", recon)
    assert r"knie_m\xfcller" in (recon / "report.html").read_text(encoding="utf-8")


def test_a_job_elsewhere_is_planned_for_such_a_folder(data, tmp_path):
    words = ("reconstruct", "--data", data, "--out", tmp_path / "out", "--model", "zero_filled", "--acceleration", "4")
    for back_end in ("local", "slurm"):
        assert os.fsencode(data) in mrikit(*words, "--on", back_end, "--dry-run")


def test_a_generator_takes_such_a_name_and_no_other_number_than_before():
    assert generator(0, NAME).integers(2**32) != generator(0, "knie_m").integers(2**32)
    assert generator(0, "M\xfcller").integers(2**32) == 1004228868


def test_texts_and_logs_hold_such_a_name_in_unicode(tmp_path):
    write_text(tmp_path / "a.txt", NAME)
    append_log(tmp_path, NAME)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == r"knie_m\xfcller" == in_unicode(NAME)
    assert (tmp_path / "log.txt").read_text(encoding="utf-8").endswith("knie_m\\xfcller\n")
    assert in_unicode("M\xfcller") == "M\xfcller"


def test_a_blob_cannot_have_such_a_name():
    with pytest.raises(ConfigError, match="not UTF-8, as the names of blobs are; rename the file"):
        parse_location("az://datasets/val") / f"{NAME}.h5"
