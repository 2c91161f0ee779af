"""The multi-coil Cartesian acquisition as a linear operator."""

import torch
from torch import nn

from mrikit.errors import DataError
from mrikit.physics.coils import combine
from mrikit.physics.fft import fft2c, ifft2c
from mrikit.physics.sampling import keep

_CACHE_BYTES, _DEVICE_BYTES = 2**19, 2**28  # coil images held at once by `normal`, on a CPU and on a GPU


class SenseOp(nn.Module):
    """A = M F S: weight by coil sensitivities, transform, keep the measured samples.

    Args:
        sens_maps: (..., coil, y, x) complex64, root-sum-of-squares 1 inside the body.
        mask: (phase,) or (..., 1, 1, phase) bool for lines, (..., 1, readout, phase) bool for a 2-D pattern; True where
            measured.

    Raises:
        DataError: The mask does not fit the maps.

    Source:
        Pruessmann et al., SENSE, MRM 42:952 (1999).
    """

    sens_maps: torch.Tensor
    mask: torch.Tensor
    shifted_mask: torch.Tensor

    def __init__(self, sens_maps: torch.Tensor, mask: torch.Tensor) -> None:
        super().__init__()
        _check_mask(mask, sens_maps.shape)
        self.register_buffer("sens_maps", sens_maps, persistent=False)
        self.register_buffer("mask", mask, persistent=False)
        self.is_line_mask = mask.ndim == 1 or mask.shape[-2] == 1
        # masking between a transform and its inverse is a circular convolution, which commutes with the centring
        # shifts of the image: only the mask has to be shifted, once, and no image ever
        dims = (-1,) if self.is_line_mask else (-2, -1)
        shifted = torch.fft.ifftshift(mask, dim=dims).to(sens_maps.dtype)
        self.register_buffer("shifted_mask", shifted, persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(..., y, x) image to (..., coil, readout, phase) masked k-space."""
        return keep(fft2c(self.sens_maps * image.unsqueeze(-3)), self.mask)

    def adjoint(self, kspace: torch.Tensor) -> torch.Tensor:
        """(..., coil, readout, phase) k-space to (..., y, x) image."""
        return combine(ifft2c(keep(kspace, self.mask)), self.sens_maps)

    def normal(self, image: torch.Tensor) -> torch.Tensor:
        """adjoint(forward(image)), (..., y, x); a line mask takes one transform along the phase axis each way.

        The readout transforms of a line mask cancel, so its rows are independent and are worked off in strips.
        """
        if not self.is_line_mask:
            return self._normal_rows(image, self.sens_maps, (-2, -1))
        strip_bytes = _CACHE_BYTES if image.device.type == "cpu" else _DEVICE_BYTES
        row_bytes = self.sens_maps.element_size() * self.sens_maps[..., 0, :].numel()
        num_rows = max(1, strip_bytes // row_bytes)
        strips = zip(image.split(num_rows, -2), self.sens_maps.split(num_rows, -2), strict=True)
        return torch.cat([self._normal_rows(rows, maps, (-1,)) for rows, maps in strips], dim=-2)

    def _normal_rows(self, image: torch.Tensor, sens_maps: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
        kspace = torch.fft.fftn(sens_maps * image.unsqueeze(-3), dim=dims)
        return combine(torch.fft.ifftn(kspace * self.shifted_mask, dim=dims), sens_maps)


def _check_mask(mask: torch.Tensor, shape: torch.Size) -> None:
    if mask.dtype != torch.bool:
        raise DataError(f"a sampling mask is bool; found {mask.dtype}; mask != 0 would do")
    fits_readout = mask.ndim == 1 or mask.shape[-2] in (1, shape[-2])
    if mask.shape[-1] != shape[-1] or not fits_readout or (mask.ndim > 2 and mask.shape[-3] != 1):
        raise DataError(
            f"the mask {tuple(mask.shape)} does not fit sensitivity maps {tuple(shape)}; "
            f"(..., 1, 1, {shape[-1]}) or (..., 1, {shape[-2]}, {shape[-1]}) would do"
        )
