"""What the tables and the chart of a report show, computed from the rows of scores and nothing else."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mrikit.evaluate import (
    SCORERS,
    Difference,
    Interval,
    OrientationAccuracy,
    SliceScore,
    Summary,
    VolumeScore,
    best_models,
    common_volumes,
    compare_to_best,
    format_bounds,
    group_reasons,
    leaderboard,
    leaderboard_lines,
    same_volumes,
    sorted_slices,
    summarise,
    summarise_lesions,
)
from mrikit.masks import is_mask_file
from mrikit.report.collect import ReconFolder, list_unscored
from mrikit.storage import recorded_location, shown

NUM_WORST = 10
TICK_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
MAX_TICKS = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelLine:
    """One line of the score table: one run."""

    summary: Summary
    difference: Difference | None
    """To the best run on the same volumes; None for the best run itself."""
    seconds_per_slice: float | None
    is_best: bool
    orientation: OrientationAccuracy | None = None
    """What a classifier tells of its orientation; None where nobody was asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Runs that did the same volumes at one acceleration."""

    name: str
    """Acceleration, the scorer where there are several, and where it has several sections the number of volumes."""
    acceleration: float
    scorer: str
    volumes: frozenset[str]
    """Files of the volumes, absolute."""
    absent: tuple[str, ...]
    """Labels of the runs at this acceleration that did not do all of these volumes."""
    true_acceleration: tuple[float, float]
    """Smallest and largest."""
    masks: tuple[str, ...]
    """Kinds of sampling mask."""
    lines: tuple[ModelLine, ...]
    """Best run first."""
    acquisitions: tuple[tuple[str, int, tuple[Summary | None, ...]], ...]
    """Name, number of volumes, and the summary of each run in the order of `lines`."""
    worst: tuple[SliceScore, ...]
    """Worst slices of the best run."""
    best: str
    """Label of the run of highest mean SSIM."""
    common: str = ""
    """Where all runs are compared on these volumes and some did others too, how many are left out of each."""

    @property
    def has_kspace(self) -> bool:
        """Whether all runs have an error of k-space."""
        return all(line.summary.kspace_nmse is not None for line in self.lines)

    @property
    def has_banding(self) -> bool:
        """Whether the banding of any run is known."""
        return any(line.summary.banding_db is not None for line in self.lines)

    @property
    def has_orientation(self) -> bool:
        """Whether a classifier was asked for the orientation of any run."""
        return any(line.orientation is not None for line in self.lines)


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """The SSIM axis of the chart."""

    low: float
    high: float
    ticks: tuple[float, ...]
    digits: int
    """Decimals of the tick labels."""

    def position(self, value: float) -> float:
        """Where a value lies between the ends, 0 to 1."""
        return min(max((value - self.low) / (self.high - self.low), 0), 1)


def make_sections(folders: Sequence[ReconFolder]) -> list[Section]:
    """For each acceleration, lowest first, the runs that did the same volumes; several sections if not all did."""
    rows = [row for folder in folders for row in folder.rows]
    groups = same_volumes(rows)
    num_sections = Counter((group[0].acceleration, group[0].scorer) for group in groups)
    has_one_scorer = len({row.scorer for row in rows}) == 1
    labels: dict[tuple[float, str], dict[str, None]] = {}
    for row in rows:
        labels.setdefault((row.acceleration, row.scorer), {})[row.label] = None
    common = {(entry.acceleration, entry.scorer): entry.line for entry in common_volumes(rows)}
    sections = []
    for group in groups:
        key = group[0].acceleration, group[0].scorer
        name = f"{key[0]:g}x" if has_one_scorer else f"{key[0]:g}x by scorer {key[1]}"
        section = _section(name, group, tuple(labels[key]), num_sections[key] > 1, folders)
        sections.append(section if section.absent else replace(section, common=common.get(key, "")))
    return sections


def make_axis(sections: Sequence[Section]) -> Axis:
    """An axis with round ticks around all means and intervals."""
    intervals = [line.summary.ssim for section in sections for line in section.lines]
    low = min(interval.mean if interval.low is None else interval.low for interval in intervals)
    high = max(interval.mean if interval.high is None else interval.high for interval in intervals)
    step = next((step for step in TICK_STEPS if (high - low) / step <= MAX_TICKS - 2), TICK_STEPS[-1])
    first, last = math.floor(low / step), math.ceil(high / step)
    last = max(last, first + 1)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return Axis(
        low=first * step,
        high=last * step,
        ticks=tuple(number * step for number in range(first, last + 1)),
        digits=digits,
    )


def unscored_reasons(folders: Sequence[ReconFolder]) -> list[tuple[str, int, str]]:
    """Reason, number of volumes, and the names of some of them."""
    return group_reasons(volume for folder in folders for volume in list_unscored(folder))


def _section(
    name: str,
    rows: Sequence[VolumeScore],
    all_labels: Sequence[str],
    is_one_of_several: bool,
    folders: Sequence[ReconFolder],
) -> Section:
    (best,) = best_models(rows).values()
    differences = {difference.label: difference for difference in compare_to_best(rows)}
    summaries = sorted(summarise(rows), key=lambda entry: (entry.label != best, -entry.ssim.mean))
    acceleration = rows[0].acceleration
    lines = tuple(
        ModelLine(
            summary=summary,
            difference=differences.get(summary.label),
            seconds_per_slice=_seconds_per_slice(folders, summary.label, acceleration),
            is_best=summary.label == best,
            orientation=_orientation(folders, summary.label, rows[0].acceleration, rows[0].scorer),
        )
        for summary in summaries
    )
    single = {(entry.acquisition, entry.label): entry for entry in summarise(rows, by_acquisition=True)}
    volumes = {row.path: row.acquisition or "unknown" for row in rows}
    true_accelerations = [row.true_acceleration for row in rows]
    num_volumes = f"{len(volumes)} volume{'s' if len(volumes) > 1 else ''}"
    return Section(
        name=f"{name} on {num_volumes}" if is_one_of_several else name,
        acceleration=acceleration,
        scorer=rows[0].scorer,
        volumes=frozenset(volumes),
        absent=tuple(label for label in all_labels if label not in {row.label for row in rows}),
        true_acceleration=(min(true_accelerations), max(true_accelerations)),
        masks=tuple(sorted({row.mask for row in rows})),
        lines=lines,
        acquisitions=tuple(
            (name, count, tuple(single.get((name, line.summary.label)) for line in lines))
            for name, count in sorted(Counter(volumes.values()).items())
        ),
        worst=tuple(sorted_slices(row for row in rows if row.label == best)[:NUM_WORST]),
        best=best,
    )


def _orientation(
    folders: Sequence[ReconFolder], label: str, acceleration: float, scorer: str
) -> OrientationAccuracy | None:
    """That of a run, which both of its folders hold."""
    for folder in folders:
        key = (label, acceleration, scorer)
        if folder.scores and key in {(row.label, row.acceleration, row.scorer) for row in folder.rows}:
            for entry in folder.scores.orientation:
                if entry.acceleration == acceleration:
                    return entry.accuracy
    return None


def _seconds_per_slice(folders: Sequence[ReconFolder], label: str, acceleration: float) -> float | None:
    """Time of all folders together, each weighed by its slices."""
    seconds = num_slices = 0.0
    for folder in folders:
        speed = folder.scores.run.get("slices_per_second") if folder.scores else None
        matching = [row.num_slices for row in folder.rows if (row.label, row.acceleration) == (label, acceleration)]
        if speed and matching:
            num_slices += sum(matching)
            seconds += sum(matching) / speed
    return seconds / num_slices if num_slices else None


def format_interval(interval: Interval, digits: int, sign: str = "") -> tuple[str, str]:
    """Mean and bounds as text; no bounds for a single patient."""
    numbers = [
        text.replace("-", "\N{MINUS SIGN}").replace("inf", "\N{INFINITY}")
        for text in format_bounds(interval, digits, sign)
    ]
    return numbers[0], " to ".join(numbers[1:])


def run_facts(folders: Sequence[ReconFolder]) -> list[tuple[str, str]]:
    """What was run, as name and text."""
    rows = {row.path: row for folder in folders for row in folder.rows}
    unscored = {volume.path for folder in folders for volume in list_unscored(folder)} - rows.keys()
    data = dict.fromkeys(str(folder.scores.data if folder.scores else folder.run.get("data")) for folder in folders)
    versions = dict.fromkeys(str(folder.run.get("version")) for folder in folders)
    num_slices = sum(row.num_slices for row in rows.values())
    facts = {
        "Data": "; ".join(str(recorded_location(path)) for path in data),
        "Models": ", ".join(dict.fromkeys(str(folder.run.get("model")) for folder in folders)),
        "Sampling": "; ".join(dict.fromkeys(_mask(folder) for folder in folders)),
        "Scored": f"{len(rows)} volumes, {num_slices} slices",
        "Scored by": "; ".join(_scorers(folders)),
        "Leaderboard": "; ".join(_leaderboard(folders)),
        "Lesions": "; ".join(_lesions(folders)),
        "Not scored": f"{len(unscored)} volumes" if unscored else "",
        "Reconstructed by": f"mrikit {', '.join(versions)}",
    }
    return [(name, text) for name, text in facts.items() if text]


def _scorers(folders: Sequence[ReconFolder]) -> list[str]:
    names = dict.fromkeys(folder.scores.scorer for folder in folders if folder.scores)
    return [f"{name} ({SCORERS[name].meaning})" for name in names]


def _leaderboard(folders: Sequence[ReconFolder]) -> list[str]:
    """The score of each submission."""
    rows: dict[str, list[VolumeScore]] = {}
    for folder in folders:
        rows.setdefault(shown(folder.path), []).extend(folder.rows)
    return leaderboard_lines(leaderboard(rows))


def _lesions(folders: Sequence[ReconFolder]) -> list[str]:
    """SSIM inside the boxes of each run, all kinds of lesion together."""
    groups = same_volumes(row for folder in folders for row in folder.rows)
    return [
        f"{entry.label} {entry.acceleration:g}x SSIM {entry.ssim.mean:.4f} in {entry.num_boxes} of "
        f"{sum(row.num_boxes_found for row in group if row.label == entry.label)} boxes by {group[0].scorer}"
        for group in groups
        for entry in summarise_lesions(group)
        if entry.lesion is None
    ]


def _mask(folder: ReconFolder) -> str:
    mask = folder.run.get("mask")
    if not mask:
        return "as acquired"
    if is_mask_file(mask["kind"]):
        return f"{mask['kind']} {mask['acceleration']:g}x" if mask["acceleration"] > 1 else mask["kind"]
    return f"{mask['kind']} {mask['acceleration']:g}x with {mask['center_fraction']:.0%} centre lines"
