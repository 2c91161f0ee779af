import hashlib
import json
import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from mrikit.errors import ConfigError, StorageError
from mrikit.simulate import StudyConfig, plan_study, simulate_scan, simulate_study, write_study
from mrikit.simulate.scan import root_sum_of_squares
from mrikit.simulate.write_study import _write_fastmri
from mrikit.volumes import find_volumes, open_volume


def config(folder, **changes):
    settings = {"anatomy": "knee", "folder": folder, "num_volumes": 8, "num_coils": (3,), "num_slices": 2}
    return StudyConfig(**(settings | {"matrix": (64, 48)} | changes))


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    simulate_study(config(folder), num_workers=1)
    return folder


@pytest.fixture(scope="module")
def snu(tmp_path_factory):
    folder = tmp_path_factory.mktemp("snu")
    simulate_study(config(folder, anatomy="brain", layout="snu"))
    return folder


def test_the_same_seed_gives_the_same_bytes_for_any_number_of_workers(study, tmp_path):
    simulate_study(config(tmp_path), num_workers=3)
    assert digests(tmp_path) == digests(study)
    files = [digest for name, digest in digests(study).items() if name.endswith(".h5")]
    assert len(set(files)) == len(files) == 8


def test_the_snu_layout_gives_the_same_bytes_too(snu, tmp_path):
    simulate_study(config(tmp_path, anatomy="brain", layout="snu"), num_workers=2)
    assert digests(tmp_path) == digests(snu)


def test_the_snu_layout_gives_the_same_bytes_for_any_number_of_torch_threads(tmp_path):
    before = torch.get_num_threads()
    settings = {"anatomy": "brain", "layout": "snu", "num_volumes": 2, "num_slices": 1, "matrix": (192, 96)}
    try:
        for num_threads in (1, 4):
            torch.set_num_threads(num_threads)
            simulate_study(config(tmp_path / str(num_threads), **settings))
            with ThreadPoolExecutor(1) as another:  # a thread that begins later takes what was set last
                assert another.submit(torch.get_num_threads).result() == torch.get_num_threads() == num_threads
    finally:
        torch.set_num_threads(before)
    assert digests(tmp_path / "4") == digests(tmp_path / "1")


def test_as_many_volumes_at_a_time_as_this_process_has_processors(tmp_path, monkeypatch):
    pools = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda process_id: {5, 7, 9})
    monkeypatch.setattr(
        write_study, "ThreadPoolExecutor", lambda size, **rest: pools.append(size) or ThreadPoolExecutor(size, **rest)
    )
    simulate_study(config(tmp_path, num_volumes=1, num_slices=1))
    assert pools == [3]


def test_an_interrupted_run_goes_on_to_the_same_bytes(study, tmp_path):
    def stop(path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_study(config(tmp_path), num_workers=1, on_volume=stop)
    kept = {path: path.stat().st_mtime_ns for path in find_volumes(tmp_path)}
    assert 0 < len(kept) < 8
    simulate_study(config(tmp_path))
    assert digests(tmp_path) == digests(study)
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())


def test_more_volumes_leave_the_earlier_ones_as_they_were(study, tmp_path):
    simulate_study(config(tmp_path, num_volumes=9))
    larger = digests(tmp_path)
    assert digests(study).items() <= larger.items()
    assert len(larger) == len(digests(study)) + 1


def test_another_seed_gives_another_study(study, tmp_path):
    simulate_study(config(tmp_path, num_volumes=2, seed=1))
    mine, other = digests(study)["multicoil_val/file1000000.h5"], digests(tmp_path)["multicoil_val/file1010000.h5"]
    assert mine != other


def test_a_patient_lies_in_one_split_and_has_two_acquisitions():
    splits, acquisitions = defaultdict(set), defaultdict(set)
    plan = plan_study(config(Path("x"), num_volumes=200))
    for planned in plan:
        splits[planned.scan.patient_id].add(planned.split)
        acquisitions[planned.scan.patient_id].add(planned.scan.acquisition)
    assert len(splits) == 100
    assert all(len(found) == 1 for found in splits.values())
    assert all(found == {"CORPD_FBK", "CORPDFS_FBK"} for found in acquisitions.values())
    counts = {split: sum(planned.split == split for planned in plan) for split in ("train", "val", "test")}
    assert counts == {"train": 140, "val": 40, "test": 20}


@pytest.mark.parametrize(
    ("num_volumes", "splits"), [(1, {"val"}), (3, {"val", "train"}), (8, {"val", "train", "test"})]
)
def test_even_the_smallest_study_can_be_scored(num_volumes, splits):
    assert {planned.split for planned in plan_study(config(Path("x"), num_volumes=num_volumes))} == splits


def test_the_patients_in_the_files_do_not_straddle_splits(study):
    found = defaultdict(set)
    for path in find_volumes(study):
        found[open_volume(path).info.patient_id].add(path.parent.name)
    assert sorted(map(len, found.values())) == [1, 1, 1, 1]


def test_a_fastmri_volume_is_read_back_with_the_facts_of_its_plan(tmp_path):
    settings = config(tmp_path, anatomy="brain", num_volumes=5, matrix=None, num_coils=(2, 3), num_slices=1)
    simulate_study(settings)
    for planned in plan_study(settings):
        volume, scan = open_volume(planned.path), planned.scan
        assert volume.kspace.shape == (1, scan.num_coils, *scan.matrix)
        assert volume.reference.shape == (1, *scan.recon_matrix)
        assert volume.mask is None
        assert volume.info.padding == scan.padding
        assert volume.info.matrix == scan.matrix
        assert volume.info.recon_matrix == scan.recon_matrix
        assert volume.info.anatomy == "brain"
        assert volume.info.acquisition == scan.acquisition
        assert volume.info.patient_id == scan.patient_id
        assert volume.info.volume_id == scan.volume_id
        assert volume.info.field_strength_t in (1.5, 3.0)
        assert volume.info.fov_mm[0] == pytest.approx(440)
        assert volume.info.reference_max == np.max(volume.reference[0])
    scans = [planned.scan for planned in plan_study(settings)]
    assert {scan.matrix[1] % 2 for scan in scans} == {0, 1}
    assert {scan.num_coils for scan in scans} == {2, 3}


def test_the_noise_covariance_is_kept_in_the_file(study):
    with h5py.File(study / "multicoil_val/file1000000.h5") as file:
        covariance = file.attrs["noise_covariance"]
    assert covariance.shape == (3, 3)
    np.testing.assert_allclose(covariance, covariance.conj().T)
    assert np.linalg.eigvalsh(covariance).min() > 0


def test_a_fastmri_test_volume_is_masked_and_keeps_its_reference_for_itself(study):
    paths = find_volumes(study / "multicoil_test")
    assert len(paths) == 2
    for path in paths:
        volume = open_volume(path)
        assert volume.reference is None
        unsampled = np.stack(list(volume.kspace))[..., ~volume.mask]
        assert unsampled.tobytes() == bytes(unsampled.nbytes)
        assert (volume.kspace[0][..., volume.mask] != 0).any(axis=(0, 1)).all()
        with h5py.File(path) as file:
            acceleration, num_center_lines = file.attrs["acceleration"], file.attrs["num_low_frequency"]
            assert "max" not in file.attrs
        assert acceleration in (4, 8)
        start = (48 - num_center_lines + 1) // 2
        assert volume.mask[start : start + num_center_lines].all()
        assert volume.mask.sum() < 48 / acceleration * 2.5
    assert {open_volume(path).info.acquisition for path in paths} == {"CORPD_FBK", "CORPDFS_FBK"}


def test_masked_columns_never_lie_in_the_zero_filled_ones(tmp_path):
    settings = config(tmp_path, anatomy="brain", num_volumes=48, matrix=None, num_coils=(2,), num_slices=1)
    padded = [p for p in plan_study(settings) if p.split == "test" and p.scan.num_acquired < p.scan.matrix[1]]
    assert padded

    _write_fastmri(padded[0], simulate_scan(padded[0].scan))
    volume = open_volume(padded[0].path)
    left, right = volume.info.padding
    assert left > 0
    assert not volume.mask[:left].any()
    assert not volume.mask[right:].any()


def test_one_coil_gives_single_coil_files(tmp_path):
    paths = simulate_study(config(tmp_path, num_volumes=1, num_coils=(1,)))
    assert paths == [tmp_path / "singlecoil_val/file1000000.h5"]
    with h5py.File(paths[0]) as file:
        assert file["kspace"].shape == (2, 64, 48)
        assert file["reconstruction_esc"].shape == (2, 32, 32)
        assert (file["reconstruction_rss"][()] == file["reconstruction_esc"][()]).all()  # there is no other coil


def test_the_snu_tree_has_the_names_keys_and_attributes_of_the_challenge(snu):
    names = {str(path.relative_to(snu)) for path in snu.rglob("*.h5")}
    for kind in ("image", "kspace"):
        assert f"val/brain/{kind}/brain_acc4_1.h5" in names
        assert f"train/brain/{kind}/brain_acc8_2.h5" in names
        assert f"leaderboard/acc8/{kind}/brain_test4.h5" in names
    with h5py.File(snu / "train/brain/kspace/brain_acc4_2.h5") as file:
        assert file["kspace"].shape == (2, 3, 64, 48)
        assert (file["kspace"][()] != 0).all()
        assert file["mask"].shape == (48,)
    with h5py.File(snu / "train/brain/image/brain_acc4_2.h5") as file:
        assert file["image_label"].shape == file["image_grappa"].shape == (2, 32, 32)
        assert file.attrs["max"] == file["image_label"][()].max()


def test_the_leaderboard_holds_masked_kspace_beside_full_labels(snu):
    for acceleration in (4, 8):
        volume = open_volume(snu / f"leaderboard/acc{acceleration}/kspace/brain_test4.h5")
        assert np.array_equal((volume.kspace[0] != 0).any(axis=(0, 1)), volume.mask)
        assert set(range(24 % acceleration, 47, acceleration)) <= set(np.flatnonzero(volume.mask))


def test_files_for_training_hold_full_kspace_and_so_have_no_mask(snu):
    paths = [path for path in find_volumes(snu) if "leaderboard" not in path.parts]
    assert len(paths) == 6
    for path in paths:
        assert open_volume(path).mask is None
        with h5py.File(path) as file:
            assert 0 < np.count_nonzero(file["mask"]) < 48


def test_the_grappa_image_is_nearer_to_the_label_than_the_zero_filled_one(tmp_path):
    settings = config(tmp_path, anatomy="brain", layout="snu", num_volumes=1, num_coils=(8,), matrix=None)
    (path,) = simulate_study(settings)
    volume = open_volume(path)
    with h5py.File(path) as file:
        zero_filled = root_sum_of_squares(volume.kspace[0] * file["mask"][()], volume.info.recon_matrix)
    with h5py.File(path.parent.parent / "image" / path.name) as file:
        grappa, label = file["image_grappa"][0], file["image_label"][0]
    assert np.linalg.norm(grappa - label) < 0.6 * np.linalg.norm(zero_filled - label)


def test_a_study_that_says_nothing_of_view_and_noise_still_grows(study, tmp_path):
    settings = json.loads((study / "simulation-knee.json").read_text())
    assert not {"field_of_view_mm", "noise"} & settings.keys()
    simulate_study(config(tmp_path, num_volumes=1, field_of_view_mm=200.0))
    assert json.loads((tmp_path / "simulation-knee.json").read_text())["field_of_view_mm"] == 200
    with pytest.raises(ConfigError, match=r"with other settings \(noise differ"):
        simulate_study(config(tmp_path, num_volumes=1, field_of_view_mm=200.0, noise=2.0))


def test_knee_and_brain_may_share_a_folder(tmp_path):
    for anatomy in ("knee", "brain"):
        simulate_study(config(tmp_path, anatomy=anatomy, num_volumes=2, num_slices=1))
    assert {open_volume(path).info.anatomy for path in find_volumes(tmp_path)} == {"knee", "brain"}


def test_two_studies_are_not_mixed_in_one_folder(study):
    with pytest.raises(ConfigError, match=r"with other settings \(num_slices, seed differ; see simulation-knee.json\)"):
        simulate_study(config(study, seed=5, num_slices=3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"anatomy": "heart"}, "no anatomy is called 'heart'; choose brain or knee"),
        ({"layout": "bart"}, "no layout is called 'bart'; choose fastmri or snu"),
        ({"size": "huge"}, "no size is called 'huge'; choose small or half or full"),
        ({"num_volumes": 0}, "at least 1 volume, found 0"),
        ({"num_slices": 0}, "at least 1 slice, found 0"),
        ({"num_coils": (4, 0)}, r"coil counts must lie in 1\.\.64, found 4,0"),
        ({"num_coils": ()}, r"coil counts must lie in 1\.\.64, found none"),
        ({"seed": -1}, "a seed is 0 or more, found -1"),
        ({"matrix": (64, 8)}, "at least 32, found 64,8"),
        ({"matrix": (65, 48)}, "an even readout .* found 65,48"),
        ({"field_of_view_mm": 100.0}, "of a knee is 134 to 500 mm, or 0 for the usual one; found 100"),
        ({"field_of_view_mm": float("nan")}, "or 0 for the usual one; found nan"),
        ({"noise": 0.0}, "a factor above 0 and at most 1000, found 0; 1 is the protocols' own"),
        ({"noise": float("nan")}, "found nan"),
    ],
)
def test_a_setting_out_of_range_is_named_with_what_would_do(changes, message):
    with pytest.raises(ConfigError, match=message) as caught:
        config(Path("x"), **changes)
    assert "\n" not in str(caught.value)


def test_no_worker_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least 1 worker is needed, found 0"):
        simulate_study(config(tmp_path), num_workers=0)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file.*cannot be written"):
        simulate_study(config(tmp_path / "file" / "study"))


def test_a_full_disk_leaves_nothing_half_written(full_disk):
    with pytest.raises(StorageError, match="the disk is full"):
        simulate_study(config(full_disk, num_coils=(8,), matrix=(192, 96), num_slices=4))
    assert [path.name for path in full_disk.rglob("*") if path.is_file()] == ["simulation-knee.json"]


def test_full_size_matrices_are_those_of_the_real_data():
    found = {
        planned.scan.matrix
        for anatomy in ("knee", "brain")
        for planned in plan_study(config(Path("x"), anatomy=anatomy, size="full", matrix=None, num_volumes=20))
    }
    assert found == {(640, 368), (640, 372), (640, 320), (768, 396)}
