import numpy as np
import pytest

from mrikit.randomness import generator
from mrikit.simulate.fields import periodic_field, random_field

ROWS = np.linspace(-200, 200, 401, dtype=np.float32)


def field(*key, depth=0.0, rows=ROWS, columns=ROWS, scale=(6.0, 6.0, 6.0)):
    return random_field(key, rows, columns, depth, scale=scale)


def test_a_random_field_has_mean_0_and_variance_1():
    values = np.stack([field(0, "a", depth=40.0 * i) for i in range(8)])
    assert abs(values.mean()) < 0.05
    assert values.var() == pytest.approx(1, abs=0.05)


def test_a_field_does_not_depend_on_the_grid_that_samples_it():
    part = field(0, "a", rows=ROWS[100:300], columns=ROWS[7:50:3])
    np.testing.assert_allclose(part, field(0, "a")[100:300, 7:50:3], atol=2e-4)


def test_neighbouring_planes_are_alike_and_distant_ones_are_not():
    first, near, far = (field(0, "a", depth=depth) for depth in (0.0, 1.0, 60.0))
    assert np.corrcoef(first.ravel(), near.ravel())[0, 1] > 0.95
    assert abs(np.corrcoef(first.ravel(), far.ravel())[0, 1]) < 0.1


def test_without_a_slice_scale_every_plane_is_independent_but_repeatable():
    def plane(depth):
        return field(0, "a", depth=depth, scale=(None, 6.0, 6.0))

    np.testing.assert_array_equal(plane(3.0), plane(3.0))
    assert abs(np.corrcoef(plane(3.0).ravel(), plane(3.1).ravel())[0, 1]) < 0.1
    assert plane(3.0).var() == pytest.approx(1, abs=0.1)


def test_a_periodic_field_closes_without_a_step():
    values = periodic_field((0, "a"), ROWS[:50], 600, 0.0, scale=(10.0, 12.0), num_nodes=40)
    steps = np.abs(np.diff(values, axis=1))
    assert np.abs(values[:, 0] - values[:, -1]).max() <= steps.max()
    assert values.std() == pytest.approx(1, abs=0.3)


def test_generators_of_different_names_are_independent_and_of_the_same_name_equal():
    first, same = generator(1, "a", -3).random(8), generator(1, "a", -3).random(8)
    np.testing.assert_array_equal(first, same)
    for other in ((1, "a", 3), (1, "b", -3), (2, "a", -3), (1, "a")):
        assert not np.array_equal(first, generator(*other).random(8))
