"""Fixtures that several rooms share."""

import contextlib
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azurite import find_azurite, make_certificate, running_azurite, token_server
from fake_arm import FakeArm
from filelock import FileLock
from hypothesis import HealthCheck, settings
from waiting import until

from mrikit.storage import BlobPath, blob
from mrikit.storage.blob import container_client
from mrikit.volumes import build_index

# Neither a deadline nor "input generation is slow": both are clocks, which a busy machine fails.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_configure() -> None:
    """Hear Ctrl-C, which a shell has its background jobs ignore, and ask no network for prices."""
    os.environ["MRIKIT_PRICES_ENDPOINT"] = "off"
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[str, Callable[[Path], object]], Path]:
    """Make a folder once for all processes of a test run: `once(name, make)`, filled by `make(folder)`. Read-only."""
    own = tmp_path_factory.getbasetemp()
    shared = (own if worker_id == "master" else own.parent) / "once"
    shared.mkdir(exist_ok=True)

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        made, is_made = shared / name, shared / f"{name}.made"
        with FileLock(shared / f"{name}.lock"):
            if not is_made.exists():
                shutil.rmtree(made, ignore_errors=True)  # of a process that failed
                made.mkdir()
                make(made)
                is_made.touch()
        return made

    return folder


@pytest.fixture(scope="session")
def study(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """Seven tiny volumes of knees, with their index; whoever changes them copies them."""
    from training.small_run import write_study

    return once("study", lambda folder: build_index(write_study(folder)))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of small real scanner data; CI fails without it, elsewhere its tests skip."""
    folder = Path(os.environ.get("MRIKIT_REALDATA", Path(__file__).parents[2] / "shared" / "realdata"))
    if folder.is_dir():
        return folder
    reason = f"no real data at {folder}; set MRIKIT_REALDATA"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty folder on a real file system of 1 MiB; only root can mount one."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mount.returncode:
        reason = f"cannot mount a small file system: {mount.stderr.strip()}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def little_memory() -> Iterator[Path]:
    """A file: a process that writes its id there gets 128 MiB with its children, and what takes more is killed."""
    groups, first = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")  # the second and the first version
    group = (first if first.is_dir() else groups) / f"mrikit-test-{uuid.uuid4().hex[:8]}"
    try:
        if not first.is_dir():
            (groups / "cgroup.subtree_control").write_text("+memory")
        group.mkdir()
        (group / ("memory.limit_in_bytes" if first.is_dir() else "memory.max")).write_text(f"{2**27}")
    except OSError as error:
        reason = f"cannot bound the memory of a process: {error}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    yield group / "cgroup.procs"
    until(lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


@pytest.fixture(scope="session")
def azurite_env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which Azure's clients find a real Azurite and an identity; CI fails without Azurite."""
    program = find_azurite()
    if program is None:
        reason = "no Azurite; `make azurite` installs it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with running_azurite(program, tmp_path_factory.mktemp("azurite")) as environment:
        yield environment


@pytest.fixture
def blob_container(azurite_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[BlobPath]:
    """A fresh container on Azurite; the environment of this test leads to it, with a cache of its own."""
    for name, value in azurite_env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MRIKIT_CACHE", str(tmp_path / "cache"))
    client = container_client(f"test-{uuid.uuid4().hex}")
    client.create_container()
    yield BlobPath(client.container_name)
    with contextlib.suppress(ResourceNotFoundError):  # a test may have deleted it
        client.delete_container()


@pytest.fixture(scope="session")
def azure_login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a managed identity, which trusts the certificate of the tests' own servers."""
    certificate, _ = make_certificate(tmp_path_factory.mktemp("identity"))
    with token_server() as identity:
        yield identity | {"REQUESTS_CA_BUNDLE": str(certificate)}


@pytest.fixture
def fake_arm(azure_login: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeArm]:
    """A control plane for this test, and a managed identity; no estate is linked, and no program on the PATH."""
    for name, value in azure_login.items():
        monkeypatch.setenv(name, value)
    for name in ("MRIKIT_ESTATE", "AZURE_SUBSCRIPTION_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    certificate = Path(azure_login["REQUESTS_CA_BUNDLE"])
    plane = FakeArm(certificate, certificate.with_name("key.pem"))
    monkeypatch.setenv("MRIKIT_ARM_ENDPOINT", plane.endpoint)
    blob._credential.cache_clear()
    yield plane
    plane.close()
    blob._credential.cache_clear()
