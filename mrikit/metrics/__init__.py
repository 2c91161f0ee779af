"""Image quality: the same SSIM for loss and score, and fastMRI's volume measures."""

from mrikit.metrics.ssim import slice_ssim_loss, ssim, ssim_loss, ssim_map
from mrikit.metrics.volume import VolumeMetrics, measure_volume, mse, nmse, psnr

__all__ = ["VolumeMetrics", "measure_volume", "mse", "nmse", "psnr", "slice_ssim_loss", "ssim", "ssim_loss", "ssim_map"]
