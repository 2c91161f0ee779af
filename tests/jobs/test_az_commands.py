"""Every command does with `az://` locations what it does with folders."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from storage.folders import wait_for
from training.small_run import CONFIG, are_same_bits, command_line, newest_state
from training.small_run import run as run_small
from typer.testing import CliRunner
from waiting import HANG_S

import mrikit.storage.mirror.place
from mrikit.commands.app import app
from mrikit.commands.places import beside, results_of, settings_of, weights_of
from mrikit.commands.training_run import run
from mrikit.config import change_config
from mrikit.errors import ConfigError, StorageError
from mrikit.simulate import StudyConfig, missing_volumes
from mrikit.storage import BlobPath, ConflictError, Place, list_files, mirrored, read_bytes, remove, write_bytes
from mrikit.storage.mirror.mirror import Mirror
from mrikit.storage.mirror.place import _Pushes
from mrikit.training import train

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

SIMULATE = ["knee", "--volumes", "6", "--slices", "2", "--coils", "2", "--matrix", "48,32", "--workers", "1"]
ONE_EPOCH = change_config(CONFIG, {"training.num_epochs": 1}, "test")


def invoke(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, (done.output, done.exception)
    return done


def fail(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code, done.output
    return done


def pipeline(root):
    """The main job from a simulated study to the report; everything that was printed."""
    data, run, recon = root / "data", root / "run", root / "run-recon"
    commands = [
        ["simulate", *SIMULATE, "--out", data],
        ["train", *command_line(ONE_EPOCH), "--data", data, "--out", run],
        ["reconstruct", "--data", data / "multicoil_val", "--out", recon, "--weights", run, "--acceleration", 4],
        ["evaluate", "--recon", recon],
        ["report", root],
        ["export", recon, "--to", "nifti", "--out", root / "nifti"],
    ]
    printed = [invoke(*command) for command in commands]
    return "".join(done.stdout for done in printed), "".join(done.stderr for done in printed)


def read_json(location):
    return json.loads(read_bytes(location))


def test_the_main_job_in_a_container_gives_what_it_gives_in_a_folder(blob_container, tmp_path):
    cache = str(tmp_path / "cache")
    local, (output, messages) = tmp_path / "local", pipeline(tmp_path / "local")
    there, (az_output, az_messages) = blob_container / "study", pipeline(blob_container / "study")
    with mirrored(there) as place:
        copy = place.folder
    volumes = {path.relative_to(local).as_posix() for path in local.rglob("file*.h5")}
    assert len(volumes) == 8
    for name in volumes:
        assert (copy / name).read_bytes() == (local / name).read_bytes() or "recon" in name
    assert are_same_bits(load_file(copy / "run/weights.safetensors"), load_file(local / "run/weights.safetensors"))
    rows, az_rows = (read_json(place / "run-recon/scores.json")["rows"] for place in (local, there))
    assert [row["slice_ssim"] for row in rows] == [row["slice_ssim"] for row in az_rows]
    assert [row["path"].replace(str(local), str(there)) for row in rows] == [row["path"] for row in az_rows]
    # Nobody is told of the cache: not on the screen, not in any file.
    assert cache not in az_output + az_messages
    for name in list_files(there):
        assert cache.encode() not in read_bytes(there / name), name
    numbers = re.compile(r"\d+(\.\d+)? slices/s|\x1b\[[0-9;]*m")
    assert numbers.sub("", az_output) == numbers.sub("", output).replace(str(local), str(there))
    assert numbers.sub("", az_messages) == numbers.sub("", messages).replace(str(local), str(there))
    assert "knee_multicoil" in read_bytes(there / "report.html").decode()
    assert [name for name in list_files(there) if name.startswith("nifti/") and name.endswith(".nii.gz")]


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Changes to another machine, whose cache is empty."""

    def change():
        monkeypatch.setenv("MRIKIT_CACHE", str(tmp_path / f"cache-{len(list(tmp_path.iterdir()))}"))

    return change


def copy(folder, location):
    """Everything of a local folder to a location."""
    for path in folder.rglob("*"):
        if path.is_file():
            write_bytes(location / path.relative_to(folder).as_posix(), path.read_bytes())


@pytest.fixture(scope="module")
def trained(study, tmp_path_factory):
    run = tmp_path_factory.mktemp("trained") / "run"
    invoke("train", *command_line(CONFIG), "--data", study, "--out", run)
    return run


def test_a_run_goes_on_elsewhere_to_the_same_bits(study, trained, blob_container, elsewhere):
    def stop(row, _num_steps):
        if row["step"] == 7:
            raise StorageError("the machine is taken away")

    run = blob_container / "run"
    with pytest.raises(StorageError), mirrored(run) as place:
        run_small(study, place.folder, on_row=stop)
    assert "weights.safetensors" in list_files(run)
    elsewhere()
    done = invoke("train", *command_line(CONFIG), "--data", study, "--out", run)
    assert re.search(r"going on after step [67] of 10", done.stderr)
    with mirrored(run) as place:
        assert are_same_bits(newest_state(place.folder), newest_state(trained))
    checkpoints = [name for name in list_files(run) if name.startswith("checkpoints/")]
    assert checkpoints == [f"checkpoints/step-{step:08}.safetensors" for step in (9, 10)]
    steps = [json.loads(line)["step"] for line in read_bytes(run / "metrics.jsonl").splitlines()]
    assert sorted(set(steps)) == list(range(1, 11))


def test_training_looks_into_the_folder_when_it_is_as_at_the_location(study, trained, tmp_path):
    lines = []
    train(CONFIG, study, tmp_path / "run", sync=lambda: shutil.copytree(trained, tmp_path / "run"), say=lines.append)
    assert lines[0].startswith("going on after step 10 of 10")


def test_training_stops_when_somebody_else_writes_to_its_location(study, tmp_path):
    def check():
        raise ConflictError("changed by someone else")

    with pytest.raises(ConflictError):
        run(CONFIG, study, Place(folder=tmp_path / "run", check=check))


@pytest.mark.slow
def test_several_processes_train_into_one_location(study, blob_container, azurite_env, tmp_path):
    out = blob_container / "run"
    launcher = [Path(sys.executable).parent / "torchrun", "--standalone", "--nproc-per-node", "2", "--no-python"]
    command = [*launcher, Path(sys.executable).parent / "mrikit", "train", *command_line(ONE_EPOCH)]
    words = [str(word) for word in [*command, "--data", study, "--out", out]]
    environment = {**os.environ, **azurite_env, "MRIKIT_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=HANG_S)
    assert done.returncode == 0, done.stderr
    assert f"weights in {out}/weights.safetensors" in done.stdout
    assert {"weights.safetensors", "config.json", "log.txt", "metrics.jsonl"} <= set(list_files(out))


def test_a_study_is_completed_elsewhere_without_bringing_it_there(blob_container, elsewhere, tmp_path):
    out = blob_container / "data"
    invoke("simulate", *SIMULATE, "--out", out)
    before = list_files(out)
    assert not list(tmp_path.rglob("*.h5"))  # nor was it kept where it was made
    elsewhere()
    more = [*SIMULATE[:1], "--volumes", "8", *SIMULATE[3:]]
    assert "8 knee volumes of 4 patients" in invoke("simulate", *more, "--out", out, "--dry-run").stderr
    done = invoke("simulate", *more, "--out", out)
    assert f"to {out}; 2 to make" in done.stderr
    after = list_files(out)
    assert len(after) == len(before) + 2
    assert {name: after[name] for name in before} == before
    assert not list(tmp_path.rglob("*.h5"))
    changed = fail("simulate", *SIMULATE[:3], "--slices", "3", *SIMULATE[5:], "--out", out)
    assert str(changed.exception).startswith(f"{out}: holds a knee study with other settings (num_slices differ")


def test_what_is_reconstructed_is_done_elsewhere_too(study, blob_container, elsewhere):
    words = ["reconstruct", "--data", study, "--out", blob_container / "recon", "--acceleration", 4, "--model"]
    invoke(*words, "zero_filled")
    elsewhere()
    assert "0 volumes, 0 slices; 7 were done before" in invoke(*words, "zero_filled").stdout
    assert f"{blob_container}/recon is for reconstructions with model zero_filled" in str(
        fail(*words, "cg_sense").exception
    )


def test_several_folders_are_compared_and_reported_together(study, blob_container):
    for model in ("zero_filled", "cg_sense"):
        words = ["--data", study, "--out", blob_container / "runs" / model, "--acceleration", 4]
        words += ["--center-fraction", 0.2, "--model", model]
        assert f"next: mrikit evaluate --recon {blob_container}/runs/{model}" in invoke("reconstruct", *words).stdout
    folders = [blob_container / "runs" / model for model in ("zero_filled", "cg_sense")]
    write_bytes(folders[0] / "v0.h5", b"damaged")
    done = invoke("evaluate", "--recon", folders[0], "--recon", folders[1])
    assert done.stdout.endswith(f"next: mrikit report {blob_container}/runs\n")
    (unscored,) = read_json(folders[0] / "scores.json")["unscored"]
    assert unscored["reason"].startswith(f"{folders[0]}/v0.h5: not a reconstruction of mrikit")
    done = invoke("report", blob_container / "runs", "--out", blob_container / "pages/all.html")
    assert done.stdout == f"{blob_container}/pages/all.html\n"
    assert list(list_files(blob_container / "pages")) == ["all.html"]


def test_only_the_weights_of_a_run_are_brought(trained, blob_container):
    copy(trained, blob_container / "run")
    done = invoke("weights", "info", blob_container / "run")
    assert f"{blob_container}/run/weights.safetensors" in done.stdout
    assert json.loads(invoke("weights", "info", blob_container / "run/weights.safetensors", "--json").stdout)["path"]
    (newest,) = [name for name in Mirror(blob_container / "run")._files() if name.startswith("checkpoints/")]
    assert newest == "checkpoints/step-00000010.safetensors"
    assert "metrics.jsonl" not in Mirror(blob_container / "run")._files()


def test_a_run_begins_with_weights_at_a_location(study, trained, blob_container, tmp_path):
    copy(trained, blob_container / "run")
    words = ["--data", study, "--out", tmp_path / "next", "--start", blob_container / "run"]
    done = invoke("train", *command_line(ONE_EPOCH), *words)
    assert f"beginning with the weights and moments of {blob_container}/run/checkpoints/" in done.stderr
    assert f"of {blob_container}/run/" in (tmp_path / "next/log.txt").read_text()


def test_a_dry_run_brings_no_checkpoint_and_leaves_nothing(study, trained, blob_container):
    copy(trained, blob_container / "run")
    before = list_files(blob_container)
    done = invoke("train", *command_line(CONFIG), "--data", study, "--out", blob_container / "run", "--dry-run")
    assert f"into {blob_container}/run" in done.stdout
    assert list_files(blob_container) == before
    assert list(Mirror(blob_container / "run")._files()) == ["config.json"]


def test_the_data_are_recorded_by_their_location(study, blob_container):
    copy(study, blob_container / "data")
    invoke("train", *command_line(ONE_EPOCH), "--data", blob_container / "data", "--out", blob_container / "run")
    assert read_json(blob_container / "run/config.json")["data"] == f"{blob_container}/data"


@pytest.mark.parametrize(
    "words",
    [
        ["simulate", "knee", "--out"],
        ["train", "--task", "knee_acc4", "--data"],
        ["reconstruct", "--out", "x", "--data"],
        ["evaluate", "--recon"],
        ["report"],
        ["weights", "info"],
    ],
    ids=lambda words: words[0],
)
def test_another_kind_of_location_is_refused(words):
    done = fail(*words, "s3://bucket/prefix")
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith("s3://bucket/prefix: not a place that mrikit knows; ")


def test_nothing_to_report_names_the_location(blob_container):
    message = f"{blob_container}/run: no such folder; name one that holds the results of `mrikit reconstruct`"
    assert str(fail("report", blob_container / "run").exception) == message


def test_what_is_proposed_lies_beside_a_location():
    assert str(beside(BlobPath("data", "runs/a"), "-recon")) == "az://data/runs/a-recon"
    assert str(beside(BlobPath("data"), "-recon")) == "az://data/recon"
    assert str(beside(Path("runs/a"), "-recon")) == "runs/a-recon"


def test_weights_are_told_from_what_else_a_run_has():
    run = ["config.json", "weights.safetensors", "log.txt", *(f"checkpoints/step-{n}.safetensors" for n in (8, 9))]
    assert weights_of(run) == {"weights.safetensors", "checkpoints/step-9.safetensors"}
    staged = {f"stage-{n}/{name}" for n in (1, 2) for name in run}
    assert weights_of(staged) == {
        f"stage-{n}/{name}" for n in (1, 2) for name in ("weights.safetensors", "checkpoints/step-9.safetensors")
    }
    assert weights_of(["lib/knee.safetensors", "lib/knee.md"]) == {"lib/knee.safetensors"}


def test_a_report_needs_neither_weights_nor_volumes():
    names = ["data/a.h5", "acc4/reconstruct.json", "acc4/x/b.h5", "run/weights.safetensors", "run/metrics.jsonl"]
    assert results_of(names) == {"acc4/reconstruct.json", "acc4/x/b.h5", "run/metrics.jsonl"}
    assert results_of(["reconstruct.json", "b.h5"]) == {"reconstruct.json", "b.h5"}
    assert settings_of(names) == {"acc4/reconstruct.json"}


def test_a_report_needs_the_first_the_last_and_some_pictures_of_each_run():
    names = [f"{run}/pictures/step-0000000{step}-validation.png" for run in ("a", "b") for step in range(7)]
    chosen = {f"{run}/pictures/step-0000000{step}-validation.png" for run in ("a", "b") for step in (0, 2, 4, 6)}
    assert results_of([*names, "a/other/step-00000003-validation.png"]) == chosen


def test_an_snu_volume_is_done_elsewhere_when_both_its_files_are(tmp_path):
    config = StudyConfig(anatomy="knee", folder=tmp_path, num_volumes=1, layout="snu")
    (planned,) = missing_volumes(config)
    kspace = planned.path.relative_to(tmp_path).as_posix()
    assert missing_volumes(config, {kspace}) == [planned]
    assert missing_volumes(config, {kspace, kspace.replace("kspace", "image")}) == []


@pytest.fixture
def recon(study, blob_container):
    """Reconstructions of one machine, which was killed before everything was there."""
    out = blob_container / "recon"
    invoke("reconstruct", "--data", study, "--out", out, "--acceleration", 4, "--model", "zero_filled")
    (Mirror(out).folder / "left.json").write_text("{}")
    return out


def test_who_only_reads_brings_nothing_there_that_others_left(recon, blob_container):
    before = list_files(recon)
    invoke("report", recon, "--out", blob_container / "pages/a.html")
    assert list_files(recon) == before
    invoke("report", recon)
    invoke("evaluate", "--recon", recon)
    assert list_files(recon).keys() - before.keys() == {"report.html", "scores.json", "scores.csv"}


def test_a_dry_run_brings_nothing_there_that_others_left(study, blob_container):
    run, data = blob_container / "run", blob_container / "data"
    for location in (run, data):
        folder = Mirror(location).folder
        folder.mkdir(parents=True)
        (folder / "left.bin").write_text("x")
    invoke("train", *command_line(CONFIG), "--data", study, "--out", run, "--dry-run")
    invoke("simulate", *SIMULATE, "--out", data, "--dry-run")
    assert list_files(blob_container) == {}


def test_a_run_that_was_killed_here_and_went_on_elsewhere_is_not_mixed(study, trained, blob_container, elsewhere):
    run = blob_container / "run"
    copy(trained, run)
    words = ["train", *command_line(CONFIG), "--data", study, "--out", run]
    invoke(*words)
    left = Mirror(run).folder / "checkpoints/step-00000011.safetensors"
    left.write_bytes(b"x")
    write_bytes(run / "metrics.jsonl", read_bytes(run / "metrics.jsonl") + b"\n")
    done = fail(*words)
    assert str(done.exception).startswith(
        f"{run}: another machine continued this run (metrics.jsonl changed), and check"
    )
    assert left.name not in {name.rpartition("/")[2] for name in list_files(run)}


def test_two_machines_that_reconstruct_the_same_do_not_hinder_each_other(study, blob_container, elsewhere, monkeypatch):
    import mrikit.reconstruct.folder as module

    out, true_reconstruct, others = blob_container / "recon", module._reconstruct, []
    words = ["reconstruct", "--data", study, "--out", out, "--acceleration", 4, "--model", "zero_filled"]

    def reconstruct(*arguments):
        made = true_reconstruct(*arguments)
        if not others:
            others.append(True)
            here = os.environ["MRIKIT_CACHE"]
            elsewhere()
            others.append(invoke(*words))
            monkeypatch.setenv("MRIKIT_CACHE", here)
        return made

    monkeypatch.setattr(module, "_reconstruct", reconstruct)
    invoke(*words)
    others_seconds = re.search(r"([\d.]+) slices/s", others[1].stdout)[1]
    assert read_json(out / "reconstruct.json")["slices_per_second"] == pytest.approx(float(others_seconds), abs=0.06)


def test_lesions_are_read_from_a_table_at_a_location(recon, blob_container):
    names = [Path(name).stem for name in list_files(recon) if name.endswith(".h5")]
    boxes = "".join(f"{name},0,No,5,8,6,4,cyst\n" for name in names)
    rows = f"file,slice,study_level,x,y,width,height,label\n{boxes}"
    write_bytes(blob_container / "boxes.csv", rows.encode())
    done = invoke("evaluate", "--recon", recon, "--boxes", blob_container / "boxes.csv")
    assert f"boxes: {len(names)} found and {len(names)} scored" in done.stdout
    message = f"{blob_container}/none.csv: there is nothing at this location"
    assert str(fail("evaluate", "--recon", recon, "--boxes", blob_container / "none.csv").exception) == message


def test_a_blob_of_any_name_is_reported(study, blob_container):
    volume = next(study.rglob("*.h5"))
    write_bytes(BlobPath(blob_container.container, "odd/q?x #1.h5"), volume.read_bytes())
    out = blob_container / "recon"
    invoke("reconstruct", "--data", blob_container / "odd", "--out", out, "--acceleration", 4, "--model", "zero_filled")
    invoke("evaluate", "--recon", out)
    invoke("report", out)
    assert "q?x #1" in read_bytes(out / "report.html").decode()


def test_a_run_that_cannot_begin_leaves_nothing_there(study, blob_container, monkeypatch):
    def fail_late(*_arguments, **_settings):
        wait_for(lambda: "run/config.json" in list_files(blob_container))
        raise StorageError("no memory")

    monkeypatch.setattr(mrikit.storage.mirror.place, "_SECONDS_BETWEEN_PUSHES", 0.02)
    monkeypatch.setattr(sys.modules["mrikit.training.train"], "Engine", fail_late)
    done = fail("train", *command_line(ONE_EPOCH), "--data", study, "--out", blob_container / "run")
    assert str(done.exception) == "no memory"
    assert list_files(blob_container) == {}


@pytest.mark.parametrize("command", ["reconstruct", "evaluate", "simulate"])
def test_long_work_stops_when_its_location_is_gone(study, blob_container, monkeypatch, command):
    def check(_pushes):
        raise StorageError("there is no container any more")

    recon = blob_container / "recon"
    words = {
        "reconstruct": ["--data", study, "--out", recon, "--acceleration", 4, "--model", "zero_filled"],
        "evaluate": ["--recon", recon],
        "simulate": [*SIMULATE, "--out", blob_container / "data"],
    }
    invoke("reconstruct", *words["reconstruct"])
    monkeypatch.setattr(_Pushes, "check", check)
    remove(recon / "v0.h5")
    assert str(fail(command, *words[command]).exception) == "there is no container any more"
