"""What a run would do, before anything is started."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mrikit.data import BatchShape, SliceKey, plan_epoch
from mrikit.storage import Location
from mrikit.training.config import RunConfig
from mrikit.training.objectives import objective_of
from mrikit.training.volumes import for_study, open_study


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPlan:
    """The extent of a training run."""

    num_weights: int
    """Trained numbers of the network."""
    training: tuple[BatchShape, ...]
    """Of each volume to train on."""
    validation: tuple[BatchShape, ...]
    """Of each volume to validate on."""
    steps_per_epoch: int
    """Optimizer steps of an epoch."""
    num_steps: int
    """Optimizer steps of the run."""
    checkpoint_bytes: int
    """Size of one checkpoint."""
    notes: tuple[str, ...]
    """Lines to say of the data, see `Study.notes`."""


def plan_run(
    config: RunConfig,
    data: Location | Sequence[Location],
    validation_data: Location | None = None,
    patients: Path | None = None,
) -> RunPlan:
    """The extent of a run; the data folder is indexed for it.

    Raises:
        ConfigError: Settings that do not fit each other or the data.
        DataError: A volume cannot be used.
    """
    study = open_study(config, data, validation_data, patients)
    num_weights = count_weights(for_study(config, study))
    num_steps = steps_per_epoch(study.training.shapes, config)
    return RunPlan(
        num_weights=num_weights,
        training=study.training.shapes,
        validation=study.validation.shapes,
        steps_per_epoch=num_steps,
        num_steps=num_steps * config.training.num_epochs,
        # Weights, two moments and the running mean, in float32.
        checkpoint_bytes=num_weights * 4 * (4 if config.training.ema_decay else 3),
        notes=study.notes,
    )


def micro_batches(shapes: Sequence[BatchShape], config: RunConfig, epoch: int) -> list[tuple[SliceKey, ...]]:
    """The micro-batches of an epoch, in the order of all processes together."""
    training = config.training
    return plan_epoch(
        shapes,
        micro_batch_size=training.micro_batch_size,
        batch_size=training.batch_size,
        seed=training.seed,
        epoch=epoch,
        share=config.data.epoch_share,
    )


def steps_per_epoch(shapes: Sequence[BatchShape], config: RunConfig) -> int:
    """Optimizer steps of an epoch, whatever the number of processes."""
    training = config.training
    return len(micro_batches(shapes, config, 0)) // (training.batch_size // training.micro_batch_size)


def count_weights(config: RunConfig) -> int:
    """Trained numbers of a run's parts, which takes no memory for them."""
    objective = objective_of(config)
    with torch.device("meta"):
        parts = objective.parts()
    return sum(weight.numel() for weight in parts.parameters() if weight.requires_grad)
