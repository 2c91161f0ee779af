"""`mrikit data unpack`: archives to verified volumes."""

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrikit.commands.data.unpack_report import facts, print_table
from mrikit.commands.output import messages_console
from mrikit.commands.places import AS_LOCATION, Location
from mrikit.commands.progress import Progress
from mrikit.errors import ConfigError, MrikitError, StorageError
from mrikit.words import counted, in_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from mrikit.transfer.unpacking.unpack import UnpackEvent, UnpackSettings
    from mrikit.transfer.unpacking.unpack_all import Outcome, UnpackJob


_LEAST_MEMORY_BYTES = 2**20


def unpack(
    archives: Annotated[
        list[Location], typer.Argument(help="Archives, or folders or az:// prefixes of archives.", **AS_LOCATION)
    ],
    to: Annotated[
        Location,
        typer.Option(
            help="Folder or az://container/prefix for the members; those of fastMRI go below it, to the folder of "
            "their data set, such as knee_multicoil.",
            **AS_LOCATION,
        ),
    ],
    members: Annotated[
        Path | None, typer.Option(help="Published names of volumes: ARCHIVE.txt, or a folder of such files.")
    ] = None,
    volumes: Annotated[int | None, typer.Option(help="Stop after so many files of each archive.")] = None,
    checksums: Annotated[Path | None, typer.Option(help="The published SHA256 file.")] = None,
    at_once: Annotated[int | None, typer.Option(help="Archives at a time; one per processor by default.")] = None,
    workers: Annotated[int | None, typer.Option(help="Threads that decode; one per processor by default.")] = None,
    memory: Annotated[
        str | None,
        typer.Option(help="For blocks and dictionaries of archives in flight, all together; 1GiB by default."),
    ] = None,
    max_expansion: Annotated[
        float, typer.Option(help="An archive that unpacks to more than so many times its size is taken for a bomb.")
    ] = 50.0,
    keep_archives: Annotated[
        bool,
        typer.Option(
            help="Keep archives; otherwise each goes once it is whole, unpacked without refusals, and nothing is known "
            "to be missing or to differ from the published SHA256."
        ),
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    is_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Unpack archives of any kind and name: tar, plain or in xz, gz, zst or bz2.

    The same command goes on where an interrupted one stopped. Checksum, the archive's own end and completeness are
    reported each for itself; exits with 1 if one of them is not right, or a member was refused.
    """
    messages = messages_console()
    settings = _settings(volumes, workers, memory, max_expansion)
    if at_once is not None:
        _require_some("at-once", at_once)
    if isinstance(to, Path):
        above = next((folder for folder in (to, *to.parents) if folder.exists()), to)
        if above.is_file():
            raise ConfigError(f"--to {to}: {above} is a file; name a folder for the members")
    plan = _make_plan(archives, members, checksums, to)
    _print_plan(plan, to, settings, messages)
    if dry_run:
        return
    outcomes, deleted = _work(plan, to, settings, at_once, messages, keep_archives=keep_archives)
    for name in [name for name, outcome in outcomes.items() if _is_other_file(outcome) and name not in plan.meant]:
        messages.print(f"passed over: {outcomes.pop(name)}")
    if not outcomes:
        raise _none_of(archives, plan.num_others + len(plan.jobs))
    is_ok = all(not isinstance(outcome, MrikitError) and outcome.is_ok for outcome in outcomes.values())
    if is_json:
        typer.echo(json.dumps([facts(name, outcome, deleted) for name, outcome in outcomes.items()]))
    else:
        print_table(outcomes)
        for path in deleted.values():
            typer.echo(f"deleted: {path}")
        if is_ok:
            typer.echo(f"next: mrikit data index {shlex.quote(str(to))}")
    if not is_ok:
        raise typer.Exit(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """What is to be done."""

    jobs: "list[UnpackJob]" = field(default_factory=list)
    """The archives, and what is known of each."""
    paths: dict[str, Location] = field(default_factory=dict)
    """Where each lies, by its name."""
    meant: set[str] = field(default_factory=set)
    """Those that were named themselves, not a folder of them, and those that are called as archives are."""
    num_others: int = 0
    """Files in those folders that are no archives."""


def _settings(volumes: int | None, workers: int | None, memory: str | None, max_expansion: float) -> "UnpackSettings":
    from mrikit.commands.data.copy_options import parse_memory
    from mrikit.transfer.unpacking.unpack import UnpackSettings

    for option, value in (("volumes", volumes), ("workers", workers)):
        if value is not None:
            _require_some(option, value)
    if not max_expansion > 0:
        raise ConfigError(f"--max-expansion {max_expansion}: more than 0 is needed")
    chosen = {} if workers is None else {"num_workers": workers}
    if memory is not None:
        chosen["memory_bytes"] = parse_memory(memory, "--memory", "512MB", _LEAST_MEMORY_BYTES)
    return UnpackSettings(num_volumes=volumes, max_expansion=max_expansion, **chosen)


def _require_some(option: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"--{option} {value}: at least 1 is needed")


def _none_of(places: "Sequence[Location]", num_others: int) -> StorageError:
    return StorageError(f"{', '.join(map(str, places))}: no archive among {counted(num_others, 'file')}")


def _make_plan(places: "Sequence[Location]", members: Path | None, checksums: Path | None, to: Location) -> _Plan:
    """Where each archive lies and what is known of it."""
    from mrikit.transfer.catalogue import load_catalogue
    from mrikit.transfer.source import FileSource
    from mrikit.transfer.unpacking.data_set_folder import member_folders
    from mrikit.transfer.unpacking.find_archives import find_archives, find_members, read_member_lists
    from mrikit.transfer.unpacking.unpack_all import UnpackJob

    found = find_archives(places)
    lists = read_member_lists(members) if members else {}
    digests = _published_digests(found.archives) if checksums is None else _read_checksums(checksums)
    names = [path.name for path in found.archives]
    plan = _Plan(meant={path.name for path in found.meant}, num_others=found.num_others)
    folders = member_folders(to, names)
    for path in found.archives:
        if path.name in plan.paths:
            raise ConfigError(f"{path} and {plan.paths[path.name]} have one name; unpack them into two folders")
        plan.paths[path.name] = path
        listed = load_catalogue().find(path.name)
        published = find_members(lists, path.name)
        plan.jobs.append(
            UnpackJob(
                source=FileSource(path),
                published=published,
                num_published=listed.num_volumes if listed and published is None else None,
                digest=digests.get(path.name),
                folder=folders[path.name],
            )
        )
    if not plan.jobs:
        raise _none_of(places, found.num_others)
    return plan


def _read_checksums(path: Path) -> dict[str, str]:
    """The digests of a list, by name of archive."""
    from mrikit.transfer.checksums import parse_checksums

    try:
        return parse_checksums(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path}: cannot be read: {error}") from error


def _published_digests(archives: "Sequence[Location]") -> dict[str, str]:
    """What `mrikit data copy` noted beside archives, by their names."""
    from mrikit.transfer.published import published_digests

    noted = {folder: published_digests(folder) for folder in {path.parent for path in archives}}
    return {path.name: noted[path.parent][path.name] for path in archives if path.name in noted[path.parent]}


def _print_plan(plan: _Plan, to: Location, settings: "UnpackSettings", messages: "Console") -> None:
    from mrikit.transfer.unpacking.data_set_folder import notes_on_old_places

    jobs = plan.jobs
    amount = "all" if settings.num_volumes is None else f"the first {settings.num_volumes}"
    messages.print(
        f"unpack: {counted(len(jobs), 'archive')}, {in_bytes(sum(job.source.size_bytes for job in jobs))}, {amount} "
        f"of their files, to {_places(plan, to)}; "
        f"{counted(sum(job.digest is not None for job in jobs), 'published digest')}, "
        f"{counted(sum(job.published is not None for job in jobs), 'list')} and "
        f"{counted(sum(job.num_published is not None for job in jobs), 'count')} of members; "
        f"{counted(settings.num_workers, 'thread')} to decode, {in_bytes(settings.memory_bytes)} for blocks in flight"
    )
    for note in notes_on_old_places(to, [job.source.name for job in jobs]):
        messages.print(note)
    if any(job.digest is None for job in jobs):
        messages.print(
            "checksum: an archive without a published digest is compared with none; `mrikit data copy` keeps those of "
            "its mail beside the archives, and --checksums FILE names a list"
        )
    if plan.num_others:
        messages.print(f"passed over: {counted(plan.num_others, 'other file')}, by their first bytes no archives")


def _places(plan: _Plan, to: Location) -> str:
    """Where members go."""
    from mrikit.transfer.unpacking.data_set_folder import below

    return " and ".join(sorted({str(below(to, job.folder)) for job in plan.jobs}))


def _work(
    plan: _Plan,
    to: Location,
    settings: "UnpackSettings",
    at_once: int | None,
    messages: "Console",
    *,
    keep_archives: bool,
) -> "tuple[dict[str, Outcome], dict[str, Location]]":
    """What has become of each archive, and which were deleted and lay where; by name."""
    from mrikit.storage import remove
    from mrikit.transfer.unpacking.unpack_all import unpack_all

    sizes = {job.source.name: job.source.size_bytes for job in plan.jobs}
    positions, deleted = dict.fromkeys(sizes, 0), dict[str, Location]()
    progress = Progress("unpack", total=sum(sizes.values()), messages=messages)

    def show(event: "UnpackEvent") -> None:
        positions[event.archive] = event.position_bytes
        progress.show_part(event.archive, event.position_bytes, sizes[event.archive])
        progress.show(sum(positions.values()))

    def finish(job: "UnpackJob", outcome: "Outcome") -> None:
        name = job.source.name
        positions[name] = sizes[name]
        progress.end_part(name)
        progress.show(sum(positions.values()))
        if not keep_archives and not isinstance(outcome, MrikitError) and outcome.is_settled:
            remove(plan.paths[name])
            deleted[name] = plan.paths[name]

    with progress:
        found = unpack_all(plan.jobs, to, settings=settings, at_once=at_once, on_event=show, on_outcome=finish)
    return {job.source.name: outcome for job, outcome in zip(plan.jobs, found, strict=True)}, deleted


def _is_other_file(outcome: "Outcome") -> bool:
    from mrikit.transfer.unpacking.damage import NotAnArchiveError

    return isinstance(outcome, NotAnArchiveError)
