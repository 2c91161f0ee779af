"""`mrikit masks ...`: kinds of masks, and masks as files and pictures."""

import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrikit.commands.places import AS_LOCATION, Location
from mrikit.commands.progress import Progress
from mrikit.words import in_time

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mrikit.masks import Mask

app = typer.Typer(
    name="masks",
    help="List kinds of sampling masks, make them as files, search the best, and show them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ShapeOption = Annotated[str, typer.Option(help="Readout x phase of k-space, such as 640x368.")]
AccelerationOption = Annotated[float | None, typer.Option(help="Nominal acceleration; 4, or all that a file holds.")]
CenterOption = Annotated[
    str | None,
    typer.Option(
        help="Fully sampled middle: a share (0.08), a number of lines (30), or rows x columns of a 2-D kind (24x24)."
    ),
]
SeedOption = Annotated[int, typer.Option(help="Of all random choices.")]
SettingsOption = Annotated[
    list[str] | None, typer.Option("--set", help="A setting of the kind, such as power=3; repeatable.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the facts as JSON.")]


@app.command("list")
def list_kinds(is_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the kinds of masks with their settings."""
    import json

    from mrikit.masks import MASK_KINDS

    rows: list[dict[str, Any]] = [
        {
            "kind": name,
            "is_2d": kind.is_2d,
            "summary": kind.summary,
            "settings": {field.name: field.default for field in fields(kind.settings)},
        }
        for name, kind in MASK_KINDS.items()
    ]
    if is_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    width = max(map(len, MASK_KINDS))
    for row in rows:
        empty = "(auto)" if "acs" in row["settings"] else "(share)"  # of the columns, and of the rows
        settings = ", ".join(f"{name}={_written(value, empty)}" for name, value in row["settings"].items())
        shape = "2-D  " if row["is_2d"] else "lines"
        typer.echo(f"{row['kind']:{width}}  {shape}  {row['summary']}{f' ({settings})' if settings else ''}")


@app.command()
def make(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The file: .npy, .cfl, or .json with the order of lines.")],
    kind: Annotated[str, typer.Option(help="A kind of `mrikit masks list`.")] = "equispaced_fraction",
    shape: ShapeOption = "640x368",
    acceleration: AccelerationOption = None,
    center: CenterOption = None,
    seed: SeedOption = 0,
    settings: SettingsOption = None,
    weights: Annotated[
        Location | None,
        typer.Option(
            **AS_LOCATION,
            help="Write the mask that this training run has learned, that of --acceleration or its lowest one, instead "
            "of drawing one.",
        ),
    ] = None,
    probabilities: Annotated[
        Path | None, typer.Option(help="With --weights: also write what was learned of each sample, .npy float32.")
    ] = None,
    is_json: JsonOption = False,
) -> None:
    """Draw a mask, or take the one that weights have learned, and write it as a file."""
    from mrikit.errors import ConfigError

    rng = _rng(seed)
    if weights is None:
        if probabilities is not None:
            raise ConfigError("--probabilities are those that weights have learned; give --weights too")
        size = _shape(shape)
        mask, learned = _drawn(kind, size, acceleration, center, settings, rng), None
    else:
        from mrikit.commands.masks_learned import learned_mask, require_own_file, require_undrawn

        require_undrawn(context)
        require_own_file(probabilities, out)
        mask, learned, size = learned_mask(weights, acceleration)
    _write(mask, out, rng, learned)
    if probabilities is not None and learned is not None:
        _write_array(learned, probabilities)
    _say(mask, size, out, is_json=is_json)


@app.command()
def search(
    data: Annotated[
        Location,
        typer.Option(
            **AS_LOCATION,
            help="Fully sampled volumes; a folder or az://container/prefix. What `mrikit train` would not train on, "
            "by folders or patients, has no part in it.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The file: .npy, .cfl, or .json with the order of lines.")],
    kind: Annotated[str, typer.Option(help="lines, or tile: a small pattern that repeats.")] = "lines",
    model: Annotated[
        str, typer.Option(help="The method whose error counts: a classical one, or prediction of k-space by kernels.")
    ] = "zero_filled",
    acceleration: Annotated[float, typer.Option(help="Of all samples together, with the centre.")] = 4.0,
    center: Annotated[int, typer.Option(min=0, help="Fully sampled lines in the middle; rows too, of a tile.")] = 0,
    tile: Annotated[str, typer.Option(help="Rows x columns of the tile.")] = "4x4",
    slices: Annotated[int, typer.Option(min=1, help="Training slices that the error is a mean over.")] = 4,
    passes: Annotated[int, typer.Option(min=1, help="Times that each line, or sample of the tile, is moved.")] = 1,
    candidates: Annotated[int, typer.Option(min=0, help="Places that each is tried at; all if 0.")] = 8,
    starts: Annotated[
        int, typer.Option(min=1, max=1000, help="First masks that it begins with; the best end is kept.")
    ] = 1,
    seed: SeedOption = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the method, such as num_iterations=5; repeatable.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how long it would take, and stop.")] = False,
    is_json: JsonOption = False,
) -> None:
    """Move lines, one at a time, to where a method errs least on training slices."""
    from mrikit.commands.masks_search import SearchConfig, open_problem
    from mrikit.commands.masks_search import search as run
    from mrikit.config import parse_assignments
    from mrikit.masks.file import mask_file_bytes

    config = SearchConfig(
        kind=kind,
        acceleration=acceleration,
        num_center_lines=center,
        tile=_shape(tile, "--tile"),
        model=model,
        settings=parse_assignments(settings or []),
        num_slices=slices,
        num_passes=passes,
        num_candidates=candidates,
        num_starts=starts,
        seed=seed,
    )
    with Progress("searching", "masks") as progress:
        problem = open_problem(config, data)
        first = problem.as_mask(problem.starts[0])
        mask_file_bytes(first, out, _rng(seed))  # says now, not in the end, that a format cannot hold it
        for note in problem.notes:
            progress.say(note)
        problem.error(problem.starts[0])  # the first one takes longer
        begin = time.monotonic()
        problem.error(problem.starts[0])
        seconds = (time.monotonic() - begin) * problem.num_errors
        progress.say(
            f"search: up to {problem.num_errors} masks, about {in_time(seconds)}; the file is written in the end"
        )
        if dry_run:
            return
        progress.begin("searching", "masks", problem.num_errors)
        found = run(config, problem, lambda _: progress.advance(1))
    _write(found.mask, out, _rng(seed))
    _say(found.mask, problem.shape, out, is_json=is_json, errors=found.errors)


@app.command()
def show(
    source: Annotated[str, typer.Argument(help="A kind, a mask file, or a volume with a mask.")],
    out: Annotated[Path | None, typer.Option(help="The picture; mask.png by default.")] = None,
    shape: ShapeOption = "640x368",
    acceleration: AccelerationOption = None,
    center: CenterOption = None,
    seed: SeedOption = 0,
    settings: SettingsOption = None,
    is_json: JsonOption = False,
) -> None:
    """Draw pattern, density and point-spread function of a mask as a PNG."""
    from mrikit.errors import ConfigError
    from mrikit.masks.picture import draw_mask
    from mrikit.storage import write_bytes

    out = out or Path("mask.png")
    if out.suffix != ".png":
        raise ConfigError(f"the picture is a .png file, found --out {out}")
    if Path(source).suffix in (".h5", ".hdf5"):
        mask, size = _of_volume(Path(source))
    else:
        size = _shape_of_file(source, _shape(shape))
        mask = _drawn(source, size, acceleration, center, settings, _rng(seed))
    write_bytes(out, draw_mask(mask, size))
    _say(mask, size, out, is_json=is_json)


def _drawn(
    kind: str,
    shape: tuple[int, int],
    acceleration: float | None,
    center: str | None,
    settings: list[str] | None,
    rng: "np.random.RandomState",
) -> "Mask":
    from mrikit.config import parse_assignments
    from mrikit.masks import MASK_KINDS, MaskPlan, challenge_center_fraction, is_mask_file, sample_mask

    acceleration = acceleration or (1.0 if is_mask_file(kind) else 4.0)
    given: dict[str, Any] = dict(parse_assignments(settings or []))
    fraction = challenge_center_fraction(acceleration)
    if center is not None:
        sizes = _center(center)
        own = {one.name for one in fields(MASK_KINDS[kind].settings)} if kind in MASK_KINDS else set()
        if isinstance(sizes, float) and "acs" in own:  # kinds whose ACS is no share by itself
            sizes = (round(sizes * shape[0]), round(sizes * shape[1]))
        if isinstance(sizes, float):
            fraction = sizes
        elif "center" in own:
            given["center"] = sizes if len(sizes) == 2 else sizes * 2
        elif "num_center_lines" in own:
            given["num_center_lines"] = sizes[-1]
        else:
            fraction = sizes[-1] / shape[1]
    plan = MaskPlan(kind=kind, acceleration=acceleration, center_fraction=fraction, settings=given)
    return sample_mask(plan, shape, rng)


def _of_volume(path: Path) -> "tuple[Mask, tuple[int, int]]":
    """The mask that a volume was acquired with, or that its file plans."""
    from mrikit.errors import DataError
    from mrikit.masks import stored_mask
    from mrikit.volumes import open_volume

    volume = open_volume(path)
    samples = volume.planned_mask if volume.sampled is None else volume.sampled
    if samples is None:
        raise DataError(f"{path}: fully sampled, and stores no mask; name an undersampled volume, or a kind")
    return stored_mask(samples, volume.acquired), volume.info.matrix


def _shape_of_file(source: str, shape: tuple[int, int]) -> tuple[int, int]:
    """The shape that a mask file is for, as far as it says."""
    from mrikit.masks import is_mask_file
    from mrikit.masks.file import read_mask_file

    samples = read_mask_file(Path(source)).samples if is_mask_file(source) else None
    return shape if samples is None else (samples.shape[0] if samples.ndim == 2 else shape[0], samples.shape[-1])


def _write_array(array: "npt.NDArray[np.float32]", out: Path) -> None:
    import io

    import numpy as np

    from mrikit.storage import write_bytes

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_bytes(out, buffer.getvalue())


def _write(
    mask: "Mask", out: Path, rng: "np.random.RandomState", probabilities: "npt.NDArray[np.float32] | None" = None
) -> None:
    from mrikit.masks.file import mask_file_bytes
    from mrikit.storage import write_bytes

    for name, content in mask_file_bytes(mask, out, rng, probabilities).items():
        write_bytes(out.with_name(name), content)


def _say(
    mask: "Mask", shape: tuple[int, int], out: Path, *, is_json: bool, errors: Sequence[float] | None = None
) -> None:
    import json

    from mrikit.masks.picture import in_words, mask_facts

    facts = mask_facts(mask, shape)
    if is_json:
        more = {} if errors is None else {"errors": list(errors)}
        typer.echo(json.dumps(facts | more | {"path": str(out)}, indent=2))
        return
    if errors is not None:
        typer.echo(f"mean NMSE {errors[0]:.4g} at the start, {errors[-1]:.4g} in the end")
    typer.echo(f"{in_words(facts)}; in {out}")


def _rng(seed: int) -> "np.random.RandomState":
    import numpy as np

    return np.random.RandomState(seed)


def _shape(text: str, option: str = "--shape") -> tuple[int, int]:
    sizes = text.split("x")
    if len(sizes) != 2 or not all(size.isdecimal() and int(size) for size in sizes):
        raise typer.BadParameter(f"two sizes are needed, such as 640x368; found {text}", param_hint=option)
    return int(sizes[0]), int(sizes[1])


def _center(text: str) -> float | tuple[int, ...]:
    sizes = text.split("x")
    if len(sizes) <= 2 and all(size.isdecimal() for size in sizes):
        return tuple(map(int, sizes))
    try:
        return float(text)
    except ValueError:
        words = f"a centre is a share (0.08), lines (30), or rows x columns (24x24); found {text}"
        raise typer.BadParameter(words, param_hint="--center") from None


def _written(value: object, empty: str) -> str:
    """A default as `--set` takes it."""
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or empty
    return str(value).lower() if isinstance(value, bool) else f"{value}"
