"""Reconstructors for policies, trained once."""

import dataclasses

import pytest
from training.small_run import CONFIG, run

from mrikit.config import change_config

UNET = change_config(
    dataclasses.replace(CONFIG, model="unet", model_config={"num_channels": 2, "num_pools": 1}),
    {"data.matrix": (16, 16), "data.num_validation": 2.0, "training.num_epochs": 1, "training.seed": 0},
    "test",
)


@pytest.fixture(scope="session")
def trained_reconstructor(study, once):
    """Folders of two runs with other weights and the same patients."""

    def make(folder):
        run(study, folder / "first", config=UNET)
        run(study, folder / "other", config=UNET, training__max_lr=1e-3)

    made = once("policy-reconstructors", make)
    return made / "first", made / "other"
