"""The classifier of orientation: what it sees, and what it refuses."""

import pytest
import torch

from mrikit.errors import ConfigError, DataError
from mrikit.models import CLASSIFIERS, JUDGES, LEARNED, build_model, model_settings
from mrikit.models.orientation_discriminators import show_dark
from mrikit.models.orientation_net import OrientationNet, OrientationNetConfig


def networks(**settings):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return OrientationNet(OrientationNetConfig(**settings)).eval()


def images(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_it_judges_images_and_makes_none():
    assert "orientation_net" in JUDGES
    assert "orientation_net" not in LEARNED | CLASSIFIERS
    assert model_settings(build_model("orientation_net")) == {"kind": "shallow", "count": 1, "sees_dark": False}


def test_an_image_that_is_turned_back_is_the_image():
    """Anatomy tells nothing: it lies alike in both orientations."""
    network, image = networks(kind="simple"), images(2, 9, 12)
    with torch.inference_mode():
        as_it_is = network(image, torch.tensor([False, False]))
        turned_back = network(image.mT.contiguous(), torch.tensor([True, True]))
    assert as_it_is.shape == (2,)
    assert torch.equal(as_it_is, turned_back)


def test_brightness_tells_nothing():
    network, image = networks(kind="simple"), images(1, 8, 8)
    sides = torch.tensor([False])
    with torch.inference_mode():
        torch.testing.assert_close(network(image, sides), network(1e-6 * image, sides), rtol=1e-3, atol=1e-4)


def test_it_may_be_shown_dark_places():
    image, sides = images(2, 8, 8) ** 4, torch.tensor([False, True])
    with torch.inference_mode():
        expected = networks(kind="simple")(show_dark(image), sides)
        assert torch.equal(networks(kind="simple", sees_dark=True)(image, sides), expected)
        assert not torch.equal(networks(kind="simple")(image, sides), expected)


def test_several_vote_by_their_mean():
    network, image = networks(kind="simple", count=2), images(1, 8, 8)
    with torch.inference_mode():
        found = network(image, torch.tensor([False]))
        votes = network.discriminators(
            ((image - image.mean()) / image[:, None].expand(-1, 3, -1, -1).std()).expand(3, -1, -1)[None]
        )
    assert votes[0, 0] != votes[0, 1]
    torch.testing.assert_close(found, votes.mean(1), rtol=1e-3, atol=1e-4)


def test_images_that_are_too_small_are_one_line():
    with pytest.raises(DataError, match=r"shallow needs images of 16 x 16 or more, found 12 x 20; take simple$"):
        networks()(images(1, 12, 20), torch.tensor([False]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "deep"}, r"needs a kind of shallow, wide, simple, resnet50, unpooled_resnet50, narrow, found 'deep'"),
        ({"count": 0}, "count of at least 1, found 0"),
    ],
)
def test_settings_that_name_no_network_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        OrientationNetConfig(**settings)
