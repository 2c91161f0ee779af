"""What has to be taken away at the end."""

from collections.abc import Callable

from mrikit.errors import MrikitError, StorageError


class Tidy:
    """Things that were made and not deleted yet."""

    def __init__(self) -> None:
        self._acts: dict[str, Callable[[], None]] = {}

    def add(self, name: str, act: Callable[[], None]) -> None:
        """Remember how a thing is deleted; deleting what is not there has to do no harm."""
        self._acts[name] = act

    def forget(self, name: str) -> None:
        """It is deleted."""
        self._acts.pop(name, None)

    def __call__(self) -> str:
        """Delete all that is left.

        Raises:
            StorageError: Something could not be deleted; the others are.
        """
        kept = []
        for name, act in list(self._acts.items()):
            try:
                act()
            except MrikitError as error:
                kept.append(f"{name} ({error})")
            else:
                self.forget(name)
        if kept:
            raise StorageError(f"not deleted: {'; '.join(kept)}")
        return "everything that was made is deleted"
