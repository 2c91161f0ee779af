"""Smooth random functions of space, defined in millimetres, so that every grid sees the same body."""

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from mrikit.randomness import Key, generator

FloatArray = npt.NDArray[np.float32]

# Mean variance, per axis, of white noise on a lattice after interpolation with cubic B-splines.
_SPLINE_VARIANCE = 0.4794


def random_field(
    key: Key, rows: FloatArray, columns: FloatArray, depth: float, *, scale: tuple[float | None, float, float]
) -> FloatArray:
    """A Gaussian random field of mean 0 and variance 1 on one plane of space.

    White noise on a lattice that is fixed in space, interpolated with cubic B-splines; each plane of the lattice is
    drawn from its own key, so that a plane costs the same wherever it lies.

    Args:
        key: Names the field.
        rows: (y,) ascending positions of the rows.
        columns: (x,) ascending positions of the columns.
        depth: Position along the slice axis.
        scale: Lattice spacing along (slice, y, x), in the unit of the positions; None along the slice axis gives
            neighbouring slices nothing in common.

    Returns:
        (y, x) float32.
    """
    slice_scale, row_scale, column_scale = scale
    row_weights, row_start = _spline_weights(rows, row_scale)
    column_weights, column_start = _spline_weights(columns, column_scale)
    start, shape = (row_start, column_start), (row_weights.shape[1], column_weights.shape[1])
    if slice_scale is None:
        lattice = _plane((*key, round(1000 * depth)), start, shape) * np.float32(_SPLINE_VARIANCE**0.5)
    else:
        lattice = _between_planes(key, depth, slice_scale, start, shape)
    return _interpolate(row_weights, lattice, column_weights)


def periodic_field(
    key: Key, rows: FloatArray, num_columns: int, depth: float, *, scale: tuple[float, float], num_nodes: int
) -> FloatArray:
    """A random field as `random_field` that closes on itself after `num_columns` columns, as around a head.

    Args:
        key: Names the field.
        rows: (y,) ascending positions of the rows.
        num_columns: Columns of one full turn.
        depth: Position along the slice axis.
        scale: Lattice spacing along (slice, y).
        num_nodes: Lattice nodes in one turn.

    Returns:
        (y, num_columns) float32.
    """
    slice_scale, row_scale = scale
    row_weights, row_start = _spline_weights(rows, row_scale)
    turn = (np.arange(num_columns) * (num_nodes / num_columns)).astype(np.float32)
    column_weights, first = _spline_weights(turn, 1.0)
    lattice = _between_planes(key, depth, slice_scale, (row_start, 0), (row_weights.shape[1], num_nodes))
    lattice = lattice[:, (first + np.arange(column_weights.shape[1])) % num_nodes]
    return _interpolate(row_weights, lattice, column_weights)


_BLOCK = 32


def _interpolate(row_weights: csr_array, lattice: FloatArray, column_weights: csr_array) -> FloatArray:
    # Sparse products, because they are small: dense ones wait for the threads of the BLAS, and each other, for seconds.
    values = (column_weights @ (row_weights @ lattice).T).T
    return np.ascontiguousarray(values * np.float32(_SPLINE_VARIANCE**-1.5), np.float32)


def _between_planes(
    key: Key, depth: float, spacing: float, start: tuple[int, int], shape: tuple[int, int]
) -> FloatArray:
    weights, first = _spline_weights(np.array([depth], np.float32), spacing)
    planes = [weight * _plane((*key, first + i), start, shape) for i, weight in enumerate(weights.toarray()[0])]
    return np.asarray(np.sum(planes, axis=0, dtype=np.float32))


def _plane(key: Key, start: tuple[int, int], shape: tuple[int, int]) -> FloatArray:
    """Nodes [start, start + shape) of one infinite lattice plane, drawn in square blocks of fixed place."""
    first = start[0] // _BLOCK, start[1] // _BLOCK
    last = (start[0] + shape[0] - 1) // _BLOCK, (start[1] + shape[1] - 1) // _BLOCK
    rows = [
        np.concatenate([_block((*key, row, column)) for column in range(first[1], last[1] + 1)], axis=1)
        for row in range(first[0], last[0] + 1)
    ]
    nodes = np.concatenate(rows, axis=0)
    top, left = start[0] - first[0] * _BLOCK, start[1] - first[1] * _BLOCK
    return nodes[top : top + shape[0], left : left + shape[1]]


def _block(key: Key) -> FloatArray:
    return generator(*key).standard_normal((_BLOCK, _BLOCK), np.float32)


def _spline_weights(positions: FloatArray, spacing: float) -> tuple[csr_array, int]:
    """Cubic B-spline weights (position, node) and the lattice index of the first node."""
    nodes = positions / np.float32(spacing)
    lower = np.floor(nodes).astype(int)
    t = (nodes - lower).astype(np.float32)
    first = int(lower.min()) - 1
    parts = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    weights = np.stack(parts, axis=1).ravel() / np.float32(6)
    columns = (lower[:, None] - first - 1 + np.arange(4)).ravel()
    shape = len(positions), int(lower.max()) - first + 3
    return csr_array((weights, columns, np.arange(0, len(weights) + 1, 4)), shape=shape), first
