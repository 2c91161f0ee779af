from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import complex_normal

from mrikit.config import build_config
from mrikit.data import AugmentConfig, SampleId, make_augment
from mrikit.data.augment import draw_geometry, probability
from mrikit.data.geometry import UNCHANGED, transform
from mrikit.errors import ConfigError
from mrikit.physics.fft import fft2c, ifft2c
from mrikit.randomness import generator

NOTHING = AugmentConfig(
    schedule="constant",
    strength=1,
    fliph_weight=0,
    flipv_weight=0,
    rot90_weight=0,
    translation_weight=0,
    rotation_weight=0,
    shearing_weight=0,
    scaling_weight=0,
)
TRANSFORMS = ("fliph", "flipv", "rot90", "translation", "rotation", "shearing", "scaling")
ALL = replace(NOTHING, **{f"{name}_weight": 1 for name in TRANSFORMS})
SOME = replace(NOTHING, **{f"{name}_weight": 0.15 for name in TRANSFORMS})
SAMPLES = [SampleId("a", 0), SampleId("a", 1), SampleId("b", 0), SampleId("c", 7), SampleId("d", 2), SampleId("e", 3)]


@pytest.mark.parametrize(
    ("delay", "num_epochs", "decay", "epoch", "expected"),
    [
        (15, 35, 10, 16, 0.3935),
        (15, 35, 10, 17, 0.632),
        (15, 35, 10, 20, 0.918),
        (15, 35, 10, 25, 0.993),
        (15, 35, 10, 30, 0.9995),
        (30, 45, 100, 31, 0.9987),
        (30, 45, 100, 32, 1),
    ],
)
def test_the_probability_grows_as_in_the_challenge_entry(delay, num_epochs, decay, epoch, expected):
    config = AugmentConfig(schedule="exp", strength=1, delay_epochs=delay, num_epochs=num_epochs, decay=decay)
    # The challenge entry counts epochs from 1.
    assert probability(config, epoch - 1) == pytest.approx(expected, abs=6e-5 if expected < 0.5 else 5e-4)
    assert probability(replace(config, strength=0.6), epoch - 1) == pytest.approx(0.6 * probability(config, epoch - 1))


@pytest.mark.parametrize("schedule", ["constant", "ramp", "exp"])
def test_nothing_is_augmented_before_the_delay_is_over_and_never_more_than_the_strength(schedule):
    config = AugmentConfig(schedule=schedule, strength=0.8, delay_epochs=3, num_epochs=13)
    assert [probability(config, epoch) for epoch in (0, 2)] == [0, 0]
    assert make_augment(config, seed=0, epoch=2) is None
    assert make_augment(config, seed=0, epoch=3) is not None
    assert [probability(config, epoch) for epoch in (12, 13, 99)] == pytest.approx([0.8] * 3)


def test_a_ramp_is_straight_and_a_constant_is_there_at_once():
    config = AugmentConfig(schedule="ramp", strength=0.8, delay_epochs=2, num_epochs=6)
    assert [probability(config, epoch) for epoch in range(1, 6)] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert probability(replace(config, schedule="constant"), 2) == 0.8


def test_without_strength_there_is_no_augmentation():
    assert make_augment(AugmentConfig(), seed=0, epoch=50) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule": "linear"}, "augment.schedule is one of constant, ramp, exp, found 'linear'"),
        ({"interpolation": "nearest"}, "augment.interpolation is one of linear, cubic, found 'nearest'"),
        ({"strength": 1.5}, "augment.strength is a probability in [0, 1], found 1.5"),
        ({"fliph_weight": -1}, "augment.fliph_weight is a probability in [0, 1], found -1"),
        ({"scaling_weight": float("nan")}, "augment.scaling_weight is a probability in [0, 1], found nan"),
        ({"decay": 0}, "augment.decay is above 0, found 0; try 5"),
        ({"delay_epochs": -1}, "augment.delay_epochs is 0 or more, found -1"),
        (
            {"schedule": "exp", "strength": 1, "delay_epochs": 15, "num_epochs": 15},
            (
                "augment.num_epochs is the epoch at which the exp ends, beyond the delay of 15; found 15; "
                "give the run's last epoch, or augment.schedule=constant"
            ),
        ),
        (
            {"max_translation": (0.1, 0.6)},
            "augment.max_translation is in [0, 0.5], beyond which the content leaves the image; found 0.1,0.6; try",
        ),
        (
            {"max_translation": (0.1,)},
            "augment.max_translation is two numbers, one for each axis, found 0.1; try 0.125,0.125",
        ),
        (
            {"max_shearing": (46, 5)},
            "augment.max_shearing is in [0, 45], beyond which the content leaves the image; fo",
        ),
        (
            {"max_scaling": 0.6},
            "augment.max_scaling is in [0, 0.5], beyond which the content leaves the image; found 0.6",
        ),
        ({"max_scaling": float("nan")}, "augment.max_scaling is in [0, 0.5], beyond which the content leaves"),
        ({"max_rotation": 181}, "augment.max_rotation is in [0, 180], found 181; try 180"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(change, message):
    with pytest.raises(ConfigError) as caught:
        AugmentConfig(**change)
    assert str(caught.value).startswith(message)


def test_settings_can_be_given_as_words():
    words = {"strength": "0.6", "max_translation": "0.1,0.08", "upsample": "true", "interpolation": "cubic"}
    expected = AugmentConfig(
        strength=0.6, num_epochs=9, max_translation=(0.1, 0.08), upsample=True, interpolation="cubic"
    )
    assert build_config(AugmentConfig, {**words, "num_epochs": "9"}, "augment") == expected


def draws(config, count=4000, chance=1.0, size=(100, 60)):
    rng = generator(7, "test")
    return [draw_geometry(config, chance, rng, size) for _ in range(count)]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_weight_times_the_probability_is_the_share_of_images_that_one_transform_changes(name):
    config = replace(NOTHING, **{f"{name}_weight": 0.6}, max_translation=(0.5, 0.5))
    drawn = draws(config, chance=0.5)
    changed = [geometry for geometry in drawn if geometry != UNCHANGED]
    assert len(changed) / len(drawn) == pytest.approx(0.3, abs=0.03)
    fields = {
        "fliph": "is_flipped_h",
        "flipv": "is_flipped_v",
        "rot90": "num_quarter_turns",
        "translation": "shift",
        "rotation": "rotation_deg",
        "shearing": "shearing_deg",
        "scaling": "scale",
    }
    for geometry in changed:
        assert geometry == replace(UNCHANGED, **{fields[name]: getattr(geometry, fields[name])})


def test_draws_fill_their_range_evenly_and_stay_inside():
    config = replace(ALL, max_translation=(0.1, 0.25), max_rotation=30, max_shearing=(5, 12), max_scaling=0.2)
    drawn = draws(config)
    turns = np.bincount([geometry.num_quarter_turns for geometry in drawn])
    assert turns[0] == 0
    np.testing.assert_allclose(turns[1:] / len(drawn), 1 / 3, atol=0.03)
    values = {
        10: [geometry.shift[0] for geometry in drawn],
        15: [geometry.shift[1] for geometry in drawn],
        30: [geometry.rotation_deg for geometry in drawn],
        5: [geometry.shearing_deg[0] for geometry in drawn],
        12: [geometry.shearing_deg[1] for geometry in drawn],
        0.2: [geometry.scale - 1 for geometry in drawn],
    }
    for largest, found in values.items():
        assert max(np.abs(found)) <= largest
        assert np.mean(found) == pytest.approx(0, abs=0.04 * largest)
        # Shifts are cut to whole pixels, towards 0.
        assert np.mean(np.abs(found)) == pytest.approx(largest / 2, abs=0.06 * largest)


def test_another_weight_changes_no_other_transform():
    both = draws(replace(NOTHING, rotation_weight=0.5, fliph_weight=1), count=100)
    alone = draws(replace(NOTHING, rotation_weight=0.5), count=100)
    assert [geometry.rotation_deg for geometry in both] == [geometry.rotation_deg for geometry in alone]
    assert all(geometry.is_flipped_h for geometry in both)


def test_a_sample_is_transformed_alike_in_any_batch_and_order():
    kspace = complex_normal((6, 3, 2, 14, 10))
    augment = make_augment(SOME, seed=4, epoch=2)
    together = augment(kspace, SAMPLES)
    assert 2 <= sum(together.is_changed) <= 5
    order = [4, 2, 5, 0, 3, 1]
    shuffled = augment(kspace[order], [SAMPLES[row] for row in order])
    for place, row in enumerate(order):
        alone = augment(kspace[row : row + 1], [SAMPLES[row]])
        assert alone.is_changed[0] == together.is_changed[row] == shuffled.is_changed[place]
        for other in (alone.kspace[0], shuffled.kspace[place]):
            assert torch.allclose(other, together.kspace[row], atol=1e-5)


def test_what_no_transform_changed_has_the_same_bits():
    kspace = complex_normal((6, 3, 2, 14, 10))
    before = kspace.clone()
    augmented = make_augment(SOME, seed=4, epoch=2)(kspace, SAMPLES)
    for row, is_changed in enumerate(augmented.is_changed):
        assert torch.equal(augmented.kspace[row], kspace[row]) != is_changed
    assert torch.equal(kspace, before)


@pytest.mark.parametrize("name", ["translation", "rotation", "shearing", "scaling"])
def test_a_transform_of_size_zero_changes_nothing(name):
    maxima = {"max_translation": (0, 0), "max_rotation": 0, "max_shearing": (0, 0), "max_scaling": 0}
    config = replace(NOTHING, **{f"{name}_weight": 1}, **maxima)
    kspace = complex_normal((2, 1, 2, 14, 10))
    augmented = make_augment(config, seed=0, epoch=0)(kspace, SAMPLES[:2])
    assert augmented.is_changed == (False, False)
    assert torch.equal(augmented.kspace, kspace)


def test_every_slice_of_every_volume_draws_its_own_transforms():
    kspace = complex_normal((1, 1, 2, 14, 10)).expand(6, -1, -1, -1, -1)
    augmented = make_augment(ALL, seed=4, epoch=2)(kspace, SAMPLES).kspace
    for row in range(6):
        for other in range(row):
            assert not torch.allclose(augmented[row], augmented[other], atol=0.1)


@pytest.mark.parametrize("other", [{"seed": 5}, {"epoch": 3}])
def test_seed_and_epoch_draw_other_transforms(other):
    kspace = complex_normal((1, 1, 2, 14, 10))
    first = make_augment(ALL, seed=4, epoch=2)(kspace, SAMPLES[:1]).kspace
    again = make_augment(ALL, seed=4, epoch=2)(kspace, SAMPLES[:1]).kspace
    second = make_augment(ALL, **{"seed": 4, "epoch": 2, **other})(kspace, SAMPLES[:1]).kspace
    assert torch.equal(first, again)
    assert not torch.allclose(first, second, atol=0.1)


@pytest.mark.parametrize("options", [{}, {"interpolation": "cubic"}, {"upsample": True}])
def test_augmented_full_kspace_gives_the_augmented_image(options):
    config = replace(ALL, **options)
    kspace = complex_normal((1, 3, 2, 18, 13))
    augmented = make_augment(config, seed=4, epoch=2)(kspace, SAMPLES[3:4])
    rng = generator(4, 2, "c", 7, "augment")
    geometry = draw_geometry(config, 1.0, rng, (18, 13))
    settings = {"interpolation": "linear", "upsample": False, **options}
    assert torch.allclose(ifft2c(augmented.kspace), transform(ifft2c(kspace), [geometry], **settings), atol=1e-5)
    for name in ("linear", "cubic"):
        other = {"interpolation": name, "upsample": False}
        if other != settings:
            different = fft2c(transform(ifft2c(kspace), [geometry], **other))
            assert not torch.allclose(augmented.kspace, different, atol=0.05)


def test_the_switch_of_the_data_range_travels_with_the_result():
    kspace = complex_normal((1, 1, 2, 14, 10))
    for uses_slice_max in (False, True):
        augment = make_augment(replace(ALL, uses_slice_max=uses_slice_max), seed=0, epoch=0)
        assert augment(kspace, SAMPLES[:1]).uses_slice_max is uses_slice_max


def test_gradients_flow_through_an_augmentation_to_every_element():
    kspace = complex_normal((6, 1, 2, 14, 10)).requires_grad_()
    augmented = make_augment(SOME, seed=4, epoch=2)(kspace, SAMPLES)
    augmented.kspace.abs().square().sum().backward()
    unchanged = torch.tensor([not is_changed for is_changed in augmented.is_changed])
    assert torch.allclose(kspace.grad[unchanged], 2 * kspace.detach()[unchanged])
    assert (kspace.grad[~unchanged].abs().amax((1, 2, 3, 4)) > 0.5).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("options", [{}, {"interpolation": "cubic"}, {"upsample": True}])
def test_an_augmentation_is_the_same_on_a_cuda_device(options):
    kspace = complex_normal((6, 3, 2, 18, 13))
    augment = make_augment(replace(SOME, **options), seed=4, epoch=2)
    here, there = augment(kspace, SAMPLES), augment(kspace.cuda(), SAMPLES)
    assert there.kspace.is_cuda
    assert here.is_changed == there.is_changed
    assert torch.allclose(there.kspace.cpu(), here.kspace, atol=1e-4)
