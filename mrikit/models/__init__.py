"""Reconstruction models, learned or classical, under one signature.

`forward(masked_kspace, mask, num_center_lines) -> image`: see `mrikit.models.classical`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import nn

from mrikit.config import build_config
from mrikit.errors import ConfigError
from mrikit.models import classical

MODELS: dict[str, tuple[type[nn.Module], type]] = {
    "zero_filled": (classical.ZeroFilled, classical.ZeroFilledConfig),
    "grappa": (classical.Grappa, classical.GrappaConfig),
    "cg_sense": (classical.CgSense, classical.CgSenseConfig),
    "l1_wavelet": (classical.L1Wavelet, classical.L1WaveletConfig),
}
"""Name to model and its configuration."""


def build_model(name: str, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """A model by name.

    Args:
        name: A key of `MODELS`.
        settings: Fields of its configuration that differ from the defaults.

    Raises:
        ConfigError: An unknown name or setting, or a value out of range.
    """
    if name not in MODELS:
        raise ConfigError(f"no model is called {name!r}; there are {', '.join(MODELS)}")
    model, config = MODELS[name]
    return model(build_config(config, settings or {}, name))


def model_settings(model: nn.Module) -> dict[str, Any]:
    """Every field of a model's configuration, defaults included."""
    config: Any = model.config
    return asdict(config)
