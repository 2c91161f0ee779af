import time

import numpy as np
import pytest
import sigpy.mri
from scipy.spatial import cKDTree

from mrikit.errors import ConfigError
from mrikit.masks import MASK_KINDS, MaskPlan, sample_mask
from mrikit.masks.kinds.poisson import _beyond, _expected_slope

SHAPE = (96, 80)


def draw(kind, acceleration=4.0, shape=SHAPE, seed=0, center_fraction=0.08, **settings):
    plan = MaskPlan(kind=kind, acceleration=acceleration, center_fraction=center_fraction, settings=settings)
    return sample_mask(plan, shape, np.random.RandomState(seed))


def middle(samples, center):
    starts = [(size - part + 1) // 2 for size, part in zip(samples.shape, center, strict=True)]
    return samples[tuple(slice(start, start + part) for start, part in zip(starts, center, strict=True))]


DENSITIES = ["variable_density", "variable_density_2d", "gaussian", "gaussian_2d"]


@pytest.mark.parametrize("kind", ["center", "poisson_disc", *DENSITIES])
@pytest.mark.parametrize("acceleration", [1.5, 2, 4, 7.3])
@pytest.mark.parametrize("seed", [0, 1])
def test_as_many_samples_as_asked_for_are_drawn_with_the_center(kind, acceleration, seed):
    mask = draw(kind, acceleration, seed=seed)
    assert mask.samples.sum() == round(mask.samples.size / acceleration)
    assert mask.true_acceleration == pytest.approx(mask.samples.size / mask.samples.sum())


@pytest.mark.parametrize("kind", sorted(MASK_KINDS))
def test_lines_have_the_phase_axis_only_and_patterns_both(kind):
    assert draw(kind).samples.shape == (SHAPE if MASK_KINDS[kind].is_2d else SHAPE[1:])
    assert MaskPlan(kind=kind).is_2d == MASK_KINDS[kind].is_2d


@pytest.mark.parametrize("kind", ["variable_density_2d", "gaussian_2d", "poisson_disc"])
@pytest.mark.parametrize(("settings", "center"), [({}, (8, 6)), ({"center": (12, 20)}, (12, 20))])
def test_the_center_of_a_pattern_is_full_in_rows_and_columns(kind, settings, center):
    mask = draw(kind, **settings)
    assert mask.center == center
    assert mask.num_center_lines == min(center)
    assert middle(mask.samples, center).all()


def test_the_center_kind_is_one_block_in_the_middle():
    mask = draw("center", 5)
    assert np.flatnonzero(mask.samples).tolist() == list(range(32, 48))
    assert mask.num_center_lines == 16


@pytest.mark.parametrize("power", [0.0, 1.0, 3.0])
def test_the_density_of_lines_falls_as_the_power_of_the_distance(power):
    masks = [draw("variable_density", 6, center_fraction=0, seed=seed, power=power) for seed in range(3000)]
    density = np.mean([mask.samples for mask in masks], axis=0)
    law = (1 - np.abs(np.arange(80) - 40) / 41) ** power
    scale = density[(density < 0.99) & (law > 0.05)].sum() / law[(density < 0.99) & (law > 0.05)].sum()
    np.testing.assert_allclose(density, np.minimum(scale * law, 1), atol=0.04)


def test_the_density_of_a_pattern_falls_with_the_distance():
    samples = np.mean([draw("variable_density_2d", 6, seed=seed, power=2.0).samples for seed in range(300)], axis=0)
    y, x = np.abs(np.arange(96) - 48) / 49, np.abs(np.arange(80) - 40) / 41
    law = (1 - np.hypot.outer(y, x) / np.sqrt(2)) ** 2
    near, far = (samples[(law > low) & (law < low + 0.05)].mean() / (low + 0.025) for low in (0.3, 0.1))
    assert near == pytest.approx(far, rel=0.05)


@pytest.mark.parametrize("sigma", [0.2, 0.5])
def test_lines_are_as_dense_as_a_gaussian(sigma):
    masks = [draw("gaussian", 10, center_fraction=0, seed=seed, sigma=sigma) for seed in range(3000)]
    density = np.mean([mask.samples for mask in masks], axis=0)
    law = np.exp(-(((np.arange(80) - 40) / 41 / sigma) ** 2) / 2)
    is_drawn = density < 0.99
    scale = density[is_drawn].sum() / law[is_drawn].sum()
    np.testing.assert_allclose(density, np.minimum(scale * law, 1), atol=0.04)


def test_a_pattern_is_as_dense_as_a_gaussian_along_both_axes():
    samples = np.mean([draw("gaussian_2d", 10, center_fraction=0, seed=seed).samples for seed in range(400)], axis=0)
    distance = np.hypot.outer((np.arange(96) - 48) / 49, (np.arange(80) - 40) / 41)
    law = np.exp(-((distance / 0.35) ** 2) / 2)
    near, far = (
        (samples[ring].sum() / law[ring].sum()) for ring in ((abs(distance - 0.5) < 0.1), (abs(distance - 0.8) < 0.1))
    )
    assert near == pytest.approx(far, rel=0.05)


def test_a_narrow_gaussian_still_fills_the_budget():
    assert draw("gaussian_2d", 2, sigma=0.01).samples.sum() == 96 * 80 // 2


@pytest.fixture(scope="module")
def patterns():
    ours = draw("poisson_disc", 6, shape=(192, 160), center=(16, 16))
    # Sigpy keeps no generator of its own; its seed is an argument.
    theirs = np.abs(sigpy.mri.poisson((192, 160), 6, calib=(16, 16), seed=1)) > 0
    return ours, theirs


def test_poisson_discs_are_as_dense_as_those_of_sigpy(patterns):
    ours, theirs = patterns
    beyond = np.hypot.outer(_beyond(192, 16), _beyond(160, 16))
    for low, high in ((0.05, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0)):
        ring = (beyond >= low) & (beyond < high)
        assert ours.samples[ring].mean() == pytest.approx(theirs[ring].mean(), rel=0.15), (low, high)


def nearest(samples, least_beyond):
    """Distance from each point to the next, along the readout; the phase axis is stretched to the same size."""
    beyond = np.hypot.outer(_beyond(192, 16), _beyond(160, 16))
    points = np.argwhere(samples & (beyond > 0))
    found = cKDTree(points * (1, 192 / 160)).query(points * (1, 192 / 160), k=2)[0][:, 1]
    beyond = beyond[tuple(points.T)]
    return found[beyond > least_beyond], beyond[beyond > least_beyond]


def test_no_two_points_of_a_poisson_disc_are_nearer_than_their_distance(patterns):
    samples = patterns[0].samples
    beyond = np.hypot.outer(_beyond(192, 16), _beyond(160, 16))
    slope = _expected_slope((beyond > 0) & (beyond < 1), beyond, samples[beyond > 0].sum())
    distance, own = nearest(samples, 0)
    # Lost are the part of the grid, and half a sample because the middle of a disc lies anywhere in its sample; the
    # disc may be that of the other point, up to 4 samples nearer to the centre.
    lost = (0.2 + 0.375 * np.sqrt(2)) * 192 / 160
    assert slope > 2
    assert (distance >= 0.835 * (1 + slope * (own - 4 / 72)) - lost).all()


def test_no_two_points_of_a_poisson_disc_clump(patterns):
    for least_beyond in (0.3, 0.6, 0.8):
        ours, theirs = (nearest(samples, least_beyond)[0].min() for samples in (patterns[0].samples, patterns[1]))
        assert ours >= theirs, least_beyond


def test_poisson_discs_leave_no_hole(patterns):
    ours, theirs = patterns

    def widest(samples):
        points = np.stack(np.nonzero(samples), axis=1)
        inside = np.argwhere(np.hypot.outer(_beyond(192, 16), _beyond(160, 16)) < 0.95)
        return cKDTree(points).query(inside)[0].max()

    assert widest(ours.samples) < 1.6 * widest(theirs)


def test_the_corners_are_left_out_unless_asked_for():
    corner = np.hypot.outer(_beyond(96, 8), _beyond(80, 6)) >= 1
    assert not draw("poisson_disc").samples[corner].any()
    assert draw("poisson_disc", has_corners=True).samples[corner].any()


@pytest.mark.parametrize("kind", ["poisson_disc", *DENSITIES])
def test_the_generator_alone_decides(kind):
    assert (draw(kind).samples == draw(kind).samples).all()
    assert (draw(kind).samples != draw(kind, seed=1).samples).any()


def test_a_poisson_disc_of_a_whole_slice_takes_about_a_second():
    start = time.process_time()
    draw("poisson_disc", 4, shape=(640, 368))
    assert time.process_time() - start < 4


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (
            "variable_density",
            {"center_fraction": 0.5},
            "the centre alone has 40 samples, but acceleration 4 allows 20 of",
        ),
        ("center", {"center_fraction": 0.5}, "the centre alone has 40 samples, but acceleration 4 allows 20 of 80;"),
        (
            "poisson_disc",
            {"center": (60, 60)},
            "the centre alone has 3600 samples, but acceleration 4 allows 1920 of 7680",
        ),
        ("variable_density_2d", {"center": (97, 4)}, "a centre of 97 x 4 does not fit into k-space of 96 x 80"),
        ("variable_density_2d", {"center": (4,)}, "is rows and columns, such as 24,24; found 4"),
        ("poisson_disc", {"acceleration": 1.1}, "poisson_disc leaves out the corners: .*has_corners=true would do"),
        ("variable_density", {"power": -1}, "the power of a variable density is 0 or more, found -1"),
        ("gaussian", {"sigma": 0}, "the sigma of a Gaussian density is above 0, found 0"),
        ("gaussian_2d", {"center": (60, 60)}, "the centre alone has 3600 samples, but acceleration 4 allows 1920"),
        ("fixed", {"power": 2}, "the fixed mask has no setting 'power'; it has none"),
        ("variable_density", {"pover": 2}, "no setting 'pover'; did you mean 'power'?"),
    ],
)
def test_what_a_kind_cannot_do_is_one_clear_line(kind, change, message):
    with pytest.raises(ConfigError, match=message) as raised:
        draw(kind, **change)
    assert "\n" not in str(raised.value)
