"""The project's own Dockerfile, built and run with next to no rights."""

import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from docker_engine import ROOT
from phantoms import make_volume
from reconstruct.networks import masks, save_unet

from mrikit import __version__
from mrikit.volumes import write_fastmri
from mrikit.volumes.reconstruction import read_reconstruction

from .conftest import IMAGE

pytestmark = pytest.mark.slow

_CPU_ADAM = """
import json, os, shutil
import torch
from deepspeed.ops.adam import DeepSpeedCPUAdam

def moved(make):
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(1000))
    optimizer = make([weight], lr=0.01, weight_decay=0.1)
    for _ in range(5):
        weight.grad = torch.randn(1000)
        optimizer.step()
    return weight.detach()

difference = (moved(DeepSpeedCPUAdam) - moved(torch.optim.AdamW)).abs().max()
compilers = [name for name in ("c++", "g++", "gcc", "cc", "clang", "nvcc") if shutil.which(name)]
print(json.dumps({"difference": float(difference), "compilers": compilers, "user": os.getuid()}))
"""
_DISTRIBUTIONS = """
import importlib.metadata, json
print(json.dumps(sorted({f"{one.name}=={one.version}" for one in importlib.metadata.distributions()})))
"""


@pytest.fixture
def facts(docker):
    return json.loads(docker("image", "inspect", IMAGE).stdout)[0]["Config"]


def test_it_reconstructs_as_the_same_command_outside_and_files_belong_to_the_caller(
    locked_down, mrikit, study, tmp_path
):
    (tmp_path / "out").mkdir()
    os.chown(tmp_path / "out", 4242, 4242)
    words = ("reconstruct", "--data", study, "--acceleration", "4")
    mounts = ("--volume", f"{study}:/data/in:ro", "--volume", f"{tmp_path / 'out'}:/data/out")
    locked_down(IMAGE, "reconstruct", "--data", "/data/in", "--out", "/data/out", "--acceleration", "4", options=mounts)
    mrikit(*words, "--out", tmp_path / "outside")
    file = tmp_path / "out" / "file1000001.h5"
    assert (file.stat().st_uid, file.stat().st_gid) == (4242, 4242)
    inside, outside = read_reconstruction(file), read_reconstruction(tmp_path / "outside" / file.name)
    np.testing.assert_allclose(inside.image, outside.image, rtol=0, atol=1e-6 * outside.image.max())
    assert inside.model == outside.model


def test_what_is_mounted_is_reconstructed_without_a_word(docker, engine, tmp_path):
    docker("tag", IMAGE, "mrikit")
    folder = tmp_path / "scans"
    lines = np.zeros(60, bool)
    lines[::2] = lines[25:35] = True
    write_fastmri(folder / "file1.h5", make_volume(mask=lines))
    write_fastmri(folder / "file2.h5", make_volume(volume_id="file2"))
    save_unet(folder / "runs" / "knee" / "weights.safetensors", masks=masks(2))

    def run(command):
        return subprocess.run(
            command, cwd=folder, env=engine, shell=True, capture_output=True, text=True, check=False, timeout=120
        )

    refused = run("docker run --network none -v $PWD:/data mrikit reconstruct")
    assert refused.returncode == 1
    line = refused.stderr.splitlines()[-1]
    assert line.startswith("mrikit: /data cannot be written by user 10001 of the container; run it as yourself: ")
    done = run(line.partition("yourself: ")[2].replace("docker run", "docker run --network none"))
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[:2] == [
        "data: /data (MRIKIT_DATA)",
        "weights: /data/runs/knee/weights.safetensors; cg_sense for volumes that they do not suit",
    ]
    models = {name: read_reconstruction(folder / "recon" / name).model for name in ("file1.h5", "file2.h5")}
    assert models == {"file1.h5": "unet", "file2.h5": "cg_sense"}
    assert (folder / "recon" / "file1.h5").stat().st_uid == os.getuid()


def test_without_a_mount_it_says_how(docker):
    done = docker("run", "--rm", "--network", "none", IMAGE, "reconstruct", is_checked=False)
    assert done.returncode == 1
    command = "docker run -v $PWD:/data mrikit-cpu reconstruct"
    assert done.stderr == f"mrikit: /data is empty; mount the folder of your volumes: {command}\n"


def test_cpu_adam_works_without_a_compiler_as_torchs_adamw(locked_down):
    said = locked_down("--env", "DS_ACCELERATOR=cpu", "--entrypoint", "python", IMAGE, "-c", _CPU_ADAM).stdout
    found = json.loads(said.splitlines()[-1])
    assert found["compilers"] == []
    assert found["user"] == 4242
    assert found["difference"] < 1e-5


def test_cpu_adam_has_no_instruction_that_an_older_cpu_lacks(docker, tmp_path):
    if shutil.which("objdump") is None:
        reason = "no objdump; apt-get install binutils"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    name = docker("create", IMAGE).stdout.strip()
    folder = "/opt/venv/lib/python3.11/site-packages/deepspeed/ops/adam"
    docker("cp", f"{name}:{folder}", tmp_path / "adam")
    docker("rm", name)
    (library,) = (tmp_path / "adam").glob("cpu_adam_op*.so")
    code = subprocess.run(["objdump", "-d", library], check=True, capture_output=True, text=True).stdout
    # AVX2 is there; 512-bit registers, the 16 registers above, and masks are AVX-512's.
    assert code.count("%ymm") > 100
    assert re.findall(r"%zmm\d+|%[xy]mm(?:1[6-9]|2\d|3[01])\b|%k[0-7]\b", code) == []


def test_it_is_labelled_and_runs_as_nobody_in_particular(facts):
    labels = facts["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    assert labels["org.opencontainers.image.revision"].removesuffix("-dirty") == commit.stdout.strip()
    assert facts["User"] == "10001:10001"
    assert facts["Entrypoint"] == ["mrikit"]


def test_the_list_of_what_is_in_it_is_true(locked_down):
    bom = json.loads(locked_down("--entrypoint", "cat", IMAGE, "/opt/sbom.json").stdout)
    assert bom["bomFormat"] == "CycloneDX"
    installed = json.loads(locked_down("--entrypoint", "python", IMAGE, "-c", _DISTRIBUTIONS).stdout)
    assert {f"{one['name']}=={one['version']}" for one in bom["components"]} == set(installed)
    assert {one.partition("==")[0] for one in installed} >= {"mrikit", "torch", "deepspeed", "azure-identity"}


def test_versions_are_those_of_the_constraints(locked_down):
    installed = json.loads(locked_down("--entrypoint", "python", IMAGE, "-c", _DISTRIBUTIONS).stdout)
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().lower().splitlines() if "==" in line
    )
    found = {name.lower().replace("-", "_"): version for name, version in (one.split("==") for one in installed)}
    differing = {
        name: (found[name.replace("-", "_")], version)
        for name, version in pins.items()
        if found.get(name.replace("-", "_"), version).removesuffix("+cpu") != version
    }
    assert differing == {}


def test_without_a_place_to_write_it_says_so_on_one_line(docker, study):
    limits = ("--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--volume", f"{study}:/data/in:ro")
    words = ("reconstruct", "--data", "/data/in", "--out", "/data/out")
    done = docker("run", *limits, IMAGE, *words, is_checked=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("mrikit: /data/out")
