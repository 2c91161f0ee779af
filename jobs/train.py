"""`mrikit train`: a task's network, trained to the end or as far as it comes; the same command goes on."""

import contextlib
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from mrikit.errors import MrikitError

if TYPE_CHECKING:
    from mrikit.training import RunConfig, TrainSummary


def train(
    task: Annotated[str, typer.Option(help="What to train; `mrikit tasks` lists all.")],
    data: Annotated[Path, typer.Option(help="Folder of fully sampled volumes, or of fastMRI's *_train and *_val.")],
    size: Annotated[str, typer.Option(help="tiny, small or full.")] = "tiny",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; runs/TASK-MODEL-SIZE by default. A started run goes on.")
    ] = None,
    validation_data: Annotated[
        Path | None, typer.Option(help="Volumes to validate on; by default a fifth of the patients is held out.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting, such as training.max_lr=1e-4; repeatable."),
    ] = None,
    keep: Annotated[int | None, typer.Option(help="Checkpoints that stay; 2 by default.")] = None,
    max_disk_gb: Annotated[float | None, typer.Option(help="Most space for checkpoints, GB.")] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Only algorithms that give the same bits every time, also on a GPU.")
    ] = False,
    track: Annotated[
        list[str] | None, typer.Option(help="tensorboard, mlflow or wandb, besides metrics.jsonl; repeatable.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; auto takes a GPU if there is one.")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
) -> None:
    """Train a network; the same command again goes on. Several processes: `torchrun --no-python mrikit train ...`."""
    from jobs.device import pick_device
    from mrikit.config import change_config, parse_assignments
    from mrikit.recipes import recipe

    options = {"keep": keep, "max_disk_gb": max_disk_gb, "deterministic": deterministic or None}
    given = {f"execution.{name}": value for name, value in options.items() if value is not None}
    with _told_once():
        config = change_config(recipe(task, size), parse_assignments(settings or []), "train")
        config = change_config(config, given, "train")
        device = pick_device(device)
        folder = out or Path("runs") / f"{config.task}-{config.model}-{config.size}"
        if dry_run:
            _show_plan(config, data, validation_data, folder)
            return
    summary = run(config, data, folder, validation_data=validation_data, trackers=track or [], device=device)
    if summary.signal is not None:
        raise typer.Exit(128 + summary.signal)
    if summary.is_first:
        masks = _mask_options(config)
        weights, volumes, images = (shlex.quote(str(path)) for path in (folder, data, f"{folder}-recon"))
        typer.echo(f"next: mrikit reconstruct --weights {weights} --data {volumes} --out {images} {masks}")
        typer.echo(f"      mrikit report {weights}")


def run(
    config: "RunConfig",
    data: Path,
    folder: Path,
    *,
    validation_data: Path | None = None,
    trackers: list[str] | None = None,
    device: str = "cpu",
) -> "TrainSummary":
    """Train with a progress bar, and say what came of it.

    Raises:
        MrikitError: See `mrikit.training.train`.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mrikit.training import ToldElsewhereError
    from mrikit.training import train as train_network

    messages = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[numbers]}"),
        TimeRemainingColumn(),
    )
    has_bar = messages.is_terminal and _is_first()
    with Progress(*columns, console=messages, transient=True, disable=not has_bar) as progress:
        bar = progress.add_task(f"{config.task} {config.size}", total=None, numbers="")

        def show(row: Mapping[str, Any], num_steps: int) -> None:
            if row["kind"] == "train":
                progress.update(bar, completed=row["step"], total=num_steps, numbers=_numbers(row))
            else:
                messages.print(_validation_line(row))

        try:
            summary = train_network(
                config,
                data,
                folder,
                validation_data=validation_data,
                device=device,
                trackers=trackers or [],
                say=messages.print,
                on_row=show,
            )
        except ToldElsewhereError:
            raise typer.Exit(1) from None
    if summary.is_first:
        _show_result(summary, folder)
    return summary


def _show_result(summary: "TrainSummary", folder: Path) -> None:
    from mrikit.checkpoint import WEIGHTS_FILE

    position = summary.position
    if summary.signal is not None:
        typer.echo(f"stopped after step {position.step} of {summary.num_steps}; the same command goes on from there")
        return
    if summary.resumed_step == summary.num_steps:
        typer.echo(f"all {summary.num_steps} steps of this run were done before")
    best = (
        f"SSIM {position.best_ssim:.4f} of held-out volumes after epoch {position.best_step // summary.steps_per_epoch}"
        if position.best_step
        else "nothing was held out to validate on"
    )
    typer.echo(f"{best}; weights in {folder / WEIGHTS_FILE}")


def _show_plan(config: "RunConfig", data: Path, validation_data: Path | None, folder: Path) -> None:
    from mrikit.training import plan_run

    plan = plan_run(config, data, validation_data)
    num_files = config.execution.keep + 1
    size_mb = num_files * plan.checkpoint_bytes / 1e6
    epochs = f"{config.training.num_epochs} epochs of {plan.steps_per_epoch}"
    typer.echo(
        f"train {config.model} with {plan.num_weights:,} weights for {config.task} ({config.size}) into {folder}"
    )
    typer.echo(f"data: {plan.num_training} volumes to train on, {plan.num_validation} to validate on")
    typer.echo(f"steps: {plan.num_steps} ({epochs}), slices of a step: {config.training.batch_size}")
    typer.echo(f"disk: up to {size_mb:.3g} MB, for {num_files} checkpoints while one of them is written")


def _mask_options(config: "RunConfig") -> str:
    """How `mrikit reconstruct` undersamples as the run was validated."""
    from mrikit.data import MaskPlan
    from mrikit.masks import challenge_center_fraction

    plan, default = config.data.plans[0], MaskPlan()
    words = [f"--acceleration {plan.acceleration:g}"]
    if plan.kind != default.kind:
        words.append(f"--mask {plan.kind}")
    if plan.center_fraction != challenge_center_fraction(plan.acceleration):
        words.append(f"--center-fraction {plan.center_fraction:g}")
    return " ".join(words)


def _is_first() -> bool:
    """Whether this is the first of the processes that torchrun started, or the only one."""
    return os.environ.get("RANK", "0") == "0"


@contextlib.contextmanager
def _told_once() -> Iterator[None]:
    """What all processes find wrong, because they were started alike, the first one tells."""
    try:
        yield
    except MrikitError as error:
        if _is_first():
            raise
        raise typer.Exit(1) from error


def _numbers(row: Mapping[str, Any]) -> str:
    return f"loss {row['loss']:.4f}, {row['slices_per_second']:.1f} slices/s"


def _validation_line(row: Mapping[str, Any]) -> str:
    best = ", the best so far" if row["is_best"] else ""
    return (
        f"epoch {row['epoch']}: SSIM {row['ssim']:.4f}, PSNR {row['psnr']:.2f} dB of {row['num_volumes']} volumes{best}"
    )
