"""Quality: one SSIM for loss and score, fastMRI's measures, errors of k-space and detail, banding, adaptivity."""

from mrikit.metrics.adaptivity import Adaptivity, line_information, measure_adaptivity
from mrikit.metrics.banding import BANDING_WINDOW, directional_excess
from mrikit.metrics.body import BODY_THRESHOLDS, body_mask, crop_to_body
from mrikit.metrics.hfen import high_frequency_error
from mrikit.metrics.kspace import kspace_energies, kspace_nmse
from mrikit.metrics.ssim import WINDOW, slice_ssim_loss, ssim, ssim_loss, ssim_map
from mrikit.metrics.volume import VolumeMetrics, measure_masked, measure_volume, mse, nmse, psnr

__all__ = [
    "BANDING_WINDOW",
    "BODY_THRESHOLDS",
    "WINDOW",
    "Adaptivity",
    "VolumeMetrics",
    "body_mask",
    "crop_to_body",
    "directional_excess",
    "high_frequency_error",
    "kspace_energies",
    "kspace_nmse",
    "line_information",
    "measure_adaptivity",
    "measure_masked",
    "measure_volume",
    "mse",
    "nmse",
    "psnr",
    "slice_ssim_loss",
    "ssim",
    "ssim_loss",
    "ssim_map",
]
