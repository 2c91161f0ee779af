"""What training learned to measure, epoch by epoch, from the files that it left."""

import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.report.training import TrainingRun

_PROBABILITIES = " probabilities"  # behind the name of a mask, what it was made from
_Array = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class LearnedPattern:
    """One pattern of a run over its epochs."""

    name: str
    """The acceleration, as `4x`; `acquired` of a network that chooses for each slice."""
    epochs: tuple[int, ...]
    """Rising; the first is the start, if there was a mask before any training."""
    patterns: tuple[_Array, ...]
    """Of each epoch, (phase,) or (readout, phase) float32: 0 or 1, or the share of slices that took each line."""
    kept: int
    """Which of the epochs the weights of the run are from; the last if it is not known."""
    probabilities: _Array | None
    """What the kept mask is made from, of its shape; None if the run did not say."""

    @property
    def is_mask(self) -> bool:
        """Whether all slices have one mask, rather than each its own."""
        return all(np.isin(pattern, (0, 1)).all() for pattern in self.patterns)

    def changes(self, *, since_start: bool) -> list[tuple[int, float]]:
        """Each epoch but the first, and how much its pattern differs from an earlier one.

        Args:
            since_start: From the first, rather than from the one before.

        Returns:
            Of masks the share of samples that moved; of shares the mean of their absolute differences.
        """
        before = (self.patterns[0],) * len(self.patterns) if since_start else self.patterns
        pairs = zip(self.epochs[1:], before, self.patterns[1:], strict=False)
        return [(epoch, self._difference(old, new)) for epoch, old, new in pairs]

    def _difference(self, old: _Array, new: _Array) -> float:
        moved = float(np.abs(new - old).sum())
        return moved / float(old.sum() + new.sum()) if self.is_mask else moved / new.size


def learned_patterns(run: TrainingRun) -> list[LearnedPattern]:
    """The patterns of a run in the order of its files; none if it did not learn what to measure.

    Of several stages the earlier one says what an epoch ended with.

    Raises:
        DataError: A file is damaged.
    """
    found: dict[int, dict[str, _Array]] = {}
    for path in run.masks:
        epoch = int(re.sub(r"\D", "", path.stem))
        found.setdefault(epoch, _read(path))
    if not found:
        return []
    epochs = sorted(found)
    best = epochs[-1] if run.best is None or run.best[0] not in found else int(run.best[0])
    names = [name for name in found[epochs[-1]] if not name.endswith(_PROBABILITIES)]
    return [_pattern(name, epochs, found, best) for name in names]


def _pattern(name: str, epochs: Sequence[int], found: dict[int, dict[str, _Array]], best: int) -> LearnedPattern:
    shape = found[epochs[-1]][name].shape
    # Another stage may have had other accelerations, or another matrix.
    own = [epoch for epoch in epochs if name in found[epoch] and found[epoch][name].shape == shape]
    kept = best if best in own else own[-1]
    return LearnedPattern(
        name=name,
        epochs=tuple(own),
        patterns=tuple(found[epoch][name] for epoch in own),
        kept=own.index(kept),
        probabilities=found[kept].get(name + _PROBABILITIES),
    )


def _read(path: Path) -> dict[str, _Array]:
    try:
        content = io.BytesIO(path.read_bytes())
        zipfile.ZipFile(content).close()  # np.load takes other files too
        content.seek(0)
        with np.load(content, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name], np.float32) for name in file.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not the masks of an epoch ({error}); the report does without it if it is gone") from (
            error
        )
    wrong = [name for name, array in arrays.items() if array.ndim not in (1, 2)]
    if wrong:
        raise DataError(f"{path}: masks have 1 or 2 axes, {wrong[0]} has {arrays[wrong[0]].ndim}; was it made here?")
    return arrays
