"""What the tests of copying share: archives, mails, quick settings."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transfer.archive_server import CANARY, ArchiveServer

from mrikit.errors import TransferError
from mrikit.transfer.copying.stream import CopySettings
from mrikit.transfer.link import Link
from mrikit.transfer.mail import MailArchive
from mrikit.transfer.retry import Patience
from mrikit.transfer.source import HttpSource

NAME = "knee_multicoil_val.tar.xz"
BLOCK = 2**16
IMPATIENT = Patience(
    give_up_after_s=0, num_tries=5, first_wait_s=0.001, max_wait_s=0.01, connect_timeout_s=60, read_timeout_s=60
)


def write_archive(folder: Path, name: str = NAME, size_bytes: int = 20 * BLOCK + 77) -> bytes:
    """A file of noise; its bytes."""
    folder.mkdir(exist_ok=True)
    data = os.urandom(size_bytes)
    (folder / name).write_bytes(data)
    return data


def archive(server: ArchiveServer, name: str = NAME, **signed: Any) -> MailArchive:
    """As a mail offers it."""
    return MailArchive(link=Link(server.url(name, **signed)), name=name)


def settings(**changes: Any) -> CopySettings:
    """Small blocks, short waits; tries enough that no block has bad luck with them all."""
    patience = replace(IMPATIENT, num_tries=20)
    return CopySettings(**({"block_bytes": BLOCK, "memory_bytes": 16 * BLOCK, "patience": patience} | changes))


def signatures_in(text: str) -> list[str]:
    """Spellings of the canary that a text holds."""
    spellings = (CANARY, "canary+Sig", "canary%2BSig", "canary%2bSig", "AKIACANARYKEY")
    return [spelling for spelling in spellings if spelling in text]


def traces_of(error: BaseException | None) -> str:
    """All texts of an exception and of those that it came from."""
    texts = []
    while error is not None:
        texts += [repr(error), str(error), repr(error.args), repr(getattr(error, "__notes__", ""))]
        texts += [str(value) for value in vars(error).values()]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def source_of(server: ArchiveServer, **options: Any) -> HttpSource:
    """The source of the link to NAME."""
    signed = {key: options.pop(key) for key in ("signature", "expires_at") if key in options}
    return HttpSource(Link(server.url(NAME, **signed)), patience=options.pop("patience", IMPATIENT), **options)


def failure_of(server: ArchiveServer, **options: Any) -> TransferError:
    """What reading from it raises, which holds no signature."""
    with pytest.raises(TransferError) as caught:
        source_of(server, **options).read(0, 1000)
    assert not signatures_in(traces_of(caught.value))
    return caught.value


def digest_of(data: bytes) -> dict[str, str]:
    """As it is published."""
    return {NAME: hashlib.sha256(data).hexdigest()}
