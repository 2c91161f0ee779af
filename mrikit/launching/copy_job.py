"""A copy of a mail's archives as a job, whose links go through the estate's Key Vault."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mrikit.errors import JobError, StorageError
from mrikit.launching.backends import open_backend
from mrikit.launching.job import GOING_ON, SUCCEEDED, UNKNOWN, JobStatus
from mrikit.launching.options import Chosen
from mrikit.launching.records import JobRecord, require_record
from mrikit.launching.submit import submit_command
from mrikit.storage import BlobPath
from mrikit.storage.estate import require_estate
from mrikit.transfer.mail import MailArchive
from mrikit.transfer.vault import SecretAddress, delete_links, put_links

_MOST_UNANSWERED = 20
_BETWEEN_LOOKS_S = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyJob:
    """A copy that a job does."""

    archives: tuple[MailArchive, ...]
    """What to copy, and the list of digests."""
    to: BlobPath
    """Where to."""
    options: tuple[str, ...]
    """Words of the command after its source."""


def copy_elsewhere(
    copy: CopyJob, chosen: Chosen, *, say: Callable[[str], None], wait: Callable[[float], None] = time.sleep
) -> JobRecord | None:
    """Submit a copy and follow it to its end; the same call follows what goes on, and starts again what failed.

    The job is told an address in the vault, never a link. The links are written just before it is submitted, and
    deleted when it is over, or was not submitted. A new mail is the same copy: names and target tell copies apart.

    Args:
        copy: What to do.
        chosen: The options of `--on`.
        say: Called with what happens, on one line.
        wait: Called with the seconds between two looks at the job.

    Returns:
        The job, which has succeeded; None where nothing was to be submitted.

    Raises:
        ConfigError: It makes no sense there, or all links have expired.
        JobError: It failed, was cancelled, or cannot be asked for.
        StorageError: The vault refuses, perhaps only to delete them.
    """
    address = secret_address(copy)
    words, written = ("data", "copy", str(address), *copy.options), list[bool]()

    def write() -> None:
        put_links(address, copy.archives)
        written.append(True)

    try:
        ((spec, _),) = submit_command(words, {"to": copy.to}, chosen, prepare=write)
    except BaseException:
        if written:
            _tidy(address, say)
        raise
    if chosen.dry_run:
        return None
    record = require_record(spec.name)
    try:
        status = _follow(record, say, wait)
    except BaseException:
        say(f"job {spec.name} goes on; the same command follows it, and deletes its links from the vault at the end")
        raise
    if status.state != SUCCEEDED:
        _tidy(address, say)
        raise JobError(
            f"job {spec.name} {status.state}: {status.message or 'nobody says why'}; `mrikit jobs logs {spec.name}` "
            f"tells more, and the same command starts it again, which goes on at the block where it stopped"
        )
    try:
        delete_links(address)
    except StorageError as error:
        raise StorageError(
            f"job {spec.name} succeeded, but its links stay in the vault; the same command deletes them: {error}"
        ) from error
    return record


def _tidy(address: SecretAddress, say: Callable[[str], None]) -> None:
    """Delete links after a failure, which is what has to be told in the end."""
    try:
        delete_links(address)
    except StorageError as error:
        say(f"the links stay in the vault until the same command is given again: {error}")


def secret_address(copy: CopyJob) -> SecretAddress:
    """Where the links of a copy lie in the vault of the linked estate; the same for a later mail.

    Raises:
        ConfigError: No estate is linked.
    """
    known = [sorted(one.name for one in copy.archives), str(copy.to), sorted(copy.options)]
    digest = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]
    return SecretAddress(vault_uri=require_estate().vault_uri.rstrip("/"), name=f"mrikit-copy-{digest}")


def _follow(record: JobRecord, say: Callable[[str], None], wait: Callable[[float], None]) -> JobStatus:
    """Until the job is over; asking is what starts it again where its machine was taken away."""
    backend, said, num_unanswered = open_backend(record.backend), "", 0
    while True:
        try:
            status = backend.status(record.spec, record.handle)
            why = status.message or f"job {record.spec.name} is {status.state}"
        except JobError as error:
            status, why = JobStatus(state=UNKNOWN), str(error)
        num_unanswered = num_unanswered + 1 if status.state == UNKNOWN else 0
        if num_unanswered > _MOST_UNANSWERED:
            raise JobError(f"{why}; asked {num_unanswered} times in a row")
        words = why if status.state == UNKNOWN else f"job {record.spec.name} is {status.state}"
        if words != said:
            say(said := words)
        if status.state not in (*GOING_ON, UNKNOWN):
            return status
        wait(_BETWEEN_LOOKS_S)


def archives_with_digests(chosen: Sequence[MailArchive], offered: Sequence[MailArchive]) -> tuple[MailArchive, ...]:
    """The archives to copy, and the lists of digests that the mail offers beside them."""
    return (*chosen, *(one for one in offered if one.is_checksums))
