"""The curves of a run against an adversary: its terms, whether orientation is told, and banding with its price."""

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from mrikit.report.curves import (
    ACCENT,
    HEIGHT,
    INK,
    MAX_MARKERS,
    QUIET,
    SHARPNESS,
    STYLE,
    WARM,
    Curve,
    mark_steps,
    smooth,
)
from mrikit.report.picture import data_uri
from mrikit.report.training import Point, TrainingRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 3.7
"""Inches at 100 pixels of the page each, of each of three."""
Series = dict[str, list[Point]]
"""Name to points; in the first colour, the second, and so on."""
_COLORS = (ACCENT, WARM, QUIET)
_TERMS = {"predictor": "loss_predictor", "adversary": "loss_adversary", "regulariser": "loss_regulariser"}
_LOGITS = {"transposed": "logit_transposed", "upright": "logit_upright"}


def draw_adversary(run: TrainingRun) -> list[Curve]:
    """Terms by step, logits by epoch, and banding with SSIM by epoch; nothing of a run without an adversary."""
    terms = {name: run.points("train", "step", key) for name, key in _TERMS.items()}
    if not all(terms.values()):
        return []
    curves = [_curve("Terms of the adversary", "step", terms, _draw_terms, [stage.step for stage in run.stages])]
    epochs = [stage.epoch for stage in run.stages]
    logits = {name: run.points("validation", "epoch", key) for name, key in _LOGITS.items()}
    told, banding = (run.points("validation", "epoch", key) for key in ("accuracy", "abs_banding_db"))
    if told and all(logits.values()):
        title = f"Logits, orientation told of {100 * told[-1][1]:.0f} %"
        curves.append(_curve(title, "epoch", logits, _draw_logits, epochs))
    if banding:
        ssim = [point for point in run.points("validation", "epoch", "ssim") if point[0] >= banding[0][0]]
        curves.append(_curve("Banding, dB", "epoch", {"banding": banding, "SSIM": ssim}, _draw_price, epochs))
    return curves


def _curve(
    title: str, unit: str, series: Series, draw: Callable[["Axes", Series], None], stages: Sequence[float]
) -> Curve:
    places = [place for place, _ in next(iter(series.values()))]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        axes = figure.subplots()
        axes.set_title(title)
        axes.set_xlabel(unit)
        draw(axes, series)
        mark_steps(axes, places)
        for place in stages[1:]:
            if place >= places[0]:
                axes.axvline(place, color=QUIET, linewidth=0.7, linestyle=(0, (2, 2)), zorder=0)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=SHARPNESS)
    last = ", ".join(f"{name} {points[-1][1]:.4g}" for name, points in series.items())
    return Curve(image=data_uri(content.getvalue()), width=1 / 3, alt=f"{title}, by {unit}; at the end {last}")


def _draw_terms(axes: "Axes", series: Series) -> None:
    for color, (name, points) in zip(_COLORS, series.items(), strict=True):
        steps, values = zip(*points, strict=True)
        axes.plot(steps, smooth(values)[0], color=color, linewidth=1.4, label=name)
    axes.legend(loc="best", fontsize=8, labelcolor=INK)


def _draw_logits(axes: "Axes", series: Series) -> None:
    """Where both meet, orientation cannot be told."""
    for color, (name, points) in zip(_COLORS, series.items(), strict=False):
        _plot(axes, name, points, color)
    axes.axhline(0, color=QUIET, linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
    axes.legend(loc="best", fontsize=8, labelcolor=INK)


def _draw_price(axes: "Axes", series: Series) -> None:
    """Banding by the left axis, SSIM by the right one."""
    _plot(axes, "banding", series["banding"], ACCENT)
    right = axes.twinx()
    right.grid(visible=False)
    _plot(right, "SSIM", series["SSIM"], WARM)
    right.set_title("SSIM", loc="right", color=WARM)


def _plot(axes: "Axes", name: str, points: Sequence[Point], color: str) -> None:
    marker = "o" if len(points) <= MAX_MARKERS else ""
    axes.plot(*zip(*points, strict=True), color=color, linewidth=1.4, marker=marker, markersize=3.5, label=name)
