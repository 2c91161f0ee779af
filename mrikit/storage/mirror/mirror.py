"""Two-way sync between a cache folder and a blob prefix.

A blob is replaced or deleted only while its ETag is the one that was pulled or pushed last. So nobody's work is
overwritten, and what did not change is not transferred again.
"""

import contextlib
import hashlib
import os
import posixpath
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import BinaryIO

from mrikit.errors import StorageError
from mrikit.storage.access import file_state, list_files, read_range, remove, write_stream
from mrikit.storage.blob import blob_endpoint, is_changed
from mrikit.storage.cache_folder import cache_folder
from mrikit.storage.local import atomic_path, is_temporary
from mrikit.storage.location import BlobPath
from mrikit.storage.lock import alone
from mrikit.storage.mirror.versions import Synced, Versions
from mrikit.storage.state import NOT_THERE, FileState

MIRRORS = "mirror"
"""Folder of all mirrors, in the cache folder."""
DIGEST_LENGTH = 12
"""Of the name of an account's folder in it."""
_OTHER_CACHE = "set MRIKIT_CACHE to another folder"
_CHUNK_BYTES = 8 * 2**20
_CONCURRENT_FILES = 8
_MOST_TRIES = 3
_SETTLE_S = 0.5
_MOST_NAMES = 20  # in a message

Choose = Callable[[Collection[str]], Collection[str]]
"""Picks some of the names below a prefix."""


class ConflictError(StorageError):
    """Somebody else wrote what was to be replaced."""


def everything(names: Collection[str]) -> Collection[str]:
    """All names."""
    return names


class Mirror:
    """A cache folder that stands for a prefix; several processes of this machine may share it.

    Args:
        path: The prefix.
        choose: Which blobs are needed here.
        writes: Which files may be uploaded or deleted there.
        history: Name of a file that grows whenever the work goes on. If another machine has changed it, files beside it
            that were not uploaded from here are refused.
        is_passing: Whether to delete files here once they are uploaded.
    """

    def __init__(
        self,
        path: BlobPath,
        choose: Choose = everything,
        *,
        writes: Choose = everything,
        history: str = "",
        is_passing: bool = False,
    ) -> None:
        # Laid out as the URIs are, so that one replacement turns any path into its URI, and mirrors may lie in mirrors.
        account = hashlib.sha256(blob_endpoint(path.container).encode()).hexdigest()[:DIGEST_LENGTH]
        self._root = cache_folder().resolve() / MIRRORS / account
        self.path = path
        self.folder = self._root / path.container / path.key
        self.names: frozenset[str] = frozenset()
        """Of all blobs below the prefix at the last pull."""
        self._choose, self._writes, self._history, self._is_passing = choose, writes, history, is_passing
        self._versions = Versions(self._root / ".versions.sqlite")
        self._lock = self._root / ".locks" / hashlib.sha256(str(path).encode()).hexdigest()[:DIGEST_LENGTH]
        self._seen: set[str] = set()  # only what this object saw here and then missed is deleted there

    def pull(self) -> None:
        """Download what is missing or older here, and delete here what was deleted there.

        Raises:
            ConflictError: Somebody else changed what was changed here, or continued the run.
            StorageError: Something cannot be read or written.
        """
        with alone(self._lock, _OTHER_CACHE):
            for number in range(1, _MOST_TRIES + 1):
                # Known files are looked up before the listing: what another process uploads meanwhile is not missed.
                synced, blobs = self._versions.below(self.path), self._list()
                try:
                    self._pull(blobs, synced)
                except StorageError:
                    # A writer on another machine may have replaced or deleted what was listed.
                    if number == _MOST_TRIES or blobs == self._list():
                        raise
                else:
                    break
            self.names = frozenset(blobs)

    def push(self) -> None:
        """Upload every finished file that changed, oldest first; then delete there what was deleted here.

        Raises:
            ConflictError: Somebody else wrote what is to be replaced.
            StorageError: Something cannot be read or written; later files wait, too.
        """
        with alone(self._lock, _OTHER_CACHE):
            files, synced = self._files(), self._versions.below(self.path)
            gone = self._writes(synced.keys() & self._seen - files.keys())
            self._seen |= files.keys()
            for name in sorted(self._changed(files, synced), key=lambda name: (files[name][1], name)):
                self._upload(name, synced.get(name))
            if gone:
                self._delete_there(gone)
            self._seen = set(files)

    def sync(self) -> None:
        """Pull, then push; see there for what they raise."""
        self.pull()
        self.push()

    def unpushed(self) -> list[str]:
        """Names of the files that are here only, or newer here."""
        return self._changed(self._files(), self._versions.below(self.path))

    def _pull(self, blobs: dict[str, FileState], synced: dict[str, Synced]) -> None:
        chosen = sorted(self._choose(blobs.keys()))
        for name in chosen:
            if name != posixpath.normpath(name) or name.startswith(("../", "/")) or "\0" in name:
                raise StorageError(f"{self.path}: the blob {name!r} cannot be a file here; rename it")
        files = self._files()
        same = {name for name, one in synced.items() if files.get(name) == one[1:]}
        self._require_own_history(blobs, synced, self._changed(files, synced))
        others = {name for name in chosen if name not in synced or synced[name].version != blobs[name].version}
        # A process that was killed, or works beside this one, may not have noted the ETag of what it wrote.
        unknown = sorted(name for name in others & files.keys() - same if not self._is_ours(blobs[name]))
        equal = [name for name in unknown if self._has_content(name, blobs[name])]
        if conflicts := [name for name in unknown if name not in equal]:
            raise self._conflict(conflicts)
        self._versions.note(self.path, {name: Synced(blobs[name].version, *files[name]) for name in equal})
        self._download({name: blobs[name] for name in chosen if name not in files or name in same & others})
        self._seen |= set(chosen)
        deleted = synced.keys() - blobs.keys()
        uploaded = same & blobs.keys() - set(chosen) if self._is_passing else set()  # a killed process left them
        for name in (deleted & same) | uploaded:
            remove(self.folder / name)
        self._versions.note(self.path, dict.fromkeys(deleted | uploaded))

    def _require_own_history(self, blobs: dict[str, FileState], synced: dict[str, Synced], left: Sequence[str]) -> None:
        """Stop before files of a killed process join a run that another machine continued."""
        for name in synced.keys() & blobs.keys():
            is_newer = blobs[name].version != synced[name].version and not self._is_ours(blobs[name])
            if posixpath.basename(name) == self._history and is_newer:
                folder = name.removesuffix(self._history)
                mixed = [other for other in left if other.startswith(folder)]
                if mixed:
                    raise ConflictError(
                        f"{self.path}: another machine continued this run ({name} changed), and {_listed(mixed)} of "
                        f"this machine would be mixed with it; {self._way_out()}"
                    )

    def _download(self, blobs: dict[str, FileState]) -> None:
        num_bytes = sum(blob.size_bytes for blob in blobs.values())
        if num_bytes > shutil.disk_usage(self._root).free:
            raise StorageError(
                f"{self.path}: {num_bytes} bytes do not fit on the disk of {cache_folder()}; free some space, or "
                f"set MRIKIT_CACHE to a folder on another disk"
            )
        done: dict[str, Synced] = {}
        try:
            with ThreadPoolExecutor(_CONCURRENT_FILES) as pool:
                done.update(zip(blobs, pool.map(self._download_one, blobs, blobs.values()), strict=True))
        finally:
            self._versions.note(self.path, done)  # also what came before an error

    def _download_one(self, name: str, blob: FileState) -> Synced:
        path = self.folder / name
        with atomic_path(path, blob.size_bytes) as temporary, temporary.open("wb") as file:
            for chunk in self._read(name, blob):
                file.write(chunk)
        return Synced(blob.version, blob.size_bytes, path.stat().st_mtime_ns)

    def _upload(self, name: str, synced: Synced | None) -> None:
        """Upload a file as it is now; one that is gone is for the next push."""
        with contextlib.suppress(FileNotFoundError), (self.folder / name).open("rb") as file:
            status = os.fstat(file.fileno())
            version = self._replace(name, file, status.st_size, synced.version if synced else NOT_THERE)
            done = Synced(version, status.st_size, status.st_mtime_ns)
            is_dropped = self._is_passing and (self.folder / name).stat().st_mtime_ns == done.mtime_ns
            if is_dropped:
                remove(self.folder / name)
            self._versions.note(self.path, {name: None if is_dropped else done})

    def _replace(self, name: str, file: BinaryIO, size_bytes: int, version: int) -> int:
        """Write a blob in the place of a version; the ETag that it has then."""
        for _ in range(_MOST_TRIES):
            try:
                chunks, writer = _chunks(file, size_bytes), {"writer": self._writer}
                return write_stream(self.path / name, chunks, metadata=writer, if_version=version).version
            except StorageError as error:
                if not is_changed(error.__cause__):
                    raise
            blob = file_state(self.path / name)
            if blob is None:
                version = NOT_THERE  # deleted by somebody else: nothing is overwritten
            elif self._is_ours(blob):
                version = blob.version
            elif self._has_content(name, blob):
                return blob.version
            else:
                break
        raise self._conflict([name])

    def _is_ours(self, blob: FileState) -> bool:
        return blob.metadata.get("writer") == self._writer

    def _has_content(self, name: str, blob: FileState) -> bool:
        with contextlib.suppress(FileNotFoundError), (self.folder / name).open("rb") as file:
            is_same_size = os.fstat(file.fileno()).st_size == blob.size_bytes
            return is_same_size and all(chunk == file.read(len(chunk)) for chunk in self._read(name, blob))
        return False

    def _delete_there(self, names: Collection[str]) -> None:
        time.sleep(_SETTLE_S)  # `rm -r` of the cache has then removed this folder or the database
        synced = self._versions.below(self.path)
        for name in sorted(synced.keys() & set(names)):
            if self.folder.is_dir() and not (self.folder / name).exists():
                try:
                    remove(self.path / name, if_version=synced[name].version)
                except StorageError as error:
                    if not is_changed(error.__cause__):
                        raise
                self._versions.note(self.path, {name: None})

    def _changed(self, files: dict[str, tuple[int, int]], synced: dict[str, Synced]) -> list[str]:
        return list(self._writes([name for name in files if name not in synced or files[name] != synced[name][1:]]))

    def _conflict(self, names: Sequence[str]) -> ConflictError:
        others = f", and so were {_listed(names[1:])}" if names[1:] else ""
        return ConflictError(
            f"{self.path / names[0]}: changed by someone else since, so it is not overwritten{others}; is another "
            f"process writing to {self.path}? {self._way_out()}"
        )

    def _way_out(self) -> str:
        # In two parts, because a whole path would be shown as the location that it stands for.
        place = self.folder.relative_to(cache_folder().resolve())
        return (
            f"What was made here is kept: move the folder {place} in {cache_folder()} away, and the same command "
            f"resumes from what is there"
        )

    @cached_property
    def _writer(self) -> str:
        """Identity of this cache folder, noted on each blob that is written from it."""
        link = self._root / ".writer"
        with contextlib.suppress(FileExistsError):  # a link, because it is made whole or not at all
            link.symlink_to(uuid.uuid4().hex)
        return str(link.readlink())

    def _read(self, name: str, blob: FileState) -> Iterator[bytes]:
        for start in range(0, blob.size_bytes, _CHUNK_BYTES):
            count = min(_CHUNK_BYTES, blob.size_bytes - start)
            yield read_range(self.path / name, start, count, if_version=blob.version)

    def _list(self) -> dict[str, FileState]:
        """All finished blobs; without the empty `name/` that some programs write for a folder."""
        found = list_files(self.path).items()
        return {name: blob for name, blob in found if blob.size_bytes or not name.endswith("/")}

    def _files(self) -> dict[str, tuple[int, int]]:
        """Size and modification time of every finished file here."""
        found = list_files(self.folder).items()
        finished = {name: state for name, state in found if not is_temporary(posixpath.basename(name))}
        return {name: (state.size_bytes, state.version) for name, state in finished.items()}


def _chunks(file: BinaryIO, size_bytes: int) -> Iterator[bytes]:
    """The first bytes of a file that may be growing."""
    file.seek(0)
    while size_bytes > 0 and (chunk := file.read(min(_CHUNK_BYTES, size_bytes))):
        size_bytes -= len(chunk)
        yield chunk


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if names[_MOST_NAMES:] else ""
    return f"{', '.join(names[:_MOST_NAMES])}{more}"
