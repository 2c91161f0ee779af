"""AcquiredRegion: what the scanner acquired of a k-space matrix."""

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True, slots=True)
class AcquiredRegion:
    """The samples of a (readout, phase) matrix that the scanner acquired; it filled the others with zeros.

    Its rows and columns have no gaps: a gap is undersampling. It is decided once for each volume
    (`mrikit.volumes.Volume.acquired`); masks are cut to it, and accelerations count nothing else.
    """

    matrix: tuple[int, int]
    """(readout, phase) size of k-space as its file has it."""
    rows: tuple[int, int]
    """[first, last) rows along the readout; fewer than all after an asymmetric echo."""
    columns: tuple[int, int]
    """[left, right) phase columns."""
    outline: tuple[tuple[int, int], ...] | None = None
    """[left, right) columns of each row of the matrix where corners are missing, as of an ellipse; None for a
    rectangle."""

    @classmethod
    def whole(cls, matrix: tuple[int, int], columns: tuple[int, int] | None = None) -> "AcquiredRegion":
        """All rows of the columns, or of all columns."""
        return cls(matrix=matrix, rows=(0, matrix[0]), columns=columns or (0, matrix[1]))

    @classmethod
    def around(cls, samples: npt.NDArray[np.bool_]) -> "AcquiredRegion":
        """The region with these (readout, phase) samples, at least one, whose rows have no gaps."""
        (top, bottom), (left, right) = (_extent(np.asarray(samples.any(axis=axis))) for axis in (1, 0))
        is_rectangle = samples[top:bottom, left:right].all()
        return cls(
            matrix=(samples.shape[0], samples.shape[1]),
            rows=(top, bottom),
            columns=(left, right),
            outline=None if is_rectangle else tuple(_extent(row) for row in samples),
        )

    @property
    def has_center(self) -> bool:
        """Whether it holds the centre of k-space."""
        row, column = (size // 2 for size in self.matrix)
        return bool(self.samples()[row, column])

    @property
    def num_samples(self) -> int:
        """How many samples it has."""
        return int(self.samples().sum())

    def at_matrix(self, window: tuple[int, int], matrix: tuple[int, int]) -> "AcquiredRegion":
        """What it is of k-space whose image was cropped to the window, and which then was cropped to its centre.

        Args:
            window: (y, x) of the image.
            matrix: (readout, phase) of what is left of k-space, which reaches less far out.
        """
        rows, columns = (
            _nearest(np.arange(wanted) - wanted // 2, kept, size)
            for wanted, kept, size in zip(matrix, window, self.matrix, strict=True)
        )
        return AcquiredRegion.around(self.samples()[np.ix_(rows, columns)])

    def transposed(self, num_rows: int) -> "AcquiredRegion":
        """What it is of k-space with readout and phase swapped.

        Args:
            num_rows: Rows of k-space before that; fewer than the file's after a crop along the readout.
        """
        return _transposed(self, num_rows)

    def samples(self, shape: tuple[int, int] | None = None) -> npt.NDArray[np.bool_]:
        """(readout, phase) bool, not to be written to.

        Args:
            shape: Of k-space after the image was cropped along the readout: its rows reach as far out in k-space, with
                more room between them. As the file has it if None.
        """
        return _samples(self, self.matrix[0] if shape is None else shape[0])


@functools.lru_cache(maxsize=1024)  # once for each volume rather than for each slice
def _transposed(region: AcquiredRegion, num_rows: int) -> AcquiredRegion:
    return AcquiredRegion.around(_samples(region, num_rows).T)


@functools.lru_cache(maxsize=64)
def _samples(region: AcquiredRegion, num_rows: int) -> npt.NDArray[np.bool_]:
    size, width = region.matrix
    samples = np.zeros(region.matrix, bool)
    if region.outline is None:
        samples[slice(*region.rows), slice(*region.columns)] = True
    else:
        column, (left, right) = np.arange(width), np.array(region.outline).T[..., None]
        samples = (column >= left) & (column < right)
    found: npt.NDArray[np.bool_] = samples[_nearest(np.arange(num_rows) - num_rows // 2, num_rows, size)]
    found.flags.writeable = False
    return found


def _nearest(offsets: npt.NDArray[np.int64], num_lines: int, size: int) -> npt.NDArray[np.int64]:
    """The line of the file at the same distance from the centre of k-space, or the nearest one.

    Args:
        offsets: From the centre, in lines of the cropped image's k-space.
        num_lines: Lines of that k-space, which are as far apart as the image is small.
        size: Lines of the file.
    """
    place: npt.NDArray[np.int64] = np.rint(offsets / num_lines * size).astype(np.int64) + size // 2
    return np.clip(place, 0, size - 1)


def _extent(values: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """[first, last) of what is True; (0, 0) if nothing is."""
    places = np.flatnonzero(values)
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0)
