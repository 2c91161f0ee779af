"""A local folder that follows a prefix of blobs: what is there comes here, what is finished here goes there.

The folder lies in the cache and stays there, so that the same command again transfers only what changed. A file is
told from its blob by three states: as it is here, as the blob is, and as both were when they were last the same.
"""

import contextlib
import fcntl
import hashlib
import posixpath
import re
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor

from mrikit.errors import StorageError
from mrikit.storage.access import FileState, list_files, remove
from mrikit.storage.blob import blob_endpoint
from mrikit.storage.cache_folder import cache_folder
from mrikit.storage.ledger import Ledger
from mrikit.storage.local import is_temporary
from mrikit.storage.location import SCHEME, BlobPath
from mrikit.storage.twin import ConflictError, Twin, signature

Choose = Callable[[Collection[str]], Collection[str]]
"""Picks those of the names below a prefix that are needed here."""

_MIRRORS = "mirror"
_DIGEST_LENGTH = 12
_CONCURRENT_FILES = 8
_MOST_TRIES = 3


def everything(names: Collection[str]) -> Collection[str]:
    """All names."""
    return names


def nothing(_names: Collection[str]) -> Collection[str]:
    """No name."""
    return ()


def shown(value: object) -> str:
    """A text in which every path in a mirror is the `az://` location that it stands for."""
    text = str(value)
    if f"/{_MIRRORS}/" not in text:
        return text
    root = re.escape(str(cache_folder().resolve() / _MIRRORS))
    return re.sub(rf"{root}/[0-9a-f]{{{_DIGEST_LENGTH}}}/", SCHEME, text)


class Mirror:
    """A folder in the cache that stands for a prefix.

    Several processes of this machine may have the same one, or one inside another. Nothing of somebody else is ever
    overwritten or deleted: a blob is replaced only if it is the version that is known here.

    Args:
        path: The prefix.
        choose: Which blobs are needed here.
        is_passing: Whether files are only passing through: they are deleted here once they are there.
    """

    def __init__(self, path: BlobPath, choose: Choose = everything, *, is_passing: bool = False) -> None:
        # Laid out as the URIs are, so that one replacement turns any path into the URI, and mirrors may lie in mirrors.
        account = hashlib.sha256(blob_endpoint().encode()).hexdigest()[:_DIGEST_LENGTH]
        root = cache_folder().resolve() / _MIRRORS / account
        self.path = path
        self.folder = root / path.container / path.key
        self.names: frozenset[str] = frozenset()
        """Of all blobs below the prefix when it was last pulled."""
        self._choose, self._is_passing = choose, is_passing
        self._ledger = Ledger(root / ".ledger.sqlite")
        self._lock = root / ".locks" / hashlib.sha256(str(path).encode()).hexdigest()[:_DIGEST_LENGTH]
        self._seen: set[str] = set()  # here in the life of this object; only what it saw go is deleted there

    def pull(self) -> None:
        """Bring what is needed and is not here, or is another version there, and remove here what was removed there.

        Raises:
            ConflictError: A file was changed here and there.
            StorageError: Something cannot be read or written.
        """
        with self._alone():
            blobs = self._list()
            for _ in range(_MOST_TRIES):
                try:
                    self._pull_all(blobs)
                except ConflictError:
                    raise
                except StorageError:
                    # Somebody who writes there may have replaced or deleted what was listed.
                    before, blobs = blobs, self._list()
                    if blobs == before:
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
            files, known = self._files(), self._ledger.entries(self.path)
            self._seen |= files.keys()
            changed = [name for name, at in files.items() if name not in known or known[name].signature != at]
            for name in sorted(changed, key=lambda name: (files[name][1], name)):
                self._twin(name).upload()
                if self._is_passing:
                    self._drop(name)
            for name in sorted(known.keys() & self._seen - files.keys()):
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
        known = self._ledger.entries(self.path)
        return [name for name, at in self._files().items() if name not in known or known[name].signature != at]

    def _pull_all(self, blobs: dict[str, FileState]) -> None:
        known = self._ledger.entries(self.path)
        chosen = self._choose(blobs.keys())
        self._seen |= set(chosen)
        behind = [name for name in chosen if self._twin(name).is_behind(blobs[name], known.get(name))]
        with ThreadPoolExecutor(_CONCURRENT_FILES) as pool:
            for _ in pool.map(lambda name: self._twin(name).download(blobs[name]), behind):
                pass
        for name in known.keys() - blobs.keys():
            if signature(self.folder / name) == known[name].signature:
                remove(self.folder / name)
                self._ledger.forget(self.path / name)
                self._seen.discard(name)

    def _drop(self, name: str) -> None:
        """Delete a file here that is there now, unless it has changed again."""
        entry = self._ledger.entry(self.path / name)
        if entry and entry.signature == signature(self.folder / name):
            remove(self.folder / name)
            self._ledger.forget(self.path / name)
            self._seen.discard(name)

    def _twin(self, name: str) -> Twin:
        return Twin(self.folder / name, self.path / name, self._ledger)

    def _list(self) -> dict[str, FileState]:
        """All blobs below the prefix that can be files here.

        Raises:
            StorageError: The name of one would lead out of the folder.
        """
        # Where an account has real folders, they are listed as empty blobs.
        blobs = list_files(self.path)
        for name in blobs:
            if name != posixpath.normpath(name) or name.startswith(("../", "/")) or "\0" in name:
                raise StorageError(f"{self.path}: the blob {name!r} cannot be a file here; rename it")
        return {name: blob for name, blob in blobs.items() if not is_temporary(posixpath.basename(name))}

    def _files(self) -> dict[str, tuple[int, int]]:
        """Size and modification time of every finished file here."""
        found = list_files(self.folder).items()
        return {
            name: (state.size_bytes, state.version)
            for name, state in found
            if not is_temporary(posixpath.basename(name))
        }

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one thread of one process of this machine work at a time; the others find it done."""
        try:
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            file = self._lock.open("w")
        except OSError as error:
            raise StorageError(
                f"{self._lock}: cannot be written: {error.strerror}; set MRIKIT_CACHE to another folder"
            ) from error
        with file:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            yield
