"""Locations on the command line: a path, or `az://container/prefix`; and what commands need of the files there."""

import posixpath
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from mrikit.run_files import CHECKPOINTS, PICTURES, RECONSTRUCT_FILE, SEEDS_FILE
from mrikit.storage import BlobPath, parse_location

if TYPE_CHECKING:
    Location: TypeAlias = Path | BlobPath
else:
    Location = BlobPath  # typer knows no unions, and makes a Path of whatever claims to be one

AS_LOCATION: dict[str, Any] = {"parser": parse_location, "metavar": "<path>"}
"""How typer reads an option or argument that is a location."""

_WEIGHTS = ".safetensors"


def beside(location: Location, ending: str) -> Location:
    """The location whose name ends so in addition; where a command proposes to write next."""
    return location.with_name(location.name + ending) if location.name else location / ending.lstrip("-")


def weights_of(names: Collection[str]) -> Collection[str]:
    """The files that weights are read from: weights, and the newest checkpoint of runs that need it to be understood.

    The highest stage of a run is known by its checkpoint, and so is a run that has no weights yet. The chosen seed of
    several is known by the file that says so.
    """
    files = [name for name in names if name.endswith((_WEIGHTS, SEEDS_FILE))]
    chosen = {name for name in files if posixpath.basename(posixpath.dirname(name)) != CHECKPOINTS}
    newest = {posixpath.dirname(name): name for name in sorted(files) if name not in chosen}
    return chosen | set(newest.values())


def results_of(names: Collection[str]) -> Collection[str]:
    """The files that a report is made from: no weights, of images only reconstructions, and some pictures of a run."""
    from mrikit.runs.picture import first_to_last

    folders = {posixpath.dirname(name) for name in names if posixpath.basename(name) == RECONSTRUCT_FILE}
    pictures: dict[str, list[str]] = {}
    for name in sorted(names):
        if posixpath.basename(posixpath.dirname(name)) == PICTURES:
            pictures.setdefault(posixpath.dirname(name), []).append(name)

    def is_read(name: str) -> bool:
        if not name.endswith(".h5"):
            return name.endswith((".json", ".jsonl"))
        return any(folder in folders for folder in _folders_above(name))

    return {name for name in names if is_read(name)}.union(*map(first_to_last, pictures.values()))


def reconstructions_of(names: Collection[str]) -> Collection[str]:
    """The files that hold reconstructions, in a folder of them."""
    return {name for name in names if name.endswith(".h5")}


def settings_of(names: Collection[str]) -> Collection[str]:
    """The files that say what a folder holds."""
    return {name for name in names if name.endswith(".json")}


def _folders_above(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[:count]) for count in range(len(parts) + 1)]
