"""Weights below a folder: of every training run the last stage that has some, and files that lie there."""

import re
from collections.abc import Iterable
from pathlib import Path

from mrikit.checkpoint import WEIGHTS_FILE, find_checkpoints
from mrikit.errors import CheckpointError, ConfigError

_STAGE = re.compile(r"stage-(\d+)")


def find_weights(paths: Iterable[Path]) -> list[Path]:
    """All weights files that lie at or below some paths, sorted, each once.

    A file stands for itself, and so does the folder of a run or of one stage that has weights. Of a run in stages below
    a folder only the highest stage that has weights counts. Checkpoints do not count.

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
    if not path.is_dir() or (path / WEIGHTS_FILE).exists() or find_checkpoints(path) or not _below(path):
        return path  # loading it says what is wrong
    files = find_weights([path])
    if len(files) > 1:
        more = ", ..." if len(files) > 2 else ""
        raise ConfigError(
            f"{path} holds {len(files)} weights, {files[0]}, {files[1]}{more}; name one, or give --task auto"
        )
    return files[0]


def _below(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path] if path.exists() else []
    if (path / WEIGHTS_FILE).exists():
        return [path / WEIGHTS_FILE]
    files = [
        file
        for file in path.rglob("*.safetensors")
        if not file.name.startswith(".") and file.parent.name != "checkpoints"
    ]
    last_stage: dict[Path, int] = {}
    for file in files:
        run = file.parent.parent
        last_stage[run] = max(last_stage.get(run, -1), _stage_of(file))
    return [file for file in files if _stage_of(file) in (-1, last_stage[file.parent.parent])]


def _stage_of(file: Path) -> int:
    """Number of the stage whose weights a file holds; -1 for other files."""
    match = _STAGE.fullmatch(file.parent.name)
    return int(match[1]) if match and file.name == WEIGHTS_FILE else -1
