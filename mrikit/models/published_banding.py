"""Weights published for the banding study's VarNet, renamed to those of `SoftVarNet`."""

import re
from collections.abc import Mapping
from typing import Any, Final

import torch

from mrikit.errors import CheckpointError, ConfigError

SOURCE: Final = "banding-removal"
"""Its name among the sources of weights."""
NETWORK_PART: Final = re.compile(r"(?:^|\.)(?:model_sens\.\d+|model\.\d+\.(?:lambda_$|zero$|net\.))")
"""What names of the network's tensors have in them and no others."""

_ANCHOR = re.compile(r"^(?P<prefix>(?:.*\.)?)model_sens\.\d+\.model\.1\.model\.model\.0\.conv\.layer1\.0\.weight$")
_OWNERS = (
    (re.compile(r"^model_sens\.\d+\.model\.1\.model\.model\.0\."), "sens_net.network.unet."),
    (re.compile(r"^model\.(\d+)\.net\.1\.model\.model\.0\."), r"cascades.\1.network.unet."),
    (re.compile(r"^model\.(\d+)\.lambda_$"), r"cascades.\1.dc_weight"),
)
_UNET_NAMES = (
    (".down_sample_layers.", ".down."),
    (".up_sample_layers.", ".up."),
    (".conv.layer", ".bottom.layer"),
    (".conv2.", ".output."),
    (".layer1.0.", ".first."),
    (".layer2.0.", ".second."),
)
_METHOD = re.compile(r"SoftDC\(cunet\([^()]*\)(?P<rest>[^()]*)\)")


def convert(
    state: Mapping[str, torch.Tensor], said: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and settings of the network here.

    A network is published as a line of words, such as "12[SoftDC(cunet(18,2)),]IFT(),RSS()", whose places number the
    cascades: in k-space they begin with 0, in the image behind two others. Whether a cascade is parallel or sequential
    is in the words alone. All that were published in k-space are parallel.

    Args:
        state: Published names, all with the same prefix; what does not begin with it is left out.
        said: Arguments that the file keeps of its training; one of them may be the words.
        given: Settings of `SoftVarNetConfig` that a user gives, which say more than the file.

    Raises:
        CheckpointError: There is no such network, or more than one.
        ConfigError: Cascades in the image, and neither file nor user say whether they are sequential.
    """
    network = _inside(state)
    renamed = {_rename(name): tensor for name, tensor in network.items() if not name.endswith(".zero")}
    places = sorted({int(name.split(".")[1]) for name in renamed if name.startswith("cascades.")})
    if not places:
        raise CheckpointError(
            "holds a sensitivity network of the banding study, but no cascade; save the whole network"
        )
    tensors = {_numbered(name, places): tensor for name, tensor in renamed.items()}
    settings = _sizes(tensors) | {"num_cascades": len(places), "space": "image" if places[0] else "kspace"}
    return tensors, settings | _mode(settings["space"], said, given)


def _inside(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    prefixes = [found["prefix"] for name in state if (found := _ANCHOR.match(name))]
    if len(prefixes) != 1:
        owners = ", ".join(sorted({name.split(".")[0] for name in state})) or "nothing"
        raise CheckpointError(
            f"holds {len(prefixes)} networks of the form of the banding study's, not 1; found {owners}"
        )
    inside = {name.removeprefix(prefixes[0]): name for name in state if name.startswith(prefixes[0])}
    return {inner: state[name] for inner, name in inside.items() if NETWORK_PART.match(inner)}


def _rename(name: str) -> str:
    for pattern, owner in _OWNERS:
        name = pattern.sub(owner, name)
    for published, own in _UNET_NAMES:
        name = name.replace(published, own)
    return name


def _numbered(name: str, places: list[int]) -> str:
    """The name of a tensor with the number of its cascade instead of its place in the words."""
    return re.sub(r"^cascades\.(\d+)", lambda found: f"cascades.{places.index(int(found[1]))}", name)


def _sizes(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Channels and poolings, as shapes and names tell."""
    sizes: dict[str, Any] = {}
    for owner, kind in (("cascades.0.network.unet", ""), ("sens_net.network.unet", "sens_")):
        first = tensors.get(f"{owner}.down.0.first.weight")
        if first is None:
            raise CheckpointError(f"has no {owner}.down.0.first.weight, from which its number of channels is read")
        sizes[f"num_{kind}channels"] = first.shape[0]
        sizes[f"num_{kind}pools"] = sum(
            re.fullmatch(rf"{re.escape(owner)}\.down\.\d+\.first\.weight", name) is not None for name in tensors
        )
    return sizes


def _mode(space: str, said: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, str]:
    if "mode" in given:
        return {}
    words = [found for value in said.values() if isinstance(value, str) and (found := _METHOD.search(value))]
    if words:
        return {"mode": "sequential" if "sequential" in words[0]["rest"] else "parallel"}
    if space == "image":
        raise ConfigError(
            "the file does not say whether its cascades are sequential: give --set mode=sequential or mode=parallel"
        )
    return {"mode": "parallel"}
