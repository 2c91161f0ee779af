"""`mrikit report`: a run to one HTML file."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[
        Path, typer.Argument(help="Folder that holds reconstructions, scored or not, and training runs, at any depth.")
    ],
    out: Annotated[Path | None, typer.Option(help="The file; RUN/report.html by default.")] = None,
) -> None:
    """Write scores, pictures and training curves of RUN as one self-contained HTML file."""
    from mrikit.report import write_report

    typer.echo(write_report(run, out))
