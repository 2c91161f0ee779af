"""Prediction of a run's memory, time and cost."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mrikit.data import BatchShape
from mrikit.forecast.memory import Memory, largest_shape, predict_memory
from mrikit.forecast.throughput import GPUS, GPUS_READ_ON, StepTime, estimate_time, predict_time
from mrikit.training.config import RunConfig
from mrikit.training.extent import steps_per_epoch
from mrikit.volumes.index_workers import num_processors

_GB = 1e9
_BUSY = 1.5
_LEAST_SHOWN = 0.005  # GB


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What a run needs."""

    memory: Memory
    """At the peak, of each process."""
    num_steps: int
    """Optimizer steps."""
    seconds_per_step: float
    """Of a slice of the usual shape."""
    hours: float
    """Of training and validation; reading from slow disks is not in it."""
    cost: float | None
    """In the currency of the price; None without one."""
    device: str
    """`cpu`, `cuda`, or the name of the GPU that was estimated."""
    is_measured: bool
    """Whether time was measured on the device, and not estimated from a data sheet."""
    busy: float = 0.0
    """Processes of the machine for each processor before it was measured; above 1 others slowed it down."""


def predict_run(
    config: RunConfig,
    training: Sequence[BatchShape],
    validation: Sequence[BatchShape] = (),
    *,
    device: str,
    gpu: str = "",
    world_size: int = 1,
    price_per_hour: float | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Prediction:
    """Trace a step for memory and time a part of it.

    Args:
        config: The run.
        training: Shapes of the volumes to train on.
        validation: Shapes of the volumes to validate on after each epoch.
        device: `cpu` or `cuda`, where the run will be.
        gpu: A name of `mrikit.forecast.throughput.GPUS` to estimate time for, where the device is not here.
        world_size: Number of processes, each with a device of its own.
        price_per_hour: Of one device.
        say: Called with a line before each thing that takes a while.

    Raises:
        ConfigError: The batch cannot be shared equally by the processes, or the GPU is unknown.
    """
    say(f"tracing a step of {config.name}")
    memory = predict_memory(config, largest_shape(config, training), device=device, world_size=world_size)
    usual = _usual_shape(training)
    busy = os.getloadavg()[0] / num_processors()
    time = (
        estimate_time(config, usual, gpu=gpu, world_size=world_size)
        if gpu
        else predict_time(config, usual, device=device, world_size=world_size, say=say)
    )
    num_epochs = config.training.num_epochs
    num_steps = num_epochs * steps_per_epoch(training, config)
    seconds = num_steps * time.step * _mean_size(training, usual)
    if validation:
        # Against an adversary slices are looked at in both orientations, and before the first step too.
        num_looks = 2 * (num_epochs + 1) if config.objective == "adversary" else num_epochs
        seconds += num_looks * _validation_seconds(time, validation, usual) / world_size
    hours = seconds / 3600
    return Prediction(
        memory=memory,
        num_steps=num_steps,
        seconds_per_step=time.step,
        hours=hours,
        cost=None if price_per_hour is None else hours * price_per_hour * world_size,
        device=gpu or device,
        is_measured=not gpu,
        busy=0.0 if gpu or device != "cpu" else busy,
    )


def describe_prediction(prediction: Prediction) -> list[str]:
    """Lines for the command line, each with how far it may be off.

    The shares are the largest that `benchmarks/prediction.py` found on a CPU; on a GPU nothing was measured yet.
    """
    memory, on_cpu = prediction.memory, prediction.device == "cpu"
    parts = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "moments": memory.moments_on_device + (memory.moments_on_host if on_cpu else 0),
        "activations": memory.activations,
        "batch": memory.batch,
        "overhead": memory.overhead,
    }
    shown = ", ".join(f"{name} {size / _GB:.2f}" for name, size in parts.items() if size / _GB >= _LEAST_SHOWN)
    host = "" if on_cpu else f", and {memory.host_bytes / _GB:.1f} GB of the machine"
    error = "within 15 % when measured" if on_cpu else "not measured on a GPU yet; leave a fifth free"
    lines = [f"memory: {memory.total_bytes / _GB:.1f} GB at the peak on {prediction.device} ({shown}){host}; {error}"]
    error = "a part of the step was timed here; " + (
        "within a third when measured on a busy machine" if on_cpu else "not compared with a whole run on a GPU yet"
    )
    if prediction.busy > _BUSY:
        error += f"; it is too long, because {prediction.busy:.0f} processes share each processor here"
    if not prediction.is_measured:
        error = f"from a table of data sheets ({GPUS_READ_ON}), within a factor of 2 or so"
        room = GPUS[prediction.device].memory_gb
        if memory.total_bytes > room * _GB:
            lines.append(
                f"warning: {prediction.device} has {room:g} GB; add --fit {room:g}GB, or choose a smaller --size"
            )
    steps = f"{prediction.num_steps:,} steps"
    lines.append(
        f"time: {_duration(prediction.seconds_per_step)} a step, {_duration(3600 * prediction.hours)} for {steps} and "
        f"validation; {error}"
    )
    if prediction.cost is not None:
        lines.append(f"cost: {prediction.cost:.2f} in the currency of the price; as uncertain as the time")
    return lines


def _usual_shape(shapes: Sequence[BatchShape]) -> BatchShape:
    """The one that most slices have."""
    counts: Counter[object] = Counter()
    for shape in shapes:
        counts[shape.bucket] += shape.num_slices
    (bucket, _), *_ = counts.most_common(1)
    return next(shape for shape in shapes if shape.bucket == bucket)


def _mean_size(shapes: Sequence[BatchShape], usual: BatchShape) -> float:
    """Of all slices, in units of the usual one: time grows nearly as the number of samples does."""
    total = sum(shape.num_slices * _num_samples(shape) for shape in shapes)
    return total / sum(shape.num_slices for shape in shapes) / _num_samples(usual)


def _validation_seconds(time: StepTime, shapes: Sequence[BatchShape], usual: BatchShape) -> float:
    return time.slice_forward * sum(shape.num_slices for shape in shapes) * _mean_size(shapes, usual)


def _num_samples(shape: BatchShape) -> int:
    num_coils, num_rows, num_columns = shape.kspace
    return num_coils * num_rows * num_columns


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    for limit, unit, size in ((100, "s", 1), (100 * 60, "min", 60), (72 * 3600, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 86400:.1f} days"
