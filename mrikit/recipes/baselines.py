"""Published baselines: E2E-VarNet and the U-Net on fastMRI's data, each in three sizes."""

from dataclasses import replace

from mrikit.training import DataConfig, ExecutionConfig, RunConfig, TrainingConfig


def knee_multicoil(size: str) -> RunConfig:
    """E2E-VarNet on the knee data, 4x.

    Source:
        Sriram et al., MICCAI 2020, with the masks, losses, rates and epochs of InnerEye's KneeMulticoil: equispaced
        masks of 4x with 8 % centre lines drawn for every example, SSIM loss, Adam 3e-4, a tenth after 40 of 50 epochs.
        Its equispaced masks are today's `equispaced_fraction`.
    """
    full = RunConfig(
        task="knee_multicoil",
        size="full",
        model="varnet",
        model_config={"use_checkpoint": True},
        data=DataConfig(anatomy="knee"),
        training=TrainingConfig(schedule="step"),
    )
    if size == "full":
        return full
    small = replace(
        full,
        size="small",
        model_config={"num_cascades": 8, "use_checkpoint": True},
        training=replace(full.training, num_epochs=20, schedule="cosine", warmup_epochs=0.5, ema_decay=0.999),
        execution=ExecutionConfig(zero_stage=1, offload_optimizer=True),
    )
    if size == "small":
        return small
    return replace(
        small,
        size="tiny",
        model_config={"num_cascades": 4, "num_channels": 8, "num_pools": 3, "num_sens_channels": 0},
        training=replace(small.training, num_epochs=10, max_lr=5e-3, max_grad_norm=1.0, ema_decay=0.98),
        execution=ExecutionConfig(),
    )


def brain_multicoil(size: str) -> RunConfig:
    """E2E-VarNet on the brain data, 4x: the recipe of the knee, as InnerEye's BrainMulticoil has it."""
    knee = knee_multicoil(size)
    return replace(knee, task="brain_multicoil", data=replace(knee.data, anatomy="brain"))


def knee_singlecoil(size: str) -> RunConfig:
    """U-Net on the emulated single-coil knee data, 4x.

    Source:
        The U-Net baseline of Zbontar et al., fastMRI, arXiv:1811.08839, as published for the leaderboard: 256 channels,
        L1 loss, random masks of 4x with 8 % centre lines, rate 1e-3, a tenth after 40 of 50 epochs. RMSprop is Adam
        without a first moment here, which differs by the correction of the first steps only; the network sees the full
        field of view, not the cropped image.
    """
    full = RunConfig(
        task="knee_singlecoil",
        size="full",
        model="unet",
        model_config={"num_channels": 256},
        data=DataConfig(mask_kind="random", challenge="singlecoil", anatomy="knee"),
        training=TrainingConfig(loss="l1", max_lr=1e-3, schedule="step", beta1=0.0, beta2=0.99),
    )
    if size == "full":
        return full
    small = replace(
        full, size="small", model_config={"num_channels": 32}, training=replace(full.training, num_epochs=20)
    )
    if size == "small":
        return small
    return replace(
        small,
        size="tiny",
        model_config={"num_channels": 16, "num_pools": 3},
        training=TrainingConfig(
            loss="l1", num_epochs=10, max_lr=2e-3, warmup_epochs=0.5, max_grad_norm=1.0, ema_decay=0.98
        ),
    )
