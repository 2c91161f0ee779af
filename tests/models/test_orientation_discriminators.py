import pytest
import torch

from mrikit.errors import ConfigError, DataError
from mrikit.models.orientation_discriminators import DISCRIMINATORS, Discriminators, as_inputs, show_dark

SMALLEST = {"shallow": 16, "wide": 16, "simple": 3, "resnet50": 32, "unpooled_resnet50": 16, "narrow": 16}


def images(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_an_image_is_turned_back_and_gets_mean_0_and_deviation_1():
    image = 1e-6 * images(2, 9, 9)
    inputs = as_inputs(image, torch.tensor([True, False]))
    expected = torch.stack([image[0].T, image[1]])
    for one, wanted in zip(inputs, expected, strict=True):
        assert torch.equal(one[0], one[2])
        wanted = wanted.expand(3, -1, -1)
        torch.testing.assert_close(one, (wanted - wanted.mean()) / wanted.std(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_transposed", [True, False])
def test_images_of_one_orientation_need_not_be_square(is_transposed):
    image = images(2, 8, 12)
    inputs = as_inputs(image, torch.tensor([is_transposed] * 2))
    assert inputs.shape == ((2, 3, 12, 8) if is_transposed else (2, 3, 8, 12))


def test_a_mixed_batch_that_is_not_square_is_one_clear_line():
    expected = r"^a batch of both orientations, of 8 x 12, which are no square; crop it to one, or batch each .*$"
    with pytest.raises(DataError, match=expected):
        as_inputs(images(2, 8, 12), torch.tensor([True, False]))


def test_the_gradient_passes_through_mean_and_deviation():
    """Neither brightness nor contrast of an image can be told: the gradient has no part along them."""
    image = images(1, 8, 8).requires_grad_()
    weight = images(1, 3, 8, 8, seed=1)
    (as_inputs(image, torch.tensor([False])) * weight).sum().backward()
    assert image.grad.abs().max() > 0.1
    assert abs(image.grad.sum()) < 1e-4
    assert abs((image.grad * image.detach()).sum()) < 1e-4


def test_dark_places_get_the_contrast_that_bright_ones_lose():
    image = 0.01 * images(1, 32, 32)
    image[:, 10:20, 10:20] += images(1, 10, 10, seed=1) + 1
    shown = show_dark(image)
    before, after = (values[0, 10:20, 10:20].std() / values[0, :10].std() for values in (image, shown))
    assert before > 50
    assert after < 0.5
    # In order, and of no scale.
    assert torch.equal(shown.flatten().argsort(), image.flatten().argsort())
    torch.testing.assert_close(show_dark(1e-6 * image), shown, rtol=1e-4, atol=1e-5)


def test_each_image_is_shown_by_itself_and_its_level_passes_no_gradient_on():
    image = images(2, 16, 16) * torch.tensor([1.0, 50.0])[:, None, None]
    torch.testing.assert_close(show_dark(image)[1], show_dark(image[1:])[0])
    level = image[0].flatten().quantile(0.1)
    image.requires_grad_()
    show_dark(image)[0].sum().backward()
    torch.testing.assert_close(image.grad[0], 1 / (image.detach()[0].square() + level.square()).sqrt())
    assert not image.grad[1].any()


def test_an_image_that_is_mostly_empty_has_finite_values():
    image = torch.zeros(2, 16, 16)
    image[0, 4:6, 4:6] = 3.0
    image.requires_grad_()
    shown = show_dark(image)
    shown.sum().backward()
    assert shown[0, 4, 4].item() == pytest.approx(torch.asinh(torch.tensor(1000.0)).item())
    assert not shown[1].any()
    assert torch.isfinite(image.grad).all()


@pytest.mark.parametrize("kind", DISCRIMINATORS)
def test_an_empty_slice_has_finite_logits_and_gradients(kind):
    size = SMALLEST[kind]
    image = torch.zeros(1, size, size, requires_grad=True)
    logits = Discriminators(kind)(as_inputs(image, torch.tensor([False])))
    logits.sum().backward()
    assert torch.isfinite(logits).all()
    assert torch.isfinite(image.grad).all()


@pytest.mark.parametrize("kind", DISCRIMINATORS)
def test_an_image_that_is_too_small_is_one_clear_line(kind):
    with torch.device("meta"):
        discriminators = Discriminators(kind)
        small = torch.zeros(1, 3, 40, SMALLEST[kind] - 1)
    expected = rf"^the discriminator {kind} needs images of (\d+) x \1 or more, found 40 x \d+; take .*$"
    with pytest.raises(DataError, match=expected):
        discriminators(small)


@torch.inference_mode()
def test_members_are_of_random_weights_each_and_judge_by_themselves():
    torch.manual_seed(0)
    both = Discriminators("simple", 2)
    inputs = as_inputs(images(3, 12, 12), torch.tensor([False, True, False]))
    logits = both(inputs)
    assert logits.shape == (3, 2)
    assert not torch.equal(logits[:, 0], logits[:, 1])
    for member, column in zip(both.members, logits.T, strict=True):
        torch.testing.assert_close(member(inputs)[:, 0], column)


@torch.inference_mode()
def test_each_image_is_judged_by_itself():
    torch.manual_seed(0)
    shallow = Discriminators("shallow")
    inputs = as_inputs(images(2, 16, 20), torch.tensor([False, False]))
    torch.testing.assert_close(shallow(inputs), torch.cat([shallow(inputs[:1]), shallow(inputs[1:])]))


def test_convolutions_begin_with_the_published_spread():
    torch.manual_seed(0)
    conv = Discriminators("shallow").members[0].resnet[0].conv_0
    assert conv.weight.std().item() == pytest.approx((2 / (64 * 25)) ** 0.5, rel=0.02)
    conv = Discriminators("resnet50").members[0].layer1[0].conv3
    assert conv.weight.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.05)


def test_another_kind_or_none_at_all_is_one_clear_line():
    with pytest.raises(ConfigError, match=r"^no discriminator is called 'deep'; there are shallow, wide, simple, resn"):
        Discriminators("deep")
    with pytest.raises(ConfigError, match=r"^an adversary needs at least 1 discriminator, found 0$"):
        Discriminators("simple", 0)
