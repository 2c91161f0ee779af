"""Active acquisition in pictures: the score over lines, and in which order each policy measured them."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mrikit.evaluate import FolderCurve
from mrikit.report.acquired import AcquiredFolder
from mrikit.report.curves import INK, LINE, SHARPNESS, STYLE
from mrikit.report.over_acceleration import COLORS
from mrikit.report.panels import readable
from mrikit.report.picture import data_uri
from mrikit.volumes.decisions import read_decisions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 8.4, 4.2
"""Inches at 100 pixels of the page each, of the curves."""
ROW_HEIGHT, ROW_WIDTH = 1.35, 11.3
"""Of one policy in the picture of the orders."""
MAX_SLICES = 40
"""Of each policy there."""
_MARKERS = "osD^vP"
_MAX_MARKERS = 20  # on a curve
_ORDER_COLORS = "viridis_r"


@dataclass(frozen=True, kw_only=True, slots=True)
class OverLines:
    """Both figures."""

    curves: str
    """Data URI."""
    curves_alt: str
    orders: str
    """Data URI."""
    orders_alt: str
    num_volumes: int
    """Volumes that all curves are means over; 0 if they are not the same."""


def draw_over_lines(folders: Sequence[AcquiredFolder]) -> OverLines | None:
    """The figures of all folders whose lines a policy chose; None where there is none.

    Raises:
        DataError: A file of one cannot be read.
    """
    if not folders:
        return None
    volumes = {frozenset(row.volume for row in folder.rows) for folder in folders}
    names = ", ".join(
        f"{readable(folder.label)} {folder.curve.ssim.scores[-1].mean:.4f} after {folder.curve.ssim.num_lines[-1]}"
        for folder in folders
    )
    return OverLines(
        curves=data_uri(_draw_curves(folders)),
        curves_alt=f"SSIM over lines: {names}",
        orders=data_uri(_draw_orders(folders)),
        orders_alt=f"In which order lines were measured by {', '.join(readable(one.label) for one in folders)}",
        num_volumes=len(next(iter(volumes))) if len(volumes) == 1 else 0,
    )


def slice_steps(folder: AcquiredFolder) -> npt.NDArray[np.int16]:
    """(slice, phase) by which decision each line was measured, as in `Decisions.steps`, of slices of all volumes.

    They are evenly spaced, in the order of the volumes; those of the width of the first.
    """
    found = [read_decisions(folder.path / row.reconstruction) for row in folder.rows]
    steps = [one.steps for one in found if one is not None]
    alike = np.concatenate([one for one in steps if one.shape[1] == steps[0].shape[1]])
    shown = np.unique(np.linspace(0, len(alike) - 1, MAX_SLICES).round().astype(int))
    return np.asarray(alike[shown], np.int16)


def _draw_curves(folders: Sequence[AcquiredFolder]) -> bytes:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        axes = figure.subplots()
        for number, folder in enumerate(folders):
            _draw_curve(axes, folder.label, folder.curve, number)
        axes.set_xlabel("lines measured, the given ones with them")
        axes.set_title("SSIM")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside right upper", fontsize=8, labelcolor=INK)
        return _png(figure)


def _draw_curve(axes: "Axes", label: str, curve: FolderCurve, number: int) -> None:
    ssim, color = curve.ssim, COLORS[number % len(COLORS)]
    means = [one.mean for one in ssim.scores]
    low = [one.mean if one.low is None else one.low for one in ssim.scores]
    high = [one.mean if one.high is None else one.high for one in ssim.scores]
    axes.fill_between(ssim.num_lines, low, high, color=color, alpha=0.1, linewidth=0)
    axes.plot(
        ssim.num_lines,
        means,
        color=color,
        # Not everybody tells these colours apart.
        marker=_MARKERS[(number + number // len(COLORS)) % len(_MARKERS)],
        markersize=3.5,
        markevery=-(-len(means) // _MAX_MARKERS),
        linewidth=1.4,
        label=f"{readable(label)}, area {ssim.area.mean:.4f}",
    )


def _draw_orders(folders: Sequence[AcquiredFolder]) -> bytes:
    """A row for each policy: a line of pixels for each slice, in which colour says when a column was measured."""
    steps = [slice_steps(folder) for folder in folders]
    most = max(int(one.max()) for one in steps)
    colors = mpl.colormaps[_ORDER_COLORS].with_extremes(under=INK, bad=LINE)
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(ROW_WIDTH, ROW_HEIGHT * len(folders) + 0.4), layout="constrained")
        is_alike = len({one.shape[1] for one in steps}) == 1
        rows = figure.subplots(len(folders), 1, squeeze=False, sharex=is_alike)[:, 0]
        for axes, folder, one in zip(rows, folders, steps, strict=True):
            shown = np.ma.masked_less(one, 0)
            picture = axes.imshow(shown, cmap=colors, vmin=0.5, vmax=most + 0.5, aspect="auto", interpolation="nearest")
            axes.set_title(readable(folder.label))
            axes.set_ylabel("slice")
            axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        rows[-1].set_xlabel("column of k-space; dark was given, pale was never measured")
        bar = figure.colorbar(picture, ax=list(rows), pad=0.01, fraction=0.03)
        bar.set_label("decision")
        bar.ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        bar.outline.set_visible(False)
        return _png(figure)


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=SHARPNESS)
    return content.getvalue()
