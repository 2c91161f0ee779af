"""Which line of an MRD scan holds the k-space centre: what the header declares, compared with the data."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.volumes.layout import is_far, sharp_peak

_MOST_LOOKED_AT = 24
"""Lines that are read to see whether the centre is where the header says."""
_LARGEST_STEP = 4
"""Lines that are further apart are not sampled regularly."""
_NEAR = 2
"""Lines between the strongest line and the true centre: an object's own phase moves the peak so far."""

_PARTIAL_FOURIER = "where partial Fourier that leaves out the"
_TOLD = "as the acquisitions say"

Measure = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]]
"""Energy of each of some lines, which are read for it."""


def find_center(
    lines: npt.NDArray[np.int64],
    size: int,
    *,
    declared: int | None,
    told: int | None,
    measure: Measure,
    name: str,
) -> tuple[int, str | None]:
    """The line that holds the k-space centre.

    A header is believed where it fits a matrix that was acquired as a whole. Where lines are missing at the sides, the
    energy of a few lines shows whether the centre can be where the header says; a wrong one is repaired where partial
    Fourier or the acquisitions themselves explain what the energy shows, and refused otherwise.

    Args:
        lines: Ascending numbers of the lines that were acquired.
        size: Of the matrix along these lines.
        declared: The header's centre; None if it names none.
        told: The centre that the acquisitions name, as Siemens converters write it; None if they name none.
        measure: Reads lines.
        name: Of what is counted, for messages: `line` or `partition`.

    Returns:
        The line, and where it is not simply the header's a sentence that says so.

    Raises:
        DataError: No place of the centre fits, or the header contradicts the data.
    """
    if declared == 0 and told is not None and _is_plausible(told, lines, size):
        declared = None  # zero is what converters write that know none
    is_whole = int(lines[-1] - lines[0]) + _edge_step(lines) >= size
    if declared is not None and _is_plausible(declared, lines, size):
        return (declared, None) if is_whole else _compared(lines, size, declared, told, measure, name)
    stated = "names no k-space centre"
    if declared is not None:
        stated = f"names {name} {declared} as k-space centre, which does not fit"
    found: int | None
    if told is not None and _is_plausible(told, lines, size):
        found, why = told, _TOLD
    elif is_whole and _is_plausible(int(lines[0]) + size // 2, lines, size):
        found, why = int(lines[0]) + size // 2, "the middle of all lines"
    else:
        found, why = _strongest(lines, size, measure, is_guessed=declared in (None, 0))
    if found is None:
        raise DataError(
            f"the header {stated}, and {why}; found {name}s {lines[0]} to {lines[-1]} of a matrix of {size}. Mend the "
            "encoding limits of the header"
        )
    return found, f"the header {stated}; {name} {found} is taken, {why}"


def _edge_step(lines: npt.NDArray[np.int64]) -> int:
    """Step between lines at the ends: regular undersampling leaves out so many less one of a matrix at either end."""
    steps = np.diff(lines)
    return int(min(steps[0], steps[-1], _LARGEST_STEP)) if len(steps) else 1


def _is_plausible(center: int, lines: npt.NDArray[np.int64], size: int) -> bool:
    """Whether all lines fit into the matrix, and the centre is among them."""
    return _fits(center, lines, size) and int(lines[0]) <= center <= int(lines[-1])


def _fits(center: int, lines: npt.NDArray[np.int64], size: int) -> bool:
    shift = size // 2 - center
    return bool(lines[0] + shift >= 0 and lines[-1] + shift < size)


def _explained(lines: npt.NDArray[np.int64], size: int, told: int | None) -> dict[int, str]:
    """Centres that something other than the energy speaks for, the surest first."""
    first, last = int(lines[0]), int(lines[-1])
    places = {} if told is None else {told: _TOLD}
    for skipped in range(_edge_step(lines)):
        places.setdefault(last + skipped - size + 1 + size // 2, f"{_PARTIAL_FOURIER} first lines puts it")
        places.setdefault(first - skipped + size // 2, f"{_PARTIAL_FOURIER} last lines puts it")
    return {center: why for center, why in places.items() if _is_plausible(center, lines, size)}


def _compared(
    lines: npt.NDArray[np.int64], size: int, declared: int, told: int | None, measure: Measure, name: str
) -> tuple[int, str | None]:
    """The declared centre where the energy does not contradict it."""
    places = _explained(lines, size, told)
    around = np.add.outer([declared, *places], np.arange(-_NEAR, _NEAR + 1)).reshape(-1)
    coarse = lines[:: max(1, len(lines) // _MOST_LOOKED_AT)]
    looked_at = np.intersect1d(lines, np.concatenate([around, coarse]))
    energy = measure(looked_at)
    if abs(int(looked_at[energy.argmax()]) - declared) <= _NEAR:
        return declared, None
    peak = sharp_peak(measure(lines))
    strongest = declared if peak is None else int(lines[peak])
    if abs(strongest - declared) <= _NEAR:
        return declared, None
    if declared == 0:
        places |= {(int(lines[0]) + int(lines[-1]) + 1) // 2: "the middle of the lines"}
    found = _nearest(places, strongest)
    if found is not None:
        return found, (
            f"the header names {name} {declared} as k-space centre, but the energy is at {name} {strongest}; "
            f"{name} {found} is taken, {places[found]}"
        )
    if not is_far(strongest - declared, size):
        return declared, None
    raise DataError(
        f"the header names {name} {declared} as k-space centre, but the energy is at {name} {strongest} of "
        f"{lines[0]} to {lines[-1]} (matrix {size}); mend <center> in the encoding limits"
    )


def _strongest(
    lines: npt.NDArray[np.int64], size: int, measure: Measure, *, is_guessed: bool
) -> tuple[int | None, str]:
    """The centre where neither header nor acquisitions tell, and why; without a peak the middle, if it is guessed."""
    first, last = int(lines[0]), int(lines[-1])
    peak = sharp_peak(measure(lines))
    if peak is not None:
        strongest = int(lines[peak])
        places = _explained(lines, size, None) | {(first + last + 1) // 2: "the middle of the lines"}
        found = _nearest(places, strongest)
        if found is not None and _fits(found, lines, size):
            return found, places[found]
        found = strongest if _fits(strongest, lines, size) else None
        return found, f"the energy is at {strongest}"
    if is_guessed and _fits(size // 2, lines, size) and first <= size // 2 <= last:
        return size // 2, "the middle of the matrix"
    return None, "the energy has no clear peak"


def _nearest(places: dict[int, str], strongest: int) -> int | None:
    """The place that explains the strongest line: the acquisitions' own, else the nearest."""
    near = [center for center in places if abs(center - strongest) <= _NEAR]
    told = [center for center in near if places[center] == _TOLD]
    return min(told or near, key=lambda center: abs(center - strongest), default=None)
