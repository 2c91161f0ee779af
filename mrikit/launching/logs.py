"""Logs of a local job, start after start."""

import codecs
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

OTHERS = "others"
"""Folder in which torchrun keeps what all processes but the first say, one folder for each start."""
_PIECE_BYTES = 2**16
_TAIL_BYTES = 2**15
_PERIOD_S = 0.2
_OTHERS_LINES = 20


def log_path(folder: Path, number: int) -> Path:
    """The file of a start, counted from 0, also over what was started by hand in between."""
    return folder / f"log-{number}.txt"


def num_logs(folder: Path) -> int:
    """How many starts have written so far."""
    numbers = [path.stem.removeprefix("log-") for path in folder.glob("log-*.txt")]
    return 1 + max((int(number) for number in numbers if number.isdecimal()), default=-1)


def read_logs(folder: Path, is_over: Callable[[], bool] | None = None) -> Iterator[str]:
    """What all starts of a job have written, in pieces.

    Args:
        folder: Of the job.
        is_over: Whether nothing is written any more; until then it goes on. None to stop at the end of what is there.
    """
    number = 0
    log = _Log(log_path(folder, 0))
    while True:
        # Asked before it is read, so that nothing that was written in between is lost.
        is_last = is_over is None or is_over()
        is_complete = num_logs(folder) > number + 1
        yield from log.new_text(is_complete=is_complete)
        if is_complete:
            number += 1
            log = _Log(log_path(folder, number))
        elif is_last:
            return
        else:
            time.sleep(_PERIOD_S)


def tail(path: Path, num_lines: int) -> str:
    """The last lines of a file; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-num_lines:])


def tails_of_others(folder: Path, number: int) -> None:
    """Add to the log of a start what its other processes said last: one of them may be the one that knows why."""
    starts = sorted((folder / OTHERS).glob("*"), key=lambda path: path.stat().st_mtime)
    if not starts:
        return
    log_file = log_path(folder, number)
    with contextlib.suppress(OSError), log_file.open("a", encoding="utf-8", errors="backslashreplace") as log:
        for place in sorted(starts[-1].glob("attempt_*/*"), key=lambda path: int(path.name)):
            # What went wrong is on stderr, which therefore comes last.
            said = "\n".join(
                filter(None, (tail(path, _OTHERS_LINES) for path in sorted(place.glob("*.log"), reverse=True)))
            )
            if said:
                log.write(f"--- process {place.name} said last\n{said}\n")


class _Log:
    """One file that grows, and where its reader is.

    Args:
        path: Of the file; it may not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def new_text(self, *, is_complete: bool) -> Iterator[str]:
        """What was written since the last time; a file that was cut off is read from its start."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            if self._path.stat().st_size < self._position:
                self._position = 0
                self._decoder.reset()
            file.seek(self._position)
            while piece := file.read(_PIECE_BYTES):
                self._position += len(piece)
                if text := self._decoder.decode(piece):
                    yield text
        if is_complete and (rest := self._decoder.decode(b"", final=True)):
            yield rest
