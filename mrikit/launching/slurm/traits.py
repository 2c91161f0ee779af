"""What Slurm is like as a back end."""

from mrikit.launching.job import Backend
from mrikit.launching.traits import Traits

OPTIONS = {
    "account": "account",
    "constraint": "constraint",
    "cpus": "cpus-per-task",
    "exclude": "exclude",
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
)
