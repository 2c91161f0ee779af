"""Archives to the files that they hold: verified, resumable, in constant memory."""

import contextlib
import hashlib
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mrikit.errors import TransferError
from mrikit.storage import BlobPath, FileState, Location, blob, read_range, remove, write_stream
from mrikit.transfer.results import ChecksumState
from mrikit.transfer.source import ByteSource
from mrikit.transfer.unpacking.archive_digest import ArchiveDigest
from mrikit.transfer.unpacking.damage import ArchiveError, ArchiveState
from mrikit.transfer.unpacking.decode import DecodedStream, open_decoded
from mrikit.transfer.unpacking.manifest import ArchiveRecord, Manifest, Member, judge_completeness
from mrikit.transfer.unpacking.members import SeenNames, check_member, clean_name, printable
from mrikit.transfer.unpacking.record import UnpackRecord
from mrikit.transfer.unpacking.result import UnpackEvent, UnpackResult, UnpackSettings
from mrikit.transfer.unpacking.tar_headers import read_headers, read_rest

__all__ = ["UnpackEvent", "UnpackResult", "UnpackSettings", "unpack"]

_SMALL_BYTES = 2**23  # a member that is sent to Blob as one request, with its digest
_READ_BYTES = 2**22
_EXPANSION_MARGIN_BYTES = 2**26


def unpack(
    source: ByteSource,
    to: Location,
    *,
    settings: UnpackSettings,
    pool: ThreadPoolExecutor | None = None,
    published: Sequence[str] | None = None,
    num_published: int | None = None,
    digest: str | None = None,
    on_event: Callable[[UnpackEvent], None] = lambda _event: None,
    stop: threading.Event | None = None,
) -> UnpackResult:
    """Unpack an archive; members that an earlier run finished stay as they are.

    A file that no unpack of this archive wrote is never replaced: it stays if it is the member, byte by byte, and the
    member is refused if it is not. Parts of the archive that hold nothing but finished members are neither decoded nor,
    as long as no digest is to be compared, read.

    Args:
        source: The archive.
        to: Folder for its members.
        settings: How.
        pool: Threads that read and decode, `settings.num_workers` of them, shared with other archives; its own if None.
        published: Names of all volumes of the archive, if a list is published.
        num_published: How many volumes it has, if only that is.
        digest: The published SHA256, hex.
        on_event: Called as it goes on, from the thread that called this.
        stop: Once it is set, this stops with a TransferError.

    Raises:
        DataError: It is not an archive.
        TransferError: Another process unpacks it, its source failed, or `stop` was set.
        StorageError: A file cannot be read or written.
    """
    start = time.perf_counter()
    threads = ThreadPoolExecutor(settings.num_workers) if pool is None else contextlib.nullcontext(pool)
    with UnpackRecord(to, source.name, source.size_bytes) as record, threads as decoders:
        run = _Run(source, to, record, settings, on_event)
        manifest = _find_settled(record, digest) or run.unpack(decoders, digest, stop or threading.Event())
        manifest = _judge(manifest, published, num_published, digest)
        record.finish(manifest)
    return UnpackResult(
        manifest=manifest,
        num_written=run.num_written,
        written_bytes=run.written_bytes,
        seconds=time.perf_counter() - start,
    )


class _Run:
    """One pass through an archive."""

    def __init__(
        self,
        source: ByteSource,
        to: Location,
        record: UnpackRecord,
        settings: UnpackSettings,
        on_event: Callable[[UnpackEvent], None],
    ) -> None:
        self.num_written = self.written_bytes = 0
        self._source, self._to, self._record = source, to, record
        self._settings, self._on_event = settings, on_event
        self._found: list[Member] = []
        # Where each member that nothing but this part of the archive vouches for ends in the decoded stream.
        self._stops: dict[str, int] = {}

    def unpack(self, pool: ThreadPoolExecutor, digest: str | None, stop: threading.Event) -> Manifest:
        """Everything that is left to do; checksum and completeness are for others to judge."""

        def check() -> None:
            if stop.is_set():
                raise TransferError(f"{self._source.name}: stopped; the same command goes on from here")

        before = self._record.previous.archive.sha256 if self._record.previous else None
        # A digest that was read once from a file of this size is not read again for the parts that are skipped.
        reader = ArchiveDigest(self._source, is_wanted=digest is not None and before != digest.lower())
        stream = open_decoded(
            self._source,
            pool=pool,
            num_workers=self._settings.num_workers,
            memory_bytes=self._settings.memory_bytes,
            max_bytes=int(self._settings.max_expansion * self._source.size_bytes) + _EXPANSION_MARGIN_BYTES,
            digest=reader,
            check=check,
        )
        self._record.begin()
        try:
            state, where = self._take_all(stream)
        finally:
            stream.close()
        if state == "stopped":
            names = {member.name for member in self._found}
            self._found += [member for member in self._record.known.values() if member.name not in names]
        record = ArchiveRecord(
            name=self._source.name,
            size_bytes=self._source.size_bytes,
            sha256=before if state == "stopped" else reader.finish() or before,
            state=state,
            where=where,
        )
        return Manifest(archive=record, members=tuple(self._found))

    def _take_all(self, stream: DecodedStream) -> tuple[ArchiveState, str | None]:
        """Take one member after the other; what is wrong with the archive ends this, but is no error."""
        try:
            if self._take_files(stream):
                return "stopped", f"after {self._settings.num_volumes} files, as asked"
            where = read_rest(stream)
        except ArchiveError as error:
            if error.state == "damaged":
                self._remove_doubtful(stream.verified_position)
            return error.state, error.where
        return ("trailing bytes" if where else "whole"), where

    def _take_files(self, stream: DecodedStream) -> bool:
        """Whether it stopped because enough files were taken."""
        seen = SeenNames()
        num_files = 0
        for info in read_headers(stream, self._source.name):
            reason = check_member(info, seen)
            if reason is not None:
                self._note(_refused(printable(info.name), info.size, reason), stream)
            elif info.isreg():
                self._take(clean_name(info.name), info, stream)
                num_files += 1
                if num_files == self._settings.num_volumes:
                    return True
        return False

    def _take(self, name: str, info: tarfile.TarInfo, stream: DecodedStream) -> None:
        stop = stream.tell() + info.size
        known, state = self._record.known.get(name), self._record.state(name)
        if known is not None and state is not None and state.size_bytes == known.size_bytes == info.size:
            if not self._record.was_whole:
                self._stops[name] = stop
            self._note(known, stream)
        elif state is not None and not self._record.is_ours(name):
            self._note(self._compare(name, info, state, stream), stream)
        else:
            sha256 = self._write(name, info.size, stream)
            self._stops[name] = stop
            self.num_written += 1
            self.written_bytes += info.size
            self._note(Member(name=name, size_bytes=info.size, sha256=sha256, state="done"), stream)

    def _compare(self, name: str, info: tarfile.TarInfo, state: FileState, stream: DecodedStream) -> Member:
        """Keep a file that was there before if it is the member."""
        if state.size_bytes != info.size:
            reason = f"another file of {state.size_bytes} bytes is there; move it away to unpack this one"
            return _refused(name, info.size, reason)
        there = hashlib.sha256()
        for start in range(0, info.size, _READ_BYTES):
            there.update(read_range(self._to / name, start, _READ_BYTES))
        member = hashlib.sha256()
        for chunk in self._chunks(info.size, stream):
            member.update(chunk)
        if there.digest() != member.digest():
            return _refused(name, info.size, "a file with another content is there; move it away to unpack this one")
        return Member(name=name, size_bytes=info.size, sha256=member.hexdigest(), state="done")

    def _write(self, name: str, size_bytes: int, stream: DecodedStream) -> str:
        """The digest of what was written."""
        path = self._to / name
        digest = hashlib.sha256()

        def chunks() -> Iterator[memoryview]:
            for chunk in self._chunks(size_bytes, stream):
                digest.update(chunk)
                yield chunk

        if not isinstance(path, BlobPath):
            write_stream(path, chunks(), num_bytes=size_bytes)
        elif size_bytes <= _SMALL_BYTES:
            data = b"".join(chunks())
            write_stream(path, [data], metadata=self._record.metadata(digest.hexdigest()))
        else:
            write_stream(path, chunks(), metadata=self._record.metadata(None))
            # A kill before this leaves a blob that is known to be ours, but not to be right: it is written again.
            with blob.blob_errors(path):
                blob.blob_client(path).set_blob_metadata(self._record.metadata(digest.hexdigest()))
        return digest.hexdigest()

    def _chunks(self, size_bytes: int, stream: DecodedStream) -> Iterator[memoryview]:
        position = -1
        for chunk in stream.chunks(size_bytes):
            yield chunk
            if stream.compressed_position != position:
                position = stream.compressed_position
                self._on_event(UnpackEvent(archive=self._source.name, position_bytes=position))

    def _note(self, member: Member, stream: DecodedStream) -> None:
        self._found.append(member)
        self._record.add(member)
        event = UnpackEvent(archive=self._source.name, position_bytes=stream.compressed_position, member=member)
        self._on_event(event)

    def _remove_doubtful(self, verified_position: int) -> None:
        """Take back members that no check of the archive has confirmed: they came from the part that is damaged."""
        for number, member in enumerate(self._found):
            if member.state == "done" and self._stops.get(member.name, 0) > verified_position:
                remove(self._to / member.name)
                reason = "removed again: the check of the part of the archive that it came from failed"
                self._found[number] = _refused(member.name, member.size_bytes, reason)
                self._record.add(self._found[number])


def _find_settled(record: UnpackRecord, digest: str | None) -> Manifest | None:
    """The last manifest, if nothing is left to do; a member that was refused may be welcome now."""
    previous = record.previous
    if previous is None or not record.was_whole or previous.refused:
        return None
    if digest is not None and previous.archive.sha256 != digest.lower():
        return None
    states = ((member, record.state(member.name)) for member in previous.done)
    is_there = all(state is not None and state.size_bytes == member.size_bytes for member, state in states)
    return previous if is_there else None


def _judge(
    manifest: Manifest, published: Sequence[str] | None, num_published: int | None, digest: str | None
) -> Manifest:
    """Compare with what was published."""
    archive = replace(
        manifest.archive,
        checksum=_judge_checksum(manifest.archive.sha256, digest),
        completeness=judge_completeness(
            manifest.members, published, num_published, is_stopped=manifest.archive.state == "stopped"
        ),
    )
    return replace(manifest, archive=archive)


def _judge_checksum(sha256: str | None, digest: str | None) -> ChecksumState:
    if digest is None:
        return "unpublished"
    if sha256 is None:
        return "not checked"
    return "ok" if sha256 == digest.lower() else "mismatch"


def _refused(name: str, size_bytes: int, reason: str) -> Member:
    return Member(name=name, size_bytes=size_bytes, sha256=None, state="refused", reason=reason)
