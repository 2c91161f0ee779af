"""Weights that another program trained become a weights file of mrikit, with a card that says whose they are."""

import contextlib
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch

from mrikit.checkpoint.card import card_path, describe, make_card
from mrikit.checkpoint.foreign import ForeignCheckpoint, read_foreign
from mrikit.checkpoint.sources import SNU_CHALLENGE, SOURCES, recognise
from mrikit.checkpoint.weights import Weights, build_trained_model, load_weights, save_weights
from mrikit.config import build_config
from mrikit.errors import CheckpointError, ConfigError
from mrikit.models import LEARNED, model_settings, published_adaptive, published_banding
from mrikit.models.published_fastmri import fastmri_state, find_settings
from mrikit.models.published_promptmr import SOURCES as PROMPTMR_SOURCES
from mrikit.models.published_promptmr import convert
from mrikit.storage import write_text

_SETTINGS: Final[dict[str, type]] = {
    **dict.fromkeys(("num_cascades", "num_adj_slices", "n_feat0", "sens_n_feat0", "n_bottleneck_cab", "n_buffer"), int),
    **dict.fromkeys(("feature_dim", "prompt_dim", "sens_feature_dim", "sens_prompt_dim"), list),
    **dict.fromkeys(("len_prompt", "prompt_size", "n_enc_cab", "n_dec_cab", "n_skip_cab"), list),
    **dict.fromkeys(("learnable_prompt", "use_sens_adj"), bool),
}
"""What networks of the PromptMR family are set up with where they were published, and its type."""

_NETWORK_PART = re.compile(r"(^|\.)(sens_net|cascades|policies|loupe)\.")
_SNU_READOUT = {"brain": 384, "knee": 416}  # rows that the challenge's entry keeps of an image
_SNU_MASKS = ("fixed", "random_offset", "random_spaced")
_SNU_CENTER_FRACTION = 0.08  # share of columns in the middle that its masks always sample


def import_weights(path: Path, out: Path, source: str, settings: Mapping[str, str]) -> Weights:
    """Write published weights as a weights file, and a card beside it.

    Args:
        path: What `mrikit.checkpoint.foreign.read_foreign` reads.
        out: The file to write, `.safetensors`.
        source: A key of `SOURCES`.
        settings: Settings of the network by the names that it was published with or by those of its configuration
            here, and of the challenge's entry its `task`, brain or knee. Those not given are what the file says of its
            training, or else what names and shapes tell.

    Returns:
        The weights as they can be read from `out`.

    Raises:
        CheckpointError: The file is damaged, would run code, or holds other or useless weights.
        ConfigError: The network has no such setting, or not such a value.
        StorageError: `out` cannot be written.
    """
    if source not in SOURCES:
        raise ConfigError(f"weights can be imported from {', '.join(SOURCES)}, not from {source!r}")
    found = read_foreign(path)
    if source == SNU_CHALLENGE:
        found, settings = _with_task(found, settings)
    possible = recognise(found.state)
    if possible and source not in possible:
        raise CheckpointError(
            f"{path}: looks like weights of {possible[0]}, not of {source}; give --from {possible[0]}"
        )
    try:
        tensors, model_config = _convert(source, found, settings)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    if possible[:1] == (SNU_CHALLENGE,) and source != SNU_CHALLENGE:
        warnings.warn(
            f"{path}: without channel attention, as weights of {SNU_CHALLENGE} are; if its image is wrong, give --from "
            f"{SNU_CHALLENGE}",
            stacklevel=2,
        )
    num_left_out = _count_left_out(source, found.state, tensors)
    if num_left_out:
        warnings.warn(f"{path}: {num_left_out} tensors are no part of the network, left out", stacklevel=2)
    record = _record(source, found)
    if source == SNU_CHALLENGE and "max_readout" not in record:
        warnings.warn(
            f"{path}: does not say what it was trained for, so that all rows of an image go in; its authors keep 384 "
            f"of a brain and 416 of a knee: give --set task=brain or task=knee",
            stacklevel=2,
        )
    model = SOURCES[source].model
    weights = Weights(
        model=model, model_config=model_config, tensors=tensors, sha256=found.sha256, record=record, path=path
    )
    save_weights(out, model, model_settings(build_trained_model(weights)), tensors, record)
    written = load_weights(out)
    write_text(card_path(out), make_card(describe(written)))
    return written


def _with_task(found: ForeignCheckpoint, given: Mapping[str, str]) -> tuple[ForeignCheckpoint, dict[str, str]]:
    """A checkpoint of the challenge's entry with the anatomy that a user gives, and the other settings."""
    others = dict(given)
    task = others.pop("task", None)
    if task is not None and task not in _SNU_READOUT:
        raise ConfigError(f"task is {' or '.join(_SNU_READOUT)}, found {task!r}")
    return (replace(found, settings={**found.settings, "task": task}) if task else found), others


def _convert(
    source: str, found: ForeignCheckpoint, given: Mapping[str, str]
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and settings of the network here, from those of the file and those that a user gives."""
    model = SOURCES[source].model
    model_config: dict[str, Any]
    if source in PROMPTMR_SOURCES:
        own = {name: value for name, value in given.items() if name not in _SETTINGS}
        published = {name: _read(name, value) for name, value in given.items() if name in _SETTINGS}
        tensors, model_config = convert(source, found.state, _network_settings(found) | published)
    elif source == published_adaptive.SOURCE:
        own = dict(given)
        tensors, model_config = published_adaptive.convert(found.state, found.settings, given)
    elif source == published_banding.SOURCE:
        own = dict(given)
        tensors, model_config = published_banding.convert(found.state, found.settings, given)
    else:
        own = dict(given)
        tensors = fastmri_state(model, found.state)
        model_config = dict(find_settings(model, tensors))
        if model == "varnet" and "mask_center" not in given:
            model_config |= _said_of_center(found)
    model_config |= {**SOURCES[source].settings, **own}
    if own:  # what a user mistyped is not the fault of the file
        build_config(LEARNED[model][1], model_config, model)
    return tensors, model_config


def _said_of_center(found: ForeignCheckpoint) -> dict[str, bool]:
    """Where a VarNet takes coil sensitivities from, which no tensor tells; nothing if its file does not say."""
    said = found.settings.get("mask_center")
    if said is None:
        return {}
    if not isinstance(said, bool):
        raise CheckpointError(f"its mask_center is true or false, found {said!r}; give --set mask_center=true or false")
    return {"mask_center": said}


def _count_left_out(source: str, state: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor]) -> int:
    """Tensors that surround the network, such as the window of a loss."""
    if source in (*PROMPTMR_SOURCES, published_adaptive.SOURCE):  # which hold some of their tensors more than once
        return sum(not _NETWORK_PART.search(name) for name in state)
    if source == published_banding.SOURCE:  # which has buffers that no network needs
        return sum(not published_banding.NETWORK_PART.search(name) for name in state)
    return len(state) - len(tensors)


def _network_settings(found: ForeignCheckpoint) -> dict[str, Any]:
    """What the file says of its network; a value of another type is as good as none."""
    settings = {}
    for name in _SETTINGS.keys() & found.settings.keys():
        with contextlib.suppress(ConfigError):
            settings[name] = _read(name, found.settings[name])
    return settings


def _read(name: str, value: Any) -> Any:  # noqa: ANN401 - of the setting's type
    """A value that may come from a command line: `true`, `3`, `48 64 80` or `48,64,80`."""
    kind = _SETTINGS[name]
    if isinstance(value, str):
        words = value.replace(",", " ").split()
        numbers = [int(word) for word in words if word.isdecimal()]
        if kind is bool:
            value = {"true": True, "false": False}.get(value.lower(), value)
        elif len(numbers) == len(words):
            value = numbers if kind is list or len(words) != 1 else numbers[0]
    # Not isinstance: true is no number here.
    if type(value) is kind and (not isinstance(value, list) or all(type(item) is int for item in value)):
        return value
    expected = {bool: "true or false", int: "a whole number", list: "whole numbers with commas in between"}[kind]
    raise ConfigError(f"{name} is {expected}, found {value!r}")


def _record(source: str, found: ForeignCheckpoint) -> dict[str, Any]:
    """What the weights file says of where it comes from."""
    facts = SOURCES[source]
    record: dict[str, Any] = {
        "source": source,
        "title": facts.title,
        "imported_from": found.name,
        "imported_kind": found.kind,
        "imported_sha256": found.sha256,
        "citation": facts.citation,
        "licence": facts.licence,
        "training_data": facts.training_data,
    }
    if isinstance(found.settings.get("epoch"), int):
        record["epoch"] = found.settings["epoch"]
    return record | (_snu_training(found.settings) if source == SNU_CHALLENGE else {})


def _snu_training(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the arguments of the challenge's entry say of its training, in the words of a run here."""
    record: dict[str, Any] = {}
    anatomy, acceleration, kind = (settings.get(name) for name in ("task", "acceleration", "mask_type"))
    if isinstance(anatomy, str) and anatomy in _SNU_READOUT:
        record |= {"anatomy": anatomy, "max_readout": _SNU_READOUT[anatomy]}
    if kind in _SNU_MASKS and isinstance(acceleration, int | float) and 1 <= acceleration < math.inf:
        plan = {"kind": kind, "acceleration": float(acceleration), "center_fraction": _SNU_CENTER_FRACTION}
        record["masks"] = [plan]
    return record
