"""Parity with reference outputs: `MRIKIT_GOLDEN=DIR pytest tests/golden` runs the same tests on another folder."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of golden files."""
    return Path(os.environ.get("MRIKIT_GOLDEN", Path(__file__).parent))


@pytest.fixture(scope="session")
def load_golden(golden):
    """Reads a golden file: its arrays as tensors by key, of those behind a prefix alone, and its `config`."""

    def load(name, prefix=""):
        with np.load(golden / f"{name}.npz") as file:
            keys = [key for key in file if key.startswith(prefix) and key != "config"]
            arrays = {key.removeprefix(prefix): torch.from_numpy(file[key]) for key in keys}
            return arrays, json.loads(str(file["config"]))

    return load
