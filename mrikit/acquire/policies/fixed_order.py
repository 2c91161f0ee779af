"""Fixed order: the same lines for every image, from a file or learned probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from mrikit.acquire.policies.policy import Observation, first_free, from_center
from mrikit.errors import ConfigError, DataError
from mrikit.masks.file import read_mask_file


@dataclass(frozen=True, kw_only=True, slots=True)
class FixedOrder:
    """The first free line of an order."""

    order: tuple[int, ...]
    """Columns, the first measured first, each once."""
    width: int = 0
    """Columns of the k-space that it was made for; 0 where that is not known, as of a list in a file."""
    ignores_image: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.order or min(self.order) < 0 or len(set(self.order)) < len(self.order):
            raise ConfigError(f"an order is of columns from 0, each once, found {list(self.order)[:8]} ...")

    def choose(self, observation: Observation, generators: Sequence[np.random.Generator]) -> torch.Tensor:
        """See `Policy`; nothing is drawn.

        Raises:
            DataError: The order is for another width, names a column that is not there, or none of its lines is free.
        """
        del generators
        is_free = observation.is_free
        width = is_free.shape[-1]
        if self.width not in (0, width):
            raise DataError(
                f"an order of lines was made for {self.width} columns, but k-space has {width}; an order of this width "
                f"would do"
            )
        if max(self.order) >= width:
            raise DataError(
                f"an order of lines names column {max(self.order)}, but k-space has {width} columns; an order of this "
                f"width would do"
            )
        order = torch.tensor(self.order, device=is_free.device)
        return first_free(is_free, order.expand(len(is_free), -1))


def read_order(path: Path) -> FixedOrder:
    """The order of lines of a `.json` mask file, such as `mrikit masks make` and `search` write.

    Raises:
        DataError: There is no such file, or it has a pattern instead of an order.
    """
    order = read_mask_file(path).order if path.suffix == ".json" else None
    if order is None:
        raise DataError(f"{path}: no order of lines; a .json list of column numbers would do")
    return FixedOrder(order=tuple(order.tolist()))


def order_of_probabilities(probabilities: torch.Tensor) -> FixedOrder:
    """Every line, the likeliest first: what a learned sampler such as LOUPE's says of all images.

    Args:
        probabilities: (phase,) float32, such as `mrikit.models.samplers.Sampler.probabilities`. Of equal ones, as in a
            centre, the lower frequency comes first, and of two sides the positive one.

    Raises:
        DataError: Not one axis, or a value that is no number.
    """
    has_nan = bool(probabilities.isnan().any())
    if probabilities.ndim != 1 or has_nan:
        found = f"{tuple(probabilities.shape)}{' with NaN' if has_nan else ''}"
        raise DataError(f"an order of lines needs a probability (phase,) of each, found {found}; lines would do")
    columns = from_center(len(probabilities))
    falling = torch.argsort(probabilities.cpu()[columns], descending=True, stable=True)
    return FixedOrder(order=tuple(columns[falling].tolist()), width=len(columns))
