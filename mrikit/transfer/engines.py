"""The two ways of `mrikit data copy`: through this machine, or by the Data Factory of the estate."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mrikit.errors import ConfigError
from mrikit.storage import BlobPath, Location
from mrikit.transfer.mail import MailArchive
from mrikit.transfer.results import CopyResult, OnEvent

if TYPE_CHECKING:
    from mrikit.transfer.copying.preview import CopySettings, PlannedArchive
    from mrikit.transfer.datafactory import DataFactorySettings

OnResult = Callable[[CopyResult], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """What is known of an archive before anything is done."""

    archive: MailArchive
    """What the mail says."""
    size_bytes: int
    """Of the archive; 0 if unknown."""
    present_bytes: int
    """Of these, at the target already."""
    error: str = ""
    """Why it cannot be copied."""
    is_expired: bool = False
    """Whether that is because its link is too old."""
    note: str = ""
    """What else is worth knowing."""

    @property
    def state(self) -> str:
        """In one word: `expired`, `failed`, `there`, `partial` or `new`."""
        if self.error:
            return "expired" if self.is_expired else "failed"
        if self.present_bytes:
            return "there" if self.present_bytes == self.size_bytes else "partial"
        return "new"


class Engine(Protocol):
    """A way of copying."""

    def plan(self, archives: Sequence[MailArchive]) -> list[Planned]:
        """What would be done; changes nothing."""

    def copy(
        self, archives: Sequence[MailArchive], digests: Mapping[str, str], on_event: OnEvent, on_result: OnResult
    ) -> list[CopyResult]:
        """Copy some of the planned archives."""


def open_engine(settings: "CopySettings | DataFactorySettings", to: Location, say: Callable[[str], None]) -> Engine:
    """The engine of these settings; `say` is called with what is worth knowing while it plans.

    Raises:
        ConfigError: Data Factory shall copy into a folder of this machine.
    """
    from mrikit.transfer.copying.preview import CopySettings

    if isinstance(settings, CopySettings):
        return _Stream(settings, to, say)
    if not isinstance(to, BlobPath):
        raise ConfigError(f"Data Factory copies into Blob, found {to}; give az://container/prefix")
    return _Factory(settings, to)


class _Stream:
    def __init__(self, settings: "CopySettings", to: Location, say: Callable[[str], None]) -> None:
        self._settings, self._to, self._say = settings, to, say
        self._plan: dict[str, PlannedArchive] = {}

    def plan(self, archives: Sequence[MailArchive]) -> list[Planned]:
        from mrikit.transfer.copying.stream import plan_copy
        from mrikit.transfer.source import LinkExpired

        plan = plan_copy(archives, self._to, settings=self._settings, on_retry=self._say)
        self._plan = {one.archive.name: one for one in plan}
        return [
            Planned(
                archive=one.archive,
                size_bytes=one.size_bytes,
                present_bytes=one.present_bytes,
                error=str(one.error) if one.error else "",
                is_expired=isinstance(one.error, LinkExpired),
            )
            for one in plan
        ]

    def copy(
        self, archives: Sequence[MailArchive], digests: Mapping[str, str], on_event: OnEvent, on_result: OnResult
    ) -> list[CopyResult]:
        from mrikit.transfer.copying.stream import copy_archives

        return copy_archives(
            archives,
            self._to,
            digests=digests,
            settings=self._settings,
            on_event=on_event,
            on_result=on_result,
            plan=[self._plan[archive.name] for archive in archives],
        )


class _Factory:
    def __init__(self, settings: "DataFactorySettings", to: BlobPath) -> None:
        self._settings, self._to = settings, to

    def plan(self, archives: Sequence[MailArchive]) -> list[Planned]:
        from mrikit.transfer import datafactory

        found = datafactory.plan_copies(archives, self._to, settings=self._settings)
        plan = []
        for archive, finding in zip(archives, found, strict=True):
            is_error = finding.action in ("failed", "expired")
            note = f"{archive.name}: {finding.message}" if finding.message and not is_error else ""
            plan.append(
                Planned(
                    archive=archive,
                    size_bytes=finding.size_bytes,
                    present_bytes=finding.size_bytes if finding.action == "present" else 0,
                    error=finding.message if is_error else "",
                    is_expired=finding.action == "expired",
                    note=note,
                )
            )
        return plan

    def copy(
        self, archives: Sequence[MailArchive], digests: Mapping[str, str], on_event: OnEvent, on_result: OnResult
    ) -> list[CopyResult]:
        from mrikit.transfer import datafactory

        return datafactory.copy_archives(
            archives, self._to, digests=digests, settings=self._settings, on_event=on_event, on_result=on_result
        )
