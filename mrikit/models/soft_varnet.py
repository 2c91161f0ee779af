"""VarNet of the banding study: a U-Net of 2018 and soft data consistency, in k-space or in the image."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from mrikit.errors import ConfigError
from mrikit.models.bilinear_unet import PaddedUnet
from mrikit.models.sensitivity import divide_by_rss, keep_center
from mrikit.models.varnet import SensitivityNet, apply_shifted, towards_measured
from mrikit.physics.coils import combine, rss
from mrikit.physics.fft import ifft2c

SPACES, MODES = ("kspace", "image"), ("parallel", "sequential")


@dataclass(frozen=True, kw_only=True, slots=True)
class SoftVarNetConfig:
    """Settings of the banding study's VarNet."""

    num_cascades: int = 12
    """Unrolled steps, at least 1."""
    num_channels: int = 18
    """Channels of each cascade's U-Net at full resolution, at least 2."""
    num_pools: int = 4
    """Poolings of each cascade's U-Net, 1 to 4."""
    num_sens_channels: int = 8
    """Channels of the sensitivity U-Net at full resolution, at least 2; 0 for none: the images of the centre, divided
    by their RSS, are the maps then. They need no training, which a small network has little of."""
    num_sens_pools: int = 4
    """Poolings of the sensitivity U-Net, 1 to 4."""
    space: str = "kspace"
    """What the cascades improve: the k-space of all coils, or the one `image` that the coils have in common."""
    mode: str = "parallel"
    """Data consistency and the network's correction both come from a cascade's input, `parallel`; or `sequential`: the
    network's output replaces the input, and data consistency comes after it."""
    use_checkpoint: bool = False
    """Whether training computes each cascade twice instead of keeping its inside: less memory, a third more time."""

    def __post_init__(self) -> None:
        channels, pools = (self.num_channels, self.num_sens_channels), (self.num_pools, self.num_sens_pools)
        is_small = self.num_channels < 2 or self.num_sens_channels < 0 or self.num_sens_channels == 1
        if self.num_cascades < 1 or is_small or not all(1 <= number <= 4 for number in pools):
            found = (self.num_cascades, *channels, *pools)
            raise ConfigError(f"soft_varnet needs 1 cascade, 2 channels and 1 to 4 poolings or more, found {found}")
        if self.space not in SPACES or self.mode not in MODES:
            expected = f"a space of {' or '.join(SPACES)} and a mode of {' or '.join(MODES)}"
            raise ConfigError(f"soft_varnet needs {expected}, found {self.space!r} and {self.mode!r}")


class SoftVarNet(nn.Module):
    """Coil sensitivities from the centre of k-space, then cascades of soft data consistency and a U-Net.

    Source:
        Defazio et al., MRI banding removal via adversarial training, NeurIPS 2020, arXiv:2001.08699. Arrays are kept in
        the order and partly transformed, as in `mrikit.models.varnet`. The published network takes one image at a time
        and no single coil; this one takes both.
    """

    needs_center = True
    """Whether masks have to sample the middle of k-space."""

    def __init__(self, config: SoftVarNetConfig) -> None:
        super().__init__()
        self.config = config
        self.sens_net = (
            SensitivityNet(PaddedUnet(config.num_sens_channels, config.num_sens_pools))
            if config.num_sens_channels
            else None
        )
        self.cascades = nn.ModuleList(SoftCascade(config) for _ in range(config.num_cascades))

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
        center = ifft2c(keep_center(masked_kspace, mask, num_center_lines))
        sens_maps = divide_by_rss(center) if self.sens_net is None else self.sens_net(center, has_checkpoints)
        sens_maps = torch.fft.ifftshift(sens_maps, dim=(-2, -1))
        # What happens to whole lines and what happens along them do not mix: their readout stays transformed.
        dims = (-1,) if mask.shape[-2] == 1 else (-2, -1)
        sampled = torch.fft.ifftshift(mask, dim=dims)
        measured = torch.fft.ifftshift(masked_kspace, dim=(-2, -1))
        if dims == (-1,):
            measured = torch.fft.ifft(measured, dim=-2, norm="ortho")
        is_image = self.config.space == "image"
        estimate = combine(_to_image(measured, dims), sens_maps) if is_image else measured
        for cascade in self.cascades:
            inputs = (estimate, measured, sampled, sens_maps, dims)
            estimate = checkpoint(cascade, *inputs, use_reentrant=False) if has_checkpoints else cascade(*inputs)
        magnitude = estimate.abs() if is_image else rss(_to_image(estimate, dims))
        return torch.fft.fftshift(magnitude, dim=(-2, -1))


class SoftCascade(nn.Module):
    """One step: towards the data where it was sampled, and a correction of the image by a network.

    All its arrays begin with the zero frequency or the middle pixel, as the fast Fourier transform has them.
    """

    def __init__(self, config: SoftVarNetConfig) -> None:
        super().__init__()
        self.network = PaddedUnet(config.num_channels, config.num_pools)
        self.dc_weight = nn.Parameter(torch.ones(1))
        self.is_image, self.is_sequential = config.space == "image", config.mode == "sequential"

    def forward(
        self,
        estimate: torch.Tensor,
        measured: torch.Tensor,
        sampled: torch.Tensor,
        sens_maps: torch.Tensor,
        dims: tuple[int, ...],
    ) -> torch.Tensor:
        """Improve an estimate.

        Args:
            estimate: (batch, coil, readout, phase) complex64, k-space along `dims` and image along the other axis; or
                the (batch, y, x) complex64 image of all coils.
            measured: (batch, coil, readout, phase) complex64, what the scanner gave, k-space along `dims`.
            sampled: (batch, 1, 1 or readout, phase) bool.
            sens_maps: (batch, coil, y, x) complex64, RSS 1.
            dims: Axes to transform.

        Returns:
            Like `estimate`.
        """
        correction = self._correct(estimate, sens_maps, dims)
        if self.is_sequential:
            return self._approach(correction, measured, sampled, sens_maps, dims)
        return self._approach(estimate, measured, sampled, sens_maps, dims) - correction

    def _correct(self, estimate: torch.Tensor, sens_maps: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
        """What the network makes of an estimate, in the same space."""
        if self.is_image:
            return apply_shifted(self.network, estimate)
        correction = apply_shifted(self.network, combine(_to_image(estimate, dims), sens_maps))
        return _to_kspace(sens_maps * correction.unsqueeze(1), dims)

    def _approach(
        self,
        estimate: torch.Tensor,
        measured: torch.Tensor,
        sampled: torch.Tensor,
        sens_maps: torch.Tensor,
        dims: tuple[int, ...],
    ) -> torch.Tensor:
        """The estimate moved towards the data."""
        if not self.is_image:
            return towards_measured(estimate, measured, sampled, self.dc_weight)
        mismatch = torch.where(sampled, _to_kspace(sens_maps * estimate.unsqueeze(1), dims) - measured, 0.0)
        return estimate - self.dc_weight * combine(_to_image(mismatch, dims), sens_maps)


def _to_image(kspace: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    return torch.fft.ifftn(kspace, dim=dims, norm="ortho")


def _to_kspace(image: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    return torch.fft.fftn(image, dim=dims, norm="ortho")
