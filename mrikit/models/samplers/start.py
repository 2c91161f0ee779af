"""Where learning begins: a mask file as logits."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.masks.file import read_mask_file
from mrikit.models.samplers.budget import entry_shape, grid_shape
from mrikit.models.samplers.config import SamplerConfig

_LOGIT = 1.0  # probabilities of .73 and .27: noise of .2 tries neighbours of the mask, noise of .05 leaves it


def start_logits(config: SamplerConfig, center: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Logits whose largest are the samples of `config.start`.

    Args:
        config: Its file holds a mask of k-space, of lines also an order of them, of a tile also the tile alone.
        center: (1 or readout, phase), what is sampled anyway and says nothing about a tile.

    Returns:
        Rows and columns of what is learned; -1 to 1, by the share of an entry's repeats that are sampled, or falling
        along an order.

    Raises:
        DataError: The file is no mask, or one that this sampler cannot begin with.
    """
    found = read_mask_file(Path(config.start))
    grid, entries = grid_shape(config), entry_shape(config)
    if found.order is not None:
        return _falling(config, found.order)
    assert found.samples is not None
    samples = np.atleast_2d(found.samples)
    if config.kind == "lines" and len(samples) > 1 and (samples == samples[0]).all():
        samples = samples[:1]
    if samples.shape == entries:
        share = samples.astype(np.float32)
    elif samples.shape == grid:
        share = _share_of_entries(samples, ~center, entries)
    else:
        raise DataError(
            f"{config.start}: a mask of {_words(samples.shape)} for a {config.kind} sampler of {_words(grid)}; "
            f"make one for it"
        )
    return np.float32(_LOGIT) * (2 * share - 1)


def _falling(config: SamplerConfig, order: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Logits that fall along an order of lines, so that each acceleration takes its first ones."""
    if config.kind != "lines":
        raise DataError(
            f"{config.start}: an order of lines starts sampler.kind=lines, found {config.kind}; a .npy would do"
        )
    grid = grid_shape(config)
    if order.max() >= grid[1]:
        raise DataError(f"{config.start}: its order of lines names column {order.max()}, but there are {grid[1]}")
    logits = np.full(grid, -_LOGIT, np.float32)
    logits[0, order] = np.linspace(_LOGIT, -_LOGIT, len(order), endpoint=False)
    return logits


def _share_of_entries(
    samples: npt.NDArray[np.bool_], is_free: npt.NDArray[np.bool_], entries: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Of each entry of a tile, the share of its repeats outside the centre that are sampled."""
    share = np.zeros(entries, np.float32)
    for row, column in np.ndindex(entries):
        repeats = (slice(row, None, entries[0]), slice(column, None, entries[1]))
        share[row, column] = samples[repeats][is_free[repeats]].mean() if is_free[repeats].any() else 0.0
    return share


def _words(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))
