"""Weights published for fastMRI's Adaptive VarNet, renamed to those of `AdaptiveVarNet`."""

import re
from collections.abc import Mapping
from typing import Any, Final

import torch

from mrikit.errors import CheckpointError, ConfigError
from mrikit.models.adaptive_varnet_config import AdaptiveVarNetConfig, decision_places
from mrikit.models.published_fastmri import fastmri_state, find_settings

SOURCE: Final = "adaptive-varnet"
"""Its name among the sources of weights."""

_POLICY = re.compile(r"(?:^|\.)((?:policies\.\d+|loupe)\.sampler(?:\..*)?)$")
_VECTOR = "loupe.sampler"
_COPIES = (
    (r"\.channel_layer\.layers\.0\.", r".feature_extractor.0.layers.0."),
    (r"\.down_sample_layers\.(\d+)\.layers\.0\.", lambda found: f".feature_extractor.{int(found[1]) + 1}.layers.0."),
)
_NAMES = (
    (r"^loupe\.sampler$", "policies.0.logits"),
    (r"\.sampler\.feature_extractor\.(\d+)\.layers\.0\.", r".convs.\1."),
    (r"\.sampler\.fc_out\.(\d+)\.", lambda found: f".linears.{int(found[1]) // 2}."),
)
_ARGUMENTS: Final[dict[str, tuple[str, type]]] = {
    "budget": ("budget", int),
    "cascades_per_policy": ("cascades_per_policy", int),
    "dc_mode": ("dc_mode", str),
    "sparse_dc_gradients": ("sparse_dc_gradients", bool),
    "num_sense_lines": ("num_center_lines", int),
    "crop_size": ("matrix", tuple),
}
"""Arguments of the published code that no tensor tells, or not wholly; their names here, and their types."""
_REDUCTION = 16  # of the image, in the network of a policy


def convert(
    state: Mapping[str, torch.Tensor], said: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and settings of the network here.

    Args:
        state: Published names, all with the same prefix. Each convolution of a policy is there twice.
        said: Arguments that the file keeps of its training.
        given: Settings of `AdaptiveVarNetConfig` that a user gives, which say more than the file.

    Raises:
        CheckpointError: There is no such network, or the two copies of a convolution differ.
        ConfigError: Something that tensors do not tell is neither said nor given.
    """
    tensors = _network(state) | _policies(state)
    known = _told_by_arguments(said) | dict(given)
    return tensors, _told_by_shapes(tensors) | _told_by_policies(tensors, known) | known


def _network(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    others = {name: tensor for name, tensor in state.items() if not _POLICY.search(name)}
    return fastmri_state("varnet", others)


def _policies(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    published = {found[1]: tensor for name, tensor in state.items() if (found := _POLICY.search(name))}
    merged: dict[str, torch.Tensor] = {}
    for name, tensor in published.items():
        name = _rename(name, _COPIES)
        if not torch.equal(merged.setdefault(name, tensor), tensor):
            raise CheckpointError(f"holds {name} twice with two values; one network cannot have both")
    # LOUPE's vector has a batch axis there.
    return {_rename(name, _NAMES): tensor.flatten() if name == _VECTOR else tensor for name, tensor in merged.items()}


def _told_by_shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    settings: dict[str, Any] = dict(find_settings("varnet", tensors))
    return settings | {"hard_dc": "cascades.0.dc_weight" not in tensors}


def _told_by_arguments(said: Mapping[str, Any]) -> dict[str, Any]:
    """What the file says of its network; a value of another type is as good as none."""
    listed = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
    return {own: listed[name] for name, (own, kind) in _ARGUMENTS.items() if type(listed.get(name)) is kind}


def _told_by_policies(tensors: Mapping[str, torch.Tensor], known: Mapping[str, Any]) -> dict[str, Any]:
    """What kind of policies there are and their sizes; what else has to be known is an error if it is not."""
    if not any(name.startswith("policies.") for name in tensors):
        return {"policy": "none"}
    if "budget" not in known:
        raise ConfigError("the file does not say how many lines its policies choose: give --set budget=22, for example")
    if "policies.0.logits" in tensors:
        width = tensors["policies.0.logits"].shape[-1]
        return {"policy": "loupe", "matrix": (width, width)}  # of any number of rows
    linears = sorted(name for name in tensors if re.fullmatch(r"policies\.0\.linears\.\d+\.weight", name))
    first, last = (tensors[name] for name in (linears[0], linears[-1]))
    num_channels = tensors["policies.0.convs.0.weight"].shape[0]
    told: dict[str, Any] = {
        "policy": "policy",
        "num_policy_channels": num_channels,
        "policy_fc_size": first.shape[0] if len(linears) > 1 else AdaptiveVarNetConfig().policy_fc_size,
        "num_policy_fc_layers": len(linears),
    }
    if "matrix" not in known:
        told["matrix"] = _square(first.shape[1] // (num_channels * _REDUCTION), last.shape[0])
    if "cascades_per_policy" not in known:
        told["cascades_per_policy"] = _spacing(tensors)
    return told


def _square(num_cells: int, width: int) -> tuple[int, int]:
    """A square matrix of this width, if the policies' features fit it."""
    if num_cells != (width // _REDUCTION) ** 2:
        raise ConfigError(f"the file does not say the matrix of its policies: give --set matrix=ROWS,{width}")
    return width, width


def _spacing(tensors: Mapping[str, torch.Tensor]) -> int:
    """Cascades between policies, where their number leaves no doubt."""
    num_policies, num_cascades = (
        len({name.split(".")[1] for name in tensors if name.startswith(owner)}) for owner in ("policies.", "cascades.")
    )
    fits = []
    for spacing in range(1, num_cascades + 1):
        config = AdaptiveVarNetConfig(
            num_cascades=num_cascades, cascades_per_policy=spacing, budget=max(num_cascades, num_policies)
        )
        fits += [spacing] if len(decision_places(config)) == num_policies else []
    if len(fits) != 1:
        found = f"{num_policies} policies among {num_cascades} cascades"
        raise ConfigError(f"the file does not say where its policies stand, {found}: give --set cascades_per_policy=1")
    return fits[0]


def _rename(name: str, rules: tuple[tuple[str, Any], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
