"""Container images in the linked estate: built there or pushed, and registered by digest."""

import os
import shlex
from pathlib import Path

import pytest
from azure_jobs import workspace_for
from typer.testing import CliRunner

from mrikit import __version__
from mrikit.commands.app import app
from mrikit.errors import ConfigError, JobError

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

ROOT = Path(__file__).parents[2]
DIGEST = f"sha256:{'5' * 64}"
IMAGE = f"mrikitdev.azurecr.io/mrikit@{DIGEST}"


@pytest.fixture
def workspace(azure_login, monkeypatch, tmp_path):
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    yield from workspace_for(azure_login, monkeypatch, tmp_path)


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A program of the test's own on the PATH; it notes the words that it was given."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def write(name, script):
        (folder / name).write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/{name}.txt\n{script}\n')
        (folder / name).chmod(0o755)

    return write


def invoke(*words):
    return CliRunner().invoke(app, ["image", "push", *words], catch_exceptions=False)


def test_a_build_in_azure_is_registered_by_the_digest_that_its_registry_tells(workspace, program, tmp_path):
    program("az", f'[ "$2" = build ] || echo {DIGEST}')
    said = invoke("--build-in-azure", "--dirty").stdout
    build, ask = (tmp_path / "az.txt").read_text().splitlines()
    assert build.startswith(f"acr build --registry mrikitdev --image mrikit:{__version__}-azure --build-arg VERSION=")
    assert " --build-arg RUN_AS=0:0 " in build
    assert build.endswith(f" --file {ROOT}/images/mrikit/Dockerfile {ROOT}")
    assert ask == (
        f"acr repository show --name mrikitdev --image mrikit:{__version__}-azure --query digest --output tsv"
    )
    assert workspace.environments["mrikit"]["555555555555"]["properties"]["image"] == IMAGE
    assert "registered it as environment mrikit:555555555555 of workspace mrikit-dev-workspace" in said


def test_a_dry_run_shows_the_commands_and_asks_nobody(workspace):
    lines = invoke("--build-in-azure", "--dirty", "--cpu", "--dry-run").stdout.splitlines()
    assert [shlex.split(line)[:3] for line in lines] == [["az", "acr", "build"], ["az", "acr", "repository"]]
    assert workspace.requests == []


def test_an_index_of_wheels_goes_along_but_no_password(workspace, monkeypatch):
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://wheels.example/cpu")
    line = invoke("--build-in-azure", "--dirty", "--dry-run").stdout.splitlines()[0]
    assert " --build-arg PIP_EXTRA_INDEX_URL=https://wheels.example/cpu " in line
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://me:hunter2@wheels.example/cpu")
    with pytest.raises(ConfigError, match="PIP_EXTRA_INDEX_URL has a password") as caught:
        invoke("--build-in-azure", "--dirty", "--dry-run")
    assert "hunter2" not in str(caught.value)


def test_a_build_that_fails_registers_nothing(workspace, program):
    program("az", "exit 3")
    with pytest.raises(JobError, match=r"^`az acr build` fails with exit code 3; it says above why"):
        invoke("--build-in-azure", "--dirty")
    assert workspace.requests == []


def test_an_image_that_was_built_here_is_registered_by_the_digest_of_its_push(workspace, program):
    other = f"elsewhere.example/mrikit@sha256:{'6' * 64}"
    program("docker", f"""[ "$1" != image ] || echo '["{other}", "{IMAGE}"]'""")
    invoke()
    assert workspace.environments["mrikit"]["555555555555"]["properties"]["image"] == IMAGE


def test_an_image_for_azure_that_is_not_here_says_how_to_make_it(workspace, program):
    program("docker", 'echo "Error response from daemon: No such image: $2" >&2; exit 1')
    with pytest.raises(JobError, match=r"-azure is not here; `mrikit image build --azure --cpu` makes it"):
        invoke("--cpu")


def test_another_registry_gets_the_plain_image_and_nothing_is_registered(workspace, program, tmp_path):
    program("docker", "")
    invoke("--to", "mine.azurecr.io")
    assert f"push mine.azurecr.io/mrikit:{__version__}\n" in (tmp_path / "docker.txt").read_text()
    assert workspace.requests == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--cuda", "cu126"), "--cuda and --dirty are for --build-in-azure"),
        (
            ("--build-in-azure", "--to", "mine.azurecr.io"),
            "--to mine.azurecr.io: --build-in-azure builds in",
        ),
    ],
)
def test_options_that_contradict_each_other_are_refused(workspace, words, told):
    with pytest.raises(ConfigError, match=told):
        invoke(*words)
