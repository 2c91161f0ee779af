"""`mrikit evaluate`: reconstructions to scores."""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from mrikit.commands.orientation import open_classifier, orientation_lines
from mrikit.commands.places import AS_LOCATION, Location, weights_of
from mrikit.commands.progress import Progress
from mrikit.words import in_shell

if TYPE_CHECKING:
    from rich.table import Table

    from mrikit.evaluate import Difference, Interval, Scores, Summary, VolumeScore

NUM_WORST = 5
PIPE_WIDTH = 120
LESION_COLUMNS = ("lesion SSIM", "boxes")
KSPACE_COLUMNS = ("k-space NMSE", "of all")
BANDING_COLUMNS = ("banding dB [95 % interval]",)


def evaluate(
    recon: Annotated[
        list[Location],
        typer.Option(
            **AS_LOCATION, help="Folder that `mrikit reconstruct` wrote, or az://container/prefix; repeatable."
        ),
    ],
    data: Annotated[
        Location | None,
        typer.Option(**AS_LOCATION, help="Folder of the volumes; by default the one that was reconstructed."),
    ] = None,
    scorer: Annotated[
        str,
        typer.Option(
            help="fastmri: the whole window; snu-2025 and snu-2026: inside the body, as the SNU challenge of that year "
            "(snu means snu-2025); banding: as fastmri, and stripes along one axis in dB."
        ),
    ] = "fastmri",
    boxes: Annotated[
        str | None,
        typer.Option(
            help="Also score lesions: a fastMRI+ CSV, or `stored` for boxes in the data; an error where there are none."
        ),
    ] = None,
    patients: Annotated[
        Location | None,
        typer.Option(
            **AS_LOCATION, help="A CSV of file,patient for files that do not say whose they are; intervals follow it."
        ),
    ] = None,
    classifier: Annotated[
        Location | None,
        typer.Option(
            **AS_LOCATION,
            help="With --scorer banding: weights of `mrikit train --task orientation`, which tell how visible banding "
            "is. Each run is then given twice, with --recon of `mrikit reconstruct` with --transposed and without.",
        ),
    ] = None,
    expected: Annotated[
        int | None, typer.Option(min=1, help="Fail unless each anatomy has this many volumes at each acceleration.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Score the reconstructions of RECON against the references of their volumes."""
    from mrikit.errors import ConfigError, DataError
    from mrikit.evaluate import OLDER_NAMES, SCORERS, score_files
    from mrikit.storage import mirrored, only, shown

    if scorer in OLDER_NAMES:
        typer.echo(f"scorer {scorer} is {(new := OLDER_NAMES[scorer])}, the rules of that year; name it so", err=True)
        scorer = new
    if scorer not in SCORERS:
        raise typer.BadParameter(f"{scorer!r} is not one of {', '.join(SCORERS)}.", param_hint="--scorer")
    has_banding = SCORERS[scorer].has_banding
    if classifier is not None and not has_banding:
        raise ConfigError(f"--classifier is part of the banding score; give --scorer banding, found {scorer}")
    with contextlib.ExitStack() as held:
        writes = only(*(name for known in SCORERS for name in score_files(known)))
        places = [held.enter_context(mirrored(location, writes=writes)) for location in recon]
        folders = [place.folder for place in places]
        checks = [place.check for place in places]
        scores, files = run(
            folders,
            data,
            scorer,
            boxes=boxes,
            patients=patients,
            classifier=classifier,
            expected=expected,
            checks=checks,
        )
        rows = [row for found in scores for row in found.rows]
        if not rows:
            raise DataError(
                f"none of {_num_unscored(scores)} volumes could be scored: {_reasons(scores)}; scores need files with "
                f"a reference, `{in_shell('report', _common_folder(folders))}` shows the pictures without"
            )
    if as_json:
        typer.echo(_json(folders, scores))
        return
    show(rows)
    show_curves(scores)
    told = orientation_lines(scores, has_classifier=classifier is not None) if has_banding else []
    for line in [*told, *_boxes(rows, boxes), *_adaptivity(folders, scores), *_leaderboard(folders, scores)]:
        typer.echo(line)
    for file in files:
        typer.echo(shown(file))
    typer.echo(f"next: {in_shell('report', _common_folder(folders))}")


def run(
    recon: Sequence[Path],
    data: Location | None = None,
    scorer: str = "fastmri",
    *,
    boxes: str | None = None,
    patients: Location | None = None,
    classifier: Location | None = None,
    expected: int | None = None,
    checks: Sequence[Callable[[], None]] = (),
) -> tuple[list["Scores"], list[Path]]:
    """Score every folder with a progress bar, and write its scores into it.

    A file holds the labels of its folder alone; what is returned tells the runs of all folders apart.

    Args:
        recon: Folders of reconstructions.
        data: Folder of their volumes; the one that was reconstructed if None.
        scorer: A name of `mrikit.evaluate.SCORERS`.
        boxes: A fastMRI+ table of lesions, or `stored`; none if None.
        patients: Table of whose the volumes are.
        classifier: Weights of a classifier of orientation; none if None.
        expected: Volumes of each anatomy at each acceleration; nothing is written unless there are as many.
        checks: Each raises what keeps scores from their location.

    Returns:
        Scores of each folder, and the files written.

    Raises:
        MrikitError: See `mrikit.evaluate.evaluate`, `open_classifier` and `require_expected`.
    """
    from mrikit.evaluate import STORED, data_of, label_runs, require_expected, with_orientations, write_scores
    from mrikit.evaluate import evaluate as evaluate_folder
    from mrikit.storage import parse_location, pulled

    messages = Console(stderr=True, highlight=False, soft_wrap=True)
    source: Path | Literal["stored"] | None = (
        STORED if boxes == STORED else pulled(parse_location(boxes)) if boxes else None
    )
    table = None if patients is None else pulled(patients)
    judge = None if classifier is None else open_classifier(pulled(classifier, weights_of), recon, data, table)
    scores: list[Scores] = []
    with Progress("scoring", "volumes", messages=messages) as progress:

        def show_volume(done: int, total: int) -> None:
            for check in checks:
                check()
            progress.show(done, total)

        for folder in recon:
            progress.begin(f"scoring {folder.name}", "volumes")
            scores.append(
                evaluate_folder(
                    data or data_of(folder),
                    folder,
                    scorer=scorer,
                    boxes=source,
                    patients=table,
                    classifier=judge,
                    on_volume=show_volume,
                )
            )
    scores = with_orientations(scores)
    num_unscored = _num_unscored(scores)
    if num_unscored:
        messages.print(f"{num_unscored} volumes were not scored: {_reasons(scores)}", markup=False)
    for note in dict.fromkeys(note for found in scores for note in found.notes):
        messages.print(f"warning: {note}", markup=False)
    if expected is not None:
        require_expected({str(folder): found for folder, found in zip(recon, scores, strict=True)}, expected)
    files = [file for folder, found in zip(recon, scores, strict=True) for file in write_scores(folder, found)]
    return label_runs(scores), files


def show(rows: Sequence["VolumeScore"]) -> None:
    """Print means, differences between runs on the volumes that they share, and the worst slices of the best runs.

    Args:
        rows: Of one scorer.
    """
    from mrikit.evaluate import SCORERS, best_models, common_volumes, same_volumes, sorted_slices

    console = _console()
    for scorer in dict.fromkeys(row.scorer for row in rows):
        console.print(f"scorer {scorer}: {SCORERS[scorer].meaning}", markup=False)
    groups = same_volumes(rows)
    for common in common_volumes(rows):
        console.print(common.line, markup=False)
    console.print(_means(groups))
    differences = _differences(groups)
    if differences:
        console.print("difference to the best model on the same volumes, SSIM [95 % interval]:")
        for entry in differences:
            line = f"  {entry.label} - {entry.baseline}, {entry.acceleration:g}x: {_bounds(entry.ssim, 4, sign='+')}"
            console.print(line, markup=False)
    # The first group of an acceleration is that of most runs.
    chosen = {group[0].acceleration: group for group in reversed(groups)}
    best = {acceleration: best_models(group)[acceleration] for acceleration, group in chosen.items()}
    console.print("worst slices of the best model:" if differences else "worst slices:")
    candidates = (row for acceleration, group in chosen.items() for row in group if row.label == best[acceleration])
    for worst in sorted_slices(candidates)[:NUM_WORST]:
        row = worst.row
        line = f"  {row.volume_id} slice {worst.slice_index}, {row.label} {row.acceleration:g}x: SSIM {worst.ssim:.4f}"
        console.print(line, markup=False)


def show_curves(scores: Sequence["Scores"]) -> None:
    """Print a line for each run whose lines a policy chose: what they were worth, and how long it took.

    Args:
        scores: Of some folders, labelled; nothing is printed where none has a curve.
    """
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("R", "policy", "lines"):
        table.add_column(name)
    for name in ("SSIM before", "and after", "area [95 % interval]", "bits adapted", "ms a decision"):
        table.add_column(name, justify="right")
    for found in scores:
        for curve in found.curves:
            bits = [one.total for one in found.adaptivity if one.acceleration == curve.acceleration]
            pace = curve.ms_per_decision
            table.add_row(
                f"{curve.acceleration:g}x",
                next(row.label for row in found.rows if row.acceleration == curve.acceleration),
                f"{curve.ssim.num_lines[0]} to {curve.ssim.num_lines[-1]}",
                f"{curve.ssim.scores[0].mean:.4f}",
                f"{curve.ssim.scores[-1].mean:.4f}",
                _bounds(curve.ssim.area, 4),
                f"{bits[0].information_bits:.2f} of {bits[0].marginal_bits:.2f}" if bits else "",
                "" if pace is None else f"{pace:.3g}",
            )
    if table.rows:
        console = _console()
        console.print("SSIM over lines, by fastMRI's scorer; area is the mean height of the curve:", markup=False)
        console.print(table)


def _console() -> Console:
    """Wide enough for tables where nobody looks."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def _leaderboard(recon: Sequence[Path], scores: Sequence["Scores"]) -> list[str]:
    """A line for each submission; with its name if there are rivals."""
    from mrikit.evaluate import leaderboard, leaderboard_lines

    return leaderboard_lines(leaderboard(_rows_of(recon, scores)))


def _boxes(rows: Sequence["VolumeScore"], boxes: str | None) -> list[str]:
    """How many boxes there are, and how many of them were scored."""
    if boxes is None:
        return []
    found, scored = sum(row.num_boxes_found for row in rows), sum(row.num_boxes for row in rows)
    return [
        f"boxes: {found} found and {scored} scored, in {sum(row.num_boxes > 0 for row in rows)} of {len(rows)} volumes"
    ]


def _adaptivity(recon: Sequence[Path], scores: Sequence["Scores"]) -> list[str]:
    """A line for each folder and acceleration whose slices were measured by lines of their own."""
    from mrikit.storage import shown

    return [
        f"{shown(folder)}: {entry.line}" if len(recon) > 1 else entry.line
        for folder, found in zip(recon, scores, strict=True)
        for entry in found.adaptivity
    ]


def _rows_of(recon: Sequence[Path], scores: Sequence["Scores"]) -> dict[str, Sequence["VolumeScore"]]:
    from mrikit.storage import shown

    return {shown(folder): found.rows for folder, found in zip(recon, scores, strict=True)}


def _differences(groups: Sequence[Sequence["VolumeScore"]]) -> list["Difference"]:
    from mrikit.evaluate import compare_to_best

    return [difference for group in groups for difference in compare_to_best(group)]


def _means(groups: Sequence[Sequence["VolumeScore"]]) -> "Table":
    """A line for each run and acquisition of each group of the same volumes; columns of lesions if any was scored.

    There are columns of k-space if any run filled it: the mean over volumes, and the ratio of all together.

    Where a run did more volumes than its group has, their number is there too.
    """
    from rich.table import Table

    from mrikit.evaluate import summarise, summarise_lesions

    own = {(row.scorer, row.acceleration, row.label): set[tuple[str, str]]() for group in groups for row in group}
    for row in (row for group in groups for row in group):
        own[row.scorer, row.acceleration, row.label].add(row.volume)
    lesions = [{entry.label: entry for entry in summarise_lesions(group) if entry.lesion is None} for group in groups]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("R", "model", "acquisition"):
        table.add_column(name)
    has_kspace = any(row.kspace_nmse is not None for group in groups for row in group)
    has_banding = any(row.banding_db is not None for group in groups for row in group)
    more = (
        *(BANDING_COLUMNS if has_banding else ()),
        *(KSPACE_COLUMNS if has_kspace else ()),
        *(LESION_COLUMNS if any(lesions) else ()),
    )
    for name in ("volumes", "SSIM [95 % interval]", "PSNR dB", "NMSE", *more):
        table.add_column(name, justify="right")
    for group, lesion in zip(groups, lesions, strict=True):
        overall, single = summarise(group), summarise(group, by_acquisition=True)
        for entry in sorted(overall + single, key=lambda entry: (entry.label, entry.acquisition or "")):
            found = lesion.get(entry.label) if entry.acquisition is None else None
            num_own = len(own[group[0].scorer, entry.acceleration, entry.label])
            is_part = entry.acquisition is None and entry.num_volumes < num_own
            table.add_row(
                f"{entry.acceleration:g}x",
                entry.label,
                entry.acquisition or "all",
                f"{entry.num_volumes} of {num_own}" if is_part else str(entry.num_volumes),
                _bounds(entry.ssim, 4),
                f"{entry.psnr.mean:.2f}",
                f"{entry.nmse.mean:.4f}",
                *((_bounds(entry.banding_db, 2, sign="+") if entry.banding_db else "",) if has_banding else ()),
                *(_kspace(entry) if has_kspace else ()),
                *((_bounds(found.ssim, 4), str(found.num_boxes)) if found else ()),
            )
    return table


def _kspace(entry: "Summary") -> tuple[str, str]:
    if entry.kspace_nmse is None or entry.kspace_nmse_of_all is None:
        return "", ""
    return f"{entry.kspace_nmse.mean:.4g}", f"{entry.kspace_nmse_of_all:.4g}"


def _json(recon: Sequence[Path], scores: Sequence["Scores"]) -> str:
    """What the JSON file of every folder holds, and what only several runs together show."""
    import json

    from mrikit.evaluate import common_volumes, describe_scores, leaderboard, same_volumes, to_json

    rows_of = _rows_of(recon, scores)
    rows = [row for found in rows_of.values() for row in found]
    content = {
        "folders": [describe_scores(found) for found in scores],
        "common": to_json(common_volumes(rows)),
        "differences": to_json(_differences(same_volumes(rows))),
        "leaderboard": to_json(leaderboard(rows_of)),
    }
    return json.dumps(content, indent=2, allow_nan=False)


def _bounds(interval: "Interval", digits: int, sign: str = "") -> str:
    from mrikit.evaluate import format_bounds

    mean, *bounds = format_bounds(interval, digits, sign)
    return f"{mean} [{', '.join(bounds)}]" if bounds else mean


def _num_unscored(scores: Sequence["Scores"]) -> int:
    return len({(volume.path, volume.volume_id) for found in scores for volume in found.unscored})


def _reasons(scores: Sequence["Scores"]) -> str:
    """Every reason once, with a few of the volumes."""
    from mrikit.evaluate import group_reasons

    reasons = group_reasons(volume for found in scores for volume in found.unscored)
    return "; ".join(f"{reason} ({names})" for reason, _count, names in reasons)


def _common_folder(recon: Sequence[Path]) -> str:
    """The smallest folder that holds all of them: what the report is made of."""
    from mrikit.storage import shown

    return shown(recon[0] if len(recon) == 1 else os.path.commonpath([path.resolve() for path in recon]))
