"""Where mrikit keeps what it can fetch or make again."""

import os
from pathlib import Path

from mrikit.errors import ConfigError


def cache_folder() -> Path:
    """The folder that `MRIKIT_CACHE` names; else `mrikit` below `XDG_CACHE_HOME` or `~/.cache`. It may not exist.

    Raises:
        ConfigError: Nobody says where, and there is no home.
    """
    named = os.environ.get("MRIKIT_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "mrikit"
    try:
        return Path.home() / ".cache" / "mrikit"
    except RuntimeError as error:
        raise ConfigError("there is no home folder to cache in; set MRIKIT_CACHE to a folder") from error
