"""Work through many files on all cores, keep each result at once, and take what an earlier check already knows."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import torch

from mrikit.check.findings import UNREAD, Finding
from mrikit.check.journal import Key, Result, Signature, open_journal, read_journal, write_journal


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One file to read from its beginning to its end."""

    key: Key
    signature: Signature
    size_bytes: int
    """What will be read, for the progress."""
    work: Callable[[Callable[[int], None]], list[Finding]]
    """Reads the file and calls the function it is given with bytes read, every now and then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What came of it."""

    findings: list[Finding]
    num_read: int
    """Files that were read this time."""
    num_known: int
    """Other files, which did not change since the last time."""


class _StoppedError(Exception):
    """Nobody waits for the result any more."""


def check_contents(
    items: Sequence[Item],
    journal: Path,
    *,
    num_workers: int,
    is_again: bool = False,
    on_start: Callable[[int, int, int], None] = lambda _items, _bytes, _known: None,
    on_bytes: Callable[[str, int], None] = lambda _name, _count: None,
) -> Contents:
    """The findings of all items, read now or taken from the journal.

    Args:
        items: What to read.
        journal: The file with the results of earlier checks; each new result is added to it at once.
        num_workers: Threads; each holds about two slices of k-space.
        is_again: Whether to read everything again.
        on_start: Called with the number of files to read, the bytes of all items, and the number of other files.
        on_bytes: Called from any thread with the name of a file and the bytes that were read of it.

    Raises:
        StorageError: The journal cannot be written, or blobs cannot be reached.
    """
    known = {} if is_again else read_journal(journal)
    results = {item.key: known[item.key] for item in items if known.get(item.key, ([], []))[0] == item.signature}
    todo = [item for item in items if item.key not in results]
    # The slices of a file and its digest are two items.
    read = {item.key[1] for item in todo}
    num_known = len({name for _, name in results} - read)
    on_start(len(read), sum(item.size_bytes for item in todo), num_known)
    if todo:
        with open_journal(journal) as save:
            _work_through(todo, num_workers, results, save, on_bytes)
        # Without what is gone or was replaced, and what could not be read: that may have passed the next time.
        write_journal(journal, {key: result for key, result in results.items() if not _is_unread(result)})
    findings = [finding for item in items for finding in results[item.key][1]]
    return Contents(findings=findings, num_read=len(read), num_known=num_known)


def _work_through(
    todo: Sequence[Item],
    num_workers: int,
    results: dict[Key, Result],
    save: Callable[[Key, Result], None],
    on_bytes: Callable[[str, int], None],
) -> None:
    """Put the result of each item into `results`, and save it. After an error or Ctrl-C no thread goes on for long."""
    stop = threading.Event()

    def work(item: Item) -> None:
        def advance(count: int) -> None:
            if stop.is_set():
                raise _StoppedError
            on_bytes(item.key[1], count)

        result = item.signature, item.work(advance)
        if not _is_unread(result):
            save(item.key, result)  # here, and not when its turn comes: a kill costs only what is being read
        results[item.key] = result

    num_torch_threads = torch.get_num_threads()
    # Threads, because reading, hashing and transforming all let others run meanwhile.
    pool = ThreadPoolExecutor(num_workers, initializer=torch.set_num_threads, initargs=(1,))
    try:
        for future in as_completed([pool.submit(work, item) for item in todo]):
            future.result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
        # Setting it in a thread also sets what threads that start later get.
        torch.set_num_threads(num_torch_threads)


def _is_unread(result: Result) -> bool:
    return any(finding.kind == UNREAD for finding in result[1])
