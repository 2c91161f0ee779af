"""What Slurm is like as a back end."""

import re

from mrikit.errors import ConfigError
from mrikit.launching.job import Backend, JobSpec
from mrikit.launching.traits import Traits

OPTIONS = {
    "account": "account",
    "constraint": "constraint",
    "cpus": "cpus-per-task",
    "exclude": "exclude",
    "gres": "gres",
    "mail": "mail-user",
    "mail_type": "mail-type",
    "memory": "mem",
    "nodelist": "nodelist",
    "partition": "partition",
    "qos": "qos",
    "reservation": "reservation",
}
"""Resource to option of sbatch."""
PYTHON, KILLS, KILL_WITHIN_S = "python", "kills", "kill_within_s"
"""Resources that are no options of sbatch: the interpreter on the machines of the cluster; for --simulate-preemption
how often, and how many seconds after a start at most."""


_GRES = re.compile(r"(?:gres/)?(?P<name>\w+)(?::(?P<type>[A-Za-z_][\w.-]*))?(?::(?P<count>\d+[KMGTP]?))?")


def num_gres_gpus(spec: JobSpec) -> int:
    """GPUs of each machine that `--resource gres=gpu:TYPE:NUMBER` asks for; 0 where it asks for none.

    Raises:
        ConfigError: It is not written so.
    """
    count = 0
    for word in filter(None, spec.resources.get("gres", "").split(",")):
        found = _GRES.fullmatch(word)
        is_gpu = found is not None and found["name"] == "gpu"
        if found is None or (is_gpu and not (found["count"] or "1").isdecimal()):
            raise ConfigError(f"--resource gres={word}: name:type:number is needed, such as gpu:a100:4")
        count += int(found["count"] or 1) if is_gpu else 0
    return count


def _open() -> Backend:
    from mrikit.launching.slurm.backend import SlurmBackend

    return SlurmBackend()


SLURM = Traits(
    name="slurm",
    open=_open,
    resources=tuple(sorted([*OPTIONS, PYTHON, KILLS, KILL_WITHIN_S])),
    has_stage_jobs=True,
    has_queue=True,
    has_arrays=True,
    rehearses_preemption=True,
    default_gpus=num_gres_gpus,
)
