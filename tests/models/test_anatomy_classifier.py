import pytest
import torch
from helpers import complex_normal, relative_error
from phantoms import make_kspace

from mrikit.errors import ConfigError
from mrikit.models import CLASSIFIERS, LEARNED, build_model, model_settings
from mrikit.models.anatomy_classifier import ANATOMIES, AnatomyNet, AnatomyNetConfig, guess_anatomy
from mrikit.physics.fft import fft2c, ifft2c
from mrikit.volumes.snu import ANATOMIES as KNOWN_ANATOMIES

MASK, CENTER = torch.ones(1, 1, 1, 1, dtype=torch.bool), torch.tensor([1])


@pytest.fixture
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AnatomyNet(AnatomyNetConfig()).eval()


def logits_of(network, kspace):
    with torch.inference_mode():
        return network(kspace, MASK, CENTER)


def test_it_is_a_classifier_of_the_anatomies_that_files_name_with_few_weights():
    model = build_model("anatomy_net")
    assert "anatomy_net" in CLASSIFIERS
    assert "anatomy_net" not in LEARNED
    assert set(ANATOMIES) == set(KNOWN_ANATOMIES)
    assert sum(weight.numel() for weight in model.parameters()) <= 300_000
    assert model_settings(model) == {"num_channels": 8, "num_layers": 5, "image_size": 64}


@pytest.mark.parametrize("size", [(64, 60), (33, 47), (640, 368), (8, 9)])
@pytest.mark.parametrize("num_coils", [1, 5])
def test_images_of_any_size_and_number_of_coils_give_float32_logits(network, size, num_coils):
    logits = logits_of(network, complex_normal((2, num_coils, *size)))
    assert logits.shape == (2, len(ANATOMIES))
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


def test_every_slice_of_a_batch_is_judged_alone(network):
    kspace = complex_normal((3, 2, 40, 36))
    alone = torch.cat([logits_of(network, one[None]) for one in kspace])
    torch.testing.assert_close(logits_of(network, kspace), alone)
    assert (alone[0] - alone[1]).abs().max() > 1e-4


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e9])
def test_the_scale_of_the_data_does_not_matter(network, scale):
    kspace = make_kspace()[None]
    assert relative_error(logits_of(network, scale * kspace), logits_of(network, kspace)) < 1e-4


def test_flips_and_quarter_turns_do_not_matter(network):
    image = ifft2c(make_kspace(size=(64, 64)))
    image[..., :20, :] *= 2  # no symmetry of its own
    expected = logits_of(network, fft2c(image)[None])
    for turns in range(4):
        turned = torch.rot90(image, turns, (-2, -1))
        for same in (turned, turned.flip(-1)):
            assert relative_error(logits_of(network, fft2c(same)[None]), expected) < 1e-4
    moved = torch.roll(image, 20, -1)
    assert relative_error(logits_of(network, fft2c(moved)[None]), expected) > 1e-3


def test_an_empty_slice_gives_no_nan_and_finite_gradients(network):
    kspace = torch.stack([torch.zeros(2, 32, 32, dtype=torch.complex64), complex_normal((2, 32, 32))])
    logits = network(kspace, MASK, CENTER)
    logits.logsumexp(-1).sum().backward()
    assert logits.isfinite().all()
    for weight in network.parameters():
        assert weight.grad.isfinite().all()
        assert weight.grad.abs().max() > 0


def test_the_confidence_is_the_mean_probability_of_the_slices():
    logits = torch.tensor([[0.0, 1.0], [0.0, 3.0], [2.0, 0.0]])
    expected = (logits[:, 1] - logits[:, 0]).sigmoid().mean()
    found = guess_anatomy(logits)
    assert found.anatomy == "knee"
    assert found.confidence == pytest.approx(float(expected))
    assert not found.is_known


@pytest.mark.parametrize(("probability", "is_known"), [(0.79, False), (0.81, True)])
def test_a_volume_is_unknown_below_a_confidence_of_0_8(probability, is_known):
    logits = torch.tensor([[probability, 1 - probability]]).log()
    assert guess_anatomy(logits)[0] == "brain"
    assert guess_anatomy(logits).is_known is is_known


def test_one_odd_slice_does_not_outvote_the_others():
    assert guess_anatomy(torch.tensor([[0.0, 2.0], [0.0, 2.0], [50.0, 0.0]])).anatomy == "knee"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_layers": 0}, "anatomy_net needs num_channels and num_layers of at least 1, found 8 and 0"),
        ({"image_size": 8}, "5 layers need an image_size of at least 32, found 8"),
    ],
)
def test_settings_out_of_range_are_one_clear_line(settings, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        AnatomyNetConfig(**settings)
