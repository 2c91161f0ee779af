"""NVIDIA's driver of this machine, and which CUDA it can run."""

import re
from pathlib import Path

_FILE = Path("/proc/driver/nvidia/version")
_VERSION = re.compile(r"Kernel Module\b.*?\s(\d+)\.(\d+)")
_OLDEST = {11: 450, 12: 525, 13: 580}
"""First driver of each CUDA; later minors run on it, too: https://docs.nvidia.com/deploy/cuda-compatibility/."""


def driver_version(file: Path = _FILE) -> str:
    """Of the driver that is loaded, such as `535.183`; empty if there is none."""
    try:
        found = _VERSION.search(file.read_text())
    except OSError:
        return ""
    return ".".join(found.groups()) if found else ""


def driver_problem(version: str, cuda: str | None) -> str:
    """Why a driver does not run what torch was built for, and what would do; empty if it does, or nobody knows.

    Args:
        version: Of the driver, see `driver_version`.
        cuda: What torch was built for, such as `13.0`; None for CPUs.
    """
    oldest = _OLDEST.get(int(cuda.partition(".")[0]), 0) if cuda else 0
    if not version or int(version.partition(".")[0]) >= oldest:
        return ""
    return (
        f"NVIDIA's driver {version} is too old for CUDA {cuda}, which torch was built for and which needs {oldest} or "
        f"newer; use machines with a newer one, or an image of `mrikit image build --cuda cu126`"
    )
