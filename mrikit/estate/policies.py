"""Loader of a program's own safety rules, by path."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from mrikit.errors import ConfigError
from mrikit.estate.declared import Record, program_folder

Rule = Callable[[Record], Iterator[str]]


def load_rules(program: Path | None = None) -> tuple[Rule, ...]:
    """The rules in the folder `policies` of a program, which imports nothing of ours.

    Args:
        program: Folder of the program; None for the estate's own.

    Raises:
        ConfigError: There are none.
    """
    folder = (program or program_folder()) / "policies"
    name = f"policies_{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    if name not in sys.modules:
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder; the rules are there, and `mrikit infra init` writes them")
        spec = importlib.util.spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec
        sys.modules[name] = importlib.util.module_from_spec(spec)
    rules: tuple[Rule, ...] = importlib.import_module(f"{name}.rules").RULES
    return rules


def broken_rules(record: Record, program: Path | None = None) -> dict[str, list[str]]:
    """What breaks each rule, by the rule's name in words; nothing for those that hold."""
    found = {rule.__name__.replace("_", " "): list(rule(record)) for rule in load_rules(program)}
    return {rule: lines for rule, lines in found.items() if lines}
