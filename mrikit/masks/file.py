"""Masks as files: a pattern (`.npy`, BART `.cfl`) or an order of lines (`.json`)."""

import functools
import io
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError, DataError
from mrikit.masks.mask import Mask

MASK_SUFFIXES = (".npy", ".json", ".cfl")


class MaskFile(NamedTuple):
    """What a file holds: one of both."""

    samples: npt.NDArray[np.bool_] | None = None
    """(phase,) or (readout, phase), True where measured."""
    order: npt.NDArray[np.int64] | None = None
    """Columns in the order in which they are measured, each once."""

    @property
    def is_2d(self) -> bool:
        """Whether it is a (readout, phase) pattern."""
        return self.samples is not None and self.samples.ndim == 2


def is_mask_file(kind: str) -> bool:
    """Whether the name of a kind is that of a file."""
    return Path(kind).suffix in MASK_SUFFIXES


def read_mask_file(path: Path) -> MaskFile:
    """Read a mask, once for each state of its file.

    `.npy` is bool of shape (phase,) or (readout, phase). `.json` is a list of column numbers, the first measured first.
    `.cfl` is a BART array of (readout, phase), or (1, phase) for lines; what is not zero, in any further axis, was
    measured.

    Raises:
        DataError: There is no such file, or it is no mask.
    """
    try:
        return _READERS[path.suffix](path, path.stat().st_mtime_ns)
    except (OSError, ValueError, EOFError, OverflowError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: not a mask file ({reason}); `mrikit masks make` writes one") from error


def lines_of(order: npt.NDArray[np.int64], width: int, acceleration: float) -> npt.NDArray[np.bool_]:
    """(phase,) bool of the first lines of an order: as many as asked for, or all if it has fewer.

    Raises:
        DataError: It names a column that is not there.
    """
    if order.max() >= width:
        raise DataError(f"its order of lines names column {order.max()}, but k-space has {width} columns")
    lines = np.zeros(width, bool)
    lines[order[: max(round(width / acceleration), 1)]] = True
    return lines


def mask_file_bytes(
    mask: Mask, path: Path, rng: np.random.RandomState, probabilities: npt.NDArray[np.float32] | None = None
) -> dict[str, bytes]:
    """File names and contents of a mask.

    Args:
        mask: What to write.
        path: Its suffix says the format.
        rng: Orders the lines of a `.json` file: the centre first, from its middle, then the others at random, so that
            any first few of them are a mask.
        probabilities: (phase,) by which the others are ordered instead, the likeliest first.

    Raises:
        ConfigError: No such format, or a 2-D pattern as an order of lines.
    """
    if path.suffix == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, mask.samples, allow_pickle=False)
        return {path.name: buffer.getvalue()}
    if path.suffix == ".cfl":
        pattern = np.atleast_2d(mask.samples)
        sizes = " ".join(map(str, (*pattern.shape, *[1] * 14)))
        header = f"# Dimensions\n{sizes}\n".encode()
        return {path.with_suffix(".hdr").name: header, path.name: pattern.astype("<c8").tobytes(order="F")}
    if path.suffix != ".json":
        raise ConfigError(f"a mask file is {', '.join(MASK_SUFFIXES)}, found {path.name}")
    if mask.samples.ndim > 1:
        raise ConfigError(f"{path.name}: an order of lines cannot hold a 2-D pattern; .npy or .cfl would do")
    lines = rng.permutation(np.flatnonzero(mask.samples))
    distance = np.abs(lines - len(mask.samples) // 2)
    # Outside the centre all keys are equal without probabilities, and the sort leaves the random order.
    key = np.where(distance <= mask.num_center_lines // 2, distance, len(mask.samples))
    likely = np.zeros(len(lines)) if probabilities is None else -probabilities[lines]
    return {path.name: (json.dumps(lines[np.lexsort((likely, key))].tolist()) + "\n").encode()}


@functools.lru_cache(maxsize=16)
def _read_npy(path: Path, _version: int) -> MaskFile:
    samples = np.load(path, allow_pickle=False)
    if not isinstance(samples, np.ndarray):
        samples.close()
        raise ValueError("several arrays are packed in it")  # noqa: TRY004 - what its caller words
    if samples.dtype != np.bool_ or samples.ndim not in (1, 2):
        raise ValueError(f"bool of (phase,) or (readout, phase) is needed, found {samples.dtype} of {samples.shape}")
    return MaskFile(samples=_sampled(samples))


@functools.lru_cache(maxsize=16)
def _read_order(path: Path, _version: int) -> MaskFile:
    columns = json.loads(path.read_text())
    if not isinstance(columns, list) or not columns or not all(type(one) is int and one >= 0 for one in columns):
        raise ValueError("a list of column numbers from 0 is needed")
    if len(set(columns)) < len(columns):
        raise ValueError("a column is named twice")
    return MaskFile(order=np.array(columns, np.int64))


@functools.lru_cache(maxsize=16)
def _read_cfl(path: Path, _version: int) -> MaskFile:
    # A tiny reader: those of `mrikit.volumes` stand above the masks.
    lines = path.with_suffix(".hdr").read_text().splitlines()
    said = next((line for line in lines if line and not line.startswith("#")), "")
    if not said.strip():
        raise ValueError("its header names no sizes")
    sizes = [int(word) for word in said.split()]
    array = np.fromfile(path, "<c8").reshape(sizes, order="F")
    samples = (array != 0).reshape(*array.shape[:2], -1).any(-1)
    return MaskFile(samples=_sampled(samples[0] if len(samples) == 1 else samples))


def _sampled(samples: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    if not samples.any():
        raise ValueError("it samples nothing")
    return samples


_READERS = {".npy": _read_npy, ".json": _read_order, ".cfl": _read_cfl}
