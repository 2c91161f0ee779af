"""Folders for commands, wherever a location is: a local one as it is, of an `az://` one its mirror while it is used."""

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mrikit.errors import MrikitError, StorageError
from mrikit.storage.access import file_state
from mrikit.storage.blob import is_refused
from mrikit.storage.location import BlobPath, Location
from mrikit.storage.mirror.choose import Choose, everything, nothing, only
from mrikit.storage.mirror.mirror import Mirror, shown
from mrikit.storage.mirror.mirrored_file import ConflictError

_SECONDS_BETWEEN_PUSHES = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A folder that a command works in, and what there is to do where it is the mirror of an `az://` location."""

    folder: Path
    """Read and write here."""
    is_mirror: bool = False
    """Whether it is one; a file that is deleted in one is deleted at the location, unless its folder goes too."""
    names: frozenset[str] = field(default=frozenset())
    """Of everything that was at an `az://` location at first, also where it was not brought here."""
    sync: Callable[[], None] = lambda: None
    """Makes mirror and location alike; where several machines have a mirror each, call it where they have to agree."""
    check: Callable[[], None] = lambda: None
    """Raises what keeps files from the location for good: that somebody else writes there too, that the container is
    gone, that access is refused; call it now and then in long work."""


@contextlib.contextmanager
def mirrored(
    location: Location,
    choose: Choose = everything,
    *,
    writes: Choose = everything,
    leads: Choose = nothing,
    is_passing: bool = False,
) -> Iterator[Place]:
    """A folder for what is written to a location: itself, or the mirror of an `az://` one.

    A mirror first gets what `choose` picks. While the block runs, and at its end also after an error, every finished
    file that `writes` picks is pushed to the location. What a killed process could not push, the next one does.

    Args:
        location: Of a folder.
        choose: Which of its files are needed.
        writes: Which files may be brought there; with `nothing` the block only looks.
        leads: Which files show, once others there have changed them, that what was not pushed is of no use any more.
        is_passing: Whether to delete files here once they are there.

    Raises:
        ConflictError: Somebody else writes to the location.
        StorageError: It cannot be read or written; the message says what is not there yet.
    """
    if not isinstance(location, BlobPath):
        yield Place(folder=location)
        return
    mirror = Mirror(location, choose, writes=writes, leads=leads, is_passing=is_passing)
    mirror.pull()
    if writes is nothing:
        with named_as_locations():
            yield Place(folder=mirror.folder, is_mirror=True, names=mirror.names)
        return
    follower = _Follower(mirror)
    try:
        with named_as_locations():
            yield Place(
                folder=mirror.folder, is_mirror=True, names=mirror.names, sync=mirror.sync, check=follower.check
            )
    except BaseException as error:
        failure = follower.finish()
        if failure and failure is not error:  # the first error is the one to tell
            warnings.warn(str(failure), stacklevel=3)
        raise
    failure = follower.finish()
    if failure:
        raise failure


def pulled(location: Location, choose: Choose = everything) -> Path:
    """A file or folder that is only read: itself, or what `choose` picks of an `az://` one, brought here.

    Raises:
        StorageError: Nothing is there, or it cannot be read.
    """
    if not isinstance(location, BlobPath):
        return location
    if location.key and file_state(location):
        above = Mirror(location.parent, only(location.name), writes=nothing)
        above.pull()
        return above.folder / location.name
    mirror = Mirror(location, choose, writes=nothing)
    mirror.pull()
    if not mirror.names:
        raise StorageError(f"{location}: there is nothing at this location")
    return mirror.folder


@contextlib.contextmanager
def named_as_locations() -> Iterator[None]:
    """Let errors of the block name the `az://` locations that they are about, not the mirrors of these."""
    try:
        yield
    except MrikitError as error:
        error.args = tuple(shown(part) if isinstance(part, str) else part for part in error.args)
        raise


class _Follower:
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
        error = self._error
        if error and _is_final(error):
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
            f"{self._error}; not at {self._mirror.path} yet: {first}{more}; the same command brings them there"
        )

    def _work(self) -> None:
        # What fails for now may work the next time, but who overwrote something will not take it back.
        has_failed = False
        while not self._is_done.wait(_SECONDS_BETWEEN_PUSHES) and not isinstance(self._error, ConflictError):
            self._push()
            error = self._error
            if (error and _is_final(error)) or (error is not None) == has_failed:
                continue
            has_failed = not has_failed
            again = f"{self._mirror.path}: reached again; everything that was made so far is there"
            warnings.warn(f"{error}; the work goes on, and this is tried again" if error else again, stacklevel=1)

    def _push(self) -> None:
        error: Exception | None = None
        try:
            self._mirror.push()
        except Exception as failure:  # noqa: BLE001 - told in the thread that works, by `check` or at the end
            error = failure
        self._error = error


def _is_final(error: Exception) -> bool:
    return isinstance(error, ConflictError) or is_refused(error.__cause__)
