"""SSIM over acceleration: one line for each model and kind of mask, at what was truly measured."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean

import matplotlib as mpl
from matplotlib.figure import Figure

from mrikit.evaluate import Interval, VolumeScore, summarise
from mrikit.report.collect import ReconFolder
from mrikit.report.curves import INK, SHARPNESS, STYLE
from mrikit.report.panels import readable
from mrikit.report.picture import data_uri

WIDTH, HEIGHT = 8.4, 3.6
"""Inches at 100 pixels of the page each."""
LEAST_RATIO = 1.2
"""Accelerations that differ by less are one, with masks that round in their own ways."""
COLORS = ("#14577e", "#c8641b", "#3d8b57", "#8b4a8c", "#7d868d", "#b8961e")
"""Of lines, in this order."""
_MARKERS = "osD^vP"


@dataclass(frozen=True, kw_only=True, slots=True)
class OverAcceleration:
    """The figure of one scorer."""

    scorer: str
    image: str
    """Data URI."""
    alt: str
    num_volumes: int
    """Volumes that all points are means over; 0 if no volume is in all, so that each has its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One model with one kind of mask."""

    name: str
    points: tuple[tuple[float, Interval], ...]
    """Mean true acceleration and SSIM, by acceleration."""


def draw_over_acceleration(folders: Sequence[ReconFolder]) -> list[OverAcceleration]:
    """A figure for each scorer that scored several true accelerations."""
    rows = [row for folder in folders for row in folder.rows]
    drawn = []
    for scorer in dict.fromkeys(row.scorer for row in rows):
        common, num_volumes = _on_common_volumes([row for row in rows if row.scorer == scorer])
        lines = make_lines(common)
        places = [place for line in lines for place, _ in line.points]
        if max(places) >= LEAST_RATIO * min(places):
            names = ", ".join(readable(line.name) for line in lines)
            alt = f"SSIM at true accelerations of {min(places):.3g} to {max(places):.3g} of {names}"
            drawn.append(OverAcceleration(scorer=scorer, image=_draw(lines), alt=alt, num_volumes=num_volumes))
    return drawn


def make_lines(rows: Sequence[VolumeScore]) -> list[Line]:
    """The lines of a figure, by name; several runs of one model and kind of mask are averaged.

    Args:
        rows: Scored volumes by one scorer, labelled.
    """
    kinds: dict[str, list[VolumeScore]] = {}
    for row in rows:
        kinds.setdefault(f"{row.model}, {row.mask}", []).append(row)
    return [Line(name=name, points=_points(members)) for name, members in sorted(kinds.items())]


def _points(rows: Sequence[VolumeScore]) -> tuple[tuple[float, Interval], ...]:
    # Without labels all runs of a kind are one.
    found = []
    for acceleration in sorted({row.acceleration for row in rows}):
        members = [row for row in rows if row.acceleration == acceleration]
        (summary,) = summarise([replace(row, label="") for row in members])
        found.append((mean(row.true_acceleration for row in members), summary.ssim))
    return tuple(found)


def _on_common_volumes(rows: Sequence[VolumeScore]) -> tuple[Sequence[VolumeScore], int]:
    """The rows of the volumes that each kind of each acceleration has, and how many; all rows where there is none."""
    done: dict[tuple[str, str, float], set[tuple[str, str]]] = {}
    for row in rows:
        done.setdefault((row.model, row.mask, row.acceleration), set()).add(row.volume)
    common = set.intersection(*done.values())
    return ([row for row in rows if row.volume in common], len(common)) if common else (rows, 0)


def _draw(lines: Sequence[Line]) -> str:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        axes = figure.subplots()
        for number, line in enumerate(lines):
            places = [place for place, _ in line.points]
            ssim = [interval for _, interval in line.points]
            axes.errorbar(
                places,
                [one.mean for one in ssim],
                yerr=list(zip(*map(_reach, ssim), strict=True)),
                color=COLORS[number % len(COLORS)],
                marker=_MARKERS[number // len(COLORS) % len(_MARKERS)],
                linewidth=1.4,
                markersize=4,
                elinewidth=1,
                capsize=2.5,
                label=readable(line.name),
            )
        axes.set_xlabel("true acceleration")
        axes.set_title("SSIM")
        figure.legend(loc="outside right upper", fontsize=8, labelcolor=INK)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=SHARPNESS)
    return data_uri(content.getvalue())


def _reach(interval: Interval) -> tuple[float, float]:
    """How far an interval goes below and above its mean; nowhere for a single patient."""
    if interval.low is None or interval.high is None:
        return 0.0, 0.0
    return max(interval.mean - interval.low, 0.0), max(interval.high - interval.mean, 0.0)
