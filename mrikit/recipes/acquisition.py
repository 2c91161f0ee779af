"""Reconstructors of active acquisition: the first stage of runs that learn which line to measure next."""

from dataclasses import replace

from mrikit.recipes.sampling import digits_sampling, knee_sampling
from mrikit.training import DataConfig, RunConfig, TrainingConfig


def knee_reconstructor(size: str) -> RunConfig:
    """Knees with any number of lines of an episode.

    `tiny` and `small` have the matrix, coils and lines of `knee_sampling`: 4 of 128 given, 12 to choose. Their U-Net is
    quick, because each step of an episode is a reconstruction: 13 ms of one core for a slice of `tiny`.

    Source:
        `full` is the reconstructor of Pineda et al., Active MR k-space sampling with reinforcement learning, MICCAI
        2020, arXiv:2007.10469: single-coil knees at 640 x 368, 30 lines given and 70 to choose, that of CVPR'19 with
        256 channels. The published trainer: its negative log-likelihood, batches of 1, Adam 1e-4 with a first moment of
        0.5, 250 epochs, volumes of 368 lines alone. It draws other numbers of lines, most of them small, and trains
        with the evaluator, as `objective=evaluator` does.
    """
    if size == "full":
        data = DataConfig(anatomy="knee", challenge="singlecoil", min_phase=368, max_phase=368)
        return RunConfig(
            task="knee_acquire",
            stage=1,
            size="full",
            model="cvpr19",
            model_config={"num_channels": 256},
            data=_every_step(data, 368, num_given=30, budget=70),
            training=TrainingConfig(loss="uncertainty", num_epochs=250, max_lr=1e-4, beta1=0.5),
        )
    data = replace(knee_sampling(size).data, mask_kind=DataConfig().mask_kind)
    small = RunConfig(
        task="knee_acquire",
        stage=1,
        size="small",
        model="unet",
        model_config={"num_channels": 32},
        data=_every_step(data, 128, num_given=4, budget=12),
        training=TrainingConfig(
            num_epochs=20, max_lr=1e-3, batch_size=4, micro_batch_size=4, warmup_epochs=0.5, max_grad_norm=1.0
        ),
    )
    if size == "small":
        return small
    return replace(
        small,
        size="tiny",
        model_config={"num_channels": 8, "num_pools": 3},
        training=replace(small.training, num_epochs=10, max_lr=4e-3, ema_decay=0.98),
    )


def digits_reconstructor(size: str) -> RunConfig:
    """Digits with any number of columns of an episode, by SPIRiT: 2 of 28 given, 5 to choose.

    Source:
        The digits agent of the learned-sampling study: 5 blocks of 5 x 5. It was trained with one learned mask of 7
        columns, and its authors name that as its drawback.
    """
    digits = digits_sampling(size)
    num_blocks = 5 if size == "full" else 3
    model_config = {**digits.model_config, "kernel": (5, 5), "num_blocks": num_blocks}
    data = replace(digits.data, mask_kind=DataConfig().mask_kind)
    return RunConfig(
        task="digits_acquire",
        stage=1,
        size=size,
        model="spirit_net",
        model_config=model_config,
        data=_every_step(data, 28, num_given=2, budget=5),
        training=digits.training,
    )


def _every_step(data: DataConfig, width: int, *, num_given: int, budget: int) -> DataConfig:
    """The same data with masks of every step of an episode; their nominal acceleration is that of its end."""
    return replace(
        data,
        mask_kind="episode",
        mask_settings={"num_given": num_given, "budget": budget},
        accelerations=(width / (num_given + budget),),
        center_fractions=(num_given / width,),
    )
