"""Sweep file: one training, many settings."""

import hashlib
import itertools
import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrikit.config import build_config
from mrikit.errors import ConfigError
from mrikit.launching.sweep_rows import read_table, require_rows

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_KINDS = ("grid", "random")
_MOST_MEMBERS = 1000
NEW = "new"
"""State of a member before it is submitted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One training of a sweep."""

    name: str
    """The sweep's name and a digest of task and settings: the same ones are the same member."""
    task: str
    """What is trained."""
    settings: Mapping[str, str]
    """What `--set` is given, by key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """What a file says. Every field but `settings` is one of its keys."""

    name: str
    """The file's, without its ending: 1 to 40 lower-case letters, digits and hyphens."""
    task: tuple[str, ...]
    """What is trained; of several tasks every member is trained for each."""
    data: str
    """Volumes: a folder or az://."""
    size: str = "tiny"
    """Of the recipe."""
    stage: int = 0
    """One stage of it; 0 for all."""
    kind: str = "grid"
    """grid: every combination; random: `num_members` draws."""
    num_members: int = 0
    """Of a random sweep."""
    seed: int = 0
    """Of a random sweep."""
    test_data: str = ""
    """Volumes that every member is scored on when it is trained; empty for none. It is no part of a member's name."""
    rows: tuple[tuple[Mapping[str, Any], ...], ...] = ()
    """Tables of settings that go together, such as a kind of mask with its seed. Each row of a table is combined with
    all of `settings`, and with each row of the other tables. In the file one table may stand alone, and `table` names
    CSV files of more."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Key of the configuration: a list of values; in a random sweep also a table of low, high, and log = true."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"a sweep's file is named by lower-case letters, digits and hyphens; found '{self.name}'")
        if self.kind not in _KINDS:
            raise ConfigError(f"sweep.kind is one of {', '.join(_KINDS)}; found '{self.kind}'")
        if (self.kind == "random") != (self.num_members > 0):
            raise ConfigError("sweep.num_members is for a random sweep, which needs it")
        if not self.task or len(set(self.task)) < len(self.task):
            raise ConfigError(f"sweep.task is a task, or a list of different ones; found {list(self.task)}")
        if not (self.settings or self.rows) and len(self.task) == 1:
            raise ConfigError("sweep.settings names nothing that members differ in")
        require_rows(self.rows, self.settings)
        for key, values in self.settings.items():
            _require_values(key, values, self.kind)

    def members(self) -> list[Member]:
        """All trainings of the sweep, each once.

        Raises:
            ConfigError: There are more than 1000.
        """
        rows = self._grid() if self.kind == "grid" else self._draws()
        if len(rows) * len(self.task) > _MOST_MEMBERS:
            raise ConfigError(
                f"{len(self.task)} tasks with {len(rows):,} members each are more than {_MOST_MEMBERS:,} members"
            )
        members = [self._member(task, row) for task in self.task for row in rows]
        return list({member.name: member for member in members}.values())

    def _grid(self) -> list[dict[str, Any]]:
        count = math.prod(len(values) for values in (*self.rows, *self.settings.values()))
        if count > _MOST_MEMBERS:
            raise ConfigError(
                f"the grid has {count:,} members, more than {_MOST_MEMBERS:,}; draw some with kind = 'random'"
            )
        alone = [[{key: value} for value in values] for key, values in self.settings.items()]
        return [_joined(parts) for parts in itertools.product(*self.rows, *alone)]

    def _draws(self) -> list[dict[str, Any]]:
        if self.num_members > _MOST_MEMBERS:
            raise ConfigError(f"sweep.num_members is at most {_MOST_MEMBERS:,}; found {self.num_members:,}")
        # A draw depends on its number and key alone, so a longer sweep has the members of a shorter one.
        return [
            _joined(_draw(list(table), self.seed, f"rows {number}", index) for number, table in enumerate(self.rows))
            | {key: _draw(values, self.seed, key, index) for key, values in self.settings.items()}
            for index in range(self.num_members)
        ]

    def _member(self, task: str, row: Mapping[str, Any]) -> Member:
        texts = {key: _text(value) for key, value in row.items()}
        data = self.data if self.data.startswith("az://") else str(Path(self.data).absolute())
        plain = json.dumps([task, data, self.size, self.stage, sorted(texts.items())])
        name = f"{self.name}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"
        return Member(name=name, task=task, settings=texts)


def read_sweep(file: Path) -> Sweep:
    """The sweep of a TOML file.

    Raises:
        ConfigError: It is not there, or not of this form.
    """
    try:
        found = tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; README.md shows such a file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not a TOML file ({error})") from error
    has_tasks = isinstance(found.get("task"), list) and len(found["task"]) > 1
    has_pairs = "rows" in found or "table" in found
    for key in ("task", "data", *(() if has_tasks or has_pairs else ("settings",))):
        if key not in found:
            raise ConfigError(f"{file}: no {key}; a sweep has task, data and settings")
    try:
        if has_pairs:
            found = _with_tables(found, file.parent)
        return build_config(Sweep, {**found, "name": file.stem}, "sweep")
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error


def _with_tables(found: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What a file says, with the rows of its tables."""
    rows, files = found.get("rows", []), found.get("table", [])
    files = [files] if isinstance(files, str) else files
    if not isinstance(files, list) or not all(isinstance(one, str) for one in files):
        raise ConfigError(f"sweep.table is the path of a CSV file, from the sweep's folder; found {found['table']}")
    # No rows at all are a table that lacks them, which is refused.
    is_one = "rows" in found and isinstance(rows, list) and not (rows and all(isinstance(one, list) for one in rows))
    tables = [rows] if is_one or not isinstance(rows, list) else rows
    rest = {key: value for key, value in found.items() if key != "table"}
    return {**rest, "rows": [*tables, *(read_table(folder / one) for one in files)]}


def _joined(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: value for part in parts for key, value in part.items()}


def _text(value: object) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value)


def _require_values(key: str, values: object, kind: str) -> None:
    if isinstance(values, list) and values:
        return
    if kind == "random" and isinstance(values, Mapping) and set(values) <= {"low", "high", "log"}:
        low, high = values.get("low"), values.get("high")
        is_range = isinstance(low, int | float) and isinstance(high, int | float) and low < high
        if is_range and (not values.get("log") or values["low"] > 0):
            return
    what = "a list of values" if kind == "grid" else "a list of values, or a table of low, high and log"
    raise ConfigError(f"sweep.settings.{key} is {what}, low below high and above 0 with log; found {values}")


def _draw(values: Any, seed: int, key: str, index: int) -> Any:  # noqa: ANN401 - what TOML holds
    from mrikit.randomness import generator

    random = generator(seed, "sweep", key, index)
    if isinstance(values, list):
        return values[int(random.integers(len(values)))]
    low, high = values["low"], values["high"]
    if isinstance(low, int) and isinstance(high, int) and not values.get("log"):
        return int(random.integers(low, high + 1))
    if values.get("log"):
        return float(f"{math.exp(random.uniform(math.log(low), math.log(high))):.4g}")
    return float(f"{random.uniform(low, high):.4g}")
