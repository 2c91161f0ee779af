"""Cures of banding in one table: banding, SSIM, PSNR, detail, failed runs; the first and last slices apart.

Reads the reconstructions of the test data of a sweep, such as examples/banding-cures.toml, whose members are cures and
seeds. Dithering needs no training: it is done here to the images of the members that have no cure. Intervals are 95 %
over seeds (Student's t).

python benchmarks/banding_cures.py SWEEP.toml [--dither 0.015]
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t as student

from mrikit.evaluate.pairs import Pair, read_pair
from mrikit.launching.sweep_file import read_sweep
from mrikit.launching.sweep_runs import submitted_runs
from mrikit.metrics import directional_excess, high_frequency_error, psnr, ssim
from mrikit.randomness import generator
from mrikit.reconstruct.dither import dither
from mrikit.report.sweep.runs import SweepRun
from mrikit.volumes.reconstruction import find_reconstructions

COLUMNS = ("|banding|, dB", "banding, dB", "SSIM", "PSNR, dB", "detail error")
PUBLISHED_DITHER = 0.015


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one member came to."""

    middle: list[float]
    """Means of `COLUMNS` over all slices but the first and last of each volume."""
    ends: list[float]
    """Likewise of these."""


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--dither", type=float, default=PUBLISHED_DITHER)
    arguments = parser.parse_args()
    sweep = read_sweep(arguments.sweep)
    runs = submitted_runs(sweep.members())
    cures = sorted({run.repeated for run in runs})
    print(f"| cure | slices | {' | '.join(COLUMNS)} | failed runs |")
    print(f"|---|---|{'--:|' * (len(COLUMNS) + 1)}")
    for cure in cures:
        members = [run for run in runs if run.repeated == cure]
        _print(_name(cure), members, {run.name: _scored(run, Path(sweep.test_data), 0.0) for run in members})
        if _is_none(cure):
            dithered = {run.name: _scored(run, Path(sweep.test_data), arguments.dither) for run in members}
            _print(f"dithering by {arguments.dither:g} of the same", members, dithered)


def _is_none(cure: Sequence[tuple[str, str]]) -> bool:
    settings = dict(cure)
    return float(settings.get("adversary.strength", "1")) == 0 and "magic" not in settings.get("data.mask_kind", "")


def _name(cure: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in cure)


def _scored(run: SweepRun, data: Path, strength: float) -> Found | None:
    """None of a member that has made no images."""
    folder = Path(f"{run.out}-test")
    files = find_reconstructions(folder) if run.is_done and folder.exists() else []
    parts: dict[bool, list[list[float]]] = {False: [], True: []}
    for file in files:
        for is_end, row in _rows(read_pair(data / file.name, file), strength):
            parts[is_end].append(row)
    if not files:
        return None
    middle, ends = (np.nanmean(np.array(rows, float), axis=0).tolist() for rows in parts.values())
    return Found(middle=middle, ends=ends)


def _rows(pair: Pair, strength: float) -> Iterator[tuple[bool, list[float]]]:
    assert pair.reference is not None
    drawn = dither(pair.image, strength, generator(pair.info.volume_id, "dither"))
    image, reference = torch.from_numpy(drawn), torch.from_numpy(pair.reference)
    top = float(reference.max())
    values = zip(
        directional_excess(image, reference),
        ssim(image, reference, top),
        high_frequency_error(image, reference),
        strict=True,
    )
    for index, (excess, similarity, detail) in enumerate(values):
        signed = np.nan if excess is None else excess
        noise = psnr(image[index], reference[index], top)
        yield index in (0, len(image) - 1), [abs(signed), signed, float(similarity), noise, float(detail)]


def _print(name: str, members: Sequence[SweepRun], found: Mapping[str, Found | None]) -> None:
    good = [one for one in found.values() if one is not None]
    failed = sum(run.state == "failed" or found[run.name] is None for run in members)
    for which in ("middle", "ends"):
        rows = np.array([getattr(one, which) for one in good], float).reshape(len(good), len(COLUMNS))
        words = "first and last" if which == "ends" else "others"
        cells = [_cell(column) for column in rows.T]
        print(f"| {name} | {words} | {' | '.join(cells)} | {failed} of {len(members)} |")


def _cell(values: np.ndarray) -> str:
    if not len(values):
        return "none"
    if len(values) == 1:
        return f"{values[0]:.4f}"
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():.4f} ± {half:.4f}"


if __name__ == "__main__":
    main()
