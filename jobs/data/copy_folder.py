"""`mrikit data copy FOLDER`: unpacked data sets from disk to Blob and back."""

import json
import shlex
from typing import TYPE_CHECKING, Any

import typer

from mrikit.commands.output import messages_console, results_console
from mrikit.commands.places import Location
from mrikit.commands.progress import Progress
from mrikit.errors import StorageError
from mrikit.storage import BlobPath
from mrikit.words import counted, in_bytes

if TYPE_CHECKING:
    from mrikit.transfer.data_set import DataSetPlan, DataSetResult

_MARGIN_BYTES = 2**16
_MOST_NAMED = 10


def copy_folder(source: Location, to: Location, *, is_dry_run: bool, is_json: bool) -> None:
    """Plan, tell, do, tell.

    Raises:
        MrikitError: A place cannot be used at all.
    """
    from mrikit.transfer.data_set import copy_data_set, plan_data_set

    plan, messages = plan_data_set(source, to), messages_console()
    if is_dry_run and is_json:
        typer.echo(json.dumps(_plan_facts(plan)))
    else:
        # What is wrong with files a copy says as it goes.
        for line in _plan_lines(plan) + (_fault_lines(plan) if is_dry_run else []):
            (results_console() if is_dry_run else messages).print(line)
    if is_dry_run:
        if plan.faults:
            raise typer.Exit(1)
        return
    _require_space(plan)
    with Progress("copy", total=plan.missing_bytes, messages=messages) as progress:
        result = copy_data_set(
            plan,
            on_bytes=lambda name, count: progress.advance(count, at=name.rpartition("/")[2]),
            on_failure=progress.say,
        )
    following = None if result.failed else f"mrikit data check {shlex.quote(str(to))}"
    if is_json:
        typer.echo(json.dumps(_result_facts(plan, result) | {"next": following}))
    else:
        _print_result(plan, result)
        if following:
            typer.echo(f"next: {following}")
    if result.failed:
        raise typer.Exit(1)


def _plan_facts(plan: "DataSetPlan") -> dict[str, Any]:
    return {
        "from": str(plan.source),
        "to": str(plan.to),
        "num_files": len(plan.files),
        "size_bytes": plan.size_bytes,
        "missing_bytes": plan.missing_bytes,
        "num_archives": len(plan.manifests),
        "left_out": list(plan.unpacked),
        "faults": dict(plan.faults),
    }


def _plan_lines(plan: "DataSetPlan") -> list[str]:
    num_known = sum(one.sha256 is not None for one in plan.files)
    amount = (
        f"{counted(len(plan.files), 'file')}, {in_bytes(plan.missing_bytes)} of {in_bytes(plan.size_bytes)} to come"
    )
    known = f"manifests of {counted(len(plan.manifests), 'archive')} know the SHA256 of {num_known:,}"
    lines = [f"copy: {amount}, from {plan.source} to {plan.to}; {known}"]
    if plan.unpacked:
        lines.append(f"left out: {counted(len(plan.unpacked), 'archive')}, because all that they hold is unpacked here")
    return lines


def _fault_lines(plan: "DataSetPlan") -> list[str]:
    named = list(plan.faults.items())[:_MOST_NAMED]
    lines = [f"{name}: {reason}" for name, reason in named]
    if len(plan.faults) > len(named):
        lines.append(f"{len(plan.faults) - len(named)} more files are not as their manifest says")
    return lines


def _require_space(plan: "DataSetPlan") -> None:
    """Refuse what a local disk cannot hold."""
    if isinstance(plan.to, BlobPath):
        return
    from mrikit.transfer.copying.preview import free_bytes

    free = free_bytes(plan.to)
    if plan.missing_bytes and plan.missing_bytes + _MARGIN_BYTES > free:
        raise StorageError(
            f"{plan.to}: {in_bytes(plan.missing_bytes)} are to come but only {in_bytes(free)} of disk are free; free "
            f"some space, or choose another folder"
        )


def _result_facts(plan: "DataSetPlan", result: "DataSetResult") -> dict[str, Any]:
    return {
        "from": str(plan.source),
        "to": str(plan.to),
        "num_copied": len(result.copied),
        "num_present": len(result.present),
        "num_compared": result.num_compared,
        "num_indexed": result.num_indexed,
        "size_bytes": sum(state.size_bytes for state in (result.copied | result.present).values()),
        "copied_bytes": sum(state.size_bytes for state in result.copied.values()),
        "failed": result.failed,
    }


def _print_result(plan: "DataSetPlan", result: "DataSetResult") -> None:
    facts = _result_facts(plan, result)
    index = f"; its index knows {counted(result.num_indexed, 'file')}" if result.num_indexed else ""
    typer.echo(
        f"{counted(facts['num_copied'], 'file')} copied, {in_bytes(facts['copied_bytes'])}; "
        f"{facts['num_present']:,} there before; SHA256 as unpacked of {facts['num_compared']:,}{index}"
    )
    if result.failed:
        typer.echo(f"{counted(len(result.failed), 'file')} failed; the same command tries them again")
