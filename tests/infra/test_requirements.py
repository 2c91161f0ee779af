"""What the estate's program is run with: its own requirements, as Pulumi installs them, and nothing of mrikit's."""

import ast
import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from mrikit.estate.new_project import write_project
from mrikit.estate.stack_file import read_stack

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "infra"


def requirements(file=PROGRAM / "requirements.txt"):
    lines = [line.partition("#")[0].strip() for line in file.read_text().splitlines()]
    return {one.name.replace("_", "-").lower(): one for one in map(Requirement, filter(None, lines))}


def test_every_package_that_the_program_imports_is_required():
    names = set()
    for file in PROGRAM.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {one.name.partition(".")[0] for one in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module.partition(".")[0])
    others = names - sys.stdlib_module_names - {"infra"}
    owners = packages_distributions()
    assert {owners[name][0].replace("_", "-").lower() for name in others} <= set(requirements())


def test_the_versions_that_were_tested_are_those_that_are_required():
    tested = requirements(ROOT / "constraints.txt")
    for name, required in requirements().items():
        (pinned,) = tested[name].specifier
        assert pinned.version in required.specifier
        assert str(required.specifier).startswith("~=")
    # Another minor of the provider speaks other versions of Azure's API.
    assert str(requirements()["pulumi-azure-native"].specifier).count(".") == 2


def test_the_extra_of_the_package_is_what_the_program_requires():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    extra = {one.name: one for one in map(Requirement, extras["infra"])}
    assert {name: extra[name].specifier for name in requirements()} == {
        name: one.specifier for name, one in requirements().items()
    }


@pytest.mark.slow
def test_a_project_runs_with_nothing_but_its_requirements(tmp_path, dev_record):
    write_project(tmp_path / "estate")
    python = tmp_path / ".venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / ".venv"], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
    subprocess.run([*install, "-r", tmp_path / "estate" / "infra" / "requirements.txt"], check=True)
    # The stand-in for the engine is in mrikit, which is let in without what it is installed with.
    (tmp_path / "stand-in").mkdir()
    (tmp_path / "stand-in" / "mrikit").symlink_to(ROOT / "mrikit")
    program = tmp_path / "estate" / "infra"
    config = read_stack("example", tmp_path / "estate").config
    request = {"program": str(program), "project": "mrikit", "stack": "dev", "config": dict(config)}
    done = subprocess.run(
        [python, "-m", "mrikit.estate.run_program"],
        cwd=tmp_path / "stand-in",
        env={**os.environ, "PYTHONPATH": ""},
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert "broken" not in answer, answer
    assert answer["outputs"] == dev_record.outputs
    assert len([one for one in answer["resources"] if one["custom"]]) == len(dev_record.resources)
