"""What commands take where nobody names it: data, method, and where to write; inside a container and outside."""

import os
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer
from estates import example_estate
from phantoms import make_volume
from reconstruct.networks import masks, save_classifier, save_unet
from typer.testing import CliRunner

from mrikit.checkpoint import save_weights
from mrikit.commands.app import app
from mrikit.commands.natural import AS_DATA, require_writable
from mrikit.commands.places import Location
from mrikit.errors import ConfigError, StorageError
from mrikit.models import build_model, model_settings
from mrikit.reconstruct import ReconstructConfig
from mrikit.reconstruct.find_weights import best_weights
from mrikit.reconstruct.routing import build_routing
from mrikit.storage.estate import save_estate
from mrikit.volumes import write_fastmri
from mrikit.volumes.reconstruction import read_reconstruction

small = typer.Typer(pretty_exceptions_enable=False)


@small.command()
def take(data: Annotated[Location | None, typer.Option(**AS_DATA)] = None, on: str | None = None) -> None:
    typer.echo(f"{data} {on}")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty working folder, with nothing in the environment."""
    for name in ("MRIKIT_DATA", "MRIKIT_IMAGE", "MRIKIT_ESTATE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("MRIKIT_JOBS", str(tmp_path / "jobs"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def run(*words, of=app):
    result = CliRunner().invoke(of, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def message(*words, of=app):
    """The one line of an error."""
    with pytest.raises((ConfigError, StorageError)) as caught:
        CliRunner().invoke(of, [str(word) for word in words], catch_exceptions=False)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_variable_comes_before_the_folder_here_and_both_are_told(place, tmp_path, monkeypatch):
    (place / "data").mkdir()
    here = run(of=small)
    assert here.stdout == f"{place}/data None\n"
    assert here.stderr == f"data: {place}/data (data/ in the working folder)\n"
    monkeypatch.setenv("MRIKIT_DATA", str(tmp_path))
    assert run(of=small).stderr == f"data: {tmp_path} (MRIKIT_DATA)\n"
    monkeypatch.setenv("MRIKIT_DATA", "az://raw/knee")
    assert run(of=small).stdout == "az://raw/knee None\n"


def test_data_that_are_named_count_more_and_nothing_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("MRIKIT_DATA", str(tmp_path / "missing"))
    named = run("--data", "other", of=small)
    assert (named.stdout, named.stderr) == ("other None\n", "")


def test_several_processes_tell_it_once(place, monkeypatch):
    (place / "data").mkdir()
    monkeypatch.setenv("RANK", "1")
    assert run(of=small).stderr == ""


def test_a_variable_that_leads_nowhere_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MRIKIT_DATA", str(tmp_path / "missing"))
    assert message(of=small) == (
        f"MRIKIT_DATA names {tmp_path}/missing, which is not there; set it to a folder of volumes, or give --data"
    )
    monkeypatch.setenv("MRIKIT_DATA", "s3://bucket")
    assert message(of=small).startswith("MRIKIT_DATA: s3://bucket: not a place that mrikit knows")


@pytest.mark.parametrize("words", [["reconstruct"], ["train", "--task", "knee_acc8"], ["data", "check"]])
def test_without_any_data_one_line_says_what_would_do(words):
    assert message(*words) == (
        "no data are named; give --data DIR, set MRIKIT_DATA, or put volumes into data/ here: `mrikit simulate knee "
        "--out data` makes some"
    )


def test_on_azure_the_datasets_of_the_estate_are_taken_whatever_lies_here(place, monkeypatch):
    (place / "data").mkdir()
    assert message("--on", "azure", of=small).endswith("for its az://datasets with `mrikit infra link`")
    save_estate(example_estate())
    done = run("--on", "azure", of=small)
    assert (done.stdout, done.stderr) == ("az://datasets azure\n", "data: az://datasets (of the linked estate)\n")
    monkeypatch.setenv("MRIKIT_DATA", "az://raw/knee")
    assert run("--on", "azure", of=small).stdout == "az://raw/knee azure\n"


def test_a_job_elsewhere_is_given_the_place_by_its_full_name(place):
    (place / "data").mkdir()
    lines = run("data", "index", "--on", "local", "--dry-run").stdout.splitlines()
    (command,) = [line for line in lines if line.startswith("command: ")]
    assert command.endswith(f" data index {place}/data")


def test_volumes_here_are_indexed_and_checked_without_a_word(place):
    write_fastmri(place / "data" / "file1.h5", make_volume())
    assert "1 volumes, 0 bad files" in run("data", "index").stdout
    assert run("data", "check").stdout.startswith("1 volume, ")


def test_without_weights_volumes_are_reconstructed_by_cg_sense_beside_them(place):
    write_fastmri(place / "data" / "file1.h5", make_volume())
    done = run("reconstruct")
    assert done.stderr.splitlines()[:2] == [
        f"data: {place}/data (data/ in the working folder)",
        f"weights: none below {place}/data or runs; cg_sense needs none",
    ]
    assert read_reconstruction(place / "recon" / "file1.h5").model == "cg_sense"
    assert "1 were done before" in run("reconstruct").stdout


def test_the_best_weights_here_are_taken_and_cg_sense_for_what_they_do_not_suit(place, monkeypatch):
    monkeypatch.setenv("MRIKIT_DATA", str(place))
    write_fastmri(place / "file1.h5", make_volume(volume_id="file1"))
    lines = make_volume().kspace[0, 0, 0] != 0
    lines[1::2] = False
    lines[25:35] = True
    write_fastmri(place / "file2.h5", make_volume(volume_id="file2", mask=lines))
    save_unet(place / "runs" / "a" / "weights.safetensors", 1, masks=masks(2), ssim=0.7)
    save_unet(place / "runs" / "b" / "weights.safetensors", 2, masks=masks(2), ssim=0.8)
    done = run("reconstruct")
    best = place / "runs" / "b" / "weights.safetensors"
    assert f"weights: {best}; cg_sense for volumes that they do not suit" in done.stderr
    assert "1 volumes were done without a network, because no weights suit" in done.stderr
    made = {name: read_reconstruction(place / "recon" / f"{name}.h5") for name in ("file1", "file2")}
    assert {name: one.model for name, one in made.items()} == {"file1": "cg_sense", "file2": "unet"}
    assert "2 were done before" in run("reconstruct").stdout  # neither weights nor results are taken for volumes


def test_a_job_elsewhere_is_given_the_weights_that_were_found(place):
    (place / "data").mkdir()
    save_unet(place / "runs" / "a" / "weights.safetensors", 1, masks=masks(4))
    lines = run("reconstruct", "--on", "local", "--dry-run").stdout.splitlines()
    (command,) = [line for line in lines if line.startswith("command: ")]
    words = command.split("mrikit ")[-1]
    weights = place / "runs" / "a" / "weights.safetensors"
    assert words == f"reconstruct --data {place}/data --out recon --model cg_sense --weights {weights} --task auto"


def test_data_that_are_named_are_reconstructed_by_cg_sense_whatever_weights_lie_here(place):
    write_fastmri(place / "data" / "file1.h5", make_volume())
    save_unet(place / "runs" / "a" / "weights.safetensors", 1, masks=masks(4))
    assert run("reconstruct", "--data", "data").stdout.startswith("cg_sense: 1 volumes")


def test_a_task_looks_for_its_weights_here(place):
    write_fastmri(place / "data" / "file1.h5", make_volume())
    assert message("reconstruct", "--data", "data", "--task", "auto") == (
        "--task auto: no weights below data or runs; name some with --weights"
    )
    save_unet(place / "runs" / "a" / "weights.safetensors", 1, masks=masks(4))
    done = run("reconstruct", "--data", "data", "--task", "auto", "--acceleration", 4)
    assert done.stdout.startswith("unet (1 weights): 1 volumes")


def test_of_weights_for_the_same_volumes_the_best_score_counts(tmp_path):
    for name, score, anatomy in (("a", 0.7, "knee"), ("b", 0.9, "knee"), ("c", 0.5, "brain")):
        save_unet(tmp_path / f"{name}.safetensors", 1, masks=masks(4), ssim=score, anatomy=anatomy)
    save_unet(tmp_path / "silent.safetensors", 1)
    (tmp_path / "other.safetensors").write_bytes(b"of another program")
    files, num_silent = best_weights([tmp_path])
    assert [file.name for file in files] == ["b.safetensors", "c.safetensors"]
    assert num_silent == 2


def test_a_classifier_alone_makes_no_image_and_is_not_taken(tmp_path):
    save_classifier(tmp_path / "a.safetensors", [0.0, 1.0])
    assert best_weights([tmp_path])[0] == []


def test_a_classifier_of_orientation_is_not_taken_for_a_network_however_well_it_tells(tmp_path):
    save_unet(tmp_path / "net.safetensors", 1, masks=masks(4), ssim=0.5)
    model = build_model("orientation_net", {"kind": "simple"})
    record = {"masks": masks(4), "accuracy": 1.0}
    save_weights(tmp_path / "who.safetensors", "orientation_net", model_settings(model), model.state_dict(), record)
    files, num_silent = best_weights([tmp_path])
    assert ([file.name for file in files], num_silent) == (["net.safetensors"], 0)
    routing = build_routing(ReconstructConfig(weights=tmp_path, task="auto"))
    assert [method.name for method in routing.methods] == ["unet"]
    assert routing.classifier is None


@pytest.fixture
def container(place, monkeypatch):
    """As in a container of ours, with a mounted folder."""
    monkeypatch.setenv("MRIKIT_IMAGE", "mrikit-cpu")
    monkeypatch.setenv("MRIKIT_DATA", str(place))
    monkeypatch.setattr(sys, "argv", ["mrikit", "reconstruct", "--acceleration", "4"])
    return place


def test_without_a_mount_one_line_says_how(container):
    command = f"docker run -v $PWD:{container} mrikit-cpu reconstruct --acceleration 4"
    assert message("reconstruct") == f"{container} is empty; mount the folder of your volumes: {command}"


def test_a_mount_that_may_not_be_written_or_read_says_who_may(container, monkeypatch):
    write_fastmri(container / "file1.h5", make_volume())
    command = f"docker run --user $(id -u):$(id -g) -v $PWD:{container} mrikit-cpu reconstruct --acceleration 4"
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
    assert message("reconstruct") == (
        f"{container} cannot be written by user {os.getuid()} of the container; run it as yourself: {command}"
    )
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    assert message("reconstruct").startswith(f"{container} cannot be read by user {os.getuid()} of the container; ")


def test_outside_a_container_folders_are_not_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    require_writable(Path(tmp_path / "out"))
