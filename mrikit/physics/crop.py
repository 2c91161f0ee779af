"""The middle of images, tensors and arrays alike; this file loads no torch."""

from typing import TYPE_CHECKING, Any, TypeVar

import numpy.typing as npt

from mrikit.errors import DataError

if TYPE_CHECKING:
    import torch

Image = TypeVar("Image", "torch.Tensor", "npt.NDArray[Any]")


def center_crop(image: Image, window: tuple[int, int]) -> Image:
    """The middle of (..., y, x) images, without a copy; the first row and column are (n - window) // 2.

    Raises:
        DataError: The window is larger than the image.
    """
    top, left = ((size - wanted) // 2 for size, wanted in zip(image.shape[-2:], window, strict=True))
    if min(top, left) < 0:
        raise DataError(f"cannot crop {window} from an image of {tuple(image.shape[-2:])}; choose a smaller window")
    return image[..., top : top + window[0], left : left + window[1]]
