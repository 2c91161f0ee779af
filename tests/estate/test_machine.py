"""What this machine has and lacks."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from mrikit.estate.machine import (
    EXTRAS,
    compiler_diagnosis,
    disk_diagnosis,
    extra_diagnosis,
    program_diagnoses,
    python_diagnosis,
    this_machine,
    torch_diagnosis,
)

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def letters(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """An empty folder that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def add(name):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        return str(tmp_path / name)

    return add


@pytest.mark.parametrize(("version", "state"), [((3, 11, 0), "ok"), ((3, 14, 1), "ok"), ((3, 10, 14), "missing")])
def test_python_has_to_be_as_new_as_the_project_asks(version, state):
    assert python_diagnosis(version).state == state


def test_the_oldest_python_is_that_of_the_project():
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert python_diagnosis((3, 9, 0)).remedy == f"make an environment with Python {oldest} or newer"


@pytest.mark.parametrize(
    ("version", "num_gpus", "state", "words"),
    [
        ("2.6.0+cpu", 0, "ok", "computes on the CPU"),
        ("2.6.0", 0, "ok", "computes on the CPU"),
        ("2.6.0", 1, "ok", "computes on 1 NVIDIA GPU"),
        ("2.6.0+cu124", 8, "ok", "computes on 8 NVIDIA GPUs"),
        ("2.6.0+cpu", 8, "warning", "CPU only, but there is 8 NVIDIA GPUs"),
        (None, 8, "missing", "not installed"),
    ],
)
def test_torch_says_where_it_computes(version, num_gpus, state, words):
    found = torch_diagnosis(version, num_gpus)
    assert (found.state, words in found.what) == (state, True)
    assert bool(found.remedy) == (state != "ok")


def test_a_machine_without_a_compiler_is_warned():
    found = compiler_diagnosis(None)
    assert (found.state, found.remedy) == ("warning", "apt install g++")


@pytest.mark.parametrize(("free", "state"), [(20 * 10**9, "ok"), (20 * 10**9 - 1, "warning")])
def test_runs_need_twenty_gigabytes(free, state, tmp_path):
    assert disk_diagnosis(free, tmp_path).state == state


@pytest.mark.parametrize("name", ["c++", "g++"])
def test_a_compiler_is_found_by_either_name(programs, name, tmp_path):
    path = programs(name)
    *_, compiler, _ = this_machine(tmp_path)
    assert (compiler.state, compiler.what) == ("ok", path)


def test_all_of_this_machine_is_looked_at_in_order(programs, tmp_path):
    found = this_machine(tmp_path / "none" / "yet")
    assert [one.subject for one in found] == ["Python", "torch", "C++ compiler", "disk"]
    assert [one.state for one in found[:3:2]] == ["ok", "warning"]
    assert found[1].what.startswith(metadata.version("torch"))
    assert found[3].what.endswith(f"free at {tmp_path}")


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_that_is_installed_is_shown_with_its_versions(extra):
    found = extra_diagnosis(extra)
    assert found.state == "ok"
    assert all(f"{name} {metadata.version(name)}" in found.what for name in EXTRAS[extra])


@pytest.mark.parametrize(("is_needed", "state"), [(True, "missing"), (False, "warning")])
def test_a_package_that_is_not_installed_is_named(monkeypatch, is_needed, state):
    monkeypatch.setitem(EXTRAS, "azure", ("azure-identity", "azure-no-such-package"))
    found = extra_diagnosis("azure", is_needed=is_needed)
    assert (found.state, found.what) == (state, "no azure-no-such-package")
    assert found.remedy == "pip install -e '.[azure]'"


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_packages_are_those_of_the_project(extra):
    required = {letters(re.split(r"[<>=!~;\[ ]", line)[0]) for line in PROJECT["optional-dependencies"][extra]}
    assert set(map(letters, EXTRAS[extra])) <= required


def test_programs_that_are_not_there_are_warnings(programs):
    assert [(one.subject, one.state) for one in program_diagnoses()] == [("pulumi", "warning"), ("az", "warning")]
    path = programs("pulumi")
    pulumi, az = program_diagnoses()
    assert (pulumi.state, pulumi.what, pulumi.remedy) == ("ok", path, "")
    assert az.remedy == "install Azure's CLI; pip does not bring it"
