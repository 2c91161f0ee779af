"""A mask as a picture: pattern, density and point-spread function."""

import io
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from mrikit.masks.mask import Mask
from mrikit.masks.spread import largest_side_lobe, point_spread, sampling_density, side_lobe_energy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLE: Any = {"font.family": "DejaVu Sans", "font.size": 8.5, "axes.titlelocation": "left", "axes.titlesize": 9.5}
_LEAST_DB = -60.0
_SHARPNESS = 160
_INK, _ACCENT = "#1f2428", "#14577e"


def mask_facts(mask: Mask, shape: tuple[int, int]) -> dict[str, Any]:
    """What a mask is, as JSON.

    Args:
        mask: Lines or a pattern.
        shape: (readout, phase) of k-space.
    """
    rows, columns = mask.center or (shape[0], mask.num_center_lines)
    spread = point_spread(mask.samples)
    return {
        "kind": mask.kind,
        "shape": list(shape),
        "is_2d": mask.samples.ndim == 2,
        "acceleration": mask.acceleration,
        "true_acceleration": mask.true_acceleration,
        "num_samples": int(mask.samples.sum()),
        "center": [rows, columns] if columns else [0, 0],
        "num_center_samples": (rows if mask.samples.ndim == 2 else 1) * columns,
        "largest_side_lobe": largest_side_lobe(spread),
        "side_lobe_energy": side_lobe_energy(spread),
    }


def in_words(facts: dict[str, Any]) -> str:
    """The facts in one line."""
    unit = "samples" if facts["is_2d"] else "lines"
    rows, columns = facts["center"]
    center = f"{rows} x {columns} ({facts['num_center_samples']} samples)" if facts["is_2d"] else f"{columns} lines"
    return (
        f"{facts['kind']}, {facts['shape'][0]} x {facts['shape'][1]}: {facts['num_samples']} {unit}, acceleration "
        f"{facts['true_acceleration']:.4g} (nominal {facts['acceleration']:.4g}), centre {center}, largest side lobe "
        f"{facts['largest_side_lobe']:.3f}, energy of side lobes {facts['side_lobe_energy']:.3f}"
    )


def draw_mask(mask: Mask, shape: tuple[int, int], probabilities: npt.NDArray[np.float32] | None = None) -> bytes:
    """A PNG of pattern, density and point-spread function.

    Args:
        mask: Lines or a pattern.
        shape: (readout, phase) of k-space.
        probabilities: Of the shape of the samples, what a learned mask is made from; shown beside it.
    """
    facts = mask_facts(mask, shape)
    is_2d = mask.samples.ndim == 2
    with mpl.rc_context(_STYLE):
        num_parts = 3 if probabilities is None else 4
        figure = Figure(figsize=(3.5 * num_parts, min(4.4, 0.9 + 2.8 * shape[0] / shape[1])), layout="constrained")
        figure.suptitle(in_words(facts), x=0.01, ha="left", fontsize=9.5, color=_INK)
        pattern, *learned, density, spread = figure.subplots(1, num_parts)
        full = mask.samples if is_2d else np.tile(mask.samples, (shape[0], 1))
        pattern.imshow(full, cmap="gray", interpolation="nearest", aspect="equal")
        _name(pattern, "pattern", "phase", "readout")
        if probabilities is not None:
            (_draw_probabilities if is_2d else _draw_line_probabilities)(learned[0], probabilities)
        (_draw_pattern if is_2d else _draw_lines)(density, spread, mask)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_SHARPNESS)
    return buffer.getvalue()


def _draw_probabilities(axes: "Axes", probabilities: npt.NDArray[np.float32]) -> None:
    image = axes.imshow(probabilities, cmap="viridis", interpolation="nearest", aspect="equal")
    axes.figure.colorbar(image, ax=axes, fraction=0.05)
    _name(axes, "learned probabilities", "phase", "readout")


def _draw_line_probabilities(axes: "Axes", probabilities: npt.NDArray[np.float32]) -> None:
    axes.plot(probabilities, color=_ACCENT, linewidth=1)
    axes.set_ylim(0, 1.05)
    _name(axes, "learned probabilities", "phase", "")


def _draw_lines(density: "Axes", spread: "Axes", mask: Mask) -> None:
    width = len(mask.samples)
    density.plot(sampling_density(mask.samples), color=_ACCENT, linewidth=1)
    density.set_ylim(0, 1.05)
    _name(density, "density", "phase", "share of lines")
    spread.plot(np.arange(width) - width // 2, _decibels(point_spread(mask.samples)), color=_ACCENT, linewidth=0.8)
    spread.set_ylim(_LEAST_DB, 2)
    _name(spread, "point-spread function", "pixels along the phase", "dB")


def _draw_pattern(density: "Axes", spread: "Axes", mask: Mask) -> None:
    rows, columns = mask.samples.shape
    image = density.imshow(sampling_density(mask.samples), cmap="viridis", vmin=0, vmax=1, aspect="equal")
    density.figure.colorbar(image, ax=density, fraction=0.05)
    _name(density, "density (share of samples)", "phase", "readout")
    extent = (-(columns // 2), columns - columns // 2, rows - rows // 2, -(rows // 2))
    levels = _decibels(point_spread(mask.samples))
    image = spread.imshow(levels, cmap="inferno", vmin=_LEAST_DB, vmax=0, extent=extent, aspect="equal")
    spread.figure.colorbar(image, ax=spread, fraction=0.05)
    _name(spread, "point-spread function (dB)", "pixels along the phase", "pixels along the readout")


def _decibels(spread: Any) -> Any:  # noqa: ANN401 - an array of any shape
    return 20 * np.log10(np.maximum(spread, 10 ** (_LEAST_DB / 20)))


def _name(axes: "Axes", title: str, x: str, y: str) -> None:
    axes.set_title(title, color=_INK)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
