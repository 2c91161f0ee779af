"""Checkpoints of other programs: their tensors and settings, from pickle, safetensors or DeepSpeed's folder."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from mrikit.checkpoint.pickled import as_group, as_plain, read_pickle
from mrikit.checkpoint.tensors import read_record
from mrikit.errors import CheckpointError

MODEL_FILE: Final = "mp_rank_00_model_states.pt"
"""In DeepSpeed's folder of one step: the weights, whole unless ZeRO 3 sharded them."""
_SHARDS = "zero_pp_rank_*_model_states.pt"
_STATE_KEYS = ("state_dict", "module", "model_state_dict", "model")
_SETTINGS_KEYS = ("args", "hyper_parameters")
_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.bool)
_LONGEST_NAME = 255  # that a file system has
_MOST_DEPTH = 3  # of groups within groups of settings; a pickle can hold itself


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignCheckpoint:
    """What a checkpoint of another program holds."""

    kind: str
    """What it is, in words."""
    name: str
    """Of the file that was read, with its folder's where that tells the step."""
    sha256: str
    """Digest of that file's content."""
    state: dict[str, torch.Tensor]
    """Name to tensor, on the CPU."""
    settings: dict[str, Any]
    """Arguments that the file keeps of its training, those of groups within them besides: numbers, texts and lists."""


def read_foreign(path: Path) -> ForeignCheckpoint:
    """What a file of torch.save, a safetensors file or DeepSpeed's folder holds; no code in it is run.

    Args:
        path: A `.pt`, `.pth` or `.ckpt` file with a state dict or Lightning's checkpoint, a `.safetensors` file, or the
            folder of DeepSpeed, with its step or the one that its `latest` names.

    Raises:
        CheckpointError: It is damaged, is no checkpoint, needs other code than torch's, or its weights are sharded.
    """
    file = _model_file(path) if path.is_dir() else path
    if file.suffix == ".safetensors":
        kind, state, settings = "safetensors", _read_safetensors(file), {}
    else:
        content = read_pickle(file)
        try:
            kind = _kind(content, path.is_dir() or file.name == MODEL_FILE)
            state, settings = _state(file, content), _settings(content)
        except (AttributeError, TypeError, ValueError) as error:  # its dicts need not behave like dicts
            raise CheckpointError(
                f"{file}: holds dicts that do not behave as such; save the state dict of the network with torch.save"
            ) from error
    with file.open("rb") as bytes_:
        sha256 = hashlib.file_digest(bytes_, "sha256").hexdigest()
    name = f"{file.parent.name}/{file.name}" if file.name == MODEL_FILE else file.name
    return ForeignCheckpoint(kind=kind, name=name, sha256=sha256, state=state, settings=settings)


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        tensors = load_file(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path}: damaged or cut off: {error}; copy it again") from error
    try:
        read_record(path)
    except CheckpointError:  # of another program, as it should be
        return tensors
    raise CheckpointError(f"{path}: weights of mrikit already; use them as they are")


def _model_file(folder: Path) -> Path:
    """The file with the weights in a folder of DeepSpeed."""
    if (folder / "latest").is_file():
        tag = (folder / "latest").read_text(encoding="utf-8", errors="replace").strip()
        if not 0 < len(tag) <= _LONGEST_NAME or not (folder / tag).is_dir():
            raise CheckpointError(f"{folder}: 'latest' in it names {tag[:40]!r}, which is not there; copy it whole")
        folder = folder / tag
    shards = sorted(folder.glob(_SHARDS))
    if shards:
        more = f" and {len(shards) - 1} more" if len(shards) > 1 else ""
        raise _sharded(folder, f"it holds {shards[0].name}{more}")
    parts = sorted(folder.glob("mp_rank_*_model_states.pt"))
    if len(parts) > 1:
        raise CheckpointError(
            f"{folder}: a network of {len(parts)} model-parallel parts is not read; save it whole with torch.save"
        )
    if parts:
        return parts[0]
    if (folder / "checkpoints").is_dir() and list(folder.glob("*.safetensors")):
        raise CheckpointError(f"{folder}: a training run of mrikit; use it as it is, with --weights {folder}")
    steps = sorted(found.parent.name for name in (MODEL_FILE, "latest") for found in folder.glob(f"*/{name}"))
    advice = f"give one of its folders: {', '.join(steps)}" if steps else "give a file, or such a folder"
    raise CheckpointError(
        f"{folder}: no checkpoint folder of DeepSpeed; it holds neither {MODEL_FILE} nor 'latest'; {advice}"
    )


def _sharded(place: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{place}: the weights are sharded by ZeRO 3: {reason}; join them with the zero_to_fp32.py that DeepSpeed put "
        f"beside them, where they were trained, and import its result"
    )


def _kind(content: Any, is_folder: bool) -> str:  # noqa: ANN401 - anything that a pickle holds
    if is_folder:
        return "checkpoint of DeepSpeed"
    is_lightning = isinstance(content, dict) and "state_dict" in content and "pytorch-lightning_version" in content
    return "checkpoint of Lightning" if is_lightning else "state dict"


def _state(path: Path, content: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401 - anything that a pickle holds
    """Name to tensor of everything in a checkpoint that has both."""
    if isinstance(content, dict):
        inner = next((content[key] for key in _STATE_KEYS if isinstance(content.get(key), dict)), None)
        content = content if inner is None else inner
    if not isinstance(content, dict) or not any(isinstance(value, torch.Tensor) for value in content.values()):
        raise CheckpointError(f"{path}: holds no state dict, but {type(content).__name__}; save that of the network")
    state = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
    empty = [name for name, value in state.items() if not value.numel()]
    if empty:
        raise _sharded(path, f"{len(empty)} of {len(state)} tensors are empty")
    odd = [name for name, value in state.items() if not _is_plain(value)]
    if odd:
        raise CheckpointError(f"{path}: {odd[0]} is no plain tensor but {_describe(state[odd[0]])}; save it as float32")
    return state


def _is_plain(tensor: torch.Tensor) -> bool:
    """Whether it is numbers in memory that are there in the file one by one."""
    if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.dtype not in _DTYPES:
        return False
    return tensor.untyped_storage().nbytes() >= tensor.nbytes


def _describe(tensor: torch.Tensor) -> str:
    return f"{tensor.dtype}, {tensor.layout}, on {tensor.device.type}".replace("torch.", "")


def _settings(content: Any) -> dict[str, Any]:  # noqa: ANN401 - anything that a pickle holds
    """The arguments in a checkpoint as plain values."""
    settings: dict[str, Any] = {}
    if isinstance(content, dict):
        for key in _SETTINGS_KEYS:
            _collect(content.get(key), settings, _MOST_DEPTH)
        if isinstance(content.get("epoch"), int):
            settings["epoch"] = content["epoch"]
    return settings


def _collect(group: Any, settings: dict[str, Any], depth: int) -> None:  # noqa: ANN401 - anything that a pickle holds
    """Add the values of a group; those of groups inside it only where the name is still free."""
    found = as_group(group)
    if found is None or not depth:
        return
    for key, value in found.items():
        plain = as_plain(value)
        if plain is not None:
            settings.setdefault(str(key), plain)
    for value in found.values():
        _collect(value, settings, depth - 1)
