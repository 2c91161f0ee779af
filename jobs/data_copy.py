"""`mrikit data copy`: the archives of a download mail into a folder or into Blob."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from jobs.copy_options import CopyOptions, choose_archives
from jobs.places import AS_LOCATION, Location
from mrikit.storage import BlobPath

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mrikit.transfer.copying.stream import PlannedArchive
    from mrikit.transfer.mail import MailArchive
    from mrikit.transfer.results import CopyResult


def copy(
    mail_file: Annotated[Path, typer.Argument(help="The mail as text or .eml; - reads it from standard input.")],
    to: Annotated[Location, typer.Option(**AS_LOCATION, help="A folder, or az://container/prefix.")],
    only: Annotated[
        list[str] | None,
        typer.Option(help="An archive, such as knee_multicoil_val, or all batches of a split; repeatable."),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="stream: through this machine, or Azure by itself; datafactory: the estate's pipeline.")
    ] = "stream",
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
    memory: Annotated[str | None, typer.Option(help="Bound on blocks in memory, such as 64MB; 128MiB.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Copy the archives of a download mail; what is there is not fetched again, also after a kill or with a new mail.

    Sizes are checked, and digests against the list in the mail. Exits with 1 if an archive failed, expired or does not
    match.
    """
    from jobs.copy_report import next_command, plan_facts, print_plan, print_results, result_facts
    from jobs.data_mail import read_mail_file
    from mrikit.transfer.copying.stream import plan_copy
    from mrikit.transfer.digests import fetch_digests
    from mrikit.transfer.mail import read_mail

    options = CopyOptions(
        engine=engine,
        keep_archives=keep_archives,
        volumes=volumes,
        connections=connections,
        archives_at_once=archives_at_once,
        max_rate=max_rate,
        memory=memory,
    )
    options.require_sense(to)
    settings = options.settings()
    messages = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    offered = read_mail(read_mail_file(mail_file))
    archives = choose_archives(offered, only or ())
    done: set[str] = set()
    if options.mode == "unpack":
        from jobs.copy_unpack import unpacked_before

        done = unpacked_before(to, archives)
    plan = plan_copy([one for one in archives if one.name not in done], to, settings=settings)
    # A pipe counts as narrow, and rich would cut off what is beyond.
    output = Console(width=max(Console().width, 130), highlight=False, markup=False, soft_wrap=True)
    facts = plan_facts(plan, to, done)
    if dry_run and as_json:
        typer.echo(json.dumps(facts))
    else:
        print_plan(facts, options, output if dry_run else messages)
    if dry_run:
        return
    digests = fetch_digests(offered, patience=settings.patience, on_failure=messages.print)
    results, states = _run(options, plan, to, digests, messages)
    rows = result_facts(plan, results, states, done)
    following = next_command(options, to)
    if as_json:
        typer.echo(json.dumps({"archives": rows, "next": following}))
    else:
        print_results(rows, output)
        typer.echo(f"next: {following}")
    if not all(row["is_ok"] for row in rows):
        raise typer.Exit(1)


def _run(
    options: CopyOptions,
    plan: "Sequence[PlannedArchive]",
    to: Location,
    digests: "Mapping[str, str]",
    messages: Console,
) -> "tuple[list[CopyResult], dict[str, str]]":
    """What has become of each archive, and of its unpacking."""
    if options.mode == "volumes":
        from jobs.copy_unpack import take_volumes

        assert options.volumes is not None, "or the mode is another one"
        archives = [one.archive for one in plan]
        return [], take_volumes(archives, to, options.volumes, at_once=options.archives_at_once, say=messages.print)
    if options.mode == "copy":
        return _copy(options, plan, to, digests, messages, on_result=lambda _result: None), {}
    from jobs.copy_unpack import Unpacker

    unpacker = Unpacker(to, digests, messages.print)
    try:
        results = _copy(options, plan, to, digests, messages, on_result=unpacker.submit)
        return results, unpacker.finish()
    except BaseException:
        unpacker.stop()
        raise


def _copy(
    options: CopyOptions,
    plan: "Sequence[PlannedArchive]",
    to: Location,
    digests: "Mapping[str, str]",
    messages: Console,
    on_result: "Callable[[CopyResult], None]",
) -> "list[CopyResult]":
    from jobs.copy_progress import CopyProgress

    archives: list[MailArchive] = [one.archive for one in plan]
    settled = sum(one.size_bytes for one in plan if one.facts is None)
    with CopyProgress(messages, sum(one.size_bytes for one in plan), settled) as progress:
        if options.engine == "datafactory":
            from mrikit.transfer import datafactory

            assert isinstance(to, BlobPath), "require_sense has seen to it"
            usual = datafactory.DataFactorySettings()
            settings = datafactory.DataFactorySettings(num_runs=options.archives_at_once or usual.num_runs)
            results = datafactory.copy_archives(archives, to, settings=settings, on_event=progress.show)
            for result in results:
                on_result(result)
            return results
        from mrikit.transfer.copying.stream import copy_archives

        return copy_archives(
            archives,
            to,
            digests=digests,
            settings=options.settings(),
            on_event=progress.show,
            on_result=on_result,
            plan=plan,
        )
