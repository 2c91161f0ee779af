"""Learned masks as pictures: a film strip over the epochs, how much changed, and the mask that was kept."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from mrikit.masks.mask import Mask, center_of, center_size, measured
from mrikit.masks.picture import draw_mask
from mrikit.report.curves import ACCENT, PALE, QUIET, SHARPNESS, STYLE, WARM, mark_steps
from mrikit.report.learned import LearnedPattern, learned_patterns
from mrikit.report.picture import data_uri, gray_picture
from mrikit.report.training import TrainingRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_FRAMES = 10
FRAME_PIXELS = 240
"""At least so wide are the pictures of small masks, so that a screen can make them smaller without stripes."""
WIDTH, HEIGHT = 11.3, 2.6
"""Inches at 100 pixels of the page each."""
_COLORS = (ACCENT, WARM, PALE, QUIET)


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """The mask of one epoch."""

    image: str
    """Data URI."""
    caption: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Film:
    """One mask over the epochs."""

    title: str
    is_lines: bool
    """Whether each frame is one row of lines."""
    note: str
    """What the frames show, and which of them was kept."""
    frames: tuple[Frame, ...]
    kept: str
    """Data URI of the mask that the weights belong to, with what it does."""
    kept_alt: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LearnedMasks:
    """All pictures of what a run learned to measure."""

    films: tuple[Film, ...]
    changes: str
    """Data URI of the curves; empty for a single epoch."""
    changes_alt: str


def draw_learned(run: TrainingRun) -> LearnedMasks | None:
    """Film strips, curves and kept masks of a run; None if it did not learn what to measure.

    Raises:
        DataError: A file of its masks is damaged.
    """
    found = learned_patterns(run)
    if not found:
        return None
    moving = [pattern for pattern in found if len(pattern.epochs) > 1]
    alt = "; ".join(
        f"{pattern.name}: {_in_percent(pattern.changes(since_start=True)[-1][1])} changed since "
        f"{_epoch_words(pattern.epochs[0])}"
        for pattern in moving
    )
    return LearnedMasks(
        films=tuple(_film(run, pattern) for pattern in found),
        changes=_draw_changes(moving) if moving else "",
        changes_alt=alt,
    )


def frames_of(pattern: LearnedPattern) -> tuple[Frame, ...]:
    """Its first and last epoch, and as many between them, evenly, as there is room for."""
    shown = np.unique(np.linspace(0, len(pattern.epochs) - 1, MAX_FRAMES).round().astype(int))
    return tuple(_frame(pattern, int(place)) for place in shown)


def _film(run: TrainingRun, pattern: LearnedPattern) -> Film:
    is_lines = pattern.patterns[0].ndim == 1
    epoch = pattern.epochs[pattern.kept]
    note = "white is measured" if pattern.is_mask else "the brighter a line, the more slices measured it"
    return Film(
        title=f"Learned mask, {pattern.name}" if pattern.is_mask else "Lines chosen for each slice",
        is_lines=is_lines,
        note=f"{note}; the weights that were kept are those of {_epoch_words(epoch)}",
        frames=frames_of(pattern),
        kept=data_uri(_draw_kept(run, pattern)),
        kept_alt=f"What {pattern.name} measures after {_epoch_words(epoch)}",
    )


def _frame(pattern: LearnedPattern, place: int) -> Frame:
    image = np.atleast_2d(pattern.patterns[place])
    times = -(-FRAME_PIXELS // image.shape[1])
    image = image.repeat(times, 1)
    if image.shape[0] > 1:
        image = image.repeat(times, 0)
    return Frame(image=gray_picture(image, 1.0), caption=_epoch_words(pattern.epochs[place]))


def _epoch_words(epoch: int) -> str:
    return f"epoch {epoch}" if epoch else "the start"


def _draw_kept(run: TrainingRun, pattern: LearnedPattern) -> bytes:
    if not pattern.is_mask:
        return _draw_shares(pattern)
    return draw_mask(_mask(pattern), _size(run, pattern), pattern.probabilities)


def _mask(pattern: LearnedPattern) -> Mask:
    samples = pattern.patterns[pattern.kept] > 0
    return measured(
        samples,
        kind="learned",
        acceleration=float(pattern.name.removesuffix("x")),
        num_center_lines=center_size(samples),
        center=center_of(samples) if samples.ndim > 1 else None,
    )


def _size(run: TrainingRun, pattern: LearnedPattern) -> tuple[int, int]:
    """(readout, phase) of k-space; that of lines as the run says, because the files hold lines alone."""
    *rows, columns = pattern.patterns[0].shape
    said = run.newest.get("config", {}).get("sampler", {}).get("shape") or (columns,)
    return int((rows or said)[0]), columns


def _draw_shares(pattern: LearnedPattern) -> bytes:
    """A PNG of how often each line is measured."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        axes = figure.subplots()
        kept = pattern.patterns[pattern.kept]
        axes.bar(np.arange(len(kept)), kept, width=0.8, color=ACCENT)
        axes.set_xlim(-1, len(kept))
        axes.set_ylim(0, 1.05)
        axes.set_title(f"Share of slices that measure each line, {kept.sum():.4g} of {len(kept)} on average")
        axes.set_xlabel("phase")
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        return _png(figure)


def _draw_changes(patterns: Sequence[LearnedPattern]) -> str:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        for axes, since_start in zip(figure.subplots(1, 2), (False, True), strict=True):
            _draw_change(axes, patterns, since_start=since_start)
        return data_uri(_png(figure))


def _draw_change(axes: "Axes", patterns: Sequence[LearnedPattern], *, since_start: bool) -> None:
    places: list[float] = []
    for number, pattern in enumerate(patterns):
        epochs, values = zip(*pattern.changes(since_start=since_start), strict=True)
        color = _COLORS[number % len(_COLORS)]
        axes.plot(epochs, values, color=color, linewidth=1.4, marker="o", markersize=3, label=pattern.name)
        places += epochs
    what = "Samples changed" if all(pattern.is_mask for pattern in patterns) else "Mean change of the shares"
    first = _epoch_words(min(pattern.epochs[0] for pattern in patterns))
    axes.set_title(f"{what} since {first if since_start else 'the epoch before'}")
    axes.set_xlabel("epoch")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    mark_steps(axes, places)
    if len(patterns) > 1:
        axes.legend(loc="best", fontsize=8)


def _in_percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _png(figure: Any) -> bytes:  # noqa: ANN401 - a Figure, which matplotlib types as it likes
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=SHARPNESS)
    return content.getvalue()
