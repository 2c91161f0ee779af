"""Settings that fit a run into given memory."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mrikit.data import BatchShape
from mrikit.errors import ConfigError
from mrikit.forecast.footprint import trace_step
from mrikit.forecast.memory import largest_shape, memory_of
from mrikit.training.config import RunConfig

_COILS_AT_A_TIME = (2, 1)
_WORTHWHILE = 0.99  # of the peak; what saves less is not changed
_GB = 1e9


def fit(
    config: RunConfig, shapes: Sequence[BatchShape], limit_bytes: int, *, device: str, world_size: int = 1
) -> tuple[RunConfig, list[str]]:
    """Change what decides memory alone, one thing after the other, until the predicted peak fits.

    Tried in order: to compute again instead of to keep, in ever smaller parts; fewer coils at a time; offloading Adam.
    What does not help is left alone. Smaller micro-batches change the order of the slices and are only proposed.

    Args:
        config: The run.
        shapes: Of its volumes; the largest counts.
        limit_bytes: Memory of the device; `parse_bytes` reads it.
        device: `cpu` or `cuda`, which need not be there.
        world_size: Number of processes.

    Returns:
        The run that fits, and a line for each change; none where it fits as it is.

    Raises:
        ConfigError: Nothing makes it fit, or the batch cannot be shared equally by the processes.
    """
    shape = largest_shape(config, shapes)

    def peak_of(config: RunConfig) -> int:
        footprint = trace_step(config, shape, is_gpu=device.startswith("cuda"))
        return memory_of(footprint, config, shape, device=device, world_size=world_size).total_bytes

    peak = peak_of(config)
    lines: list[str] = []
    is_changing = peak > limit_bytes
    while is_changing:
        is_changing = False
        for changed, what in _savings(config, device):
            smaller = peak_of(changed)
            if smaller < _WORTHWHILE * peak:
                lines.append(f"{what}: {peak / _GB:.2f} to {smaller / _GB:.2f} GB")
                config, peak, is_changing = changed, smaller, smaller > limit_bytes
                break
    if peak > limit_bytes:
        raise ConfigError(_problem(config, peak, limit_bytes))
    return config, lines


def _savings(config: RunConfig, device: str) -> Iterator[tuple[RunConfig, str]]:
    """What could be changed next, the cheapest in time first."""
    settings = config.model_config
    if not settings.get("use_checkpoint", True):
        yield _with_model(config, use_checkpoint=True), "model_config.use_checkpoint=True"
    if settings.get("use_checkpoint") and settings.get("checkpoint_every", 0) > 1:
        yield _with_model(config, checkpoint_every=1), "model_config.checkpoint_every=1"
    if settings.get("use_checkpoint") and settings.get("checkpoint_every", 0) == 1:
        yield _with_model(config, checkpoint_every=0), "model_config.checkpoint_every=0"
    for count in _COILS_AT_A_TIME:
        if "coils_at_a_time" in settings and (settings["coils_at_a_time"] or count + 1) > count:
            yield _with_model(config, coils_at_a_time=count), f"model_config.coils_at_a_time={count}"
    if device.startswith("cuda") and not config.execution.offload_optimizer:
        execution = dataclasses.replace(
            config.execution, zero_stage=max(1, config.execution.zero_stage), offload_optimizer=True
        )
        yield (
            dataclasses.replace(config, execution=execution),
            f"execution.zero_stage={execution.zero_stage} and execution.offload_optimizer=True",
        )


def _with_model(config: RunConfig, **settings: bool | int) -> RunConfig:
    model_config: Mapping[str, Any] = {**config.model_config, **settings}
    return dataclasses.replace(config, model_config=model_config)


def _problem(config: RunConfig, peak: int, limit_bytes: int) -> str:
    ideas = ["a smaller --size", "--set data.max_readout=... rows"]
    if config.training.micro_batch_size > 1:
        ideas.append("--set training.micro_batch_size=1")
    if config.training.precision == "fp32":
        ideas.append("--set training.precision=bf16, which changes the numbers a little,")
    return (
        f"the run needs {peak / _GB:.2f} GB at least, with all settings that save memory; found "
        f"{limit_bytes / _GB:.2f} GB; try {' or '.join(ideas)}"
    ).rstrip(",")
