"""The anatomy classifier, which `mrikit reconstruct --task auto` asks where a file does not say what it shows."""

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
