"""Linear prediction of unmeasured k-space."""

import numpy as np
import pytest
import torch

from mrikit.errors import ConfigError
from mrikit.physics.linear_prediction import LinearPrediction, PredictionConfig
from mrikit.randomness import generator


def random_kspace(*shape):
    parts = generator("kspace", *shape).standard_normal((*shape, 2)).astype(np.float32)
    return torch.view_as_complex(torch.from_numpy(parts))


def predicted(kspace, config=None):
    return LinearPrediction(kspace, config or PredictionConfig(kernel=(3, 3), regularization=1e-9))


@pytest.mark.parametrize("padding", ["circular", "zero"])
def test_the_error_is_that_of_an_explicit_least_squares_fit(padding):
    kspace = random_kspace(3, 2, 8, 6)
    mask = np.zeros((8, 6), bool)
    mask[::2, ::2] = mask[0, 1] = True  # sources in several patterns
    full = kspace.numpy() / np.sqrt((np.abs(kspace.numpy()) ** 2).sum((1, 2, 3), keepdims=True))
    mode = {"circular": "wrap", "zero": "constant"}[padding]
    wide, wide_mask = np.pad(full, ((0, 0), (0, 0), (1, 1), (1, 1)), mode), np.pad(mask, 1, mode)
    error = 0.0
    for row, column in zip(*np.nonzero(~mask), strict=True):
        taken = wide_mask[row : row + 3, column : column + 3]
        sources, targets = [], []
        for y, x in np.ndindex(8, 6):  # the kernel is fitted at all places
            sources.append(wide[:, :, y : y + 3, x : x + 3][:, :, taken].reshape(3, -1))
            targets.append(full[:, :, y, x])
        weights = np.linalg.lstsq(np.concatenate(sources), np.concatenate(targets), rcond=None)[0]
        place = row * 6 + column
        error += (np.abs(targets[place] - sources[place] @ weights) ** 2).sum() / 3
    config = PredictionConfig(kernel=(3,), padding=padding, regularization=1e-9)
    assert predicted(kspace, config).error(torch.from_numpy(mask)) == pytest.approx(error, rel=1e-4)


def test_all_samples_leave_no_error_and_none_leave_all():
    prediction = predicted(random_kspace(2, 2, 6, 6))
    assert prediction.error(torch.ones(6, 6, dtype=torch.bool)) == 0
    assert prediction.error(torch.zeros(6, 6, dtype=torch.bool)) == pytest.approx(1, rel=1e-5)


def test_a_mask_that_leaves_bright_samples_out_errs_more():
    kspace = random_kspace(2, 1, 6, 6)
    kspace[..., 3, 3] *= 20
    mask = torch.zeros(6, 6, dtype=torch.bool)
    mask[3, 3] = True
    assert predicted(kspace).error(mask) < 0.5 * predicted(kspace).error(mask.roll(2, 0))


def test_coils_that_see_shifts_of_each_other_are_predicted_without_error():
    first = random_kspace(4, 1, 12, 12)
    kspace = torch.cat([first, first.roll(-1, -1)], 1)  # a linear phase in the image
    mask = torch.zeros(12, 12, dtype=torch.bool)
    mask[:, ::2] = True
    # Each column of one coil that was not measured is a measured one of the other.
    assert predicted(kspace).error(mask) < 1e-6
    assert predicted(first).error(mask) > 0.4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kernel": (4, 4)}, "prediction.kernel is odd rows and columns, such as 5,5; found 4,4"),
        ({"padding": "mirror"}, "prediction.padding is zero or circular, found 'mirror'"),
        ({"regularization": 0.0}, "prediction.regularization is more than 0, found 0"),
    ],
)
def test_bad_settings_are_one_line(settings, message):
    with pytest.raises(ConfigError, match=message):
        PredictionConfig(**settings)


def test_a_kernel_larger_than_circular_kspace_is_refused():
    with pytest.raises(ConfigError, match=r"prediction\.kernel 9 x 9 is larger than k-space"):
        predicted(random_kspace(1, 1, 3, 3), PredictionConfig(kernel=(9,)))
