import numpy as np
import pytest

from mrikit.simulate.ellipse_coils import _dipole, ellipse_coil_maps

PLACE = np.linspace(-60, 60, 13, dtype=np.float32)


def maps(num_coils=8, key=(0, "a"), z=0.0, fov_mm=(120.0, 120.0)):
    return ellipse_coil_maps(num_coils, key, PLACE, PLACE, z, fov_mm)


def test_together_they_see_the_middle_as_it_is_and_every_coil_its_side_best():
    found = maps()
    assert np.sqrt((np.abs(found) ** 2).sum(0))[6, 6] == pytest.approx(1, abs=1e-5)
    brightest = {np.unravel_index(np.abs(one).argmax(), one.shape) for one in found}
    assert len(brightest) >= 4
    assert all(0 in place or 12 in place for place in brightest)


def test_a_coil_on_its_own_axis_has_the_dipole_s_field():
    # Along the axis of a coil X'/r is 1: the field is 2 / r^3 and real.
    found = maps(2, key=(3, "b"))
    ratio = np.abs(found[:, 6, 6])
    assert ratio[0] == pytest.approx(ratio[1])
    np.testing.assert_allclose(np.angle(found[:, 6, 6]), 0, atol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.5, 4.0])
def test_a_coil_sees_both_parts_of_the_field_of_its_dipole(angle):
    height, width, z = 120.0, 90.0, 30.0
    moment = np.array([np.cos(angle), np.sin(angle), 0])
    aside = np.array([-np.sin(angle), np.cos(angle), 0])
    coil = np.array([height, width, 0]) * moment
    place = np.stack(np.meshgrid(PLACE, PLACE / 2, [z], indexing="ij"), -1)[:, :, 0] - coil
    distance = np.linalg.norm(place, axis=-1, keepdims=True)
    towards = place / distance
    field = (3 * (towards @ moment)[..., None] * towards - moment) / (distance / height) ** 3
    found = _dipole(angle, PLACE, PLACE / 2, z, (height, width))
    np.testing.assert_allclose(found, field @ moment + 1j * (field @ aside), rtol=1e-5, atol=1e-6)


def test_away_from_their_plane_they_see_less():
    assert np.abs(maps(z=60.0)[:, 6, 6]).max() < np.abs(maps()[:, 6, 6]).max()


def test_each_volume_has_coils_of_its_own():
    assert np.abs(maps(key=(0, "b")) - maps()).max() > 0.01


def test_one_coil_sees_everything_alike():
    assert (maps(1) == 1).all()
