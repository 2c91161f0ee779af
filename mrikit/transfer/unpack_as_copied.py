"""Unpack archives as they come, or straight from their links."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from mrikit.errors import MrikitError
from mrikit.storage import BlobPath, Location, list_files, remove
from mrikit.transfer.catalogue import load_catalogue
from mrikit.transfer.copying.copied import copied_note
from mrikit.transfer.mail import MailArchive
from mrikit.transfer.results import ChecksumState, CopyResult
from mrikit.transfer.source import FileSource, HttpSource
from mrikit.transfer.unpacking.data_set_folder import below, member_folders
from mrikit.transfer.unpacking.manifest import list_manifests, read_manifest_if_any
from mrikit.transfer.unpacking.unpack import UnpackResult, UnpackSettings, unpack
from mrikit.transfer.unpacking.unpack_all import UnpackJob, unpack_all
from mrikit.words import counted


class Unpacked(NamedTuple):
    """What has become of an archive that was unpacked."""

    state: str
    """`unpacked`, or what is wrong."""
    checksum: ChecksumState | None = None
    """Whether its SHA256 is the published one; None if unpacking failed."""


class Unpacker:
    """Unpacks one archive after the other while others are still being copied, and deletes what is verified.

    Args:
        to: Where the archives are, and the folders of their data sets.
        digests: Published SHA256 by archive.
        say: Called with one line for each archive.
        memory_bytes: For blocks that are unpacked; None for what is usual.
    """

    def __init__(
        self, to: Location, digests: Mapping[str, str], say: Callable[[str], None], memory_bytes: int | None = None
    ) -> None:
        self._to, self._digests, self._say = to, digests, say
        self._settings = UnpackSettings() if memory_bytes is None else UnpackSettings(memory_bytes=memory_bytes)
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._futures: dict[str, Future[UnpackResult]] = {}
        self._unpacked: dict[str, Unpacked] = {}

    def submit(self, result: CopyResult) -> None:
        """An archive is there."""
        if result.is_unpacked:
            self._unpacked[result.name] = Unpacked("unpacked" if result.is_ok else "failed", result.checksum)
        elif result.is_ok:
            self._futures[result.name] = self._pool.submit(self._unpack, result.name)

    def finish(self) -> dict[str, Unpacked]:
        """Wait for all; what has become of each archive."""
        states = dict(self._unpacked)
        for name, future in self._futures.items():
            try:
                found = future.result()
                states[name] = _unpacked(found, is_good=found.is_settled)
            except MrikitError as error:
                states[name] = Unpacked("failed")
                self._say(str(error) if name in str(error) else f"{name}: {error}")
        self._pool.shutdown()
        return states

    def stop(self) -> None:
        """Stop soon; what is unpacked stays."""
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def _unpack(self, name: str) -> UnpackResult:
        result = unpack(
            FileSource(self._to / name),
            below(self._to, member_folders(self._to, [name])[name]),
            settings=self._settings,
            num_published=load_catalogue().num_volumes(name),
            digest=self._digests.get(name),
            stop=self._stop,
        )
        if result.is_settled:
            remove(self._to / name)
            if not isinstance(self._to, BlobPath):
                remove(copied_note(self._to, name))
        self._say(f"{name}: {describe(result)}")
        return result


def unpacked_before(to: Location, sizes: Mapping[str, int]) -> set[str]:
    """Names of archives whose members are all there, verified when they came and of their size now.

    Args:
        to: Where the members go, or the folders of their data sets.
        sizes: Of the archives as they are at their source, by name, bytes; 0 where that is unknown.
    """
    by_folder: dict[str, list[str]] = {}
    for name, folder in member_folders(to, sizes).items():
        by_folder.setdefault(folder, []).append(name)
    return {
        name
        for folder, names in by_folder.items()
        for name in _unpacked_there(below(to, folder), {name: sizes[name] for name in names})
    }


def _unpacked_there(folder: Location, sizes: Mapping[str, int]) -> set[str]:
    known = set(list_manifests(folder)).intersection(sizes)
    files = list_files(folder) if known else {}
    found = set()
    for name in known:
        manifest = read_manifest_if_any(folder, name)
        if manifest is None:
            continue  # one that is none is written anew
        is_same = sizes[name] in (0, manifest.archive.size_bytes)
        is_there = all(
            member.name in files and files[member.name].size_bytes == member.size_bytes for member in manifest.done
        )
        if manifest.is_ok and manifest.archive.state == "whole" and is_same and is_there:
            found.add(name)
    return found


def take_volumes(
    archives: Sequence[MailArchive],
    to: Location,
    num_volumes: int,
    *,
    digests: Mapping[str, str],
    at_once: int | None,
    say: Callable[[str], None],
) -> dict[str, Unpacked]:
    """The first volumes of each archive, straight from its link; what has become of it."""
    sources = [HttpSource(one.link, name=one.name, on_retry=say) for one in archives]
    states: dict[str, Unpacked] = {}
    try:
        folders = member_folders(to, [one.name for one in archives])
        jobs = [
            UnpackJob(source=source, digest=digests.get(source.name), folder=folders[source.name]) for source in sources
        ]
        settings = UnpackSettings(num_volumes=num_volumes)
        for one, outcome in zip(archives, unpack_all(jobs, to, settings=settings, at_once=at_once), strict=True):
            if isinstance(outcome, MrikitError):
                states[one.name] = Unpacked("failed")
                say(str(outcome) if one.name in str(outcome) else f"{one.name}: {outcome}")
            else:
                states[one.name] = _unpacked(outcome, is_good=outcome.is_ok)
                say(f"{one.name}: {describe(outcome)}")
    finally:
        for source in sources:
            source.close()
    return states


def describe(result: UnpackResult) -> str:
    """The three states of an unpacked archive, on one line."""
    archive = result.manifest.archive
    where = f" ({archive.where})" if archive.where and archive.state != "stopped" else ""
    members = f"{counted(len(result.manifest.done), 'member')}, {len(result.manifest.refused)} refused"
    return (
        f"{members}; archive {archive.state}{where}, checksum {archive.checksum}, members {archive.completeness.state}"
    )


def _unpacked(result: UnpackResult, *, is_good: bool) -> Unpacked:
    return Unpacked("unpacked" if is_good else describe(result), result.manifest.archive.checksum)
