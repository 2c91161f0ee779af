"""Weights & Biases as a tracker."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mrikit.runs.trackers.common import PROJECT, keep_id, kept_id, numbers, redact_all


class WeightsAndBiases:
    """A run of W&B, online or offline as WANDB_MODE says; its files are in `wandb/` of the run's folder.

    Command line, git remote and console output stay here: they may hold signed URLs.
    """

    def __init__(self, folder: Path, run_name: str, config: Mapping[str, Any], _resume_step: int) -> None:
        # It would send reports of its own crashes, also when offline.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self._wandb = importlib.import_module("wandb")
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=run_name,
            id=kept_id(folder, "wandb"),
            resume="allow",
            reinit="create_new",
            dir=str(folder),
            config=redact_all(config),
            allow_val_change=True,
            settings=self._wandb.Settings(
                silent=True, console="off", disable_git=True, save_code=False, x_disable_meta=True
            ),
        )
        keep_id(folder, "wandb", self._run.id)

    def log(self, row: Mapping[str, Any]) -> None:
        """Log the numbers of a row; a step that W&B already has stays as it is."""
        self._run.log(numbers(row), step=row["step"])

    def show(self, name: str, image: npt.NDArray[np.uint8], step: int) -> None:
        """Log a picture beside the numbers of its step."""
        self._run.log({f"{name}/picture": self._wandb.Image(image)}, step=step)

    def close(self) -> None:
        """Write or send what is left."""
        self._run.finish()
