"""The staged system of an entry to the 2025 SNU fastMRI challenge: four networks, each trained in three stages.

Brain and knee, 4x and 8x: twelve runs that differ as the functions below say and in nothing else.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mrikit.data import AugmentConfig
from mrikit.models.promptmr_config import CHALLENGE_SETTINGS, PLUS_SETTINGS
from mrikit.training import DataConfig, ExecutionConfig, RunConfig, TrainingConfig

EPOCHS, TINY_EPOCHS = 15, 3
"""Of each stage, and of each where minutes have to do."""
_ROWS = {"brain": 384, "knee": 416}
_THIRD_MASK = {4: "random_spaced", 8: "random_offset"}

# A quarter of the challenge's weights: half the widths, fewer cascades.
_SMALL: dict[str, Any] = {
    "num_cascades": 6,
    "stem_width": 32,
    "feature_widths": (40, 48, 56),
    "prompt_widths": (8, 16, 24),
}


def stages(
    anatomy: str, acceleration: int, size: str, num_epochs: int | None = None, max_lr: float | None = None
) -> tuple[RunConfig, ...]:
    """PromptMR for one anatomy at one acceleration, in three stages.

    Args:
        anatomy: `knee` or `brain`.
        acceleration: 4 or 8.
        size: One of SIZES.
        num_epochs: Of each stage, from which augmentation and schedules follow; None for those of the size.
        max_lr: Of the first stage, from which the others follow; None for that of the size.
    """
    epochs = num_epochs or (TINY_EPOCHS if size == "tiny" else EPOCHS)
    first = _SIZES[size](_first(anatomy, acceleration, epochs))
    if max_lr is not None:
        first = replace(first, training=replace(first.training, max_lr=max_lr))
    second = _second(first, epochs)
    third = (_third_brain if anatomy == "brain" else _third_knee)(second, epochs)
    return first, second, third


def _first(anatomy: str, acceleration: int, epochs: int) -> RunConfig:
    """Fixed masks and no augmentation, with a cosine that is left after three quarters.

    The challenge keeps 8 % of the columns in the middle at every acceleration. Weight decay leaves slopes and data
    consistency weights alone here, as it did not there.
    """
    return RunConfig(
        task=f"{anatomy}_acc{acceleration}",
        stage=1,
        size="full",
        model="promptmr",
        model_config={**CHALLENGE_SETTINGS, "use_checkpoint": True},
        data=DataConfig(
            mask_kind="fixed",
            validation_mask_kind="fixed",
            validation_score="body_ssim",
            accelerations=(acceleration,),
            center_fractions=(0.08,),
            anatomy=anatomy,
            max_readout=_ROWS[anatomy],
        ),
        training=TrainingConfig(
            loss="ssim_body",
            num_epochs=epochs,
            schedule_epochs=epochs + epochs // 3,
            warmup_epochs=1,
            max_lr=3e-4,
            batch_size=2,
            weight_decay=1e-4,
            max_grad_norm=0.01,
        ),
        execution=ExecutionConfig(zero_stage=1, offload_optimizer=True, keep_best=True),
    )


def _second(first: RunConfig, epochs: int) -> RunConfig:
    """Augmentation that comes in quickly, at two thirds of the rate."""
    schedule_epochs = epochs + epochs // 3
    return replace(
        first,
        stage=2,
        training=replace(
            first.training,
            first_epoch=epochs,
            schedule_epochs=schedule_epochs,
            warmup_epochs=0,
            max_lr=_share_of(first.training.max_lr, 2 / 3),
        ),
        augment=AugmentConfig(
            schedule="exp",
            strength=1,
            delay_epochs=epochs,
            num_epochs=epochs + schedule_epochs,
            decay=10,
            fliph_weight=0.5,
            flipv_weight=0,
            rot90_weight=0,
            translation_weight=0.5,
            rotation_weight=0,
            shearing_weight=0.5,
            scaling_weight=0.5,
            max_translation=(0.05, 0.05),
            max_shearing=(5, 5),
            max_scaling=0.1,
        ),
    )


def _third(second: RunConfig, epochs: int) -> RunConfig:
    """A third of the rate, down to 0."""
    training = replace(
        second.training, first_epoch=2 * epochs, schedule_epochs=epochs, max_lr=_share_of(second.training.max_lr, 1 / 2)
    )
    return replace(second, stage=3, training=training)


def _third_brain(second: RunConfig, epochs: int) -> RunConfig:
    """Vertical flips too, all of it from the first epoch on."""
    augment = replace(second.augment, flipv_weight=0.5, delay_epochs=2 * epochs, num_epochs=3 * epochs, decay=100)
    return replace(_third(second, epochs), augment=augment)


def _third_knee(second: RunConfig, epochs: int) -> RunConfig:
    """No augmentation, but masks that are drawn anew for every example."""
    (acceleration,) = second.data.accelerations
    data = replace(second.data, mask_kind=_THIRD_MASK[round(acceleration)])
    return replace(_third(second, epochs), data=data, augment=AugmentConfig())


def _share_of(rate: float, share: float) -> float:
    """Rounded, so that two thirds of 3e-4 are 2e-4."""
    return float(f"{rate * share:.6g}")


def _full(config: RunConfig) -> RunConfig:
    return config


def _plus(config: RunConfig) -> RunConfig:
    """The network of the PromptMR+ paper in the schedule of the challenge."""
    return replace(config, size="plus", model_config={**PLUS_SETTINGS, "use_checkpoint": True})


def _small(config: RunConfig) -> RunConfig:
    """A network that trains in 8 GB, and in a day instead of a week."""
    return replace(
        config,
        size="small",
        model_config={**config.model_config, **_SMALL},
        training=replace(config.training, ema_decay=0.999),
    )


def _tiny(config: RunConfig) -> RunConfig:
    """Minutes on a CPU: the same three stages with the rates that so few steps need."""
    return replace(
        config,
        size="tiny",
        model_config=_TINY,
        training=replace(
            config.training, max_lr=config.training.max_lr * 5, batch_size=1, max_grad_norm=1.0, ema_decay=0.98
        ),
        execution=ExecutionConfig(keep_best=True),
    )


_TINY: dict[str, Any] = {
    "num_cascades": 4,
    "num_adjacent": 3,
    "stem_width": 12,
    "feature_widths": (16, 20, 24),
    "prompt_widths": (4, 8, 12),
    "sens_stem_width": 0,
    "prompt_sizes": (16, 8, 4),
    "num_encoder_blocks": (1, 1, 1),
    "num_decoder_blocks": (1, 1, 1),
    "num_skip_blocks": (0, 0, 0),
    "num_bottleneck_blocks": 1,
}
_SIZES: dict[str, Callable[[RunConfig], RunConfig]] = {
    "tiny": _tiny,
    "small": _small,
    "full": _full,
    "plus": _plus,
}
SIZES = tuple(_SIZES)
"""Sizes that these tasks have."""
