"""Weights that another program trained, from its pickle or safetensors file; no code in it is run."""

import hashlib
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from mrikit.checkpoint.weights import Weights, build_trained_model, load_weights, save_weights
from mrikit.errors import CheckpointError
from mrikit.models import model_settings
from mrikit.models.published import fastmri_state, find_settings

_GLOBAL = re.compile(r"GLOBAL (\S+)")


def import_weights(path: Path, out: Path, model: str, settings: Mapping[str, Any]) -> Weights:
    """Write the weights of fastMRI's network of the same kind as a weights file.

    Args:
        path: A `.pt`, `.pth` or `.ckpt` file with a state dict, or Lightning's checkpoint, or a `.safetensors` file.
        out: The file to write, `.safetensors`.
        model: "unet" or "varnet".
        settings: Fields of its configuration; what is not given is read from names and shapes.

    Returns:
        The weights as they can be read from `out`.

    Raises:
        CheckpointError: The file is damaged, would run code, or holds other or useless weights.
        StorageError: `out` cannot be written.
    """
    state = _read_state(path)
    try:
        tensors = fastmri_state(model, state)
        settings = {**find_settings(model, tensors), **settings}
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    if len(tensors) < len(state):
        warnings.warn(f"{path}: {len(state) - len(tensors)} tensors are no part of the network, left out", stacklevel=2)
    with path.open("rb") as content:
        source_sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    record = {"imported_from": path.name, "imported_sha256": source_sha256}
    found = Weights(model=model, model_config=settings, tensors=tensors, sha256=source_sha256, record=record, path=path)
    save_weights(out, model, model_settings(build_trained_model(found)), tensors, record)
    return load_weights(out)


def _read_state(path: Path) -> dict[str, torch.Tensor]:
    """Name to tensor of everything in a file that has both."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings(action="ignore"):  # on what torch thinks of the pickle
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path}: damaged or cut off: {error}; copy it again") from error
    except Exception as error:  # a damaged pickle raises anything
        unsafe = _GLOBAL.search(str(error))
        if unsafe:
            raise CheckpointError(
                f"{path}: holds {unsafe[1]} besides tensors; such a pickle can run code and was not read; where you "
                f"trust it, save its state dict alone with torch.save and import that"
            ) from error
        raise CheckpointError(f"{path}: damaged, or no file of torch.save; copy it again") from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not any(isinstance(value, torch.Tensor) for value in content.values()):
        raise CheckpointError(f"{path}: holds no state dict, but {type(content).__name__}; save that of the network")
    return {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
