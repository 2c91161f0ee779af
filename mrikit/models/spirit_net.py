"""SPIRiT, unrolled: complex convolutions of k-space learned from data, measured samples put back after each."""

from dataclasses import dataclass

import torch
from torch import nn

from mrikit.errors import ConfigError, DataError
from mrikit.models.blocks import channels_to_complex, complex_to_channels
from mrikit.models.output import Output, image_of
from mrikit.physics.coils import compress_coils, rss
from mrikit.physics.fft import ifft2c

_PADDINGS = {"zero": "constant", "circular": "circular"}


@dataclass(frozen=True, kw_only=True, slots=True)
class SpiritNetConfig:
    """Settings of the unrolled SPIRiT network."""

    num_coils: int = 4
    """Coils that its kernels join; data of more are compressed to as many virtual ones first, data of fewer refused."""
    num_blocks: int = 5
    """Unrolled steps, each with kernels of its own."""
    kernel: tuple[int, ...] = (5, 5)
    """Samples along the readout and along the phase axis that each sample is made from, odd; one number for both."""
    padding: str = "zero"
    """What lies outside k-space: `zero`, or `circular`, the other side."""
    init_std: float = 0.02
    """Standard deviation of the initial weights; 0 for that of torch's convolutions, which falls with their size."""
    zeroes_all_centers: bool = False
    """Whether a sample is made without the other coils' samples at its own place too, as in the learned-sampling study.
    SPIRiT leaves out its own alone."""

    def __post_init__(self) -> None:
        is_kernel = len(self.kernel) in (1, 2) and all(size >= 1 and size % 2 == 1 for size in self.kernel)
        if self.num_coils < 1 or self.num_blocks < 1 or not is_kernel:
            found = f"{self.num_coils}, {self.num_blocks} and {self.kernel}"
            raise ConfigError(f"spirit_net needs num_coils >= 1, num_blocks >= 1 and an odd kernel, found {found}")
        if self.padding not in _PADDINGS:
            raise ConfigError(f"spirit_net.padding is {' or '.join(_PADDINGS)}, found {self.padding!r}")
        if not 0 <= self.init_std < float("inf"):
            raise ConfigError(f"spirit_net needs init_std >= 0, found {self.init_std}")


class SpiritNet(nn.Module):
    """Blocks of one complex convolution of k-space and hard data consistency.

    It is linear in k-space, so it gives any scale of the data back, and no normalisation is needed.

    Source:
        The reconstruction of the learned-sampling study (Accelerating_MRI_with_DL_and_RL), after Lustig and Pauly,
        SPIRiT, MRM 64:457 (2010). The study leaves out all coils at a sample's own place, where SPIRiT leaves out its
        own coil: `zeroes_all_centers`. Its two real convolutions for each of two parts are one here.
    """

    gives_kspace = True
    """Whether its Output holds k-space."""

    def __init__(self, config: SpiritNetConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(SpiritBlock(config) for _ in range(config.num_blocks))

    def forward(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> torch.Tensor:
        """Masked k-space to the (batch, y, x) magnitude; the arguments are those of `compute`."""
        return image_of(self.compute(masked_kspace, mask, num_center_lines))

    def compute(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> Output:
        """Filled k-space, and its image.

        Args:
            masked_kspace: (batch, coil, readout, phase) complex64, 0 where not measured.
            mask: (batch, 1, 1 or readout, phase) bool, or float32 of a learned mask, which then has a gradient.
            num_center_lines: (batch,) int64, not needed.

        Returns:
            The root sum of squares, and (batch, num_coils, readout, phase) k-space of `num_coils` coils, virtual ones
            where the data have more. Measured samples come back exactly.

        Raises:
            DataError: Fewer coils than the kernels join, or circular padding larger than k-space.
        """
        del num_center_lines
        self._check(masked_kspace)
        with torch.autocast(masked_kspace.device.type, enabled=False):  # k-space has more decades than 16 bits
            # channels last: on a CPU a third less time
            measured = complex_to_channels(as_many_coils(masked_kspace, self.config.num_coils))
            measured = measured.contiguous(memory_format=torch.channels_last)
            is_missing = 1 - mask.float()
            channels = measured
            for block in self.blocks:
                channels = torch.addcmul(measured, block(channels), is_missing)
        kspace = channels_to_complex(channels)
        return Output(image=rss(ifft2c(kspace)), kspace=kspace)

    def _check(self, kspace: torch.Tensor) -> None:
        num_coils, *size = kspace.shape[1:]
        if num_coils < self.config.num_coils:
            raise DataError(
                f"spirit_net joins {self.config.num_coils} coils, found k-space of {num_coils}; "
                f"weights trained with num_coils={num_coils} or less would do"
            )
        margins = [length // 2 for length in (self.config.kernel * 2)[:2]]
        if self.config.padding == "circular" and any(margin > n for margin, n in zip(margins, size, strict=True)):
            raise DataError(
                f"spirit_net pads k-space with its other side by {margins}, more than all of it: found {size}; "
                "padding=zero or a smaller kernel would do"
            )


class SpiritBlock(nn.Module):
    """A complex convolution that makes each sample from its neighbours in all coils."""

    is_center: torch.Tensor

    def __init__(self, config: SpiritNetConfig) -> None:
        super().__init__()
        self.padding = _PADDINGS[config.padding]
        self.zeroes_all_centers = config.zeroes_all_centers
        rows, columns = (config.kernel * 2)[:2]
        self.margins = (columns // 2, columns // 2, rows // 2, rows // 2)
        shape = (config.num_coils, config.num_coils, rows, columns)
        std = config.init_std or (3 * config.num_coils * rows * columns) ** -0.5
        self.weight_real = nn.Parameter(nn.init.normal_(torch.empty(shape), std=std))
        self.weight_imag = nn.Parameter(nn.init.normal_(torch.empty(shape), std=std))
        is_center = torch.zeros(shape, dtype=torch.bool)
        every = torch.ones(shape[:2], dtype=torch.bool)
        is_center[..., rows // 2, columns // 2] = every if config.zeroes_all_centers else torch.eye(shape[0]).bool()
        self.register_buffer("is_center", is_center, persistent=False)

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """(batch, 2 coil, readout, phase) float32, real parts before imaginary ones, to the same."""
        real, imag = self._kernel(self.weight_real), self._kernel(self.weight_imag)
        kernel = torch.cat([torch.cat([real, -imag], dim=1), torch.cat([imag, real], dim=1)])
        padded = nn.functional.pad(channels, self.margins, mode=self.padding)
        return nn.functional.conv2d(padded, kernel.contiguous(memory_format=torch.channels_last))

    def _kernel(self, weight: torch.Tensor) -> torch.Tensor:
        """The weights with their centre taps at 0."""
        weight = weight.float()
        if self.zeroes_all_centers:
            # The study writes zeros into the stored weights before each step, behind autograd's back: the centre keeps
            # a gradient, which changes nothing but the norm of all gradients.
            return weight - (weight * self.is_center).detach()
        return torch.where(self.is_center, 0.0, weight)


def as_many_coils(kspace: torch.Tensor, num_coils: int) -> torch.Tensor:
    """K-space itself, or of the strongest virtual coils where it has more coils.

    Args:
        kspace: (batch, coil, readout, phase) complex64, masked.
        num_coils: At most as many as `kspace` has.

    Returns:
        (batch, num_coils, readout, phase) complex64. Directions come from the data, without a gradient. The phase of a
        virtual coil, which they leave open, makes its mean weight of the real coils positive: learned kernels, which
        depend on phases between coils, so see the same array in the same way.
    """
    if kspace.shape[1] == num_coils:
        return kspace
    virtual = compress_coils(kspace, num_coils, calibration=kspace.detach())
    mean_weight = torch.linalg.vecdot(kspace.sum(1, keepdim=True).flatten(-2), virtual.flatten(-2)).detach()
    return virtual * torch.sgn(mean_weight).conj()[..., None, None] + 0.0
