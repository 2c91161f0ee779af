"""Weights published for other implementations, renamed to those of the networks here."""

import re
from collections.abc import Mapping

import torch

from mrikit.errors import CheckpointError

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
_FIRST_NAMES = {
    "unet": "down_sample_layers.0.layers.0.weight",
    "varnet": "sens_net.norm_unet.unet.down_sample_layers.0.layers.0.weight",
}
_PARTS = {
    "unet": ("down_sample_layers.", "conv.", "up_transpose_conv.", "up_conv."),
    "varnet": ("sens_net.", "cascades."),
}


def fastmri_state(model: str, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The network of fastMRI in a state dict, also where other names surround it (`varnet.`, `loss.w`), renamed.

    Args:
        model: "unet" or "varnet".
        state: Names of fastMRI, all with the same prefix.

    Raises:
        CheckpointError: There is no such network, or more than one.
    """
    if model not in _FIRST_NAMES:
        raise CheckpointError(f"weights can be imported for {' and '.join(_FIRST_NAMES)}, not for {model!r}")
    prefixes = [name.removesuffix(_FIRST_NAMES[model]) for name in state if name.endswith(_FIRST_NAMES[model])]
    if len(prefixes) != 1:
        found = ", ".join(sorted({name.split(".")[0] for name in state})) or "nothing"
        raise CheckpointError(f"holds {len(prefixes)} networks of the form of fastMRI's {model}, not 1; found {found}")
    inside = {name.removeprefix(prefixes[0]): name for name in state if name.startswith(prefixes[0])}
    network = {inner: state[name] for inner, name in inside.items() if inner.startswith(_PARTS[model])}
    return fastmri_unet_state(network) if model == "unet" else fastmri_varnet_state(network)


def find_settings(model: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, int]:
    """The settings of a network, as its names and shapes tell them.

    Args:
        model: "unet" or "varnet".
        tensors: Its state dict, with the names of this package.
    """
    if model == "unet":
        channels, pools = _unet_size("network", tensors)
        return {"num_channels": channels, "num_pools": pools}
    channels, pools = _unet_size("cascades.0.network.unet", tensors)
    sens_channels, sens_pools = _unet_size("sens_net.network.unet", tensors)
    return {
        "num_cascades": _count("cascades", tensors),
        "num_channels": channels,
        "num_pools": pools,
        "num_sens_channels": sens_channels,
        "num_sens_pools": sens_pools,
    }


def fastmri_unet_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state dict of `fastmri.models.Unet` with the names of `UnetModel`."""
    return {f"network.{_rename(name, _UNET_NAMES)}": weight for name, weight in state.items()}


def fastmri_varnet_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state dict of `fastmri.models.VarNet` with the names of `VarNet`."""
    return {_rename(name, _UNET_NAMES + _VARNET_NAMES): weight for name, weight in state.items()}


def _unet_size(owner: str, tensors: Mapping[str, torch.Tensor]) -> tuple[int, int]:
    """Channels and poolings of a U-Net."""
    first = tensors.get(f"{owner}.down.0.first.weight")
    if first is None:
        raise CheckpointError(f"has no {owner}.down.0.first.weight, from which its number of channels is read")
    return first.shape[0], _count(f"{owner}.down", tensors)


def _count(owner: str, tensors: Mapping[str, torch.Tensor]) -> int:
    """Members of a list of modules."""
    return len({name.removeprefix(f"{owner}.").split(".")[0] for name in tensors if name.startswith(f"{owner}.")})


def _rename(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
