"""Time of a training step, measured or estimated."""

import dataclasses
import functools
import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from mrikit.data import (
    BatchShape,
    ScanBatch,
    SliceBatch,
    SliceKey,
    make_augment,
    prepare,
)
from mrikit.errors import ConfigError
from mrikit.forecast.footprint import LATE_EPOCH, Footprint, trace_step
from mrikit.models.precision import real_float32
from mrikit.training.config import RunConfig
from mrikit.training.deepspeed_config import accumulation_steps
from mrikit.training.extent import count_weights
from mrikit.training.objectives import Draw, objective_of, with_shape
from mrikit.training.parts import initial_parts
from mrikit.volumes import ScanInfo, Volume

T = TypeVar("T")
_FEW_CASCADES, _FEW_ROWS = 2, 64  # what is timed first
_SECONDS = 2.0  # that what is timed in the end may take
_ROW_STEP = 32
_LEAST_TIMED, _MOST_TIMED = 3, 9  # calls whose median counts
_STEADY, _MOST_WARMING = 0.8, 4  # a call that takes more than this share of those before it is warm; calls before
# Operations that a device does while it moves a byte, to compare steps of other sizes with each other.
_FLOPS_PER_BYTE = {"cpu": 8.0, "cuda": 30.0}
# What a GPU reaches of its data sheet, and what Python needs to ask for one operation: rules of thumb, not measured.
_SHARE_OF_FP32, _SHARE_OF_BF16, _SHARE_OF_BANDWIDTH, _SECONDS_PER_KERNEL = 0.5, 0.25, 0.6, 8e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """Peaks of a GPU, as NVIDIA publishes them."""

    fp32_tflops: float
    """Without tensor cores, 1e12 operations a second; networks here do not round to TF32."""
    bf16_tflops: float
    """With tensor cores and without sparsity; 0 where bfloat16 is not in the hardware."""
    bandwidth_gbps: float
    """Of its memory, 1e9 bytes a second."""
    memory_gb: float
    """Of the usual kind, 1e9 bytes."""


GPUS_READ_ON = "2026-11-20"
"""When the table was made, from memory of NVIDIA's public data sheets; good to a few per cent."""
GPUS = {
    "gtx1080": Gpu(fp32_tflops=8.9, bf16_tflops=0, bandwidth_gbps=320, memory_gb=8),
    "t4": Gpu(fp32_tflops=8.1, bf16_tflops=0, bandwidth_gbps=320, memory_gb=16),
    "v100": Gpu(fp32_tflops=15.7, bf16_tflops=0, bandwidth_gbps=900, memory_gb=32),
    "a10": Gpu(fp32_tflops=31.2, bf16_tflops=125, bandwidth_gbps=600, memory_gb=24),
    "a100": Gpu(fp32_tflops=19.5, bf16_tflops=312, bandwidth_gbps=2039, memory_gb=80),
    "h100": Gpu(fp32_tflops=67, bf16_tflops=989, bandwidth_gbps=3350, memory_gb=80),
    "h200": Gpu(fp32_tflops=67, bf16_tflops=989, bandwidth_gbps=4800, memory_gb=141),
}
"""Name to GPU; V100, A100, H100 and H200 in their SXM form."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepTime:
    """Seconds of one process."""

    step: float
    """Of an optimizer step, all its micro-batches included."""
    slice_forward: float
    """Of one slice without gradient, as in validation."""


@real_float32()
def predict_time(
    config: RunConfig,
    shape: BatchShape,
    *,
    device: str,
    world_size: int = 1,
    say: Callable[[str], None] = lambda _line: None,
) -> StepTime:
    """Time a part of the step on a device that is here, for some seconds, and scale it up by what it computes.

    The part has few cascades and few rows: 64 first, then as many as take about two seconds. Both parts and the whole
    are traced without arithmetic to learn how much each computes and moves.

    Args:
        config: The run.
        shape: Of the slices.
        device: `cpu` or `cuda`.
        world_size: Number of processes that share the slices of a step.
        say: Called with a line before each thing that takes a while.

    Raises:
        ConfigError: The batch cannot be shared equally by the processes.
    """
    kind = torch.device(device).type
    num_micro = accumulation_steps(config.training, world_size)
    whole = _work(config, shape, kind, has_backward=True)
    part_config, part_shape = _part(config, shape, _FEW_ROWS)
    part_work = _work(part_config, part_shape, kind, has_backward=True)
    say(f"timing {part_shape.kspace[1]} of {shape.kspace[1]} rows of {config.model} on {device}")
    timed = _time_part(part_config, part_shape, device)
    num_rows = int(_FEW_ROWS * _SECONDS / max(timed.micro, 1e-6)) // _ROW_STEP * _ROW_STEP
    if num_rows > 2 * _FEW_ROWS and shape.kspace[1] > 2 * _FEW_ROWS:
        part_config, part_shape = _part(config, shape, min(num_rows, shape.kspace[1]))
        part_work = _work(part_config, part_shape, kind, has_backward=True)
        say(f"timing {part_shape.kspace[1]} of {shape.kspace[1]} rows of {config.model} on {device}")
        timed = _time_part(part_config, part_shape, device)
    forward_ratio = _work(config, shape, kind, has_backward=False) / _work(
        part_config, part_shape, kind, has_backward=False
    )
    size_ratio = math.prod(shape.kspace) / math.prod(part_shape.kspace)
    weights_ratio = count_weights(config) / count_weights(part_config)
    micro = timed.micro * whole / part_work + timed.prepare * size_ratio
    forward = (timed.forward * forward_ratio + timed.prepare * size_ratio) / config.training.micro_batch_size
    return StepTime(step=num_micro * micro + timed.update * weights_ratio, slice_forward=forward)


def estimate_time(config: RunConfig, shape: BatchShape, *, gpu: str, world_size: int = 1) -> StepTime:
    """From the data sheet of a GPU that is not here; not measured, and good to about a factor of 2.

    Args:
        config: The run.
        shape: Of the slices.
        gpu: A name of `GPUS`.
        world_size: Number of processes that share the slices of a step.

    Raises:
        ConfigError: No such GPU, or the batch cannot be shared equally by the processes.
    """
    known_gpu(gpu)
    micro, forward = (
        _roofline(trace_step(config, shape, is_gpu=True, has_backward=has_backward), GPUS[gpu], config)
        for has_backward in (True, False)
    )
    num_micro = accumulation_steps(config.training, world_size)
    return StepTime(step=num_micro * micro, slice_forward=forward / config.training.micro_batch_size)


def known_gpu(name: str) -> str:
    """The name of a GPU as `GPUS` has it, whatever its case; empty for none.

    Raises:
        ConfigError: It is not in the table.
    """
    if name and name.lower() not in GPUS:
        raise ConfigError(f"no throughput is known of a GPU called {name!r}; there are {', '.join(GPUS)}")
    return name.lower()


def _roofline(footprint: Footprint, gpu: Gpu, config: RunConfig) -> float:
    """Seconds: products at the speed of arithmetic, all else at that of memory, but no kernel faster than Python."""
    is_bf16 = config.training.precision == "bf16" and gpu.bf16_tflops > 0
    rate = gpu.bf16_tflops * _SHARE_OF_BF16 if is_bf16 else gpu.fp32_tflops * _SHARE_OF_FP32
    computing = footprint.product_flops / (rate * 1e12)
    moving = footprint.moved_bytes / (gpu.bandwidth_gbps * _SHARE_OF_BANDWIDTH * 1e9)
    return max(computing + moving, footprint.num_kernels * _SECONDS_PER_KERNEL)


def _part(config: RunConfig, shape: BatchShape, num_rows: int) -> tuple[RunConfig, BatchShape]:
    """The run with few cascades, and slices with few rows."""
    settings = dict(config.model_config)
    if "num_cascades" in settings:
        settings["num_cascades"] = min(_FEW_CASCADES, settings["num_cascades"])
    num_coils, all_rows, num_columns = shape.kspace
    # A 2-D pattern, its centre or its file may fit into all rows only, and so may a mask that is learned.
    needs_all = config.learns_masks or any(plan.is_2d for plan in config.data.plans)
    num_rows = all_rows if needs_all else min(num_rows, all_rows)
    window = (min(shape.window[0], num_rows), min(shape.window[1], num_columns))
    part = dataclasses.replace(
        shape, kspace=(num_coils, num_rows, num_columns), window=window, reference=window if shape.reference else None
    )
    return dataclasses.replace(config, model_config=settings), part


def _work(config: RunConfig, shape: BatchShape, kind: str, *, has_backward: bool) -> float:
    footprint = trace_step(config, shape, is_gpu=kind != "cpu", has_backward=has_backward)
    return footprint.flops + _FLOPS_PER_BYTE[kind] * footprint.moved_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class _Timed:
    """Seconds of the parts of a step."""

    prepare: float
    micro: float
    forward: float
    update: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _NetworkTime:
    """Seconds of a network."""

    micro: float
    forward: float
    update: float


def _time_part(config: RunConfig, shape: BatchShape, device: str) -> _Timed:
    """Time each part of a step; the network once for all stages that train it."""
    batch = _noise(config, shape)
    scan, prepare = _time(lambda: _prepare(batch, config, shape, device), device)
    network = _time_network(_Network(key=_key(config), config=config, shape=shape, scan=scan), device)
    return _Timed(prepare=prepare, micro=network.micro, forward=network.forward, update=network.update)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Network:
    """A network with slices to compute, equal to others that take the same time."""

    key: str
    """All of the configuration that it depends on but for loss and masks, which take next to nothing of it."""
    config: RunConfig = field(compare=False)
    shape: BatchShape
    scan: ScanBatch = field(compare=False)


def _key(config: RunConfig) -> str:
    beside = (dataclasses.asdict(config.evaluator), dataclasses.asdict(config.adversary))
    parts = (config.objective, config.model, config.model_config, config.num_adjacent, *beside)
    data, training = config.data, config.training
    return json.dumps(
        [*parts, data.max_readout, data.num_coils, training.precision, training.micro_batch_size], default=str
    )


@functools.cache
def _time_network(network: _Network, device: str) -> _NetworkTime:
    scan = network.scan
    config = with_shape(network.config, scan.shape)
    objective = objective_of(config)
    module = initial_parts(config, objective).to(device)
    optimizer = torch.optim.AdamW((weight for weight in module.parameters() if weight.requires_grad), lr=0.0)
    draw = Draw(0, LATE_EPOCH)

    def micro_batch() -> None:
        module(scan, draw).total.sum().backward()

    @torch.no_grad()
    def forward() -> None:
        module(scan, draw)

    _, micro = _time(micro_batch, device)
    _, update = _time(optimizer.step, device)
    module.eval()
    _, forward_seconds = _time(forward, device)
    return _NetworkTime(micro=micro, forward=forward_seconds, update=update)


def _time(work: Callable[[], T], device: str, clock: Callable[[], float] = time.perf_counter) -> tuple[T, float]:
    """What the work gives, and the median of its seconds once it is warm.

    The first calls take memory and choose algorithms; how many do so differs, so it counts as warm when a call is
    hardly faster than the fastest before it.
    """
    warming, seconds = [math.inf], list[float]()
    while len(seconds) < _LEAST_TIMED or (sum(seconds) < _SECONDS / 2 and len(seconds) < _MOST_TIMED):
        start = clock()
        result = work()
        if device != "cpu":
            torch.cuda.synchronize(device)
        took = clock() - start
        is_warm = took > _STEADY * min(warming) or len(warming) > _MOST_WARMING
        (seconds if seconds or is_warm else warming).append(took)
    return result, statistics.median(seconds)


def _noise(config: RunConfig, shape: BatchShape) -> SliceBatch:
    """A micro-batch as it is read."""
    num_slices = config.training.micro_batch_size
    noise = torch.Generator().manual_seed(0)
    return SliceBatch(
        kspace=torch.randn((num_slices, config.num_adjacent, *shape.kspace), dtype=torch.complex64, generator=noise),
        reference=torch.rand((num_slices, *shape.reference), generator=noise) if shape.reference else None,
        keys=tuple(SliceKey(0, index) for index in range(num_slices)),
    )


def _prepare(batch: SliceBatch, config: RunConfig, shape: BatchShape, device: str) -> ScanBatch:
    """As in training, with every transform that the run may apply."""
    info = ScanInfo(
        volume_id="noise",
        anatomy=config.data.anatomy or "knee",
        matrix=(shape.kspace[1], shape.kspace[2]),
        recon_matrix=shape.window,
        padding=(0, shape.kspace[2]),
        reference_max=1.0,
    )
    volume = Volume(kspace=batch.kspace[:, 0].numpy(), info=info)
    augment = config.augment
    names = [field.name for field in dataclasses.fields(augment) if field.name.endswith("_weight")]
    weights: dict[str, Any] = {name: float(getattr(augment, name) > 0) for name in names}
    strength = float(augment.strength > 0)
    always = dataclasses.replace(augment, schedule="constant", delay_epochs=0, strength=strength, **weights)
    return prepare(
        batch,
        [volume] * len(batch.keys),
        device,
        augment=make_augment(always, seed=0, epoch=0),
        max_readout=config.data.max_readout,
        num_coils=config.data.num_coils,
    )
