"""The reconstructor of CVPR'19's active acquisition, which tells how far each pixel may be wrong."""

import itertools
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from mrikit.errors import ConfigError, DataError
from mrikit.models.blocks import PreciseConv, channels_to_complex, complex_to_channels, pad_to_multiple, unpad
from mrikit.models.output import Output, image_of
from mrikit.physics.coils import rss
from mrikit.physics.fft import fft2c, ifft2c

_MULTIPLE: Final = 8
"""Three halvings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cvpr19Config:
    """Settings of the reconstructor."""

    num_channels: int = 64
    """Channels of the first convolution, even; four times as many where images are smallest. Published: 256."""
    num_residual_blocks: int = 3
    """Residual blocks where images are smallest."""
    num_cascades: int = 4
    """Networks with data consistency after each."""
    dropout: float = 0.2
    """Probability of a value between two convolutions of a residual block to be 0 during training, below 1."""
    num_embedded: int = 0
    """Numbers that a learned map makes of the mask, and every pixel is given; 0 for none. They are for the evaluator:
    here the instance norm behind the first convolution takes out again whatever is the same in every pixel."""
    width: int = 0
    """Lines of k-space that the map of the mask is for; not needed without one."""
    divisor: float = 0.0
    """What images are divided by first; 0 for the root mean square of each coil's own, which any scale suits.
    The published weights were trained with one constant."""

    def __post_init__(self) -> None:
        is_even = self.num_channels >= 2 and self.num_channels % 2 == 0
        if not is_even or self.num_residual_blocks < 0 or self.num_cascades < 1:
            found = f"{self.num_channels}, {self.num_residual_blocks} and {self.num_cascades}"
            raise ConfigError(
                f"cvpr19 needs an even num_channels, num_residual_blocks >= 0 and num_cascades >= 1, found {found}"
            )
        if not 0 <= self.dropout < 1 or not 0 <= self.divisor < float("inf"):
            raise ConfigError(
                f"cvpr19 needs 0 <= dropout < 1 and divisor >= 0, found {self.dropout} and {self.divisor}"
            )
        if self.num_embedded < 0 or (self.num_embedded > 0 and self.width < 1):
            found = f"{self.num_embedded} and {self.width}"
            raise ConfigError(f"cvpr19 needs num_embedded >= 0, and the width of k-space if it is not 0, found {found}")


class Cvpr19(nn.Module):
    """Small residual networks on the zero-filled image, with hard data consistency after each.

    Each coil is reconstructed by itself, and the images are combined by their root sum of squares.

    Source:
        Zhang et al., Reducing uncertainty in undersampled MRI reconstruction with active acquisition, CVPR 2019,
        arXiv:1902.03051, as Pineda et al. (MICCAI 2020) use it: the log-variance is that of the magnitude. They know
        one coil, sizes that 8 divides, and one constant scale.
    """

    gives_uncertainty = True
    """Whether its Output holds a log-variance, and the images of coils."""

    def __init__(self, config: Cvpr19Config) -> None:
        super().__init__()
        self.config = config
        self.cascades = nn.ModuleList(_Cascade(config) for _ in range(config.num_cascades))
        self.embedding = nn.Conv2d(config.width, config.num_embedded, kernel_size=1) if config.num_embedded else None
        self.apply(init_normal)

    def forward(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> torch.Tensor:
        """Masked k-space to the (batch, y, x) magnitude; the arguments are those of `compute`."""
        return image_of(self.compute(masked_kspace, mask, num_center_lines))

    def compute(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> Output:
        """The image, and how far it may be wrong.

        Args:
            masked_kspace: (batch, coil, readout, phase) complex64, 0 where not measured.
            mask: (batch, 1, 1 or readout, phase) bool, or float32 of a learned mask.
            num_center_lines: (batch,) int64, not needed.

        Returns:
            The root sum of squares, and these `extras`: `log_variance` (batch, y, x) float32, log of the variance of
            the magnitude in the squared unit of the image; `coil_images` (batch, coil, y, x) complex64; with an
            embedding `embedded` (batch, num_embedded) float32.

        Raises:
            DataError: Images of 8 rows or columns or fewer, or a mask that the embedding is not for.
        """
        del num_center_lines
        self._check(masked_kspace, mask)
        num_coils = masked_kspace.shape[1]
        zero_filled = ifft2c(masked_kspace)
        scale = self._scale(zero_filled)
        measured = (zero_filled / scale).flatten(0, 1).unsqueeze(1)
        is_missing = (1 - mask.float()).repeat_interleave(num_coils, dim=0)
        embedded = self.embed(mask)
        planes = embedded.repeat_interleave(num_coils, dim=0)[..., None, None].expand(-1, -1, *measured.shape[-2:])

        image, features = measured, torch.zeros((), device=measured.device)
        for cascade in self.cascades:
            channels, features = cascade(torch.cat([complex_to_channels(image), planes], dim=1), features)
            image = ifft2c(fft2c(channels_to_complex(channels[:, :2])) * is_missing) + measured
        coil_images = image.unflatten(0, (-1, num_coils)).squeeze(2) * scale
        log_variances = channels[:, 2].unflatten(0, (-1, num_coils)) + 2 * scale.log()

        extras = {"log_variance": _combine(log_variances, coil_images), "coil_images": coil_images}
        if self.embedding is not None:
            extras["embedded"] = embedded
        return Output(image=rss(coil_images), extras=extras)

    def embed(self, mask: torch.Tensor) -> torch.Tensor:
        """(batch, 1, 1, phase) mask to the (batch, num_embedded) float32 numbers that the networks know it by."""
        if self.embedding is None:
            return torch.zeros((len(mask), 0), device=mask.device)
        embedded: torch.Tensor = self.embedding(mask.float().movedim(-1, 1))
        return embedded.float().flatten(1)

    def _scale(self, image: torch.Tensor) -> torch.Tensor:
        """(batch, coil, y, x) to (batch, coil, 1, 1) float32, above 0."""
        if self.config.divisor:
            return torch.full((*image.shape[:2], 1, 1), self.config.divisor, device=image.device)
        return root_mean_square(image)

    def _check(self, kspace: torch.Tensor, mask: torch.Tensor) -> None:
        if min(kspace.shape[-2:]) <= _MULTIPLE:
            size = " x ".join(map(str, kspace.shape[-2:]))
            raise DataError(f"cvpr19 needs images of more than {_MULTIPLE} rows and columns, found {size}")
        if self.embedding is not None and mask.shape[-2:] != (1, self.config.width):
            size = " x ".join(map(str, mask.shape[-2:]))
            raise DataError(
                f"cvpr19 knows masks of {self.config.width} lines, found one of {size}; crop the data to that width, "
                f"or train with another model_config.width, or with num_embedded=0"
            )


class _Cascade(nn.Module):
    """One network from an image to the next one and its log-variance.

    Args:
        config: Of the reconstructor.
    """

    def __init__(self, config: Cvpr19Config) -> None:
        super().__init__()
        num = config.num_channels
        widths = [2 + config.num_embedded, num, 2 * num, 4 * num]
        self.encoder = nn.ModuleList(
            _HalvingConv(*pair, is_first=level == 0) for level, pair in enumerate(itertools.pairwise(widths))
        )
        self.residuals = nn.ModuleList(
            _ResidualBlock(widths[-1], config.dropout) for _ in range(config.num_residual_blocks)
        )
        widths = [4 * num, 2 * num, num, num // 2]
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(*pair, kernel_size=4, stride=2, padding=1) for pair in itertools.pairwise(widths)
        )
        self.output = PreciseConv(num // 2, 3, kernel_size=1)

    def forward(self, channels: torch.Tensor, before: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """An image with what every pixel is given, and features of the cascade before.

        Args:
            channels: (batch, 2 + num_embedded, y, x) float32.
            before: (batch, 4 num_channels, y / 8, x / 8), both sizes rounded up; anything that adds to it, such as 0.

        Returns:
            (batch, 3, y, x) float32: real part, imaginary part, log-variance; and the features of this cascade.
        """
        features = pad_to_multiple(channels, _MULTIPLE)
        for conv in self.encoder:
            features = _norm_relu(conv(features))
        features = features + before
        for block in self.residuals:
            features = block(features)
        grown = features
        for conv in self.decoder:
            grown = _norm_relu(conv(grown))
        size = (channels.shape[-2], channels.shape[-1])
        return unpad(self.output(grown), size, _MULTIPLE), features


class _ResidualBlock(nn.Module):
    """Two convolutions of features, added to them."""

    def __init__(self, num_channels: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Conv2d(num_channels, num_channels, kernel_size=3, padding=1, padding_mode="reflect")
        self.second = nn.Conv2d(num_channels, num_channels, kernel_size=3, padding=1, padding_mode="reflect")
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(batch, channel, y, x) to the same."""
        inner = self.dropout(_norm_relu(self.first(features)))
        return features + nn.functional.instance_norm(self.second(inner))


class _HalvingConv(nn.Conv2d):
    """A 3 x 3 convolution that halves the size, of an image in float32 also where others compute in bfloat16."""

    def __init__(self, num_inputs: int, num_outputs: int, *, is_first: bool) -> None:
        super().__init__(num_inputs, num_outputs, kernel_size=3, stride=2, padding=1, padding_mode="reflect")
        self.is_first = is_first

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """(batch, num_inputs, y, x) to (batch, num_outputs, y / 2, x / 2)."""
        is_enabled = torch.is_autocast_enabled(channels.device.type) and not self.is_first
        with torch.autocast(channels.device.type, enabled=is_enabled):
            return super().forward(channels)


def root_mean_square(image: torch.Tensor) -> torch.Tensor:
    """Root of the mean square of each (..., y, x) complex64 or float32 image, (..., 1, 1) float32; 1 where all is 0."""
    power = image.abs().square().mean((-2, -1), keepdim=True)
    is_dark = power == 0  # the square root has no gradient at 0
    return torch.where(is_dark, 1.0, torch.where(is_dark, 1.0, power).sqrt())


def init_normal(module: nn.Module) -> None:
    """Normal weights of deviation 0.02, and no bias, in every convolution and linear layer."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _combine(log_variances: torch.Tensor, coil_images: torch.Tensor) -> torch.Tensor:
    """Log-variance (batch, y, x) of the root sum of squares, from those of (batch, coil, y, x) magnitudes.

    To first order, a coil counts as much as its share of the energy; shares are taken as given, without a gradient.
    """
    energy = coil_images.detach().abs().square() + torch.finfo(torch.float32).tiny
    shares = energy / energy.sum(1, keepdim=True)
    return torch.logsumexp(log_variances + shares.log(), dim=1)


def _norm_relu(channels: torch.Tensor) -> torch.Tensor:
    return nn.functional.relu(nn.functional.instance_norm(channels))
