"""A stack of the estate in a folder: its settings, its state, its Azure; and Pulumi's commands on it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .azure import Azure

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PROGRAM, SETTINGS = ROOT / "infra", ROOT / "Pulumi.example.yaml"
PASSPHRASE = "a passphrase of tests"
_PREFIX = "azure-native:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What came of one command."""

    error: str
    """What the command line said last, if it failed."""
    events: tuple[dict[str, Any], ...]

    @property
    def counts(self) -> dict[str, int]:
        """The summary's: how many were created, updated, left the same, ..."""
        return next(event["changes"] for event in self.events if event["what"] == "summary")

    @property
    def changed(self) -> set[str]:
        """All that is no longer as it was, `+`, `~`, `-` or `!` (made anew) before it; no components."""
        signs = {"create": "+", "update": "~", "delete": "-", "create-replacement": "!"}
        done = (event for event in self.events if event["what"] == "done" and event["type"].startswith(_PREFIX))
        return {f"{signs[event['op']]} {label(event['urn'])}" for event in done if event["op"] in signs}

    @property
    def planned(self) -> dict[str, dict[str, Any]]:
        """Inputs of what would be made, by `type name`, as a preview shows them."""
        steps = (event for event in self.events if event["what"] == "planned" and event["op"] == "create")
        return {label(event["urn"]): event["inputs"] for event in steps if event["type"].startswith(_PREFIX)}

    @property
    def said(self) -> list[str]:
        """All messages that a user sees."""
        return [event["message"].strip() for event in self.events if event["what"] == "said"]

    @property
    def errors(self) -> list[str]:
        """Messages of failures, as a user sees them."""
        return [event["message"].strip() for event in self.events if event.get("severity") == "error"]

    @property
    def broken(self) -> list[tuple[str, str]]:
        """Name and message of each violation of a policy."""
        return [(event["policy_name"], event["message"]) for event in self.events if event["what"] == "policy"]


def label(urn: str) -> str:
    """`StorageAccount data` for a URN, `infra:Storage storage` for a component's."""
    *_, kinds, name = urn.split("::")
    *parents, kind = kinds.rpartition("$")[2].split(":")
    return f"infra:{kind} {name}" if parents[0] == "mrikit" else f"{kind} {name}"


class Driver:
    """The process in which programs run, one command after another."""

    def __init__(self) -> None:
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-P", HERE / "inline.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def do(self, request: Mapping[str, Any]) -> Done:
        """One command."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            self._said.seek(0)
            raise RuntimeError(self._said.read()[-3000:])
        found = json.loads(answer)
        return Done(error=found["error"], events=tuple(found["events"]))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._said.close()


class Stack:
    """A stack as one person has it on disk.

    Args:
        driver: Does what is asked of it.
        folder: All of it, so that a copy of the folder is a copy of the stack and its Azure.
        program: Folder of the program.
        name: The stack's.
    """

    def __init__(self, driver: Driver, folder: Path, program: Path = PROGRAM, name: str = "dev") -> None:
        self._driver, self._folder, self._program, self.name = driver, folder, program, name
        self._settings = folder / f"Pulumi.{name}.yaml"
        self.azure = Azure(folder / "azure.json")

    @classmethod
    def make(cls, driver: Driver, folder: Path, settings: Path = SETTINGS) -> "Stack":
        """A stack that nothing was made of yet, with the settings of a file."""
        for part in ("state", "home", "plugins"):
            (folder / part).mkdir(parents=True)
        project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
        del project["main"]  # is run inline
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))
        stack = cls(driver, folder)
        shutil.copy(settings, stack._settings)
        return stack

    def copy(self, folder: Path) -> "Stack":
        """The same stack in another folder, with an Azure of its own."""
        shutil.copytree(self._folder, folder)
        return Stack(self._driver, folder, self._program, self.name)

    def run_by(self, program: Path) -> "Stack":
        """The same stack with another program."""
        return Stack(self._driver, self._folder, program, self.name)

    def set(self, **settings: Any) -> None:
        """Change settings, as an editor does; None takes one away."""
        text = yaml.safe_load(self._settings.read_text())
        for key, value in settings.items():
            text["config"][f"mrikit:{key}"] = value
        text["config"] = {key: value for key, value in text["config"].items() if value is not None}
        self._settings.write_text(yaml.safe_dump(text))

    def up(self, **options: Any) -> Done:
        """`pulumi up --yes --skip-preview`."""
        return self._do("up", options)

    def preview(self, **options: Any) -> Done:
        """`pulumi preview`."""
        return self._do("preview", options)

    def check(self, python: Path) -> Done:
        """`pulumi preview --policy-pack infra/policies`.

        Args:
            python: That of an environment with pulumi-policy.
        """
        host = f"exec {sys.executable} -P {HERE / 'language_host.py'} {python}"
        _script(self._folder / "plugins" / "pulumi-language-python", host)
        return self._do("preview", {"policy_packs": [str(self._program / "policies")]})

    def refresh(self) -> Done:
        """`pulumi refresh --yes --skip-preview`."""
        return self._do("refresh", {})

    def destroy(self, **options: Any) -> Done:
        """`pulumi destroy --yes`, without a preview unless `preview_only`."""
        return self._do("destroy", options)

    @property
    def state(self) -> str:
        """The file that the engine keeps."""
        (file,) = self._folder.glob(f"state/.pulumi/stacks/*/{self.name}.json")
        return file.read_text()

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        """What the state holds, by `type name`."""
        return {label(one["urn"]): one for one in json.loads(self.state)["checkpoint"]["latest"].get("resources", [])}

    def _do(self, command: str, options: Mapping[str, Any]) -> Done:
        request = {
            "command": command,
            "stack": self.name,
            "folder": str(self._folder),
            "program": str(self._program),
            "options": dict(options),
            "environment": self._environment(),
        }
        return self._driver.do(request)

    def _environment(self) -> dict[str, str]:
        plugins = self._folder / "plugins"
        served = f"{sys.executable} -m engine.provider {self._folder / 'azure.json'}"
        _script(plugins / "pulumi-resource-azure-native", f"PYTHONPATH={HERE.parent} exec {served}")
        return {
            "PATH": f"{plugins}:{os.environ['PATH']}",
            "PULUMI_HOME": str(self._folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{self._folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }


def _script(path: Path, command: str) -> None:
    path.write_text(f'#!/bin/sh\n{command} "$@"\n')
    path.chmod(0o755)
