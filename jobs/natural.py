"""What commands take where nobody names it."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from mrikit.commands.places import AS_LOCATION, Location
from mrikit.errors import ConfigError, StorageError
from mrikit.launching.backends import traits_of
from mrikit.storage import BlobPath, parse_location

DATA = "MRIKIT_DATA"
"""Environment variable: the folder of volumes, or az://."""
IMAGE = "MRIKIT_IMAGE"
"""Environment variable of our container images: what `docker run` calls them."""
_DATASETS = BlobPath("datasets")
"""Where an estate keeps volumes."""


def natural_data(context: typer.Context, value: Location | None) -> Location | None:
    """Take `MRIKIT_DATA`, `data/` here, or with `--on azure` the datasets of the linked estate; say so on stderr.

    A job elsewhere is given the place by its full name.

    Raises:
        ConfigError: There is nothing to take; or nothing is mounted into the container.
    """
    if value is not None or context.resilient_parsing:
        return value
    place, reason = _find_data(context.params.get("on"))
    say(f"data: {place} ({reason})")
    return place


def natural_places(context: typer.Context, value: list[Location] | None) -> list[Location] | None:
    """The same where several places may be named."""
    if value or context.resilient_parsing:
        return value
    place = natural_data(context, None)
    return None if place is None else [place]


AS_ALL_DATA: dict[str, Any] = {**AS_LOCATION, "callback": natural_places}
"""How typer reads an option that names volumes in one or more places, and has a natural default."""
AS_DATA: dict[str, Any] = {**AS_LOCATION, "callback": natural_data}
"""How typer reads an option or argument that names volumes, and has a natural default."""


def natural_out(context: typer.Context, value: Location | None) -> Location | None:
    """Take `recon` in the working folder, or below az://runs with `--on azure`."""
    if value is not None or context.resilient_parsing:
        return value
    on = context.params.get("on")
    return Path("recon") if on is None or traits_of(on).shares_files else traits_of(on).default_runs / "recon"


def natural_method(context: typer.Context, given: Mapping[str, Any]) -> dict[str, Any]:
    """Take the best weights that lie here where nobody names data or method; CG-SENSE for what they do not suit.

    Weights are looked for below the data and in `runs/` of the working folder.

    Args:
        context: Of the command.
        given: Its options as they were read.

    Returns:
        Options to change.

    Raises:
        ConfigError: A task is named, and there are no weights.
    """
    is_data_named = getattr(context.get_parameter_source("data"), "name", "") != "DEFAULT"
    if given["weights"] or given["model"] or (is_data_named and not given["task"]):
        return {}
    from mrikit.reconstruct.find_weights import best_weights

    folders = [folder for folder in (given["data"], Path("runs")) if isinstance(folder, Path) and folder.is_dir()]
    files, num_silent = best_weights(folders)
    looked = " or ".join(dict.fromkeys(str(folder) for folder in (given["data"], "runs")))
    silent = f"; {num_silent} that do not say what they are for are left out" if num_silent else ""
    if given["task"]:
        if not files:
            raise ConfigError(f"--task {given['task']}: no weights below {looked}{silent}; name some with --weights")
        say(f"weights: {', '.join(map(str, files))}{silent}")
        return {"weights": files}
    if not files:
        say(f"weights: none below {looked}{silent}; cg_sense needs none")
        return {"model": "cg_sense"}
    say(f"weights: {', '.join(map(str, files))}{silent}; cg_sense for volumes that they do not suit")
    return {"weights": files, "task": "auto", "model": "cg_sense"}


def require_writable(out: Location) -> None:
    """Make sure inside a container image of ours that its user may write to what is mounted.

    Raises:
        StorageError: It may not; the message has the command for the user outside.
    """
    if IMAGE not in os.environ or isinstance(out, BlobPath):
        return
    there = next(path for path in (out.absolute(), *out.absolute().parents) if _is_there(path))
    if os.access(there, os.W_OK | os.X_OK) or os.statvfs(there).f_flag & os.ST_RDONLY:
        return
    raise StorageError(
        f"{there} cannot be written by user {os.getuid()} of the container; run it as yourself: "
        f"{_docker_command('--user $(id -u):$(id -g) ')}"
    )


def _is_there(path: Path) -> bool:
    """Whether something is; below a folder that may not be entered nobody says so."""
    try:
        return path.exists()
    except PermissionError:
        return False


def say(line: str) -> None:
    """One line on stderr, by the first of several processes."""
    if os.environ.get("RANK", "0") == "0":
        typer.echo(line, err=True)


def _find_data(on: str | None) -> tuple[Location, str]:
    """A place of volumes, and in words why it was taken."""
    named = _named_data()
    if isinstance(named, BlobPath):
        return named, DATA
    if on is not None and not traits_of(on).shares_files:
        return _of_estate()
    if named is not None:
        if not named.exists():
            raise ConfigError(
                f"{DATA} names {named}, which is not there; set it to a folder of volumes, or give --data"
            )
        _require_mount(named)
        return named.absolute(), DATA
    here = Path("data")
    if here.is_dir():
        return here.absolute(), "data/ in the working folder"
    raise ConfigError(
        f"no data are named; give --data DIR, set {DATA}, or put volumes into data/ here: `mrikit simulate knee --out "
        f"data` makes some"
    )


def _named_data() -> Location | None:
    text = os.environ.get(DATA)
    try:
        return parse_location(text) if text else None
    except ConfigError as error:
        raise ConfigError(f"{DATA}: {error}") from error


def _of_estate() -> tuple[Location, str]:
    from mrikit.storage.estate import load_estate

    if load_estate() is None:
        raise ConfigError(
            "no data are named; give --data az://container/prefix, or link an estate for its az://datasets with "
            "`mrikit infra link`"
        )
    return _DATASETS, "of the linked estate"


def _require_mount(data: Path) -> None:
    """Make sure inside a container image of ours that something is mounted, and may be read."""
    if IMAGE not in os.environ or not data.is_dir():
        return
    if not os.access(data, os.R_OK | os.X_OK):
        raise StorageError(
            f"{data} cannot be read by user {os.getuid()} of the container; run it as yourself: "
            f"{_docker_command('--user $(id -u):$(id -g) ')}"
        )
    if not any(data.iterdir()):
        raise ConfigError(f"{data} is empty; mount the folder of your volumes: {_docker_command()}")


def _docker_command(options: str = "") -> str:
    """What to type outside for the command that runs inside."""
    mount = os.environ.get(DATA) or "/data"
    return f"docker run {options}-v $PWD:{mount} {os.environ[IMAGE]} {shlex.join(sys.argv[1:])}".rstrip()
