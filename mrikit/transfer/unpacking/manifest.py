"""What became of each member of an archive: `.mrikit/NAME-OF-ARCHIVE.jsonl` below the folder they went to.

JSON lines. The first is the archive; each further one a member. While an archive is unpacked into a local folder, lines
are added as members are done, so a later line of the same member or of the archive counts; at the end the file is
written anew, whole. Members that came from an earlier file of the archive's name stay in it, with their own version.
"""

import contextlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from mrikit.errors import DataError
from mrikit.storage import Location, file_state, list_files, read_bytes
from mrikit.transfer.places import MANIFEST_FOLDER
from mrikit.transfer.results import ChecksumState
from mrikit.transfer.unpacking.completeness import Completeness
from mrikit.transfer.unpacking.damage import ArchiveState

MemberState = Literal["done", "refused", "taken back"]
"""`taken back`: it was in the folder until a check of the archive failed."""
MANIFEST_SUFFIX = ".jsonl"
"""Of a manifest's name, after the archive's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A file of an archive."""

    name: str
    """Where it lies below the folder, joined by `/`; of a refused one its name in printable letters."""
    size_bytes: int
    """As the archive says."""
    sha256: str | None
    """Hex digest; None if it is not in the folder, or not known."""
    state: MemberState
    """Whether it is in the folder."""
    reason: str | None = None
    """Why it is not, on one line."""
    version: str = ""
    """Which file of the archive's name it came from; see `ArchiveRecord.version`."""
    is_kept: bool = False
    """Whether the file was there before, equal to the member: it is not ours to replace or to delete."""
    file_version: int | None = None
    """Time of modification of its local file in ns, as it was left; with another one it is compared again. A blob that
    somebody else writes loses what says that it is ours."""
    is_verified: bool = True
    """Whether it lies before the last point where the archive's own checks passed; what does not is decoded again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveRecord:
    """What is known of an archive as a whole: three things that are judged each for itself."""

    name: str
    """Its file name."""
    size_bytes: int
    """As it was unpacked."""
    version: str = ""
    """Its size and what its source says of its version: another file of this name has another; "" if unknown."""
    place: str = ""
    """Where it lay, a path or `az://container/key`; "" if it came from a link."""
    sha256: str | None = None
    """Hex digest; None if not every byte was read."""
    published_sha256: str | None = None
    """Hex digest that is published; None if none is known."""
    checksum: ChecksumState = "not checked"
    """Whether the digest is the published one."""
    state: ArchiveState = "partial"
    """What its own end and checks say."""
    where: str | None = None
    """What is wrong with it and in which place, or why its end was not reached; on one line."""
    completeness: Completeness = field(default_factory=Completeness)
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
        """Those that are in the folder, also from an earlier file of this name."""
        return tuple(member for member in self.members if member.state == "done")

    @property
    def present(self) -> tuple[Member, ...]:
        """Those that are in the folder and came from this very file."""
        return tuple(member for member in self.done if member.version == self.archive.version)

    @property
    def refused(self) -> tuple[Member, ...]:
        """Those that are not."""
        return tuple(member for member in self.members if member.state != "done")

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
    return folder / MANIFEST_FOLDER / f"{archive}{MANIFEST_SUFFIX}"


def list_manifests(folder: Location) -> list[str]:
    """The names of the archives that were unpacked into a folder, also partly.

    Raises:
        StorageError: It cannot be listed.
    """
    names = list_files(folder / MANIFEST_FOLDER)
    return [name.removesuffix(MANIFEST_SUFFIX) for name in names if name.endswith(MANIFEST_SUFFIX) and "/" not in name]


def read_manifest(folder: Location, archive: str) -> Manifest:
    """The manifest of an archive that was unpacked into a folder, also partly.

    Raises:
        StorageError: It cannot be read.
        DataError: It is not a manifest.
    """
    path = manifest_path(folder, archive)
    return parse_manifest(read_bytes(path), str(path))


def read_manifest_if_any(folder: Location, archive: str) -> Manifest | None:
    """The manifest of an archive; None if there is none, or a full disk or a kill left nothing to read in it.

    Raises:
        StorageError: It cannot be read.
        DataError: The archive's name is no file name.
    """
    path = manifest_path(folder, archive)
    if file_state(path) is None:
        return None
    data = read_bytes(path)
    with contextlib.suppress(DataError):
        return parse_manifest(data, str(path))
    return None


def parse_manifest(data: bytes, path: str) -> Manifest:
    """The manifest of these lines; one that a kill has torn does not count.

    A member that is there stays so if the archive names it once more and that is refused.

    Raises:
        DataError: There is no archive in it.
    """
    record: ArchiveRecord | None = None
    members: dict[tuple[str, bool], Member] = {}
    for line in data.splitlines():
        found = _parse_line(line)
        if isinstance(found, ArchiveRecord):
            record = found
        elif found is not None:
            is_done = found.state == "done"
            members.pop((found.name, False), None)
            if found.state != "refused":
                members.pop((found.name, True), None)
            members[found.name, is_done] = found
    if record is None:
        raise DataError(f"{path}: not a manifest of an archive; delete it and unpack again")
    return Manifest(archive=record, members=tuple(members.values()))


def describe_mismatch(record: ArchiveRecord) -> str:
    """How the digest of an archive differs from the published one, in words."""
    found, published = (
        f"{digest[:12]}..." if digest else "another" for digest in (record.sha256, record.published_sha256)
    )
    return f"its SHA256 is {found}, but {published} is published"


def archive_line(record: ArchiveRecord) -> bytes:
    """The archive as a line."""
    return _line({"archive": record.name} | {key: value for key, value in asdict(record).items() if key != "name"})


def member_line(member: Member) -> bytes:
    """A member as a line."""
    return _line(asdict(member))


def format_manifest(manifest: Manifest) -> bytes:
    """All lines."""
    return archive_line(manifest.archive) + b"".join(member_line(member) for member in manifest.members)


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
                version=str(value["version"]),
                place=str(value["place"]),
                sha256=_digest_or_none(value["sha256"]),
                published_sha256=_digest_or_none(value["published_sha256"]),
                checksum=_one_of(value["checksum"], get_args(ChecksumState)),
                state=_one_of(value["state"], get_args(ArchiveState)),
                where=value["where"],
                completeness=Completeness(**completeness | {"missing": tuple(completeness["missing"])}),
            )
        return Member(
            name=str(value["name"]),
            size_bytes=int(value["size_bytes"]),
            sha256=_digest_or_none(value["sha256"]),
            state=_one_of(value["state"], get_args(MemberState)),
            reason=value["reason"],
            version=str(value["version"]),
            is_kept=bool(value["is_kept"]),
            file_version=value["file_version"],
            is_verified=bool(value["is_verified"]),
        )
    return None


def _digest_or_none(value: Any) -> str | None:  # noqa: ANN401 - what JSON holds
    if value is not None and not isinstance(value, str):
        raise TypeError(value)
    return value


def _one_of(value: Any, known: tuple[Any, ...]) -> Any:  # noqa: ANN401 - a word of a Literal
    if value not in known:
        raise ValueError(value)
    return value
