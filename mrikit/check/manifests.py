"""Compare a data folder with the manifests that `mrikit data unpack` left in it."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from mrikit.check.findings import UNREAD, Finding, make_finding
from mrikit.errors import DataError, MrikitError, StorageError
from mrikit.storage import BlobPath, FileState, Location, file_state, parse_location, read_range
from mrikit.transfer.places import MANIFEST_FOLDER
from mrikit.transfer.unpacking.manifest import MANIFEST_SUFFIX, Manifest, describe_mismatch, read_manifest
from mrikit.transfer.unpacking.reasons import COPY_AGAIN, remedy_of

_CHUNK_BYTES = 8 * 2**20
_DIFFERS = "sha256_differs"
_COPY_AND_UNPACK = f"{COPY_AGAIN}, then unpack it"


@dataclass(frozen=True, kw_only=True, slots=True)
class UnpackedFile:
    """A file that was unpacked."""

    archive: str
    """The archive that it came from."""
    places: tuple[str, ...]
    """Where that may lie."""
    manifest: str
    """Which manifest says so; archives in two folders may have one name."""
    name: str
    """Relative to the data folder."""
    size_bytes: int
    sha256: str | None
    """Hex digest of its content, where it is known."""


def is_manifest(name: str) -> bool:
    """Whether a file below a data folder is called as the manifest of an archive is."""
    *above, last = name.split("/")
    return above[-1:] == [MANIFEST_FOLDER] and last.endswith(MANIFEST_SUFFIX)


def read_manifests(folder: Location, names: Iterable[str]) -> tuple[list[Finding], list[UnpackedFile]]:
    """What is wrong with archives that were unpacked below a folder, and the files that must be there.

    Args:
        folder: The data folder.
        names: Every file below it, relative to it.

    Raises:
        StorageError: A manifest cannot be read.
    """
    found: list[Finding] = []
    members: list[UnpackedFile] = []
    for name in filter(is_manifest, names):
        *above, last = name.split("/")
        prefix, archive = "".join(f"{part}/" for part in above[:-1]), last.removesuffix(MANIFEST_SUFFIX)
        try:
            manifest = read_manifest(folder / prefix if prefix else folder, archive)
        except DataError as error:
            what, _, remedy = str(error).removeprefix(f"{folder / name}: ").partition("; ")
            found.append(make_finding("error", "manifest", (name,), what, remedy))
            continue
        found += _archive_findings(prefix, manifest)
        places = tuple(filter(None, (manifest.archive.place, str(folder / (prefix + archive)))))
        members += [
            UnpackedFile(
                archive=archive,
                places=places,
                manifest=name,
                name=prefix + member.name,
                size_bytes=member.size_bytes,
                sha256=member.sha256,
            )
            for member in manifest.done
        ]
    return found, members


def check_members(members: Iterable[UnpackedFile], states: Mapping[str, FileState]) -> list[Finding]:
    """Files that are missing or have another size; the missing ones of an archive are one finding."""
    missing: dict[str, list[UnpackedFile]] = {}
    found = []
    for member in members:
        state = states.get(member.name)
        if state is None:
            missing.setdefault(member.manifest, []).append(member)
        elif state.size_bytes != member.size_bytes:
            what = f"{state.size_bytes} bytes, but {member.archive} has it with {member.size_bytes}"
            found.append(make_finding("error", "size_differs", (member.name,), what, _unpack_again(member)))
    for first, *others in missing.values():
        names = tuple(member.name for member in (first, *others))
        what = f"{_files(len(names))} unpacked from {first.archive}, but not there any more"
        found.append(make_finding("error", "missing", names, what, _unpack_again(first)))
    return found


def check_sha256(folder: Location, member: UnpackedFile, on_bytes: Callable[[int], None]) -> list[Finding]:
    """Read a file of the right size and compare its digest with that of the manifest.

    Raises:
        StorageError: Its container cannot be reached.
    """
    digest = hashlib.sha256()
    for start in range(0, member.size_bytes, _CHUNK_BYTES):
        try:
            chunk = read_range(folder / member.name, start, min(_CHUNK_BYTES, member.size_bytes - start))
        except StorageError as error:
            if isinstance(folder, BlobPath):
                raise  # it is not this blob alone that cannot be reached
            what = str(error).removeprefix(f"{folder / member.name}: ")
            return [make_finding("error", UNREAD, (member.name,), what, "mend the disk, or unpack it to another one")]
        digest.update(chunk)
        on_bytes(len(chunk))
    if digest.hexdigest() == member.sha256:
        return []
    return [make_finding("error", _DIFFERS, (member.name,), _differs(member), f"unpack {member.archive} again")]


def with_remedies(findings: Iterable[Finding], members: Iterable[UnpackedFile]) -> list[Finding]:
    """Findings of a deep check, which may be of an earlier day, with what would do today about other digests."""
    found = list(findings)
    known = {(member.name, _differs(member)): member for member in members}
    for number, finding in enumerate(found):
        if finding.kind == _DIFFERS:
            # An unpack leaves a file of the right size alone whose time has not changed either.
            remedy = f"delete the file, then {_unpack_again(known[finding.files[0], finding.what])}"
            found[number] = replace(finding, remedy=remedy)
    return found


def _archive_findings(prefix: str, manifest: Manifest) -> list[Finding]:
    """What the unpacking said of the archive, and of members that it refused."""
    archive = manifest.archive
    files, found = (prefix + archive.name,), []
    if archive.state == "partial":
        what = f"unpacked only in part: {_files(len(manifest.done))} so far"
        found.append(make_finding("error", "unfinished", files, what, "give the same `mrikit data unpack` again"))
    elif archive.state in ("truncated", "damaged"):
        what = f"the archive is {archive.state}: {archive.where or 'it ended early'}"
        found.append(make_finding("error", f"archive_{archive.state}", files, what, _COPY_AND_UNPACK))
    elif archive.state == "trailing bytes":
        what = f"something follows the end of the archive: {archive.where or 'unknown bytes'}"
        found.append(
            make_finding("warning", "trailing_bytes", files, what, "nothing, if its checksum is the published one")
        )
    if archive.checksum == "mismatch":
        what = f"the archive is not the published one: {describe_mismatch(archive)}"
        found.append(make_finding("error", "checksum", files, what, _COPY_AND_UNPACK))
    completeness = archive.completeness
    if completeness.state == "incomplete":
        names = tuple(prefix + name for name in completeness.missing) or files
        what = f"{completeness.num_missing} of {completeness.num_expected} published members are not in {archive.name}"
        found.append(make_finding("error", "incomplete", names, what, _COPY_AND_UNPACK))
    by_reason: dict[str, list[str]] = {}
    for member in manifest.refused:
        by_reason.setdefault(member.reason or "no reason is known", []).append(prefix + member.name)
    for reason, refused in by_reason.items():
        what = f"{_files(len(refused))} of {archive.name} refused: {reason.partition('; ')[0]}"
        found.append(make_finding("error", "refused", tuple(refused), what, remedy_of(reason)))
    return found


def _differs(member: UnpackedFile) -> str:
    return f"its bytes are not those that were unpacked from {member.archive}: another SHA256"


def _unpack_again(member: UnpackedFile) -> str:
    """What brings a file back: its archive if that is still there, or the download."""
    for place in member.places:
        with contextlib.suppress(MrikitError):  # it is in a container that this identity may not read, say
            if file_state(parse_location(place)) is not None:
                return f"unpack {place} again"
    return f"copy {member.archive} again with `mrikit data copy`, because it is not there any more, and unpack it"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
