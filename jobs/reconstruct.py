"""`mrikit reconstruct`: volumes to images, by any model."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from mrikit.reconstruct import ReconstructConfig


def reconstruct(
    data: Annotated[Path, typer.Option(help="Folder of volumes, or one file.")],
    out: Annotated[Path, typer.Option(help="Folder for the reconstructions; finished volumes in it are kept.")],
    model: Annotated[
        str | None,
        typer.Option(help="zero_filled, grappa, cg_sense (default) or l1_wavelet; a network comes with its weights."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights of a network: the folder of a training run, or a file.")
    ] = None,
    acceleration: Annotated[
        float | None, typer.Option(help="Undersample fully sampled volumes by this factor; without it they stay full.")
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(
            help="How to undersample: random, equispaced, equispaced_fraction (default), magic, magic_fraction, fixed, "
            "random_offset or random_spaced."
        ),
    ] = None,
    center_fraction: Annotated[
        float | None, typer.Option(help="Share of columns sampled in the middle; 0.32 / acceleration by default.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the model, such as num_iterations=30; repeatable.")
    ] = None,
    precision: Annotated[
        str, typer.Option(help="What a network computes in: fp32, or bf16, which is faster and rounds.")
    ] = "fp32",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...; auto takes a GPU if there is one.")] = "auto",
) -> None:
    """Reconstruct every volume of DATA that OUT does not hold yet."""
    from mrikit.config import parse_assignments
    from mrikit.data import MaskPlan
    from mrikit.errors import ConfigError
    from mrikit.masks import challenge_center_fraction
    from mrikit.reconstruct import ReconstructConfig

    plan = None
    if acceleration is not None:
        fraction = challenge_center_fraction(acceleration) if center_fraction is None else center_fraction
        plan = MaskPlan(kind=mask or "equispaced_fraction", acceleration=acceleration, center_fraction=fraction)
    elif mask is not None or center_fraction is not None:
        raise ConfigError("--mask and --center-fraction say how to undersample; give --acceleration too")
    config = ReconstructConfig(
        model=model if model or weights else "cg_sense",
        model_config=parse_assignments(settings or []),
        weights=weights,
        precision=precision,
        mask=plan,
    )
    run(data, out, config, device)
    typer.echo(f"next: mrikit evaluate --recon {out}")


def run(data: Path, out: Path, config: "ReconstructConfig", device: str = "auto") -> None:
    """Reconstruct with a progress bar, and say what was done.

    Raises:
        MrikitError: See `mrikit.reconstruct.reconstruct_folder`.
    """
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from jobs.device import pick_device
    from mrikit.reconstruct import reconstruct_folder

    messages = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[speed]}"), TimeRemainingColumn())
    start, num_slices, name = time.perf_counter(), 0, ""
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as progress:
        task = progress.add_task("looking for volumes", total=None, speed="")

        def announce(model: str, num_volumes: int) -> None:
            nonlocal name, start
            name, start = model, time.perf_counter()
            messages.print(f"{name}: {num_volumes} volumes of {data} to {out}", markup=False)
            progress.update(task, description=name, total=num_volumes)

        def show(volume_id: str, num_total: int) -> None:
            nonlocal num_slices
            num_slices += 1
            speed = f"{num_slices / (time.perf_counter() - start):.1f} slices/s"
            progress.update(task, advance=1 / num_total, description=escape(f"{name} {volume_id}"), speed=speed)

        summary = reconstruct_folder(data, out, config, device=pick_device(device), on_start=announce, on_slice=show)
    if summary.num_own_mask:
        messages.print(
            f"{summary.num_own_mask} volumes were acquired undersampled and kept their own mask", markup=False
        )
    if summary.num_full:
        messages.print(
            f"warning: {summary.num_full} volumes are fully sampled and stayed so, but {name} was trained on "
            f"undersampled ones; give --acceleration",
            markup=False,
        )
    speed = f", {summary.num_slices / summary.seconds:.1f} slices/s" if summary.num_slices else ""
    typer.echo(
        f"{name}: {summary.num_volumes} volumes, {summary.num_slices} slices{speed}; "
        f"{summary.num_skipped} were done before; in {out}"
    )
