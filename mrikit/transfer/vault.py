"""The links of a mail in a Key Vault: how they reach a job that must not be told them by its command.

Key Vault holds texts of at most 25 kB (https://learn.microsoft.com/azure/key-vault/secrets/about-secrets), so the links
of a long mail take several secrets: `NAME`, `NAME-2`, ... The expiry of a secret is "for informational purposes only"
(same page): what ends a link is the link's own expiry and its deletion here. A deleted secret keeps its name for as
long as the vault keeps deleted ones, and has to be recovered before it is written again
(https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview).
"""

import contextlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from mrikit.errors import ConfigError, MrikitError, StorageError
from mrikit.storage.blob import azure_packages, credential
from mrikit.storage.unreachable import why_unreachable
from mrikit.transfer.datafactory.words import hide
from mrikit.transfer.link import Link, is_file_name
from mrikit.transfer.mail import MailArchive

if TYPE_CHECKING:
    from azure.keyvault.secrets import SecretClient

T = TypeVar("T")

_ADDRESS = re.compile(r"(?P<vault>https://[a-z0-9][a-z0-9.-]+(:\d+)?)/secrets/(?P<name>[A-Za-z0-9-]{1,120})/?", re.I)
_MOST_BYTES = 24_000
_PARTS = "parts"
_LONGEST = timedelta(days=14)
"""For links that do not say when they end; the mail's last a week."""
_NOT_FOUND, _CONFLICT = 404, 409
_WRITE, _READ = "Key Vault Secrets Officer", "Key Vault Secrets User"


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretAddress:
    """Where a secret is, which is no secret."""

    vault_uri: str
    """https://NAME.vault.azure.net, without a slash at its end."""
    name: str
    """Of the secret."""

    def __str__(self) -> str:
        return f"{self.vault_uri}/secrets/{self.name}"


def find_address(text: str) -> SecretAddress | None:
    """The address that a user or a job wrote; None if it is none."""
    match = _ADDRESS.fullmatch(text)
    return SecretAddress(vault_uri=match["vault"], name=match["name"]) if match else None


def put_links(address: SecretAddress, archives: Sequence[MailArchive]) -> None:
    """Write links, all or none; those that are there are replaced.

    Raises:
        ConfigError: The Azure packages are not installed, or no link is valid any more.
        StorageError: The vault refuses, or cannot be reached.
    """
    now = datetime.now(UTC)
    ends = max(one.link.expires_at or now + _LONGEST for one in archives)
    if ends <= now:
        raise ConfigError("all links of the mail have expired by this computer's clock; ask for a new mail")
    parts = _parts(archives)
    client = _client(address)
    facts: dict[str, Any] = {
        "expires_on": ends,
        "content_type": "application/json",
        "tags": {_PARTS: str(len(parts)), "mrikit": "links of a mail"},
    }
    written: list[str] = []
    try:
        for number, text in reversed(list(enumerate(parts, 1))):  # the first, which tells of the others, is last
            name = _part_name(address.name, number)
            written.append(name)  # before: an answer may be lost
            write = partial(client.set_secret, name, text, **facts)
            if _ask(address, write, _WRITE, absent=_CONFLICT) is None:  # a deleted one has this name
                _ask(address, partial(_wait, client.begin_recover_deleted_secret, name), _WRITE)
                _ask(address, write, _WRITE)
    except BaseException:
        for name in written:  # nobody would find them without the first
            with contextlib.suppress(MrikitError):
                _ask(address, partial(_wait, client.begin_delete_secret, name), _WRITE)
        raise


def take_links(address: SecretAddress) -> list[MailArchive]:
    """Read links.

    Raises:
        ConfigError: The Azure packages are not installed.
        StorageError: There are none, or the vault refuses or cannot be reached.
    """
    client = _client(address)
    found: list[MailArchive] = []
    number, num_parts = 1, 1
    while number <= num_parts:
        name = _part_name(address.name, number)
        secret = _ask(address, partial(client.get_secret, name), _READ)
        if secret is None:
            raise StorageError(
                f"{address}: no links are there any more; give `mrikit data copy MAIL` again, which writes them"
            )
        num_parts = int((secret.properties.tags or {}).get(_PARTS, "1"))
        found += _read(address, secret.value or "")
        number += 1
    return found


def delete_links(address: SecretAddress) -> None:
    """Delete links; none is fine.

    Raises:
        ConfigError: The Azure packages are not installed.
        StorageError: The vault refuses, or cannot be reached.
    """
    client = _client(address)
    first = _ask(address, partial(client.get_secret, address.name), _WRITE)
    if first is None:
        return
    num_parts = int((first.properties.tags or {}).get(_PARTS, "1"))
    for number in range(num_parts, 0, -1):
        name = _part_name(address.name, number)
        _ask(address, partial(_wait, client.begin_delete_secret, name), _WRITE)


def _parts(archives: Sequence[MailArchive]) -> list[str]:
    """Names and links as JSON, in as few texts as may be."""
    rows: list[list[list[str]]] = [[]]
    for one in archives:
        row = [one.name, one.link.reveal()]
        if rows[-1] and len(json.dumps([*rows[-1], row])) > _MOST_BYTES:
            rows.append([])
        rows[-1].append(row)
    return [json.dumps(one) for one in rows]


def _read(address: SecretAddress, text: str) -> list[MailArchive]:
    try:
        rows = [(str(name), Link(str(url))) for name, url in json.loads(text)]
    except (ValueError, TypeError, ConfigError):
        rows = []
    if not rows or not all(is_file_name(name) for name, _ in rows):
        # Raised here: the error above may quote what was read.
        raise StorageError(f"{address}: no links of mrikit; name the secret that `mrikit data copy` has written")
    return [MailArchive(link=link, name=name) for name, link in rows]


def _part_name(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def _client(address: SecretAddress) -> "SecretClient":
    with azure_packages():
        from azure.keyvault.secrets import SecretClient
    return SecretClient(address.vault_uri, credential(), retry_total=4, retry_backoff_factor=0.4)


def _wait(begin: Callable[[str], Any], name: str) -> None:
    """Delete or recover a secret, which takes seconds."""
    begin(name).wait()


def _ask(address: SecretAddress, request: Callable[[], T], role: str, absent: int = _NOT_FOUND) -> T | None:
    """The answer; None where the status is `absent`."""
    from azure.core.exceptions import AzureError

    try:
        return request()
    except (AzureError, ValueError) as error:  # the client finds fault with challenges by ValueError
        failure = None if getattr(error, "status_code", None) == absent else _explain(address, error, role)
    # Outside of the block above: the client's error holds the request, and the request the links.
    if failure is None:
        return None
    raise failure


def _explain(address: SecretAddress, error: Exception, role: str) -> MrikitError:
    from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

    vault, status = f"Key Vault {address.vault_uri}", getattr(error, "status_code", None)
    inner = getattr(getattr(error, "error", None), "innererror", None)
    code = str((inner or {}).get("code") or "") if isinstance(inner, dict) else str(getattr(inner, "code", "") or "")
    code = code if code.isalpha() else ""
    if isinstance(error, ClientAuthenticationError) or status == 401:
        return StorageError(f"{vault}: not logged in to Azure; run `az login`, or work where an identity is given")
    if status == 403 and code == "ForbiddenByFirewall":
        return StorageError(f"{vault}: its firewall keeps this address out; add it to the stack's allowedIps")
    if status == 403:
        return StorageError(f"{vault}: access was refused ({code or 403}); ask for the role {role} on it")
    if isinstance(error, HttpResponseError) and status is not None:
        return StorageError(f"{vault}: the service refused ({status} {code or 'without a reason'}); try it again later")
    if isinstance(error, ValueError):
        return StorageError(f"{vault}: not what a vault answers: {hide(str(error))}; is the estate's vault_uri right?")
    return StorageError(f"{vault} cannot be reached: {why_unreachable(error, 'is its name right, the network up?')}")
