"""Several archives at once on several cores."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from mrikit.errors import ConfigError, MrikitError
from mrikit.storage import Location
from mrikit.transfer.source import ByteSource
from mrikit.transfer.unpacking.claims import Claims
from mrikit.transfer.unpacking.data_set_folder import below
from mrikit.transfer.unpacking.unpack import UnpackEvent, UnpackResult, UnpackSettings, unpack


@dataclass(frozen=True, kw_only=True, slots=True)
class UnpackJob:
    """An archive to unpack."""

    source: ByteSource
    """The archive."""
    published: tuple[str, ...] | None = None
    """Names of all its volumes, if a list is published."""
    num_published: int | None = None
    """How many volumes it has, if only that is published."""
    digest: str | None = None
    """The published SHA256, hex."""
    folder: str = ""
    """Where its members go, below the folder of all archives; empty for that itself."""


Outcome = UnpackResult | MrikitError
"""What has become of an archive, or why nothing."""


def unpack_all(
    jobs: Sequence[UnpackJob],
    to: Location,
    *,
    settings: UnpackSettings,
    at_once: int | None = None,
    on_event: Callable[[UnpackEvent], None] = lambda _event: None,
    on_outcome: Callable[[UnpackJob, Outcome], None] = lambda _job, _outcome: None,
) -> list[Outcome]:
    """Unpack archives below one folder; one that fails does not keep the others from going on.

    Threads are enough: decoding, digests, reading and writing all let go of Python's lock.

    Args:
        jobs: The archives.
        to: Folder for all members, or for the folders of their data sets.
        settings: How; threads and memory are shared by all archives.
        at_once: How many archives at a time; as many as there are processors by default.
        on_event: Called as they go on, from several threads.
        on_outcome: Called when one is over, from several threads; what it raises is the outcome then.

    Returns:
        What has become of each, in the order of `jobs`.

    Raises:
        ConfigError: `at_once` is less than 1.
    """
    if at_once is not None and at_once < 1:
        raise ConfigError(f"at_once = {at_once}: at least 1 is needed")
    at_once = max(1, min(at_once or os.cpu_count() or 1, len(jobs)))
    share = replace(settings, memory_bytes=max(1, settings.memory_bytes // at_once))
    stop, claims = threading.Event(), Claims()
    with ThreadPoolExecutor(settings.num_workers) as decoders, ThreadPoolExecutor(at_once) as archives:

        def work(job: UnpackJob) -> Outcome:
            try:
                outcome: Outcome = unpack(
                    job.source,
                    below(to, job.folder),
                    settings=share,
                    pool=decoders,
                    published=job.published,
                    num_published=job.num_published,
                    digest=job.digest,
                    on_event=on_event,
                    stop=stop,
                    claims=claims,
                )
            except MrikitError as error:
                outcome = error
            try:
                on_outcome(job, outcome)
            except MrikitError as error:
                return error
            return outcome

        futures: list[Future[Outcome]] = [archives.submit(work, job) for job in jobs]
        try:
            return [future.result() for future in futures]
        except BaseException:
            # Ctrl-C, above all: leaving the block waits for the threads, so tell them.
            stop.set()
            for job in jobs:
                job.source.close()  # ends reads that wait for a server
            archives.shutdown(wait=False, cancel_futures=True)
            decoders.shutdown(wait=False, cancel_futures=True)
            raise
