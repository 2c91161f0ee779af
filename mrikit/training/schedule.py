"""The learning rate as a function of the optimizer step alone."""

import math

from mrikit.training.config import TrainingConfig


def learning_rate(step: int, steps_per_epoch: int, config: TrainingConfig) -> float:
    """The rate of an optimizer step.

    It rises linearly from the first step, whose rate is not 0, over the warm-up; then it follows the schedule, whose
    last step still learns. A cosine that is laid out for more epochs than the run has is left before its end.

    Args:
        step: Counted from 0.
        steps_per_epoch: Optimizer steps of an epoch.
        config: Highest and lowest rate, warm-up and schedule.
    """
    num_warmup = round(config.warmup_epochs * steps_per_epoch)
    if step < num_warmup:
        return config.max_lr * (step + 1) / num_warmup
    if config.schedule == "step":
        return config.max_lr * config.step_factor ** (step // (config.step_epochs * steps_per_epoch))
    num_epochs = config.schedule_epochs or config.num_epochs
    share = (step - num_warmup) / (num_epochs * steps_per_epoch - num_warmup)
    return config.min_lr + (config.max_lr - config.min_lr) * (1 + math.cos(math.pi * share)) / 2
