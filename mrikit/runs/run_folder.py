"""The folder of a training run: its configuration, checkpoints, best weights and log."""

import contextlib
import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mrikit.checkpoint import checkpoint_path, find_checkpoints, write_tensors
from mrikit.errors import ConfigError, JobError, StorageError
from mrikit.run_files import CHECKPOINTS, CONFIG_FILE, LOCK_FILE, LOG_FILE, PARTS, PICTURES, WEIGHTS_FILE
from mrikit.storage import Location, read_json, write_json
from mrikit.storage.lock import alone
from mrikit.words import in_unicode

LAYOUT = 2
"""Of the files in a run folder. Layout 1 has no rows of whole epochs and nothing beside the network; it resumes too."""
_TITLES = ("size", "model")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """What a folder is claimed for."""

    title: Mapping[str, Any]
    """What readers of the file look for first: task, size, model."""
    settings: Mapping[str, Any]
    """The whole configuration, JSON."""
    data: Sequence[Location]
    """Where its volumes are now; the same ones may have been elsewhere before."""
    data_digest: str
    """Of the volumes."""
    start: str | None = None
    """Digest of the weights that it begins with; None where it needs none, or began long ago."""
    complete: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict
    """The settings of a started run with the defaults of those that are newer than it."""
    is_free: Callable[[str], bool] = lambda _name: False
    """Whether a setting may differ from the started run."""


def claim_folder(folder: Path, claim: Claim) -> None:
    """Write the configuration of a new run, or check that a started run has the same; then clean up after killed ones.

    Args:
        folder: Of the run.
        claim: What is asked for.

    Raises:
        ConfigError: The folder holds another run; the message says what differs.
        StorageError: The folder cannot be written.
    """
    path, checkpoints = folder / CONFIG_FILE, find_checkpoints(folder)
    asked = {
        "config": claim.settings,
        "data": ", ".join(str(place.resolve()) for place in claim.data),
        "data_digest": claim.data_digest,
        "start": claim.start,
    }
    if not checkpoints and (folder / WEIGHTS_FILE).exists():
        raise ConfigError(
            f"{folder} holds the weights of a run but none of its checkpoints, so it cannot go on; choose another "
            f"--out, or remove the folder"
        )
    if path.exists() and checkpoints:
        found = read_json(path)
        _require_known_layout(path, found)
        changes = _changes(_flatten(claim.complete(found["config"])), _flatten(claim.settings), claim.is_free)
        # Another size or network differs in everything else too.
        changes = [change for change in changes if change.split()[0] in _TITLES][:1] or changes
        if found["data_digest"] != claim.data_digest:
            changes.append(f"the volumes were those of {found['data']}, now others or changed ones of {asked['data']}")
        asked["start"] = claim.start or found.get("start")
        if asked["start"] != found.get("start"):
            changes.append("it began with other weights than those that it is to begin with now")
        if changes:
            raise ConfigError(
                f"{folder} holds a run with other settings: {'; '.join(changes)}; go back to those, or choose another "
                f"--out"
            )
    write_json(path, {**claim.title, **asked})
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
    best_step: int = 0,
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
        best_step: Of a checkpoint that stays besides; 0 for none.

    Raises:
        StorageError: The disk is full or the limit is too small; the checkpoints before are kept.
    """
    num_bytes = sum(tensor.nbytes for tensor in tensors.values())
    path = checkpoint_path(folder, step)
    # Those after the last good one go first: the run went back before them because they are damaged.
    last_good = checkpoint_path(folder, last_good_step)
    # One of the same step, from before its validation, may be the last good one until it is replaced.
    staying = (path, checkpoint_path(folder, best_step))
    present = [found for found in find_checkpoints(folder) if found in staying]
    others = [found for found in find_checkpoints(folder) if found not in staying]
    older = sorted(others, key=lambda found: (found <= last_good, found))
    num_kept = 0 if last_good in present else 1
    limit = max_disk_gb * 1e9
    while limit and len(older) > num_kept and num_bytes + _size(present + older) > limit:
        older.pop(0).unlink()
    if limit and num_bytes + _size(present + older) > limit:
        raise StorageError(
            f"{folder}: checkpoints may take {max_disk_gb:g} GB, but a new one and those that must stay take "
            f"{(num_bytes + _size(present + older)) / 1e9:.3g} GB; raise execution.max_disk_gb"
        )
    write_tensors(path, tensors, record)
    for old in older[: max(0, len(older) + 1 - keep)]:
        old.unlink()
    return path


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other runs out of the folder for the time of the block, also if this process is killed in it.

    Raises:
        JobError: Another one is in it.
        StorageError: The folder cannot be written.
    """
    was_there = folder.is_dir()
    busy = JobError(f"another process trains in {folder}; wait for it, or choose another --out")
    with alone(folder / LOCK_FILE, "choose another --out", busy=busy):
        try:
            yield
        finally:
            # Nothing shall be left of a run that could not begin.
            if {entry.name for entry in folder.iterdir()} <= {LOCK_FILE, CONFIG_FILE}:
                for name in (CONFIG_FILE, LOCK_FILE):
                    (folder / name).unlink(missing_ok=True)
                if not was_there:
                    folder.rmdir()


def append_log(folder: Path, line: str) -> None:
    """Add a line with the time to the run's log; a full disk is for others to find, who lose more by it."""
    time = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    with contextlib.suppress(OSError), (folder / LOG_FILE).open("a", encoding="utf-8") as file:
        file.write(f"{time} {in_unicode(line)}\n")


def _remove_leftovers(folder: Path) -> None:
    """Delete files that killed processes, also of other hosts, did not finish: only this run writes them."""
    for part in (folder, folder / PARTS, folder / CHECKPOINTS, folder / PICTURES):
        for kind in ("safetensors", "json", "jsonl", "png"):
            for path in part.glob(f".*.tmp.{kind}"):
                path.unlink(missing_ok=True)


def _require_known_layout(path: Path, found: Mapping[str, Any]) -> None:
    layout = found.get("layout", 1)
    if layout not in range(1, LAYOUT + 1):
        raise ConfigError(
            f"{path.parent} is a run of mrikit {found.get('version', 'unknown')}, whose folders have layout {layout}; "
            f"this version resumes up to {LAYOUT}. Resume it with that version, or give it as --start of a new --out"
        )


def _flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, part in value.items():
        if isinstance(part, Mapping):
            flat |= _flatten(part, f"{prefix}{key}.")
        else:
            flat[prefix + key] = list(part) if isinstance(part, tuple) else part
    return flat


def _changes(found: Mapping[str, Any], asked: Mapping[str, Any], is_free: Callable[[str], bool]) -> list[str]:
    """What differs, in words."""
    return [
        f"{name} was {found.get(name)}, now {value}"
        for name, value in asked.items()
        if found.get(name) != value and not is_free(name)
    ]


def _size(paths: list[Path]) -> int:
    return sum(path.stat().st_size for path in paths)
