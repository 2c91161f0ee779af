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
    model: Annotated[str, typer.Option(help="zero_filled, grappa, cg_sense or l1_wavelet.")] = "cg_sense",
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
    run(data, out, ReconstructConfig(model=model, model_config=parse_assignments(settings or []), mask=plan), device)
    typer.echo(f"next: mrikit evaluate --recon {out}")


def run(data: Path, out: Path, config: "ReconstructConfig", device: str = "auto") -> None:
    """Reconstruct with a progress bar, and say what was done.

    Raises:
        MrikitError: See `mrikit.reconstruct.reconstruct_folder`.
    """
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from mrikit.reconstruct import reconstruct_folder
    from mrikit.volumes import find_volumes

    messages = Console(stderr=True, highlight=False, soft_wrap=True)
    num_volumes = len(find_volumes(data))
    messages.print(f"{config.model}: {num_volumes} volumes of {data} to {out}", markup=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[speed]}"), TimeRemainingColumn())
    start, num_slices = time.perf_counter(), 0
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as progress:
        task = progress.add_task(config.model, total=num_volumes, speed="")

        def show(volume_id: str, num_total: int) -> None:
            nonlocal num_slices
            num_slices += 1
            speed = f"{num_slices / (time.perf_counter() - start):.1f} slices/s"
            progress.update(task, advance=1 / num_total, description=escape(f"{config.model} {volume_id}"), speed=speed)

        summary = reconstruct_folder(data, out, config, device=_pick_device(device), on_slice=show)
    if summary.num_own_mask:
        messages.print(
            f"{summary.num_own_mask} volumes were acquired undersampled and kept their own mask", markup=False
        )
    speed = f", {summary.num_slices / summary.seconds:.1f} slices/s" if summary.num_slices else ""
    typer.echo(
        f"{config.model}: {summary.num_volumes} volumes, {summary.num_slices} slices{speed}; "
        f"{summary.num_skipped} were done before; in {out}"
    )


def _pick_device(device: str) -> str:
    import torch

    from mrikit.errors import ConfigError

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=device).tolist()
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"cannot compute on {device!r}: {str(error).splitlines()[0]}; try --device cpu") from error
    return device
