"""Published weights of active-mri-acquisition, renamed to those of the networks here.

There the lines of k-space begin with the middle one; here they lie in their places. So what is one per line moves.
"""

import re
from collections.abc import Mapping

import torch

from mrikit.errors import CheckpointError

_ENCODER = {"1": "0", "5": "1", "9": "2"}
_DECODER = {"0": "decoder.0", "3": "decoder.1", "6": "decoder.2", "9": "output"}
_BLOCK = re.compile(
    r"^(?:encoders_all_cascade_blocks\.(?P<encoded>\d+)\.(?P<encoder>[159])"
    r"|decoders_all_cascade_blocks\.(?P<decoded>\d+)\.(?P<decoder>[0369])"
    r"|residual_bottlenecks_all_cascade_blocks\.(?P<cascade>\d+)\.(?P<residual>\d+)\.conv_block\.(?P<conv>[156])"
    r"|(?P<embedding>mask_embedding_layer\.0))\.(?P<part>weight|bias)$"
)
_EVALUATOR = re.compile(r"^(?:evaluator\.)?model\.(?P<layer>\d+)\.(?P<part>weight|bias)$")
_MLP = {"linear1.0": "layers.0", "hidden.0.0": "layers.1", "hidden.1.0": "layers.2", "output": "layers.3"}
_DIGITS = re.compile(r"^(conv1|conv2|fc1|fc2)\.(?:conv|fc)_(r|i)\.")
_DIGITS_LAYERS = {"conv1": "first", "conv2": "second", "fc1": "hidden", "fc2": "output"}


def reconstructor_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The reconstructor in a state dict, with the names of `mrikit.models.cvpr19.Cvpr19`.

    Args:
        state: Published names, also behind `module.`, of a network that grows by transposed convolutions.

    Raises:
        CheckpointError: There is another network.
    """
    found = {}
    for name, tensor in _without_prefix(state).items():
        match = _BLOCK.match(name)
        if not match:
            raise CheckpointError(f"holds {name}, which no reconstructor of CVPR'19 has that grows by deconvolution")
        found[_reconstructor_name(match)] = tensor
    if "embedding.weight" in found:
        found["embedding.weight"] = torch.fft.fftshift(found["embedding.weight"], dim=1)
    return _require(found, "cascades.0.output.weight", "reconstructor of CVPR'19")


def reconstructor_settings(tensors: Mapping[str, torch.Tensor]) -> dict[str, int]:
    """Settings of `Cvpr19Config` that names and shapes tell; `divisor` and `dropout` are not among them.

    Args:
        tensors: From `reconstructor_state`.
    """
    first = tensors["cascades.0.encoder.0.weight"]
    embedding = tensors.get("embedding.weight")
    return {
        "num_channels": first.shape[0],
        "num_residual_blocks": sum(
            bool(re.match(r"cascades\.0\.residuals\.\d+\.first\.bias", name)) for name in tensors
        ),
        "num_cascades": sum(name.endswith(".output.weight") for name in tensors),
        "num_embedded": first.shape[1] - 2,
        "width": 0 if embedding is None else embedding.shape[1],
    }


def evaluator_state(state: Mapping[str, torch.Tensor], width: int) -> dict[str, torch.Tensor]:
    """The evaluator or an SS-DDQN in a state dict, with the names of `mrikit.models.cvpr19_evaluator.Evaluator`.

    Args:
        state: Published names, also behind `module.` or `evaluator.`.
        width: Lines of k-space.

    Raises:
        CheckpointError: There is no such network.
    """
    matches = {name: _EVALUATOR.match(name) for name in _without_prefix(state)}
    layers = sorted({int(match["layer"]) for match in matches.values() if match})
    found = {}
    for name, tensor in _without_prefix(state).items():
        match = matches[name]
        if match:
            place = layers.index(int(match["layer"]))
            owner = "first" if place == 0 else "output" if place == len(layers) - 1 else f"convs.{place - 1}"
            found[f"{owner}.{match['part']}"] = tensor
    _require(found, "convs.0.weight", "evaluator of CVPR'19")
    if found["first.weight"].shape[1] < 2 * width:
        inputs = found["first.weight"].shape[1]
        raise CheckpointError(f"holds an evaluator of {inputs} inputs, too few for the 2 of each of {width} lines")
    return found | _moved(found, width)


def step_q_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A DS-DDQN in a state dict, with the names of `mrikit.models.q_networks.StepQ`.

    Args:
        state: Published names, each of them perhaps a second time behind `model.`.

    Raises:
        CheckpointError: There is no such network.
    """
    found = {}
    for name, tensor in _without_prefix(state).items():
        owner, _, part = name.rpartition(".")
        if owner in _MLP:
            is_per_line = owner == "output"
            found[f"{_MLP[owner]}.{part}"] = torch.fft.fftshift(tensor, dim=0) if is_per_line else tensor
    return _require(found, "layers.3.weight", "DS-DDQN")


def digits_q_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The digits agent of the learned-sampling study, with the names of `mrikit.models.digits_q.DigitsQ`.

    Raises:
        CheckpointError: There is no such network.
    """
    parts = {"r": "real", "i": "imag"}
    found = {
        _DIGITS.sub(lambda name: f"{_DIGITS_LAYERS[name[1]]}.{parts[name[2]]}.", name).replace("bn.", "norm."): tensor
        for name, tensor in state.items()
        if _DIGITS.match(name) or name.startswith("bn.")
    }
    return _require(found, "output.real.weight", "digits agent")


def _reconstructor_name(match: re.Match[str]) -> str:
    part = match["part"]
    if match["embedding"]:
        return f"embedding.{part}"
    if match["encoded"]:
        return f"cascades.{match['encoded']}.encoder.{_ENCODER[match['encoder']]}.{part}"
    if match["decoded"]:
        return f"cascades.{match['decoded']}.{_DECODER[match['decoder']]}.{part}"
    conv = "first" if match["conv"] == "1" else "second"  # 5, or 6 behind a dropout
    return f"cascades.{match['cascade']}.residuals.{match['residual']}.{conv}.{part}"


def _moved(found: Mapping[str, torch.Tensor], width: int) -> dict[str, torch.Tensor]:
    """First and last layer of an evaluator, whose inputs and outputs are two and one per line."""
    of_lines, of_others = found["first.weight"].tensor_split([2 * width], dim=1)
    of_lines = torch.fft.fftshift(of_lines.unflatten(1, (width, 2)), dim=1).flatten(1, 2)
    weight, bias = found["output.weight"].flatten(1), found["output.bias"]
    # Lines given always are the first and the last there, and left out.
    num_before = width // 2 - (width - len(bias)) // 2
    return {
        "first.weight": torch.cat([of_lines, of_others], dim=1),
        "output.weight": weight.roll(num_before, dims=0),
        "output.bias": bias.roll(num_before, dims=0),
    }


def _without_prefix(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def _require(found: dict[str, torch.Tensor], name: str, network: str) -> dict[str, torch.Tensor]:
    if name not in found:
        raise CheckpointError(f"holds no {network}; found {', '.join(found) or 'none of its names'}")
    return found
