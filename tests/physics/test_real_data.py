"""Coil physics on real scanner data, in ../shared/realdata or the folder that MRIKIT_REALDATA names."""

import os
from pathlib import Path

import numpy as np
import pytest
import sigpy.mri
import torch

from mrikit.models import build_model
from mrikit.physics.coils import rss, whiten, whitening_matrix
from mrikit.physics.espirit import espirit_maps
from mrikit.physics.fft import ifft2c

DEFAULT_FOLDER = Path(__file__).parents[3] / "shared" / "realdata"


def load(name: str) -> torch.Tensor:
    """The array of one file; a test without it is skipped, but in CI it fails."""
    path = Path(os.environ.get("MRIKIT_REALDATA", DEFAULT_FOLDER)) / name
    if not path.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            f"real data: no {path}; set MRIKIT_REALDATA to its folder"
        )
    return torch.from_numpy(np.load(path)).to(torch.complex64)


def covariance_error(noise: torch.Tensor) -> float:
    """Norm of the difference of the (coil, sample) noise covariance and the identity, relative to the identity."""
    identity = torch.eye(len(noise), dtype=noise.dtype)
    return float((noise @ noise.mH / noise.shape[1] - identity).norm() / identity.norm())


def median_agreement(kspace: torch.Tensor, calibration_size: int, is_object: torch.Tensor) -> float:
    """Median over the object of |<our map vector, sigpy's>|."""
    found = espirit_maps(kspace, calibration_size, calibration_rows=calibration_size)
    app = sigpy.mri.app.EspiritCalib(kspace.numpy(), calib_width=calibration_size, crop=0.8, show_pbar=False)
    overlap = (found.conj() * torch.from_numpy(app.run())).sum(0).abs()
    return float(overlap[is_object].median())


def center_size(mask: torch.Tensor) -> int:
    """Side of the largest fully sampled square block in the middle."""
    sizes = range(1, min(mask.shape))
    starts = {n: [(length - n + 1) // 2 for length in mask.shape] for n in sizes}
    return max(n for n, (row, column) in starts.items() if mask[row : row + n, column : column + n].all())


def test_phantom_noise_is_whitened_to_the_identity_within_2_percent() -> None:
    noise = load("cloudmr_phantom_16coil_noise.npy").permute(2, 0, 1)
    white = whiten(noise, whitening_matrix(noise.flatten(1)))
    assert covariance_error(noise.flatten(1) / noise.abs().square().mean().sqrt()) > 0.2
    assert covariance_error(white.flatten(1)) < 0.02


def test_whitening_learnt_from_half_of_the_noise_holds_for_the_other_half() -> None:
    # two covariances of 9216 samples each differ by sqrt(2 / 9216) = 1.5 % per entry, the worst of 256 by about 4 %
    noise = load("cloudmr_phantom_16coil_noise.npy").permute(2, 0, 1).flatten(1)
    white = whitening_matrix(noise[:, 0::2]) @ noise[:, 1::2]
    difference = white @ white.mH / white.shape[1] - torch.eye(16)
    assert difference.abs().max() < 0.05
    assert difference.abs().square().mean().sqrt() < 0.02


def test_phantom_maps_agree_with_sigpy() -> None:
    kspace = load("cloudmr_phantom_16coil_signal.npy").permute(2, 0, 1).contiguous()
    image = rss(ifft2c(kspace))
    assert median_agreement(kspace, 24, image > 0.1 * image.max()) >= 0.99


def test_brain_maps_agree_with_sigpy() -> None:
    kspace = load("sigpy_brain_8coil_us8x.npy")
    mask = kspace.abs().sum(0) > 0
    size = center_size(mask)
    assert 20 <= size <= 40
    image = rss(ifft2c(kspace))
    assert median_agreement(kspace, min(size, 24), image > 0.1 * image.max()) >= 0.99


@torch.inference_mode()
def reconstruct(
    name: str, kspace: torch.Tensor, mask: torch.Tensor, num_center: int, **settings: object
) -> torch.Tensor:
    """(y, x) magnitude of (coil, readout, phase) k-space."""
    masked = torch.where(mask, kspace[None], 0.0)
    image: torch.Tensor = build_model(name, settings)(masked, mask, torch.tensor([num_center]))
    return image[0]


def test_spirit_undoes_undersampling_of_the_phantom_with_few_centre_lines() -> None:
    noise = load("cloudmr_phantom_16coil_noise.npy").permute(2, 0, 1)
    signal = load("cloudmr_phantom_16coil_signal.npy").permute(2, 0, 1)
    kspace = whiten(signal, whitening_matrix(noise.flatten(1)))
    mask = torch.zeros(1, 1, 1, 96, dtype=torch.bool)
    mask[..., ::5] = mask[..., 44:52] = True
    reference = rss(ifft2c(kspace))

    def error(name: str, **settings: object) -> float:
        return float((reconstruct(name, kspace, mask, 8, **settings) - reference).norm() / reference.norm())

    assert error("spirit") < 0.4 * min(error("zero_filled"), error("grappa"))
    sparse = error("spirit", solver="pocs", threshold=1e-3, num_iterations=60)
    assert sparse < 0.8 * min(error("spirit"), error("l1_wavelet"))


def test_spirit_and_sense_agree_on_the_brain() -> None:
    kspace = load("sigpy_brain_8coil_us8x.npy")
    mask = (kspace.abs().sum(0) > 0)[None, None]
    spirit, sense = (reconstruct(name, kspace, mask, 20) for name in ("spirit", "cg_sense"))
    is_body = sense > 0.1 * sense.max()
    assert float((spirit - sense)[is_body].norm() / sense[is_body].norm()) < 0.15
