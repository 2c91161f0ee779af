"""Box plots of the validation score over settings of a sweep."""

import contextlib
import io
import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mrikit.report.curves import ACCENT, INK, LOG_RATIO, PALE, STYLE, WARM
from mrikit.report.sweep.runs import SweepRun, setting_keys
from mrikit.storage import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT, _MARGIN, _LEGEND, _BOX, _WIDEST = 3.6, 1.6, 1.6, 0.32, 20.0
"""Inches: of a picture, beside its boxes, of a legend, of a box, of the widest picture."""
_LONG, _LEGEND_ROWS = 7, 14
"""Letters of a value that still stand upright; rows of a legend."""
_SHARPNESS = 150
_SPREAD = 0.8
"""Share of the room of a value that its boxes take."""


def draw_boxes(runs: Sequence[SweepRun], folder: Path) -> list[Path]:
    """Draw the score over each setting in which members that are done differ, and over each pair of settings.

    A box is the middle half of all members of a value, whatever else they differ in, with the median; whiskers end
    at the last member within 1.5 times the box, others are dots.

    Args:
        runs: All members; each task, and each score that members were validated by, gets pictures of its own.
        folder: Of the pictures.

    Returns:
        The files written: PNG.

    Raises:
        StorageError: The folder cannot be written.
    """
    groups: dict[tuple[str, str], list[SweepRun]] = {}
    for run in runs:
        if run.is_done and run.best is not None:
            groups.setdefault((run.task, run.score.name), []).append(run)
    paths = []
    for (task, score), members in groups.items():
        prefix = f"{task}-{score}-by" if len(groups) > 1 else f"{score}-by"
        keys = [key for key in setting_keys(members) if len(_values(members, key)) > 1]
        for pair in [*((key,) for key in keys), *combinations(keys, 2)]:
            path = folder / f"{_plain('-'.join([prefix, *pair]))}.png"
            _write(path, members, pair, task)
            paths.append(path)
    return paths


def by_values(runs: Sequence[SweepRun], keys: Sequence[str]) -> dict[tuple[str, ...], list[float]]:
    """Scores of all members by the values of one or two settings; numbers in their order, texts in that of the file.

    Args:
        runs: Members that have a score.
        keys: Settings; a member that has none of a key has the value `-`.
    """
    found: dict[tuple[str, ...], list[float]] = {}
    for run in runs:
        if run.best is not None:
            found.setdefault(tuple(run.settings.get(key, "-") for key in keys), []).append(run.best)
    orders = [_values(runs, key) for key in keys]
    return {
        values: found[values]
        for values in sorted(
            found, key=lambda one: [order.index(value) for order, value in zip(orders, one, strict=True)]
        )
    }


def _write(path: Path, runs: Sequence[SweepRun], keys: Sequence[str], task: str) -> None:
    scores, score = by_values(runs, keys), runs[0].score
    outer, inner = _values(runs, keys[0]), _values(runs, keys[1]) if len(keys) > 1 else [""]
    legend = _LEGEND if len(keys) > 1 else 0.0
    width = min(_MARGIN + legend + _BOX * max(len(scores) + len(outer), 6), _WIDEST)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, _HEIGHT), layout="constrained")
        axes = figure.subplots()
        # Values of a second setting that a value of the first one never has leave no gap.
        there = [[value for value in inner if (first, value)[: len(keys)] in scores] for first in outer]
        room = _SPREAD / max(map(len, there))
        for index, value in enumerate(inner):
            places = [place for place, values in enumerate(there) if value in values]
            shifts = [there[place].index(value) - (len(there[place]) - 1) / 2 for place in places]
            boxes = [scores[(outer[place], value)[: len(keys)]] for place in places]
            at = [place + shift * room for place, shift in zip(places, shifts, strict=True)]
            _boxes(axes, boxes, at, 0.8 * room, _colour(index, len(inner)))
        is_long = max(map(len, outer)) > _LONG
        axes.set_xticks(range(len(outer)), outer, rotation=30 if is_long else 0, ha="right" if is_long else "center")
        axes.set_xlim(-0.5, len(outer) - 0.5)
        axes.set_xlabel(keys[0])
        axes.set_ylabel(f"validation {score.words}, {'higher' if score.higher_is_better else 'lower'} is better")
        axes.set_title(task)
        values = [value for one in scores.values() for value in one]
        if min(values) > 0 and max(values) / min(values) > LOG_RATIO:
            axes.set_yscale("log")
        if len(keys) > 1:
            colours = [_colour(index, len(inner)) for index in range(len(inner))]
            patches = [Patch(facecolor=colour, edgecolor=INK, linewidth=0.6) for colour in colours]
            columns = 1 + (len(inner) - 1) // _LEGEND_ROWS
            where: Any = {"loc": "outside right upper", "title": keys[1], "ncols": columns}
            figure.legend(patches, inner, fontsize=7, title_fontsize=7, labelcolor=INK, **where)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=_SHARPNESS)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getvalue())


def _boxes(axes: "Axes", boxes: Sequence[Sequence[float]], places: Sequence[float], width: float, colour: str) -> None:
    axes.boxplot(
        boxes,
        positions=places,
        widths=width,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": colour, "edgecolor": INK, "linewidth": 0.6},
        medianprops={"color": WARM, "linewidth": 1.4},
        whiskerprops={"linewidth": 0.6, "color": INK},
        capprops={"linewidth": 0.6, "color": INK},
        flierprops={"marker": ".", "markersize": 3, "markerfacecolor": ACCENT, "markeredgecolor": "none"},
    )


def _colour(index: int, number: int) -> str:
    """Pale for one; from dark to bright for several, in the order of their values."""
    return PALE if number == 1 else mpl.colors.to_hex(mpl.colormaps["viridis"](0.15 + 0.8 * index / (number - 1)))


def _values(runs: Sequence[SweepRun], key: str) -> list[str]:
    """Values of a setting: numbers in their order, else as the file has them; `-` stands for none, and last."""
    found = dict.fromkeys(run.settings.get(key, "-") for run in runs)
    values = [value for value in found if value != "-"]
    with contextlib.suppress(ValueError):
        values.sort(key=float)
    return values + [value for value in found if value == "-"]


def _plain(text: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^\w.-]+", "-", text)
