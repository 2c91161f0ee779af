"""The directional excess: its dose response on simulated scans, and what does not move it."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import rankdata, spearmanr

from mrikit.errors import DataError
from mrikit.metrics import directional_excess
from mrikit.randomness import generator
from mrikit.simulate import ScanPlan, simulate_scan

SIZE = 256
PERIODS = (4.0, 7.0, 13.0)
"""Pixels."""
PHASES = (0.0, 2.0)
DOSES = (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008)
"""Amplitude of stripes over the maximum of the volume."""
SEEN = 0.002
"""The amplitude that has to be told from none: a fifth of a percent of the maximum."""


@pytest.fixture(scope="module")
def scans():
    """(slice, y, x) references of a brain and two knees, one with fat suppressed, which has twice the noise."""
    found = {}
    for anatomy, acquisition in (("brain", "AXT2"), ("knee", "CORPD_FBK"), ("knee", "CORPDFS_FBK")):
        plan = ScanPlan(
            seed=4,
            anatomy=anatomy,
            patient=1,
            acquisition=acquisition,
            num_coils=2,
            num_slices=2,
            matrix=(2 * SIZE, SIZE),
            recon_matrix=(SIZE, SIZE),
            num_acquired=SIZE,
            volume_id=acquisition,
            patient_id="p",
        )
        found[acquisition] = torch.from_numpy(simulate_scan(plan).volume.reference)
    return found


def without_direction(reference, number, noise=0.002, blur=0.6):
    """What a network without banding might make of it: a little less sharp, with other noise."""
    frequencies = torch.fft.fftfreq(SIZE)
    smooth = torch.exp(-2 * (math.pi * blur * frequencies) ** 2)
    image = torch.fft.ifft2(torch.fft.fft2(reference) * smooth * smooth[:, None]).real
    rng = generator(number, "without direction")
    fresh = torch.from_numpy(rng.standard_normal(reference.shape)).float()
    return (image + noise * reference.amax() * fresh).abs()


def with_bands(image, reference, dose, period, phase=0.0, dim=-1):
    """Stripes where the reference has little signal, which change along one axis."""
    stripes = torch.cos(2 * math.pi * torch.arange(SIZE) / period + phase)
    stripes = stripes if dim == -1 else stripes[:, None]
    where = torch.exp(-((reference / (0.1 * reference.amax())) ** 2))
    return (image + dose * reference.amax() * stripes * where).abs()


def counted(scores):
    return [score for score in scores if score is not None]


def test_the_score_follows_the_dose_whatever_the_period_and_the_phase(scans):
    for reference in scans.values():
        pooled = []
        for number, (period, phase) in enumerate((a, b) for a in PERIODS for b in PHASES):
            image = without_direction(reference, number)
            found = [directional_excess(with_bands(image, reference, dose, period, phase), reference) for dose in DOSES]
            for slice_scores in zip(*map(counted, found), strict=True):
                assert spearmanr(DOSES, slice_scores).statistic >= 0.95
            pooled += [(dose, score) for dose, scores in zip(DOSES, found, strict=True) for score in counted(scores)]
        assert spearmanr(*zip(*pooled, strict=True)).statistic >= 0.95


def test_bands_of_a_fifth_of_a_percent_are_told_from_none(scans):
    without, banded = [], []
    for reference in scans.values():
        for number, (period, phase) in enumerate((a, b) for a in PERIODS for b in PHASES):
            without += counted(directional_excess(without_direction(reference, number), reference))
            image = without_direction(reference, 100 + number)
            banded += counted(directional_excess(with_bands(image, reference, SEEN, period, phase), reference))
    ranks = rankdata([*without, *banded])[len(without) :]
    auc = (ranks.sum() - len(banded) * (len(banded) + 1) / 2) / (len(without) * len(banded))
    assert auc >= 0.9


def test_streaks_score_below_zero_and_as_far_as_bands(scans):
    reference = scans["AXT2"]
    bands = directional_excess(with_bands(reference, reference, 0.01, 6.0), reference)
    streaks = directional_excess(with_bands(reference, reference, 0.01, 6.0, dim=-2), reference)
    assert min(bands) > 5
    assert streaks == pytest.approx([-score for score in bands], abs=2)


def test_turning_everything_changes_nothing(scans):
    reference = scans["AXT2"][:, :240]
    image = with_bands(scans["AXT2"], scans["AXT2"], 0.004, 7.0)[:, :240]
    straight = directional_excess(image, reference)
    assert directional_excess(image.mT, reference.mT, phase_dim=-2) == pytest.approx(straight, abs=1e-5)
    assert directional_excess(image, reference, phase_dim=2) == straight
    assert directional_excess(image, reference, phase_dim=1) == pytest.approx([-one for one in straight], abs=1e-3)


def test_noise_and_blurring_without_direction_hardly_count(scans):
    for reference in scans.values():
        for noise in (0.002, 0.01):
            image = without_direction(reference, 7, noise=noise, blur=1.0)
            assert max(map(abs, counted(directional_excess(image, reference)))) < 2
            bands = directional_excess(with_bands(image, reference, 0.01, 6.0), reference)
            assert min(counted(bands)) > 2


def test_the_scale_does_not_matter(scans):
    reference = scans["AXT2"]
    image = with_bands(without_direction(reference, 0), reference, 0.002, 7.0)
    expected = directional_excess(image, reference)
    for scale in (1e-12, 1e3, 1e15):
        assert directional_excess(image * scale, reference * scale) == pytest.approx(expected, abs=1e-3)


def test_anatomy_alone_scores_zero(scans):
    for reference in scans.values():
        scores = counted(directional_excess(reference, reference.clone()))
        assert scores
        assert set(scores) == {0.0}


def test_what_nobody_can_see_does_not_count():
    reference = torch.zeros(1, 96, 96)
    reference[:, :, :40] = 1
    stripes = torch.cos(2 * math.pi * torch.arange(96) / 6) * (torch.arange(96) > 48)
    faint, clear = (directional_excess(reference + dose * stripes, reference)[0] for dose in (1e-5, 1e-2))
    assert abs(faint) < 0.1
    assert clear > 20


def test_bands_in_bright_tissue_do_not_count():
    rng = generator("bright")
    reference = torch.from_numpy(0.01 * np.abs(rng.standard_normal((1, 128, 128)))).float()
    reference[:, 64:] += 1
    stripes = 0.1 * torch.cos(2 * math.pi * torch.arange(128) / 6).expand(128, 128).clone()
    stripes[:64] = 0
    assert directional_excess(reference + stripes, reference) == (0.0,)


def test_a_slice_without_low_signal_has_no_score():
    rng = generator("two slices")
    reference = torch.from_numpy(rng.random((2, 64, 64))).float()
    reference[1] *= 0.01
    image = reference + 0.01 * torch.cos(2 * math.pi * torch.arange(64) / 6)
    bright, dark = directional_excess(image, reference)
    assert bright is None
    assert dark > 3


def test_an_edge_of_the_anatomy_is_not_looked_at():
    reference = torch.full((1, 96, 96), 1e-3)
    reference[:, :, :8] = 1  # a bright window sets what is low
    reference[:, :, 60:] = 0.05
    flat = directional_excess(reference * torch.linspace(1, 1.2, 96), reference)
    assert abs(flat[0]) < 0.5


@pytest.mark.parametrize(
    ("image", "reference", "words"),
    [
        (torch.ones(1, 40, 40), torch.ones(1, 40, 41), "one shape"),
        (torch.ones(40, 40), torch.ones(40, 40), "one shape"),
        (torch.ones(0, 40, 40), torch.ones(0, 40, 40), "one shape"),
        (torch.ones(1, 31, 40), torch.ones(1, 31, 40), "sides at least 32"),
        (torch.full((1, 40, 40), math.nan), torch.ones(1, 40, 40), "the image holds NaN or Inf"),
        (torch.ones(1, 40, 40), torch.full((1, 40, 40), math.inf), "the reference holds NaN or Inf"),
        (torch.ones(1, 40, 40), torch.zeros(1, 40, 40), "zero everywhere"),
    ],
)
def test_images_that_cannot_be_compared_are_refused(image, reference, words):
    with pytest.raises(DataError, match=words):
        directional_excess(image, reference)


def test_another_axis_is_refused():
    with pytest.raises(DataError, match="found 0"):
        directional_excess(torch.ones(1, 40, 40), torch.ones(1, 40, 40), phase_dim=0)
