"""The metrics of a training run: JSON lines always; TensorBoard, MLflow and Weights & Biases on request."""

import contextlib
import difflib
import json
import math
import os
import queue
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from mrikit.errors import ConfigError, StorageError
from mrikit.run_files import METRICS_FILE, TRACKERS_FILE
from mrikit.runs.trackers.common import SERVICES, redact, require_library
from mrikit.storage import atomic_path

CLOSE_TIMEOUT_S = 60.0


class Tracker(Protocol):
    """Somewhere that the numbers of a run go to."""

    def log(self, row: Mapping[str, Any]) -> None:
        """Take one row: `kind`, `step` and numbers."""

    def close(self) -> None:
        """No more rows will come."""


def open_trackers(
    names: Sequence[str],
    folder: Path,
    *,
    run_name: str,
    config: Mapping[str, Any],
    resume_step: int,
    validated_step: int | None = None,
) -> Tracker:
    """All trackers of a run as one; `metrics.jsonl` in the run's folder is always the first of them.

    The others run in threads: training does not wait for a server, and one that fails later is warned of once and left
    out. A run that goes on continues its MLflow and W&B run; their ids are kept in `trackers.json`.

    Args:
        names: Keys of `SERVICES`.
        folder: Of the run.
        run_name: What the run is called there.
        config: The resolved configuration as JSON. Passwords and signatures in URLs are not passed on.
        resume_step: Step of the checkpoint that training goes on from; 0 for the beginning. Rows beyond it are dropped.
        validated_step: Step of the last validation that this checkpoint knows of; rows of later ones are dropped too.

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
                service = SERVICES[name](folder, run_name, config, resume_step)
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
        ConfigError: An unknown name, or a library that is not installed.
    """
    for name in names:
        if name not in SERVICES:
            nearest = difflib.get_close_matches(name, SERVICES, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(SERVICES)}"
            raise ConfigError(f"there is no tracker {name!r}; {hint}")
        require_library(name)


class JsonLines:
    """One JSON object for each row, on disk before `log` returns, so that a killed process loses no row.

    Numbers that JSON lacks, NaN and infinity, are null.
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

    def close(self) -> None:
        """Close the file.

        Raises:
            StorageError: Something could not be written.
        """
        with _explained(self._path):
            self._file.close()


def trim(path: Path, step: int, validated_step: int | None = None) -> None:
    """Drop every row beyond a step, and a line that was torn when its process died; the file is replaced whole.

    Args:
        path: The JSON lines.
        step: Last step whose rows stay.
        validated_step: Last step whose rows of validations stay; by default the same.

    Raises:
        StorageError: The file cannot be read or written.
    """
    with _explained(path):
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    last = {"validation": step if validated_step is None else validated_step}
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


class _Background:
    """Feeds a tracker from a thread of its own; once it fails it gets no more rows."""

    def __init__(self, name: str, tracker: Tracker) -> None:
        self._name, self._tracker = name, tracker
        self._rows: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()
        self._error: Exception | None = None
        self._is_told = False
        self._thread = threading.Thread(target=self._work, name=f"mrikit-{name}", daemon=True)
        self._thread.start()

    def log(self, row: Mapping[str, Any]) -> None:
        """Queue one row."""
        if self._error is None:
            self._rows.put(dict(row))
        self._tell()

    def close(self) -> None:
        """Wait for what is queued, but not for ever."""
        self._rows.put(None)
        self._thread.join(CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            lost = f"its last {self._rows.qsize()} rows may be in {METRICS_FILE} only"
            warnings.warn(f"{self._name} is not done after {CLOSE_TIMEOUT_S:.0f} s; {lost}", stacklevel=2)
        self._tell()

    def _work(self) -> None:
        try:
            while (row := self._rows.get()) is not None:
                self._tracker.log(row)
            self._tracker.close()
        except Exception as error:  # noqa: BLE001 - whatever the library of a service raises, training goes on
            self._error = error

    def _tell(self) -> None:
        """Warn once, and from the thread that trains: warnings of other threads may be lost."""
        if self._error is not None and not self._is_told:
            self._is_told = True
            reason = _one_line(self._error)
            warnings.warn(f"{self._name} failed, the run goes on without it: {reason}", stacklevel=3)


class _All:
    """Several trackers as one."""

    def __init__(self, trackers: Sequence[Tracker], stack: contextlib.ExitStack) -> None:
        self._trackers, self._stack = trackers, stack

    def log(self, row: Mapping[str, Any]) -> None:
        for tracker in self._trackers:
            tracker.log(row)

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
