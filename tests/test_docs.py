"""Every command in README and docs runs as it stands there, and every link leads somewhere."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from azurite import find_azurite
from estates import example_estate
from fake_arm import SUBSCRIPTION, FakeArm
from transfer.archive_server import running_server

from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from mrikit.storage.blob import container_client
from mrikit.volumes import ScanInfo, Volume, write_fastmri

ROOT = Path(__file__).parents[1]
# The plan and the style guide show commands that are not there yet.
PAGES = [
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "infra" / "README.md", ROOT / "images" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]  # fmt: skip
PAGES = [page for page in PAGES if page.name not in {"design.md", "style.md"}]


def commands(page):
    """The lines of fenced blocks, continued lines joined."""
    blocks = re.findall(r"^```(?:sh|console)?\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


def indented_block(page, first):
    """The file that a page shows, by the words that it begins with."""
    (block,) = [
        match
        for match in re.findall(r"(?:^    .*\n|^\n)+", page.read_text(), re.MULTILINE)
        if match.strip().startswith(first)
    ]
    return textwrap.dedent(block)


def run(command, folder, **environment):
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, shell=True, env={**os.environ, **environment}
    )


@pytest.fixture
def workplace(tmp_path, real_data):
    """A folder with a small study called DATA, the real data, published weights, and `mrikit` on the path."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "mrikit").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m mrikit "$@"\n')
    (tools / "mrikit").chmod(0o755)
    (tmp_path / "REALDATA").symlink_to(real_data)
    with np.load(ROOT / "tests" / "golden" / "fastmri_varnet.npz") as golden:
        published = {name[3:]: torch.from_numpy(golden[name]) for name in golden if name.startswith("w::")}
    torch.save(published, tmp_path / "varnet_knee.pt")
    path = f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MRIKIT_JOBS": str(tmp_path / "jobs")}
    (tmp_path / "rates.toml").write_text(indented_block(ROOT / "docs" / "jobs.md", "task ="))
    for words in ("knee --volumes 6 --out DATA", "brain --volumes 6 --out BRAINS"):
        done = run(f"mrikit simulate {words} --coils 4 --slices 1", tmp_path, **environment)
        assert done.returncode == 0, done.stderr
    shutil.copytree(tmp_path / "DATA", tmp_path / "BOTH")
    shutil.copytree(tmp_path / "BRAINS", tmp_path / "BOTH", dirs_exist_ok=True)
    return tmp_path, environment


@pytest.fixture
def download(workplace, tmp_path):
    """A mail with a link to as many volumes as fastMRI's archive holds, most of them tiny; a server behind the link."""
    members = tmp_path / "published" / "multicoil_val"
    shutil.copytree(tmp_path / "DATA", members)
    for index in range(199 - len(list(members.rglob("*.h5")))):
        write_fastmri(members / f"tiny{index}.h5", tiny_volume(index))
    (tmp_path / "served").mkdir()
    archive = tmp_path / "served" / "knee_multicoil_val.tar.xz"
    subprocess.run(["tar", "-cJf", archive, "-C", members.parent, members.name], check=True)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (tmp_path / "served" / "SHA256").write_text(f"{digest}  {archive.name}\n")
    with running_server(tmp_path / "served") as server:
        (tmp_path / "curl.txt").write_text(server.mail(archive.name, "SHA256"))
        yield


def tiny_volume(index):
    kspace = np.random.default_rng(index).standard_normal((1, 2, 32, 32, 2), np.float32).view(np.complex64)[..., 0]
    reference = rss(ifft2c(torch.from_numpy(kspace)))[:, 4:28, 4:28].numpy()
    facts = {"patient_id": f"tiny{index}", "anatomy": "knee", "acquisition": "CORPD_FBK"}
    info = ScanInfo(
        volume_id=f"tiny{index}", matrix=(32, 32), recon_matrix=(24, 24), padding=(0, 32),
        reference_max=float(reference.max()), **facts,
    )  # fmt: skip
    return Volume(kspace=kspace, reference=reference, info=info)


@pytest.fixture
def azure(azurite_env, monkeypatch, tmp_path):
    """The environment of an emulated storage account with the containers that pages name."""
    for name, value in azurite_env.items():
        monkeypatch.setenv(name, value)
    clients = [container_client(name) for name in ("datasets", "runs")]
    for client in clients:
        client.create_container()
    yield {**azurite_env, "MRIKIT_CACHE": str(tmp_path / "cache")}
    for client in clients:
        client.delete_container()


@pytest.fixture
def deployed(workplace, azurite_env, monkeypatch):
    """Stand-ins for Pulumi's command line that knows a deployed stack, and for the control plane behind it."""
    folder, _ = workplace
    outputs = json.dumps(asdict(example_estate()))
    (folder / "outputs.json").write_text(outputs)
    (folder / "bin" / "pulumi").write_text(f"#!/bin/sh\ncat {folder}/outputs.json\n")
    (folder / "bin" / "pulumi").chmod(0o755)
    (folder / "bin" / "az").symlink_to("/bin/true")
    for name, value in azurite_env.items():
        monkeypatch.setenv(name, value)
    certificate = Path(azurite_env["REQUESTS_CA_BUNDLE"])
    plane = FakeArm(certificate, certificate.with_name("key.pem"))
    plane.limits = dict.fromkeys(plane.limits, 1000)
    yield {
        **azurite_env,
        "MRIKIT_ARM_ENDPOINT": plane.endpoint,
        "XDG_CONFIG_HOME": str(folder / "settings"),
        "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
    }
    plane.close()


def slow_but(name, pages):
    """The pages with their marks: all but one are slow."""
    return [page if str(page).endswith(name) else pytest.param(page, marks=pytest.mark.slow) for page in pages]


@pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
@pytest.mark.parametrize("page", slow_but("images/README.md", PAGES), ids=lambda page: page.name)
def test_every_mrikit_command_of_a_page_runs(page, request):
    wanted = [command for command in commands(page) if command.startswith(("mrikit ", "torchrun ", "cd ", "cp "))]
    if not wanted:
        return
    folder, environment = request.getfixturevalue("workplace")
    if any("curl.txt" in command for command in wanted):
        request.getfixturevalue("download")
    # Where there is no Azurite the other commands run all the same; CI has it, or fails.
    if find_azurite() is None and not os.environ.get("CI"):
        wanted = [command for command in wanted if not re.search("az://|doctor|infra link", command)]
    elif any("az://" in command for command in wanted):
        environment |= request.getfixturevalue("azure")
    if any(re.search("doctor|infra link", command) for command in wanted):
        environment |= request.getfixturevalue("deployed")
    for command in wanted:
        # Whoever works on mrikit has changes that are not committed.
        command += " --dirty" if command.startswith("mrikit image build") else ""
        if command.startswith("cd "):
            folder /= command.split()[1]
            continue
        done = run(command, folder, **environment)
        assert done.returncode == 0, f"{command}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_known(page):
    for command in commands(page):
        if command.startswith("make "):
            assert run(f"{command} --dry-run", ROOT).returncode == 0, command
        elif command.startswith("python benchmarks/"):
            assert (ROOT / command.split()[1]).exists(), command
        else:
            known = ("mrikit ", "torchrun ", "source ", "MRIKIT_GOLDEN=", "apt", "pip install", "pulumi ", "az login")
            assert command.startswith((*known, "cd ", "cp ", "openssl rand ", "export PULUMI_")), command


def test_every_setting_of_the_runbook_is_one_of_the_program():
    described = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    page = (ROOT / "infra" / "README.md").read_text()
    named = re.findall(r"pulumi config set (?:--path ')?(\w+)", page)
    assert set(named) >= {"protectData", "generation"}
    assert set(named) <= set(described)


@pytest.mark.slow
def test_the_real_data_make_one_report(workplace):
    folder, environment = workplace
    done = run(f"{ROOT}/docs/realdata.sh REALDATA runs/real 3 1", folder, **environment)
    assert done.returncode == 0, done.stderr
    page = (folder / "runs" / "real" / "report.html").read_text()
    for word in ("knee", "head", "phantom", "brain_poisson", "varnet", "unet"):
        assert word in page
    assert "the file has no reference image" in page


@pytest.mark.slow
def test_active_acquisition_makes_one_report(workplace):
    folder, environment = workplace
    done = run(f"{ROOT}/docs/acquire.sh runs/acquire 8 200 1", folder, **environment)
    assert done.returncode == 0, done.stderr
    page = (folder / "runs" / "acquire" / "report.html").read_text()
    for word in ("Active acquisition", "ss ddqn", "random", "low to high", "equispaced", "oracle"):
        assert word in page


@pytest.mark.slow
def test_the_environment_of_the_page_runs(workplace):
    folder, environment = workplace
    (program,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "acquire.md").read_text(), re.M | re.S)
    (folder / "program.py").write_text(program)
    done = run(f"{shlex.quote(sys.executable)} program.py", folder, **environment)
    assert re.fullmatch(r"SSIM 0\.\d{4}, -?0\.\d{4} of it by 8 lines\n", done.stdout), done.stderr


def test_make_demo_runs_the_demo():
    assert "bin/mrikit demo" in run("make demo --dry-run", ROOT).stdout


def test_make_test_runs_the_quick_tests_and_ci_all():
    assert run("make test --dry-run --no-print-directory", ROOT).stdout.rstrip().endswith('-m "not slow"')
    assert "bin/pytest" in (every := run("make test-all --dry-run --no-print-directory", ROOT).stdout)
    assert "not slow" not in every
    assert "\nmake test-all\n" in (ROOT / ".ci/run").read_text()


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
