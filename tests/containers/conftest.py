"""A real Docker engine, the project's own image, and the command line that talks to them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_engine import build_cpu_image, running_engine, what_is_missing
from phantoms import make_volume
from waiting import HANG_S

from mrikit import __version__
from mrikit.volumes import write_fastmri

IMAGE = f"mrikit-cpu:{__version__}"


@pytest.fixture(scope="session")
def engine() -> Iterator[dict[str, str]]:
    """The environment in which docker finds an engine with the image built; CI fails where none can be started."""
    reason = what_is_missing()
    if reason is not None:
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with running_engine() as environment:
        build_cpu_image(environment)
        yield environment


@pytest.fixture
def docker(engine):
    """Docker's command line; an error of it fails the test."""

    def run(*words, is_checked=True):
        done = subprocess.run(
            ["docker", *map(str, words)], env=engine, capture_output=True, text=True, check=False, timeout=HANG_S
        )
        assert done.returncode == 0 or not is_checked, done.stderr
        return done

    return run


@pytest.fixture
def locked_down(docker):
    """A container that may do next to nothing, as somebody whom the image does not know."""

    def run(*words, user="4242:4242", options=()):
        limits = ("--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")
        safe = ("--security-opt", "no-new-privileges", "--user", user, *options)
        return docker("run", "--rm", *limits, *safe, *words)

    return run


@pytest.fixture
def mrikit(engine, tmp_path):
    """The command line of this machine, with a folder for its jobs, which are removed afterwards."""
    jobs = tmp_path / "jobs"
    environment = {**engine, "MRIKIT_JOBS": str(jobs), "OMP_NUM_THREADS": "1"}

    def run(*words, is_checked=True, folder=tmp_path):
        command = [sys.executable, "-P", "-m", "mrikit", *map(str, words)]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=HANG_S
        )
        assert done.returncode == 0 or not is_checked, done.stderr
        return done

    yield run
    for name in (path.name for path in jobs.glob("*")):
        found = subprocess.run(
            ["docker", "ps", "--all", "--quiet", "--filter", f"label=mrikit.job={name}"],
            env=engine, capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        if found:
            subprocess.run(["docker", "rm", "--force", *found], env=engine, capture_output=True, check=True)


@pytest.fixture
def study(tmp_path) -> Path:
    """A folder with one small volume."""
    folder = tmp_path / "in"
    write_fastmri(folder / "file1000001.h5", make_volume())
    return folder
