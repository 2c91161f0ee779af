"""The metrics and pictures of a run."""

import contextlib
import difflib
import functools
import importlib.util
import json
import math
import os
import pkgutil
import queue
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError, StorageError
from mrikit.run_files import METRICS_FILE, PICTURES, TRACKERS_FILE
from mrikit.runs.picture import list_pictures, save_picture
from mrikit.runs.trackers import SERVICES
from mrikit.runs.trackers.common import redact
from mrikit.storage import atomic_path

CLOSE_TIMEOUT_S = 60.0
MAX_WAITING = 1000
"""Rows that may wait for a service before pictures are left out, so that one that hangs does not fill the memory."""


class Tracker(Protocol):
    """Somewhere that the numbers and pictures of a run go to."""

    def log(self, row: Mapping[str, Any]) -> None:
        """Take one row: `kind`, `step` and numbers."""

    def show(self, name: str, image: npt.NDArray[np.uint8], step: int) -> None:
        """Take one picture.

        Args:
            name: What it shows, such as the kind of the row that it goes with: `validation`.
            image: (y, x) grey or (y, x, 3) red, green, blue; uint8.
            step: Of the run.
        """

    def close(self) -> None:
        """No more will come."""


def open_trackers(
    names: Sequence[str],
    folder: Path,
    *,
    run_name: str,
    config: Mapping[str, Any],
    resume_step: int,
    validated_step: int | None = None,
) -> Tracker:
    """All trackers of a run as one; the first are `metrics.jsonl` and `pictures/` in the run's folder.

    The others run in threads: training does not wait for a server, and one that fails later is warned of once and left
    out. A run that goes on continues its MLflow and W&B run; their ids are kept in `trackers.json`.

    Args:
        names: Keys of `SERVICES`.
        folder: Of the run.
        run_name: What the run is called there.
        config: The resolved configuration as JSON. Passwords and signatures in URLs are not passed on.
        resume_step: Step of the checkpoint to resume from; 0 for the beginning. What is beyond it is dropped.
        validated_step: Step of the last validation that this checkpoint knows of; later ones are dropped too.

    Raises:
        ConfigError: An unknown name, a library that is not installed, or at step 0 a service that cannot be opened.
        StorageError: The folder cannot be written.
    """
    require_trackers(names)
    trim(folder / METRICS_FILE, resume_step, validated_step)
    with contextlib.ExitStack() as stack:
        trackers: list[Tracker] = [JsonLines(folder / METRICS_FILE)]
        stack.callback(trackers[0].close)
        for name in dict.fromkeys(names):
            try:
                service = pkgutil.resolve_name(SERVICES[name].tracker)(folder, run_name, config, resume_step)
            except (ConfigError, StorageError):
                raise
            except Exception as error:
                reason = f"{name} cannot be opened: {_one_line(error)}"
                if not resume_step:
                    mend = f"mend it, delete {folder / TRACKERS_FILE} to begin a new one, or leave {name} out"
                    raise ConfigError(f"{reason}; {mend}") from error
                # Nobody may be there to mend it where an interrupted job was started again.
                warnings.warn(f"{reason}; the run goes on without it", stacklevel=2)
                continue
            trackers.append(_Background(name, service))
            stack.callback(trackers[-1].close)
        return _All(trackers, stack.pop_all())


def require_trackers(names: Sequence[str]) -> None:
    """See that trackers can be had, before anything long is started.

    Raises:
        ConfigError: An unknown name, a library that is not installed, or a service that cannot work here.
    """
    for name in names:
        if name not in SERVICES:
            nearest = difflib.get_close_matches(name, SERVICES, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(SERVICES)}"
            raise ConfigError(f"there is no tracker {name!r}; {hint}")
        # Looked for and not imported: MLflow is told not to count its users before it is.
        if importlib.util.find_spec(SERVICES[name].library) is None:
            raise ConfigError(f"{name} is not installed; pip install '{SERVICES[name].package}'")
        if SERVICES[name].check:
            pkgutil.resolve_name(SERVICES[name].check)()


class JsonLines:
    """One JSON object for each row, on disk before `log` returns, so that a killed process loses no row.

    Pictures are PNG files in `pictures/` beside it; of each name the newest `MAX_PICTURES` stay. Numbers that JSON
    lacks, NaN and infinity, are null.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Without a buffer nothing is left that closing would have to write to a full disk.
            self._file = path.open("ab", buffering=0)

    def log(self, row: Mapping[str, Any]) -> None:
        """Append one line.

        Raises:
            StorageError: The disk is full or the file cannot be written.
        """
        line = json.dumps({key: _finite(value) for key, value in row.items()}, allow_nan=False).encode() + b"\n"
        with _explained(self._path):
            while line:
                line = line[self._file.write(line) :]

    def show(self, name: str, image: npt.NDArray[np.uint8], step: int) -> None:
        """Write one file.

        Raises:
            StorageError: The disk is full or the file cannot be written.
        """
        save_picture(self._path.parent / PICTURES, name, image, step)

    def close(self) -> None:
        """Close the file.

        Raises:
            StorageError: Something could not be written.
        """
        with _explained(self._path):
            self._file.close()


def trim(path: Path, step: int, validated_step: int | None = None) -> None:
    """Drop rows and pictures beyond a step, and a line that was torn when its process died.

    The file is replaced whole.

    Args:
        path: The JSON lines.
        step: Last step whose rows and pictures stay.
        validated_step: Last step whose validations stay; by default the same.

    Raises:
        StorageError: The file cannot be read or written.
    """
    with _explained(path):
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    # A run without a step begins with its validation before the first one again.
    last = {"validation": step if validated_step is None else validated_step, "start": step if step else -1}
    places = [_place_of(line) for line in lines]
    kept = [
        line
        for line, (kind, at) in zip(lines, places, strict=True)
        if line.endswith(b"\n") and at <= last.get(kind, step)
    ]
    num_damaged = sum(math.isnan(at) for _, at in places[:-1])
    if num_damaged:
        warnings.warn(f"{path}: {num_damaged} damaged lines were dropped", stacklevel=2)
    if len(kept) < len(lines):
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"".join(kept))
    with _explained(path.parent / PICTURES):
        for at, name, picture in list_pictures(path.parent / PICTURES):
            if at > last.get(name, step):
                picture.unlink()


class _Background:
    """Feeds a tracker from a thread of its own; once it fails it gets nothing more."""

    def __init__(self, name: str, tracker: Tracker) -> None:
        self._name, self._tracker = name, tracker
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._error: Exception | None = None
        self._is_told = False
        self._thread = threading.Thread(target=self._work, name=f"mrikit-{name}", daemon=True)
        self._thread.start()

    def log(self, row: Mapping[str, Any]) -> None:
        """Queue one row."""
        self._put(functools.partial(self._tracker.log, dict(row)))

    def show(self, name: str, image: npt.NDArray[np.uint8], step: int) -> None:
        """Queue one picture, unless too much waits."""
        if self._calls.qsize() < MAX_WAITING:
            self._put(functools.partial(self._tracker.show, name, image.copy(), step))

    def close(self) -> None:
        """Wait for what is queued, but not for ever."""
        self._calls.put(None)
        self._thread.join(CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            lost = f"its last {self._calls.qsize()} rows and pictures may be in the run's folder only"
            warnings.warn(f"{self._name} is not done after {CLOSE_TIMEOUT_S:.0f} s; {lost}", stacklevel=2)
        self._tell()

    def _put(self, call: Callable[[], None]) -> None:
        if self._error is None:
            self._calls.put(call)
        self._tell()

    def _work(self) -> None:
        try:
            while (call := self._calls.get()) is not None:
                call()
            self._tracker.close()
        except Exception as error:  # noqa: BLE001 - whatever the library of a service raises, training goes on
            self._error = error

    def _tell(self) -> None:
        """Warn once, and from the thread that trains: warnings of other threads may be lost."""
        if self._error is not None and not self._is_told:
            self._is_told = True
            reason = _one_line(self._error)
            warnings.warn(f"{self._name} failed, the run goes on without it: {reason}", stacklevel=4)


class _All:
    """Several trackers as one."""

    def __init__(self, trackers: Sequence[Tracker], stack: contextlib.ExitStack) -> None:
        self._trackers, self._stack = trackers, stack

    def log(self, row: Mapping[str, Any]) -> None:
        for tracker in self._trackers:
            tracker.log(row)

    def show(self, name: str, image: npt.NDArray[np.uint8], step: int) -> None:
        assert image.dtype == np.uint8
        for tracker in self._trackers:
            tracker.show(name, image, step)

    def close(self) -> None:
        """Close each of them, also where one fails."""
        self._stack.close()


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        message = f"{path}: cannot be read or written: {reason}"
        raise StorageError(f"{message}. Mend that; the same command goes on from the last checkpoint.") from error


def _place_of(line: bytes) -> tuple[str, float]:
    """Kind and step of a row; NaN, which is not below any step, for a damaged line."""
    try:
        row = json.loads(line)
        return str(row.get("kind")), float(row["step"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return "", math.nan


def _finite(value: Any) -> Any:  # noqa: ANN401 - anything that JSON holds
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _one_line(error: Exception) -> str:
    return redact(" ".join(f"{error}".split()) or type(error).__name__)
