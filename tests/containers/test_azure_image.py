"""The image as Azure ML runs it: as root, in folders that root alone may enter."""

import json
import os
import subprocess
import sys

import pytest
from docker_engine import ROOT

from mrikit.volumes.reconstruction import read_reconstruction

from .conftest import IMAGE

pytestmark = pytest.mark.slow

ON_AZURE = f"{IMAGE}-azure"


@pytest.fixture(scope="module")
def azure_image(engine):
    words = [sys.executable, "-m", "mrikit", "image", "build", "--cpu", "--azure", "--dirty", "--network", "host"]
    done = subprocess.run(words, cwd=ROOT, env=engine, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return ON_AZURE


@pytest.fixture
def mounts(study, tmp_path):
    """A study and a folder for outputs that belong to root alone, as what Azure ML mounts does."""
    out = tmp_path / "out"
    out.mkdir()
    for path in (study, out):
        os.chown(path, 0, 0)
        path.chmod(0o700)
    return ("--volume", f"{study}:/mnt/in:ro", "--volume", f"{out}:/mnt/out")


def test_the_image_for_azure_reads_and_writes_what_root_owns(docker, azure_image, mounts, tmp_path):
    command = "mrikit reconstruct --data /mnt/in --out /mnt/out/recon && echo done > /mnt/out/mrikit.txt"
    shell = ("--network", "none", *mounts, "--entrypoint", "/bin/bash", azure_image, "-c", command)
    docker("run", "--rm", *shell)
    assert (tmp_path / "out/mrikit.txt").read_text() == "done\n"
    assert read_reconstruction(tmp_path / "out/recon/file1000001.h5").model == "cg_sense"


def test_the_image_for_others_may_not_and_says_so_on_one_line(docker, azure_image, mounts):
    words = ("--network", "none", *mounts, IMAGE, "reconstruct", "--data", "/mnt/in", "--out", "/mnt/out/recon")
    done = docker("run", "--rm", *words, is_checked=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("mrikit: /mnt/out cannot be written by user 10001 of the container;")


def test_doctor_tells_a_job_as_whom_it_runs(docker, azure_image):
    said = docker("run", "--rm", "--network", "none", azure_image, "doctor", "--container").stdout
    assert "mrikit-cpu, user 0 (root)" in said
    assert "user 10001" in docker("run", "--rm", "--network", "none", IMAGE, "doctor", "--container").stdout


def test_only_the_user_of_the_image_is_another_one(docker, azure_image):
    said = [
        docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", one).stdout for one in (IMAGE, azure_image)
    ]
    plain, azure = map(json.loads, said)
    assert plain[:-1] == azure[:-1]  # the last is the working folder, made once for each
    assert docker("image", "inspect", "--format", "{{.Config.User}}", azure_image).stdout.strip() == "0:0"
