"""Unpack archives as they come, or straight from their links."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from mrikit.errors import MrikitError
from mrikit.storage import BlobPath, Location, remove
from mrikit.transfer.catalogue import load_catalogue
from mrikit.transfer.copying.copied import copied_note
from mrikit.transfer.mail import MailArchive
from mrikit.transfer.results import CopyResult
from mrikit.transfer.source import FileSource, HttpSource
from mrikit.transfer.unpacking.manifest import list_manifests, read_manifest
from mrikit.transfer.unpacking.unpack import UnpackResult, UnpackSettings, unpack
from mrikit.transfer.unpacking.unpack_all import UnpackJob, unpack_all


class Unpacker:
    """Unpacks one archive after the other while others are still being copied, and deletes what is verified.

    Args:
        to: Where the archives are and their members go.
        digests: Published SHA256 by archive.
        say: Called with one line for each archive.
    """

    def __init__(self, to: Location, digests: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._to, self._digests, self._say = to, digests, say
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._futures: dict[str, Future[UnpackResult]] = {}

    def submit(self, result: CopyResult) -> None:
        """An archive is there."""
        if result.is_ok:
            self._futures[result.name] = self._pool.submit(self._unpack, result.name)

    def finish(self) -> dict[str, str]:
        """Wait for all.

        Returns:
            State by archive: `unpacked`, or what is wrong.
        """
        states: dict[str, str] = {}
        for name, future in self._futures.items():
            try:
                found = future.result()
                states[name] = "unpacked" if _is_settled(found) else describe(found)
            except MrikitError as error:
                states[name] = "failed"
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
            self._to,
            settings=UnpackSettings(),
            num_published=published_volumes(name),
            digest=self._digests.get(name),
            stop=self._stop,
        )
        if _is_settled(result):
            remove(self._to / name)
            if not isinstance(self._to, BlobPath):
                remove(copied_note(self._to, name))
        self._say(f"{name}: {describe(result)}")
        return result


def unpacked_before(to: Location, archives: Sequence[MailArchive]) -> set[str]:
    """Names of archives whose members are all in the folder, verified."""
    found = set(list_manifests(to))
    done = set()
    for one in archives:
        if one.name in found:
            manifest = read_manifest(to, one.name)
            if manifest.is_ok and manifest.archive.state == "whole":
                done.add(one.name)
    return done


def take_volumes(
    archives: Sequence[MailArchive],
    to: Location,
    num_volumes: int,
    *,
    at_once: int | None,
    say: Callable[[str], None],
) -> dict[str, str]:
    """The first volumes of each archive, straight from its link.

    Returns:
        State by archive: `unpacked`, or what is wrong.
    """
    sources = [HttpSource(one.link, name=one.name, on_retry=say) for one in archives]
    states: dict[str, str] = {}
    try:
        jobs = [UnpackJob(source=source) for source in sources]
        settings = UnpackSettings(num_volumes=num_volumes)
        for one, outcome in zip(archives, unpack_all(jobs, to, settings=settings, at_once=at_once), strict=True):
            if isinstance(outcome, MrikitError):
                states[one.name] = "failed"
                say(str(outcome) if one.name in str(outcome) else f"{one.name}: {outcome}")
            else:
                states[one.name] = "unpacked" if outcome.is_ok else describe(outcome)
                say(f"{one.name}: {describe(outcome)}")
    finally:
        for source in sources:
            source.close()
    return states


def published_volumes(name: str) -> int | None:
    """How many volumes an archive holds, where that is public."""
    listed = load_catalogue().find(name)
    return listed.num_volumes if listed else None


def describe(result: UnpackResult) -> str:
    """The three states of an unpacked archive, on one line."""
    archive = result.manifest.archive
    where = f" ({archive.where})" if archive.where and archive.state != "stopped" else ""
    return (
        f"{len(result.manifest.done)} members, {len(result.manifest.refused)} refused; archive {archive.state}{where}, "
        f"checksum {archive.checksum}, members {archive.completeness.state}"
    )


def _is_settled(result: UnpackResult) -> bool:
    return result.is_ok and result.manifest.archive.state == "whole"
