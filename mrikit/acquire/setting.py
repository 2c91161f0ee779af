"""An environment's arguments to its episodes."""

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mrikit.acquire.config import AcquireConfig
from mrikit.acquire.data import Data, FullSlices, open_slices
from mrikit.acquire.episodes import Episodes
from mrikit.acquire.extra import gymnasium
from mrikit.acquire.presets import Preset, preset_named
from mrikit.acquire.reconstructors import Reconstruct, Reconstructor, as_reconstructor
from mrikit.acquire.starts import Initial, given_lines
from mrikit.config import build_config
from mrikit.errors import ConfigError
from mrikit.reconstruct import Method

AnyReconstructor = str | Path | Method | nn.Module | Reconstruct | Reconstructor
"""What `mrikit.acquire.reconstructors.as_reconstructor` takes."""


def make_episodes(
    data: Data | FullSlices,
    reconstructor: AnyReconstructor,
    budget: int | None,
    initial: Initial | None,
    *,
    preset: str,
    device: torch.device | str,
    num_rows: int,
    settings: Mapping[str, Any],
) -> Episodes:
    """The episodes that both environments play; arguments as of `AcquireEnv`.

    Raises:
        MrikitError: See `AcquireEnv`.
    """
    scenario = preset_named(preset) if preset else None
    config = build_config(AcquireConfig, {**(scenario.settings if scenario else {}), **settings}, "Acquire-v0")
    budget, initial = _numbers(budget, initial, scenario)
    ready = as_reconstructor(reconstructor, device)
    slices = data if isinstance(data, FullSlices) else open_slices(data, ready, config, device)
    return Episodes(slices, ready, given_lines(initial, slices.matrix[1]), budget, config, num_rows)


def observation_space(matrix: tuple[int, int]) -> gymnasium.spaces.Space[Any]:
    """The space of one observation of this (readout, phase) matrix."""
    return gymnasium.spaces.Dict(
        {
            "reconstruction": gymnasium.spaces.Box(0, np.inf, (1, *matrix), np.float32),
            "mask": gymnasium.spaces.MultiBinary(matrix[1]),
        }
    )


def require_count(name: str, value: object) -> None:
    """Refuse what is no whole number from 1.

    Raises:
        ConfigError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ConfigError(f"{name} is a whole number from 1, found {reprlib.repr(value)}")


def _numbers(budget: int | None, initial: Initial | None, scenario: Preset | None) -> tuple[int, Initial]:
    if scenario is not None:
        budget = scenario.budget if budget is None else budget
        initial = scenario.initial if initial is None else initial
    if budget is None or initial is None:
        missing = "budget" if budget is None else "initial"
        raise ConfigError(f"an environment needs `{missing}`, or a preset such as 'miccai_normal'; found neither")
    require_count("budget", budget)
    return budget, initial
