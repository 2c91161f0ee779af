"""`mrikit simulate`: make a study of random anatomies in the file formats of the real data."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from mrikit.commands.places import AS_LOCATION, Location, beside, settings_of
from mrikit.commands.progress import Progress
from mrikit.words import in_shell

if TYPE_CHECKING:
    from mrikit.simulate import PlannedVolume, StudyConfig


def simulate(
    anatomy: Annotated[str, typer.Argument(help="brain or knee.")],
    out: Annotated[
        Location,
        typer.Option(
            **AS_LOCATION,
            help="Folder for the study, or az://container/prefix; volumes that it already holds are kept.",
        ),
    ],
    volumes: Annotated[int, typer.Option(help="Number of volumes; every patient has two.")] = 8,
    coils: Annotated[str, typer.Option(help="Number of coils, or several in turn over the patients: 4,8.")] = "8",
    slices: Annotated[int, typer.Option(help="Slices per volume.")] = 6,
    layout: Annotated[str, typer.Option(help="Folders and file format: fastmri or snu.")] = "fastmri",
    size: Annotated[
        str, typer.Option(help="full for the matrix sizes of the real data, half, or small for a third.")
    ] = "small",
    matrix: Annotated[
        str | None, typer.Option(help="readout,phase of every volume instead, such as 192,96; readout is oversampled.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    workers: Annotated[int | None, typer.Option(help="Volumes at a time; one per processor by default.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
) -> None:
    """Simulate a study: k-space with references, in splits that no patient straddles."""
    from mrikit.simulate import StudyConfig
    from mrikit.storage import everything, mirrored, nothing

    config = StudyConfig(
        anatomy=anatomy,
        folder=Path(),
        num_volumes=volumes,
        num_coils=_numbers(coils, "--coils"),
        num_slices=slices,
        layout=layout,
        seed=seed,
        size=size,
        matrix=_matrix(matrix),
    )
    with mirrored(out, settings_of, writes=nothing if dry_run else everything, is_passing=True) as place:
        config = replace(config, folder=place.folder)
        run(config, num_workers=workers, is_dry_run=dry_run, present=place.names, check=place.check)
    if not dry_run:
        following = in_shell("reconstruct", "--data", out, "--out", beside(out, "-recon"), "--acceleration", "4")
        typer.echo(f"next: {following}")


def run(
    config: "StudyConfig",
    *,
    num_workers: int | None = None,
    is_dry_run: bool = False,
    present: Collection[str] = (),
    check: Callable[[], None] = lambda: None,
) -> None:
    """Print the plan, simulate with a progress bar, and say what is where.

    Args:
        config: The study.
        num_workers: Volumes to simulate at a time; one for each processor if None.
        is_dry_run: Whether to stop after the plan.
        present: Names of files of the study that are done and elsewhere.
        check: Raises what keeps the study from its location.

    Raises:
        MrikitError: See `mrikit.simulate.simulate_study`.
    """
    from mrikit.simulate import missing_volumes, plan_study, simulate_study
    from mrikit.storage import shown

    messages = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    plan, missing = plan_study(config), missing_volumes(config, present)
    messages.print(_describe(config, plan, missing))
    if is_dry_run:
        return
    with Progress("simulate", "volumes", len(plan), messages=messages) as progress:

        def advance(path: Path) -> None:
            check()
            progress.advance(1, at=path.name)

        simulate_study(config, num_workers=num_workers, present=present, on_volume=advance)
    folders = Counter((planned.split, _folder(planned)) for planned in plan)
    for (split, folder), count in sorted(folders.items(), key=lambda entry: str(entry[0][1])):
        typer.echo(f"{split}: {count} volumes in {shown(folder)}")


def _folder(planned: "PlannedVolume") -> Path:
    """The folder to point a reader at: for SNU the one that holds k-space and images."""
    folder = planned.path.parent
    return folder.parent if folder.name == "kspace" else folder


def _describe(config: "StudyConfig", plan: "list[PlannedVolume]", missing: "list[PlannedVolume]") -> str:
    from mrikit.storage import shown

    num_patients = len({planned.scan.patient_id for planned in plan})
    matrices = sorted({planned.scan.matrix for planned in plan})
    size_bytes = sum(planned.scan.size_bytes for planned in missing)
    return (
        f"simulate: {len(plan)} {config.anatomy} volumes of {num_patients} patients, {config.num_slices} slices, "
        f"{','.join(map(str, config.num_coils))} coils, {' and '.join(f'{y} x {x}' for y, x in matrices)}, "
        f"{config.layout} layout, to {shown(config.folder)}; {len(missing)} to make, about {size_bytes / 1e6:.1f} MB"
    )


def _matrix(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    numbers = _numbers(text, "--matrix")
    if len(numbers) != 2:
        raise typer.BadParameter(f"{text!r} is not readout,phase; write for instance 192,96", param_hint="--matrix")
    return numbers[0], numbers[1]


def _numbers(text: str, option: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        message = f"{text!r} is not a whole number or a comma-separated list of them"
        raise typer.BadParameter(message, param_hint=option) from None
