"""Check a data folder: manifests, leftovers and headers, and where asked for every byte and slice."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mrikit.check.findings import Finding, in_order
from mrikit.check.headers import check_headers
from mrikit.check.journal import JOURNAL_NAME, own_file
from mrikit.check.leftovers import check_leftovers
from mrikit.check.manifests import UnpackedFile, check_members, check_sha256, is_manifest, read_manifests, with_remedies
from mrikit.errors import ConfigError, DataError
from mrikit.storage import FileState, Location, list_files
from mrikit.volumes import Index, build_index
from mrikit.volumes.files import held_open, nothing_found
from mrikit.volumes.index_workers import num_processors
from mrikit.volumes.scan import scan

if TYPE_CHECKING:
    from mrikit.check.contents import Item

_INDEX_NAME = "index.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a check found."""

    folder: Location
    """The data folder."""
    is_deep: bool
    """Whether every slice was read, now or by an earlier check."""
    num_volumes: int
    num_slices: int
    num_archives: int
    """Archives that were unpacked here."""
    num_members: int
    """Their files."""
    num_read: int
    """Files that a deep check has read now."""
    num_known: int
    """Files of which a deep check has taken all from the last one."""
    findings: list[Finding]
    """Errors first."""

    @property
    def num_errors(self) -> int:
        """Findings that are errors; the others are warnings."""
        return sum(finding.severity == "error" for finding in self.findings)


def check_folder(
    folder: Location,
    *,
    is_deep: bool = False,
    num_workers: int | None = None,
    is_again: bool = False,
    on_header: Callable[[int, int], None] | None = None,
    on_start: Callable[[int, int, int], None] = lambda _items, _bytes, _known: None,
    on_bytes: Callable[[str, int], None] = lambda _name, _count: None,
) -> Report:
    """Check that the files of a folder are all there, whole, and what they say they are.

    Args:
        folder: The data folder.
        is_deep: Whether to read every slice, and every file whose digest a manifest knows.
        num_workers: Processes that open files, and threads that read them; None for one per processor. A thread
            holds about two slices of k-space.
        is_again: Whether a deep check reads again what an earlier one has read.
        on_header: Called with the number of files opened and the number to open.
        on_start: Called before reading with the number of files to read, the bytes, where a file counts once for its
            slices and once for its digest, and the number of files that are known.
        on_bytes: Called from any thread with the name of a file and the bytes that were read of it.

    Raises:
        ConfigError: There is no worker.
        DataError: There is no such folder, or nothing in it to check.
        StorageError: It cannot be listed or reached, or the results cannot be kept.
    """
    if num_workers is not None and num_workers < 1:
        raise ConfigError(f"at least 1 worker is needed, found {num_workers}")
    num_workers = num_workers or num_processors()
    # Before anything is opened: what changes meanwhile is then read again by the next check.
    states, signatures = list_files(folder), scan(folder)
    archives, members = read_manifests(folder, states)
    findings = [*archives, *check_members(members, states), *check_leftovers(folder, states)]
    index = _index(folder, num_workers, on_header, findings)
    num_read = num_known = 0
    if index is not None:
        findings += check_headers(index)
    if is_deep:
        from mrikit.check.contents import check_contents  # here, because it loads torch

        items = [*_volumes(index, signatures), *_members(folder, members, states)]
        journal = own_file(folder, JOURNAL_NAME)
        contents = check_contents(
            items, journal, num_workers=num_workers, is_again=is_again, on_start=on_start, on_bytes=on_bytes
        )
        findings += with_remedies(contents.findings, members)
        num_read, num_known = contents.num_read, contents.num_known
    return Report(
        folder=folder,
        is_deep=is_deep,
        num_volumes=0 if index is None else len(index),
        num_slices=0 if index is None else sum(shape[0] for shape in index.shapes),
        num_archives=sum(map(is_manifest, states)),
        num_members=len(members),
        num_read=num_read,
        num_known=num_known,
        findings=in_order(findings),
    )


def _index(
    folder: Location,
    num_workers: int,
    on_header: Callable[[int, int], None] | None,
    findings: list[Finding],
) -> Index | None:
    """The index, brought up to date; None if there is no volume but something else to report."""
    path = own_file(folder, _INDEX_NAME)
    is_elsewhere = isinstance(folder, Path) and folder not in path.parents
    try:
        return build_index(folder, num_workers, path=path if is_elsewhere else None, on_progress=on_header)
    except DataError as error:
        if not findings or str(error) != nothing_found(folder):
            raise
        what = str(error).removeprefix(f"{folder}: ")
        remedy = "unpack the archives, with `mrikit data unpack`"
        findings.append(Finding(severity="error", kind="no_volume", files=(), what=what, remedy=remedy))
        return None


def _volumes(index: Index | None, signatures: Mapping[str, list[int]]) -> Iterator["Item"]:
    """Every volume, to have its slices read."""
    from mrikit.check.contents import Item

    if index is None:
        return
    num_volumes = Counter(index.names)
    for position, (name, label, shape) in enumerate(zip(index.names, index.labels, index.shapes, strict=True)):
        signature = signatures.get(name)
        if signature is not None:
            size_bytes = sum(signature[::2]) // num_volumes[name]
            work = partial(_read_slices, index, position, label, size_bytes // shape[0])
            yield Item(key=("slices", label), signature=[*signature], size_bytes=size_bytes, work=work)


def _members(folder: Location, members: list[UnpackedFile], states: Mapping[str, FileState]) -> Iterator["Item"]:
    """Every file of an archive that has the right size, to have its digest compared."""
    from mrikit.check.contents import Item

    for member in members:
        state = states.get(member.name)
        if member.sha256 is not None and state is not None and state.size_bytes == member.size_bytes:
            yield Item(
                key=(f"sha256 of {member.manifest}", member.name),  # two archives may both have it
                signature=[state.size_bytes, state.version, member.sha256],
                size_bytes=state.size_bytes,
                work=partial(check_sha256, folder, member),
            )


def _read_slices(
    index: Index, position: int, label: str, slice_bytes: int, on_bytes: Callable[[int], None]
) -> list[Finding]:
    from mrikit.check.slices import check_slices

    try:
        volume = index.load(position)
    except DataError as error:
        what = str(error).removeprefix(f"{index.folder / index.names[position]}: ")
        remedy = "copy or unpack it again, or leave it out"
        return [Finding(severity="error", kind="unreadable", files=(label,), what=what, remedy=remedy)]
    with held_open(volume) as held:
        return check_slices(label, held, lambda: on_bytes(slice_bytes))
