"""`mrikit simulate`: make a study in the file formats of the real data: phantoms, brains, digits, mixtures."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from mrikit.commands.places import AS_LOCATION, Location, beside, settings_of
from mrikit.commands.progress import Progress
from mrikit.words import in_shell

if TYPE_CHECKING:
    from mrikit.simulate import Planned, Study

PHANTOM, TEMPLATE, DIGITS, MIXED = "phantom", "template", "digits", "mixed"
_FIELDS = {
    PHANTOM: (
        "num_volumes",
        "num_slices",
        "num_coils",
        "layout",
        "seed",
        "size",
        "matrix",
        "field_of_view_mm",
        "noise",
    ),
    TEMPLATE: (
        "num_volumes",
        "num_slices",
        "num_coils",
        "seed",
        "size",
        "matrix",
        "template",
        "deformation_mm",
        "coil_model",
    ),
    DIGITS: ("num_volumes", "num_slices", "source"),
    MIXED: ("num_volumes", "num_slices", "num_coils", "seed", "matrix", "template"),
}
"""What decides a study of each kind."""
_OF_TEMPLATE = ("template", "deformation", "coil_model")
_OF_PHANTOM = ("fov", "noise")
_NOT_OF_DIGITS = ("coils", "size", "matrix", "seed", *_OF_PHANTOM, *_OF_TEMPLATE)
_NOT_OF_MIXED = ("size", *_OF_PHANTOM, "deformation", "coil_model")
_NUM_VOLUMES = 8


def simulate(
    context: typer.Context,
    anatomy: Annotated[str, typer.Argument(help="brain or knee; digits; or mixed.")],
    out: Annotated[
        Location,
        typer.Option(
            **AS_LOCATION,
            help="Folder for the study, or az://container/prefix; volumes that it already holds are kept.",
        ),
    ],
    volumes: Annotated[
        int | None, typer.Option(help="Number of volumes; 8, and as many as the file fills of digits.")
    ] = None,
    coils: Annotated[
        str | None,
        typer.Option(help="Number of coils, or several in turn over the patients: 4,8. [8; 1 to 20 of mixed]"),
    ] = None,
    slices: Annotated[int | None, typer.Option(help="Slices per volume; 6, 40 of a template, 100 digits.")] = None,
    layout: Annotated[str, typer.Option(help="Folders and file format: fastmri or snu.")] = "fastmri",
    size: Annotated[
        str | None,
        typer.Option(help="full for the matrix sizes of the real data, half, or small. [small; full of a template]"),
    ] = None,
    matrix: Annotated[
        str | None, typer.Option(help="readout,phase of every volume instead, such as 192,96; readout is oversampled.")
    ] = None,
    fov: Annotated[
        float, typer.Option(help="Height of the scored window of a phantom, millimetres; 0 for that of the anatomy.")
    ] = 0.0,
    noise: Annotated[float, typer.Option(help="Factor on the noise of a phantom's protocols.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    form: Annotated[
        str, typer.Option("--anatomy", help="phantom, or template: brains made of one average brain.")
    ] = PHANTOM,
    template: Annotated[
        Path | None, typer.Option(help="NIfTI file with six tissue classes instead of nilearn's ICBM152 average.")
    ] = None,
    deformation: Annotated[float, typer.Option(help="Bend of each template brain, millimetres.")] = 3.0,
    coil_model: Annotated[
        str,
        typer.Option(help="Of a template: loops around the head, an array of them that hardly moves, or an ellipse."),
    ] = "loops",
    source: Annotated[
        Path | None, typer.Option("--from", help="File of digits: MNIST's idx, its .gz, or an .npz.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Volumes at a time; one per processor by default.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
) -> None:
    """Simulate a study: k-space with references, in splits that no patient straddles."""
    from mrikit.storage import everything, mirrored, nothing

    given = [name for name in _NOT_OF_DIGITS if getattr(context.get_parameter_source(name), "name", "") != "DEFAULT"]
    _require_kind(anatomy, form, given, source, layout)
    config = _config(
        anatomy,
        form,
        {
            "num_volumes": volumes,
            "num_slices": slices,
            "num_coils": None if coils is None else _numbers(coils, "--coils"),
            "layout": layout,
            "seed": seed,
            "size": size,
            "matrix": _matrix(matrix),
            "field_of_view_mm": fov,
            "noise": noise,
            "template": template,
            "deformation_mm": deformation,
            "coil_model": coil_model,
            "source": source,
        },
    )
    with mirrored(out, settings_of, writes=nothing if dry_run else everything, is_passing=True) as place:
        config = replace(config, folder=place.folder)
        run(config, num_workers=workers, is_dry_run=dry_run, present=place.names, check=place.check)
    if not dry_run:
        following = in_shell("reconstruct", "--data", out, "--out", beside(out, "-recon"), "--acceleration", "4")
        typer.echo(f"next: {following}")


def run(
    config: "Study",
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


def _require_kind(anatomy: str, form: str, given: list[str], source: Path | None, layout: str) -> None:
    """Refuse options that belong to another kind of study."""
    if anatomy == MIXED:
        _require_mixed(form, given, source, layout)
        return
    if form not in (PHANTOM, TEMPLATE):
        raise typer.BadParameter(f"{form!r} is neither {PHANTOM} nor {TEMPLATE}", param_hint="--anatomy")
    if form == TEMPLATE and anatomy != "brain":
        raise typer.BadParameter(f"the template is a brain, not a {anatomy}", param_hint="--anatomy")
    others = _OF_TEMPLATE if form == PHANTOM else _OF_PHANTOM
    elsewhere = [name for name in given if anatomy == DIGITS or name in others]
    if elsewhere:
        kind = "brain --anatomy template" if form == PHANTOM else f"--anatomy {PHANTOM}"
        said = "says nothing of digits" if anatomy == DIGITS else f"goes with {kind}"
        raise typer.BadParameter(said, param_hint=f"--{elsewhere[0].replace('_', '-')}")
    if (source is None) == (anatomy == DIGITS):
        said = "names the file of digits" if source is None else f"goes with digits, not with {anatomy}"
        raise typer.BadParameter(said, param_hint="--from")
    if layout != "fastmri" and (form == TEMPLATE or anatomy == DIGITS):
        raise typer.BadParameter("a template and digits are written as fastMRI writes", param_hint="--layout")


def _require_mixed(form: str, given: list[str], source: Path | None, layout: str) -> None:
    elsewhere = [name.replace("_", "-") for name in given if name in _NOT_OF_MIXED]
    elsewhere += ["anatomy"] * (form != PHANTOM) + ["from"] * (source is not None) + ["layout"] * (layout != "fastmri")
    if elsewhere:
        raise typer.BadParameter("says nothing of mixed", param_hint=f"--{elsewhere[0]}")


def _config(anatomy: str, form: str, options: Mapping[str, Any]) -> "Study":
    """The study of that kind; options that were not given keep its defaults."""
    from mrikit.simulate import DigitsStudy, MixedStudy, StudyConfig, TemplateStudy

    kind = anatomy if anatomy in (DIGITS, MIXED) else form
    given = {name: options[name] for name in _FIELDS[kind] if options[name] is not None}
    if kind == DIGITS:
        return DigitsStudy(folder=Path(), **given)
    given = {"num_volumes": _NUM_VOLUMES} | given
    if kind == MIXED:
        return MixedStudy(folder=Path(), **given)
    if kind == TEMPLATE:
        return TemplateStudy(folder=Path(), **given)
    return StudyConfig(anatomy=anatomy, folder=Path(), **given)


def _folder(planned: "Planned") -> Path:
    """The folder to point a reader at: for SNU the one that holds k-space and images."""
    folder = planned.path.parent
    return folder.parent if folder.name == "kspace" else folder


def _describe(config: "Study", plan: "list[Planned]", missing: "list[Planned]") -> str:
    from mrikit.storage import shown

    num_patients = len({planned.scan.patient_id for planned in plan})
    matrices = [f"{y} x {x}" for y, x in sorted({planned.scan.matrix for planned in plan})]
    sizes = (
        " and ".join(matrices) if len(matrices) < 5 else f"{len(matrices)} matrices, {matrices[0]} to {matrices[-1]}"
    )
    coils = config.num_coils or sorted({planned.scan.num_coils for planned in plan})
    size_bytes = sum(planned.scan.size_bytes for planned in missing)
    return (
        f"simulate: {len(plan)} {config.anatomy} volumes of {num_patients} patients, {config.num_slices} slices, "
        f"{','.join(map(str, coils))} coils, {sizes}, "
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
