"""`mrikit evaluate`: reconstructions to scores."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from rich.table import Table

    from mrikit.evaluate import Interval, Scores, VolumeScore

NUM_WORST = 5
PIPE_WIDTH = 120


def evaluate(
    recon: Annotated[list[Path], typer.Option(help="Folder that `mrikit reconstruct` wrote; repeatable.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of the volumes; by default the one that was reconstructed.")
    ] = None,
    scorer: Annotated[str, typer.Option(help="Window and metrics: fastmri.")] = "fastmri",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Score the reconstructions of RECON against the references of their volumes."""
    from mrikit.errors import DataError
    from mrikit.evaluate import SCORERS

    if scorer not in SCORERS:
        raise typer.BadParameter(f"{scorer!r} is not one of {', '.join(SCORERS)}.", param_hint="--scorer")
    scores, files = run(recon, data, scorer)
    rows = [row for found in scores for row in found.rows]
    if not rows:
        raise DataError(
            f"none of {_num_unscored(scores)} volumes could be scored: {_reasons(scores)}; "
            f"scores need files with a reference, `mrikit report {_common_folder(recon)}` shows the pictures without"
        )
    if as_json:
        typer.echo(_json(rows, scores))
        return
    show(rows)
    for file in files:
        typer.echo(file)
    typer.echo(f"next: mrikit report {_common_folder(recon)}")


def run(recon: Sequence[Path], data: Path | None = None, scorer: str = "fastmri") -> tuple[list["Scores"], list[Path]]:
    """Score every folder with a progress bar, and write its scores into it.

    A file holds the labels of its folder alone; what is returned tells the runs of all folders apart.

    Returns:
        Scores of each folder, and the files written.

    Raises:
        MrikitError: See `mrikit.evaluate.evaluate`.
    """
    from rich.progress import Progress

    from mrikit.evaluate import data_of, label_runs, write_scores
    from mrikit.evaluate import evaluate as evaluate_folder

    messages = Console(stderr=True, highlight=False, soft_wrap=True)
    scores, files = [], []
    with Progress(console=messages, transient=True, disable=not messages.is_terminal) as progress:
        for folder in recon:
            update = partial(_update, progress, progress.add_task(f"scoring {folder.name}", total=None))
            found = evaluate_folder(data or data_of(folder), folder, scorer=scorer, on_volume=update)
            files += write_scores(folder, found)
            scores.append(found)
    num_unscored = _num_unscored(scores)
    if num_unscored:
        messages.print(f"{num_unscored} volumes were not scored: {_reasons(scores)}", markup=False)
    return label_runs(scores), files


def show(rows: Sequence["VolumeScore"]) -> None:
    """Print means, differences between runs, and the worst slices of the best runs."""
    from mrikit.evaluate import best_models, compare_to_best, sorted_slices

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPE_WIDTH)
    console.print(_means(rows))
    differences = compare_to_best(rows)
    if differences:
        console.print("difference to the best model on the same volumes, SSIM [95 % interval]:")
        for entry in differences:
            line = f"  {entry.label} - {entry.baseline}, {entry.acceleration:g}x: {_bounds(entry.ssim, 4, sign='+')}"
            console.print(line, markup=False)
    best = best_models(rows)
    console.print("worst slices of the best model:" if differences else "worst slices:")
    for worst in sorted_slices(row for row in rows if row.label == best[row.acceleration])[:NUM_WORST]:
        row = worst.row
        line = f"  {row.volume_id} slice {worst.slice_index}, {row.label} {row.acceleration:g}x: SSIM {worst.ssim:.4f}"
        console.print(line, markup=False)


def _update(progress: "Progress", task: "TaskID", done: int, total: int) -> None:
    progress.update(task, completed=done, total=total)


def _means(rows: Sequence["VolumeScore"]) -> "Table":
    from rich.table import Table

    from mrikit.evaluate import summarise

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("R", "model", "acquisition"):
        table.add_column(name)
    for name in ("volumes", "SSIM [95 % interval]", "PSNR dB", "NMSE"):
        table.add_column(name, justify="right")
    overall, single = summarise(rows), summarise(rows, by_acquisition=True)
    for entry in sorted(overall + single, key=lambda entry: (entry.acceleration, entry.label, entry.acquisition or "")):
        table.add_row(
            f"{entry.acceleration:g}x",
            entry.label,
            entry.acquisition or "all",
            str(entry.num_volumes),
            _bounds(entry.ssim, 4),
            f"{entry.psnr.mean:.2f}",
            f"{entry.nmse.mean:.4f}",
        )
    return table


def _json(rows: Sequence["VolumeScore"], scores: Sequence["Scores"]) -> str:
    """What `scores.json` of every folder holds, and what only several runs together show."""
    import json

    from mrikit.evaluate import compare_to_best, describe_scores, to_json

    content = {"folders": [describe_scores(found) for found in scores], "differences": to_json(compare_to_best(rows))}
    return json.dumps(content, indent=2, allow_nan=False)


def _bounds(interval: "Interval", digits: int, sign: str = "") -> str:
    from mrikit.evaluate import format_bounds

    mean, *bounds = format_bounds(interval, digits, sign)
    return f"{mean} [{', '.join(bounds)}]" if bounds else mean


def _num_unscored(scores: Sequence["Scores"]) -> int:
    return len({volume.path for found in scores for volume in found.unscored})


def _reasons(scores: Sequence["Scores"]) -> str:
    """Every reason once, with a few of the volumes."""
    from mrikit.evaluate import group_reasons

    reasons = group_reasons(volume for found in scores for volume in found.unscored)
    return "; ".join(f"{reason} ({names})" for reason, _count, names in reasons)


def _common_folder(recon: Sequence[Path]) -> str:
    """The smallest folder that holds all of them: what the report is made of."""
    return str(recon[0]) if len(recon) == 1 else os.path.commonpath([path.resolve() for path in recon])
