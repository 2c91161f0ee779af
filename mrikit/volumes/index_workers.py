"""Read many files for the index: alone while there are few, else together with forked worker processes.

HDF5 has one lock for all threads, so only processes read in parallel. They are forked because that takes milliseconds
where a fresh Python takes as long as reading a thousand files; h5py holds its lock around a fork, and the workers do
nothing but read files.
"""

import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from mrikit.errors import DataError
from mrikit.storage.lock import NoLocksWarning
from mrikit.volumes.index_entry import Entry, read_entry

FILES_PER_WORKER = 50
"""Below this a worker costs more than it saves."""
FILES_PER_BATCH = 16
"""Files between two looks at what the others have answered."""


def num_processors() -> int:
    """Processors that this process may use; a job of a cluster has fewer than the machine, where the system can say."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def read_entries(folder: Path, names: list[str], num_workers: int) -> Iterator[tuple[str, Entry]]:
    """Describe each file, in any order.

    Raises:
        DataError: A worker process died.
    """
    num_workers = max(1, min(num_workers, len(names) // FILES_PER_WORKER))
    if "fork" not in multiprocessing.get_all_start_methods():
        num_workers = 1
    workers = dict(_start(folder, names[first::num_workers]) for first in range(1, num_workers))
    try:
        for batch in _batches(names[::num_workers]):
            yield from ((name, read_entry(folder, name)) for name in batch)
            yield from _receive(folder, workers, timeout_s=0)
        while workers:
            yield from _receive(folder, workers, timeout_s=None)
    finally:
        for worker in workers.values():
            worker.kill()
            worker.join()


def _receive(
    folder: Path, workers: dict[Connection, BaseProcess], timeout_s: float | None
) -> Iterator[tuple[str, Entry]]:
    """What the workers have answered by now; those that are done are removed."""
    for answers in wait(list(workers), timeout_s) if workers else ():
        assert isinstance(answers, Connection)
        try:
            yield from answers.recv()
        except EOFError:
            worker = workers.pop(answers)
            worker.join()
            if worker.exitcode:
                raise DataError(
                    f"{folder}: a file ended the process that read it (exit code {worker.exitcode}); "
                    "find it with `mrikit data index --workers 1`"
                ) from None


def _start(folder: Path, names: list[str]) -> tuple[Connection, BaseProcess]:
    """Fork a worker; its answers arrive at the connection."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    worker = multiprocessing.get_context("fork").Process(
        target=_work, args=(folder, names, theirs, os.getpid()), daemon=True
    )
    with warnings.catch_warnings():
        # Python 3.12 warns of forks beside other threads; see above why this one is safe.
        warnings.simplefilter("ignore", DeprecationWarning)
        worker.start()
    theirs.close()
    return ours, worker


def _work(folder: Path, names: list[str], answers: Connection, parent: int) -> None:
    warnings.simplefilter("ignore", NoLocksWarning)  # the parent reads there too, and says it once
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends its workers
    for batch in _batches(names):
        if os.getppid() != parent:
            return  # the build was killed; nobody waits for the rest
        answers.send([(name, read_entry(folder, name)) for name in batch])


def _batches(names: list[str]) -> Iterator[list[str]]:
    return (names[first : first + FILES_PER_BATCH] for first in range(0, len(names), FILES_PER_BATCH))
