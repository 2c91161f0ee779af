"""fastMRI's sets as published: ../shared/spec/reference-systems.md and field.md."""

import pytest

from mrikit.data import published_shapes


@pytest.mark.parametrize(
    ("challenge", "anatomy", "side", "volumes", "slices", "kspace"),
    [
        ("multicoil", "knee", "train", 973, 34742, (15, 640, 368)),
        ("multicoil", "knee", "val", 199, 7135, (15, 640, 368)),
        ("singlecoil", "knee", "train", 973, 34742, (1, 640, 368)),
        ("multicoil", "brain", "train", 4469, 70748, (16, 640, 320)),
        ("multicoil", "brain", "val", 1378, 21842, (16, 640, 320)),
    ],
)
def test_a_set_has_its_volumes_and_slices(challenge, anatomy, side, volumes, slices, kspace):
    shapes = published_shapes(challenge, anatomy, side)
    assert (len(shapes), sum(shape.num_slices for shape in shapes)) == (volumes, slices)
    assert {shape.kspace for shape in shapes} == {kspace}


def test_no_anatomy_is_all_of_them_and_what_does_not_exist_is_none():
    assert len(published_shapes("multicoil", "", "train")) == 973 + 4469
    assert published_shapes("singlecoil", "brain", "train") == ()
