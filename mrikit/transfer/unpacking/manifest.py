"""What became of each member of an archive: `.mrikit/NAME-OF-ARCHIVE.jsonl` below the folder they went to.

JSON lines. The first is the archive; each further one a member. While an archive is unpacked into a local folder, lines
are added as members are done, so a later line of the same member or of the archive counts; at the end the file is
written anew, whole.
"""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from mrikit.errors import DataError
from mrikit.storage import Location, list_files, read_bytes
from mrikit.transfer.results import ChecksumState
from mrikit.transfer.unpacking.damage import ArchiveState
from mrikit.transfer.unpacking.members import MANIFEST_FOLDER

MemberState = Literal["done", "refused"]
CompletenessState = Literal["complete", "incomplete", "unknown"]
_SUFFIX = ".jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A file of an archive."""

    name: str
    """Where it lies below the folder, joined by `/`; of a refused one its name in printable letters."""
    size_bytes: int
    """As the archive says."""
    sha256: str | None
    """Hex digest; None for a refused one."""
    state: MemberState
    """Whether it is in the folder."""
    reason: str | None = None
    """Why it was refused, on one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Completeness:
    """What is there, compared with what was published."""

    state: CompletenessState = "unknown"
    """`unknown`: nothing is published, or the rest was not asked for."""
    num_expected: int | None = None
    """How many members were published."""
    num_missing: int = 0
    """How many of those are not in the folder."""
    missing: tuple[str, ...] = ()
    """Their names, where names were published."""
    num_unexpected: int = 0
    """How many volumes are in the folder that were not published."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveRecord:
    """What is known of an archive as a whole: three things that are judged each for itself."""

    name: str
    """Its file name."""
    size_bytes: int
    """As it was unpacked."""
    sha256: str | None = None
    """Hex digest; None if not every byte was read."""
    checksum: ChecksumState = "not checked"
    """Whether the digest is the published one."""
    state: ArchiveState = "partial"
    """What its own end and checks say."""
    where: str | None = None
    """What is wrong with it and in which place, or why its end was not reached; on one line."""
    completeness: Completeness = Completeness()
    """Whether all published members are there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """An archive and its members."""

    archive: ArchiveRecord
    """The archive as a whole."""
    members: tuple[Member, ...]
    """In the order of the archive."""

    @property
    def done(self) -> tuple[Member, ...]:
        """Those that are in the folder."""
        return tuple(member for member in self.members if member.state == "done")

    @property
    def refused(self) -> tuple[Member, ...]:
        """Those that are not."""
        return tuple(member for member in self.members if member.state == "refused")

    @property
    def is_ok(self) -> bool:
        """Whether nothing speaks against what was unpacked; an end that was not asked for does not."""
        archive = self.archive
        return (
            archive.state in ("whole", "stopped")
            and archive.checksum != "mismatch"
            and archive.completeness.state != "incomplete"
            and not self.refused
        )


def manifest_path(folder: Location, archive: str) -> Location:
    """Where the manifest of an archive lies.

    Raises:
        DataError: The archive's name is no file name.
    """
    if not archive or "/" in archive or archive in (".", "..") or not archive.isprintable():
        raise DataError(f"{archive!r}: not a file name that a manifest could have; rename the archive")
    return folder / MANIFEST_FOLDER / f"{archive}{_SUFFIX}"


def list_manifests(folder: Location) -> list[str]:
    """The names of the archives that were unpacked into a folder, also partly.

    Raises:
        StorageError: It cannot be listed.
    """
    names = list_files(folder / MANIFEST_FOLDER)
    return [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX) and "/" not in name]


def read_manifest(folder: Location, archive: str) -> Manifest:
    """The manifest of an archive that was unpacked into a folder, also partly.

    Raises:
        StorageError: It cannot be read.
        DataError: It is not a manifest.
    """
    path = manifest_path(folder, archive)
    return parse_manifest(read_bytes(path), str(path))


def parse_manifest(data: bytes, path: str) -> Manifest:
    """The manifest of these lines; one that a kill has torn does not count.

    Members noted before the archive's size changed do not count either: it was another file then.

    Raises:
        DataError: There is no archive in it.
    """
    record: ArchiveRecord | None = None
    members: dict[str, Member] = {}
    for line in data.splitlines():
        found = _parse_line(line)
        if isinstance(found, ArchiveRecord):
            if record is not None and record.size_bytes != found.size_bytes:
                members.clear()
            record = found
        elif found is not None:
            members.pop(found.name, None)
            members[found.name] = found
    if record is None:
        raise DataError(f"{path}: not a manifest of an archive; delete it and unpack again")
    return Manifest(archive=record, members=tuple(members.values()))


def archive_line(record: ArchiveRecord) -> bytes:
    """The archive as a line."""
    return _line({"archive": record.name} | {key: value for key, value in asdict(record).items() if key != "name"})


def member_line(member: Member) -> bytes:
    """A member as a line."""
    return _line(asdict(member))


def format_manifest(manifest: Manifest) -> bytes:
    """All lines."""
    return archive_line(manifest.archive) + b"".join(member_line(member) for member in manifest.members)


def judge_completeness(
    members: Sequence[Member], published: Sequence[str] | None, num_published: int | None, *, is_stopped: bool
) -> Completeness:
    """Compare the members that are there with what was published.

    Args:
        members: Of the archive.
        published: Names of all its volumes, with or without folders; None if no list is known.
        num_published: How many they are, where only that is known.
        is_stopped: The rest was not asked for.
    """
    volumes = {_base(member.name) for member in members if member.state == "done" and member.name.endswith(".h5")}
    if published is None and num_published is None:
        return Completeness()
    if published is None:
        assert num_published is not None
        found = Completeness(
            num_expected=num_published,
            num_missing=max(0, num_published - len(volumes)),
            num_unexpected=max(0, len(volumes) - num_published),
        )
    else:
        names = {_base(name) for name in published}
        present = {_base(member.name) for member in members if member.state == "done"}
        missing = tuple(sorted(names - present))
        found = Completeness(
            num_expected=len(names),
            num_missing=len(missing),
            missing=missing,
            num_unexpected=len(volumes - names),
        )
    state: CompletenessState = "incomplete" if found.num_missing else "complete"
    return replace(found, state="unknown" if is_stopped and found.num_missing else state)


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _parse_line(line: bytes) -> ArchiveRecord | Member | None:
    """What a line says; None if it is torn or says something else."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        value = json.loads(line)
        if "archive" in value:
            completeness = value["completeness"]
            return ArchiveRecord(
                name=str(value["archive"]),
                size_bytes=int(value["size_bytes"]),
                sha256=value["sha256"],
                checksum=_one_of(value["checksum"], get_args(ChecksumState)),
                state=_one_of(value["state"], get_args(ArchiveState)),
                where=value["where"],
                completeness=Completeness(**completeness | {"missing": tuple(completeness["missing"])}),
            )
        return Member(
            name=str(value["name"]),
            size_bytes=int(value["size_bytes"]),
            sha256=value["sha256"],
            state=_one_of(value["state"], get_args(MemberState)),
            reason=value["reason"],
        )
    return None


def _one_of(value: Any, known: tuple[Any, ...]) -> Any:  # noqa: ANN401 - a word of a Literal
    if value not in known:
        raise ValueError(value)
    return value
