"""`mrikit demo`: from k-space to a scored report, with networks trained on the way; simulated or your own volumes."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from mrikit.words import in_shell

if TYPE_CHECKING:
    from mrikit.data import MaskPlan

NUM_VOLUMES, NUM_COILS, NUM_SLICES = 16, 8, 3
"""Of the study of knees that is reconstructed."""
NUM_TRAINING_VOLUMES, NUM_TRAINING_SLICES = 30, 2
"""Of the study that the networks are trained on: other patients, drawn from another seed."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder for data, reconstructions, scores and report.")] = Path("runs/demo"),
    data: Annotated[
        Path | None, typer.Option(help="Folder of your volumes; without it a small study of knees is simulated.")
    ] = None,
    accelerations: Annotated[
        list[float] | None,
        typer.Option("--acceleration", help="Undersample by this factor; repeatable, 8 by default."),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(help="A run or weights file to show instead of training networks; repeatable."),
    ] = None,
    is_training: Annotated[
        bool, typer.Option("--train/--no-train", help="Whether to train small networks and show them with the others.")
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
) -> None:
    """Train PromptMR in its three stages and a VarNet, reconstruct by them and all classical methods, score, report.

    The networks are small and see simulated knees only. Everybody gets the masks of the SNU challenge; without
    training, fastMRI's. The same command resumes.
    """
    from mrikit.volumes import find_volumes

    is_training = is_training and not weights
    plans = _plans(accelerations or [8.0], is_training=is_training)
    if data:
        find_volumes(data)
    study = "your volumes" if data else f"a simulated study of {NUM_VOLUMES} knees"
    factors = " and ".join(f"{plan.acceleration:g}x" for plan in plans)
    networks = "PromptMR and VarNet, trained on other simulated knees, and " if is_training else ""
    networks = " and ".join(map(str, weights)) + " and " if weights else networks
    messages = Console(stderr=True, highlight=False, soft_wrap=True)
    messages.print(
        f"demo: {study}, undersampled {factors}, by {networks}every classical method; everything goes to {out}",
        markup=False,
    )
    if dry_run:
        return
    start = time.perf_counter()
    folder = data or _simulate(out / "data", NUM_VOLUMES, NUM_SLICES, seed=0)
    runs = _train(out, plans) if is_training else weights or []
    folders = _reconstruct(folder, out, plans, runs, messages)
    _score_and_report(out, folders)
    typer.echo(f"\ndone in {time.perf_counter() - start:.0f} s; open {out / 'report.html'}")
    words = ("--data", folder, "--out", "runs/cg", "--model", "cg_sense", "--acceleration", "4")
    typer.echo(f"next: {in_shell('reconstruct', *words)}")
    typer.echo("      mrikit train --task knee_acc8 --size tiny --data DATA")


def _plans(accelerations: Sequence[float], *, is_training: bool) -> "list[MaskPlan]":
    from mrikit.data import MaskPlan
    from mrikit.masks import challenge_center_fraction

    if is_training:
        return [MaskPlan(kind="fixed", acceleration=factor, center_fraction=0.08) for factor in accelerations]
    return [
        MaskPlan(acceleration=factor, center_fraction=challenge_center_fraction(factor)) for factor in accelerations
    ]


def _simulate(folder: Path, num_volumes: int, num_slices: int, *, seed: int) -> Path:
    """A study of knees, undersampled test volumes without reference included."""
    from mrikit.commands.simulate import run
    from mrikit.simulate import StudyConfig

    run(
        StudyConfig(
            anatomy="knee",
            folder=folder,
            num_volumes=num_volumes,
            num_coils=(NUM_COILS,),
            num_slices=num_slices,
            seed=seed,
            size="half",
        )
    )
    return folder


def _train(out: Path, plans: "Sequence[MaskPlan]") -> list[Path]:
    """Runs of two networks of one size, in as many epochs, on other patients than those that are reconstructed."""
    from mrikit.commands.device import pick_device
    from mrikit.commands.train import run_stages
    from mrikit.commands.training_run import stage_places
    from mrikit.recipes import networks, recipes
    from mrikit.storage import Place

    study = _simulate(out / "training-data", NUM_TRAINING_VOLUMES, NUM_TRAINING_SLICES, seed=1)
    stages = networks(recipes("knee_acc8", "tiny"))
    accelerations = tuple(plan.acceleration for plan in plans)
    fractions = tuple(plan.center_fraction for plan in plans)
    promptmr = [
        replace(config, data=replace(config.data, accelerations=accelerations, center_fractions=fractions))
        for config in stages
    ]
    (tiny,) = networks(recipes("knee_multicoil", "tiny"))
    num_epochs = sum(config.training.num_epochs for config in stages)
    varnet = replace(
        tiny, task="knee_acc8", data=promptmr[0].data, training=replace(tiny.training, num_epochs=num_epochs)
    )
    factors = "-".join(f"{factor:g}x" for factor in accelerations)
    folders = []
    for configs in (promptmr, [varnet]):
        base = out / f"{configs[0].model}-{factors}"
        run_stages(configs, stage_places(configs, Place(folder=base)), study, device=pick_device("auto"))
        folders.append(base)
    return folders


def _reconstruct(data: Path, out: Path, plans: "Sequence[MaskPlan]", runs: list[Path], messages: Console) -> list[Path]:
    """Every method and network at every acceleration; one that cannot do a volume says so, and the others go on."""
    from mrikit.commands.reconstruct import run
    from mrikit.errors import ConfigError, DataError
    from mrikit.models import CLASSICAL
    from mrikit.reconstruct import ReconstructConfig
    from mrikit.storage import Place
    from mrikit.volumes.reconstruction import find_reconstructions

    folders = []
    for plan in plans:
        methods = {name: ReconstructConfig(model=name, mask=plan) for name in CLASSICAL}
        for run_or_file in runs:
            name = run_or_file.name if run_or_file.is_dir() else run_or_file.stem
            if name in methods:
                raise ConfigError(f"two methods would be called {name}; rename {run_or_file}")
            methods[name] = ReconstructConfig(weights=run_or_file, mask=plan)
        for name, config in methods.items():
            folder = out / f"acc{plan.acceleration:g}" / name
            try:
                run(data, Place(folder=folder), config)
            except DataError as error:
                messages.print(f"warning: {error}", markup=False)
            if find_reconstructions(folder):
                folders.append(folder)
    return folders


def _score_and_report(out: Path, folders: list[Path]) -> None:
    from mrikit.commands import evaluate
    from mrikit.report import write_report

    scores, _files = evaluate.run(folders)
    rows = [row for found in scores for row in found.rows]
    if rows:
        evaluate.show(rows)
    write_report(out)
