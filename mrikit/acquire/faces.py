"""What both environments show of a row, and how they begin one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mrikit.acquire.chance import Chance
from mrikit.acquire.episodes import Episodes
from mrikit.acquire.picture import draw_episode
from mrikit.errors import ConfigError

_OPTIONS = ("volume", "slice")
_LISTS = (list, tuple, np.ndarray)


def require_render_mode(render_mode: str | None) -> None:
    """Refuse a way to draw that there is not.

    Raises:
        ConfigError: It is neither None nor `rgb_array`.
    """
    if render_mode not in (None, "rgb_array"):
        raise ConfigError(f"render_mode is 'rgb_array' or nothing, found {render_mode!r}")


def begin_rows(
    episodes: Episodes, chance: Chance, rows: Sequence[int], options: Mapping[str, Any] | None = None
) -> None:
    """Begin the next episode in some rows.

    Args:
        episodes: They change.
        chance: What comes next.
        rows: Where.
        options: `volume` and `slice` of all of them, or a list with one for each; without them, as chance has it.

    Raises:
        ConfigError: An unknown option, not one for each row, or a budget larger than the free columns.
        DataError: There is no such volume or slice.
    """
    options = options or {}
    for name in options:
        if name not in _OPTIONS:
            raise ConfigError(f"reset has the options {' and '.join(_OPTIONS)}, found {name!r}")
    _require_one_each(options, len(episodes.mask))
    draws = chance.draw(rows, episodes.config.split, len(episodes.slices), episodes.given.num_lines)
    positions = [draw.position for draw in draws]
    for place, row in enumerate(rows):
        volume, index = (_of_row(options.get(name), row) for name in _OPTIONS)
        if volume is not None or index is not None:
            positions[place] = episodes.slices.find(volume, index)[0]
    episodes.begin(rows, positions, [draw.num_lines for draw in draws])


def row_info(episodes: Episodes, row: int) -> dict[str, Any]:
    """The `info` of one row: numbers alone and no parts, because TorchRL makes tensors of all."""
    volume, slice_index = episodes.slices.keys[episodes.positions[row]]
    return {
        "action_mask": episodes.action_mask[row].astype(np.int8),
        **{name: float(score[row]) for name, score in episodes.scores.items()},
        "volume": volume,
        "slice": slice_index,
        "num_lines": int(episodes.mask[row].sum()),
    }


def render_row(episodes: Episodes, row: int) -> npt.NDArray[np.uint8]:
    """(y, columns, 3) uint8 picture of one row: mask, image and error."""
    image, reference = episodes.window(row)
    return draw_episode(episodes.mask[row], image, reference)


def _require_one_each(options: Mapping[str, Any], num_rows: int) -> None:
    for name, wanted in options.items():
        if isinstance(wanted, _LISTS) and len(wanted) != num_rows:
            raise ConfigError(f"the option {name} is one for all, or one for each of {num_rows}; found {len(wanted)}")


def _of_row(wanted: Any, row: int) -> Any:  # noqa: ANN401 - a volume's name or a number
    return wanted[row] if isinstance(wanted, _LISTS) else wanted
