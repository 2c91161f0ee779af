"""Folders that commands work in, wherever they lie."""

import contextlib
import re
import threading
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from mrikit.errors import MrikitError, StorageError
from mrikit.storage.access import file_state
from mrikit.storage.blob import is_refused
from mrikit.storage.cache_folder import cache_folder
from mrikit.storage.location import SCHEME, BlobPath, Location
from mrikit.storage.mirror.mirror import DIGEST_LENGTH, MIRRORS, Choose, ConflictError, Mirror, everything

_SECONDS_BETWEEN_PUSHES = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A folder that a command works in: a local one, or the mirror of an `az://` location."""

    folder: Path
    """Read and write here."""
    names: frozenset[str] = frozenset()
    """All that was at an `az://` location at the start, pulled or not."""
    sync: Callable[[], None] = lambda: None
    """Pull and push now, where several machines have to agree."""
    check: Callable[[], None] = lambda: None
    """Raise what keeps files from the location for good; call it now and then in long work."""


def nothing(_names: Collection[str]) -> Collection[str]:
    """No name."""
    return ()


def only(*chosen: str) -> Choose:
    """Names in this list."""
    return lambda names: set(chosen) & set(names)


@contextlib.contextmanager
def mirrored(
    location: Location,
    choose: Choose = everything,
    *,
    writes: Choose = everything,
    history: str = "",
    is_passing: bool = False,
) -> Iterator[Place]:
    """The folder of a location; what is written to an `az://` one is uploaded while the block runs and at its end.

    Args:
        location: Of a folder.
        choose: Which of its files are needed.
        writes: Which files may be uploaded or deleted there; with `nothing` the block only reads.
        history: See `Mirror`.
        is_passing: Whether to delete files here once they are uploaded.

    Raises:
        ConflictError: Somebody else writes to the location.
        StorageError: It cannot be read or written; the message says what is not there yet.
    """
    if not isinstance(location, BlobPath):
        yield Place(folder=location)
        return
    mirror = Mirror(location, choose, writes=writes, history=history, is_passing=is_passing)
    mirror.pull()
    if writes is nothing:
        with named_as_locations():
            yield Place(folder=mirror.folder, names=mirror.names)
        return
    if writes is everything:  # a run that cannot start removes the folders that it made, but not this one
        mirror.folder.mkdir(parents=True, exist_ok=True)
    pushes = _Pushes(mirror)
    try:
        with named_as_locations():
            yield Place(folder=mirror.folder, names=mirror.names, sync=mirror.sync, check=pushes.check)
    except BaseException as error:
        failure = pushes.finish()
        if failure and failure is not error:  # the first error is the one to tell
            warnings.warn(str(failure), stacklevel=3)
        raise
    if failure := pushes.finish():
        raise failure


def pulled(location: Location, choose: Choose = everything) -> Path:
    """A file or folder to read: a local one, or what `choose` picks of an `az://` one, downloaded.

    Raises:
        StorageError: Nothing is there, or it cannot be read.
    """
    if not isinstance(location, BlobPath):
        return location
    is_file = bool(location.key) and file_state(location) is not None
    mirror = Mirror(*((location.parent, only(location.name)) if is_file else (location, choose)), writes=nothing)
    mirror.pull()
    if not mirror.names:
        raise StorageError(f"{location}: there is nothing at this location")
    return mirror.folder / location.name if is_file else mirror.folder


@contextlib.contextmanager
def named_as_locations() -> Iterator[None]:
    """Let errors of the block name `az://` locations, not their mirrors."""
    try:
        yield
    except MrikitError as error:
        error.args = tuple(shown(part) if isinstance(part, str) else part for part in error.args)
        raise


def shown(value: object) -> str:
    """A text in which every path in a mirror is the `az://` location that it stands for."""
    text = str(value)
    if f"/{MIRRORS}/" not in text:
        return text
    root = re.escape(str(cache_folder().resolve() / MIRRORS))
    return re.sub(rf"{root}/[0-9a-f]{{{DIGEST_LENGTH}}}/(?=[a-z0-9])", SCHEME, text)


class _Pushes:
    """Pushes a mirror from a thread, every few seconds, until it is finished."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._error: Exception | None = None
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"mrikit-{mirror.path}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise the error that does not go away by waiting.

        Raises:
            ConflictError: Somebody else writes to the location.
            StorageError: The container is gone, or access to it is refused.
        """
        if (error := self._error) and _is_final(error):
            raise error

    def finish(self) -> Exception | None:
        """Push what is left; the error that kept something from getting there."""
        self._is_done.set()
        self._thread.join()
        if not isinstance(self._error, ConflictError):
            self._push()
        if isinstance(self._error, ConflictError) or not isinstance(self._error, StorageError):
            return self._error
        first, *others = self._mirror.unpushed() or ["what was deleted"]
        more = f" and {len(others)} other files" if others else ""
        return StorageError(
            f"{self._error}; not at {self._mirror.path} yet: {first}{more}; the same command uploads them"
        )

    def _work(self) -> None:
        # A network error may pass, but who overwrote something will not take it back.
        has_failed = False
        while not self._is_done.wait(_SECONDS_BETWEEN_PUSHES) and not isinstance(self._error, ConflictError):
            self._push()
            error = self._error
            if (error and _is_final(error)) or (error is not None) == has_failed:
                continue
            has_failed = not has_failed
            again = f"{self._mirror.path}: reached again; everything that was made so far is there"
            warnings.warn(f"{error}; the work goes on, and mrikit tries again" if error else again, stacklevel=1)

    def _push(self) -> None:
        error: Exception | None = None
        try:
            self._mirror.push()
        except Exception as failure:  # noqa: BLE001 - told in the thread that works, by `check` or at the end
            error = failure
        self._error = error


def _is_final(error: Exception) -> bool:
    return isinstance(error, ConflictError) or is_refused(error.__cause__)
