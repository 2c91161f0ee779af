import nibabel
import numpy as np
from scored_study import write_recon
from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.errors import ConfigError


def call(*words):
    return CliRunner().invoke(app, ["export", *map(str, words)])


def write_two(folder):
    write_recon(folder, folder, {name: np.full((2, 4, 3), 2.0, np.float32) for name in ("v0", "v1")})
    return folder


def test_it_says_what_was_written_and_what_is_not_known(tmp_path):
    done = call(write_two(tmp_path / "recon"), "--to", "nifti", "--out", tmp_path / "out")
    assert done.stdout == f"nifti: 2 volumes, 2 files in {tmp_path / 'out'}\n"
    assert done.stderr == (
        "warning: 2 of 2 volumes: the place in the patient is not known: qform and sform are 0, and unknown distances "
        "stand as 1\n"
    )
    assert nibabel.load(tmp_path / "out" / "v0.nii.gz").shape == (3, 4, 2)


def test_one_file_is_enough_and_done_files_are_counted(tmp_path):
    words = (write_two(tmp_path / "recon") / "v0.h5", "--to", "png", "--bits", 16, "--out", tmp_path / "out")
    assert call(*words).stdout == f"png: 1 volumes, 2 files in {tmp_path / 'out'}\n"
    assert call(*words).stdout == f"png: 1 volumes, 0 files in {tmp_path / 'out'}; 2 files were there before\n"


def test_bids_names_are_an_option(tmp_path):
    words = (write_two(tmp_path / "recon"), "--to", "nifti", "--bids", "--suffix", "T2w", "--out", tmp_path / "out")
    assert call(*words).exit_code == 0
    assert (tmp_path / "out" / "sub-v1" / "anat" / "sub-v1_rec-cgsense_T2w.nii.gz").exists()


def test_a_format_that_is_not_there_is_an_error(tmp_path):
    done = call(write_two(tmp_path / "recon"), "--to", "jpeg", "--out", tmp_path / "out")
    assert isinstance(done.exception, ConfigError)
