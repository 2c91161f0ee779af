"""Brains made of a template: their tissues, and what no two of them share."""

import dataclasses
import hashlib
import importlib.util
import json

import h5py
import numpy as np
import pytest
import torch
from simulate.templates import head, write_template

from mrikit.errors import ConfigError, DataError
from mrikit.physics.fft import ifft2c
from mrikit.simulate import TemplateStudy, plan_study, simulate_study
from mrikit.simulate.deformation import deformed
from mrikit.simulate.template import CLASSES, FIRST_MM, SHAPE, VOXEL_MM, read_template
from mrikit.simulate.template_scan import draw_contrast, scan_template, slice_heights
from mrikit.volumes import find_volumes, open_volume


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return write_template(tmp_path_factory.mktemp("template") / "TPM.nii")


@pytest.fixture(scope="module")
def classes(own):
    return read_template(own)


def study(folder, **changes):
    settings = {"num_volumes": 4, "num_coils": (3,), "num_slices": 2, "matrix": (36, 32), "template": None}
    return TemplateStudy(folder=folder, **(settings | changes))


def plans(folder, **changes):
    return [planned.scan for planned in plan_study(study(folder, **changes))]


def voxel(x, y, z):
    return tuple(round((place - first) / VOXEL_MM) for place, first in zip((x, y, z), FIRST_MM, strict=True))


def test_a_file_of_ones_own_lies_where_its_affine_says(classes):
    assert classes.shape == (6, *SHAPE)
    np.testing.assert_allclose(classes.sum(0), 1, atol=1e-6)
    places = {"csf": (0, -18, 20), "white_matter": (30, -18, 20), "gray_matter": (0, 42, 20), "scalp": (75, -18, 20)}
    for name, place in places.items():
        assert classes[(CLASSES.index(name), *voxel(*place))] > 0.9, name
    assert classes[(CLASSES.index("air"), *voxel(-89, 88, 100))] == 1


@pytest.mark.skipif(importlib.util.find_spec("nilearn") is None, reason="the extra `brain` is not installed")
def test_the_average_brain_has_its_tissues_where_they_are():
    found = read_template()
    assert found.shape == (6, *SHAPE)
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)
    # MNI coordinates: a lateral ventricle, the corona radiata, the cortex of the insula, the head of the caudate.
    places = {"csf": [(5, 15, 10)], "white_matter": [(27, -20, 27), (-27, -20, 27)], "gray_matter": [(12, 14, 8)]}
    for name, ones in places.items():
        for place in ones:
            assert found[(CLASSES.index(name), *voxel(*place))] > 0.6, (name, place)
    # Fluid, bone and scalp lie around it, in this order.
    out = found[:, :, voxel(0, -18, 0)[1], voxel(0, 0, 40)[2]].argmax(0)[60:]
    order = list(dict.fromkeys(out[np.flatnonzero(out == CLASSES.index("skull"))[0] - 1 :].tolist()))
    assert [CLASSES[one] for one in order] == ["csf", "skull", "scalp", "air"]
    volumes_ml = {name: found[CLASSES.index(name)].sum() * VOXEL_MM**3 / 1000 for name in CLASSES}
    assert 600 < volumes_ml["gray_matter"] < 1200
    assert 400 < volumes_ml["white_matter"] < 800


def test_without_the_package_one_line_says_what_would_do(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        read_template()
    assert str(caught.value) == (
        "the average brain is in the package nilearn, which is not installed; pip install -e '.[brain]', or name a "
        "TPM.nii with --template"
    )


def test_a_file_that_is_no_template_is_one_line(tmp_path):
    five = write_template(tmp_path / "five.nii", head()[..., :5])
    with pytest.raises(
        DataError, match=r"five\.nii: a template is x, y, z and six classes .*, found 25 x 30 x 25 x 5; "
    ):
        read_template(five)
    elsewhere = write_template(tmp_path / "else.nii", affine=np.diag([1.0, 1, 1, 1]) + 900 * np.eye(4, k=3))
    with pytest.raises(DataError, match=r"else\.nii: no probabilities from 0 to 1 where a head lies in MNI space"):
        read_template(elsewhere)
    percent = write_template(tmp_path / "percent.nii", 100 * head())
    with pytest.raises(DataError, match="found 0 to 100; is it in that space"):
        read_template(percent)
    (tmp_path / "text.nii").write_text("no picture")
    for name in ("text.nii", "missing.nii"):
        with pytest.raises(DataError, match=rf"{name}: no NIfTI file that can be read .*; name a \.nii or \.nii\.gz"):
            read_template(tmp_path / name)
    content = write_template(tmp_path / "cut.nii").read_bytes()
    (tmp_path / "cut.nii").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cut\.nii: no NIfTI file that can be read .*damaged.*; name a") as caught:
        read_template(tmp_path / "cut.nii")
    assert "\n" not in str(caught.value)
    # The first row of the affine, where SPM's header says that it counts.
    (tmp_path / "flat.nii").write_bytes(content[:280] + bytes(16) + content[296:])
    with pytest.raises(DataError, match=r"flat\.nii: its affine maps voxels to no place in space"):
        read_template(tmp_path / "flat.nii")


def test_no_two_volumes_share_shape_contrast_coils_or_noise(classes, tmp_path):
    found = plans(tmp_path, num_volumes=12, num_slices=1)
    assert len({tuple(draw_contrast(plan)) for plan in found}) == 12
    rows, columns = (np.arange(-80, 81, 20, dtype=np.float32) for _ in range(2))
    places = [np.stack(deformed(plan.key, rows, columns, 5.0, 3.0)) for plan in found]
    differences = [np.abs(one - other).mean() for i, one in enumerate(places) for other in places[:i]]
    assert min(differences) > 0.5
    scans = [scan_template(plan, classes) for plan in found[:4]]
    for i, one in enumerate(scans):
        for other in scans[:i]:
            assert not np.allclose(one.noise_covariance, other.noise_covariance, rtol=0.01, atol=0)
            kspace = torch.from_numpy(np.stack([one.volume.kspace[0], other.volume.kspace[0]]))
            images = ifft2c(kspace).abs().numpy()
            assert abs(np.corrcoef(images.reshape(2, -1))[0, 1]) < 0.98


def test_a_larger_study_and_another_template_change_no_draw(tmp_path):
    few, many = plans(tmp_path, num_volumes=2), plans(tmp_path, num_volumes=9)
    assert few == many[:2]
    assert plans(tmp_path, seed=1)[0].key != few[0].key


def test_the_deformation_has_the_size_that_is_asked_for_and_folds_nothing():
    rows, columns = (np.arange(-90, 90, 3, dtype=np.float32) for _ in range(2))
    straight = np.stack(np.broadcast_arrays(rows[:, None], columns[None], np.float32(5)))
    moves = [np.stack(deformed((seed, "x"), rows, columns, 5.0, 3.0)) - straight for seed in range(20)]
    assert 2.5 < np.std(moves) < 4.5
    for move in moves:
        assert np.abs(np.diff(move[0], axis=0)).max() < 3
    still = deformed((0, "x"), rows, columns, 5.0, 0.0)
    np.testing.assert_array_equal(still[0], np.broadcast_to(rows[:, None], still[0].shape))


def test_contrasts_are_those_of_the_study(tmp_path):
    drawn = np.stack([draw_contrast(plan) for plan in plans(tmp_path, num_volumes=200)])
    dark = [CLASSES.index("skull"), CLASSES.index("air")]
    assert (drawn[:, dark] == 0).all()
    seen = np.delete(drawn, dark, axis=1)
    assert 0 <= seen.min() < 1
    assert 19 < seen.max() <= 20
    np.testing.assert_allclose(seen * 10, np.round(seen * 10), atol=1e-4)


def test_without_deformation_the_image_is_the_template_itself(classes, tmp_path):
    (plan,) = plans(tmp_path, num_volumes=1, num_slices=1, deformation_mm=0, num_coils=(1,), matrix=(145, 121))
    volume = scan_template(plan, classes).volume
    level = classes[:, :, :, voxel(0, 0, slice_heights(1)[0])[2]]
    contrast = draw_contrast(plan)
    expected = np.tensordot(contrast, level, axes=1)[::-1, ::-1].T
    image = volume.reference[0] / volume.reference[0].max() * expected.max()
    # The slice lies between two voxels, and the noise is a hundredth.
    assert np.corrcoef(image.ravel(), expected.ravel())[0, 1] > 0.98


def test_the_noise_comes_after_the_coils_with_the_stored_covariance_and_the_phase_is_not_zero(classes, tmp_path):
    plan, _ = plans(tmp_path, num_volumes=2, num_slices=24, matrix=(60, 60))
    scan = scan_template(plan, np.zeros_like(classes))
    noise = np.moveaxis(scan.volume.kspace, 1, 0).reshape(3, -1)
    found = noise @ noise.conj().T / noise.shape[1]
    np.testing.assert_allclose(found, scan.noise_covariance, atol=0.03 * np.abs(scan.noise_covariance).max())
    assert np.abs(scan.noise_covariance[0, 1]) < 0.9 * np.abs(scan.noise_covariance[0, 0])
    one = dataclasses.replace(plan, num_coils=1, num_slices=1)
    image = ifft2c(torch.from_numpy(scan_template(one, classes).volume.kspace[0, 0])).numpy()
    inside = np.abs(image) > 0.3 * np.abs(image).max()
    assert np.std(np.angle(image[inside])) > 0.1


def test_the_first_coil_of_an_array_sees_the_back_of_every_head_best(classes, tmp_path):
    for model, is_always in (("array", True), ("loops", False), ("ellipse", False)):
        found = plans(tmp_path, num_volumes=9, num_slices=1, num_coils=(4,), coil_model=model)
        kspace = np.stack([scan_template(plan, classes).volume.kspace[0, 0] for plan in found])
        images = ifft2c(torch.from_numpy(kspace)).abs()
        sees_back = images[:, 18:].sum((1, 2)) > 1.5 * images[:, :18].sum((1, 2))
        assert sees_back.all().item() == is_always, model
        assert sees_back.any()


def test_files_are_fastmri_s_full_in_every_split_and_the_same_bytes_again(own, tmp_path):
    for folder, num_workers in (("a", 1), ("b", 2)):
        simulate_study(study(tmp_path / folder, template=own), num_workers=num_workers)
    assert {path.parent.name for path in find_volumes(tmp_path / "a")} == {
        "multicoil_val",
        "multicoil_train",
        "multicoil_test",
    }
    for path in find_volumes(tmp_path / "a"):
        volume, other = open_volume(path), tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert volume.is_fully_sampled
        assert volume.info.anatomy == "brain"
        assert (volume.info.matrix, volume.info.recon_matrix) == ((36, 32), (36, 32))
        full = ifft2c(torch.from_numpy(volume.kspace[1])).abs().square().sum(0).sqrt().numpy()
        np.testing.assert_allclose(volume.reference[1], full, rtol=1e-4, atol=1e-9)
        with h5py.File(path) as file:
            assert file.attrs["noise_covariance"].shape == (3, 3)
        digests = [hashlib.sha256(one.read_bytes()).hexdigest() for one in (path, other)]
        assert digests[0] == digests[1]


def test_another_template_is_another_study(own, tmp_path):
    simulate_study(study(tmp_path / "out", template=own, num_volumes=1))
    settings = json.loads((tmp_path / "out" / "simulation-brain.json").read_text())
    assert settings["template"] == hashlib.sha256(own.read_bytes()).hexdigest()
    with pytest.raises(ConfigError, match=r"other settings \(deformation_mm differ"):
        simulate_study(study(tmp_path / "out", template=own, num_volumes=1, deformation_mm=1.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": "huge"}, "no size is called 'huge'; choose full or half or small"),
        ({"coil_model": "ring"}, "no coil model is called 'ring'; choose loops or array or ellipse"),
        ({"num_volumes": 0}, "a study needs at least 1 volume, found 0"),
        ({"num_slices": 0}, "a study needs at least 1 slice, found 0"),
        ({"num_coils": (0,)}, "coil counts must lie in 1..64, found 0"),
        ({"matrix": (16, 64)}, "a matrix is readout,phase of at least 32, found 16,64; try 145,121"),
        ({"deformation_mm": 11.0}, "a deformation is 0 to 10 mm, so that nothing folds; found 11"),
        ({"seed": -1}, "a seed is 0 or more, found -1"),
    ],
)
def test_a_setting_out_of_range_is_named_with_what_would_do(tmp_path, changes, message):
    with pytest.raises(ConfigError) as caught:
        study(tmp_path, **changes)
    assert str(caught.value) == message
