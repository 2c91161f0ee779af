"""A blob written, read and deleted by whoever asks."""

from collections.abc import Callable

from mrikit.errors import StorageError
from mrikit.estate.first_day.tidy import Tidy
from mrikit.storage import BlobPath, file_state, read_bytes, remove, write_bytes
from mrikit.storage.blob import is_refused

_TEXT = b"mrikit doctor --run wrote this and deletes it again\n"


def blob_trip(container: str, nonce: str, tidy: Tidy) -> Callable[[], str]:
    """A step: one blob there and back.

    Args:
        container: Where.
        nonce: Part of its name.
        tidy: Deletes it where the step itself does not come to that.
    """
    blob = BlobPath(container) / f"mrikit-doctor-{nonce}.txt"

    def act() -> str:
        tidy.add(str(blob), lambda: remove(blob))
        try:
            write_bytes(blob, _TEXT)
        except StorageError as error:
            if is_refused(error.__cause__):  # whatever else it was, it may be there
                tidy.forget(str(blob))
            raise
        found = read_bytes(blob)
        if found != _TEXT:
            raise StorageError(f"{blob}: {len(found)} bytes came back that are not those that were written")
        remove(blob)
        if file_state(blob) is not None:
            raise StorageError(f"{blob}: still there after it was deleted; does a lease or a policy hold it?")
        tidy.forget(str(blob))
        return f"written, read and deleted {blob}"

    return act
