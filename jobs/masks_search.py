"""What `mrikit masks search` does: the mask with which a method errs least on training slices."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from mrikit.commands.device import pick_device
from mrikit.config import build_config
from mrikit.data import ScanBatch, SliceKey, network_inputs, prepare, undersample
from mrikit.errors import ConfigError, DataError
from mrikit.masks import Mask, MaskPlan, measured, sample_mask, within
from mrikit.masks.descent import coordinate_descent, num_errors
from mrikit.masks.kinds.center import center_block, center_rectangle
from mrikit.masks.kinds.kind import Budget
from mrikit.masks.kinds.tiles import fit_samples, lay_tile
from mrikit.models import CLASSICAL, build_model
from mrikit.models.precision import real_float32
from mrikit.physics.crop import center_crop
from mrikit.physics.linear_prediction import LinearPrediction, PredictionConfig
from mrikit.randomness import generator
from mrikit.storage import Location
from mrikit.training import DataConfig, RunConfig, TrainingConfig
from mrikit.training.volumes import open_study

if TYPE_CHECKING:
    from mrikit.volumes import Volume

KINDS = ("lines", "tile")
PREDICTION = "prediction"
Samples = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig:
    """What is sought, and how long."""

    kind: str
    """`lines`, or `tile`: a pattern that repeats over k-space."""
    acceleration: float
    """Of all samples together, the centre included."""
    num_center_lines: int
    """Fully sampled columns in the middle, and rows with a tile."""
    tile: tuple[int, int] = (4, 4)
    """Rows and columns of the tile."""
    model: str
    """A name of `mrikit.models.CLASSICAL`, whose image counts, or `prediction`: k-space that a linear kernel, fitted on
    the slices, does not predict."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Fields of its configuration."""
    num_slices: int
    """Training slices that the error is a mean over."""
    num_passes: int
    """Times that each line, or sample of the tile, is tried."""
    num_candidates: int
    """Places that each is tried at; all if 0."""
    num_starts: int = 1
    """First masks, drawn at random, that it begins with one after the other; the best end is kept."""
    seed: int
    """Of all random choices."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"a search is for {' or '.join(KINDS)}, found {self.kind!r}")
        if self.model not in (*CLASSICAL, PREDICTION):
            found = f"found {self.model!r}; a network that learns its mask would do instead"
            raise ConfigError(f"a mask is sought with one of {', '.join((*CLASSICAL, PREDICTION))}, {found}")
        if not 1 <= self.acceleration < math.inf:
            raise ConfigError(f"an acceleration is a number from 1, found {self.acceleration:g}")


class Problem(NamedTuple):
    """A search that has not begun."""

    error: Callable[[Samples], float]
    """Of lines or of a tile."""
    as_mask: Callable[[Samples], Mask]
    """The mask that lines or a tile are."""
    starts: list[Samples]
    """(phase,) bool lines, or (rows, columns) bool tiles."""
    fixed: Samples
    """Of the same shape, what does not move."""
    shape: tuple[int, int]
    """(readout, phase) of k-space."""
    notes: tuple[str, ...]
    """Lines to say of the data."""
    num_errors: int
    """How many errors are computed, at most."""


class Found(NamedTuple):
    """What was found."""

    mask: Mask
    """The best one."""
    errors: list[float]
    """Mean NMSE at the start, and after each pass."""


def open_problem(config: SearchConfig, data: Location) -> Problem:
    """Read the slices and draw the first mask.

    Patients that `mrikit train` would hold out, and folders that it would not train on, have no part in it.

    Raises:
        ConfigError: The centre alone exceeds the budget or leaves nothing of it, or a setting of the model is none.
        DataError: There is nothing to train on.
    """
    scan, notes = _read_slices(config, data)
    as_mask = _lines_of(config, scan) if config.kind == "lines" else _tile_of(config, scan)
    seeds = range(config.seed, config.seed + config.num_starts)
    first = [
        _first_lines(config, scan, seed) if config.kind == "lines" else _first_tile(config, seed) for seed in seeds
    ]
    starts, fixed = [samples for samples, _ in first], first[0][1]
    count = sum(num_errors(one, fixed, config.num_passes, config.num_candidates) for one in starts)
    if not count:
        num_samples = int(as_mask(starts[0]).samples.sum())
        raise ConfigError(
            f"nothing can move: the centre has all of {num_samples} samples, or all there are; a smaller centre or "
            f"another acceleration would do"
        )
    error = _unpredicted(scan, config) if config.model == PREDICTION else _mean_nmse(scan, config)
    return Problem(
        error=lambda samples: error(as_mask(samples)),
        as_mask=as_mask,
        starts=starts,
        fixed=fixed,
        shape=scan.shape,
        notes=notes,
        num_errors=count,
    )


def search(config: SearchConfig, problem: Problem, on_error: Callable[[float], None]) -> Found:
    """Move lines, or the samples of a tile, to where the error is lowest.

    Args:
        config: How long.
        problem: Where it begins.
        on_error: Called with the lowest error so far, after each one that was computed.
    """
    known: dict[bytes, float] = {}  # passes and starts come by the same masks again

    def error(samples: Samples) -> float:
        key = samples.tobytes()
        if key not in known:
            known[key] = problem.error(samples)
        return known[key]

    ends = [
        coordinate_descent(
            error,
            start,
            problem.fixed,
            generator(config.seed + number, "masks search"),
            config.num_passes,
            config.num_candidates,
            on_error,
        )
        for number, start in enumerate(problem.starts)
    ]
    best = min(ends, key=lambda end: end.errors[-1])
    return Found(problem.as_mask(best.samples), best.errors)


def _read_slices(config: SearchConfig, data: Location) -> tuple[ScanBatch, tuple[str, ...]]:
    """Some slices of one shape, drawn from all there are to train on."""
    # Any network would do: who trains and who validates does not depend on it.
    study = open_study(
        RunConfig(task="masks", size="tiny", model="unet", data=DataConfig(), training=TrainingConfig()), data
    )
    volumes = study.training.volumes
    groups: dict[Any, list[int]] = defaultdict(list)
    for position, volume in enumerate(volumes):
        groups[_shape_key(volume)].append(position)
    own = max(groups.values(), key=len)
    others = len(volumes) - len(own)
    left_out = [f"{others} of {len(volumes)} volumes are left out: k-space of another shape"] if others else []
    keys = [SliceKey(position, index) for position in own for index in range(len(volumes[position].kspace))]
    order = generator(config.seed, "slices").permutation(len(keys))[: config.num_slices]
    chosen = [keys[place] for place in sorted(order.tolist())]
    batch = study.training.read(chosen, has_reference=False)
    device = pick_device("auto")
    scan = prepare(batch, [volumes[key.volume] for key in chosen], device)
    return scan, (*study.notes, *left_out)


def _shape_key(volume: "Volume") -> tuple[Any, ...]:
    return volume.kspace.shape[1:], volume.info.recon_matrix, volume.acquired


def _unpredicted(scan: ScanBatch, config: SearchConfig) -> Callable[[Mask], float]:
    """Mean over the slices of the share of k-space that kernels do not predict."""
    settings = build_config(PredictionConfig, config.settings, PREDICTION)
    prediction = LinearPrediction(scan.kspace[:, scan.kspace.shape[1] // 2], settings)

    def error(mask: Mask) -> float:
        samples = torch.from_numpy(np.atleast_2d(mask.samples)).to(scan.kspace.device)
        return prediction.error(samples.expand(scan.shape))

    return error


def _mean_nmse(scan: ScanBatch, config: SearchConfig) -> Callable[[Mask], float]:
    """Mean over the slices of |image - reference|^2 / |reference|^2, against RSS of full k-space."""
    model = build_model(config.model, config.settings).to(scan.kspace.device).eval()
    reference = scan.reference
    assert reference is not None
    energy = reference.square().sum((-2, -1))
    if not bool((energy > 0).all()):
        empty = scan.facts[int(energy.argmin())]
        raise DataError(f"{empty.volume_id}, slice {empty.slice_index}: all of it is zero; leave the volume out")

    @torch.inference_mode()
    def error(mask: Mask) -> float:
        with real_float32():
            image = model(*network_inputs(undersample(scan, [mask] * len(scan.facts))))
        return float(((center_crop(image, scan.crop) - reference).square().sum((-2, -1)) / energy).mean())

    return error


def _lines_of(config: SearchConfig, scan: ScanBatch) -> Callable[[Samples], Mask]:
    def as_mask(lines: Samples) -> Mask:
        mask = measured(
            lines, kind="stored", acceleration=config.acceleration, num_center_lines=config.num_center_lines
        )
        return within(mask, scan.facts[0].acquired)

    return as_mask


def _tile_of(config: SearchConfig, scan: ScanBatch) -> Callable[[Samples], Mask]:
    size = (config.num_center_lines,) * 2
    center = center_rectangle(scan.shape, size)
    num_outside = Budget(acceleration=config.acceleration, center_fraction=0).num_outside(center)

    def as_mask(tile: Samples) -> Mask:
        mask = measured(
            fit_samples(lay_tile(tile, scan.shape), center, num_outside),
            kind="stored",
            acceleration=config.acceleration,
            num_center_lines=config.num_center_lines,
            center=size,
        )
        return within(mask, scan.facts[0].acquired)

    return as_mask


def _first_lines(config: SearchConfig, scan: ScanBatch, seed: int) -> tuple[Samples, Samples]:
    """Lines of variable density, and those that stay: the centre, and what the scanner did not acquire."""
    width = scan.shape[1]
    plan = MaskPlan(
        kind="variable_density",
        acceleration=config.acceleration,
        center_fraction=min(config.num_center_lines / width, 1.0),
    )
    first = within(sample_mask(plan, scan.shape, np.random.RandomState(seed)), scan.facts[0].acquired)
    fixed = center_block(width, config.num_center_lines)
    left, right = scan.facts[0].acquired.columns
    fixed[:left] = fixed[right:] = True
    return first.samples, fixed


def _first_tile(config: SearchConfig, seed: int) -> tuple[Samples, Samples]:
    tile = np.zeros(config.tile, bool)
    num_samples = math.ceil(tile.size / config.acceleration)
    tile.flat[np.random.RandomState(seed).permutation(tile.size)[:num_samples]] = True
    return tile, np.zeros_like(tile)
