import json
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
from phantoms import make_volume

from mrikit.data import MaskPlan
from mrikit.errors import ConfigError, DataError, StorageError
from mrikit.evaluate import evaluate, read_pair
from mrikit.reconstruct import ReconstructConfig, reconstruct_folder
from mrikit.volumes import open_volume, write_fastmri
from mrikit.volumes.reconstruction import find_reconstructions, read_reconstruction, reconstruction_path
from tests.volumes.mrd import header, lines, scan
from tests.volumes.mrd import write as write_mrd

PLAN = MaskPlan(kind="equispaced", acceleration=4, center_fraction=0.2)
CONFIG = ReconstructConfig(model="zero_filled", mask=PLAN)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    for volume_id in ("file1000001", "file1000002"):
        write_fastmri(folder / f"{volume_id}.h5", make_volume(volume_id=volume_id))
    return folder


def test_every_volume_becomes_one_file_with_its_mask_and_provenance(data, tmp_path):
    summary = reconstruct_folder(data, tmp_path / "out", CONFIG)
    assert (summary.num_volumes, summary.num_slices, summary.num_skipped) == (2, 4, 0)
    result = read_reconstruction(tmp_path / "out" / "file1000002.h5")
    assert result.image.shape == result.zero_filled.shape == (2, 40, 44)
    assert result.image.dtype == np.float32
    assert result.mask.kind == "equispaced"
    assert result.mask.true_acceleration == pytest.approx(60 / result.mask.samples.sum())
    assert result.config["mask"] == {"kind": "equispaced", "acceleration": 4, "center_fraction": 0.2}
    run = json.loads((tmp_path / "out" / "reconstruct.json").read_text())
    assert run["model"] == "zero_filled"
    assert run["data"] == str(data)
    assert run["slices_per_second"] > 0


def test_without_undersampling_the_reference_is_recovered_in_its_scale(data, tmp_path):
    reconstruct_folder(data, tmp_path / "out", ReconstructConfig(model="zero_filled"))
    reference = open_volume(data / "file1000001.h5").reference
    image = read_reconstruction(tmp_path / "out" / "file1000001.h5").image
    np.testing.assert_allclose(image, np.stack(list(reference)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("model", ["zero_filled", "cg_sense"])
def test_full_kspace_beside_a_mask_is_masked_so_that_nothing_leaks(tmp_path, model):
    """As if the file held nothing outside the mask; with a plan of its own the mask is left alone."""
    volume = make_volume(num_coils=3)
    lines = np.arange(60) % 4 == 0
    lines[26:34] = True
    for name, kspace in (("full", volume.kspace), ("masked", volume.kspace * lines)):
        (tmp_path / name).mkdir()
        with h5py.File(tmp_path / name / "knee_test1.h5", "w") as file:
            file["kspace"], file["mask"] = kspace, lines.astype(np.float32)
    results = []
    for name in ("full", "masked"):
        reconstruct_folder(tmp_path / name, tmp_path / f"{name}-out", ReconstructConfig(model=model))
        results.append(read_reconstruction(tmp_path / f"{name}-out" / "knee_test1.h5"))
    full, masked = results
    np.testing.assert_array_equal(full.image, masked.image)
    np.testing.assert_array_equal(full.zero_filled, masked.zero_filled)
    np.testing.assert_array_equal(full.mask.samples, lines)
    assert (full.mask.kind, full.mask.acceleration) == ("stored", 4.0)
    assert masked.reference is None
    np.testing.assert_allclose(full.reference, rss_of(volume), rtol=1e-4, atol=1e-6)
    summary = reconstruct_folder(tmp_path / "full", tmp_path / "planned", replace(CONFIG, model=model))
    planned = read_reconstruction(tmp_path / "planned" / "knee_test1.h5")
    assert (planned.mask.kind, summary.num_own_mask, summary.num_full) == ("equispaced", 0, 0)


def rss_of(volume):
    """(slice, y, x) root sum of squares of the images of all coils, by NumPy."""
    axes = (-2, -1)
    images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(volume.kspace, axes), norm="ortho"), axes)
    return np.sqrt((np.abs(images) ** 2).sum(1))


def test_finished_volumes_are_kept_and_the_rest_is_made(data, tmp_path):
    out = tmp_path / "out"
    reconstruct_folder(data, out, CONFIG)
    (out / "file1000001.h5").unlink()
    before = (out / "file1000002.h5").stat().st_mtime_ns
    summary = reconstruct_folder(data, out, CONFIG)
    assert (summary.num_volumes, summary.num_skipped) == (1, 1)
    assert (out / "file1000002.h5").stat().st_mtime_ns == before


def test_a_run_that_is_killed_leaves_whole_files_only_and_goes_on(data, tmp_path):
    out = tmp_path / "out"
    code = (
        "import os, signal, sys, pathlib\n"
        "from mrikit.data import MaskPlan\n"
        "from mrikit.reconstruct import ReconstructConfig, reconstruct_folder\n"
        "slices = []\n"
        "def on_slice(volume_id, _):\n"
        "    slices.append(volume_id)\n"
        "    if len(slices) == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "config = ReconstructConfig(model='zero_filled', mask=MaskPlan(kind='equispaced', center_fraction=0.2))\n"
        "reconstruct_folder(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), config, on_slice=on_slice)"
    )
    assert subprocess.run([sys.executable, "-c", code, data, out], check=False).returncode == -9
    left = sorted(path.name for path in out.iterdir() if not path.name.endswith(".lock"))
    assert left == ["file1000001.h5", "reconstruct.json"]
    assert reconstruct_folder(data, out, CONFIG).num_volumes == 1


def test_the_same_volume_is_reconstructed_to_the_same_bytes(data, tmp_path):
    for name in ("a", "b"):
        reconstruct_folder(data, tmp_path / name, CONFIG)
    first, second = (read_reconstruction(tmp_path / name / "file1000001.h5").image for name in ("a", "b"))
    assert (first == second).all()


def test_another_model_or_mask_is_not_mixed_into_a_folder(data, tmp_path):
    reconstruct_folder(data, tmp_path / "out", CONFIG)
    with pytest.raises(ConfigError, match=r"with mask.acceleration 4, asked for 8; choose another --out"):
        reconstruct_folder(data, tmp_path / "out", replace(CONFIG, mask=replace(PLAN, acceleration=8)))
    with pytest.raises(ConfigError, match="is for reconstructions with model zero_filled, asked for grappa"):
        reconstruct_folder(data, tmp_path / "out", replace(CONFIG, model="grappa"))


def test_a_folder_in_which_nothing_was_made_may_be_used_for_something_else(data, tmp_path):
    with pytest.raises(ConfigError, match=r"acceleration must be in \[1, 60\]"):
        reconstruct_folder(data, tmp_path / "out", replace(CONFIG, mask=replace(PLAN, acceleration=400)))
    assert reconstruct_folder(data, tmp_path / "out", CONFIG).num_volumes == 2


def test_a_volume_that_changed_is_reconstructed_again(data, tmp_path):
    out = tmp_path / "out"
    reconstruct_folder(data, out, CONFIG)
    before = read_reconstruction(out / "file1000001.h5").image
    write_fastmri(data / "file1000001.h5", make_volume(size=(64, 60), num_coils=3))
    summary = reconstruct_folder(data, out, CONFIG)
    assert (summary.num_volumes, summary.num_skipped) == (1, 1)
    assert (read_reconstruction(out / "file1000001.h5").image != before).any()


def test_a_half_file_of_someone_else_is_no_reconstruction(data, tmp_path):
    out = tmp_path / "out"
    reconstruct_folder(data, out, CONFIG)
    (out / "file1000001.h5").write_bytes((out / "file1000001.h5").read_bytes()[:1000])
    assert reconstruct_folder(data, out, CONFIG).num_volumes == 1


def test_a_folder_is_for_one_configuration_from_the_moment_that_a_run_begins(data, tmp_path):
    out = tmp_path / "out"

    def begin_another(_volume_id, _num_slices):
        assert not find_reconstructions(out)
        with pytest.raises(ConfigError, match="is for reconstructions with model zero_filled, asked for grappa"):
            reconstruct_folder(data, out, replace(CONFIG, model="grappa"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconstruct_folder(data, out, CONFIG, on_slice=begin_another)
    (out / ".file1000001.host.1.tmp.h5").write_bytes(b"of a killed process")
    assert reconstruct_folder(data, out, replace(CONFIG, model="grappa")).num_volumes == 2


def test_two_volumes_that_would_become_one_file_are_refused(tmp_path):
    write_fastmri(tmp_path / "data" / "a.h5", make_volume())
    write_fastmri(tmp_path / "data" / "a.hdf5", make_volume())
    with pytest.raises(DataError, match=r"a.h5 and .*a.hdf5 would both become .*a.h5; rename one"):
        reconstruct_folder(tmp_path / "data", tmp_path / "out", CONFIG)


def test_reconstructions_do_not_go_among_the_volumes(data):
    for path in (data, data / "file1000001.h5"):
        with pytest.raises(ConfigError, match="holds the volumes; choose another --out"):
            reconstruct_folder(path, data, CONFIG)


def test_an_undersampled_volume_keeps_its_mask_and_needs_no_reference(data, tmp_path):
    lines = np.zeros(60, bool)
    lines[::3] = True
    lines[20:40] = True
    write_fastmri(data / "file1000003.h5", make_volume(volume_id="file1000003", mask=lines))
    summary = reconstruct_folder(data, tmp_path / "out", CONFIG)
    assert summary.num_own_mask == 1
    result = read_reconstruction(tmp_path / "out" / "file1000003.h5")
    assert result.mask.kind == "stored"
    assert (result.mask.samples == lines).all()


@pytest.mark.parametrize("has_own", [True, False])
def test_a_full_volume_without_a_reference_gets_one_beside_its_reconstruction(tmp_path, has_own):
    volume = make_volume()
    path = tmp_path / "data" / "file1000001.h5"
    write_fastmri(path, volume if has_own else replace(volume, reference=None))
    reconstruct_folder(tmp_path / "data", tmp_path / "out", CONFIG)
    target = tmp_path / "out" / "file1000001.h5"
    stored = read_reconstruction(target).reference
    if has_own:
        assert stored is None
    else:
        np.testing.assert_allclose(stored, volume.reference, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(read_pair(path, target).reference, volume.reference, rtol=1e-4, atol=1e-6)


def test_a_damaged_volume_is_named_after_the_others_are_done(data, tmp_path):
    (data / "file1000001.h5").write_bytes((data / "file1000001.h5").read_bytes()[:5000])
    with pytest.raises(DataError, match=r"1 of 2 volumes could not be reconstructed: file1000001.h5: a ") as caught:
        reconstruct_folder(data, tmp_path / "out", CONFIG)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["file1000002.h5", "reconstruct.json"]


def test_what_was_done_is_told_before_a_volume_that_was_passed_over_is_an_error(data, tmp_path):
    (data / "file1000001.h5").write_bytes((data / "file1000001.h5").read_bytes()[:5000])
    for num_done, num_skipped in ((1, 0), (0, 1)):
        ends = []
        with pytest.raises(DataError, match="1 of 2 volumes could not be reconstructed"):
            reconstruct_folder(data, tmp_path / "out", CONFIG, on_end=ends.append)
        (end,) = ends
        assert (end.num_volumes, end.num_skipped, end.num_failed) == (num_done, num_skipped, 1)


def test_volumes_of_one_name_are_passed_over_by_their_place_below_the_data(tmp_path):
    for folder in ("acc4", "acc8"):
        write_fastmri(tmp_path / "data" / folder / "brain_test1.h5", make_volume())
    reasons = []
    with pytest.raises(DataError, match=r"^2 of 2 .*: acc4/brain_test1.h5, slice \d: .*; also acc8/brain_test1.h5$"):
        reconstruct_folder(
            tmp_path / "data",
            tmp_path / "out",
            ReconstructConfig(model="grappa", mask=replace(PLAN, center_fraction=0.0)),
            on_failure=reasons.append,
        )
    assert [reason.partition(",")[0] for reason in reasons] == ["acc4/brain_test1.h5", "acc8/brain_test1.h5"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_slice_with_nan_or_inf_is_named(data, tmp_path, value):
    with h5py.File(data / "file1000002.h5", "r+") as file:
        file["kspace"][1, 0, 3, 3] = value
    with pytest.raises(DataError, match=r"1 of 2 volumes .*file1000002.h5.*slice 1"):
        reconstruct_folder(data, tmp_path / "out", CONFIG)


def test_a_full_disk_is_one_clear_line_and_leaves_no_half_file(data, full_disk):
    (full_disk / "ballast").write_bytes(b"x" * 1_020_000)
    with pytest.raises(StorageError, match="the disk is full; nothing was written"):
        reconstruct_folder(data, full_disk / "out", CONFIG)
    assert not [path.name for path in full_disk.rglob("*.h5")]


def test_one_file_is_enough(data, tmp_path):
    assert reconstruct_folder(data / "file1000001.h5", tmp_path / "out", CONFIG).num_volumes == 1


def test_a_folder_of_reconstructions_is_not_taken_for_volumes(data, tmp_path):
    reconstruct_folder(data, tmp_path / "out", CONFIG)
    with pytest.raises(DataError, match="holds 2 reconstructions and no volume; name the folder of their volumes"):
        reconstruct_folder(tmp_path / "out", tmp_path / "again", CONFIG)


def test_an_empty_folder_is_one_clear_line(tmp_path):
    with pytest.raises(DataError, match="no volume in this folder or below"):
        reconstruct_folder(tmp_path, tmp_path / "out", CONFIG)


def test_volumes_of_one_name_in_two_folders_stay_apart(tmp_path):
    for split in ("train", "val"):
        write_fastmri(tmp_path / "data" / split / "file1000001.h5", make_volume())
    assert reconstruct_folder(tmp_path / "data", tmp_path / "out", CONFIG).num_volumes == 2
    assert (tmp_path / "out" / "train" / "file1000001.h5").exists()


def test_the_tree_of_the_challenge_is_kept_without_its_kspace_level(tmp_path):
    volume = tmp_path / "leaderboard" / "acc4" / "kspace" / "brain_test1.h5"
    path = reconstruction_path(tmp_path / "recon", tmp_path / "leaderboard", volume)
    assert path == tmp_path / "recon" / "acc4" / "brain_test1.h5"


def test_a_file_that_is_no_reconstruction_is_named(data):
    with pytest.raises(DataError, match=r"file1000001.h5: not a reconstruction of mrikit"):
        read_reconstruction(data / "file1000001.h5")


def test_volumes_of_one_file_are_reconstructed_and_scored_apart(tmp_path):
    folder, kspace = tmp_path / "data", scan(num_slices=2)
    xml = header((32, 24, 1), center=12)
    write_mrd(folder / "leg.h5", xml, [*lines(kspace, contrast=0), *lines(kspace / 4, contrast=1)])
    plan = MaskPlan(acceleration=2, center_fraction=0.2)
    reconstruct_folder(folder, tmp_path / "out", ReconstructConfig(model="zero_filled", mask=plan))
    made = {path.stem: read_reconstruction(path).reference for path in (tmp_path / "out").glob("*.h5")}
    assert sorted(made) == ["leg_contrast0", "leg_contrast1"]
    np.testing.assert_allclose(made["leg_contrast0"], 4 * made["leg_contrast1"], rtol=1e-5)
    scores = evaluate(folder, tmp_path / "out")
    assert sorted(row.volume_id for row in scores.rows) == ["leg_contrast0", "leg_contrast1"]
    again = reconstruct_folder(folder, tmp_path / "out", ReconstructConfig(model="zero_filled", mask=plan))
    assert (again.num_volumes, again.num_skipped) == (0, 2)
