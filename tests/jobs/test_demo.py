import numpy as np
import pytest
from phantoms import make_volume
from typer.testing import CliRunner

from mrikit.commands import demo
from mrikit.commands.app import app
from mrikit.errors import DataError
from mrikit.recipes import challenge
from mrikit.volumes import write_fastmri
from mrikit.volumes.reconstruction import read_reconstruction


def run(*arguments):
    return CliRunner().invoke(app, ["demo", *map(str, arguments)])


def run_classical(*arguments):
    """Without a network, which takes its time."""
    return run("--no-train", *arguments)


@pytest.mark.slow
def test_the_demo_simulates_reconstructs_scores_and_reports(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "NUM_VOLUMES", 1)
    monkeypatch.setattr(demo, "NUM_COILS", 4)
    monkeypatch.setattr(demo, "NUM_SLICES", 2)
    monkeypatch.setattr(demo, "NUM_TRAINING_VOLUMES", 6)
    monkeypatch.setattr(demo, "NUM_TRAINING_SLICES", 2)
    monkeypatch.setattr(challenge, "TINY_EPOCHS", 1)
    done = run("--out", tmp_path / "demo", "--acceleration", 4)
    assert done.exit_code == 0, done.output
    page = (tmp_path / "demo" / "report.html").read_text()
    for model in ("zero filled", "grappa", "cg sense", "l1 wavelet", "varnet", "promptmr"):
        assert model in page
    assert "stages 1 to 3" in page
    lines = done.stdout.splitlines()
    for model in ("l1_wavelet", "varnet", "promptmr"):
        assert any(line.startswith(f"4x  {model}") for line in lines)
    assert f"open {tmp_path / 'demo' / 'report.html'}" in done.stdout
    assert lines[-2].startswith("next: mrikit reconstruct")
    again = run("--out", tmp_path / "demo", "--acceleration", 4)
    assert "steps of this run were done before" in again.stdout
    assert "varnet: 0 volumes, 0 slices" in again.stdout


def test_the_demo_takes_your_volumes_and_resumes(tmp_path):
    write_fastmri(tmp_path / "data" / "file1000001.h5", make_volume())
    arguments = ("--data", tmp_path / "data", "--out", tmp_path / "out", "--acceleration", 3, "--acceleration", 2)
    first = run_classical(*arguments)
    assert first.exit_code == 0, first.output
    folders = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert folders == {"acc2", "acc3"}
    mask = read_reconstruction(tmp_path / "out" / "acc3" / "cg_sense" / "file1000001.h5").mask
    assert (mask.kind, mask.acceleration) == ("equispaced_fraction", 3)
    again = run_classical(*arguments)
    assert "cg_sense: 0 volumes, 0 slices; 1 were done before" in again.stdout


@pytest.mark.filterwarnings("ignore:grappa leaves lines")
def test_a_method_that_cannot_do_a_volume_says_so_and_the_others_go_on(tmp_path):
    write_fastmri(tmp_path / "data" / "file1000001.h5", make_volume())
    done = run_classical("--data", tmp_path / "data", "--out", tmp_path / "out", "--acceleration", 15)
    assert done.exit_code == 0, done.output
    assert (
        "warning: 1 of 1 volumes could not be reconstructed: file1000001.h5, slice 0: grappa cannot fit" in done.stderr
    )
    assert "15x  zero_filled" in done.stdout


def test_volumes_without_a_reference_are_reconstructed_and_shown(tmp_path):
    lines = np.zeros(60, bool)
    lines[::2] = True
    lines[20:40] = True
    write_fastmri(tmp_path / "data" / "file1000001.h5", make_volume(mask=lines))
    done = run_classical("--data", tmp_path / "data", "--out", tmp_path / "out", "--acceleration", 4)
    assert done.exit_code == 0, done.output
    assert "1 volumes were not scored: the file has no reference image" in done.stderr
    assert "SSIM" not in done.stdout
    assert "Middle slice" in (tmp_path / "out" / "report.html").read_text()


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path):
    done = run_classical("--data", tmp_path / "nope", "--out", tmp_path / "out")
    assert isinstance(done.exception, DataError)
    assert str(done.exception) == f"{tmp_path / 'nope'}: no such folder"
    assert not (tmp_path / "out").exists()


def test_a_dry_run_says_what_would_be_done_and_does_nothing(tmp_path):
    done = run("--out", tmp_path / "demo", "--dry-run")
    assert done.exit_code == 0
    wanted = "a simulated study of 16 knees, undersampled 8x, by PromptMR and VarNet, trained on other simulated knees"
    assert wanted in done.stderr
    assert not (tmp_path / "demo").exists()
