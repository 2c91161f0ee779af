"""The wheel: one name in site-packages, with everything that commands read beside their code."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import mrikit

ROOT = Path(__file__).parents[1]
PROJECT_FILES = ("Pulumi.yaml", "Pulumi.example.yaml", "Pulumi.example-group.yaml")
FOLDERS = {"mrikit": "mrikit", "jobs": "mrikit/commands", "infra": "mrikit/estate/program/infra"}
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", *FOLDERS, *PROJECT_FILES)
# What `pip wheel` calls, without pip: no network, and the setuptools of this environment, whichever pip has its own.
BUILD = "import sys\nfrom setuptools import build_meta\nprint(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of the tree as it stands, built from a copy so that no build folder is left in it."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(out)],
        cwd=copy,
        env=_build_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (path,) = out.glob("*.whl")
    return path


def _build_environment():
    """The setuptools that pyproject.toml asks for comes first, where an older one is in the way."""
    for found in importlib.metadata.distributions(name="setuptools"):
        if int(found.version.partition(".")[0]) >= 77:
            return {**os.environ, "PYTHONPATH": str(found.locate_file(""))}
    pytest.fail("no setuptools of 77 or later; pip install -e '.[dev]' brings one")


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_brings_one_name(names):
    assert {name.partition("/")[0] for name in names} == {"mrikit", f"mrikit-{mrikit.__version__}.dist-info"}


def test_every_module_of_the_tree_is_in_the_wheel(names):
    expected = {
        path.relative_to(ROOT).as_posix().replace(folder, inside, 1)
        for folder, inside in FOLDERS.items()
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == expected


def test_every_file_that_commands_read_is_in_the_wheel(names):
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "mrikit").rglob("*")
        if path.suffix in {".toml", ".html", ".css"}
    }
    assert {"mrikit/estate/prices.toml", "mrikit/transfer/catalogue.toml", "mrikit/report/report.html"} <= expected
    assert expected - names == set()


@pytest.mark.parametrize("name", ["mrikit/commands/app.py", "mrikit/estate/program/infra/__main__.py"])
def test_the_folders_beside_the_library_travel_inside_it(names, name):
    assert name in names


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Runs commands of the wheel, in a folder."""
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # -I leaves this checkout and what is installed of it out; the libraries come from the environment.
    script = (
        "import runpy, sys\nsys.path.insert(0, sys.argv.pop(1))\nimport mrikit\nsys.stderr.write(mrikit.__file__)\n"
        "runpy.run_module('mrikit', run_name='__main__')"
    )

    def run(folder, *words):
        command = [sys.executable, "-I", "-c", script, str(site), *words]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    return site, run


def test_the_installed_wheel_writes_a_project_with_all_that_a_clone_has(installed, tmp_path):
    _, run = installed
    done = run(tmp_path, "infra", "init", "estate")
    assert done.returncode == 0, done.stderr
    tracked = subprocess.run(["git", "ls-files", "infra"], cwd=ROOT, capture_output=True, text=True, check=True)
    expected = {*tracked.stdout.split(), *PROJECT_FILES, ".gitignore"}
    made = {path.relative_to(tmp_path / "estate").as_posix() for path in (tmp_path / "estate").rglob("*")}
    assert {one for one in made if (tmp_path / "estate" / one).is_file()} == expected


def test_the_links_of_the_runbook_lead_somewhere_in_a_project(installed, tmp_path):
    _, run = installed
    run(tmp_path, "infra", "init", "estate")
    page = tmp_path / "estate" / "infra" / "README.md"
    links = re.findall(r"\]\(([^)#]+)", page.read_text())
    assert "../Pulumi.yaml" in links
    assert [link for link in links if not link.startswith("http") and not (page.parent / link).exists()] == []


def test_the_installed_wheel_runs_its_command_line(installed, tmp_path):
    site, run = installed
    done = run(tmp_path, "--version")
    assert done.returncode == 0, done.stderr
    assert done.stderr == str(site / "mrikit" / "__init__.py")
    assert mrikit.__version__ in done.stdout


def test_the_wheel_says_which_python_it_needs(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = archive.read(name).decode()
    said = set(re.findall(r"^Classifier: Programming Language :: Python :: (3\.\d+)$", metadata, re.MULTILINE))
    assert "Requires-Python: >=3.11" in metadata
    assert said == {"3.11", "3.12", "3.13"}


def test_what_has_private_members_in_use_has_an_upper_bound():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for library in ("torch", "deepspeed"):
        (requirement,) = [one for one in project["dependencies"] if re.match(rf"{library}\b", one)]
        assert "<" in requirement, (
            f"{requirement}: private members are used; see tests/training/test_private_members.py"
        )
