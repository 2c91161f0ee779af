"""Weights published for other implementations, renamed to those of the networks here."""

import re
from collections.abc import Mapping

import torch

_UNET_NAMES = (
    (r"down_sample_layers\.(\d+)\.layers", r"down.\1"),
    (r"up_transpose_conv\.(\d+)\.layers\.0", r"up.\1.conv"),
    (r"up_conv\.(\d+)\.1\.(weight|bias)$", r"output.\2"),
    (r"up_conv\.(\d+)(\.0)?\.layers", r"merge.\1"),
    (r"(^|\.)conv\.layers", r"\1bottom"),
    (r"\.0\.weight$", ".first.weight"),
    (r"\.4\.weight$", ".second.weight"),
)
_VARNET_NAMES = (
    (r"^sens_net\.norm_unet\.", "sens_net.network."),
    (r"^(cascades\.\d+)\.model\.", r"\1.network."),
)


def fastmri_unet_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state dict of `fastmri.models.Unet` with the names of `UnetModel`."""
    return {f"network.{_rename(name, _UNET_NAMES)}": weight for name, weight in state.items()}


def fastmri_varnet_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state dict of `fastmri.models.VarNet` with the names of `VarNet`."""
    return {_rename(name, _UNET_NAMES + _VARNET_NAMES): weight for name, weight in state.items()}


def _rename(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
