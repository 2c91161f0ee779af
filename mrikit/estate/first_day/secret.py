"""A secret written and read by whoever asks."""

import hashlib
import secrets

from mrikit.errors import MrikitError, StorageError
from mrikit.estate.first_day.tidy import Tidy
from mrikit.storage.estate import Estate
from mrikit.transfer.link import Link
from mrikit.transfer.mail import MailArchive
from mrikit.transfer.vault import SecretAddress, delete_links, put_links, take_links


class SecretTrip:
    """A link that leads nowhere, kept as `mrikit data copy --on azure` keeps links; a job reads it too.

    Args:
        estate: Names the vault.
        nonce: Part of the secret's name.
        tidy: Deletes it at the end.
    """

    def __init__(self, estate: Estate, nonce: str, tidy: Tidy) -> None:
        self.address = SecretAddress(vault_uri=estate.vault_uri.rstrip("/"), name=f"mrikit-doctor-{nonce}")
        self.digest = ""
        self._tidy = tidy

    def act(self) -> str:
        """Write and read it.

        Raises:
            StorageError: The vault refuses, or gives another value.
        """
        name = f"{secrets.token_hex(8)}.bin"
        link = MailArchive(link=Link(f"https://doctor.invalid/{name}"), name=name)
        self._tidy.add(str(self.address), lambda: delete_links(self.address))
        try:
            put_links(self.address, [link])
        except MrikitError:  # refused: there is nothing to delete, and no right to
            self._tidy.forget(str(self.address))
            raise
        if take_links(self.address) != [link]:
            raise StorageError(f"{self.address}: another link came back than was written")
        self.digest = digest_of(link)
        return f"written and read {self.address}"


def digest_of(archive: MailArchive) -> str:
    """What a job tells of a link instead of the link."""
    return hashlib.sha256(archive.link.reveal().encode()).hexdigest()[:16]
