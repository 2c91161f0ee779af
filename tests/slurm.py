"""A real Slurm of one machine: munged, slurmctld and slurmd, in a folder of their own and on the loopback."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from waiting import HANG_S

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "setpriv")
"""What has to be installed: Debian's slurmctld, slurmd, slurm-client and munge."""

_CGROUP = "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nCgroupMountpoint=/sys/fs/cgroup\n"
"""Of the plugins of Slurm 22.05 only this one lets slurmd start without systemd."""

_CONFIG = """\
ClusterName=mrikit
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
SlurmctldPort={controller_port}
SlurmdPort={node_port}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
MailProg=/bin/true
KillWait=5
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
NodeName=localhost NodeAddr=127.0.0.1 CPUs=8 CoresPerSocket=8 RealMemory=8000
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
"""A job that is queued again waits for `cred_expire`, two minutes by default. The cores are more than there are."""


def missing_programs() -> list[str]:
    """What of Slurm is not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]


@contextlib.contextmanager
def running_slurm() -> Iterator[dict[str, str]]:
    """Start Slurm; yields the environment in which its programs find it. Ended whatever happens, with all its jobs."""
    # The user of munged has to reach its socket, and a socket's path is short: no folder of pytest.
    with tempfile.TemporaryDirectory(prefix="slurm-") as name, contextlib.ExitStack() as held:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("state", "spool"):
            (folder / part).mkdir()
        (folder / "cgroup.conf").write_text(_CGROUP)
        config = folder / "slurm.conf"
        config.write_text(_CONFIG.format(folder=folder, controller_port=_free_port(), node_port=_free_port()))
        environment = {"SLURM_CONF": str(config), "PATH": _path()}
        held.enter_context(_running("munged", _munged(folder / "munge"), folder, environment))
        _await((folder / "munge" / "socket").exists, folder)
        held.enter_context(_running("slurmctld", ["slurmctld", "-D", "-c", "-f", config], folder, environment))
        held.enter_context(_running("slurmd", ["slurmd", "-D", "-N", "localhost", "-f", config], folder, environment))
        held.callback(_end_jobs, environment)
        _await(lambda: _ask(environment, "sinfo", "--noheader", "--format=%T") == "idle", folder)
        yield environment


def _munged(own: Path) -> list[str | Path]:
    """The command of a munged with a key of its own; it takes neither root nor files of other users."""
    own.mkdir()
    key = own / "key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    for path in (own, key):
        shutil.chown(path, "munge", "munge")
    files = [f"--{name}-file={own / name}" for name in ("key", "pid", "seed", "log")]
    as_munge = ["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups"]
    return [*as_munge, "munged", "--foreground", f"--socket={own / 'socket'}", *files]


@contextlib.contextmanager
def _running(name: str, command: list[str | Path], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """A daemon in the foreground, with its log in the folder."""
    with (folder / f"{name}.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | environment)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await(is_so: Callable[[], bool], folder: Path) -> None:
    """Wait until something is so, or fail with what the daemons say."""
    end = time.monotonic() + HANG_S
    while not is_so():
        if time.monotonic() > end:
            said = {path.name: path.read_text()[-500:] for path in sorted(folder.glob("*.txt"))}
            raise RuntimeError(f"Slurm does not start: {said}")
        time.sleep(0.1)


def _end_jobs(environment: dict[str, str]) -> None:
    """Cancel what is left, and wait until its processes are gone: they are children of nobody here."""
    jobs = _ask(environment, "squeue", "--noheader", "--format=%A").split()
    if jobs:
        subprocess.run(["scancel", *jobs], env=os.environ | environment, check=False, timeout=HANG_S)
    end = time.monotonic() + HANG_S
    while _ask(environment, "squeue", "--noheader", "--format=%A") and time.monotonic() < end:
        time.sleep(0.2)


def _ask(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=HANG_S
    )
    return done.stdout.strip()


def _path() -> str:
    """Debian keeps the daemons where only root looks."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def _free_port() -> int:
    """Below those that Linux gives to clients."""
    for _ in range(100):
        port = 10_000 + secrets.randbelow(9_000)
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")
