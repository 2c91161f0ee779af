import json
import re
import sys

import numpy as np
import pytest
import typer
from simulate.templates import write_template
from typer.testing import CliRunner

from mrikit.commands.simulate import simulate
from mrikit.errors import ConfigError, DataError
from mrikit.volumes import find_volumes

APP = typer.Typer()
APP.command()(simulate)
SMALL = ["--coils", "2,3", "--slices", "1", "--matrix", "64,48", "--workers", "2"]


def run(*arguments):
    return CliRunner().invoke(APP, [str(argument) for argument in arguments])


def test_the_command_prints_its_plan_first_and_then_splits_and_the_next_command(tmp_path):
    done = run("knee", "--out", tmp_path, "--volumes", 4, *SMALL)
    assert done.exit_code == 0
    assert "simulate: 4 knee volumes of 2 patients, 1 slices, 2,3 coils, 64 x 48, fastmri layout" in done.stderr
    assert re.search(r"4 to make, about 0\.\d MB", done.stderr)
    assert f"train: 2 volumes in {tmp_path / 'multicoil_train'}" in done.stdout
    assert f"val: 2 volumes in {tmp_path / 'multicoil_val'}" in done.stdout
    assert f"next: mrikit reconstruct --data {tmp_path}" in done.stdout
    assert len(find_volumes(tmp_path)) == 4


def test_view_and_noise_are_those_of_the_command(tmp_path):
    done = run("knee", "--out", tmp_path, "--volumes", 1, *SMALL, "--fov", 200, "--noise", 2)
    assert done.exit_code == 0
    settings = json.loads((tmp_path / "simulation-knee.json").read_text())
    assert (settings["field_of_view_mm"], settings["noise"]) == (200, 2)


def test_a_second_run_has_nothing_to_make(tmp_path):
    run("knee", "--out", tmp_path, "--volumes", 2, *SMALL)
    done = run("knee", "--out", tmp_path, "--volumes", 2, *SMALL)
    assert done.exit_code == 0
    assert "0 to make, about 0.0 MB" in done.stderr


def test_a_dry_run_writes_nothing(tmp_path):
    done = run("brain", "--out", tmp_path / "new", "--layout", "snu", "--size", "full", "--dry-run")
    assert done.exit_code == 0
    assert "768 x 392 and 768 x 396" in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "new").exists()


def test_the_snu_layout_is_listed_by_the_folders_to_read(tmp_path):
    done = run("brain", "--out", tmp_path, "--volumes", 1, "--layout", "snu", *SMALL)
    assert f"val: 1 volumes in {tmp_path / 'val' / 'brain'}" in done.stdout


def test_a_template_brain_is_full_size_unless_another_is_asked_for(tmp_path):
    template = write_template(tmp_path / "TPM.nii")
    words = ["brain", "--anatomy", "template", "--template", template, "--out", tmp_path / "out"]
    done = run(*words, "--dry-run")
    assert "8 brain volumes of 8 patients, 40 slices, 8 coils, 145 x 121, fastmri layout" in done.stderr
    done = run(*words, "--volumes", 4, "--slices", 1, "--matrix", "36,32", "--coils", 2, "--coil-model", "ellipse")
    assert done.exit_code == 0, done.exception
    assert f"test: 1 volumes in {tmp_path / 'out' / 'multicoil_test'}" in done.stdout


def test_digits_are_written_as_many_as_the_file_has(tmp_path):
    np.savez(tmp_path / "digits.npz", images=np.ones((7, 28, 28), np.uint8))
    done = run("digits", "--from", tmp_path / "digits.npz", "--out", tmp_path / "out", "--slices", 3)
    assert done.exit_code == 0, done.exception
    assert "2 digits volumes of 2 patients, 3 slices, 1 coils, 28 x 28" in done.stderr
    assert f"val: 1 volumes in {tmp_path / 'out' / 'singlecoil_val'}" in done.stdout
    (tmp_path / "no").write_text("no digits")
    done = run("digits", "--from", tmp_path / "no", "--out", tmp_path / "new")
    assert isinstance(done.exception, DataError)
    assert not (tmp_path / "new" / "simulation-digits.json").exists()


def test_mixed_volumes_draw_coils_and_matrix_unless_they_are_given(tmp_path):
    done = run("mixed", "--out", tmp_path / "out", "--volumes", 20, "--dry-run")
    assert re.search(
        r"20 mixed volumes of 20 patients, 6 slices, 1,[\d,]+ coils, 20 matrices, \d+ x \d+ to \d+ x \d+", done.stderr
    )
    template = write_template(tmp_path / "TPM.nii")
    words = ["mixed", "--out", tmp_path / "out", "--volumes", 2, "--slices", 1, "--seed", 4, "--template", template]
    done = run(*words, "--coils", "1,3", "--matrix", "64,48")
    assert done.exit_code == 0, done.exception
    assert "2 mixed volumes of 2 patients, 1 slices, 1,3 coils, 64 x 48, fastmri layout" in done.stderr
    assert f"val: 1 volumes in {tmp_path / 'out' / 'val'}" in done.stdout
    assert f"train: 1 volumes in {tmp_path / 'out' / 'train'}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mixed", "--size", "full"], "Invalid value for --size: says nothing of mixed"),
        (["mixed", "--noise", "2"], "Invalid value for --noise: says nothing of mixed"),
        (["mixed", "--fov", "200"], "Invalid value for --fov: says nothing of mixed"),
        (["mixed", "--coil-model", "array"], "Invalid value for --coil-model: says nothing of mixed"),
        (["mixed", "--deformation", "2"], "Invalid value for --deformation: says nothing of mixed"),
        (["mixed", "--from", "x"], "Invalid value for --from: says nothing of mixed"),
        (["mixed", "--layout", "snu"], "Invalid value for --layout: says nothing of mixed"),
        (["mixed", "--anatomy", "template"], "Invalid value for --anatomy: says nothing of mixed"),
        (["digits"], "names the file of digits"),
        (["brain", "--from", "x"], "goes with digits, not with brain"),
        (["knee", "--anatomy", "template"], "the template is a brain, not a knee"),
        (["brain", "--anatomy", "real"], "'real' is neither phantom nor template"),
        (["brain", "--template", "x"], "goes with brain --anatomy template"),
        (["brain", "--deformation", "1"], "goes with brain --anatomy template"),
        (["brain", "--coil-model", "loops"], "Invalid value for --coil-model: goes with brain --anatomy template"),
        (["digits", "--from", "x", "--seed", "1"], "Invalid value for --seed: says nothing of digits"),
        (["digits", "--from", "x", "--coil-model", "array"], "for --coil-model: says nothing of digits"),
        (["brain", "--anatomy", "template", "--layout", "snu"], "are written as fastMRI writes"),
        (["brain", "--anatomy", "template", "--fov", "200"], "Invalid value for --fov: goes with --anatomy phantom"),
        (["digits", "--from", "x", "--noise", "2"], "Invalid value for --noise: says nothing of digits"),
    ],
)
def test_an_option_of_another_kind_of_study_is_wrong_usage(tmp_path, arguments, message):
    done = run(*arguments, "--out", tmp_path)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--coils", "many"], "'many' is not a whole number"),
        (["--matrix", "64"], "'64' is not readout,phase"),
        (["--matrix", "a,b"], "'a,b' is not a whole number"),
    ],
)
def test_what_is_not_a_number_is_wrong_usage(tmp_path, arguments, message):
    done = run("knee", "--out", tmp_path, *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_a_setting_out_of_range_is_a_config_error_before_anything_is_written(tmp_path):
    done = run("elbow", "--out", tmp_path / "new")
    assert isinstance(done.exception, ConfigError)
    assert not (tmp_path / "new").exists()


def test_the_command_file_itself_needs_neither_torch_nor_numpy():
    import subprocess

    code = "import sys, mrikit.commands.simulate; print({'torch', 'numpy', 'h5py'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
