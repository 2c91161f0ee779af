"""Logs of a job's processes in Azure ML."""

import codecs
import re
import time
from collections.abc import Callable, Iterator, Mapping

from mrikit.launching.azure_ml.runs import PIECE_BYTES, RunHistory

OVER = ("Completed", "Finished", "Failed", "Canceled")
_LOG = re.compile(r"user_logs/std_log(?:_process_0*(\d+))?\.txt")
_AGAIN = "\n--- started again by Azure ML, which keeps no log of the start before ---\n"


def process_log(process: int, num_processes: int) -> int | None:
    """Which log a process has: its number, or None for the one log of a job without others."""
    return process if num_processes > 1 else None


def follow_run(
    runs: RunHistory, run: str, process: int | None, *, is_over: Callable[[], bool], poll_s: float, is_followed: bool
) -> Iterator[str]:
    """The log of one process of a run, in pieces; until the run is over if it is followed.

    Args:
        runs: Asked for the log.
        run: What the run history calls it; empty for one that was not started.
        process: Of which process; None where there is one.
        is_over: Asked whether the job has ended where the run history knows nothing of it.
        poll_s: Seconds between two looks.
        is_followed: Whether to look again.

    Azure ML writes a job that it starts again on another machine to the same file, which then is shorter than before.

    Raises:
        JobError: The run history cannot be asked.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    start = 0
    while run:
        details = runs.details(run)
        # Asked before the file is read: what is written between the two is read by the next look.
        has_ended = details.get("status") in OVER if details else is_over()
        file, url = _address(details.get("logFiles") or {}, process)
        while url:
            data, size = runs.read_log(run, file, url, start)
            if not data and size is not None and size < start:
                start = 0
                yield decoder.decode(b"", final=True) + _AGAIN
                continue
            start += len(data)
            text = decoder.decode(data)
            if text:
                yield text
            if len(data) < PIECE_BYTES:
                break
        if has_ended or not is_followed:
            return
        time.sleep(poll_s)


def _address(files: Mapping[str, str], process: int | None) -> tuple[str, str]:
    """Name and address of the log of a process, signed for an hour or so; empty while there is none."""
    for name, url in files.items():
        match = _LOG.fullmatch(name)
        if match and (match.group(1) is None or int(match.group(1)) == (process or 0)):
            return name, url
    return "", ""
