"""Weights published for PromptMR, PromptMR+ and the challenge entry made of them, renamed to those of `PromptMR`."""

import re
from collections.abc import Mapping
from typing import Any

import torch

from mrikit.errors import CheckpointError
from mrikit.models.promptmr_config import CHALLENGE_FLAWS, PUBLISHED_FLAWS

SOURCES = ("promptmr", "promptmr-plus", "snu-challenge")
"""Which of the three published forms a state dict is of."""

_ANCHOR = "sens_net.norm_unet.unet.feat_extract.weight"
_SENS, _CASCADE = "sens_net.unet", "cascades.0.network.unet"
_OWN_SLOPE = re.compile(r"\.down\.0\.blocks\.0\.activation\.weight$")
_NAMES = (
    (r"^sens_net\.norm_unet\.", "sens_net."),
    (r"^(cascades\.\d+)\.model\.", r"\1.network."),
    (r"\.feat_extract\.", ".stem."),
    (r"\.conv_last\.", ".output."),
    (r"\.bottleneck\.", ".bottom."),
    (r"\.enc_level(\d)\.encoder\.", ".down.{level}.blocks."),
    (r"\.enc_level(\d)\.down\.", ".down.{level}.shrink."),
    (r"\.skip_attn(\d)\.skip_attn\.", ".up.{level}.skip."),
    (r"\.prompt_level(\d)\.prompt_param$", ".up.{level}.prompt.bank"),
    (r"\.prompt_level(\d)\.linear_layer\.", ".up.{level}.prompt.choose."),
    (r"\.prompt_level(\d)\.dec_conv3x3\.", ".up.{level}.prompt.smooth."),
    (r"\.dec_level(\d)\.momentum\.", ".up.{level}.recall."),
    (r"\.dec_level(\d)\.fuse\.", ".up.{level}.blocks."),
    (r"\.dec_level(\d)\.reduce\.", ".up.{level}.reduce."),
    (r"\.dec_level(\d)\.up\.1\.", ".up.{level}.expand."),
    (r"\.dec_level(\d)\.ca\.", ".up.{level}.merge."),
    (r"\.CA\.conv_du\.0\.", ".attention.squeeze."),
    (r"\.CA\.conv_du\.2\.", ".attention.excite."),
    (r"\.body\.0\.", ".first."),
    (r"\.body\.1\.", ".activation."),
    (r"\.body\.2\.", ".second."),
)
_ARGUMENTS = {
    "num_cascades": "num_cascades",
    "num_adj_slices": "num_adjacent",
    "n_feat0": "stem_width",
    "feature_dim": "feature_widths",
    "prompt_dim": "prompt_widths",
    "sens_n_feat0": "sens_stem_width",
    "sens_feature_dim": "sens_feature_widths",
    "sens_prompt_dim": "sens_prompt_widths",
    "use_sens_adj": "sens_uses_adjacent",
    "len_prompt": "prompt_lengths",
    "prompt_size": "prompt_sizes",
    "n_enc_cab": "num_encoder_blocks",
    "n_dec_cab": "num_decoder_blocks",
    "n_skip_cab": "num_skip_blocks",
    "n_bottleneck_cab": "num_bottleneck_blocks",
    "n_buffer": "num_buffers",
}
"""Arguments of the published code that names and shapes tell too."""


def convert(
    source: str, state: Mapping[str, torch.Tensor], settings: Mapping[str, Any]
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """A published state dict as one of `PromptMR`, and the settings of that.

    Args:
        source: One of `SOURCES`.
        state: Names of the published code, with or without a common prefix (`module.`, `promptmr.`); what does not
            begin with the prefix, or belongs to no part of the network, is left out.
        settings: The arguments that the network was built with where known, by the published names (`n_buffer`);
            anything else in it is left alone. What is missing is read from names and shapes.

    Returns:
        Tensors with the names of `PromptMR`, fewer than were given because a shared slope is there once; and the
        fields of its `PromptMRConfig`.

    Raises:
        CheckpointError: Another network, or arguments that do not fit the tensors.
    """
    if source not in SOURCES:
        raise CheckpointError(f"weights of PromptMR come from {', '.join(SOURCES)}, found {source!r}")
    tensors = promptmr_state(state)
    return tensors, find_promptmr_settings(source, tensors, settings)


def promptmr_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The one PromptMR in a state dict, with the names of this package; a slope that is at all sites is kept once.

    Raises:
        CheckpointError: There is no PromptMR, or more than one.
    """
    prefixes = [name.removesuffix(_ANCHOR) for name in state if name.endswith(_ANCHOR)]
    if len(prefixes) != 1:
        found = ", ".join(sorted({name.split(".")[0] for name in state})) or "nothing"
        raise CheckpointError(f"holds {len(prefixes)} networks of the form of PromptMR, not 1; found {found}")
    inside = {name.removeprefix(prefixes[0]): name for name in state if name.startswith(prefixes[0])}
    tensors = {
        _rename(inner): state[name] for inner, name in inside.items() if inner.startswith(("sens_net.", "cascades."))
    }
    slopes = [name for name in tensors if name.endswith(".activation.weight") and not _OWN_SLOPE.search(name)]
    tensors |= {name: bank.squeeze(0) for name, bank in tensors.items() if name.endswith(".prompt.bank")}
    if slopes and all(torch.equal(tensors[name], tensors[slopes[0]]) for name in slopes):
        tensors["activation.weight"] = tensors[slopes[0]].clone()
        for name in slopes:
            del tensors[name]
    return tensors


def find_promptmr_settings(
    source: str, tensors: Mapping[str, torch.Tensor], arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings of `PromptMR`.

    Args:
        source: One of `SOURCES`.
        tensors: Its state dict, with the names of this package.
        arguments: Those of the published code where known; they must not contradict the tensors.

    Raises:
        CheckpointError: Tensors are missing, or arguments contradict them.
    """
    main, sens = _unet_settings(_CASCADE, tensors), _unet_settings(_SENS, tensors)
    own = ("stem_width", "feature_widths", "prompt_widths")
    unequal = [f"{name} {sens[name]} and {main[name]}" for name in main if name not in own and sens[name] != main[name]]
    if unequal:
        raise CheckpointError(f"its sensitivity network is built otherwise than its cascades: {', '.join(unequal)}")
    settings = {**main, **{f"sens_{name}": sens[name] for name in own}, **_slices(source, tensors, arguments)}
    settings["num_cascades"] = len({name.split(".")[1] for name in tensors if name.startswith("cascades.")})
    settings["num_history"] = _num_history(tensors)
    settings["kspace_cascades"] = source != "snu-challenge"
    settings["learnable_prompts"] = bool(arguments.get("learnable_prompt", source == "promptmr"))
    flaws = CHALLENGE_FLAWS if source == "snu-challenge" else PUBLISHED_FLAWS
    settings |= {**flaws, "shares_activation": "activation.weight" in tensors}
    for argument, name in _ARGUMENTS.items():
        given = _plain(argument, arguments.get(argument), settings[name])
        if given is not None and given != settings[name]:
            raise CheckpointError(f"was built with {argument} {given}, but its tensors are of {settings[name]}")
    return settings


def _unet_settings(owner: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Widths and numbers of blocks of one U-Net."""
    levels = range(_count(f"{owner}.down", tensors))
    banks = [_require(f"{owner}.up.{level}.prompt.bank", tensors) for level in levels]
    return {
        "stem_width": _require(f"{owner}.stem.weight", tensors).shape[0],
        "feature_widths": tuple(_require(f"{owner}.down.{level}.shrink.weight", tensors).shape[0] for level in levels),
        "prompt_widths": tuple(bank.shape[1] for bank in banks),
        "prompt_lengths": tuple(bank.shape[0] for bank in banks),
        "prompt_sizes": tuple(bank.shape[2] for bank in banks),
        "num_encoder_blocks": tuple(_count(f"{owner}.down.{level}.blocks", tensors) for level in levels),
        "num_decoder_blocks": tuple(_count(f"{owner}.up.{level}.blocks", tensors) for level in levels),
        "num_skip_blocks": tuple(_count(f"{owner}.up.{level}.skip", tensors) for level in levels),
        "num_bottleneck_blocks": _count(f"{owner}.bottom", tensors),
        "has_attention": any(name.startswith(f"{owner}.") and ".attention." in name for name in tensors),
    }


def _slices(source: str, tensors: Mapping[str, torch.Tensor], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Adjacent slices and buffers, which share the input channels of the cascades."""
    sens_images = _require(f"{_SENS}.stem.weight", tensors).shape[1] // 2
    images = _require(f"{_CASCADE}.stem.weight", tensors).shape[1] // 2
    if sens_images > 1:
        num_adjacent = sens_images
    elif "num_adj_slices" in arguments:
        num_adjacent = int(arguments["num_adj_slices"])
    elif source == "promptmr":
        num_adjacent = images
    else:
        raise CheckpointError(f"its {images} input images may be slices or buffers; give num_adj_slices")
    if num_adjacent < 1 or images % num_adjacent:
        raise CheckpointError(f"its {images} input images are no multiple of its {num_adjacent} adjacent slices")
    return {
        "num_adjacent": num_adjacent,
        "num_buffers": images // num_adjacent - 1,
        "sens_uses_adjacent": sens_images > 1 or num_adjacent == 1,
    }


def _num_history(tensors: Mapping[str, torch.Tensor]) -> int:
    join = tensors.get(f"{_CASCADE}.up.0.recall.0.weight")
    return 0 if join is None else join.shape[1] // join.shape[0] - 1


def _plain(argument: str, value: Any, like: Any) -> Any:  # noqa: ANN401 - an argument and a setting, of any type
    """An argument in the type of a setting; lists may be text with spaces."""
    if value is None or isinstance(like, bool):
        return value
    try:
        if isinstance(like, tuple):
            return tuple(int(part) for part in (value.split() if isinstance(value, str) else value))
        return int(value)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"was built with {argument} {value!r}, which is no number or list of numbers") from error


def _require(name: str, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    if name not in tensors:
        raise CheckpointError(f"has no {name}, from which the size of the network is read")
    return tensors[name]


def _count(owner: str, tensors: Mapping[str, torch.Tensor]) -> int:
    """Members of a list of modules."""
    return len({name.removeprefix(f"{owner}.").split(".")[0] for name in tensors if name.startswith(f"{owner}.")})


def _rename(name: str) -> str:
    for pattern, replacement in _NAMES:
        found = re.search(pattern, name)
        if found:
            level = int(found[1]) - 1 if "{level}" in replacement else 0
            name = re.sub(pattern, replacement.replace("{level}", str(level)), name)
    return name
