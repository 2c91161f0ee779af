"""Weights below a folder: of every training run those of its last stage, and files that lie there."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mrikit.checkpoint import find_checkpoints, last_stage, read_record, stage_number
from mrikit.errors import CheckpointError, ConfigError
from mrikit.models import CLASSIFIERS, JUDGES
from mrikit.run_files import CHECKPOINTS, PARTS, SEEDS_FILE, WEIGHTS_FILE
from mrikit.storage import read_json


def find_weights(paths: Iterable[Path]) -> list[Path]:
    """All weights files that lie at or below some paths, sorted, each once.

    A file stands for itself, and so does the folder of a run or of one stage that has weights. Of a run in stages only
    the one that `mrikit.checkpoint.last_stage` names counts, and of a run with several seeds the one that is chosen.
    Checkpoints do not count.

    Raises:
        CheckpointError: There is nothing at one of the paths.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        below = _below(path)
        if not below:
            raise CheckpointError(
                f"{path}: no weights in this folder or below; looked for {WEIGHTS_FILE} of training runs and other "
                f".safetensors files"
            )
        found |= {file.resolve(): file for file in below}
    return sorted(found.values())


def find_one(path: Path) -> Path:
    """The only weights at or below a path.

    Raises:
        ConfigError: There are several.
    """
    is_one = not path.is_dir() or (path / WEIGHTS_FILE).exists() or find_checkpoints(path)
    files = [] if is_one else sorted(_below(path))
    if len(files) > 1:
        more = ", ..." if len(files) > 2 else ""
        raise ConfigError(
            f"{path} holds {len(files)} weights, {files[0]}, {files[1]}{more}; name one, or give --task auto"
        )
    return files[0] if files else path  # where there are none, loading it says what is wrong


def best_weights(folders: Iterable[Path]) -> tuple[list[Path], int]:
    """Weights at or below some folders, of several for the same volumes the best: `--task auto` can choose among them.

    The best are those with the highest score (SSIM, of classifiers accuracy) on the volumes held out in training.

    Returns:
        The files, and how many do not say what they are for and are left out.
    """
    files = {file.resolve() for folder in folders for file in _below(folder)}
    records = [(file, _readable(file)) for file in sorted(files)]
    ranked = sorted(records, key=lambda pair: -float(pair[1].get("ssim") or pair[1].get("accuracy") or 0))
    taken: set[tuple[str, float]] = set()
    best, num_silent = [], 0
    for file, record in ranked:
        if record.get("model") in JUDGES:
            continue  # they make no images, and ask nobody what a volume shows
        if record.get("model") in CLASSIFIERS:
            purposes = {("any classifier", 0.0)}
        else:
            masks = [mask for mask in record.get("masks") or () if "acceleration" in mask]
            purposes = {(str(record.get("anatomy") or ""), float(mask["acceleration"])) for mask in masks}
        num_silent += not purposes
        if purposes and not purposes & taken:
            best.append(file)
            taken |= purposes
    is_network = any(anatomy != "any classifier" for anatomy, _ in taken)
    return (sorted(best) if is_network else []), num_silent


def _readable(file: Path) -> dict[str, Any]:
    """What weights say of themselves; nothing where they are not of mrikit."""
    try:
        return read_record(file)
    except CheckpointError:
        return {}


def _below(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path] if path.exists() else []
    if (path / WEIGHTS_FILE).exists():
        return [path / WEIGHTS_FILE]
    files = [
        file
        for file in path.rglob("*.safetensors")
        if not file.name.startswith(".") and file.parent.name not in (CHECKPOINTS, PARTS)
    ]
    for seeds in path.rglob(SEEDS_FILE):
        others = [file for file in files if file.is_relative_to(seeds.parent)]
        chosen = seeds.parent / str(read_json(seeds)["chosen"])  # null where all failed: none is
        files = [file for file in files if file not in others or file.is_relative_to(chosen)]
    runs = {file.parent.parent for file in files if _is_of_stage(file)}
    last = {run: last_stage(run) for run in sorted(runs)}
    return [file for file in files if not _is_of_stage(file) or file.parent == last[file.parent.parent]]


def _is_of_stage(file: Path) -> bool:
    """Whether a file holds the weights of a stage of a run."""
    return file.name == WEIGHTS_FILE and stage_number(file.parent) > 0
