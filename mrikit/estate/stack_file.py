"""Reader of Pulumi's project and stack files."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrikit.errors import ConfigError

PROJECT_FILE = "Pulumi.yaml"


@dataclass(frozen=True, kw_only=True, slots=True)
class StackConfig:
    """What the engine would hand to the program."""

    stack: str
    """The stack's name."""
    config: Mapping[str, str]
    """Namespaced key to a text, or to JSON for what is none."""


def read_stack(stack: str, project_folder: Path) -> StackConfig:
    """The configuration of a stack with the project's defaults.

    Args:
        stack: A name, whose file stands beside the project's, or the file itself.
        project_folder: Where Pulumi.yaml is.

    Raises:
        ConfigError: A file is missing, is not YAML, or is not a stack's.
    """
    project = _load(project_folder / PROJECT_FILE, "`mrikit infra init FOLDER` makes a project")
    is_file = "/" in stack or stack.endswith((".yaml", ".yml"))
    file = Path(stack) if is_file else project_folder / f"Pulumi.{stack}.yaml"
    others = ", ".join(sorted(_stack_name(one) for one in project_folder.glob("Pulumi.*.yaml")))
    settings = _load(file, f"there are the stacks {others}" if others else "`mrikit infra init FOLDER` brings examples")
    own = settings.get("config") or {}
    if not isinstance(own, Mapping):
        raise ConfigError(f"{file}: config is a table of keys and values; found {type(own).__name__}")
    for key, value in own.items():
        if isinstance(value, Mapping) and "secure" in value:
            raise ConfigError(f"{file}: {key} is encrypted, but the estate needs no secret; set it plainly")
    defaults = {
        f"{project['name']}:{key}": described["default"]
        for key, described in project["config"].items()
        if "default" in described
    }
    texts = {str(key): _text(value) for key, value in {**defaults, **own}.items()}
    return StackConfig(stack=_stack_name(file), config=texts)


def _stack_name(file: Path) -> str:
    return file.name.removeprefix("Pulumi.").rpartition(".")[0]


def _text(value: Any) -> str:  # noqa: ANN401 - what YAML holds
    # An unquoted date is one in YAML, and a text for the engine.
    return value if isinstance(value, str) else str(value) if isinstance(value, dt.date) else json.dumps(value)


def _load(file: Path, hint: str) -> Mapping[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise ConfigError("the estate needs packages that are not installed; `pip install -e '.[infra]'`") from error
    try:
        found = yaml.safe_load(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; {hint}") from error
    except (yaml.YAMLError, ValueError) as error:  # also of bytes that are no text, and of days that are none
        reason = " ".join(str(error).split())
        raise ConfigError(f"{file}: not a YAML file ({reason})") from error
    if not isinstance(found, Mapping):
        what = "nothing" if found is None else type(found).__name__
        raise ConfigError(f"{file}: not a table of settings; found {what}")
    return found
