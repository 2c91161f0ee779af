"""`mrikit report`: a run to one HTML file."""

import contextlib
from typing import Annotated

import typer

from mrikit.commands.places import AS_LOCATION, Location, results_of


def report(
    run: Annotated[
        Location,
        typer.Argument(
            **AS_LOCATION,
            help="Folder that holds reconstructions, scored or not, and training runs, at any depth; or "
            "az://container/prefix.",
        ),
    ],
    out: Annotated[Location | None, typer.Option(**AS_LOCATION, help="The file; RUN/report.html by default.")] = None,
) -> None:
    """Write scores, pictures and training curves of RUN as one self-contained HTML file."""
    from mrikit.report import REPORT_FILE, write_report
    from mrikit.storage import mirrored, nothing, only, shown

    with contextlib.ExitStack() as held:
        file = None
        if out:
            file = held.enter_context(mirrored(out.parent, nothing, writes=only(out.name))).folder / out.name
        folder = held.enter_context(mirrored(run, results_of, writes=nothing if out else only(REPORT_FILE))).folder
        written = write_report(folder, file)
    typer.echo(shown(written))
