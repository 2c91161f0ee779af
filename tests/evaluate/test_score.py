import dataclasses
import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
import torch
from phantoms import make_volume
from scored_study import WINDOW, line_mask, write_recon, write_unreferenced, write_volumes

from mrikit.errors import ConfigError, DataError
from mrikit.evaluate import data_of, evaluate, read_pair
from mrikit.metrics import measure_volume
from mrikit.reconstruct import ReconstructConfig, reconstruct_folder
from mrikit.volumes import write_fastmri


@pytest.fixture
def study(tmp_path):
    data, recon = tmp_path / "data", tmp_path / "recon"
    references = write_volumes(data)
    write_recon(recon, data, references)
    return data, recon, references


def stored_image(recon, volume_id="v0"):
    with h5py.File(recon / f"{volume_id}.h5") as file:
        return file["reconstruction"][()]


def change_image(recon, image, volume_id="v0"):
    with h5py.File(recon / f"{volume_id}.h5", "a") as file:
        del file["reconstruction"]
        file["reconstruction"] = image


def test_every_volume_has_the_scores_of_its_square_window(study):
    data, recon, references = study
    rows = evaluate(data, recon).rows
    assert [row.volume_id for row in rows] == ["v0", "v1", "v2"]
    top = (WINDOW[0] - WINDOW[1]) // 2
    for row in rows:
        rows_scored = slice(top, top + WINDOW[1])
        image = torch.from_numpy(stored_image(recon, row.volume_id)[:, rows_scored])
        expected = measure_volume(image, torch.from_numpy(references[row.volume_id][:, rows_scored].copy()))
        assert (row.ssim, row.psnr) == pytest.approx((expected.ssim, expected.psnr), rel=1e-6)
        assert (row.nmse, row.mse) == pytest.approx((expected.nmse, expected.mse), rel=1e-6)
        assert row.slice_ssim == pytest.approx(expected.slice_ssim, rel=1e-6)


def test_a_row_carries_what_is_known_of_the_scan_and_its_mask(study):
    data, recon, _ = study
    row = evaluate(data, recon).rows[1]
    assert (row.model, row.acquisition, row.num_slices) == ("cg_sense", "CORPDFS_FBK", 2)
    assert (row.mask, row.acceleration, row.true_acceleration) == ("equispaced_fraction", 4.0, 3.5)
    assert row.path == str((data / "v1.h5").resolve())


def test_the_scores_do_not_depend_on_the_scale_of_the_data(study):
    data, recon, references = study
    images = {name: np.ones_like(reference) * 0.5 * reference.max() for name, reference in references.items()}
    write_recon(recon, data, images, noise=0)
    first, second, third = evaluate(data, recon).rows
    assert first.ssim == pytest.approx(second.ssim, rel=1e-5)
    assert first.psnr == pytest.approx(third.psnr, rel=1e-5)


def test_a_perfect_reconstruction_scores_one(study):
    data, recon, references = study
    write_recon(recon, data, references, noise=0)
    row = evaluate(data, recon).rows[0]
    assert (row.ssim, row.psnr, row.nmse) == (1, math.inf, 0)


def test_a_larger_reconstruction_is_cropped_around_its_centre(study):
    data, recon, references = study
    change_image(recon, np.pad(references["v0"], ((0, 0), (3, 3), (2, 2)), constant_values=9))
    assert evaluate(data, recon).rows[0].nmse == 0


def test_a_reference_wider_than_high_keeps_its_height(tmp_path):
    from phantoms import make_volume

    from mrikit.volumes import write_fastmri

    volume = make_volume(1, num_coils=2, size=(20, 32), window=(16, 30))
    write_fastmri(tmp_path / "data" / "wide.h5", volume)
    write_recon(tmp_path / "recon", tmp_path / "data", {"wide": volume.reference})
    pair = read_pair(tmp_path / "data" / "wide.h5", tmp_path / "recon" / "wide.h5")
    assert pair.image.shape == pair.zero_filled.shape == pair.reference.shape == (1, 16, 30)


def test_the_estimated_acceleration_of_a_stored_mask_is_rounded(study):
    data, recon, references = study
    write_recon(recon, data, references, mask=line_mask(3.94, kind="stored"))
    row = evaluate(data, recon).rows[0]
    assert (row.acceleration, row.true_acceleration) == (4.0, 3.44)


def test_an_asked_for_acceleration_is_not_rounded(study):
    data, recon, references = study
    write_recon(recon, data, references, mask=line_mask(2.5))
    assert evaluate(data, recon).rows[0].acceleration == 2.5


def test_volumes_without_a_score_are_named_with_the_reason(study):
    data, recon, references = study
    image = write_unreferenced(data)
    write_recon(recon, data, {**references, "test0": image, "stranger": image})
    (recon / "v1.h5").unlink()
    scores = evaluate(data, recon)
    assert [row.volume_id for row in scores.rows] == ["v0", "v2"]
    assert {volume.volume_id: volume.reason for volume in scores.unscored} == {
        "test0": "the file has no reference image",
        "v1": "not reconstructed by cg_sense",
        "stranger": f"no volume of this name in {data}",
    }
    files = {volume.volume_id: volume.reconstruction for volume in scores.unscored}
    assert files == {"test0": "test0.h5", "v1": None, "stranger": "stranger.h5"}


def test_volumes_in_folders_are_found_where_reconstruct_puts_them(tmp_path):
    data, recon = tmp_path / "data", tmp_path / "recon"
    references = write_volumes(data / "knee", 1)
    write_recon(recon / "knee", data, references)
    (recon / "knee" / "reconstruct.json").rename(recon / "reconstruct.json")
    (row,) = evaluate(data, recon).rows
    assert (row.path, row.reconstruction) == (str(data.resolve() / "knee" / "v0.h5"), "knee/v0.h5")


def test_a_reference_of_zeros_is_not_scored(study):
    data, recon, _ = study
    with h5py.File(data / "v0.h5", "a") as file:
        file["reconstruction_rss"][...] = 0
    scores = evaluate(data, recon)
    assert scores.unscored[0].reason == "the reference is zero everywhere"
    assert len(scores.rows) == 2


def test_progress_counts_volumes(study):
    data, recon, _ = study
    seen = []
    evaluate(data, recon, on_volume=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_stop_on_the_way_ends_its_threads(study):
    data, recon, _ = study

    def stop(_done, _total):
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt) as caught:
        evaluate(data, recon, on_volume=stop)
    assert caught.tb  # which holds whatever was still at work
    assert threading.active_count() == before


def test_the_run_and_its_data_are_kept(study):
    data, recon, _ = study
    scores = evaluate(data, recon)
    assert scores.data == str(data.resolve())
    assert scores.run["model"] == "cg_sense"
    assert data_of(recon) == data.resolve()


def test_nan_is_named_with_its_slice_and_the_other_volumes_are_scored(study):
    data, recon, references = study
    image = references["v0"].copy()
    image[1, 12, 10] = np.nan
    change_image(recon, image)
    with h5py.File(data / "v2.h5", "a") as file:
        del file["reconstruction_rss"]
    with h5py.File(recon / "v2.h5", "a") as file:
        file["reference"] = references["v2"].copy()
        file["reference"][0, 12, 10] = np.inf
    scores = evaluate(data, recon)
    assert [row.volume_id for row in scores.rows] == ["v1"]
    first, second = (volume.reason for volume in scores.unscored)
    found = "1 slices of the reconstruction hold NaN or Inf, the first is slice 1"
    assert first == f"{recon / 'v0.h5'}: {found}; delete the file and reconstruct it again"
    found = "1 slices of the reference hold NaN or Inf, the first is slice 0"
    assert second == f"{recon / 'v2.h5'}: {found}; delete the file and reconstruct it again"


def test_values_whose_squares_overflow_are_named(study):
    data, recon, references = study
    change_image(recon, references["v0"] + np.float32(1e30))
    scores = evaluate(data, recon)
    assert [row.volume_id for row in scores.rows] == ["v1", "v2"]
    assert "up to 1e+30 in the reconstruction" in scores.unscored[0].reason
    assert scores.unscored[0].reason.endswith("leave the range of float32; scale the data")


def test_a_reconstruction_of_other_slices_is_named_and_the_other_volumes_are_scored(study):
    data, recon, _ = study
    change_image(recon, np.ones((1, *WINDOW), np.float32))
    scores = evaluate(data, recon)
    assert [row.volume_id for row in scores.rows] == ["v1", "v2"]
    assert scores.unscored[0].reason == (
        f"{recon / 'v0.h5'}: the reconstruction has 1 slices, the reference 2; was it made from other data?"
    )


@pytest.mark.parametrize(("size", "window"), [((24, 16), (20, 16)), ((18, 20), (18, 20)), ((14, 12), (14, 12))])
def test_both_are_cropped_to_the_smaller_where_the_reference_is_wider_or_higher(study, size, window):
    data, recon, references = study
    top, left = ((full - part) // 2 for full, part in zip(WINDOW, size, strict=True))
    image = references["v0"][:, top : top + size[0], left : left + size[1]]
    change_image(recon, image)
    with h5py.File(recon / "v0.h5", "a") as file:
        del file["zero_filled"]
        file["zero_filled"] = image
    pair = read_pair(data / "v0.h5", recon / "v0.h5")
    assert pair.image.shape == pair.zero_filled.shape == pair.reference.shape == (2, *window)
    np.testing.assert_array_equal(pair.image, pair.reference)
    assert evaluate(data, recon).rows[0].nmse == 0


def test_a_reconstruction_smaller_than_the_window_of_ssim_is_not_scored(study):
    data, recon, _ = study
    change_image(recon, np.ones((2, 6, 20), np.float32))
    scores = evaluate(data, recon)
    assert len(scores.rows) == 2
    assert "sides at least 7" in scores.unscored[0].reason


def test_damaged_files_are_named_and_the_other_volumes_are_scored(study):
    data, recon, _ = study
    (recon / "v2.h5").write_bytes((recon / "v2.h5").read_bytes()[:700])
    (data / "v0.h5").write_bytes(b"nothing")
    scores = evaluate(data, recon)
    assert [row.volume_id for row in scores.rows] == ["v1"]
    assert str(data / "v0.h5") in scores.unscored[0].reason
    assert f"{recon / 'v2.h5'}: not a reconstruction of mrikit" in scores.unscored[1].reason


def test_a_file_that_is_being_written_is_no_reconstruction(study):
    data, recon, _ = study
    (recon / ".v1.host.7.tmp.h5").write_bytes(b"half")
    assert evaluate(data, recon).unscored == ()


def test_a_row_names_the_patient(study):
    data, recon, _ = study
    assert [row.patient_id for row in evaluate(data, recon).rows] == ["p0", "p1", "p2"]


def test_names_tell_the_patient_where_files_do_not(tmp_path):
    data, recon = tmp_path / "data", tmp_path / "recon"
    for name in ("17_T101", "17_T102", "18_T101"):
        volume = make_volume(2, 2, (32, 28), (24, 20), volume_id=name)
        info = dataclasses.replace(volume.info, patient_id=None)
        write_fastmri(data / f"{name}.h5", dataclasses.replace(volume, info=info))
    reconstruct_folder(data, recon, ReconstructConfig(model="zero_filled"))
    scores = evaluate(data, recon)
    assert [row.patient_id for row in scores.rows] == ["17", "17", "18"]
    assert scores.notes[0].startswith("patients: 2 people by the names of 3 files, such as 17_T101, 17_T102; ")


def test_a_table_tells_the_patient(study, tmp_path):
    data, recon, _ = study
    (tmp_path / "patients.csv").write_text("v0,a\nv1,a\nv2,b\n")
    assert [row.patient_id for row in evaluate(data, recon, patients=tmp_path / "patients.csv").rows] == ["a", "a", "b"]
    (tmp_path / "patients.csv").write_text("v0,a\nv1,a\nv2,b\nw,b\n")
    with pytest.raises(DataError, match="--patients names w, which the data do not hold"):
        evaluate(data, recon, patients=tmp_path / "patients.csv")


def test_an_unknown_scorer_is_an_error_that_names_the_known_ones(study):
    data, recon, _ = study
    with pytest.raises(ConfigError, match="unknown scorer 'psnr'; known: fastmri, snu-2025, snu-2026, banding"):
        evaluate(data, recon, scorer="psnr")


def test_a_missing_or_foreign_or_empty_folder_is_an_error_that_says_what_to_do(study, tmp_path):
    data, recon, _ = study
    with pytest.raises(DataError, match="no such folder; make it with `mrikit reconstruct"):
        evaluate(data, tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no reconstruct\.json in it"):
        evaluate(data, data)
    for file in recon.glob("*.h5"):
        file.unlink()
    with pytest.raises(DataError, match="no reconstruction in it; run `mrikit reconstruct"):
        evaluate(data, recon)


def test_data_that_moved_is_an_error_that_asks_for_its_place(study):
    data, recon, _ = study
    data.rename(data.with_name("moved"))
    with pytest.raises(DataError, match="not there any more; name its new place with --data"):
        data_of(recon)
    (recon / "reconstruct.json").write_text(json.dumps({"model": "cg_sense"}))
    with pytest.raises(DataError, match="made from None"):
        data_of(recon)


def test_rows_cannot_be_changed(study):
    data, recon, _ = study
    with pytest.raises(dataclasses.FrozenInstanceError):
        evaluate(data, recon).rows[0].ssim = 1


def test_scoring_in_threads_leaves_the_number_of_torch_threads_as_it_was(study):
    data, recon, _ = study
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        evaluate(data, recon)
        with ThreadPoolExecutor(1) as pool:
            assert (torch.get_num_threads(), pool.submit(torch.get_num_threads).result()) == (2, 2)
    finally:
        torch.set_num_threads(before)


def test_scores_are_the_same_with_any_number_of_threads(study):
    data, recon, _ = study
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = evaluate(data, recon)
        torch.set_num_threads(3)
        assert evaluate(data, recon) == alone
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("dataset", "what"), [("reconstruction", "reconstruction"), ("zero_filled", "measured k-space")]
)
def test_what_is_zero_everywhere_is_named_and_not_scored(study, dataset, what):
    data, recon, _ = study
    with h5py.File(recon / "v1.h5", "a") as file:
        file[dataset][...] = 0
    scores = evaluate(data, recon)
    assert [(one.volume_id, one.reason) for one in scores.unscored] == [("v1", f"the {what} is zero everywhere")]
    assert [row.volume_id for row in scores.rows] == ["v0", "v2"]


def test_zero_slices_of_a_volume_are_counted_on_one_line(study):
    data, recon, _ = study
    with h5py.File(recon / "v1.h5", "a") as file:
        file["reconstruction"][1] = 0
    scores = evaluate(data, recon)
    assert len(scores.rows) == 3
    assert scores.notes == (
        "1 slices of the reconstruction of v1 are zero, the first is slice 1; they count in its scores",
    )


def test_nan_outside_the_scored_window_is_named_too(study):
    data, recon, _ = study
    with h5py.File(recon / "v1.h5", "a") as file:
        assert file["reconstruction"].shape[1] > file["reconstruction"].shape[2]  # a square is scored
        file["reconstruction"][0, 0, 0] = np.nan
    (unscored,) = evaluate(data, recon).unscored
    assert "1 slices of the reconstruction hold NaN or Inf, the first is slice 0" in unscored.reason
