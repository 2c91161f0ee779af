"""`mrikit demo`: the main job from k-space to a scored report, on a simulated study or on your own volumes."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from mrikit.data import MaskPlan

NUM_VOLUMES, NUM_COILS, NUM_SLICES = 8, 12, 3


def demo(
    out: Annotated[Path, typer.Option(help="Folder for data, reconstructions, scores and report.")] = Path("runs/demo"),
    data: Annotated[
        Path | None, typer.Option(help="Folder of your volumes; without it a small knee and brain study is simulated.")
    ] = None,
    accelerations: Annotated[
        list[float] | None,
        typer.Option("--acceleration", help="Undersample by this factor; repeatable, 4 and 8 by default."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
) -> None:
    """Undersample, reconstruct by every classical method, score and report. The same command again resumes."""
    from mrikit.data import MaskPlan
    from mrikit.masks import challenge_center_fraction
    from mrikit.volumes import find_volumes

    plans = [
        MaskPlan(acceleration=r, center_fraction=challenge_center_fraction(r)) for r in accelerations or [4.0, 8.0]
    ]
    if data:
        find_volumes(data)
    study = "your volumes" if data else f"a simulated study of {2 * NUM_VOLUMES} volumes"
    factors = " and ".join(f"{plan.acceleration:g}x" for plan in plans)
    messages = Console(stderr=True, highlight=False, soft_wrap=True)
    messages.print(
        f"demo: {study}, undersampled {factors}, by every classical method; everything goes to {out}", markup=False
    )
    if dry_run:
        return
    start = time.perf_counter()
    folder = data or _simulate(out / "data")
    folders = _reconstruct(folder, out, plans, messages)
    _score_and_report(out, folders)
    typer.echo(f"\ndone in {time.perf_counter() - start:.0f} s; open {out / 'report.html'}")
    typer.echo(f"next: mrikit reconstruct --data {folder} --out runs/cg --model cg_sense --acceleration 4")
    typer.echo("      mrikit reconstruct --help")


def _simulate(folder: Path) -> Path:
    """A small knee and a small brain study, undersampled test volumes without reference included."""
    from jobs.simulate import run
    from mrikit.simulate import StudyConfig

    for anatomy in ("knee", "brain"):
        run(
            StudyConfig(
                anatomy=anatomy,
                folder=folder / anatomy,
                num_volumes=NUM_VOLUMES,
                num_coils=(NUM_COILS,),
                num_slices=NUM_SLICES,
                size="half",
            )
        )
    return folder


def _reconstruct(data: Path, out: Path, plans: "Sequence[MaskPlan]", messages: Console) -> list[Path]:
    """Every method at every acceleration; a method that cannot do a volume says so, and the others go on."""
    from jobs.reconstruct import run
    from mrikit.errors import DataError
    from mrikit.models import CLASSICAL
    from mrikit.reconstruct import ReconstructConfig
    from mrikit.volumes.reconstruction import find_reconstructions

    folders = []
    for plan in plans:
        for model in CLASSICAL:
            folder = out / f"acc{plan.acceleration:g}" / model
            try:
                run(data, folder, ReconstructConfig(model=model, mask=plan))
            except DataError as error:
                messages.print(f"warning: {error}", markup=False)
            if find_reconstructions(folder):
                folders.append(folder)
    return folders


def _score_and_report(out: Path, folders: list[Path]) -> None:
    from jobs import evaluate
    from mrikit.report import write_report

    scores, _files = evaluate.run(folders)
    rows = [row for found in scores for row in found.rows]
    if rows:
        evaluate.show(rows)
    write_report(out)
