"""Shapes as signed distances in millimetres: negative inside, and blended smoothly where they meet."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

FloatArray = npt.NDArray[np.float32]


def coverage(distance: npt.NDArray[np.floating[Any]], pixel_mm: float) -> FloatArray:
    """The share of each pixel that lies inside, 0 to 1, from the signed distance of its centre."""
    return np.asarray(np.clip(np.float32(0.5) - distance.astype(np.float32, copy=False) / np.float32(pixel_mm), 0, 1))


def soft_step(value: npt.NDArray[np.floating[Any]], width: float) -> FloatArray:
    """0 below `-width`, 1 above `width`, smooth between."""
    t = np.clip(value.astype(np.float32, copy=False) / np.float32(2 * width) + np.float32(0.5), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def intersection(first: FloatArray, second: FloatArray, rounding_mm: float) -> FloatArray:
    """Inside both, with the corner rounded over `rounding_mm`."""
    overlap = np.maximum(np.float32(rounding_mm) - np.abs(first - second), 0)
    return np.asarray(np.maximum(first, second) + overlap * overlap * np.float32(0.25 / rounding_mm))


def union(first: FloatArray, second: FloatArray, rounding_mm: float) -> FloatArray:
    """Inside either, with the corner filled over `rounding_mm`."""
    return -intersection(-first, -second, rounding_mm)


def ellipse(y: FloatArray, x: FloatArray, center: tuple[float, float], radii: tuple[float, float]) -> FloatArray:
    """Distance to an ellipse with axes along y and x, right to first order near its outline."""
    v, u = (y - np.float32(center[0])) / np.float32(radii[0]), (x - np.float32(center[1])) / np.float32(radii[1])
    radius = np.sqrt(v * v + u * u)
    slope = np.hypot(v / np.float32(radii[0]), u / np.float32(radii[1]))
    # In the middle both vanish together; there the distance is the shorter half axis.
    flat = slope < 1e-6
    return np.where(flat, np.float32(-min(radii)), (radius - 1) * radius / np.where(flat, 1, slope))


def segment(y: FloatArray, x: FloatArray, start: tuple[float, float], end: tuple[float, float]) -> FloatArray:
    """Distance to a line segment between two (y, x) points; subtract a radius for a rod."""
    dy, dx = end[0] - start[0], end[1] - start[1]
    v, u = y - np.float32(start[0]), x - np.float32(start[1])
    t = np.clip((v * np.float32(dy) + u * np.float32(dx)) / np.float32(dy * dy + dx * dx), 0, 1)
    return np.hypot(v - t * np.float32(dy), u - t * np.float32(dx))


def profile(position: FloatArray, knots: Mapping[int, float]) -> FloatArray:
    """A smooth curve through (position, value) knots without overshoot, constant beyond them, at every position."""
    ends = min(knots), max(knots)
    table = np.linspace(*ends, 512)
    curve = PchipInterpolator(list(knots), list(knots.values()))(table)
    index = (np.clip(position, *ends) - np.float32(ends[0])) * np.float32(511 / (ends[1] - ends[0]))
    lower = np.minimum(index.astype(np.int32), 510)
    rise = np.diff(curve).astype(np.float32)
    return np.asarray(curve.astype(np.float32)[lower] + rise[lower] * (index - lower))


def chord(offset: float, radius: float) -> float:
    """Half width, as a share of the whole, of a ball cut at `offset` from its middle; 0 outside."""
    return float(max(0.0, 1 - (offset / radius) ** 2) ** 0.5)
