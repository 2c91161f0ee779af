"""The banding study's system: a network that is pretrained in both orientations, then trained against an adversary."""

from dataclasses import replace

from mrikit.data import AugmentConfig
from mrikit.training import DataConfig, ExecutionConfig, RunConfig, TrainingConfig
from mrikit.training.adversary_config import AdversaryTraining

SIZES = ("tiny", "small", "full")
"""Sizes that the task has."""
EPOCHS = {"tiny": (4, 5), "small": (30, 48), "full": (100, 160)}
"""Of the two stages; those of the second are short where an epoch is a share of the slices."""
_SECOND_RATE = 1 / 3


def knee_banding(size: str, num_epochs: int | None = None, max_lr: float | None = None) -> tuple[RunConfig, RunConfig]:
    """Knees at 4x, by regular lines whose halves complete each other, in two stages.

    The second begins with the weights of the first, and its best epoch is chosen by banding, within a bound of SSIM.

    Args:
        size: One of SIZES.
        num_epochs: Of each stage, which the steps of the rate follow; None for those of the size.
        max_lr: Of the first stage, of which the second has a third; None for that of the size.

    Source:
        Defazio et al., MRI banding removal via adversarial training, NeurIPS 2020, arXiv:2001.08699, as its published
        scripts set it: `full` has their network, data, masks, losses, rates, and the adversary at its full strength
        from the beginning. They let the second stage run 1000 short epochs; as the rate is a tenth every 40 of them,
        the network no longer moves after 160, and there this one ends.
    """
    first = _SIZES[size](_pretraining(*_extent(size, 0, num_epochs)))
    if max_lr is not None:
        first = replace(first, training=replace(first.training, max_lr=max_lr))
    return first, _adversarial(first, *_extent(size, 1, num_epochs))


def _extent(size: str, place: int, num_epochs: int | None) -> tuple[int, int]:
    """Epochs of a stage, and after how many the rate is a tenth."""
    epochs = num_epochs or EPOCHS[size][place]
    return epochs, max(1, round(epochs * (0.4, 0.25)[place]))


def _pretraining(epochs: int, step_epochs: int) -> RunConfig:
    return RunConfig(
        task="knee_banding",
        stage=1,
        size="full",
        model="soft_varnet",
        model_config={"use_checkpoint": True},
        data=DataConfig(
            mask_kind="magic",
            mask_settings={"rule": "banding", "num_center_lines": 16, "offset": "acquired"},
            accelerations=(4.0,),
            center_fractions=(16 / 368,),
            anatomy="knee",
            field_strength_t=1.5,
            max_phase=740,
            square_only=True,
        ),
        augment=AugmentConfig(transpose_probability=0.5),
        training=TrainingConfig(
            loss="ssim + 0.01 l1", num_epochs=epochs, max_lr=3e-4, schedule="step", step_epochs=step_epochs
        ),
    )


def _adversarial(first: RunConfig, epochs: int, step_epochs: int) -> RunConfig:
    """A third of the rate; at full size another fifth of the slices in each epoch."""
    is_full = first.size == "full"
    return replace(
        first,
        stage=2,
        objective="adversary",
        adversary=_ADVERSARIES[first.size],
        data=replace(first.data, epoch_share=0.2 if is_full else 1.0),
        training=replace(
            first.training,
            first_epoch=first.training.num_epochs,
            num_epochs=epochs,
            step_epochs=step_epochs,
            warmup_epochs=0,
            max_lr=float(f"{first.training.max_lr * _SECOND_RATE:.6g}"),
            # At the high rate of `tiny` discriminators would swing after the orientation of the last slice.
            batch_size=4 if first.size == "tiny" else first.training.batch_size,
        ),
    )


def _full(config: RunConfig) -> RunConfig:
    return config


def _small(config: RunConfig) -> RunConfig:
    """Half the cascades, and a running mean of the weights; ZeRO 2 is the most that an adversary takes."""
    return replace(
        config,
        size="small",
        model_config={"num_cascades": 6, "num_channels": 12, "use_checkpoint": True},
        training=replace(config.training, schedule="cosine", warmup_epochs=0.5, ema_decay=0.999),
        execution=ExecutionConfig(zero_stage=1, offload_optimizer=True),
    )


def _tiny(config: RunConfig) -> RunConfig:
    """Minutes on a CPU with any knees, such as simulated ones of 64 to 128 lines; of these 8 are the centre."""
    data = config.data
    return replace(
        config,
        size="tiny",
        model_config={"num_cascades": 2, "num_channels": 8, "num_pools": 2, "num_sens_channels": 0},
        data=replace(
            data,
            mask_settings={**data.mask_settings, "num_center_lines": 8},
            center_fractions=(8 / 128,),
            field_strength_t=0.0,
            max_phase=0,
            square_only=False,
        ),
        training=replace(
            config.training, schedule="cosine", warmup_epochs=0.5, max_lr=3e-3, max_grad_norm=1.0, ema_decay=0.98
        ),
    )


_ADVERSARIES = {
    # A few hundred steps are too few for discriminators to find dark places by themselves.
    "tiny": AdversaryTraining(kind="narrow", sees_dark=True, first_epoch=1, strength=0.3),
    "small": AdversaryTraining(first_epoch=1),
    "full": AdversaryTraining(),
}
_SIZES = {"tiny": _tiny, "small": _small, "full": _full}
