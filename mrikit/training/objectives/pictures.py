"""A few fixed slices of the volumes to validate on, as they are reconstructed by now."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from mrikit.data import Example, SliceDataset, SliceKey, center_crop
from mrikit.models.classical import ZeroFilled, ZeroFilledConfig
from mrikit.models.output import Output, image_of
from mrikit.runs.process import Process
from mrikit.training.config import ExecutionConfig

Made = Callable[[SliceKey], tuple[Output, Example]]
"""What is made of one slice."""


@torch.no_grad()
def picture_slices(
    made: Made, dataset: SliceDataset, execution: ExecutionConfig, process: Process
) -> Sequence[Mapping[str, npt.NDArray[np.float16]]]:
    """The images of the chosen slices, in the order of the volumes; each process makes its share, and all get them.

    Args:
        made: Reconstructs one slice.
        dataset: Volumes to validate on.
        execution: How many slices, and whether they are shown zero-filled too.
        process: This one.

    Returns:
        For each slice its (y, x) images by name, from -4 to 4 in units of the reference's maximum.

    Raises:
        DataError: A slice cannot be read.
    """
    keys = chosen_slices([len(volume.kspace) for volume in dataset.volumes], execution.num_pictures)
    own = {
        number: _images(*made(keys[number]), has_zero_filled=execution.shows_zero_filled)
        for number in range(process.rank, len(keys), process.world_size)
    }
    found = {number: images for part in process.gather(own) for number, images in part.items()}
    return [found[number] for number in sorted(found)]


def chosen_slices(num_slices: Sequence[int], count: int) -> list[SliceKey]:
    """So many slices at equal distances through all volumes, each the middle of its part; at most all there are.

    They follow from the volumes alone, so that pictures of all epochs, stages and runs compare.

    Args:
        num_slices: Of each volume.
        count: At most so many.
    """
    keys = [SliceKey(volume, index) for volume, number in enumerate(num_slices) for index in range(number)]
    count = min(count, len(keys))
    return [keys[(2 * part + 1) * len(keys) // (2 * count)] for part in range(count)]


def _images(output: Output, example: Example, *, has_zero_filled: bool) -> dict[str, npt.NDArray[np.float16]]:
    """What a panel shows of one slice."""
    assert example.reference is not None  # prepare makes one
    image, reference = center_crop(image_of(output), example.crop)[0].float().cpu(), example.reference[0].cpu()
    shown = {"reference": reference, "output": image}
    if has_zero_filled:
        shown = {"reference": reference, "zero_filled": _zero_filled(example), "output": image}
    # A stored reference may be smaller than the window.
    size = (min(image.shape[0], reference.shape[0]), min(image.shape[1], reference.shape[1]))
    cropped = {name: center_crop(one, size).numpy() for name, one in shown.items()}
    cropped |= {"error": cropped["output"] - cropped["reference"]}
    # Half the size, because they go from process to process; a picture has 256 levels up to the reference's maximum.
    top = float(cropped["reference"].max()) or 1.0
    return {name: np.clip(one / top, -4, 4).astype(np.float16) for name, one in cropped.items()}


def _zero_filled(example: Example) -> torch.Tensor:
    """(y, x) float32 on the CPU, the scored window; of adjacent slices that in their middle."""
    kspace, mask = example.masked_kspace, example.mask
    if kspace.ndim == 5:
        kspace, mask = kspace[:, kspace.shape[1] // 2], mask[:, 0]
    whole: torch.Tensor = ZeroFilled(ZeroFilledConfig())(kspace, mask, example.num_center_lines)
    return center_crop(whole, example.crop)[0].cpu()
