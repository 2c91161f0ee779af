"""`mrikit data copy ... --on azure`: a job in the region of the estate copies, and is followed to its end."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import typer

from mrikit.commands.natural import say
from mrikit.commands.on import submit_as_given, words_of
from mrikit.errors import ConfigError
from mrikit.launching.backends import in_estate, traits_of
from mrikit.launching.options import Chosen
from mrikit.storage import BlobPath

_OF_THIS_MACHINE = ("source", "only", "engine", "as_json", "to")


def natural_copy(context: typer.Context, given: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a mail into the linked estate by a job in its region, unless an engine or a back end is named.

    Returns:
        Options to change.
    """
    from mrikit.storage.blob import blob_endpoint
    from mrikit.storage.estate import load_estate

    to, source = given["to"], given["source"]
    if context.params.get("on") or given["engine"] or not isinstance(to, BlobPath):
        return {}
    if not isinstance(source, Path) or source.is_dir():
        return {}
    estate = load_estate()
    if estate is None or to.container not in estate.datastores:
        return {}
    if blob_endpoint(to.container) != estate.endpoint(to.container).rstrip("/"):
        return {}
    say(f"engine: a job in {estate.location}, where {to} is; --engine stream copies through this machine")
    return {"on": in_estate()}


def submit_copy(context: typer.Context, given: Mapping[str, Any], chosen: Chosen) -> None:
    """Submit the copy of a mail or of a data set.

    Raises:
        MrikitError: It makes no sense there, or did not succeed.
    """
    source = given["source"]
    if given["engine"] == "datafactory":
        raise ConfigError(f"--engine datafactory runs in Azure by itself; leave out --on {chosen.on}")
    if not isinstance(source, Path) or source.is_dir():
        submit_as_given(context, given, chosen)
        return
    if str(source) == "-" and traits_of(chosen.on or "").shares_files:
        raise ConfigError(f"-: a job on {chosen.on} has no standard input; save the mail as a file")
    if traits_of(chosen.on or "").shares_files:
        submit_as_given(context, given, chosen)
        return
    _copy_by_job(context, given, chosen)


def _copy_by_job(context: typer.Context, given: Mapping[str, Any], chosen: Chosen) -> None:
    from mrikit.commands.data.copy import options_of
    from mrikit.commands.data.copy_report import next_command
    from mrikit.commands.data.mail import read_mail_file
    from mrikit.launching.copy_job import CopyJob, archives_with_digests, copy_elsewhere
    from mrikit.transfer.mail import read_mail
    from mrikit.transfer.selection import require_own_names, select

    to, options = given["to"], options_of(given)
    options.require_sense(to)
    if given["as_json"]:
        raise ConfigError(f"--json is for a copy by this machine; leave it out with --on {chosen.on}")
    if not isinstance(to, BlobPath):
        raise ConfigError(f"--to {to} is on this machine, where a job in Azure does not see it; name az://raw/...")
    offered = read_mail(read_mail_file(given["source"]))
    archives = select(offered, given["only"] or ())
    require_own_names(archives)
    leaving_out = (*_OF_THIS_MACHINE, *(one.name for one in fields(Chosen)))
    words = ("--to", str(to), *words_of(context, leaving_out=leaving_out)[2:])
    copy = CopyJob(archives=archives_with_digests(archives, offered), to=to, options=words)
    record = copy_elsewhere(copy, chosen, say=say)
    if record is not None:
        typer.echo(f"job {record.spec.name} succeeded: {len(archives)} of {len(archives)} archives are in {to}")
        typer.echo(f"next: {next_command(options, to)} --on azure")
