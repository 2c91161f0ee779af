"""Compare a data folder with the manifests that `mrikit data unpack` left in it."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mrikit.check.findings import Finding, Severity
from mrikit.errors import DataError
from mrikit.storage import FileState, Location, read_range
from mrikit.transfer.unpacking.manifest import Manifest, read_manifest
from mrikit.transfer.unpacking.members import MANIFEST_FOLDER

_SUFFIX = ".jsonl"
_CHUNK_BYTES = 8 * 2**20
_COPY_AGAIN = "copy the archive again and unpack it"


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A file that was unpacked."""

    archive: str
    """The archive that it came from."""
    name: str
    """Relative to the data folder."""
    size_bytes: int
    sha256: str | None
    """Hex digest of its content, where it is known."""


def read_manifests(folder: Location, names: Iterable[str]) -> tuple[list[Finding], list[Member]]:
    """What is wrong with archives that were unpacked below a folder, and the files that must be there.

    Args:
        folder: The data folder.
        names: Every file below it, relative to it.

    Raises:
        StorageError: A manifest cannot be read.
    """
    found: list[Finding] = []
    members: list[Member] = []
    for name in names:
        *above, last = name.split("/")
        if above[-1:] != [MANIFEST_FOLDER] or not last.endswith(_SUFFIX):
            continue
        prefix, archive = "".join(f"{part}/" for part in above[:-1]), last.removesuffix(_SUFFIX)
        try:
            manifest = read_manifest(folder / prefix if prefix else folder, archive)
        except DataError as error:
            what, _, remedy = str(error).removeprefix(f"{folder / name}: ").partition("; ")
            found.append(_finding("error", "manifest", (name,), what, remedy))
            continue
        found += _archive_findings(prefix, manifest)
        members += [
            Member(
                archive=archive,
                name=prefix + member.name,
                size_bytes=member.size_bytes,
                sha256=member.sha256,
            )
            for member in manifest.done
        ]
    return found, members


def check_members(members: Iterable[Member], states: Mapping[str, FileState]) -> list[Finding]:
    """Files that are missing or have another size; the missing ones of an archive are one finding."""
    missing: dict[str, list[str]] = {}
    found = []
    for member in members:
        state = states.get(member.name)
        if state is None:
            missing.setdefault(member.archive, []).append(member.name)
        elif state.size_bytes != member.size_bytes:
            what = f"{state.size_bytes} bytes, but {member.archive} has it with {member.size_bytes}"
            found.append(_finding("error", "size_differs", (member.name,), what, _unpack_again(member.archive)))
    for archive, names in missing.items():
        what = f"{_files(len(names))} unpacked from {archive}, but not there any more"
        found.append(_finding("error", "missing", tuple(names), what, _unpack_again(archive)))
    return found


def check_sha256(folder: Location, member: Member, on_bytes: Callable[[int], None]) -> list[Finding]:
    """Read a file and compare its digest with that of the manifest.

    Raises:
        StorageError: It cannot be read.
    """
    digest, start = hashlib.sha256(), 0
    while chunk := read_range(folder / member.name, start, _CHUNK_BYTES):
        digest.update(chunk)
        start += len(chunk)
        on_bytes(len(chunk))
        if len(chunk) < _CHUNK_BYTES:
            break
    if digest.hexdigest() == member.sha256:
        return []
    what = f"its bytes are not those that were unpacked from {member.archive}: another SHA256"
    return [_finding("error", "sha256_differs", (member.name,), what, _unpack_again(member.archive))]


def _archive_findings(prefix: str, manifest: Manifest) -> list[Finding]:
    """What the unpacking said of the archive, and of members that it refused."""
    archive = manifest.archive
    files, found = (prefix + archive.name,), []
    if archive.state == "partial":
        what = f"unpacked only in part: {_files(len(manifest.done))} so far"
        found.append(_finding("error", "unfinished", files, what, "give the same `mrikit data unpack` again"))
    elif archive.state in ("truncated", "damaged"):
        what = f"the archive is {archive.state}: {archive.where or 'it ended early'}"
        found.append(_finding("error", f"archive_{archive.state}", files, what, _COPY_AGAIN))
    elif archive.state == "trailing bytes":
        what = f"something follows the end of the archive: {archive.where or 'unknown bytes'}"
        found.append(
            _finding("warning", "trailing_bytes", files, what, "nothing, if its checksum is the published one")
        )
    if archive.checksum == "mismatch":
        what = "the archive is not the published one: another SHA256"
        found.append(_finding("error", "checksum", files, what, _COPY_AGAIN))
    completeness = archive.completeness
    if completeness.state == "incomplete":
        names = tuple(prefix + name for name in completeness.missing) or files
        what = f"{completeness.num_missing} of {completeness.num_expected} published members are not in {archive.name}"
        found.append(_finding("error", "incomplete", names, what, _COPY_AGAIN))
    by_reason: dict[str, list[str]] = {}
    for member in manifest.refused:
        by_reason.setdefault(member.reason or "no reason is known", []).append(prefix + member.name)
    for reason, refused in by_reason.items():
        what = f"{_files(len(refused))} of {archive.name} refused: {reason}"
        found.append(
            _finding("error", "refused", tuple(refused), what, "ask the publisher for an archive without them")
        )
    return found


def _unpack_again(archive: str) -> str:
    return f"unpack {archive} again"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _finding(severity: Severity, kind: str, files: tuple[str, ...], what: str, remedy: str) -> Finding:
    return Finding(severity=severity, kind=kind, files=files, what=what, remedy=remedy)
