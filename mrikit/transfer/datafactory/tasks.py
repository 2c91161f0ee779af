"""What a run of Data Factory does with an archive: copy it as it is, or unpack it.

Data Factory reads tar and tar.gz (https://learn.microsoft.com/azure/data-factory/format-binary, `TarGZip` and `Tar`),
but neither xz nor the manifests of mrikit. What it unpacks goes to a folder of the archive's own, below that of its
data set: of two archives in one folder nobody could tell whose members are whose. The manifest is written afterwards,
from what lies there: names and sizes, but no digests, which nobody has computed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mrikit.errors import StorageError, TransferError
from mrikit.storage import BlobPath, file_state, list_files, write_bytes
from mrikit.storage.estate import Estate
from mrikit.transfer.catalogue import archive_stem, load_catalogue
from mrikit.transfer.datafactory.client import ActivityState
from mrikit.transfer.mail import MailArchive
from mrikit.transfer.retry import Patience
from mrikit.transfer.source import HttpSource
from mrikit.transfer.unpacking.archive_kind import HEAD_BYTES, find_compression
from mrikit.transfer.unpacking.completeness import judge_completeness
from mrikit.transfer.unpacking.data_set_folder import below, member_folders
from mrikit.transfer.unpacking.manifest import (
    ArchiveRecord,
    Manifest,
    Member,
    format_manifest,
    manifest_path,
    read_manifest_if_any,
)

_FORMATS = {"none": "tar", "gz": "tar.gz"}
"""What Data Factory unpacks, by what the first bytes say; see `find_compression`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class There:
    """An archive that is at its target."""

    size_bytes: int
    """Of the archive."""
    sha256: str | None
    """Hex digest, if whoever wrote it noted one."""


class Task(Protocol):
    """What is done with one archive."""

    @property
    def archive(self) -> MailArchive:
        """Name and link."""

    @property
    def target(self) -> BlobPath:
        """What the run makes: a blob, or a folder of members."""

    @property
    def pipeline(self) -> str:
        """Its name in the factory."""

    @property
    def has_more_to_do(self) -> bool:
        """Whether something is left to do once a run has succeeded: its archive is unpacked, and has no manifest."""

    @property
    def parameters(self) -> Mapping[str, str]:
        """Of a run, but for the link."""

    @property
    def identity(self) -> Mapping[str, str]:
        """The parameters by which a run is known as this one."""

    def look(self) -> There | None:
        """What is at the target; None where the run has to be."""

    def moved_bytes(self, activity: ActivityState) -> int:
        """How much of the archive an activity has moved."""

    def check(self, run_id: str, size_bytes: int, done: Sequence[ActivityState]) -> None:
        """See whether what a run has made is right.

        Args:
            run_id: The run.
            size_bytes: Of the archive; 0 if unknown.
            done: Its activities that succeeded.

        Raises:
            MrikitError: It is not, on one line.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyTask:
    """An archive becomes a blob."""

    archive: MailArchive
    """Name and link."""
    target: BlobPath
    """The blob."""
    pipeline: str
    """The copy pipeline."""
    endpoint: str
    """The account that it writes to, for messages."""
    has_more_to_do: bool = field(default=False, init=False)
    """Never."""

    @property
    def parameters(self) -> Mapping[str, str]:
        """The place of the blob, in three parts."""
        return {
            "container": self.target.container,
            "folder": self.target.parent.key,
            "fileName": self.target.name,
        }

    @property
    def identity(self) -> Mapping[str, str]:
        """The place of the blob."""
        return self.parameters

    def look(self) -> There | None:
        """The blob."""
        blob = file_state(self.target)
        if blob is None:
            return None
        # What its writer noted, if that is about all of it.
        is_whole = blob.metadata.get("mrikit_size") == str(blob.size_bytes)
        return There(size_bytes=blob.size_bytes, sha256=blob.metadata.get("sha256") if is_whole else None)

    def moved_bytes(self, activity: ActivityState) -> int:
        """What it has written."""
        return activity.written_bytes

    def check(self, run_id: str, size_bytes: int, done: Sequence[ActivityState]) -> None:
        """Compare the size of the blob."""
        blob = file_state(self.target)
        if blob is None:
            raise StorageError(
                f"run {run_id} succeeded, but there is no {self.target}; does the pipeline write to {self.endpoint}?"
            )
        expected = size_bytes or sum(one.written_bytes for one in done)
        if blob.size_bytes != expected:
            raise StorageError(
                f"{self.target} has {blob.size_bytes} bytes, {expected} were expected; the same command copies again"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class UnpackTask:
    """An archive becomes a folder of its members."""

    archive: MailArchive
    """Name and link."""
    folder: BlobPath
    """Of its data set, where the manifest goes."""
    pipeline: str
    """The pipeline that unpacks."""
    form: str
    """tar or tar.gz."""
    has_more_to_do: bool = field(default=True, init=False)
    """Always: the manifest."""

    @property
    def target(self) -> BlobPath:
        """The folder of its own."""
        return self.folder / archive_stem(self.archive.name)

    @property
    def parameters(self) -> Mapping[str, str]:
        """The place of the folder, and how to read the archive."""
        return {**self.identity, "format": self.form}

    @property
    def identity(self) -> Mapping[str, str]:
        """The place of the folder."""
        return {"container": self.target.container, "folder": self.target.key}

    def look(self) -> There | None:
        """The archive as the manifest has it."""
        manifest = read_manifest_if_any(self.folder, self.archive.name)
        if manifest is None or not manifest.is_ok or manifest.archive.state != "whole":
            return None
        return There(size_bytes=manifest.archive.size_bytes, sha256=manifest.archive.sha256)

    def moved_bytes(self, activity: ActivityState) -> int:
        """What it has read of the archive."""
        return activity.read_bytes

    def check(self, run_id: str, size_bytes: int, done: Sequence[ActivityState]) -> None:
        """Write the manifest of what lies there, if that is what the run has written."""
        found = list_files(self.target)
        if not found:
            raise StorageError(f"run {run_id} succeeded, but no blob is below {self.target}; is the archive empty?")
        there, written = sum(state.size_bytes for state in found.values()), sum(one.written_bytes for one in done)
        if written and there != written:
            raise StorageError(
                f"{self.target} holds {there} bytes, but run {run_id} has written {written}; delete the folder and "
                f"give the same command again"
            )
        write_manifest(self.folder, self.target, self.archive.name, size_bytes)


def write_manifest(folder: BlobPath, members: BlobPath, name: str, size_bytes: int) -> Manifest:
    """Write the manifest of an archive that another program has unpacked: names and sizes of what lies there.

    Args:
        folder: Of the data set.
        members: The folder of this archive's own, below it.
        name: Of the archive.
        size_bytes: Of the archive; 0 if unknown.

    Raises:
        StorageError: The blobs cannot be listed, or the manifest not be written.
    """
    prefix = f"{members.name}/"
    found = tuple(
        Member(name=prefix + one, size_bytes=state.size_bytes, sha256=None, state="done", is_verified=False)
        for one, state in list_files(members).items()
    )
    completeness = judge_completeness(
        [member.name for member in found], None, load_catalogue().num_volumes(name), is_stopped=False, earlier=None
    )
    record = ArchiveRecord(name=name, size_bytes=size_bytes, state="whole", completeness=completeness)
    manifest = Manifest(archive=record, members=found)
    write_bytes(manifest_path(folder, name), format_manifest(manifest))
    return manifest


def make_tasks(archives: Sequence[MailArchive], to: BlobPath, estate: Estate, *, unpacks: bool) -> list[Task]:
    """What is to be done with each archive.

    Args:
        archives: Names and links.
        to: The prefix that they go to.
        estate: Names the pipelines.
        unpacks: Whether those that Data Factory can unpack are to be unpacked.
    """

    def copying(archive: MailArchive) -> Task:
        return CopyTask(
            archive=archive, target=to / archive.name, pipeline=estate.copy_pipeline, endpoint=estate.blob_endpoint
        )

    if not unpacks:
        return [copying(archive) for archive in archives]
    folders = member_folders(to, [archive.name for archive in archives])
    tasks: list[Task] = []
    for archive in archives:
        form = _form(archive)
        folder = below(to, folders[archive.name])
        assert isinstance(folder, BlobPath)
        if form:
            pipeline = estate.unpack_pipeline
            tasks.append(UnpackTask(archive=archive, folder=folder, pipeline=pipeline, form=form))
        else:
            tasks.append(copying(archive))
    return tasks


def _form(archive: MailArchive) -> str:
    """What Data Factory calls the kind of an archive, by its first bytes, or by its name once the link is too old."""
    source = HttpSource(archive.link, name=archive.name, num_connections=1, patience=Patience().briefly())
    try:
        kind = find_compression(source.read(0, min(HEAD_BYTES, source.size_bytes)))
    except TransferError:
        name = archive.name.lower()
        kind = "gz" if name.endswith((".tar.gz", ".tgz")) else "none" if name.endswith(".tar") else None
    finally:
        source.close()
    return _FORMATS.get(kind or "", "")
