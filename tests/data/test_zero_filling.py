"""What scanners fill with zeros is no part of a scan: files of every form train, reconstruct and score without it."""

from dataclasses import replace

import numpy as np
import pytest
from phantoms import make_volume
from training.small_run import run

from mrikit.check.slices import check_slices
from mrikit.data import MaskPlan, SliceKey, choose_mask, draw_masks, load_training_volumes, prepare, read_slices
from mrikit.errors import DataError
from mrikit.evaluate import evaluate
from mrikit.masks import AcquiredRegion
from mrikit.reconstruct import ReconstructConfig, reconstruct_folder
from mrikit.training.objectives import Draw
from mrikit.volumes import open_volume, write_fastmri, write_snu
from mrikit.volumes.reconstruction import find_reconstructions, read_reconstruction

SIZE, WINDOW, SIDES = (32, 28), (24, 20), (4, 24)
PLAN = MaskPlan(kind="equispaced", acceleration=3, center_fraction=0.16)
LINES = np.arange(28) % 3 == 0
Y, X = np.mgrid[-1:1:32j, -1:1:28j]
ELLIPSE = Y**2 + X**2 <= 1


def scan(number=0, where=None, **facts):
    """A small scan with noise of its own, zero but for `where`; its reference is what is left."""
    volume = make_volume(2, num_coils=3, size=SIZE, window=WINDOW, volume_id=f"knee_acc4_{number}")
    noise = np.random.default_rng(number).standard_normal((2, *volume.kspace.shape)).astype(np.float32)
    kspace = volume.kspace + 0.01 * (noise[0] + 1j * noise[1])
    kspace = np.where(True if where is None else where, kspace, 0).astype(np.complex64)
    image = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, (-2, -1)), norm="ortho"), (-2, -1))
    reference = np.sqrt((np.abs(image) ** 2).sum(1))[:, 4:28, 4:24].astype(np.float32)
    info = replace(volume.info, patient_id=f"p{number}", reference_max=float(reference.max()), **facts)
    return replace(volume, kspace=kspace, reference=reference, info=info)


def columns(first, last):
    inside = np.zeros(28, bool)
    inside[first:last] = True
    return inside


def write_knees(folder, num_filled):
    for number in range(5):
        volume = scan(number, columns(*SIDES) if number < num_filled else None)
        planned = replace(volume, planned_mask=LINES)
        write_snu(folder, f"knee_acc4_{number}", planned, image_grappa=volume.reference)
    return folder


@pytest.mark.parametrize("num_filled", [2, 5])
def test_challenge_knees_with_zero_filled_sides_train_reconstruct_and_score(tmp_path, num_filled):
    data, lines = write_knees(tmp_path / "data", num_filled), []
    summary = run(data, tmp_path / "run", lines=lines, training__num_epochs=1, data__num_validation=1)
    assert summary.num_steps > 0
    assert "4 volumes to train on and 1 to validate on" in lines[0]
    config = ReconstructConfig(model="zero_filled", mask=PLAN)
    assert reconstruct_folder(data, tmp_path / "recon", config).num_volumes == 5
    for number, path in enumerate(find_reconstructions(tmp_path / "recon")):
        mask, (left, right) = read_reconstruction(path).mask, SIDES if number < num_filled else (0, 28)
        assert not mask.samples[:left].any()
        assert not mask.samples[right:].any()
        assert mask.true_acceleration == (right - left) / mask.samples.sum()
    scores = evaluate(data, tmp_path / "recon")
    assert (len(scores.rows), scores.unscored) == (5, ())
    for path in sorted((data / "kspace").iterdir()):
        assert check_slices(path.name, open_volume(path)) == []


def test_masks_are_the_same_whether_a_header_or_the_zeros_tell_the_columns(tmp_path):
    volume = scan(1, columns(*SIDES))
    write_snu(tmp_path, "knee_acc4_1", replace(volume, planned_mask=LINES), image_grappa=volume.reference)
    write_fastmri(tmp_path / "knee_acc4_1.h5", replace(volume, info=replace(volume.info, padding=SIDES)))
    found = [open_volume(tmp_path / name) for name in ("kspace/knee_acc4_1.h5", "knee_acc4_1.h5")]
    assert [one.info.padding for one in found] == [(0, 28), SIDES]
    assert {one.acquired for one in found} == {AcquiredRegion.whole(SIZE, SIDES)}
    masks = [choose_mask(one, PLAN) for one in found]
    scans = [prepare(read_slices([one], [SliceKey(0, 1)]), [one]) for one in found]
    drawn = [draw_masks([PLAN], one, Draw(0, 3).generators(one, "mask"))[0] for one in scans]
    for one, other in (masks, drawn):
        np.testing.assert_array_equal(one.samples, other.samples)
        assert one.true_acceleration == other.true_acceleration == 20 / one.samples.sum()


def test_a_leaderboard_file_counts_no_zero_filled_side(tmp_path):
    volume = scan(1, columns(*SIDES) & LINES)
    write_snu(tmp_path, "knee_test1", replace(volume, mask=LINES), image_grappa=volume.reference)
    opened = open_volume(tmp_path / "kspace" / "knee_test1.h5")
    assert not opened.is_fully_sampled
    assert opened.acquired.columns == SIDES
    mask = choose_mask(opened, PLAN)
    np.testing.assert_array_equal(mask.samples, LINES & columns(*SIDES))
    assert (mask.kind, mask.true_acceleration) == ("stored", 20 / 6)


@pytest.mark.parametrize(
    "where",
    [ELLIPSE, np.arange(32)[:, None] >= 9, (np.arange(32)[:, None] >= 9) & columns(*SIDES), (Y + X < 1.2) & (X < 2)],
    ids=["ellipse", "asymmetric echo", "echo and sides", "corner"],
)
def test_a_scan_with_missing_rows_or_corners_is_full_and_its_masks_lie_inside(tmp_path, where):
    where = np.broadcast_to(where, SIZE)
    write_fastmri(tmp_path / "a.h5", scan(1, where))
    (volume,), undersampled = load_training_volumes(tmp_path)
    assert undersampled == []
    np.testing.assert_array_equal(volume.acquired.samples(), where)
    mask = choose_mask(volume, MaskPlan(kind="variable_density_2d", acceleration=3))
    assert not mask.samples[~where].any()
    assert mask.true_acceleration == where.sum() / mask.samples.sum()
    assert check_slices("a.h5", volume) == []


def test_a_pattern_of_cropped_rows_lies_inside_the_region_too(tmp_path):
    volume = scan(1, np.arange(32)[:, None] >= 8)
    mask = choose_mask(volume, MaskPlan(kind="poisson_disc", acceleration=3), (24, 28))
    assert not mask.samples[:6].any()
    assert mask.samples[6:9].any()


@pytest.mark.parametrize("pattern", [LINES | columns(11, 17), np.random.default_rng(2).random(SIZE) < 0.4])
def test_undersampled_kspace_without_a_mask_keeps_its_own(tmp_path, pattern):
    volume = scan(1, pattern)
    write_fastmri(tmp_path / "data" / "a.h5", replace(volume, reference=None))
    config = ReconstructConfig(model="zero_filled", mask=PLAN)
    assert reconstruct_folder(tmp_path / "data", tmp_path / "recon", config).num_own_mask == 1
    mask = read_reconstruction(tmp_path / "recon" / "a.h5").mask
    np.testing.assert_array_equal(mask.samples, pattern)
    assert mask.kind == "stored"


def test_samples_that_the_middle_slice_lacks_are_kept(tmp_path):
    volume = scan(1, LINES)
    volume.kspace[0, ..., 10:12] = 1
    np.testing.assert_array_equal(choose_mask(volume, None).samples, LINES | columns(10, 12))


def test_a_volume_of_zeros_is_refused_by_name_and_never_scored(tmp_path):
    write_knees(tmp_path / "data", 0)
    empty = scan(7, False)
    write_snu(
        tmp_path / "data",
        "knee_acc4_7",
        replace(empty, reference=scan(7).reference, planned_mask=LINES),
        image_grappa=empty.reference,
    )
    with pytest.raises(DataError, match=r"^\S+/knee_acc4_7\.h5: all of k-space is zero; was the file written"):
        run(tmp_path / "data", tmp_path / "run", training__num_epochs=1)
    config = ReconstructConfig(model="zero_filled", mask=PLAN)
    with pytest.raises(DataError, match=r"1 of 6 volumes could not .*: kspace/knee_acc4_7\.h5: all of k-space is zero"):
        reconstruct_folder(tmp_path / "data", tmp_path / "recon", config)
    scores = evaluate(tmp_path / "data", tmp_path / "recon")
    assert len(scores.rows) == 5
    (unscored,) = scores.unscored
    assert unscored.volume_id == "knee_acc4_7"
