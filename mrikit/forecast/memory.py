"""Peak memory of a training run, predicted."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mrikit.data import BatchShape
from mrikit.errors import ConfigError
from mrikit.forecast.footprint import Footprint, readout_rows, trace_step, virtual_coils
from mrikit.training.config import RunConfig
from mrikit.training.deepspeed_config import deepspeed_config

# What a process holds before it has a network: on a CPU Python, torch and DeepSpeed (measured on Linux, torch 2.13);
# on a GPU CUDA's context and libraries (by the GPU and driver; not measured here), and on its host torch's.
_CPU_PROCESS_BYTES, _GPU_CONTEXT_BYTES, _GPU_HOST_BYTES = 460_000_000, 500_000_000, 2_500_000_000
# What is not seen in a trace: on a CPU mostly holes that glibc leaves between blocks below 32 MiB, in proportion to the
# micro-batch's k-space, from benchmarks/prediction.py; on a GPU copies inside of transforms, workspaces of convolutions
# and what the allocator rounds up, an allowance that was not measured.
_CPU_SLACK, _GPU_SLACK = (0.05, 12), (0.1, 2)  # of the activations, and of the batch
_DEFAULT_BUCKET = 500_000_000  # numbers that DeepSpeed gathers before it reduces them, if it is not told another number
_COPIES = 3  # of k-space while it is transformed: shifted, transformed, shifted back
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Bytes at the peak of a run, of each of its processes."""

    weights: int
    """Weights, their running mean, and what ZeRO keeps of them besides."""
    gradients: int
    """Gradients, and the bucket in which ZeRO gathers them."""
    moments_on_device: int
    """Adam's two moments, where they are not offloaded."""
    moments_on_host: int
    """Offloaded moments, with the weights and gradients that CPU-Adam works on."""
    activations: int
    """What forward and backward hold between them."""
    batch: int
    """K-space, mask and reference of the micro-batch."""
    overhead: int
    """The process itself, what lies unused between living tensors, and by how much reading, an optimizer step or a
    checkpoint needs more than forward and backward."""
    total_bytes: int
    """On the device; on a CPU with everything that a GPU would have offloaded."""
    host_bytes: int
    """In the memory of the machine; the same number on a CPU."""


def predict_memory(config: RunConfig, shape: BatchShape, *, device: str, world_size: int = 1) -> Memory:
    """The peak of one process.

    Args:
        config: The run.
        shape: Of its largest slices.
        device: `cpu` or `cuda`, which need not be there.
        world_size: Number of processes.

    Raises:
        ConfigError: The batch cannot be shared equally by the processes.
    """
    footprint = trace_step(config, shape, is_gpu=device.startswith("cuda"))
    return memory_of(footprint, config, shape, device=device, world_size=world_size)


def memory_of(
    footprint: Footprint, config: RunConfig, shape: BatchShape, *, device: str, world_size: int = 1
) -> Memory:
    """As `predict_memory`, given what `trace_step` found, which the execution of a run does not change."""
    is_gpu = device.startswith("cuda")
    held = _Held.of(config, footprint, world_size, is_gpu=is_gpu)
    read, copies = _read_bytes(config, shape)
    num_ahead = config.execution.num_workers + 1
    saved = footprint.weights_bytes * (2 if config.training.ema_decay else 1) + 2 * footprint.trained_bytes
    share, copies_unseen = _GPU_SLACK if is_gpu else _CPU_SLACK
    slack = int(share * footprint.peak_bytes) + copies_unseen * footprint.batch_bytes
    # On a CPU batches that were read and a checkpoint's copy share the memory.
    batch = footprint.batch_bytes + (0 if is_gpu else num_ahead * read)
    computing = batch + footprint.peak_bytes + slack
    preparing = copies + (read if is_gpu else batch)
    other = max(preparing, held.step_bytes, 0 if is_gpu else saved + num_ahead * read)
    base = _GPU_CONTEXT_BYTES if is_gpu else _CPU_PROCESS_BYTES
    overhead = base + slack + max(0, other - computing)
    parts = held.weights + held.gradients + held.moments_on_device
    total = parts + footprint.peak_bytes + batch + overhead + (0 if is_gpu else held.moments_on_host)
    host = _GPU_HOST_BYTES + held.moments_on_host + saved + (num_ahead + 1) * read
    return Memory(
        weights=held.weights,
        gradients=held.gradients,
        moments_on_device=held.moments_on_device,
        moments_on_host=held.moments_on_host,
        activations=footprint.peak_bytes,
        batch=batch,
        overhead=overhead,
        total_bytes=total,
        host_bytes=host if is_gpu else total,
    )


def largest_shape(config: RunConfig, shapes: Sequence[BatchShape]) -> BatchShape:
    """The one whose k-space, cropped as the run crops it, is largest."""

    def size(shape: BatchShape) -> tuple[int, tuple[int, int, int]]:
        return virtual_coils(config, shape) * readout_rows(config, shape) * shape.kspace[2], shape.kspace

    return max(shapes, key=size)


def parse_bytes(text: str) -> int:
    """`8GB` (8e9 bytes), `7.5 GiB`, `800M`.

    Raises:
        ConfigError: Something else, or nothing at all.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([KMGT]?I?)B?\s*", text.upper())
    if found is None or found[2] in ("", "I") or not float(found[1]):
        raise ConfigError(f"memory is a number with a unit, found {text!r}; try 8GB (1e9 bytes) or 8GiB (2^30 bytes)")
    return int(float(found[1]) * _UNITS[found[2]])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Held:
    """Bytes that stay through every step."""

    weights: int
    gradients: int
    moments_on_device: int
    moments_on_host: int
    step_bytes: int
    """What comes on top in an optimizer step."""

    @classmethod
    def of(cls, config: RunConfig, footprint: Footprint, world_size: int, *, is_gpu: bool) -> "_Held":
        """As torch's AdamW and DeepSpeed hold them."""
        execution, whole, trained = config.execution, footprint.weights_bytes, footprint.trained_bytes
        ds_config = deepspeed_config(
            config.training,
            execution,
            world_size=world_size,
            has_cpu_adam=execution.offload_optimizer,
            is_pinned=is_gpu,
        )
        share = trained // world_size if execution.zero_stage else trained
        if not execution.zero_stage:
            # On a GPU AdamW takes a root of all second moments at once; processes add up gradients in one long vector.
            step_bytes = trained if is_gpu or world_size > 1 else 0
            return cls(
                weights=2 * whole,
                gradients=trained,
                moments_on_device=2 * trained,
                moments_on_host=0,
                step_bytes=step_bytes,
            )
        # The bucket is allocated in full, but a CPU gives memory only to what is written.
        bucket = 4 * ds_config["zero_optimization"].get("reduce_bucket_size", _DEFAULT_BUCKET)
        if not is_gpu:
            bucket = min(bucket, trained)
        offloaded = execution.offload_optimizer
        sharded = whole // world_size if execution.zero_stage == 3 else 0
        return cls(
            # A running mean, the weights, ZeRO-3's shard from which they are gathered, and those that are optimized.
            weights=2 * whole + sharded + (0 if offloaded else share),
            gradients=bucket + (trained if execution.zero_stage == 1 else share),
            moments_on_device=0 if offloaded else 2 * share,
            # The weights that are optimized, a copy on its way to the device, gradients, and two moments.
            moments_on_host=5 * share if offloaded else 0,
            step_bytes=0 if offloaded else 2 * share,
        )


def _read_bytes(config: RunConfig, shape: BatchShape) -> tuple[int, int]:
    """Bytes of a micro-batch as it is read, and of the copies of it that come and go while it is prepared."""
    num_coils, num_rows, num_columns = shape.kspace
    one = config.training.micro_batch_size * num_coils * num_rows * num_columns * 8
    stack = config.num_adjacent * one
    copies = 0
    if shape.reference is None:
        copies = _COPIES * one
    if readout_rows(config, shape) < num_rows or config.data.num_coils:
        copies = max(copies, _COPIES * stack)
    if config.augment.strength:
        copies = _COPIES * stack * (4 if config.augment.upsample else 1)
    reference = 4 * config.training.micro_batch_size * (shape.reference or (0, 0))[0] * (shape.reference or (0, 0))[1]
    return stack + reference, copies
