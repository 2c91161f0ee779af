"""Copy the files of a data set, each whole or not at all, and what is known of them."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mrikit.errors import MrikitError, StorageError, TransferError
from mrikit.storage import NOT_THERE, FileState, Location, file_state, read_range, write_stream
from mrikit.transfer.data_set.manifests import below, carry_manifest
from mrikit.transfer.data_set.notes import Journal, Note, blob_metadata, journal_of, source_version
from mrikit.transfer.data_set.plan import DataSetPlan, SetFile
from mrikit.transfer.published import note_published, published_digests
from mrikit.volumes.index_carry import carry_index

_PART_BYTES = 8 * 2**20
_FILES_AT_ONCE = 4
"""Each holds some blocks of 8 MiB on their way to Blob."""

State = Literal["copied", "present"]


@dataclass(kw_only=True, slots=True)
class DataSetResult:
    """What has become of the files; filled while they are copied."""

    copied: dict[str, FileState] = field(default_factory=dict)
    """Files that this run brought, with their state at the target."""
    present: dict[str, FileState] = field(default_factory=dict)
    """Files that were there."""
    failed: dict[str, str] = field(default_factory=dict)
    """Files that are not there, or not right, with why."""
    num_compared: int = 0
    """Files whose SHA256 is that of a manifest, now or when they came."""
    num_indexed: int = 0
    """Files that the index of the copy knows from that of the original."""


def copy_data_set(
    plan: DataSetPlan,
    *,
    on_bytes: Callable[[str, int], None] = lambda _name, _count: None,
    on_failure: Callable[[str], None] = lambda _message: None,
) -> DataSetResult:
    """Copy what is not there yet; killed at any point, the same call goes on with the next file.

    A file that a manifest knows has to have its SHA256, else nothing of it is written. A file of the target that no
    copy wrote is never replaced: it stays if it is the same, byte by byte. What goes wrong with one file does not stop
    the others; manifests and indexes come last, and speak only of what is there.

    Args:
        plan: Made just before.
        on_bytes: Called from any thread with the name of a file and the bytes that were read of it.
        on_failure: Called in the same way, with what is wrong with a file, on one line.

    Raises:
        StorageError: The target, or the notes of the copy, cannot be written.
    """
    result = DataSetResult(failed=dict(plan.faults))
    for name, reason in plan.faults.items():
        on_failure(f"{name}: {reason}")
    run = _Run(plan, result, on_bytes, on_failure)
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        try:
            for _ in pool.map(run.bring, plan.files):
                pass
        except BaseException:
            run.stop()
            pool.shutdown(cancel_futures=True)
            raise
    written = result.copied | result.present
    result.num_compared = sum(one.sha256 is not None and one.name in written for one in plan.files)
    for manifest in plan.manifests:
        carry_manifest(manifest, plan.to, written)
    for prefix in plan.published:
        note_published(below(plan.to, prefix), published_digests(below(plan.source, prefix)))
    for prefix in plan.indexes:
        names = {name.removeprefix(prefix) for name in written if name.startswith(prefix)}
        result.num_indexed += carry_index(below(plan.source, prefix), below(plan.to, prefix), names) if names else 0
    return result


class _Run:
    """The files of one copy, on some threads."""

    def __init__(
        self,
        plan: DataSetPlan,
        result: DataSetResult,
        on_bytes: Callable[[str, int], None],
        on_failure: Callable[[str], None],
    ) -> None:
        self._plan, self._result, self._on_bytes, self._on_failure = plan, result, on_bytes, on_failure
        self._journal = journal_of(plan.to)
        if self._journal is not None and not all(one.is_there for one in plan.files):
            self._journal.begin()
        self._lock, self._stop = threading.Lock(), threading.Event()

    def stop(self) -> None:
        """Bring no more."""
        self._stop.set()

    def bring(self, one: SetFile) -> None:
        """See that a file is at the target."""
        if one.is_there:
            assert one.there is not None
            self._result.present[one.name] = one.there
            return
        try:
            state, written = self._bring(one)
        except MrikitError as error:
            if self._stop.is_set():
                return
            with self._lock:
                self._result.failed[one.name] = _reason(one.name, error)
                self._on_failure(f"{one.name}: {self._result.failed[one.name]}")
            return
        (self._result.copied if state == "copied" else self._result.present)[one.name] = written

    def _bring(self, one: SetFile) -> tuple[State, FileState]:
        path, there = self._plan.to / one.name, one.there
        if there is not None:
            if there.size_bytes == one.state.size_bytes and self._is_same(one, path, there):
                self._note(one, there)
                return "present", there
            if one.note is None or not one.note.came_from:
                raise StorageError(
                    f"{path}: another file of {there.size_bytes} bytes is there; move it away, or name another place"
                )
        version = there.version if there else NOT_THERE
        notes = blob_metadata(one.state, one.archive, one.member)
        size_bytes = one.state.size_bytes
        written = write_stream(path, self._checked(one), metadata=notes, num_bytes=size_bytes, if_version=version)
        if written.size_bytes != size_bytes:
            raise StorageError(
                f"{path}: {written.size_bytes} bytes arrived of {size_bytes}; give the same command again"
            )
        self._note(one, written)
        return "copied", written

    def _is_same(self, one: SetFile, path: Location, there: FileState) -> bool:
        """Read what is there, and the original too where no manifest knows its digest."""
        found = _digest(self._parts(path, there))
        return found == (one.sha256 or _digest(self._parts(self._plan.source / one.name, one.state)))

    def _note(self, one: SetFile, written: FileState) -> None:
        journal: Journal | None = self._journal
        if journal is not None:
            with self._lock:
                journal.add(one.name, written, Note(came_from=source_version(one.state), sha256=one.sha256))

    def _checked(self, one: SetFile) -> Iterator[bytes]:
        """The parts of a file; raises at their end if they are not what the manifest knows."""
        path, digest = self._plan.source / one.name, hashlib.sha256()
        for part in self._parts(path, one.state):
            digest.update(part)
            yield part
            self._on_bytes(one.name, len(part))
        if one.sha256 is not None and digest.hexdigest() != one.sha256:
            raise StorageError(
                f"{path}: SHA256 is {digest.hexdigest()[:12]}..., but {one.sha256[:12]}... was unpacked from "
                f"{one.archive}; delete it and unpack that again"
            )

    def _parts(self, path: Location, state: FileState) -> Iterator[bytes]:
        """A file in order, as long as it stays the same."""
        version = None if isinstance(path, Path) else state.version
        for start in range(0, state.size_bytes, _PART_BYTES):
            if self._stop.is_set():
                raise TransferError(f"{path}: stopped; the same command goes on from here")
            count = min(_PART_BYTES, state.size_bytes - start)
            part = read_range(path, start, count, if_version=version)
            if len(part) != count:
                raise StorageError(f"{path}: shorter than it was; was it replaced?")
            yield part
        if isinstance(path, Path) and file_state(path) != state:
            raise StorageError(f"{path}: changed while it was read; give the same command again")


def _digest(parts: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _reason(name: str, error: MrikitError) -> str:
    """Without the path, which the name says shorter."""
    head, separator, rest = str(error).partition(f"/{name}: ")
    return rest if separator and " " not in head else str(error)
