"""Reconstruction models, learned or classical, under one signature.

`forward(masked_kspace, mask, num_center_lines) -> image`: see `mrikit.models.classical`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import nn

from mrikit.config import build_config
from mrikit.errors import ConfigError
from mrikit.models import (
    adaptive_varnet,
    adaptive_varnet_config,
    anatomy_classifier,
    classical,
    cvpr19,
    orientation_net,
    prompt_unet,
    promptmr,
    promptmr_config,
    soft_varnet,
    spirit,
    spirit_net,
    unet,
    varnet,
)

CLASSICAL: dict[str, tuple[type[nn.Module], type]] = {
    "zero_filled": (classical.ZeroFilled, classical.ZeroFilledConfig),
    "grappa": (classical.Grappa, classical.GrappaConfig),
    "cg_sense": (classical.CgSense, classical.CgSenseConfig),
    "l1_wavelet": (classical.L1Wavelet, classical.L1WaveletConfig),
    "spirit": (spirit.Spirit, spirit.SpiritConfig),
}
"""Name to model and its configuration: methods that need no weights."""

LEARNED: dict[str, tuple[type[nn.Module], type]] = {
    "unet": (unet.UnetModel, unet.UnetConfig),
    "varnet": (varnet.VarNet, varnet.VarNetConfig),
    "promptmr": (promptmr.PromptMR, promptmr_config.PromptMRConfig),
    "spirit_net": (spirit_net.SpiritNet, spirit_net.SpiritNetConfig),
    "adaptive_varnet": (adaptive_varnet.AdaptiveVarNet, adaptive_varnet_config.AdaptiveVarNetConfig),
    "cvpr19": (cvpr19.Cvpr19, cvpr19.Cvpr19Config),
    "soft_varnet": (soft_varnet.SoftVarNet, soft_varnet.SoftVarNetConfig),
}
"""Name to model and its configuration: networks, of random weights until some are loaded."""

CLASSIFIERS: dict[str, tuple[type[nn.Module], type]] = {
    "anatomy_net": (anatomy_classifier.AnatomyNet, anatomy_classifier.AnatomyNetConfig),
}
"""Name to model and its configuration: networks that give classes instead of images."""


JUDGES: dict[str, tuple[type[nn.Module], type]] = {
    "orientation_net": (orientation_net.OrientationNet, orientation_net.OrientationNetConfig),
}
"""Name to model and its configuration: networks that judge images which others made; their `forward` is their own."""


def build_model(name: str, settings: Mapping[str, Any] | None = None) -> nn.Module:
    """A model by name.

    Args:
        name: A key of `CLASSICAL`, `LEARNED`, `CLASSIFIERS` or `JUDGES`.
        settings: Fields of its configuration that differ from the defaults.

    Raises:
        ConfigError: An unknown name or setting, or a value out of range.
    """
    models = CLASSICAL | LEARNED | CLASSIFIERS | JUDGES
    if name not in models:
        raise ConfigError(f"no model is called {name!r}; there are {', '.join(models)}")
    model, config = models[name]
    return model(build_config(config, settings or {}, name))


def model_settings(model: nn.Module) -> dict[str, Any]:
    """Every field of a model's configuration, defaults included."""
    config: Any = model.config
    return asdict(config)


def convolutional_parts(model: nn.Module) -> list[nn.Module]:
    """The parts of a network that `nn.Module.compile` makes faster: real numbers only, without Fourier transforms."""
    return [module for module in model.modules() if isinstance(module, prompt_unet.PromptUnet)]
