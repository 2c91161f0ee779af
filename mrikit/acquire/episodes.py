"""Episodes: the state of a batch of acquisitions, each on its slice, and what a chosen line makes of it."""

import reprlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from mrikit.acquire.config import AcquireConfig
from mrikit.acquire.data import FullSlices
from mrikit.acquire.reconstructors import Reconstructor
from mrikit.acquire.rewards import KSPACE_SCORES, SCORES, Scores, gain, measure_kspace, measure_scores, value
from mrikit.acquire.starts import Given
from mrikit.data import ScanBatch, center_crop
from mrikit.errors import ConfigError, DataError
from mrikit.models.output import Output, image_of

_TRIED_AT_A_TIME = 16


class Episodes:
    """A batch of acquisitions; both environments are a face of it.

    A row is one episode. Rows begin and end on their own; what is computed for several is computed in one batch.

    Args:
        slices: What is acquired.
        reconstructor: Makes the images.
        given: What is measured at the start.
        budget: Lines to choose.
        config: The rules.
        num_rows: Episodes at a time.

    Raises:
        ConfigError: The budget is larger than the columns that are not given, or a score is of k-space, which the
            reconstructor does not fill.
    """

    def __init__(
        self,
        slices: FullSlices,
        reconstructor: Reconstructor,
        given: Given,
        budget: int,
        config: AcquireConfig,
        num_rows: int,
    ) -> None:
        rows, width = slices.matrix
        if budget < 1:
            raise ConfigError(f"the budget is at least one line, found {budget}")
        _require_free(width - given.num_lines[1], budget, f"of {width}")
        _require_filled(reconstructor, config.scores)
        self.slices, self.given, self.budget, self.config = slices, given, budget, config
        self.mask = np.zeros((num_rows, width), np.bool_)
        """(row, phase) bool, what is measured."""
        self.is_acquired = np.zeros((num_rows, width), np.bool_)
        """(row, phase) bool, what the scanner can measure."""
        self.images = torch.zeros((num_rows, rows, width), device=slices.device)
        """(row, y, x) float32, in the scale of the data."""
        self.kspace: torch.Tensor | None = None
        """(row, coil, readout, phase) complex64 as it was filled; None of reconstructors that make images alone."""
        self.unit = np.ones(num_rows, np.float32)
        """(row,) what the observed image is divided by."""
        self.num_steps = np.zeros(num_rows, np.int64)
        """(row,) lines chosen so far, or steps that were lost."""
        self.is_over = np.ones(num_rows, np.bool_)
        """(row,) whether the episode has ended, or none has begun."""
        self.scores: Scores = {name: np.zeros(num_rows) for name in config.scores}
        """Of the images, by name."""
        self.positions = np.zeros(num_rows, np.int64)
        """(row,) of the slice."""
        self._reconstructor = reconstructor
        self._scans: list[ScanBatch] = [slices.read(0)] * num_rows
        self._ranges = np.ones(num_rows)
        self._stacked: torch.Tensor | None = None  # k-space of all rows, while they stay

    @property
    def action_mask(self) -> npt.NDArray[np.bool_]:
        """(row, phase) bool, the columns that are worth a step."""
        free: npt.NDArray[np.bool_] = self.is_acquired & ~self.mask
        return free

    @property
    def observation(self) -> dict[str, npt.NDArray[np.generic]]:
        """`reconstruction` (row, 1, y, x) float32 and `mask` (row, phase) int8; copies."""
        mask = self.mask | ~self.is_acquired if self.config.marks_unacquired else self.mask
        images = self.images.cpu().numpy() / self.unit[:, None, None]
        return {"reconstruction": images[:, None], "mask": mask.astype(np.int8)}

    def window(self, row: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """(y, x) float32 image and reference of a row, in the scored window."""
        scan = self._scans[row]
        image = center_crop(self.images[row], scan.crop)
        return image.cpu().numpy(), _reference(scan)[0].cpu().numpy()

    def begin(self, rows: Sequence[int], positions: Sequence[int], num_lines: Sequence[int]) -> None:
        """Start new episodes in some rows.

        Args:
            rows: Where.
            positions: The slice of each.
            num_lines: Given lines of each.

        Raises:
            ConfigError: The budget is larger than the free columns of a slice.
        """
        for row, position, number in zip(rows, positions, num_lines, strict=True):
            scan = self.slices.read(position)
            left, right = self.config.acquired or scan.facts[0].acquired.columns
            is_acquired = np.zeros(self.mask.shape[1], np.bool_)
            is_acquired[left:right] = True
            mask = self.given.lines(number) & is_acquired
            free = int(is_acquired.sum() - mask.sum())
            _require_free(free, self.budget, f"in {scan.facts[0].volume_id}, of {right - left} acquired")
            self._scans[row], self.positions[row] = scan, position
            self.is_acquired[row], self.mask[row] = is_acquired, mask
            self.num_steps[row], self.is_over[row] = 0, False
            self._ranges[row] = self._data_range(scan)
        self._stacked = None
        self._look(rows)
        if self.config.observation_scale == "first":
            largest = self.images[list(rows)].amax((-2, -1)).cpu().numpy()
            self.unit[list(rows)] = np.where(largest > 0, largest, 1)

    def measure(self, actions: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Measure a line in every row.

        Args:
            actions: (row,) the line of each, whole numbers.

        Returns:
            (row,) rewards.

        Raises:
            DataError: A line is no whole number, out of range or, where that is refused, taken; or an episode is over.
        """
        rows = range(len(self.mask))
        if self.is_over.any():
            raise DataError(f"the episode of row {int(self.is_over.argmax())} is over; reset it before the next step")
        columns = self._allowed(rows, actions)
        name = self.config.score
        before = self.scores[name].copy()
        is_new = ~self.mask[rows, columns]
        self.mask[rows, columns] = True
        self.mask &= self.is_acquired
        self.num_steps += 1
        changed = np.flatnonzero(is_new & self.is_acquired[rows, columns])
        if len(changed):
            self._look(changed.tolist())
        self.is_over = self.num_steps >= self.budget  # a free column is left until then, as `begin` has seen to
        if self.config.reward == "final":
            return np.where(self.is_over, value(name, self.scores[name]), 0.0)
        return gain(name, before, self.scores[name])

    def try_columns(self, rows: Sequence[int], actions: npt.ArrayLike) -> Scores:
        """The scores that rows would have with one more line each; nothing is changed.

        Args:
            rows: (n,) a row may come more than once.
            actions: (n,) a line for each, whole numbers.

        Returns:
            (n,) float64 by name.

        Raises:
            DataError: A line is no whole number, or out of range.
        """
        columns = self._allowed(rows, actions, is_tried=True).tolist()
        parts = []
        for first in range(0, len(rows), _TRIED_AT_A_TIME):
            some, lines = list(rows[first : first + _TRIED_AT_A_TIME]), columns[first : first + _TRIED_AT_A_TIME]
            mask = self.mask[some]
            mask[range(len(some)), lines] = True
            parts.append(self._compute(some, mask & self.is_acquired[some])[1])
        return {name: np.concatenate([np.empty(0), *(part[name] for part in parts)]) for name in self.scores}

    def outputs_of(self, positions: Sequence[int], mask: npt.NDArray[np.bool_]) -> Output:
        """What is reconstructed of slices with what some masks measure of them; no row is changed.

        Args:
            positions: (n,) of the slices.
            mask: (n, phase) bool.

        Returns:
            (n, y, x) float32 images in the scale of the data, and k-space where it is filled.
        """
        return self._reconstruct(torch.cat([self.slices.read(position).kspace for position in positions]), mask)

    def _allowed(self, rows: Sequence[int], actions: npt.ArrayLike, *, is_tried: bool = False) -> npt.NDArray[np.int64]:
        """(row,) the columns that actions name, one for each of the rows, if all of them may be measured."""
        width, found = self.mask.shape[1], np.asarray(actions)
        if found.shape != (len(rows),) or (found.size and found.dtype.kind not in "iu"):
            some = reprlib.repr(found.tolist())
            raise DataError(f"an action is a column from 0 to {width - 1}, one for each of {len(rows)}; found {some}")
        columns = found.astype(np.int64)
        wrong = columns[(columns < 0) | (columns >= width)]
        if len(wrong):
            raise DataError(f"an action is a column from 0 to {width - 1}, found {int(wrong[0])}")
        if self.config.taken == "refuse" and not is_tried:
            for row, column in zip(rows, columns.tolist(), strict=True):
                if not self.action_mask[row, column]:
                    why = "measured already" if self.mask[row, column] else "not acquired by the scanner"
                    raise DataError(f"column {column} is {why}; choose one that the action mask allows")
        return columns

    def _look(self, rows: Sequence[int]) -> None:
        """Reconstruct and score some rows as they are now."""
        output, scores = self._compute(rows, self.mask[list(rows)])
        self.images[list(rows)] = image_of(output)
        if output.kspace is not None:
            if self.kspace is None:
                self.kspace = torch.zeros((len(self.mask), *output.kspace.shape[1:])).to(output.kspace)
            self.kspace[list(rows)] = output.kspace
        for name, score in scores.items():
            self.scores[name][list(rows)] = score

    def _compute(self, rows: Sequence[int], mask: npt.NDArray[np.bool_]) -> tuple[Output, Scores]:
        """What the reconstructor makes of the slices of some rows, in one batch, and its scores."""
        kspace = self._kspace(rows)
        output = self._reconstruct(kspace, mask)
        window = center_crop(image_of(output), self._scans[0].crop)
        reference = torch.cat([_reference(self._scans[row]) for row in rows])
        names = [name for name in self.config.scores if name in SCORES]
        scores = measure_scores(window, reference, self._ranges[list(rows)].tolist(), names)
        if of_kspace := [name for name in self.config.scores if name in KSPACE_SCORES]:
            assert output.kspace is not None
            scores |= measure_kspace(output.kspace, kspace[:, kspace.shape[1] // 2], of_kspace)
        return output, scores

    def _kspace(self, rows: Sequence[int]) -> torch.Tensor:
        """(n, slice, coil, readout, phase) complex64, full."""
        if list(rows) != list(range(len(self.mask))):
            return torch.cat([self._scans[row].kspace for row in rows])
        if self._stacked is None:
            self._stacked = torch.cat([scan.kspace for scan in self._scans])
        return self._stacked

    @torch.inference_mode()
    def _reconstruct(self, kspace: torch.Tensor, mask: npt.NDArray[np.bool_]) -> Output:
        """(n, y, x) float32 images of the full field of view, and k-space where it is filled."""
        scan, lines = replace(self._scans[0], kspace=kspace), torch.from_numpy(mask).to(kspace.device)
        return self._reconstructor.reconstruct(scan, lines, one_by_one=self.config.one_by_one)

    def _data_range(self, scan: ScanBatch) -> float:
        largest = _reference(scan).amax() if self.config.data_range == "slice" else scan.data_range
        assert largest is not None
        return float(largest)


def _require_filled(reconstructor: Reconstructor, names: Sequence[str]) -> None:
    needing = [name for name in names if name in KSPACE_SCORES]
    if needing and reconstructor.fill is None:
        raise ConfigError(
            f"{needing[0]} compares k-space, and {reconstructor.name} makes images alone; spirit_net fills k-space, or "
            f"nmse compares images"
        )


def _reference(scan: ScanBatch) -> torch.Tensor:
    assert scan.reference is not None
    return scan.reference


def _require_free(free: int, budget: int, where: str) -> None:
    if budget > free:
        raise ConfigError(
            f"a budget of {budget} lines, but only {free} columns {where} are free; a budget of at most {free} would do"
        )
