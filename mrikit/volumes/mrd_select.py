"""Which acquisitions of an MRD scan make its images, and which lie apart."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.volumes.header import ScanHeader, read_header

NOISE_FLAG, CALIBRATION_FLAG, BOTH_FLAG, REVERSE_FLAG = 19, 20, 21, 22
"""Numbers of flags (ISMRMRD counts from 1). The last: the readout ran backwards, as in echo-planar scans."""
APART_FLAGS = {
    NOISE_FLAG: "noise",
    23: "navigation",
    24: "phase correction",
    26: "feedback",
    27: "dummy",
    28: "real-time feedback",
    29: "surface coil correction",
    30: "phase stabilization reference",
    31: "phase stabilization",
}
"""Acquisitions that are no part of any image, by the number of their flag."""
VOLUME_COUNTERS = ("contrast", "phase", "repetition", "set")
"""Counters whose values are volumes of their own."""
ALIKE = ("active_channels", "number_of_samples", "center_sample", "discard_pre", "discard_post")
"""Fields that must be the same in all acquisitions of an image."""
MOST_ODD = 0.1
"""Share of the acquisitions that may be unlike the others and is left out; more is another kind of scan."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The acquisitions that make images."""

    header: ScanHeader
    """Of their encoding."""
    numbers: npt.NDArray[np.int64]
    """Their numbers, ascending."""
    noise: npt.NDArray[np.int64]
    """Numbers of the noise acquisitions."""
    notes: tuple[str, ...]
    """What was left out, a line each."""


def select_acquisitions(xml: bytes, head: npt.NDArray[np.void]) -> Selection:
    """Choose the acquisitions that make images.

    Noise scans, navigators, dummies and the like lie apart. Lines for the calibration of parallel imaging are part of
    the image where the header says that they are embedded, unless an imaging line has the same place. Of several
    encodings that one is chosen which has most samples of images.

    Args:
        xml: The ISMRMRD header.
        head: (acquisition,) headers.

    Raises:
        DataError: There is none, or they differ too much; the message does not name the file.
    """
    first_header = read_header(xml)
    is_apart = has_flag(head, *APART_FLAGS)
    notes = [_apart(head)] if is_apart.any() else []
    encoding, is_other = _largest_encoding(head, ~is_apart, first_header.num_encodings)
    if is_other.any():
        notes.append(f"{is_other.sum()} acquisitions of other encodings than number {encoding} are left out")
    header = read_header(xml, encoding) if encoding else first_header
    is_wanted, said = _without_calibration(head, ~is_apart & ~is_other, header)
    is_wanted, odd = _alike(head, is_wanted, header)
    numbers = np.flatnonzero(is_wanted)
    _check_direction(head[numbers])
    return Selection(
        header=header,
        numbers=numbers,
        noise=np.flatnonzero(has_flag(head, NOISE_FLAG)),
        notes=(*notes, *said, *odd),
    )


def volumes_of(
    head: npt.NDArray[np.void], numbers: npt.NDArray[np.int64], names: Sequence[str]
) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    """Acquisitions by volume: for each a suffix of its name, such as `_contrast1`, and the numbers.

    The suffix names those of the counters that take several values; it is empty for a single volume.
    """
    counters = np.stack([head["idx"][name][numbers] for name in names], 1)
    varies = [name for name, column in zip(names, counters.T, strict=True) if np.ptp(column)]
    kinds, of_kind = np.unique(counters, axis=0, return_inverse=True)
    for number, kind in enumerate(kinds.tolist()):
        values = dict(zip(names, kind, strict=True))
        yield "".join(f"_{name}{values[name]}" for name in varies), numbers[of_kind.reshape(-1) == number]


def has_flag(head: npt.NDArray[np.void], *flags: int) -> npt.NDArray[np.bool_]:
    """Which acquisitions carry any of the flags."""
    return np.asarray(head["flags"] & np.uint64(sum(1 << (flag - 1) for flag in flags)) != 0)


def _apart(head: npt.NDArray[np.void]) -> str:
    left, counts = np.ones(len(head), np.bool_), []
    for flag, name in APART_FLAGS.items():
        is_this = has_flag(head, flag) & left
        left &= ~is_this
        if is_this.any():
            counts.append(f"{is_this.sum()} {name}")
    return f"acquisitions that are no part of an image are left out: {', '.join(counts)}"


def _largest_encoding(
    head: npt.NDArray[np.void], is_wanted: npt.NDArray[np.bool_], num_encodings: int
) -> tuple[int, npt.NDArray[np.bool_]]:
    """Number of the encoding with most samples, and which wanted acquisitions are of another."""
    encodings = head["encoding_space_ref"].astype(np.int64)
    is_known = is_wanted & (encodings < num_encodings)
    if not is_known.any():
        raise DataError("no acquisition is part of an image; is it a noise scan alone?")
    sizes = head["number_of_samples"].astype(np.int64) * head["active_channels"]
    encoding = int(np.bincount(encodings[is_known], weights=sizes[is_known]).argmax())
    return encoding, is_wanted & (encodings != encoding)


def _without_calibration(
    head: npt.NDArray[np.void], is_wanted: npt.NDArray[np.bool_], header: ScanHeader
) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """What is left without the lines that serve calibration alone, and a line that says so."""
    is_calibration = is_wanted & has_flag(head, CALIBRATION_FLAG) & ~has_flag(head, BOTH_FLAG)
    if not is_calibration.any():
        return is_wanted, []
    if header.calibration_mode != "embedded":
        mode = header.calibration_mode or "not named"
        said = f"{is_calibration.sum()} calibration lines are left out; they were measured apart (mode {mode})"
        return is_wanted & ~is_calibration, [said]
    # A line that was also measured for the image has the image's contrast; the other one may not.
    names = ("kspace_encode_step_1", "kspace_encode_step_2", "slice", *VOLUME_COUNTERS)
    places = np.stack([head["idx"][name].astype(np.int64) for name in names], 1)
    _, place = np.unique(places, axis=0, return_inverse=True)
    place = place.reshape(-1)
    is_repeated = is_calibration & np.isin(place, place[is_wanted & ~is_calibration])
    said = f"{is_repeated.sum()} calibration lines are left out; imaging lines have their place"
    return is_wanted & ~is_repeated, [said] if is_repeated.any() else []


def _alike(
    head: npt.NDArray[np.void], is_wanted: npt.NDArray[np.bool_], header: ScanHeader
) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """The acquisitions that are like most others, and a line about the odd ones."""
    numbers = np.flatnonzero(is_wanted)
    if not len(numbers):
        raise DataError("no acquisition is part of an image; all lines serve calibration alone")
    facts = np.stack([head[name][numbers].astype(np.int64) for name in ALIKE], 1)
    # A full readout has one place to go, wherever converters put its centre sample.
    facts[facts[:, 1] == header.encoded_matrix[0], 2] = 0
    kinds, of_kind, counts = np.unique(facts, axis=0, return_inverse=True, return_counts=True)
    if len(kinds) == 1:
        return is_wanted, []
    is_odd = of_kind.reshape(-1) != counts.argmax()
    name, found = next(
        (name, np.unique(column).tolist()) for name, column in zip(ALIKE, facts.T, strict=True) if np.ptp(column)
    )
    if is_odd.mean() > MOST_ODD:
        raise DataError(f"acquisitions differ in {name}: found {found}; all lines of an image must be alike")
    kept = is_wanted.copy()
    kept[numbers[is_odd]] = False
    said = f"{is_odd.sum()} of {len(numbers)} acquisitions are left out; they differ in {name}, found {found}"
    return kept, [said]


def _check_direction(head: npt.NDArray[np.void]) -> None:
    num_reversed = int(has_flag(head, REVERSE_FLAG).sum())
    if num_reversed:
        raise DataError(
            f"{num_reversed} of {len(head)} lines are read out in reverse (flag {REVERSE_FLAG}), as in echo-planar "
            "scans; turning them round needs a phase correction. Correct the lines and clear the flag first"
        )
