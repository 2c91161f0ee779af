"""A run of seconds on a study of seven tiny volumes in two shapes."""

import dataclasses

import numpy as np
import torch
from phantoms import make_volume
from safetensors.torch import load_file
from training import three_parts  # noqa: F401 - processes of a test find its objectives by this

from mrikit.config import change_config
from mrikit.training import DataConfig, ExecutionConfig, RunConfig, TrainingConfig, train
from mrikit.volumes import write_fastmri

SHAPES = [((32, 28), (24, 20))] * 5 + [((24, 36), (20, 24))] * 2
CONFIG = RunConfig(
    task="knee_multicoil",
    size="tiny",
    model="varnet",
    model_config={"num_cascades": 2, "num_channels": 2, "num_pools": 1, "num_sens_channels": 2, "num_sens_pools": 1},
    data=DataConfig(center_fractions=(0.16,), num_validation=2),
    training=TrainingConfig(
        num_epochs=2, batch_size=2, max_lr=3e-3, warmup_epochs=0.5, max_grad_norm=1.0, ema_decay=0.9, seed=4
    ),
    execution=ExecutionConfig(checkpoint_minutes=0),
)
"""Five optimizer steps an epoch: five volumes of two slices to train on."""

PROMPTMR = {
    "num_cascades": 2,
    "stem_width": 4,
    "feature_widths": (4, 4),
    "prompt_widths": (4, 4),
    "prompt_sizes": (4, 4),
    "prompt_lengths": (2, 2),
    "num_encoder_blocks": (1, 1),
    "num_decoder_blocks": (1, 1),
    "num_skip_blocks": (0, 0),
    "sens_stem_width": 0,
    "sens_feature_widths": (4, 4),
    "sens_prompt_widths": (4, 4),
}
"""Settings of a PromptMR of a few hundred weights."""


def write_study(data, num_slices=(2,), anatomy="knee", prefix="v"):
    """Volumes of two shapes, each of another patient and with noise of its own; slices by turns."""
    rng = np.random.default_rng(0)
    for number, (size, window) in enumerate(SHAPES):
        count = num_slices[number % len(num_slices)]
        volume = make_volume(count, num_coils=2, size=size, window=window, volume_id=f"{prefix}{number}")
        noise = rng.standard_normal((2, *volume.kspace.shape)).astype(np.float32)
        kspace = volume.kspace + 0.01 * (noise[0] + 1j * noise[1])
        protocol = {"knee": "CORPD_FBK", "brain": "AXT2"}[anatomy]
        info = dataclasses.replace(volume.info, patient_id=f"{prefix}-p{number}", anatomy=anatomy, acquisition=protocol)
        write_fastmri(
            data / f"{prefix}{number}.h5", dataclasses.replace(volume, kspace=kspace.astype(np.complex64), info=info)
        )
    return data


def run(
    data,
    folder,
    rows=None,
    lines=None,
    on_row=None,
    config=CONFIG,
    validation_data=None,
    trackers=(),
    device="cpu",
    start=None,
    **settings,
):
    """Train with some settings changed, such as `training__seed=3`."""

    def take(row, num_steps):
        if rows is not None:
            rows.append(row)
        if on_row:
            on_row(row, num_steps)

    return train(
        change_config(config, {name.replace("__", "."): value for name, value in settings.items()}, "test"),
        data,
        folder,
        validation_data=validation_data,
        start=start,
        device=device,
        trackers=trackers,
        say=(lambda _line: None) if lines is None else lines.append,
        on_row=take,
    )


def newest_state(folder):
    """All tensors of the newest checkpoint."""
    return load_file(sorted((folder / "checkpoints").glob("*.safetensors"))[-1])


def largest_difference(state, other):
    """Over all tensors."""
    assert state.keys() == other.keys()
    return max((state[name] - other[name]).abs().max().item() for name in state)


def are_same_bits(state, other):
    return state.keys() == other.keys() and all(torch.equal(state[name], other[name]) for name in state)


def command_line(config=CONFIG):
    """The words that make `mrikit train` do a configuration."""
    return ["--task", config.task, "--size", config.size, *_assignments(dataclasses.asdict(config))]


def _assignments(part, prefix=""):
    words = []
    for key, value in part.items():
        if isinstance(value, dict):
            words += _assignments(value, f"{prefix}{key}.")
        elif prefix or key == "model":
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += ["--set", f"{prefix}{key}={text}"]
    return words
