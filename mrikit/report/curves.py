"""The curves of a training run: loss, validation score and learning rate as pictures that a page can hold."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from mrikit.report.picture import data_uri
from mrikit.report.training import Point, TrainingRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, QUIET, LINE = "#1f2428", "#5d666e", "#e4e6e8"
ACCENT, PALE, WARM = "#14577e", "#a3c1d3", "#c8641b"
HEIGHT = 2.9
WIDTHS = {"loss": 4.7, "score": 3.7, "lr": 2.9}
"""Inches at 100 pixels of the page each."""
SHARPNESS = 200
SMOOTH_SHARE = 0.02
MAX_MARKERS = 60
"""More points than these are a line without dots."""
LOG_RATIO = 10.0
LONG_NAME = 10
"""Letters of a score's name beside which less of its best value has room."""
STYLE: Any = {  # matplotlib types the names of its settings, but not in every version
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": QUIET,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "agg.path.chunksize": 10_000,  # longer lines that go up and down are too much for the renderer
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One picture."""

    image: str
    """Data URI."""
    width: float
    """Share of the page's width that leaves room for all three, 0 to 1."""
    alt: str


def draw_curves(run: TrainingRun) -> list[Curve]:
    """Loss, score of the validations and learning rate, each if the run has any of it; a line where a stage begins."""
    loss, rate = run.points("train", "step", "loss"), run.points("train", "step", "lr")
    score, name = run.points("validation", "epoch", run.score.name), run.score.words
    steps, epochs = [stage.step for stage in run.stages], [stage.epoch for stage in run.stages]
    curves = []
    if loss:
        alt = f"Training loss from {loss[0][1]:.4g} at step {loss[0][0]:g} to {loss[-1][1]:.4g} at step {loss[-1][0]:g}"
        curves.append(_curve("loss", alt, steps, _draw_loss, loss))
    if score:
        alt = f"Validation {name} after each of {len(score)} validations, {score[-1][1]:.4f} after the last"
        curves.append(_curve("score", alt, epochs, _draw_score, score, run.best, name))
    if rate:
        alt = f"Learning rate, {max(value for _, value in rate):.3g} at most and {rate[-1][1]:.3g} at the end"
        curves.append(_curve("lr", alt, steps, _draw_rate, rate))
    return curves


def smooth(values: Sequence[float]) -> tuple[npt.NDArray[np.float64], int]:
    """The mean of each value and its neighbours, and of how many; fewer towards the ends, the same on both sides."""
    half = round(SMOOTH_SHARE * len(values) / 2)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    center = np.arange(len(values))
    reach = np.minimum(half, np.minimum(center, center[::-1]))
    return (sums[center + reach + 1] - sums[center - reach]) / (2 * reach + 1), 2 * half + 1


def mark_steps(axes: "Axes", places: Sequence[float]) -> None:
    """Few whole numbers along an axis of steps or epochs; room around a single one."""
    if len(places) == 1:
        axes.set_xlim(places[0] - 1, places[0] + 1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _curve(
    name: str,
    alt: str,
    stages: Sequence[float],
    draw: Any,  # noqa: ANN401 - one of the functions below
    *arguments: Any,  # noqa: ANN401
) -> Curve:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTHS[name], HEIGHT), layout="constrained")
        axes = figure.subplots()
        draw(axes, *arguments)
        for place in stages[1:]:
            axes.axvline(place, color=QUIET, linewidth=0.7, linestyle=(0, (2, 2)), zorder=0)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=SHARPNESS)
    return Curve(image=data_uri(content.getvalue()), width=WIDTHS[name] / sum(WIDTHS.values()), alt=alt)


def _draw_loss(axes: "Axes", loss: Sequence[Point]) -> None:
    steps, values = zip(*loss, strict=True)
    means, num_steps = smooth(values)
    if num_steps == 1:
        axes.plot(steps, values, color=ACCENT, linewidth=1.4, marker=_marker(loss), markersize=4)
    else:
        axes.plot(steps, values, color=PALE, linewidth=0.6, label="each step")
        axes.plot(steps, means, color=ACCENT, linewidth=1.6, label=f"mean of {num_steps:,} steps")
    # The first steps would press a curve of several decades flat.
    if min(values) > 0 and max(means) / min(means) > LOG_RATIO:
        axes.set_yscale("log")
    axes.set_title("Training loss")
    axes.set_xlabel("step")
    mark_steps(axes, steps)
    if len(axes.lines) > 1:
        for handle in axes.legend(loc="upper right", fontsize=8, labelcolor=INK).get_lines():
            handle.set_linewidth(1.8)


def _draw_score(axes: "Axes", score: Sequence[Point], best: Point, name: str) -> None:
    axes.plot(*zip(*score, strict=True), color=ACCENT, linewidth=1.4, marker=_marker(score), markersize=3.5)
    axes.plot(*best, color=WARM, marker="o", markersize=7, markerfacecolor="none", markeredgewidth=1.6)
    axes.axhline(best[1], color=WARM, linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
    axes.set_title(f"Validation {name}")
    word = "best " if len(name) <= LONG_NAME else ""
    axes.set_title(f"{word}{best[1]:.4f} at epoch {best[0]:g}", loc="right", color=WARM, fontsize=8.5)
    axes.set_xlabel("epoch")
    mark_steps(axes, [epoch for epoch, _ in score])


def _draw_rate(axes: "Axes", rate: Sequence[Point]) -> None:
    axes.plot(*zip(*rate, strict=True), color=ACCENT, linewidth=1.4, marker=_marker(rate), markersize=4)
    axes.set_ylim(0, 1.08 * max(value for _, value in rate) or 1)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
    axes.set_title("Learning rate", loc="right")
    axes.set_xlabel("step")
    mark_steps(axes, [step for step, _ in rate])


def _marker(points: Sequence[Point]) -> str:
    return "o" if len(points) <= MAX_MARKERS else ""
