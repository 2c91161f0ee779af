"""A convolution of the images that each line of k-space alone gives, without ever making them."""

import torch
from torch import nn

from mrikit.physics.fft import fft1c, ifft1c


class SpectralConv(nn.Conv2d):
    """A 4 x 4 convolution, stride 2, of real and imaginary part of each line's image and of constant planes.

    The image of a line is its values down the rows times one wave along them. So the convolution is a convolution of
    waves, the same for all images, and a matrix product: a quarter of the sums, and no array of as many images as
    there are lines (0.7 GB for one image of 640 x 368). It is in float32, also where others compute in bfloat16.

    Args:
        num_lines: Lines of k-space; the first 2 num_lines channels are theirs, both parts of a line side by side.
        num_constants: Further channels, that are the same in every pixel.
        num_outputs: Output channels.
    """

    waves: torch.Tensor
    """(phase, x) complex64, what each line alone adds to a row of the image."""

    def __init__(self, num_lines: int, num_constants: int, num_outputs: int) -> None:
        super().__init__(2 * num_lines + num_constants, num_outputs, kernel_size=4, stride=2, padding=1)
        self.num_lines = num_lines
        self.register_buffer("waves", ifft1c(torch.eye(num_lines), dim=-1), persistent=False)

    def forward(self, image: torch.Tensor, constants: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """An image and what is added to its channels.

        Args:
            image: (batch, y, x) complex64 or float32, as wide as there are lines, 4 x 4 or more.
            constants: (batch, 2 phase + num_constants) float32, added to the images of lines in every pixel; after
                them the values of the constant planes.

        Returns:
            (batch, num_outputs, y / 2, x / 2) float32.
        """
        with torch.autocast(image.device.type, enabled=False):
            lines = _windows(torch.view_as_real(fft1c(image, dim=-1).transpose(-1, -2)).movedim(-1, 2))
            columns = lines.permute(0, 3, 1, 4, 2).flatten(2)  # (batch, y / 2, line with row of the kernel with part)
            product = columns @ self._waves_convolved()
            of_lines = product.unflatten(-1, (self.out_channels, -1)).movedim(1, 2)
            return of_lines + self._of_constants(constants, (image.shape[-2], image.shape[-1]))

    def _waves_convolved(self) -> torch.Tensor:
        """(line with row of the kernel with part, num_outputs with x / 2) float32."""
        waves = _windows(torch.view_as_real(self.waves).movedim(-1, 1))
        real, imag = waves.unbind(1)
        of_real, of_imag = self.weight.float()[:, : 2 * self.num_lines].unflatten(1, (-1, 2)).unbind(2)
        # The real part of line times wave is l_r w_r - l_i w_i, the imaginary one l_r w_i + l_i w_r.
        factors = [(of_real, real, of_imag, imag), (of_imag, real, -of_real, imag)]
        parts = [
            torch.einsum("olrc,lxc->lrox", first, wave) + torch.einsum("olrc,lxc->lrox", second, other)
            for first, wave, second, other in factors
        ]
        return torch.stack(parts, dim=2).flatten(3).flatten(0, 2)

    def _of_constants(self, constants: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """The convolution, with its bias, of planes of this size: it differs at the first and the last pixel alone."""
        small = constants[..., None, None].expand(-1, -1, *(6 + length % 2 for length in size))
        found = nn.functional.conv2d(small, self.weight.float(), self.bias, stride=2, padding=1)
        for dim, length in zip((-2, -1), size, strict=True):
            places = torch.ones(length // 2, dtype=torch.int64, device=found.device)
            places[0], places[-1] = 0, 2
            found = found.index_select(dim, places)
        return found


def _windows(signal: torch.Tensor) -> torch.Tensor:
    """(..., n) with a 0 at both ends to the windows (..., n / 2, 4) that the kernel meets."""
    return nn.functional.pad(signal, (1, 1)).unfold(-1, 4, 2)
