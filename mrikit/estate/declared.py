"""Resources that a stack declares, without an account."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrikit.errors import ConfigError, JobError
from mrikit.estate.azure_types import azure_type, path_names
from mrikit.estate.stack_file import PROJECT_FILE

PROGRAM = "infra"
"""Name of the program's folder in a project."""
_PREFIX = "azure-native:"
_EXTRA = "`pip install -e '.[infra]'`"


@dataclass(frozen=True, kw_only=True, slots=True)
class Declared:
    """One resource that would be made."""

    type: str
    """Pulumi's type without `azure-native:`, such as storage:StorageAccount."""
    name: str
    """Its name in the program."""
    component: str
    """The part of the estate that it belongs to, such as `storage`; empty for the resource group."""
    id: str
    """Its id in Azure."""
    inputs: Mapping[str, Any]
    """What the program says of it, by Azure's names."""
    dependencies: tuple[str, ...]
    """URNs of what has to be there before."""
    urn: str
    """Its own URN."""
    protect: bool
    """Whether the engine refuses to delete it."""
    ignore_changes: tuple[str, ...]
    """Inputs that are kept as they were first."""
    has_secrets: bool
    """Whether the program marks something of it as secret."""
    principal_id: str
    """Object id of an identity; empty for what is none."""

    @property
    def azure_name(self) -> str:
        """Its name in Azure."""
        return path_names(self.type, self.inputs)[-1]

    @property
    def arm_type(self) -> str:
        """Its type in Azure's own API."""
        return azure_type(self.type).arm


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """All that a program declares for one stack."""

    stack: str
    """The stack's name."""
    resources: tuple[Declared, ...]
    """In the order of their types and names."""
    outputs: Mapping[str, Any]
    """What the stack exports."""

    def of(self, *types: str) -> list[Declared]:
        """The resources of some types."""
        return [one for one in self.resources if one.type in types]


def program_folder() -> Path:
    """Folder of the estate's program, beside Pulumi.yaml.

    The current project's, as Pulumi finds it; outside of one, what is installed.

    Raises:
        ConfigError: It is not installed.
    """
    here = Path.cwd()
    return next((found / PROGRAM for found in (here, *here.parents) if is_project(found)), None) or installed_program()


def is_project(folder: Path) -> bool:
    """Whether a folder holds the project of this program, and not another one of Pulumi's."""
    file = folder / PROJECT_FILE
    return file.is_file() and "name: mrikit" in file.read_text(errors="replace") and (folder / PROGRAM).is_dir()


def installed_program() -> Path:
    """Folder of the program that this installation brings.

    Raises:
        ConfigError: It is not installed.
    """
    # Where a wheel or a clone has it: setup.py gives it this name.
    spec = importlib.util.find_spec("mrikit.estate.program.infra")
    if spec is None or spec.origin is None:
        raise ConfigError("the estate's program is not installed; run this in a clone of mrikit, or install a wheel")
    return Path(spec.origin).parent


def record_program(config: Mapping[str, str], stack: str, program: Path | None = None) -> Record:
    """Run the program.

    Args:
        config: Namespaced key to value, as the engine hands them over: texts, and JSON for what is none.
        stack: Name of the stack.
        program: Folder of the program; None for the estate's own.

    Raises:
        ConfigError: The program refuses the configuration, or Pulumi is not installed.
        JobError: The program breaks.
    """
    if importlib.util.find_spec("pulumi_azure_native") is None or importlib.util.find_spec("pulumi") is None:
        raise ConfigError(f"the estate needs packages that are not installed; {_EXTRA}")
    program = program or program_folder()
    request = {"program": str(program), "project": "mrikit", "stack": stack, "config": dict(config)}
    done = subprocess.run(
        [sys.executable, "-m", "mrikit.estate.run_program"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        cwd=program.parent,
    )
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["it said nothing"]
        raise JobError(f"the estate's program ended with {done.returncode}: {words[-1]}")
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise ConfigError(str(answer["error"]))
    if "broken" in answer:
        raise JobError(f"the estate's program breaks: {' '.join(str(answer['broken']).split())}")
    return _record(stack, answer["resources"], answer["outputs"])


def _record(stack: str, registered: Sequence[Mapping[str, Any]], outputs: Mapping[str, Any]) -> Record:
    components = {one["urn"]: one["name"] for one in registered if not one["custom"]}
    resources = [
        Declared(
            type=one["type"].removeprefix(_PREFIX),
            name=one["name"],
            component=components.get(one["parent"], ""),
            id=one["id"],
            inputs=one["inputs"],
            dependencies=tuple(one["dependencies"]),
            urn=one["urn"],
            protect=one["protect"],
            ignore_changes=tuple(one["ignore_changes"]),
            has_secrets=one["has_secrets"],
            principal_id=one["principal_id"],
        )
        for one in registered
        if one["custom"]
    ]
    return Record(
        stack=stack, resources=tuple(sorted(resources, key=lambda one: (one.type, one.name))), outputs=outputs
    )
