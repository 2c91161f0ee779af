"""Archives to the files that they hold: verified, resumable, in constant memory."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mrikit.errors import DataError, TransferError
from mrikit.storage import Location, remove
from mrikit.transfer.results import ChecksumState
from mrikit.transfer.source import ByteSource
from mrikit.transfer.unpacking import reasons
from mrikit.transfer.unpacking.archive_digest import ArchiveDigest
from mrikit.transfer.unpacking.claims import Claims
from mrikit.transfer.unpacking.completeness import judge_completeness
from mrikit.transfer.unpacking.damage import ArchiveError, ArchiveState, LimitError
from mrikit.transfer.unpacking.decode import DecodedStream, open_decoded
from mrikit.transfer.unpacking.manifest import ArchiveRecord, Manifest, Member
from mrikit.transfer.unpacking.members import SeenNames, check_member, clean_name, printable
from mrikit.transfer.unpacking.placing import Placed, Placer, refused
from mrikit.transfer.unpacking.record import UnpackRecord
from mrikit.transfer.unpacking.result import UnpackEvent, UnpackResult, UnpackSettings
from mrikit.transfer.unpacking.tar_headers import read_headers, read_rest

__all__ = ["UnpackEvent", "UnpackResult", "UnpackSettings", "unpack"]

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
    claims: Claims | None = None,
) -> UnpackResult:
    """Unpack an archive; members that an earlier run finished stay as they are.

    A file that no unpack of an archive of this name wrote is never replaced: it stays if it is the member, byte by
    byte, and the member is refused if it is not. Files that came from another archive of this name, or from a part that
    the archive's checks did not confirm, are compared too, and replaced where they differ. Parts of the archive that
    hold nothing but finished members are neither decoded nor, as long as no digest is to be compared, read.

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
        claims: Shared by archives that are unpacked into one folder at once.

    Raises:
        DataError: It is not an archive, or takes more memory or unpacks to more than was allowed.
        TransferError: Another process unpacks it, its source failed, or `stop` was set.
        StorageError: A file cannot be read or written.
    """
    start = time.perf_counter()

    def require_wanted() -> None:
        if stop is not None and stop.is_set():
            raise TransferError(f"{source.name}: stopped; the same command goes on from here")

    threads = ThreadPoolExecutor(settings.num_workers) if pool is None else contextlib.nullcontext(pool)
    with UnpackRecord(to, source) as record, threads as decoders:
        run = _Run(source, to, record, settings, on_event, require_wanted)
        manifest = _find_settled(record, digest) or run.unpack(decoders, digest, claims or Claims())
        manifest = _judge(manifest, record, published, num_published, digest)
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
        require_wanted: Callable[[], None],
    ) -> None:
        self.num_written = self.written_bytes = 0
        self._source, self._to, self._record, self._require_wanted = source, to, record, require_wanted
        self._settings, self._on_event = settings, on_event
        self._found: list[Member] = []
        # Where each member that nothing but this part of the archive vouches for ends in the decoded stream.
        self._stops: dict[str, int] = {}
        self._shown = -1

    def unpack(self, pool: ThreadPoolExecutor, digest: str | None, claims: Claims) -> Manifest:
        """Everything that is left to do; checksum and completeness are for others to judge."""
        before = self._record.previous.archive.sha256 if self._record.previous else None
        # A digest that was read once from this very file is not read again for the parts that are skipped.
        is_wanted = digest is not None and before != digest.lower() and self._settings.num_volumes is None
        reader = ArchiveDigest(self._source, is_wanted=is_wanted, on_read=self._show)
        stream = open_decoded(
            self._source,
            pool=pool,
            num_workers=self._settings.num_workers,
            memory_bytes=self._settings.memory_bytes,
            max_bytes=int(self._settings.max_expansion * self._source.size_bytes) + _EXPANSION_MARGIN_BYTES,
            digest=reader,
            check=self._require_wanted,
        )
        try:
            state, where = self._take_all(stream, claims)
        except LimitError as error:
            raise DataError(f"{self._source.name}: {error}") from error
        finally:
            stream.close()
        record = ArchiveRecord(
            name=self._source.name,
            size_bytes=self._source.size_bytes,
            version=self._record.version,
            sha256=before if state == "stopped" else reader.finish() or before,
            state=state,
            where=where,
        )
        return Manifest(archive=record, members=(*self._found, *self._find_others(has_ended=where is None)))

    def _find_others(self, *, has_ended: bool) -> Iterator[Member]:
        """Members of earlier runs that were not come across; after the archive's end only those that are there."""
        names = {member.name for member in self._found}
        for name, member in self._record.known.items():
            if name not in names and not (has_ended and self._record.state(name) is None):
                yield member

    def _take_all(self, stream: DecodedStream, claims: Claims) -> tuple[ArchiveState, str | None]:
        """Take one member after the other; what is wrong with the archive ends this, but is no error."""
        try:
            if self._take_files(stream, claims):
                self._confirm(stream.verified_position)
                return "stopped", f"after {self._settings.num_volumes} files, as asked"
            where = read_rest(stream)
        except ArchiveError as error:
            if error.state == "damaged":
                self._take_back(stream.verified_position)
            self._confirm(stream.verified_position)
            return error.state, error.where
        self._confirm(stream.tell())
        return ("trailing bytes" if where else "whole"), where

    def _take_files(self, stream: DecodedStream, claims: Claims) -> bool:
        """Whether it stopped because enough files were taken."""
        seen = SeenNames()
        num_files = 0
        placer = Placer(self._to, self._record, lambda: self._show(stream.compressed_position))
        for info in read_headers(stream, self._source.name):
            reason = check_member(info, seen)
            if reason is not None:
                self._note(refused(printable(info.name), info.size, reason), stream)
            elif info.isreg():
                name, stop = clean_name(info.name), stream.tell() + info.size
                with claims.hold(name, self._require_wanted):
                    placed = placer.place(name, info.size, stream)
                if not placed.member.is_verified:
                    self._stops[name] = stop
                self._note(placed, stream)
                num_files += placed.member.state == "done"
                if num_files == self._settings.num_volumes:
                    return True
        return False

    def _note(self, placed: Placed, stream: DecodedStream) -> None:
        if placed.is_written:
            self.num_written += 1
            self.written_bytes += placed.member.size_bytes
        self._found.append(placed.member)
        self._record.add(placed.member)
        self._on_event(
            UnpackEvent(archive=self._source.name, position_bytes=stream.compressed_position, member=placed.member)
        )

    def _show(self, position: int) -> None:
        self._require_wanted()
        if position != self._shown:
            self._shown = position
            self._on_event(UnpackEvent(archive=self._source.name, position_bytes=position))

    def _confirm(self, position: int) -> None:
        """Members that end before this decoded offset have passed the archive's checks."""
        for number, member in enumerate(self._found):
            if member.state == "done" and self._stops.get(member.name, position + 1) <= position:
                self._found[number] = replace(member, is_verified=True)

    def _take_back(self, verified_position: int) -> None:
        """Members that no check of the archive has confirmed: they came from the part that is damaged."""
        names = {member.name for member in self._found}
        for name, member in self._record.known.items():
            # Nor has a check of an earlier run, and this one did not even reach them.
            if name not in names and not member.is_verified and member.version == self._record.version:
                self._found.append(member)
                self._stops[name] = verified_position + 1
        for number, member in enumerate(self._found):
            if member.state == "done" and self._stops.get(member.name, 0) > verified_position:
                if not member.is_kept:
                    remove(self._to / member.name)
                reason = reasons.NOT_CONFIRMED if member.is_kept else reasons.TAKEN_BACK
                self._found[number] = replace(member, sha256=None, state="taken back", reason=reason)
                self._record.add(self._found[number])


def _find_settled(record: UnpackRecord, digest: str | None) -> Manifest | None:
    """The last manifest, if it is of this very file and nothing is left to do; who was refused may be welcome now."""
    previous = record.previous
    if previous is None or previous.archive.state not in ("whole", "trailing bytes") or previous.refused:
        return None
    if previous.archive.checksum == "mismatch" or (digest and previous.archive.sha256 != digest.lower()):
        return None
    for member in previous.present:
        if record.trusted(member.name, record.state(member.name)) is None:
            return None
    return previous


def _judge(
    manifest: Manifest,
    record: UnpackRecord,
    published: Sequence[str] | None,
    num_published: int | None,
    digest: str | None,
) -> Manifest:
    """Compare with what was published; where nothing is given now, what an earlier run was given still counts."""
    earlier = None if record.previous is None else record.previous.archive
    completeness = judge_completeness(
        [member.name for member in manifest.present],
        published,
        num_published,
        is_stopped=manifest.archive.state == "stopped",
        earlier=earlier.completeness if earlier else None,
    )
    if digest is None:
        checksum: ChecksumState = "unpublished"
        if earlier and earlier.checksum in ("ok", "mismatch"):
            checksum = earlier.checksum
    elif manifest.archive.sha256 is None:
        # What was known once to be another file than the published one has not become it.
        checksum = "mismatch" if earlier and earlier.checksum == "mismatch" else "not checked"
    else:
        checksum = "ok" if manifest.archive.sha256 == digest.lower() else "mismatch"
    members = manifest.members
    if checksum == "mismatch":
        version = manifest.archive.version
        members = tuple(replace(one, is_verified=False) if one.version == version else one for one in members)
    known = digest.lower() if digest else earlier.published_sha256 if earlier else None
    archive = replace(
        manifest.archive, place=record.place, published_sha256=known, checksum=checksum, completeness=completeness
    )
    return Manifest(archive=archive, members=members)
