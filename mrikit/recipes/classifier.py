"""Classifiers: of anatomy, for `mrikit reconstruct --task auto`; of orientation, for `mrikit evaluate --classifier`."""

from dataclasses import replace

from mrikit.data import AugmentConfig
from mrikit.recipes.banding import knee_banding
from mrikit.training import DataConfig, RunConfig, TrainingConfig


def anatomy(size: str) -> RunConfig:
    """Knee or brain, from slices that are undersampled 4 or 8 times."""
    return RunConfig(
        task="anatomy",
        size=size,
        model="anatomy_net",
        data=DataConfig(mask_kind="random_offset", accelerations=(4.0, 8.0), center_fractions=(0.08, 0.08)),
        training=TrainingConfig(
            loss="cross_entropy", num_epochs=5, batch_size=4, max_lr=4e-3, warmup_epochs=0.2, max_grad_norm=1.0
        ),
    )


def orientation(size: str) -> RunConfig:
    """Transposed or not, from what the networks of `orientation.reconstructors` make of knees.

    Volumes and masks are those of `knee_banding`, the classifier another than its adversary: who judges shall not be
    who was fooled.
    """
    full = RunConfig(
        task="orientation",
        size="full",
        model="orientation_net",
        model_config={"kind": "unpooled_resnet50"},
        data=knee_banding(size)[0].data,
        augment=AugmentConfig(transpose_probability=0.5),
        training=TrainingConfig(loss="cross_entropy", num_epochs=5, batch_size=8, micro_batch_size=1, max_lr=1e-4),
    )
    if size == "full":
        return full
    return replace(
        full,
        size="tiny",
        model_config={"kind": "shallow", "sees_dark": True},
        training=replace(
            full.training,
            num_epochs=3,
            batch_size=4,
            max_lr=1e-3,
            warmup_epochs=0.5,
            max_grad_norm=1.0,
            ema_decay=0.98,
        ),
    )
