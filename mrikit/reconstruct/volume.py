"""One volume to its reconstruction, slice by slice."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from mrikit.data import Example, MaskPlan, center_crop, choose_mask, is_fully_sampled, make_example
from mrikit.errors import DataError
from mrikit.models.classical import ZeroFilled, ZeroFilledConfig
from mrikit.parallel import map_on_cores
from mrikit.reconstruct.method import Method, describe_method
from mrikit.volumes import Volume
from mrikit.volumes.reconstruction import Reconstruction

OnSlice = Callable[[str, int], None]
"""Called after every slice with the volume and its number of slices."""


_ZERO_FILLED = ZeroFilled(ZeroFilledConfig())


def reconstruct_volume(
    volume: Volume,
    method: Method,
    plan: MaskPlan | None,
    *,
    device: torch.device | str = "cpu",
    on_slice: OnSlice = lambda _volume_id, _num_slices: None,
) -> Reconstruction:
    """Undersample and reconstruct every slice of a volume.

    Args:
        volume: The scan, read slice by slice.
        method: The model, on the device.
        plan: How a fully sampled volume is undersampled; None keeps it full.
        device: Where to compute.
        on_slice: Called after every slice with the volume and its number of slices.

    Raises:
        DataError: A slice is damaged, or the mask does not suit the model.
    """
    volume_id = volume.info.volume_id
    mask = choose_mask(volume, plan)
    has_reference = volume.reference is None and is_fully_sampled(volume)
    num_slices = len(volume.kspace)

    def one(index: int) -> _Slice:
        try:
            example = make_example(volume, (index,), mask, device, has_reference=has_reference)
            return _reconstruct_slice(example, method)
        except (DataError, torch.linalg.LinAlgError) as error:  # type: ignore[attr-defined]
            raise DataError(f"{volume_id}, slice {index}: {error}") from error

    is_on_cpu = torch.device(device).type == "cpu"
    slices = []
    for done in (map_on_cores if is_on_cpu else map)(one, range(num_slices)):
        slices.append(done)
        on_slice(volume_id, num_slices)
    return Reconstruction(
        image=np.stack([done.image for done in slices]),
        zero_filled=np.stack([done.zero_filled for done in slices]),
        reference=np.stack([done.reference for done in slices]) if has_reference else None,
        volume_id=volume_id,
        mask=mask,
        model=method.name,
        weights_sha256=method.weights.sha256 if method.weights else None,
        config=describe_method(method, plan),
    )


class _Slice(NamedTuple):
    """(y, x) float32 of one slice in the scored window."""

    image: npt.NDArray[np.float32]
    zero_filled: npt.NDArray[np.float32]
    reference: npt.NDArray[np.float32]
    """Empty unless it was asked for."""


@torch.inference_mode()
def _reconstruct_slice(example: Example, method: Method) -> _Slice:
    inputs = (example.masked_kspace, example.mask, example.num_center_lines)
    # Each thread needs its own: autocast belongs to one.
    with torch.autocast(example.masked_kspace.device.type, torch.bfloat16, enabled=method.precision == "bf16"):
        image = method.model(*inputs)
    image, zero_filled = (center_crop(full[0], example.crop) for full in (image, _ZERO_FILLED(*inputs)))
    return _Slice(
        image=image.cpu().numpy(),
        zero_filled=zero_filled.cpu().numpy(),
        reference=np.empty(0, np.float32) if example.reference is None else example.reference[0].cpu().numpy(),
    )
