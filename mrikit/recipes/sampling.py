"""Runs that learn what to measure: points of digits and brains, lines of knees."""

from dataclasses import replace

from mrikit.models.samplers import SamplerConfig
from mrikit.training import DataConfig, ExecutionConfig, RunConfig, TrainingConfig


def brain_sampling(size: str) -> RunConfig:
    """Points of the simulated brain of 8 coils, 4x, with SPIRiT.

    Source:
        The learned-sampling study that `docs/sampling.md` compares with: 5 blocks of 11 x 11, 50 epochs of 16 slices.
        Its sampler had no gradient where it does not measure, and its centre came on top of the budget.
    """
    full = RunConfig(
        task="brain_sampling",
        size="full",
        model="spirit_net",
        model_config={"num_coils": 8, "num_blocks": 5, "kernel": (11, 11), "padding": "circular"},
        sampler=SamplerConfig(kind="global", directions=2),
        data=DataConfig(anatomy="brain", center_fractions=(0.0,), validation_score="kspace_nmse"),
        training=TrainingConfig(loss="kspace_nmse", num_epochs=50, batch_size=16, micro_batch_size=16, max_lr=1e-3),
    )
    if size == "full":
        return full
    small = replace(full, size="small", model_config={**full.model_config, "kernel": (7, 7)})
    if size == "small":
        return small
    return replace(
        small,
        size="tiny",
        model_config={**full.model_config, "num_blocks": 3, "kernel": (5, 5)},
        training=replace(small.training, num_epochs=20, batch_size=8, micro_batch_size=8),
        execution=ExecutionConfig(),
    )


def digits_sampling(size: str) -> RunConfig:
    """Points of handwritten digits, one coil, 4x, with SPIRiT.

    Source:
        As `brain_sampling`: 5 blocks of 7 x 7, 5 epochs of 128 digits.
    """
    brain = brain_sampling("full")
    full = replace(
        brain,
        task="digits_sampling",
        model_config={"num_coils": 1, "num_blocks": 5, "kernel": (7, 7), "padding": "zero"},
        data=replace(brain.data, anatomy="", challenge="singlecoil"),
        training=replace(brain.training, num_epochs=5, batch_size=128, micro_batch_size=128),
    )
    if size == "full":
        return full
    return replace(
        full,
        size="tiny",
        model_config={**full.model_config, "num_blocks": 3},
        training=replace(full.training, num_epochs=10, batch_size=32, micro_batch_size=32),
    )


def knee_sampling(size: str) -> RunConfig:
    """Lines of the knee that a policy chooses, 8x: 16 of 128, of which 4 are given.

    Source:
        Bakker et al., On learning adaptive acquisition policies for undersampled multi-coil MRI reconstruction, MIDL
        2022, arXiv:2203.16392: 4 virtual coils, 128 x 128, 50 epochs at a rate of 1e-3.
    """
    full = RunConfig(
        task="knee_sampling",
        size="full",
        model="adaptive_varnet",
        model_config={"budget": 12, "matrix": (128, 128)},
        data=DataConfig(
            anatomy="knee", accelerations=(8.0,), center_fractions=(4 / 128,), num_coils=4, matrix=(128, 128)
        ),
        training=TrainingConfig(num_epochs=50, max_lr=1e-3, schedule="step"),
    )
    if size == "full":
        return full
    small = replace(
        full,
        size="small",
        model_config={**full.model_config, "num_channels": 9, "num_policy_channels": 8},
        training=replace(full.training, num_epochs=20, step_epochs=16),
    )
    if size == "small":
        return small
    return replace(
        small,
        size="tiny",
        model_config={
            **full.model_config,
            "num_cascades": 3,
            "num_channels": 6,
            "num_pools": 2,
            "num_sens_channels": 0,
            "num_policy_channels": 4,
            "policy_fc_size": 64,
        },
        training=replace(small.training, num_epochs=10, step_epochs=8),
    )
