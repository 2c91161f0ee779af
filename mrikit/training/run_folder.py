"""The folder of a training run: its configuration, checkpoints, best weights and log."""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mrikit.checkpoint import checkpoint_path, find_checkpoints, write_tensors
from mrikit.config import build_config
from mrikit.errors import ConfigError, StorageError
from mrikit.storage import read_json, write_json
from mrikit.training.config import RunConfig

CONFIG_FILE = "config.json"
LOG_FILE = "log.txt"
_ONLY_MEMORY = "use_checkpoint"  # of a model's configuration; the numbers are the same with and without


def load_run_config(folder: Path) -> RunConfig:
    """The configuration that a run was started with.

    Raises:
        ConfigError: It is of another version.
        StorageError: There is none.
    """
    return build_config(RunConfig, read_json(folder / CONFIG_FILE)["config"], str(folder / CONFIG_FILE))


def claim_folder(folder: Path, config: RunConfig, data: Path, data_digest: str) -> None:
    """Write the configuration of a new run, or see that a started one is the same; then clean up after killed ones.

    Args:
        folder: Of the run.
        config: Asked for; what only decides how it is computed may differ from the started run.
        data: Where its volumes are now; the same ones may have been elsewhere before.
        data_digest: Of the volumes, `Study.digest`.

    Raises:
        ConfigError: The folder holds another run; the message says what differs.
        StorageError: The folder cannot be written.
    """
    path = folder / CONFIG_FILE
    asked = {"config": dataclasses.asdict(config), "data": str(data.resolve()), "data_digest": data_digest}
    if path.exists() and find_checkpoints(folder):
        found = read_json(path)
        changes = _changes(_flatten(found), _flatten(asked))
        if found["data_digest"] != data_digest:
            changes.append(f"the volumes were those of {found['data']}, now others or changed ones of {asked['data']}")
        if changes:
            raise ConfigError(
                f"{folder} holds a run with other settings: {'; '.join(changes)}; go back to those, or choose another "
                f"--out"
            )
    # Also how it is computed now; title fields are for readers of the file.
    write_json(path, {"task": config.task, "size": config.size, "model": config.model, **asked})
    _remove_leftovers(folder)


def save_checkpoint(
    folder: Path,
    step: int,
    tensors: Mapping[str, torch.Tensor],
    record: Mapping[str, Any],
    *,
    last_good_step: int,
    keep: int,
    max_disk_gb: float,
) -> Path:
    """Write the state after a step, then remove old ones.

    Args:
        folder: Of the run.
        step: Optimizer steps done.
        tensors: Weights and moments by name.
        record: What else is needed to go on; JSON.
        last_good_step: Of the checkpoint that was written or read before this one; 0 if there is none.
        keep: Checkpoints that stay.
        max_disk_gb: Most space that all may take, 0 for no limit; older ones go before the new one is written, but the
            last good one stays until the new one is whole.

    Raises:
        StorageError: The disk is full or the limit is too small; the checkpoints before are kept.
    """
    num_bytes = sum(tensor.nbytes for tensor in tensors.values())
    path = checkpoint_path(folder, step)
    # Those after the last good one go first: the run went back before them because they are damaged.
    last_good = checkpoint_path(folder, last_good_step)
    others = [found for found in find_checkpoints(folder) if found != path]
    older = sorted(others, key=lambda found: (found <= last_good, found))
    limit = max_disk_gb * 1e9
    while limit and len(older) > 1 and num_bytes + _size(older) > limit:
        older.pop(0).unlink()
    if limit and num_bytes + _size(older) > limit:
        raise StorageError(
            f"{folder}: checkpoints may take {max_disk_gb:g} GB, but a new one and the one before it take "
            f"{(num_bytes + _size(older)) / 1e9:.3g} GB; raise execution.max_disk_gb"
        )
    write_tensors(path, tensors, record)
    for old in older[: max(0, len(older) + 1 - keep)]:
        old.unlink()
    return path


def append_log(folder: Path, line: str) -> None:
    """Add a line with the time to the run's log."""
    time = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    with (folder / LOG_FILE).open("a", encoding="utf-8") as file:
        file.write(f"{time} {line}\n")


def _remove_leftovers(folder: Path) -> None:
    """Delete files that killed processes, also of other hosts, did not finish: only this run writes them."""
    for part in (folder, folder / "checkpoints"):
        for kind in ("safetensors", "json", "jsonl"):
            for path in part.glob(f".*.tmp.{kind}"):
                path.unlink(missing_ok=True)


def _flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, part in value.items():
        if isinstance(part, Mapping):
            flat |= _flatten(part, f"{prefix}{key}.")
        else:
            flat[prefix + key] = list(part) if isinstance(part, tuple) else part
    return flat


def _changes(found: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """What differs, in words."""
    changes = []
    for key, value in asked.items():
        is_execution = key.startswith("config.execution.") or key == f"config.model_config.{_ONLY_MEMORY}"
        if key.startswith("config.") and not is_execution and found.get(key) != value:
            changes.append(f"{key.removeprefix('config.')} was {found.get(key)}, now {value}")
    return changes


def _size(paths: list[Path]) -> int:
    return sum(path.stat().st_size for path in paths)
