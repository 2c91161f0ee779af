"""TensorBoard as a tracker."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mrikit.runs.trackers.common import numbers, redact_all


class TensorBoard:
    """Event files in `tensorboard/` of the run's folder."""

    def __init__(self, folder: Path, _run_name: str, config: Mapping[str, Any], resume_step: int) -> None:
        writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter
        self._writer = writer(str(folder / "tensorboard"), purge_step=resume_step + 1)
        text = json.dumps(redact_all(config), indent=2, default=str)
        self._writer.add_text("config", f"```\n{text}\n```", resume_step)

    def log(self, row: Mapping[str, Any]) -> None:
        """Write the numbers of a row."""
        for name, value in numbers(row).items():
            self._writer.add_scalar(name, value, row["step"])
        self._writer.flush()

    def show(self, name: str, image: npt.NDArray[np.uint8], step: int) -> None:
        """Write a picture."""
        axes = "HW" if image.ndim == 2 else "HWC"
        self._writer.add_image(f"{name}/picture", image, step, dataformats=axes)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
