"""E2E-VarNet: gradient descent on the data, unrolled, with a learned image step and learned coil sensitivities."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from mrikit.errors import ConfigError
from mrikit.models.blocks import (
    channels_to_complex,
    complex_to_channels,
    normalise,
    pad_to_multiple,
    unnormalise,
    unpad,
)
from mrikit.models.sensitivity import divide_by_rss, keep_center, map_in_groups
from mrikit.models.unet import Unet
from mrikit.physics.coils import combine, rss
from mrikit.physics.fft import ifft2c

_MULTIPLE = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class VarNetConfig:
    """Settings of the E2E-VarNet."""

    num_cascades: int = 12
    """Unrolled steps, at least 1."""
    num_channels: int = 18
    """Channels of each cascade's U-Net at full resolution."""
    num_pools: int = 4
    """Poolings of each cascade's U-Net."""
    num_sens_channels: int = 8
    """Channels of the sensitivity U-Net at full resolution; 0 for none: the images of the centre, divided by their RSS,
    are the maps then. They need no training, which a small network has little of."""
    num_sens_pools: int = 4
    """Poolings of the sensitivity U-Net."""
    use_checkpoint: bool = False
    """Whether training computes each cascade twice instead of keeping its inside: less memory, a third more time."""
    mask_center: bool = True
    """Whether coil sensitivities come from the centre of k-space alone; else from all that was sampled."""
    counts_stored_center: bool = False
    """Whether the centre lines of a mask that was not drawn here are counted in it, as many on both sides of the
    middle, as fastMRI does, whatever its file says."""

    def __post_init__(self) -> None:
        counts = (self.num_cascades, self.num_channels, self.num_pools, self.num_sens_pools)
        if min(counts) < 1 or self.num_sens_channels < 0:
            found = (*counts, self.num_sens_channels)
            raise ConfigError(f"varnet needs at least 1 cascade, channel and pooling, found {found}")


class VarNet(nn.Module):
    """Coil sensitivities from the centre of k-space, then cascades of soft data consistency and a U-Net.

    Source:
        Sriram et al., End-to-end variational networks for accelerated MRI reconstruction, MICCAI 2020,
        arXiv:2004.06688. Its k-space is kept here in the order of the fast Fourier transform (zero frequency first),
        which spares shifting all coils twice in each cascade; and already transformed along the readout if whole lines
        are sampled, because what happens to lines and readout does not mix. The numbers are the same.
    """

    needs_center = True
    """Whether masks have to sample the middle of k-space."""

    def __init__(self, config: VarNetConfig) -> None:
        super().__init__()
        self.config = config
        self.sens_net = (
            SensitivityNet(NormUnet(config.num_sens_channels, config.num_sens_pools))
            if config.num_sens_channels
            else None
        )
        self.cascades = nn.ModuleList(
            Cascade(NormUnet(config.num_channels, config.num_pools)) for _ in range(config.num_cascades)
        )

    def forward(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> torch.Tensor:
        """Masked k-space to the (batch, y, x) magnitude.

        Args:
            masked_kspace: (batch, coil, readout, phase) complex64.
            mask: (batch, 1, 1 or readout, phase) bool.
            num_center_lines: (batch,) int64; 0 where unknown, to be counted in the mask.

        Raises:
            DataError: A mask that does not sample the middle of k-space.
        """
        has_checkpoints = self.config.use_checkpoint and torch.is_grad_enabled()
        masks_center = self.config.mask_center
        center = ifft2c(keep_center(masked_kspace, mask, num_center_lines) if masks_center else masked_kspace)
        sens_maps = divide_by_rss(center) if self.sens_net is None else self.sens_net(center, has_checkpoints)
        sens_maps = torch.fft.ifftshift(sens_maps, dim=(-2, -1))
        # What happens to whole lines and what happens along them do not mix: their readout stays transformed.
        dims = (-1,) if mask.shape[-2] == 1 else (-2, -1)
        sampled = torch.fft.ifftshift(mask, dim=dims)
        measured = torch.fft.ifftshift(masked_kspace, dim=(-2, -1))
        if dims == (-1,):
            measured = torch.fft.ifft(measured, dim=-2, norm="ortho")
        kspace = measured
        for cascade in self.cascades:
            inputs = (kspace, measured, sampled, sens_maps, dims)
            kspace = checkpoint(cascade, *inputs, use_reentrant=False) if has_checkpoints else cascade(*inputs)
        return torch.fft.fftshift(rss(torch.fft.ifftn(kspace, dim=dims, norm="ortho")), dim=(-2, -1))


class Cascade(nn.Module):
    """One step: towards the data where it was sampled, and a correction of the image by a network.

    All its arrays begin with the zero frequency or the middle pixel, as the fast Fourier transform has them.

    Args:
        network: Maps (batch, 1, y, x) complex64 images to such.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.dc_weight = nn.Parameter(torch.ones(1))

    def forward(
        self,
        kspace: torch.Tensor,
        measured: torch.Tensor,
        sampled: torch.Tensor,
        sens_maps: torch.Tensor,
        dims: tuple[int, ...],
    ) -> torch.Tensor:
        """Improve k-space.

        Args:
            kspace: (batch, coil, readout, phase) complex64, k-space along `dims` and image along the other axis.
            measured: Like `kspace`, what the scanner gave.
            sampled: (batch, 1, 1 or readout, phase) bool.
            sens_maps: (batch, coil, y, x) complex64, RSS 1.
            dims: Axes to transform.

        Returns:
            Like `kspace`.
        """
        image = combine(torch.fft.ifftn(kspace, dim=dims, norm="ortho"), sens_maps)
        correction = apply_shifted(self.network, image)
        consistent = towards_measured(kspace, measured, sampled, self.dc_weight)
        return consistent - torch.fft.fftn(sens_maps * correction.unsqueeze(1), dim=dims, norm="ortho")


def towards_measured(
    kspace: torch.Tensor, measured: torch.Tensor, sampled: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """K-space moved towards what was measured, by a weight: 0 not at all, 1 to replace it.

    Args:
        kspace: (batch, coil, readout, phase) complex64.
        measured: Likewise.
        sampled: (batch, 1, 1 or readout, phase) bool; elsewhere nothing changes.
        weight: (1,) float32.
    """
    # Complex weights, because lerp wants one type.
    return torch.lerp(kspace, measured, (weight * sampled).to(kspace.dtype))


def apply_shifted(network: nn.Module, image: torch.Tensor) -> torch.Tensor:
    """A network of centred images on (batch, y, x) complex64 images that begin with the middle pixel, to such."""
    centred: torch.Tensor = network(torch.fft.fftshift(image, dim=(-2, -1)).unsqueeze(1))
    return torch.fft.ifftshift(centred.squeeze(1), dim=(-2, -1))


class SensitivityNet(nn.Module):
    """Coil sensitivities from images of the centre of k-space, coil by coil with the same network.

    Args:
        network: Maps (batch, 1, y, x) complex64 images to such.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, center_images: torch.Tensor, has_checkpoints: bool) -> torch.Tensor:
        """Images of the centre of k-space to maps.

        Args:
            center_images: (batch, coil, y, x) complex64.
            has_checkpoints: Whether to compute again for the gradient instead of keeping, a few coils at a time.

        Returns:
            (batch, coil, y, x) complex64, RSS 1, or 0 where all coils are 0.
        """
        coils = center_images.flatten(0, 1).unsqueeze(1)
        maps = map_in_groups(self.network, coils, has_checkpoints=has_checkpoints)
        return divide_by_rss(maps.view_as(center_images))


class NormUnet(nn.Module):
    """A U-Net on complex images, with their real and imaginary parts each brought to mean 0 and standard deviation 1.

    Args:
        num_channels: Channels of the U-Net at full resolution.
        num_pools: Its poolings.
    """

    def __init__(self, num_channels: int, num_pools: int) -> None:
        super().__init__()
        self.unet = Unet(num_inputs=2, num_outputs=2, num_channels=num_channels, num_pools=num_pools)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(batch, 1, y, x) complex64 to the same, in the scale of the input."""
        size = (image.shape[-2], image.shape[-1])
        channels, mean, std = normalise(complex_to_channels(image), num_groups=2)
        channels = unpad(self.unet(pad_to_multiple(channels, _MULTIPLE)), size, _MULTIPLE)
        return channels_to_complex(unnormalise(channels, mean, std))
