"""`mrikit data check`."""

import json
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
import typer
from phantoms import make_volume
from typer.testing import CliRunner

from mrikit.commands.data.check import check
from mrikit.errors import ConfigError
from mrikit.storage import write_bytes
from mrikit.volumes import write_fastmri

app = typer.Typer()
app.command()(check)


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        volume = make_volume()
        info = replace(volume.info, patient_id=f"p{number}")
        write_fastmri(tmp_path / "data" / f"file{number}.h5", replace(volume, info=info))
    return tmp_path / "data"


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def spoil(path):
    with h5py.File(path, "r+") as file:
        file["kspace"][1, 0, 5, 5] = np.nan


def test_good_data_are_one_line_and_exit_zero(folder):
    done = run(folder)
    assert done.exit_code == 0
    first, following = done.stdout.splitlines()
    assert first.startswith("3 volumes, 6 slices; 0 errors, 0 warnings; slices were not read; ")
    assert following == f"next: mrikit data check {folder} --deep"
    assert done.stderr == ""


def test_a_deep_check_says_what_it_will_read_and_what_it_knew(folder):
    first, second = run(folder, "--deep"), run(folder, "--deep")
    size_mb = sum(path.stat().st_size for path in folder.glob("*.h5")) / 1e6
    assert first.stderr == f"reading 3 files, {size_mb:.1f} MB for slices and digests\n"
    assert second.stderr == "reading 0 files, 0 B for slices and digests; 3 are known from the last check\n"
    assert "; 3 files read now, 0 known from the last check; " in first.stdout
    assert "; 0 files read now, 3 known from the last check; " in second.stdout
    assert "next:" not in first.stdout


def test_an_error_is_a_row_of_the_table_and_exit_one(folder):
    spoil(folder / "file1.h5")
    done = run(folder, "--deep")
    assert done.exit_code == 1
    title, row, sums = done.stdout.splitlines()
    assert title.split() == ["severity", "file", "what", "what", "would", "do"]
    assert " ".join(row.split()) == (
        "error file1.h5 slice 1 of k-space: NaN or Inf copy or unpack it again, or leave it out"
    )
    assert "; 1 error, 0 warnings; " in sums


def test_of_two_files_both_are_named(folder):
    for number in range(2):
        volume = make_volume()
        write_fastmri(folder / f"file{number}.h5", replace(volume, info=replace(volume.info, patient_id=None)))
    assert "file0.h5 and file1.h5  2 of 3 volumes have no patient id" in run(folder).stdout


def test_warnings_alone_are_shown_and_exit_zero(folder):
    for number in range(3):
        with h5py.File(folder / f"file{number}.h5", "r+") as file:
            del file.attrs["max"]
    done = run(folder)
    assert done.exit_code == 0
    assert "file0.h5 and 2 more" in done.stdout
    assert "3 of 3 volumes have a reference, but no attribute 'max'" in done.stdout
    assert "; 0 errors, 1 warning; " in done.stdout


def test_json_tells_programs_the_same(folder):
    spoil(folder / "file1.h5")
    done = run(folder, "--deep", "--json", "--workers", 1)
    assert done.exit_code == 1
    facts = json.loads(done.stdout)
    assert facts.pop("seconds") > 0
    assert facts == {
        "folder": str(folder),
        "is_deep": True,
        "num_volumes": 3,
        "num_slices": 6,
        "num_archives": 0,
        "num_members": 0,
        "num_read": 3,
        "num_known": 0,
        "num_errors": 1,
        "num_warnings": 0,
        "findings": [
            {
                "severity": "error",
                "kind": "not_finite",
                "files": ["file1.h5"],
                "what": "slice 1 of k-space: NaN or Inf",
                "remedy": "copy or unpack it again, or leave it out",
            }
        ],
    }


@pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
def test_a_container_is_named_as_az(folder, blob_container):
    for path in folder.glob("*.h5"):
        write_bytes(blob_container / "val" / path.name, path.read_bytes())
    facts = json.loads(run(f"{blob_container}/val", "--deep", "--json").stdout)
    assert facts["folder"] == f"{blob_container}/val"
    assert (facts["num_volumes"], facts["num_read"], facts["findings"]) == (3, 3, [])


def test_again_reads_all_files_again(folder):
    run(folder, "--deep")
    assert "; 3 files read now, 0 known" in run(folder, "--deep", "--again").stdout


def test_again_needs_deep(folder):
    with pytest.raises(ConfigError, match="--again reads slices again; give --deep too"):
        run(folder, "--again")


def test_no_worker_is_refused(folder):
    with pytest.raises(ConfigError, match=r"^--workers 0: at least 1 is needed$"):
        run(folder, "--workers", 0)


@pytest.mark.parametrize(("options", "is_loaded"), [([], False), (["--deep"], True)])
def test_only_a_deep_check_loads_torch(folder, options, is_loaded):
    code = (
        "import sys, typer; from mrikit.commands.data.check import check; app = typer.Typer(); app.command()(check)\n"
        "try: app(sys.argv[1:])\nexcept SystemExit: pass\n"
        "sys.exit(10 + ('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, folder, *options], capture_output=True, check=False)
    assert done.returncode == 10 + is_loaded
