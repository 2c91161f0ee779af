"""One small file copied by the Data Factory."""

from collections.abc import Callable

from mrikit.errors import ConfigError, MrikitError, TransferError
from mrikit.estate.first_day.tidy import Tidy
from mrikit.storage import BlobPath, remove
from mrikit.storage.estate import Estate
from mrikit.transfer.datafactory import DataFactorySettings, copy_archives, stop_copy
from mrikit.transfer.link import Link
from mrikit.transfer.mail import MailArchive
from mrikit.transfer.results import CopyEvent
from mrikit.words import in_bytes

SOURCE = "https://azureopendatastorage.blob.core.windows.net/mnist/t10k-images-idx3-ubyte.gz"
"""1.6 MB that anybody may read: Azure Open Datasets, whose files
Microsoft's own examples read by such addresses (https://learn.microsoft.com/azure/machine-learning/v1/how-to-create-register-datasets).

It has to be a public file. A blob of the estate behind a link is no source: the factory's HTTP connector comes from
public addresses that the account's firewall refuses whatever signature it brings, since network rules hold for signed
requests too (https://learn.microsoft.com/azure/storage/common/storage-network-security), and a factory passes them by
its identity alone.
"""
_CONTAINER = "raw"


class CopyTrip:
    """A copy into the container of archives, and its progress.

    Args:
        estate: Names the factory.
        source: A file that anybody may read.
        nonce: Part of the blob's name.
        tidy: Ends the run and deletes the blob at the end.
        settings: How the run is followed.
        say: Called with what happens.
    """

    def __init__(
        self,
        estate: Estate,
        source: Link,
        nonce: str,
        tidy: Tidy,
        settings: DataFactorySettings,
        say: Callable[[str], None],
    ) -> None:
        self._estate, self._tidy, self._settings, self._say = estate, tidy, settings, say
        self._archive = MailArchive(link=source, name=f"mrikit-doctor-{nonce}.bin")
        container = _CONTAINER if _CONTAINER in estate.containers else estate.containers[0]
        self._to = BlobPath(container)
        self._told_bytes = 0
        self._may_go_on = False

    def act(self) -> str:
        """Have it copied.

        Raises:
            MrikitError: The factory cannot be asked, or the copy fails.
        """
        blob = self._to / self._archive.name
        self._told_bytes = 0
        self._tidy.add(str(blob), lambda: self._undo(blob))
        self._may_go_on = True  # also after Ctrl-C: runs belong to the factory
        try:
            (result,) = copy_archives(
                [self._archive], self._to, estate=self._estate, settings=self._settings, on_event=self._hear
            )
        except MrikitError:  # before a run
            self._may_go_on = False
            raise
        self._may_go_on = not result.is_ok
        if not result.is_ok:
            raise TransferError(result.message)
        return f"{in_bytes(result.size_bytes)} from {self._archive.link.host} to {blob}"

    def progress(self) -> str:
        """Whether the run told how far it was.

        Raises:
            TransferError: It told of no byte.
        """
        if not self._told_bytes:
            raise TransferError("the run succeeded, and told of no byte that it read or wrote")
        return f"the run told of {in_bytes(self._told_bytes)}"

    def _undo(self, blob: BlobPath) -> None:
        """A run that goes on would write the blob again."""
        try:
            if self._may_go_on:
                stop_copy(self._archive, self._to, estate=self._estate, settings=self._settings)
        finally:
            remove(blob)

    def _hear(self, event: CopyEvent) -> None:
        if event.kind == "moved":
            self._told_bytes += event.num_bytes
        elif event.message:
            self._say(event.message)


def public_file(url: str) -> Link:
    """The link to a file that anybody may read.

    Args:
        url: Its address.

    Raises:
        ConfigError: It is no address of a file, or it has a query, which may be a signature.
    """
    link = Link(url)
    if "?" in link.relative_url_reveal():
        raise ConfigError(f"--source: a file that anybody may read has no query; found one of {link.host}")
    return link
