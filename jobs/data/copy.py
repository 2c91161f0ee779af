"""`mrikit data copy`: a download mail's archives, or an unpacked data set, into a folder or into Blob."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrikit.commands.data.copy_options import CopyOptions
from mrikit.commands.output import messages_console, results_console
from mrikit.commands.places import AS_LOCATION, Location
from mrikit.errors import ConfigError, DataError, StorageError
from mrikit.storage import BlobPath, parse_location

if TYPE_CHECKING:
    from rich.console import Console

    from mrikit.transfer.engines import Engine, Planned
    from mrikit.transfer.mail import MailArchive
    from mrikit.transfer.results import CopyResult
    from mrikit.transfer.unpack_as_copied import Unpacked
    from mrikit.transfer.vault import SecretAddress


def _read_source(text: str) -> "Location | SecretAddress":
    """A location; in a job also the address of a secret that holds links."""
    from mrikit.transfer.vault import find_address

    return find_address(text) or parse_location(text)


def copy(
    source: Annotated[
        Location,
        typer.Argument(
            parser=_read_source,
            metavar="MAIL|DATA",
            help="The mail as text or .eml, - for standard input; or an unpacked data set, a folder or az:// prefix.",
        ),
    ],
    to: Annotated[Location, typer.Option(**AS_LOCATION, help="A folder, or az://container/prefix.")],
    only: Annotated[
        list[str] | None,
        typer.Option(help="An archive, such as knee_multicoil_val, or all batches of a split; repeatable."),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="stream: through this machine, or Azure by itself; datafactory: by the estate. By default a mail "
            "goes into the linked estate by a job there (--on azure), and is streamed to other places."
        ),
    ] = None,
    keep_archives: Annotated[
        bool | None,
        typer.Option(
            "--keep-archives/--no-keep-archives",
            help="Whether archives stay as they are, or each is unpacked into TO and deleted once that is verified.",
        ),
    ] = None,
    volumes: Annotated[
        int | None,
        typer.Option(min=1, help="Take only so many volumes of each archive, straight from its link; keep no archive."),
    ] = None,
    connections: Annotated[int | None, typer.Option(min=1, help="To the source, all archives together; 8.")] = None,
    archives_at_once: Annotated[int | None, typer.Option(min=1, help="Archives on their way together; 4.")] = None,
    max_rate: Annotated[str | None, typer.Option(help="Bound on the rate, such as 50MB/s.")] = None,
    memory: Annotated[
        str | None, typer.Option(help="Bound on blocks in memory, such as 64MB, of unpacking too; 128MiB.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Copy the archives of a download mail; what is there is not fetched again, also after a kill or with a new mail.

    Sizes are checked, and digests against the list in the mail. Of an unpacked data set sizes and digests are those of
    its manifests, and its index comes along. Exits with 1 if an archive or file failed, expired or does not match, or
    with --dry-run could not be asked for.
    """
    if isinstance(source, BlobPath) or (isinstance(source, Path) and source.is_dir()):
        from mrikit.commands.data.copy_folder import copy_folder

        own = {"only": only, "engine": engine, "keep-archives": keep_archives, "volumes": volumes}
        own |= {
            "connections": connections,
            "archives-at-once": archives_at_once,
            "max-rate": max_rate,
            "memory": memory,
        }
        given = next((name for name, value in own.items() if value not in (None, [])), None)
        if given:
            raise ConfigError(f"--{given} is for the archives of a mail; {source} is a data set: leave it out")
        copy_folder(source, to, is_dry_run=dry_run, is_json=as_json)
        return
    options = options_of(
        {
            "engine": engine,
            "keep_archives": keep_archives,
            "volumes": volumes,
            "connections": connections,
            "archives_at_once": archives_at_once,
            "max_rate": max_rate,
            "memory": memory,
        }
    )
    options.require_sense(to)
    _copy(options, source, to, only or (), is_dry_run=dry_run, is_json=as_json)


def options_of(given: Mapping[str, Any]) -> CopyOptions:
    """The options of a copy of archives from those of the command."""
    known = {one.name: given[one.name] for one in fields(CopyOptions)}
    return CopyOptions(**known | {"engine": given["engine"] or "stream"})


def _offered(source: "Location | SecretAddress") -> "list[MailArchive]":
    """What a mail offers, or the links that another machine has written for this job."""
    from mrikit.commands.data.mail import read_mail_file
    from mrikit.transfer.mail import read_mail
    from mrikit.transfer.vault import SecretAddress, take_links

    if isinstance(source, SecretAddress):
        return take_links(source)
    assert isinstance(source, Path), "a data set is no mail"
    return read_mail(read_mail_file(source))


def _copy(
    options: CopyOptions,
    source: "Location | SecretAddress",
    to: Location,
    only: Sequence[str],
    *,
    is_dry_run: bool,
    is_json: bool,
) -> None:
    """Plan, tell, do, tell."""
    from mrikit.commands.data.copy_report import next_command, plan_facts, print_plan, print_results, result_facts
    from mrikit.transfer.engines import open_engine
    from mrikit.transfer.selection import select

    messages, output = messages_console(), results_console()
    engine = open_engine(options.engine_settings(), to, messages.print)
    offered = _offered(source)
    plan = engine.plan(select(offered, only))
    done: set[str] = set()
    if options.mode == "unpack":
        from mrikit.transfer.unpack_as_copied import unpacked_before

        done = unpacked_before(to, {one.archive.name: one.size_bytes for one in plan})
        plan = [one for one in plan if one.archive.name not in done]
    if options.mode != "copy":
        from mrikit.transfer.unpacking.data_set_folder import notes_on_old_places

        for note in notes_on_old_places(to, [*(one.archive.name for one in plan), *done]):
            messages.print(note)
    facts = plan_facts(plan, to, done)
    if is_dry_run and is_json:
        typer.echo(json.dumps(facts))
    else:
        print_plan(facts, options, output if is_dry_run else messages)
    if is_dry_run:
        if any(one.error for one in plan):
            raise typer.Exit(1)
        return
    results, states = _run(options, engine, plan, offered, to, messages)
    rows = result_facts([one.archive.name for one in plan], results, states, done)
    following = next_command(options, to) if all(row["is_ok"] for row in rows) else None
    if is_json:
        typer.echo(json.dumps({"archives": rows, "next": following}))
    else:
        print_results(rows, options, to, output, messages)
        if following:
            typer.echo(f"next: {following}")
    if not all(row["is_ok"] for row in rows):
        raise typer.Exit(1)


def _run(
    options: CopyOptions,
    engine: "Engine",
    plan: "Sequence[Planned]",
    offered: "Sequence[MailArchive]",
    to: Location,
    messages: "Console",
) -> "tuple[list[CopyResult], dict[str, Unpacked]]":
    """What has become of each archive, and of its unpacking."""
    digests = _published(offered, to, messages.print) if any(not one.error for one in plan) else {}
    if options.volumes is not None:
        from mrikit.transfer.unpack_as_copied import Unpacked, take_volumes

        failed = {one.archive.name: Unpacked("failed") for one in plan if one.error}
        archives, at_once = [one.archive for one in plan if not one.error], options.archives_at_once
        taken = take_volumes(archives, to, options.volumes, digests=digests, at_once=at_once, say=messages.print)
        return [], failed | taken
    if options.mode == "copy":
        return _bring(engine, plan, digests, messages, on_result=lambda _result: None), {}
    from mrikit.transfer.unpack_as_copied import Unpacker

    unpacker = Unpacker(to, digests, messages.print, options.unpack_memory_bytes())
    try:
        results = _bring(engine, plan, digests, messages, on_result=unpacker.submit)
        return results, unpacker.finish()
    except BaseException:
        unpacker.stop()
        raise


def _published(offered: "Sequence[MailArchive]", to: Location, say: Callable[[str], None]) -> dict[str, str]:
    """The digests of the mail's list, noted below TO for all who unpack; and those of earlier mails."""
    from mrikit.transfer.digests import fetch_digests
    from mrikit.transfer.published import note_published, published_digests
    from mrikit.transfer.retry import Patience

    digests = fetch_digests(offered, patience=Patience().briefly(), on_failure=say, on_retry=say)
    try:
        note_published(to, digests)
        return published_digests(to)
    except (StorageError, DataError) as error:  # a folder that may only be read keeps none
        say(f"{error}; the published digests are not noted there")
        return digests


def _bring(
    engine: "Engine",
    plan: "Sequence[Planned]",
    digests: Mapping[str, str],
    messages: "Console",
    on_result: "Callable[[CopyResult], None]",
) -> "list[CopyResult]":
    from mrikit.commands.data.copy_progress import CopyProgress

    to_come = {one.archive.name: one.size_bytes - one.present_bytes for one in plan if not one.error}
    shown = CopyProgress(messages, to_come)
    with shown.progress:
        return engine.copy([one.archive for one in plan], digests, shown.show, on_result)
