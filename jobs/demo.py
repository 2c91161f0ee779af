"""`mrikit demo`: from k-space to a scored report, with a network trained on the way; simulated or your own volumes."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from mrikit.data import MaskPlan

NUM_VOLUMES, NUM_COILS, NUM_SLICES = 8, 8, 3
"""Of the study that is reconstructed, for each anatomy."""
NUM_TRAINING_VOLUMES, NUM_TRAINING_SLICES = 30, 2
"""Of the study that the network is trained on, for each anatomy: other patients, drawn from another seed."""
NUM_EPOCHS = 8


def demo(
    out: Annotated[Path, typer.Option(help="Folder for data, reconstructions, scores and report.")] = Path("runs/demo"),
    data: Annotated[
        Path | None, typer.Option(help="Folder of your volumes; without it a small knee and brain study is simulated.")
    ] = None,
    accelerations: Annotated[
        list[float] | None,
        typer.Option("--acceleration", help="Undersample by this factor; repeatable, 4 and 8 by default."),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(help="A run or weights file to show instead of training a network; repeatable."),
    ] = None,
    is_training: Annotated[
        bool, typer.Option("--train/--no-train", help="Whether to train a small network and show it with the others.")
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
) -> None:
    """Train a small network, reconstruct by it and all classical methods, score, report. The same command resumes."""
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
    is_training = is_training and not weights
    network = "a VarNet trained on other simulated volumes and " if is_training else ""
    network = " and ".join(map(str, weights)) + " and " if weights else network
    messages = Console(stderr=True, highlight=False, soft_wrap=True)
    messages.print(
        f"demo: {study}, undersampled {factors}, by {network}every classical method; everything goes to {out}",
        markup=False,
    )
    if dry_run:
        return
    start = time.perf_counter()
    folder = data or _simulate(out / "data", NUM_VOLUMES, NUM_SLICES, seed=0)
    runs = [_train(out, plans)] if is_training else weights or []
    folders = _reconstruct(folder, out, plans, runs, messages)
    _score_and_report(out, folders)
    typer.echo(f"\ndone in {time.perf_counter() - start:.0f} s; open {out / 'report.html'}")
    typer.echo(f"next: mrikit reconstruct --data {folder} --out runs/cg --model cg_sense --acceleration 4")
    typer.echo("      mrikit train --task knee_multicoil --size tiny --data DATA")


def _simulate(folder: Path, num_volumes: int, num_slices: int, *, seed: int) -> Path:
    """A knee and a brain study in one folder, undersampled test volumes without reference included."""
    from jobs.simulate import run
    from mrikit.simulate import StudyConfig

    for anatomy in ("knee", "brain"):
        run(
            StudyConfig(
                anatomy=anatomy,
                folder=folder,
                num_volumes=num_volumes,
                num_coils=(NUM_COILS,),
                num_slices=num_slices,
                seed=seed,
                size="half",
            )
        )
    return folder


def _train(out: Path, plans: "Sequence[MaskPlan]") -> Path:
    """The folder of a finished run on volumes of other patients than those that are reconstructed."""
    from jobs.device import pick_device
    from jobs.train import run
    from mrikit.recipes import recipe
    from mrikit.training import DataConfig

    study = _simulate(out / "training-data", NUM_TRAINING_VOLUMES, NUM_TRAINING_SLICES, seed=1)
    tiny = recipe("knee_multicoil", "tiny")
    config = replace(
        tiny,
        task="demo",
        data=DataConfig(
            accelerations=tuple(plan.acceleration for plan in plans),
            center_fractions=tuple(plan.center_fraction for plan in plans),
        ),
        training=replace(tiny.training, num_epochs=NUM_EPOCHS),
    )
    factors = "-".join(f"{plan.acceleration:g}x" for plan in plans)
    folder = out / f"varnet-{factors}"
    summary = run(config, study, folder, device=pick_device("auto"))
    if summary.signal is not None:
        raise typer.Exit(128 + summary.signal)
    return folder


def _reconstruct(data: Path, out: Path, plans: "Sequence[MaskPlan]", runs: list[Path], messages: Console) -> list[Path]:
    """Every method and network at every acceleration; one that cannot do a volume says so, and the others go on."""
    from jobs.reconstruct import run
    from mrikit.errors import ConfigError, DataError
    from mrikit.models import CLASSICAL
    from mrikit.reconstruct import ReconstructConfig
    from mrikit.volumes.reconstruction import find_reconstructions

    folders = []
    for plan in plans:
        methods = {name: ReconstructConfig(model=name, mask=plan) for name in CLASSICAL}
        for run_or_file in runs:
            if run_or_file.stem in methods:
                raise ConfigError(f"two methods would be called {run_or_file.stem}; rename {run_or_file}")
            methods[run_or_file.stem] = ReconstructConfig(weights=run_or_file, mask=plan)
        for name, config in methods.items():
            folder = out / f"acc{plan.acceleration:g}" / name
            try:
                run(data, folder, config)
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
