"""`mrikit reconstruct`: volumes to images, by any model."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrikit.commands.natural import AS_DATA, natural_out, require_writable
from mrikit.commands.places import AS_LOCATION, Location, weights_of
from mrikit.commands.progress import Progress
from mrikit.words import counted, in_shell

if TYPE_CHECKING:
    from mrikit.data import MaskPlan
    from mrikit.reconstruct import ReconstructConfig, ReconstructSummary, Routing, Work
    from mrikit.storage import Place


HeldOut = Annotated[
    bool, typer.Option("--held-out", help="Leave out volumes of patients that the weights were trained on.")
]
"""Whether volumes of patients whom a network knows are left out."""
Patients = Annotated[
    Location | None,
    typer.Option(
        **AS_LOCATION, help="With --held-out: a CSV of file,patient for files that do not say whose they are."
    ),
]
"""Table of whose the volumes are."""
Shard = Annotated[
    str | None,
    typer.Option(help="Do one part of the volumes, such as 1/4, while other processes do the others; set by torchrun."),
]
"""Part of the volumes."""
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...; auto takes a GPU if there is one.")]
"""Where to compute."""


def reconstruct(
    data: Annotated[
        Location | None,
        typer.Option(
            **AS_DATA,
            help="Folder of volumes, or one file; a path or az://container/prefix. By default MRIKIT_DATA, else data/ "
            "here; then the method is chosen by the weights that lie there or in runs/ here.",
        ),
    ] = None,
    out: Annotated[
        Location | None,
        typer.Option(
            **{**AS_LOCATION, "callback": natural_out},
            help="Folder for the reconstructions, or az://container/prefix; recon by default. Finished volumes in it "
            "are kept.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="zero_filled, grappa, cg_sense (default), l1_wavelet or spirit; a network comes with its weights. "
            "With --task auto: for volumes that no weights suit."
        ),
    ] = None,
    weights: Annotated[
        list[Location] | None,
        typer.Option(
            **AS_LOCATION,
            help="Weights of a network: the folder of a training run, or a file; repeatable with --task.",
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="Which of all weights below the --weights folders, or below DATA and runs/: auto takes those that "
            "suit what a volume shows and its acceleration; a task's name, such as knee_acc8, takes its own for all."
        ),
    ] = None,
    acceleration: Annotated[
        float | None,
        typer.Option(
            help="Undersample fully sampled volumes by this factor; without it they get the mask that the weights have "
            "learned, or that an SNU file has beside full k-space, or stay full."
        ),
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(
            help="How to undersample: a kind of `mrikit masks list`; a mask file: .npy, .cfl, or .json with the order "
            "of lines; or learned, as the weights have learned to. By default learned where they have, else "
            "equispaced_fraction."
        ),
    ] = None,
    center_fraction: Annotated[
        float | None,
        typer.Option(help="Share of columns (2-D: and rows) sampled in the middle; 0.32 / acceleration by default."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="A setting of the model, such as num_iterations=30, or of the mask: mask.power=3; repeatable."
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="What a network computes in: fp32, or bf16, which is faster and rounds.")
    ] = "fp32",
    flips: Annotated[
        bool, typer.Option("--flips", help="Average over mirror images of k-space; four times the work.")
    ] = False,
    transposed: Annotated[
        bool,
        typer.Option(
            "--transposed",
            help="Swap readout and phase before undersampling, and turn the images back: what tells banding from "
            "anatomy, for `mrikit evaluate --classifier`.",
        ),
    ] = False,
    whiten: Annotated[
        bool, typer.Option("--whiten", help="Whiten the coils by the noise scan that each MRD file holds.")
    ] = False,
    dither: Annotated[
        float,
        typer.Option(help="Add noise where images are dark, in which banding is seen less; 0.015 is published."),
    ] = 0.0,
    is_held_out: HeldOut = False,
    is_timed: Annotated[
        bool,
        typer.Option("--timed", help="Time the forward pass of each slice alone, as the SNU challenge of 2026."),
    ] = False,
    patients: Patients = None,
    shard: Shard = None,
    device: Device = "auto",
) -> None:
    """Reconstruct every volume of DATA that OUT does not hold yet."""
    from mrikit.config import parse_assignments
    from mrikit.reconstruct import ReconstructConfig
    from mrikit.storage import mirrored, named_as_locations, pulled

    assert data is not None
    assert out is not None
    require_writable(out)
    require_held_out(patients, is_held_out=is_held_out)
    assignments = parse_assignments(settings or [])
    own = {name.removeprefix("mask."): assignments.pop(name) for name in [*assignments] if name.startswith("mask.")}
    plan = _plan(mask, acceleration, center_fraction, own)

    with named_as_locations():
        config = ReconstructConfig(
            model=model if model or weights or task else "cg_sense",
            model_config=assignments,
            weights=tuple(pulled(path, weights_of) for path in weights or ()),
            task=task,
            precision=precision,
            flips=flips,
            transposed=transposed,
            whiten=whiten,
            dither=dither,
            mask=plan,
            is_usual_kind=mask is None and center_fraction is None and not own,
        )
        with mirrored(out) as place:
            table = None if patients is None else pulled(patients)
            run(
                data,
                place,
                config,
                device,
                shard=shard,
                is_held_out=is_held_out,
                is_timed=is_timed,
                patients=table,
                on_end=next_of(out),
            )


def require_held_out(patients: Location | None, *, is_held_out: bool) -> None:
    """Refuse a table of patients that nothing would ask for.

    Raises:
        ConfigError: There is one, and volumes are not left out by it.
    """
    from mrikit.errors import ConfigError

    if patients is not None and not is_held_out:
        raise ConfigError("--patients says whose volumes --held-out leaves out; give that too")


def next_of(out: Location) -> Callable[["ReconstructSummary"], None]:
    """What says, when a folder is finished, how it is scored."""

    def say(summary: "ReconstructSummary") -> None:
        if summary.num_volumes or summary.num_skipped:
            typer.echo(f"next: {in_shell('evaluate', '--recon', out)}")

    return say


def run(
    data: Location,
    place: "Place",
    config: "ReconstructConfig | Routing",
    device: str = "auto",
    *,
    shard: str | None = None,
    is_held_out: bool = False,
    is_timed: bool = False,
    patients: Path | None = None,
    on_end: Callable[["ReconstructSummary"], None] = lambda _summary: None,
) -> None:
    """Reconstruct with a progress bar, and say what was done, also where some volumes were passed over.

    Args:
        data: Folder of volumes, or one file.
        place: Of the reconstructions.
        config: Model or weights, and mask; or models that are on the device already.
        device: Where to compute.
        shard: The part of the volumes to do, as `1/4`; that of the launcher, or everything, if None.
        is_held_out: Whether to leave out volumes of patients that a network was trained on.
        is_timed: Whether to time the forward pass of each slice alone.
        patients: Table of whose the volumes are, for `is_held_out`.
        on_end: Called when all is said, before volumes that were passed over are raised as an error.

    Raises:
        MrikitError: See `mrikit.reconstruct.reconstruct_folder`.
    """
    from mrikit.reconstruct import launched_shard, parse_shard, reconstruct_folder
    from mrikit.storage import shown

    part = parse_shard(shard) if shard else launched_shard(os.environ)
    progress = Progress("looking for volumes", "slices")
    names = list[str]()  # of the model, once it is known
    own = f" (part {part})" if part.num_shards > 1 else ""

    def announce(model: str, work: "Work") -> None:
        progress.say(f"{model}: {work.num_volumes} volumes of {data} to {shown(place.folder)}{own}")
        for line in _warnings_before(work):
            progress.say(line)
        progress.begin(model, "slices", work.num_slices)
        names.append(model)

    def advance(volume_id: str, _num_slices: int) -> None:
        place.check()
        progress.advance(1, at=volume_id)

    def finish(summary: "ReconstructSummary") -> None:
        progress.stop()
        for warning in _warnings(summary, names[0]):
            progress.say(warning)
        typer.echo(f"{names[0]}{own}: {_in_words(summary)}; in {shown(place.folder)}")
        on_end(summary)

    with progress:
        reconstruct_folder(
            data,
            place.folder,
            config,
            device=own_device(device),
            shard=part,
            is_held_out=is_held_out,
            is_timed=is_timed,
            patients=patients,
            sync=place.sync,
            on_start=announce,
            on_slice=advance,
            on_failure=lambda reason: progress.say(f"passed over: {reason}"),
            on_wait=lambda count: progress.say(
                f"another process makes {counted(count, 'volume')} here; waiting for it"
            ),
            on_end=finish,
        )


def _warnings_before(work: "Work") -> list[str]:
    from mrikit.words import left_out

    lines = []
    if work.left_out:
        lines.append(left_out(work.left_out, work.num_found, "among those trained on"))
    if work.related:
        lines.append(left_out(work.related, work.num_found, "of patients that were trained on"))
    if work.num_trained_on:
        lines.append(
            f"warning: {work.num_trained_on} of {work.num_volumes} volumes were trained on; their scores say nothing "
            f"of new ones; --held-out leaves them out"
        )
    return lines


def _plan(
    mask: str | None, acceleration: float | None, center_fraction: float | None, settings: Mapping[str, str]
) -> "MaskPlan | None":
    """How to undersample; None for not at all."""
    from mrikit.data import MaskPlan
    from mrikit.errors import ConfigError
    from mrikit.masks import LEARNED_KIND, challenge_center_fraction, is_mask_file

    if acceleration is None and mask is not None and is_mask_file(mask):
        acceleration = 1.0  # all that the file holds
    if acceleration is None:
        if mask == LEARNED_KIND:
            raise ConfigError("--mask learned needs --acceleration; without either, weights use what they have learned")
        if mask is not None or center_fraction is not None or settings:
            raise ConfigError("--mask and --center-fraction say how to undersample; give --acceleration too")
        return None
    fraction = challenge_center_fraction(acceleration) if center_fraction is None else center_fraction
    plan = MaskPlan(
        kind=mask or "equispaced_fraction", acceleration=acceleration, center_fraction=fraction, settings=settings
    )
    _ = plan.is_2d  # a file that is no mask is refused before anything is read
    return plan


def _warnings(summary: "ReconstructSummary", model: str) -> list[str]:
    lines = []
    if summary.num_own_mask:
        lines.append(f"{summary.num_own_mask} volumes were acquired undersampled and kept their own mask")
    if summary.num_full:
        lines.append(
            f"warning: {summary.num_full} volumes are fully sampled and stayed so, but {model} was trained on "
            f"undersampled ones; give --acceleration"
        )
    if summary.num_rest:
        lines.append(
            f"{summary.num_rest} volumes were done without a network, because no weights suit what they show and how "
            f"they are undersampled; --acceleration undersamples full ones"
        )
    if summary.num_slow:
        lines.append(f"warning: {summary.num_slow} volumes took more than 60 s of forward passes")
    if summary.num_single:
        lines.append(f"warning: {summary.num_single} volumes have one slice; its neighbours are the slice itself")
    return lines


def _in_words(summary: "ReconstructSummary") -> str:
    speed = f", {summary.num_slices / summary.seconds:.1f} slices/s" if summary.num_slices else ""
    failed = f", {summary.num_failed} were passed over" if summary.num_failed else ""
    return (
        f"{summary.num_volumes} volumes, {summary.num_slices} slices{speed}; {summary.num_skipped} were done before"
        f"{failed}"
    )


def own_device(device: str) -> str:
    """The device by name; of several processes that a launcher started on a machine each has a GPU of its own."""
    from mrikit.commands.device import pick_device

    picked = pick_device(device)
    return f"cuda:{os.environ['LOCAL_RANK']}" if picked == "cuda" and "LOCAL_RANK" in os.environ else picked
