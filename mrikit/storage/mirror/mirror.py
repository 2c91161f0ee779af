"""A local folder that follows a prefix of blobs: what is there comes here, what is finished here goes there.

The folder lies in the cache and stays there, so that the same command again transfers only what changed. A file is
told from its blob by three states: as it is here, as the blob is, and as both were when they were last the same.
"""

import contextlib
import hashlib
import posixpath
import re
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from mrikit.errors import StorageError
from mrikit.storage.access import list_files, remove
from mrikit.storage.blob import blob_endpoint
from mrikit.storage.cache_folder import cache_folder
from mrikit.storage.local import is_temporary
from mrikit.storage.location import SCHEME, BlobPath
from mrikit.storage.lock import alone
from mrikit.storage.mirror.choose import Choose, everything, nothing
from mrikit.storage.mirror.folder_identity import HeldFolder
from mrikit.storage.mirror.ledger import Entry, Ledger
from mrikit.storage.mirror.mirrored_file import ConflictError, Twin, is_other, is_pending, signature
from mrikit.storage.state import FileState

_MIRRORS = "mirror"
_DIGEST_LENGTH = 12
_CONCURRENT_FILES = 8
_MOST_TRIES = 3
_SETTLE_S = 0.5
_MOST_NAMES = 20  # in a message


def shown(value: object) -> str:
    """A text in which every path in a mirror is the `az://` location that it stands for."""
    text = str(value)
    if f"/{_MIRRORS}/" not in text:
        return text
    root = re.escape(str(cache_folder().resolve() / _MIRRORS))
    return re.sub(rf"{root}/[0-9a-f]{{{_DIGEST_LENGTH}}}/(?=[a-z0-9])", SCHEME, text)


class Mirror:
    """A folder in the cache that stands for a prefix.

    Several processes of this machine may have the same one, or one inside another. A blob is replaced only if it is
    the version that is known here, and deleted only if it is that and its file went away while this object looked on.

    Args:
        path: The prefix.
        choose: Which blobs are needed here.
        writes: Which files may be brought there.
        leads: Which files show, by being another version there than is known, that the work was carried on elsewhere;
            what was not brought there before does not belong to it then.
        is_passing: Whether files are only passing through: they are deleted here once they are there.
    """

    def __init__(
        self,
        path: BlobPath,
        choose: Choose = everything,
        *,
        writes: Choose = everything,
        leads: Choose = nothing,
        is_passing: bool = False,
    ) -> None:
        # Laid out as the URIs are, so that one replacement turns any path into the URI, and mirrors may lie in mirrors.
        account = hashlib.sha256(blob_endpoint().encode()).hexdigest()[:_DIGEST_LENGTH]
        root = cache_folder().resolve() / _MIRRORS / account
        self.path = path
        self.folder = root / path.container / path.key
        self.names: frozenset[str] = frozenset()
        """Of all blobs below the prefix when it was last pulled."""
        self._choose, self._writes, self._leads, self._is_passing = choose, writes, leads, is_passing
        self._ledger = Ledger(root / ".ledger.sqlite")
        self._lock = root / ".locks" / hashlib.sha256(str(path).encode()).hexdigest()[:_DIGEST_LENGTH]
        self._seen: set[str] = set()  # here in the life of this object; only what it saw go is deleted there
        self._held = HeldFolder(self.folder)  # where they were seen

    def pull(self) -> None:
        """Bring what is needed and is not here, or is another version there, and remove here what was removed there.

        Raises:
            ConflictError: A file that may be brought there was changed here and there, or work that this machine has a
                part of was carried on elsewhere.
            StorageError: Something cannot be read or written.
        """
        with self._alone():
            for _ in range(_MOST_TRIES):
                # In this order: what others on this machine bring there after the listing is not taken for deleted.
                known = self._ledger.entries(self.path)
                blobs = self._list()
                try:
                    self._pull_all(blobs, known)
                except ConflictError:
                    raise
                except StorageError:
                    # Somebody who writes there may have replaced or deleted what was listed.
                    if blobs == self._list():
                        raise
                else:
                    break
            else:
                raise StorageError(f"{self.path}: changes faster than it can be read; try again later")
            self.names = frozenset(blobs)

    def push(self) -> None:
        """Bring there every finished file that changed, in the order in which they were finished, then delete there
        what was deleted here.

        Raises:
            ConflictError: Somebody else changed what is to be replaced.
            StorageError: Something cannot be read or written; what was finished later waits too.
        """  # noqa: D205 - one sentence
        with self._alone():
            self._forget_cleared()
            files, known = self._files(), self._ledger.entries(self.path)
            self._seen |= files.keys()
            changed = self._changed(files, known)
            for name in sorted(changed, key=lambda name: (files[name][1], name)):
                try:
                    self._twin(name).upload()
                except ConflictError as error:
                    raise self._conflict([name]) from error
                if self._is_passing:
                    self._drop(name)
            gone = sorted(self._writes(known.keys() & self._seen - files.keys()))
            if gone:
                time.sleep(_SETTLE_S)  # who clears the cache right now is done then
            for name in gone:
                if self._is_deleted(name):
                    self._twin(name).remove_blob(known[name])
            self._seen &= files.keys()

    def sync(self) -> None:
        """Pull, then push.

        Raises:
            ConflictError: A file was changed here and there.
            StorageError: Something cannot be read or written.
        """
        self.pull()
        self.push()

    def unpushed(self) -> list[str]:
        """Names of the files that are here only, or newer here."""
        return self._changed(self._files(), self._ledger.entries(self.path))

    def _changed(self, files: dict[str, tuple[int, int]], known: dict[str, Entry]) -> list[str]:
        names = [name for name, at in files.items() if name not in known or known[name].signature != at]
        return list(self._writes(names))

    def _pull_all(self, blobs: dict[str, FileState], known: dict[str, Entry]) -> None:
        chosen = self._choose(blobs.keys())
        for name in chosen:
            _require_file_name(self.path, name)
        self._require_own_work(blobs, known)
        behind, conflicts = [], []
        for name in chosen:
            try:
                if self._twin(name).is_behind(blobs[name], known.get(name)):
                    behind.append(name)
            except ConflictError:
                conflicts.append(name)
        if self._writes(conflicts):
            raise self._conflict(conflicts)
        if conflicts:
            warnings.warn(
                f"{self.path}: {_listed(conflicts)} changed here and there; they are read as they are here",
                stacklevel=2,
            )
        self._download({name: blobs[name] for name in behind})
        if self._is_passing:  # what a killed process could not delete any more
            for name in (known.keys() & blobs.keys()) - set(chosen):
                self._drop(name)
        self._forget_cleared()
        self._seen |= set(chosen)
        for name in known.keys() - blobs.keys():
            if signature(self.folder / name) == known[name].signature:
                remove(self.folder / name)
                self._ledger.forget(self.path / name, known[name].version)
                self._seen.discard(name)

    def _download(self, blobs: dict[str, FileState]) -> None:
        done: dict[BlobPath, Entry] = {}
        try:
            with ThreadPoolExecutor(_CONCURRENT_FILES) as pool:
                entries = pool.map(lambda name: self._twin(name).download(blobs[name]), blobs)
                done.update((self.path / name, entry) for name, entry in zip(blobs, entries, strict=True))
        finally:
            if done:
                self._ledger.note_all(done)

    def _require_own_work(self, blobs: dict[str, FileState], known: dict[str, Entry]) -> None:
        """Stop before what a killed command left here joins work that went on elsewhere since.

        Raises:
            ConflictError: It would.
        """
        common = known.keys() & blobs.keys()
        moved = sorted(name for name in self._leads(common) if is_other(blobs[name], known[name]))
        beside = tuple(posixpath.join(posixpath.dirname(name), "") for name in moved)
        left = [name for name in self._changed(self._files(), known) if name.startswith(beside)] if moved else []
        mixed = [name for name in left if name not in common or not is_pending(blobs[name], known[name])]
        if mixed:
            raise ConflictError(
                f"{self.path}: the work there was carried on elsewhere ({_listed(moved)}), and {_listed(mixed)} of "
                f"this machine would be mixed with it; {self._way_out()}"
            )

    def _conflict(self, names: Sequence[str]) -> ConflictError:
        return ConflictError(
            f"{self.path / names[0]}: changed by someone else since, so it is not overwritten"
            f"{f', and so were {_listed(names[1:])}' if names[1:] else ''}; is another process writing to {self.path}? "
            f"{self._way_out()}"
        )

    def _way_out(self) -> str:
        # In two parts, because a whole path would be shown as the location that it stands for.
        place = self.folder.relative_to(cache_folder().resolve())
        return (
            f"What was made here is kept: move the folder {place} in {cache_folder()} away, and the same command goes "
            f"on from what is there"
        )

    def _forget_cleared(self) -> None:
        """Who clears the cache deletes nothing at the location: what was seen in the folder before does not count."""
        if not self._held.renew():
            self._seen.clear()

    def _is_deleted(self, name: str) -> bool:
        """Whether a missing file was deleted by itself, not with everything around it."""
        return (self.folder / name).parent.is_dir() and self._held.is_same()

    def _drop(self, name: str) -> None:
        """Delete a file here that is there now, unless it has changed again."""
        entry = self._ledger.entry(self.path / name)
        if entry and entry.signature == signature(self.folder / name):
            remove(self.folder / name)
            self._ledger.forget(self.path / name, entry.version)
            self._seen.discard(name)

    def _twin(self, name: str) -> Twin:
        return Twin(self.folder / name, self.path / name, self._ledger)

    def _list(self) -> dict[str, FileState]:
        """All blobs below the prefix but what stands for a folder, as some programs write it: `name/` with nothing."""
        return {
            name: blob
            for name, blob in list_files(self.path).items()
            if not _is_temporary(name) and (blob.size_bytes or not name.endswith("/"))
        }

    def _files(self) -> dict[str, tuple[int, int]]:
        """Size and modification time of every finished file here."""
        found = list_files(self.folder).items()
        return {name: (state.size_bytes, state.version) for name, state in found if not _is_temporary(name)}

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one thread of one process of this machine work at a time; the others find it done."""
        with alone(self._lock, "set MRIKIT_CACHE to another folder"):
            yield


def _require_file_name(prefix: BlobPath, name: str) -> None:
    if name != posixpath.normpath(name) or name.startswith(("../", "/")) or "\0" in name:
        raise StorageError(f"{prefix}: the blob {name!r} cannot be a file here; rename it")


def _is_temporary(name: str) -> bool:
    return is_temporary(posixpath.basename(name))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if names[_MOST_NAMES:] else ""
    return f"{', '.join(names[:_MOST_NAMES])}{more}"
