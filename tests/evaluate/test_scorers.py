import dataclasses

import h5py
import numpy as np
import pytest
import torch
from phantoms import make_volume
from scipy import ndimage
from scored_study import line_mask, write_recon, write_volumes
from skimage.metrics import structural_similarity
from snu_study import write_leaderboard, write_leaderboard_recon

from mrikit.evaluate import SCORERS, evaluate, leaderboard, read_scores, sorted_slices, summarise, write_scores
from mrikit.metrics import BODY_THRESHOLDS
from mrikit.volumes import write_fastmri

SQUARE = np.ones((3, 3))


@pytest.fixture
def study(tmp_path):
    data, recon = tmp_path / "data", tmp_path / "recon"
    references = write_leaderboard(data)
    write_leaderboard_recon(recon, data, references)
    return data, recon, references


def slice_by_slice(data, recon, name, is_inside=False):
    """The leaderboard's SSIM of each slice, with SciPy and scikit-image; that of 2026 is inside the body."""
    folder, volume_id = name.split("/")
    with h5py.File(data / folder / "image" / f"{volume_id}.h5") as target, h5py.File(recon / f"{name}.h5") as result:
        references, images = target["image_label"][()].astype(np.float64), result["reconstruction"][()]
        largest = target.attrs["max"]
    scores = []
    for image, reference in zip(images.astype(np.float64), references, strict=True):
        mask = reference > BODY_THRESHOLDS[volume_id.split("_")[0]]
        mask = ndimage.binary_erosion(mask, SQUARE, border_value=1)
        mask = ndimage.binary_dilation(mask, SQUARE, iterations=15)
        mask = ndimage.binary_erosion(mask, SQUARE, iterations=14, border_value=1)
        # scikit-image's mean leaves the rim out that has no whole window.
        mean, ssim_map = structural_similarity(reference * mask, image * mask, data_range=largest, full=True)
        inside = np.zeros_like(mask)
        inside[3:-3, 3:-3] = mask[3:-3, 3:-3]
        scores.append(ssim_map[inside].sum() / max(inside.sum(), 1) if is_inside else mean)
    return scores


def test_the_snu_scorer_is_the_leaderboards_slice_by_slice(study):
    data, recon, references = study
    rows = {row.reconstruction: row for row in evaluate(data, recon, scorer="snu-2025").rows}
    expected = {name: slice_by_slice(data, recon, name) for name in references}
    for name, scores in expected.items():
        assert rows[f"{name}.h5"].slice_ssim == pytest.approx(scores, abs=1e-6)
    (found,) = leaderboard({"recon": list(rows.values())})
    means = {
        acceleration: np.mean([ssim for name, scores in expected.items() if name.startswith(folder) for ssim in scores])
        for acceleration, folder in ((4.0, "acc4"), (8.0, "acc8"))
    }
    assert dict(found.accelerations) == pytest.approx(means, abs=1e-6)
    assert found.mean == pytest.approx((means[4.0] + means[8.0]) / 2, abs=1e-6)
    assert means[4.0] > means[8.0] + 0.005


def test_the_scorer_of_2026_averages_inside_the_body_of_knees(study):
    data, recon, references = study
    scores = evaluate(data, recon, scorer="snu-2026")
    rows = {row.reconstruction: row for row in scores.rows}
    knees = [name for name in references if "knee" in name]
    assert rows.keys() == {f"{name}.h5" for name in knees}
    for name in knees:
        expected = slice_by_slice(data, recon, name, is_inside=True)
        assert rows[f"{name}.h5"].slice_ssim == pytest.approx(expected, abs=1e-6)
        assert max(expected) < min(slice_by_slice(data, recon, name)) - 1e-3
    (found,) = leaderboard({"recon": scores.rows})
    parts = [
        np.mean([ssim for name in knees if name.startswith(part) for ssim in slice_by_slice(data, recon, name, True)])
        for part in ("acc4", "acc8")
    ]
    assert found.scorer == "snu-2026"
    assert found.mean == pytest.approx(np.mean(parts), abs=1e-6)
    assert {volume.reason for volume in scores.unscored} == {
        "the snu-2026 scorer is for knees, the anatomy is brain; use --scorer snu-2025 or fastmri"
    }


def test_a_slice_without_a_body_does_not_count_in_2026(study):
    data, recon, _ = study
    name = "acc4/knee_test1"
    with h5py.File(data / "acc4" / "image" / "knee_test1.h5", "a") as file:
        file["image_label"][1] = 1e-5  # below the threshold
    scores = evaluate(data, recon, scorer="snu-2026")
    (row,) = [row for row in scores.rows if row.reconstruction == f"{name}.h5"]
    first, second, third = row.slice_ssim
    expected = slice_by_slice(data, recon, name, is_inside=True)
    assert second is None
    assert (first, third) == pytest.approx((expected[0], expected[2]), abs=1e-6)
    assert row.ssim == pytest.approx((first + third) / 2)
    assert "1 slices have no body in their reference and do not count" in scores.notes
    (found,) = leaderboard({"recon": scores.rows})
    others = [row for row in scores.rows if row.acceleration == 4 and row.reconstruction != f"{name}.h5"]
    assert found.accelerations[0][1] == pytest.approx(np.mean([first, third, *others[0].slice_ssim]))
    assert [entry.ssim for entry in sorted_slices([row])] == sorted([first, third])
    json_path, _ = write_scores(recon, scores)
    assert read_scores(json_path) == scores


def test_the_older_name_is_the_scorer_of_2025(study):
    data, recon, _ = study
    assert evaluate(data, recon, scorer="snu") == evaluate(data, recon, scorer="snu-2025")


@pytest.mark.parametrize("largest", [0.0, -1.0, np.nan, np.inf])
def test_a_maximum_that_is_no_data_range_is_named(study, largest):
    data, recon, _ = study
    with h5py.File(data / "acc4" / "image" / "knee_test2.h5", "a") as file:
        file.attrs["max"] = largest
    for scorer in ("snu-2025", "snu-2026"):
        reasons = {volume.volume_id: volume.reason for volume in evaluate(data, recon, scorer=scorer).unscored}
        assert f"'max' of the reference's file, a positive number; found {largest:g}" in reasons["knee_test2"]


def test_its_means_count_every_slice_once(study):
    data, recon, _ = study
    rows = evaluate(data, recon, scorer="snu-2025").rows
    first, second = (entry.ssim.mean for entry in summarise(rows))
    (found,) = leaderboard({"recon": rows})
    assert [ssim for _, ssim in found.accelerations] == pytest.approx([first, second], abs=1e-12)
    by_volume = np.mean([row.ssim for row in rows if row.acceleration == 4])
    assert abs(by_volume - first) > 1e-6


def test_the_folder_names_the_acceleration_of_a_stored_mask(study):
    data, recon, _ = study
    rows = evaluate(data, recon, scorer="snu-2025").rows
    assert {(row.reconstruction.split("/")[0], row.acceleration) for row in rows} == {("acc4", 4.0), ("acc8", 8.0)}


def test_a_mask_that_was_drawn_names_its_acceleration_itself(study):
    data, recon, references = study
    write_leaderboard_recon(recon, data, references, mask=line_mask(6.0))
    assert {row.acceleration for row in evaluate(data, recon, scorer="snu-2025").rows} == {6.0}


def test_every_row_and_file_names_its_scorer(study):
    data, recon, _ = study
    for name in SCORERS:
        scores = evaluate(data, recon, scorer=name)
        json_path, csv_path = write_scores(recon, scores)
        assert read_scores(json_path) == scores
        # The bodies of the study leave hardly a window of low signal.
        assert scores.rows or name == "banding"
        assert {row.scorer for row in scores.rows} <= {name}
        assert csv_path.read_text().count(f",{name},") == len(scores.rows)


def test_only_a_scorer_that_counts_slices_has_a_leaderboard(study):
    data, recon, _ = study
    assert leaderboard({"recon": evaluate(data, recon).rows}) == []


def test_what_lies_outside_the_body_does_not_change_the_score(study):
    data, recon, _ = study
    before = evaluate(data, recon, scorer="snu-2025").rows[0]
    with h5py.File(recon / before.reconstruction, "a") as file:
        file["reconstruction"][:, :4, :4] = 1.0
    assert evaluate(data, recon, scorer="snu-2025").rows[0].ssim == before.ssim


def test_nan_outside_the_body_is_named_all_the_same(study):
    data, recon, _ = study
    with h5py.File(recon / "acc4" / "brain_test1.h5", "a") as file:
        file["reconstruction"][1, 0, 0] = np.nan
    (volume,) = evaluate(data, recon, scorer="snu-2025").unscored
    assert "1 slices of the reconstruction hold NaN or Inf, the first is slice 1" in volume.reason


def test_data_of_another_scale_are_not_scored_as_perfect(study):
    data, recon, references = study
    for name in references:
        folder, volume_id = name.split("/")
        with h5py.File(data / folder / "image" / f"{volume_id}.h5", "a") as file:
            file["image_label"][...] *= np.float32(1e-4)
    scores = evaluate(data, recon, scorer="snu-2025")
    assert scores.rows == ()
    assert "is body by the snu-2025 scorer's threshold of 5e-05 for brain: the data have another scale" in (
        scores.unscored[0].reason
    )


def test_a_file_without_its_maximum_is_not_scored(study):
    data, recon, _ = study
    with h5py.File(data / "acc4" / "image" / "knee_test2.h5", "a") as file:
        del file.attrs["max"]
    (volume,) = evaluate(data, recon, scorer="snu-2025").unscored
    assert volume.volume_id == "knee_test2"
    assert "needs the attribute 'max' of the reference's file" in volume.reason


def test_an_anatomy_without_a_body_mask_is_not_scored(tmp_path, monkeypatch):
    data, recon = tmp_path / "data", tmp_path / "recon"
    write_recon(recon, data, write_volumes(data, 1))
    monkeypatch.delitem(BODY_THRESHOLDS, "knee")
    (volume,) = evaluate(data, recon, scorer="snu-2025").unscored
    assert "has body masks for brain, the anatomy is knee; use --scorer fastmri" in volume.reason


def write_named(folder, volume_id, anatomy):
    """One fastMRI file of noise and body, and its reconstruction."""
    volume = make_volume(2, num_coils=2, size=(64, 60), window=(56, 52), volume_id=volume_id)
    info = dataclasses.replace(volume.info, anatomy=anatomy, acquisition=None)
    write_fastmri(folder / "data" / f"{volume_id}.h5", dataclasses.replace(volume, info=info))
    write_recon(folder / "recon", folder / "data", {volume_id: volume.reference})
    return folder / "data", folder / "recon"


@pytest.mark.parametrize(
    ("volume_id", "anatomy", "meant"),
    [("v0", "HEAD", "brain"), ("brain_7", None, "brain"), ("v0", "right knee", "knee"), ("12_knee", None, "knee")],
)
def test_the_body_mask_is_that_of_the_anatomy_by_header_or_name(tmp_path, monkeypatch, volume_id, anatomy, meant):
    monkeypatch.setitem(BODY_THRESHOLDS, "knee", 1e3)  # nothing is
    data, recon = write_named(tmp_path, volume_id, anatomy)
    scores = evaluate(data, recon, scorer="snu-2025")
    assert [row.anatomy for row in scores.rows] == ["brain"] * (meant == "brain")
    assert ["threshold of 1000 for knee" in volume.reason for volume in scores.unscored] == [True] * (meant == "knee")
    assert [row.anatomy for row in evaluate(data, recon).rows] == [meant]


def test_a_name_that_contradicts_the_header_costs_the_score_only_where_the_anatomy_counts(tmp_path):
    data, recon = write_named(tmp_path, "knee_1", "brain")
    (volume,) = evaluate(data, recon, scorer="snu-2025").unscored
    assert volume.reason.startswith(f"{data / 'knee_1.h5'}: the name says knee and the header brain; rename the file")
    assert "\n" not in volume.reason
    (row,) = evaluate(data, recon).rows
    assert row.anatomy is None


def test_the_score_does_not_depend_on_the_number_of_threads(study):
    data, recon, _ = study
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = evaluate(data, recon, scorer="snu-2025")
        torch.set_num_threads(2)
        assert evaluate(data, recon, scorer="snu-2025") == alone
    finally:
        torch.set_num_threads(before)
