"""Mixed volumes: photographs, brains and discs, and what is drawn for each."""

import dataclasses
import hashlib
import importlib.util
import json
import math
from itertools import pairwise

import h5py
import numpy as np
import pytest
from simulate.templates import write_template

from mrikit.errors import ConfigError, DataError
from mrikit.physics.crop import center_crop
from mrikit.simulate import MixedStudy, mixed_scan, plan_study, simulate_study, write_study
from mrikit.simulate.mixed_coils import mixed_coil_maps, mixed_coil_positions
from mrikit.simulate.mixed_scan import Sources, scan_mixed
from mrikit.simulate.mixed_study import (
    COIL_REACHES,
    FIELD_OF_VIEW_MM,
    INTENSITIES,
    NOISE_LEVELS,
    SHARES,
    WINDOW,
)
from mrikit.simulate.photographs import PHOTOGRAPHS, read_photographs
from mrikit.simulate.scan import root_sum_of_squares
from mrikit.simulate.template import read_template
from mrikit.volumes import find_volumes, open_volume

SMALL = {"num_slices": 1, "matrix": (72, 64)}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return write_template(tmp_path_factory.mktemp("template") / "TPM.nii")


@pytest.fixture(scope="module")
def sources(own):
    return Sources(photographs=read_photographs(), template=read_template(own))


@pytest.fixture
def is_read(monkeypatch, sources):
    """Photographs and template are read once for all tests."""
    monkeypatch.setattr(write_study, "read_photographs", lambda: sources.photographs)
    monkeypatch.setattr(write_study, "read_template", lambda path: sources.template)


def plans(folder, number=50, **changes):
    return [one.scan for one in plan_study(MixedStudy(folder=folder, num_volumes=number, **changes))]


def of_kind(folder, kind, **changes):
    """The first volume of a study, made of something else."""
    return dataclasses.replace(plans(folder, 1, **SMALL)[0], kind=kind, **changes)


def digests(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def air(reference):
    """The four corners of an image, where there is no body."""
    return np.concatenate([reference[..., rows, columns].ravel() for rows in (slice(5), slice(-5, None))
                           for columns in (slice(5), slice(-5, None))])  # fmt: skip


def test_bytes_repeat_and_do_not_depend_on_how_many_are_made_at_a_time(is_read, own, tmp_path):
    studies = [(tmp_path / name, number, workers) for name, number, workers in (("a", 5, 1), ("b", 7, 3))]
    for folder, number, workers in studies:
        study = MixedStudy(folder=folder, num_volumes=number, template=own, **SMALL)
        assert simulate_study(study, num_workers=workers) == [planned.path for planned in plan_study(study)]
    first, second = (digests(folder) for folder, _, _ in studies)
    assert first.items() <= second.items()
    assert len(second) == 8
    other = MixedStudy(folder=tmp_path / "c", num_volumes=1, template=own, seed=1, **SMALL)
    simulate_study(other)
    assert not set(digests(tmp_path / "c").values()) & set(second.values())


def test_a_file_says_what_it_was_made_of_and_reads_as_a_full_scan(is_read, own, tmp_path):
    study = MixedStudy(folder=tmp_path, num_volumes=6, template=own, num_coils=(1, 5), **SMALL)
    simulate_study(study)
    assert len(find_volumes(tmp_path)) == 6
    folders = {planned.path.parent.name: planned.split for planned in plan_study(study)}
    assert folders == {"train": "train", "val": "val", "test": "test"}
    assert {planned.scan.num_coils > 1 for planned in plan_study(study)} == {True, False}
    for planned in plan_study(study):
        plan = planned.scan
        with h5py.File(planned.path) as file:
            facts = dict(file.attrs)
        assert facts["acquisition"] == plan.kind
        assert facts["made_of"].split()[0] == plan.kind.lower()
        assert (facts["noise_level"], facts["intensity"], facts["coil_reach"]) == (
            plan.noise_level, plan.intensity, plan.coil_reach,
        )  # fmt: skip
        assert facts["noise_covariance"].shape == (plan.num_coils, plan.num_coils)
        volume = open_volume(planned.path)
        assert (volume.is_fully_sampled, volume.info.anatomy) == (True, "mixed")
        assert volume.kspace.shape == (1, plan.num_coils, *plan.matrix)
        # The reference has the noise of the file's own k-space, as a scanner's.
        again = root_sum_of_squares(np.asarray(volume.kspace[0]), plan.recon_matrix)
        np.testing.assert_array_equal(volume.reference[0], again)


def test_fifty_draws_stay_in_their_ranges_and_fill_them(tmp_path):
    found = plans(tmp_path)
    assert {plan.kind for plan in found} == set(SHARES)
    coils = [plan.num_coils for plan in found]
    assert (min(coils), max(coils)) == (1, 20)
    assert 8 <= coils.count(1) <= 24
    views = [plan.recon_matrix[0] * plan.pixel_mm[0] for plan in found]
    rows = [plan.recon_matrix[0] for plan in found]
    for values, (low, high) in (
        ([plan.noise_level for plan in found], NOISE_LEVELS), ([plan.intensity for plan in found], INTENSITIES),
        ([plan.coil_reach for plan in found], COIL_REACHES), (views, FIELD_OF_VIEW_MM), (rows, WINDOW),
    ):  # fmt: skip
        assert low <= min(values) * (1 + 1e-9)
        assert max(values) <= high * (1 + 1e-9)
        assert math.log(max(values) / min(values)) > 0.75 * math.log(high / low)
    assert {plan.matrix[0] / plan.recon_matrix[0] for plan in found} == {1, 2}
    phase = [plan.matrix[1] / plan.recon_matrix[1] for plan in found]
    assert min(phase) == 1
    assert 1.15 < max(phase) < 1.3
    assert len({plan.matrix for plan in found}) > 45
    assert plans(tmp_path, 9) == found[:9]


def test_the_background_has_the_noise_and_the_body_the_brightness_that_were_drawn(sources, tmp_path):
    for plan in plans(tmp_path, **SMALL):
        reference = scan_mixed(dataclasses.replace(plan, kind="DISCS"), sources).volume.reference
        noise = np.sqrt(np.mean(air(reference) ** 2)) / plan.intensity
        # Ringing reaches into the corners.
        assert plan.noise_level * 0.8 < noise < plan.noise_level * 1.2 + 0.003
    for plan in plans(tmp_path, 20, **SMALL):
        quiet = scan_mixed(dataclasses.replace(plan, noise_level=1e-6), sources).volume.reference
        assert 0.8 < quiet.max() / plan.intensity < 1.25


def test_the_phase_is_smooth_and_neither_constant_nor_shared(sources, tmp_path):
    spreads, means = [], []
    for plan in plans(tmp_path, 20, num_coils=(1,), **SMALL):
        scan = scan_mixed(dataclasses.replace(plan, kind="DISCS", noise_level=1e-4), sources)
        shifted = np.fft.ifftshift(scan.volume.kspace[0, 0])
        image = np.fft.fftshift(np.fft.ifft2(shifted))
        middle = center_crop(image, (13, 11))
        steps = np.angle(middle[1:] * middle[:-1].conj())
        bright = np.abs(middle[1:] * middle[:-1]) > 0.2 * np.abs(middle).max() ** 2
        assert np.abs(steps[bright]).max() < 1
        spreads.append(np.abs(np.mean(steps[bright])))
        means.append(np.angle(middle.sum()))
    assert min(spreads) > 1e-4
    assert np.abs(np.mean(np.exp(1j * np.array(means)))) < 0.6


def test_coils_range_from_smooth_to_local_around_those_of_scanners(tmp_path):
    """Second and fourth singular value over the first, and participation ratio of their squares.

    A 16-coil phantom has .71, .29 and 2.8, an 8-coil brain .77, .28 and 2.7 (images of the centre over their RSS).
    """
    place = np.linspace(-1, 1, 24, dtype=np.float32)
    found = []
    for plan in plans(tmp_path, num_coils=(4, 8, 12, 16, 20)):
        positions = mixed_coil_positions(plan.num_coils, plan.key)
        maps = mixed_coil_maps(positions, plan.coil_reach, plan.key, place, place)
        values = np.linalg.svd(maps.reshape(plan.num_coils, -1), compute_uv=False)
        share = values**2 / np.sum(values**2)
        found.append((values[1] / values[0], values[3] / values[0], 1 / np.sum(share**2)))
    for values, (low, high), (real_low, real_high) in zip(
        np.array(found).T, ((0.2, 0.95), (0.03, 0.75), (1.1, 7.0)), ((0.7, 0.77), (0.27, 0.29), (2.6, 2.8)), strict=True
    ):
        assert low < values.min() < real_low
        assert real_high < values.max() < high


def test_a_disc_overshoots_at_its_edge_as_cut_kspace_does(sources, tmp_path):
    plan = of_kind(tmp_path, "DISCS", num_coils=1, noise_level=1e-6, matrix=(96, 96), recon_matrix=(96, 96))
    overshoots = []
    for number in range(20):
        image = scan_mixed(dataclasses.replace(plan, number=number), sources).volume.reference[0]
        # One coil that sees all alike leaves a flat disc.
        level = np.median(image[image > image.max() / 2])
        flat = np.abs(image[image > image.max() / 2] / level - 1)
        if np.median(flat) < 0.03:
            overshoots.append(image.max() / level - 1)
    assert len(overshoots) >= 5
    assert min(overshoots) > 0.03
    assert max(overshoots) < 0.3


def test_a_pixel_holds_what_lies_in_it_and_not_one_point_of_it(sources, tmp_path, monkeypatch):
    plan = of_kind(tmp_path, "DISCS", num_coils=1, noise_level=1e-6, matrix=(96, 96), recon_matrix=(96, 96))
    found = scan_mixed(plan, sources).volume.reference
    as_points, as_areas = (
        (monkeypatch.setattr(mixed_scan, "FINER", finer), scan_mixed(plan, sources).volume.reference)[1]
        for finer in (1, 16)
    )
    assert np.linalg.norm(found - as_areas) < 0.8 * np.linalg.norm(as_points - as_areas)


def test_half_of_the_pieces_of_photographs_lie_in_air_and_neighbours_differ(sources, tmp_path):
    plan = of_kind(tmp_path, "PHOTOGRAPH", num_slices=40, num_coils=1, noise_level=1e-4, recon_matrix=(72, 64))
    scan = scan_mixed(plan, sources)
    names = scan.made_of.split()[1:]
    assert len(names) == 40
    assert set(names) <= set(PHOTOGRAPHS)
    assert len(set(names)) > 8
    dark = [np.abs(air(image)).mean() < 0.01 * plan.intensity for image in scan.volume.reference]
    assert 10 < sum(dark) < 30


def test_planes_of_a_brain_change_little_from_slice_to_slice(sources, tmp_path):
    plan = of_kind(tmp_path, "TEMPLATE", num_slices=12, num_coils=1, noise_level=1e-4, recon_matrix=(72, 64))
    seen = set()
    for number in range(6):
        scan = scan_mixed(dataclasses.replace(plan, number=number), sources)
        seen.add(scan.made_of)
        images = scan.volume.reference.reshape(12, -1)
        assert min(np.corrcoef(one, other)[0, 1] for one, other in pairwise(images)) > 0.8
        assert images.max(axis=1).min() > 0.3 * plan.intensity
    assert len(seen) > 1


def test_coils_and_matrix_may_be_given(tmp_path):
    found = plans(tmp_path, 30, num_coils=(3, 1), matrix=(130, 97))
    assert [plan.num_coils for plan in found[:3]] == [3, 1, 3]
    assert {plan.matrix for plan in found} == {(130, 97)}
    assert {plan.recon_matrix[0] for plan in found} == {130, 64}
    assert 76 <= min(plan.recon_matrix[1] for plan in found) < 97


def test_without_the_package_one_line_names_the_extra(monkeypatch, tmp_path, own):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        simulate_study(MixedStudy(folder=tmp_path / "out", num_volumes=1, template=own))
    assert str(caught.value) == (
        "the photographs are in the package scikit-image, which is not installed; pip install -e '.[mixed]'"
    )
    assert not (tmp_path / "out").exists()


def test_a_photograph_that_is_gone_is_named(monkeypatch, tmp_path):
    (tmp_path / "__init__.py").touch()
    found = importlib.util.spec_from_file_location("skimage", tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    with pytest.raises(DataError, match=r"astronaut\.png: cannot be read \(.*\); install scikit-image 0\.24 or later"):
        read_photographs()


def test_photographs_are_grey_and_each_has_its_licence():
    found = read_photographs()
    assert list(found) == sorted(PHOTOGRAPHS)
    for picture in found.values():
        assert picture.dtype == np.uint8
        assert picture.ndim == 2
        assert min(picture.shape) > 150
        assert picture.std() > 5
    assert all("CC0" in one or "public domain" in one or "no known copyright" in one for one in PHOTOGRAPHS.values())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_volumes": 0}, "a study needs at least 1 volume, found 0"),
        ({"num_slices": 0}, "a volume needs at least 1 slice, found 0"),
        ({"num_coils": (65,)}, r"coil counts must lie in 1\.\.64, found 65"),
        ({"matrix": (20, 90)}, "a matrix is readout,phase of at least 32, found 20,90; try 320,320"),
        ({"seed": -1}, "a seed is 0 or more, found -1"),
    ],
)
def test_settings_out_of_range_are_one_line(tmp_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        MixedStudy(**({"folder": tmp_path, "num_volumes": 1} | settings))


def test_a_study_of_other_settings_is_not_mixed_in(is_read, own, tmp_path):
    study = MixedStudy(folder=tmp_path, num_volumes=1, template=own, **SMALL)
    simulate_study(study)
    noted = json.loads((tmp_path / "simulation-mixed.json").read_text())
    assert len(noted["photographs_sha256"]) == 64
    with pytest.raises(ConfigError, match="holds a mixed study with other settings"):
        simulate_study(dataclasses.replace(study, seed=3))
