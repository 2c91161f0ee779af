"""A real Docker engine for tests, and a stand-in for the base image, because no registry of images can be reached.

The stand-in is made of Debian's packages and carries torch's wheel, the certificates of this machine and pip's
configuration, so that the project's own Dockerfile is built as it is. It and Docker's layers are kept between runs in
MRIKIT_DOCKER_CACHE; the first build takes minutes, the others seconds. All processes of a test run share one engine,
and the last one stops it.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from waiting import HANG_S

from mrikit.launching.processes import started_at
from mrikit.storage.lock import alone

ROOT = Path(__file__).parents[1]
BASE = "python:3.11-slim-bookworm"
_CLIENT = "/usr/bin/docker"
"""Debian's, which has BuildKit built in; another one may come first on the PATH, without its buildx."""
_PROGRAMS = ("dockerd", "mmdebstrap", _CLIENT)
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
_PACKAGES = "ca-certificates,python3,python3-pip,python3-venv,libpython3.11-dev,netbase,tzdata"
_LIKE_THE_ORIGINAL = """set -eu
mkdir -p "$1/usr/local/share/ca-certificates" "$1/opt/wheels"
find /usr/local/share/ca-certificates -name '*.crt' -exec cp {} "$1/usr/local/share/ca-certificates" ';'
chroot "$1" update-ca-certificates >/dev/null
[ -z "$WHEEL" ] || cp "$WHEEL" "$1/opt/wheels"
rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED
for name in python python3; do ln -sf /usr/bin/python3 "$1/usr/local/bin/$name"; done
printf '[global]\\ncert = /etc/ssl/certs/ca-certificates.crt\\n' > "$1/etc/pip.conf"
printf 'find-links = /opt/wheels\\ntimeout = 180\\n' >> "$1/etc/pip.conf"
printf 'Acquire::Check-Valid-Until "false";\\nAcquire::Check-Date "false";\\n' > "$1/etc/apt/apt.conf.d/99local"
"""
_STOP_S = 60.0
_KEPT = "12GB"


def what_is_missing() -> str | None:
    """Why no engine can be started here; None if one can."""
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"no {', '.join(missing)}; apt-get install docker.io mmdebstrap"
    return None if os.geteuid() == 0 else "only root can start a Docker engine"


@contextlib.contextmanager
def running_engine() -> Iterator[dict[str, str]]:
    """The environment in which the docker command finds the engine, shared with other processes that test."""
    cache = _cache()
    users = cache / "users"
    users.mkdir(parents=True, exist_ok=True)
    me = users / str(os.getpid())
    with _locked(cache):
        folder = _alive(cache) or _start(cache)
        me.write_text(started_at(os.getpid()))
    environment = _environment(folder)
    try:
        yield environment
    finally:
        with _locked(cache):
            me.unlink()
            for user in users.iterdir():  # one that was killed did not sign off
                if started_at(int(user.name)) != user.read_text():
                    user.unlink()
            if not any(users.iterdir()):
                _stop(cache, folder, environment)


def build_cpu_image(environment: dict[str, str]) -> None:
    """Build the project's own Dockerfile on the stand-in, by `mrikit image build`."""
    cache = _cache()
    with _locked(cache):
        tar = _base_tar(cache)
        label = subprocess.run(
            ["docker", "image", "inspect", "--format", "{{.Config.Labels.recipe}}", BASE],
            env=environment, check=False, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        if label != tar.stem:
            settings = (f"ENV PATH={_PATH}", "ENV LANG=C.UTF-8", 'CMD ["python3"]', f"LABEL recipe={tar.stem}")
            changes = [word for one in settings for word in ("--change", one)]
            subprocess.run(["docker", "import", *changes, tar, BASE], env=environment, check=True, capture_output=True)
        words = [sys.executable, "-m", "mrikit", "image", "build", "--cpu", "--dirty", "--network", "host"]
        done = subprocess.run(words, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"the image cannot be built: {done.stderr[-3000:]}")


def _cache() -> Path:
    return Path(os.environ.get("MRIKIT_DOCKER_CACHE") or Path.home() / ".cache" / "mrikit-tests")


@contextlib.contextmanager
def _locked(cache: Path) -> Iterator[None]:
    with alone(cache / "lock", "set MRIKIT_DOCKER_CACHE"):
        yield


def _environment(folder: Path) -> dict[str, str]:
    """Debian's client first on the PATH, BuildKit, and where the engine listens."""
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "DOCKER_BUILDKIT": "1", "DOCKER_HOST": f"unix://{folder / 'docker.sock'}"}


def _alive(cache: Path) -> Path | None:
    """The folder of the engine that runs already."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        found = json.loads((cache / "engine.json").read_text())
        if started_at(found["pid"]) == found["started_at"]:
            return Path(found["folder"])
    return None


def _start(cache: Path) -> Path:
    # A socket's path must be short, so it does not lie in the cache.
    folder = Path(tempfile.mkdtemp(prefix="mrikit-docker-"))
    (folder / "bin").mkdir()
    (folder / "bin" / "docker").symlink_to(_CLIENT)
    words = [
        "dockerd", "--data-root", cache / "root", "--exec-root", folder / "exec", "--pidfile", folder / "docker.pid",
        "--host", f"unix://{folder / 'docker.sock'}", "--iptables=false", "--ip6tables=false", "--bridge=none",
        "--storage-driver=overlay2",
    ]  # fmt: skip
    with (folder / "dockerd.log").open("wb") as log:
        # It outlives the process that starts it, if another one still tests.
        process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    facts = {"pid": process.pid, "started_at": started_at(process.pid), "folder": str(folder)}
    (cache / "engine.json").write_text(json.dumps(facts))
    until = time.monotonic() + HANG_S
    while not _succeeds("docker", "version", environment=_environment(folder)):
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            raise RuntimeError(f"Docker's engine does not start: {(folder / 'dockerd.log').read_text()[-1000:]}")
        time.sleep(0.1)
    process.returncode = 0  # whoever comes last waits for it; this process may be gone by then
    return folder


def _stop(cache: Path, folder: Path, environment: dict[str, str]) -> None:
    """Remove what the tests have left, end the engine, and wait until it is gone with its mounts."""
    containers = subprocess.run(
        ["docker", "ps", "--all", "--quiet"], env=environment, check=False, capture_output=True, text=True
    ).stdout.split()
    for words in (
        *([["rm", "--force", *containers]] if containers else []),
        ["network", "prune", "--force"],
        ["image", "prune", "--force"],
        ["builder", "prune", "--force", "--keep-storage", _KEPT],
    ):
        _succeeds("docker", *words, environment=environment)
    pid = json.loads((cache / "engine.json").read_text())["pid"]
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + _STOP_S
    while started_at(pid):
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    _succeeds("umount", str(folder / "exec" / "netns" / "default"), environment=environment)
    (cache / "engine.json").unlink()
    shutil.rmtree(folder)


def _base_tar(cache: Path) -> Path:
    """The stand-in as a file, made once for each recipe."""
    wheel = _torch_wheel()
    recipe = f"{_PACKAGES} {_LIKE_THE_ORIGINAL} {wheel}"
    tar = cache / f"base-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.tar"
    if not tar.exists():
        hook = cache / "hook.sh"
        hook.write_text(_LIKE_THE_ORIGINAL)
        part = tar.with_suffix(".part.tar")
        words = ["mmdebstrap", "--variant=minbase", f"--include={_PACKAGES}", f'--customize-hook=sh {hook} "$1"']
        done = subprocess.run(
            [*words, "bookworm", part], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            env={**os.environ, "WHEEL": str(wheel or "")},
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"the base image cannot be made: {done.stderr[-1000:]}")
        part.rename(tar)
    return tar


def _torch_wheel() -> Path | None:
    """torch's wheel for CPUs, from the folders that pip is told to look into."""
    version = re.search(r"^torch==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]
    said = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout
    folders = re.findall(r"find-links='([^']*)'", said)
    pattern = f"torch-{version}+cpu-cp311-*.whl"
    found = [wheel for folder in [*folders, "/opt/wheels"] for wheel in Path(folder).glob(pattern)]
    return found[0] if found else None


def _succeeds(*words: str, environment: dict[str, str]) -> bool:
    return subprocess.run(words, env=environment, check=False, capture_output=True).returncode == 0
