"""`mrikit data index`: look once into every file, so that opening it later takes no time."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from mrikit.commands.natural import AS_DATA
from mrikit.commands.places import Location
from mrikit.commands.progress import Progress

if TYPE_CHECKING:
    from mrikit.volumes.index import Index


def index(
    data: Annotated[
        Location | None,
        typer.Argument(**AS_DATA, help="Volumes; a folder or az://container/prefix. MRIKIT_DATA or data/ by default."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that read, one per processor by default; of az://, files at once, 32."),
    ] = None,
    index_file: Annotated[
        Path | None, typer.Option("--index", help="Where to keep the index if DATA is read-only.")
    ] = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look once into every file of DATA, so that opening it later takes no time; list what cannot be read.

    Files that did not change since the last time are not read again. Of az:// two parts of each file are read, and the
    index lies there for all machines. Exits with 1 if a file is bad.
    """
    from mrikit.volumes.index import build_index

    assert data is not None
    with Progress("reading", "files") as progress:
        found = build_index(data, workers, path=index_file, on_progress=progress.show)
    if is_json:
        _print_json(found)
    else:
        _print_table(found)
    if found.bad_files:
        raise typer.Exit(1)


def _print_table(found: "Index") -> None:
    """One line per kind of volume, the sums, and the bad files."""
    from collections import Counter

    from rich.table import Table

    files = Counter(tuple(shape[1:]) for shape in found.shapes)
    slices: Counter[tuple[int, ...]] = Counter()
    for shape in found.shapes:
        slices[tuple(shape[1:])] += shape[0]
    table = Table("coils", "readout", "phase", "files", "slices", box=None, header_style="")
    for kind in sorted(files):
        table.add_row(*(str(value) for value in (*kind, files[kind], slices[kind])))
    table.add_row("all", "", "", str(len(found)), str(slices.total()))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(table)
    for bad_file in found.bad_files:
        console.print(f"bad: {bad_file.message}")
    console.print(f"{len(found)} volumes, {len(found.bad_files)} bad files; index in {found.path}")


def _print_json(found: "Index") -> None:
    import json

    facts = {
        "folder": str(found.folder),
        "index": str(found.path),
        "num_files": len(found),
        "num_slices": sum(shape[0] for shape in found.shapes),
        "shapes": sorted({tuple(shape[1:]) for shape in found.shapes}),
        "bad_files": {str(bad_file.path): bad_file.message for bad_file in found.bad_files},
    }
    typer.echo(json.dumps(facts))
