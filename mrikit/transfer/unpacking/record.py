"""What an unpack knows of earlier ones into the same folder, and notes for later ones."""

import contextlib
import errno
import os
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, unquote

from mrikit.errors import StorageError
from mrikit.storage import BlobPath, FileState, Location, file_state, list_files, write_bytes
from mrikit.transfer.source import ByteSource, FileSource
from mrikit.transfer.unpacking.lock import locked, not_written, stays_if_full
from mrikit.transfer.unpacking.manifest import (
    ArchiveRecord,
    Manifest,
    Member,
    archive_line,
    format_manifest,
    manifest_path,
    member_line,
    read_manifest_if_any,
)


class UnpackRecord:
    """The manifest of an archive while it is unpacked; nobody else unpacks it into the same folder meanwhile.

    What an earlier run noted is trusted only if the archive is the very same file. Members of another file of its name
    are known to be ours, no more.

    For a local folder each member becomes a line of the manifest at once. A blob carries size, digest and archive as
    its metadata, so the listing of the container is the record, on any machine; its manifest is written at the end.

    Args:
        to: The folder for the members.
        source: The archive.
    """

    def __init__(self, to: Location, source: ByteSource) -> None:
        self.version = f"{source.size_bytes}-{source.version}" if source.version else ""
        """See `ArchiveRecord.version`."""
        self.previous: Manifest | None = None
        """What the last unpack of this very file left."""
        self.known: dict[str, Member] = {}
        """Members that came from an archive of this name, whatever its version."""
        self.place = _place_of(source)
        """See `ArchiveRecord.place`."""
        self._to, self._archive, self._size_bytes = to, source.name, source.size_bytes
        self._path = manifest_path(to, source.name)
        self._blobs: dict[str, FileState] = {}
        self._file: int | None = None
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._exit.enter_context(locked(self._to, self._archive))
        try:
            self._read()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_file()
        self._exit.close()

    def state(self, name: str) -> FileState | None:
        """Size and version of a member's file; None if there is none.

        Raises:
            StorageError: Whether it is there cannot be known.
        """
        return self._blobs.get(name) if isinstance(self._to, BlobPath) else file_state(self._to / name)

    def trusted(self, name: str, state: FileState | None) -> Member | None:
        """What is known of a member whose file needs no second look: it came from this very archive, verified.

        Args:
            name: Of the member.
            state: Of its file; one that was changed since, also to the same size, is not trusted.
        """
        known = self.known.get(name)
        if known is None or state is None or not known.is_verified or not known.version == self.version != "":
            return None
        is_unchanged = isinstance(self._to, BlobPath) or state.version == known.file_version
        return known if is_unchanged and state.size_bytes == known.size_bytes else None

    def is_ours(self, name: str) -> bool:
        """Whether the file of this name comes from an archive of this name, and may be replaced."""
        known = self.known.get(name)
        return known is not None and not known.is_kept

    def is_noted(self, blob: FileState) -> bool:
        """Whether a blob says that it comes from an archive of this name."""
        return blob.metadata.get("archive") == quote(self._archive)

    def metadata(self, sha256: str | None, *, is_verified: bool) -> dict[str, str]:
        """What a member's blob carries."""
        notes = {"archive": quote(self._archive), "archive_version": quote(self.version)}
        return notes | ({"sha256": sha256} if sha256 else {}) | ({"verified": "yes"} if is_verified else {})

    def add(self, member: Member) -> None:
        """A member is done or not.

        Raises:
            StorageError: It cannot be noted.
        """
        if isinstance(self._path, Path):
            file = self._file if self._file is not None else self._begin(self._path)
            self._append(file, member_line(member))

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest anew, whole.

        Raises:
            StorageError: It cannot be written.
        """
        try:
            write_bytes(self._path, format_manifest(manifest))
        except StorageError as error:
            raise stays_if_full(self._path, error) from error
        self._close_file()

    def _read(self) -> None:
        manifest = read_manifest_if_any(self._to, self._archive)
        listed = {member.name: member for member in manifest.done} if manifest is not None else {}
        if manifest is not None and manifest.archive.version == self.version != "":
            self.previous = manifest
        self.known = listed
        if isinstance(self._to, BlobPath):
            self._blobs = list_files(self._to)
            ours = [name for name, blob in self._blobs.items() if self.is_noted(blob)]
            self.known = {name: member for name, member in listed.items() if member.is_kept}
            self.known |= {name: self._read_notes(name, listed) for name in ours}

    def _read_notes(self, name: str, listed: dict[str, Member]) -> Member:
        """What a blob of ours says of itself, unless the manifest knows more of the same content."""
        blob = self._blobs[name]
        sha256 = blob.metadata.get("sha256")
        if name in listed and sha256 is not None and listed[name].sha256 == sha256:
            return listed[name]
        return Member(
            name=name,
            size_bytes=blob.size_bytes,
            sha256=sha256,
            state="done",
            version=unquote(blob.metadata.get("archive_version", "")),
            is_verified=sha256 is not None and blob.metadata.get("verified") == "yes",
        )

    def _begin(self, path: Path) -> int:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise not_written(path, error) from error
        # A line that a kill has torn ends here.
        torn = b"\n" if os.fstat(self._file).st_size else b""
        record = ArchiveRecord(name=self._archive, size_bytes=self._size_bytes, version=self.version, place=self.place)
        if self.previous is not None:  # what is known of this very file stays known after a kill
            record = replace(self.previous.archive, place=self.place, state="partial", where=None)
        self._append(self._file, torn + archive_line(record))
        return self._file

    def _append(self, file: int, data: bytes) -> None:
        try:
            num_bytes = os.write(file, data)
        except OSError as error:
            raise not_written(self._path, error) from error
        if num_bytes != len(data):
            raise not_written(self._path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _place_of(source: ByteSource) -> str:
    if not isinstance(source, FileSource):
        return ""  # a link is a credential
    return str(source.path.absolute() if isinstance(source.path, Path) else source.path)
