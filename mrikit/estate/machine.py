"""Checks of this machine's software and disk."""

import importlib.util
import shutil
import sys
from importlib import metadata
from pathlib import Path

from mrikit.estate.diagnosis import MISSING, OK, WARNING, Diagnosis
from mrikit.words import in_bytes

OLDEST_PYTHON = (3, 11)
SMALL_DISK_BYTES = 20 * 10**9
EXTRAS = {
    "azure": ("azure-ai-ml", "azure-identity", "azure-storage-blob", "azure-mgmt-datafactory"),
    "infra": ("pulumi", "pulumi-azure-native"),
}
"""The packages of each extra that Azure needs, as pip names them."""
_PROGRAMS = {
    "pulumi": "install Pulumi's CLI; pip does not bring it",
    "az": "install Azure's CLI; pip does not bring it",
}


def this_machine(runs: Path) -> tuple[Diagnosis, ...]:
    """All that work on this machine needs.

    Args:
        runs: Folder that runs are written to; it need not be there yet.
    """
    has_torch = importlib.util.find_spec("torch") is not None
    num_gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    there = next(one for one in (runs.absolute(), *runs.absolute().parents) if one.exists())
    return (
        python_diagnosis(sys.version_info[:3]),
        torch_diagnosis(_version("torch") if has_torch else None, num_gpus),
        compiler_diagnosis(shutil.which("c++") or shutil.which("g++")),
        disk_diagnosis(shutil.disk_usage(there).free, there),
    )


def python_diagnosis(version: tuple[int, ...]) -> Diagnosis:
    """Whether Python is new enough."""
    found, oldest = (".".join(map(str, one)) for one in (version, OLDEST_PYTHON))
    if version < OLDEST_PYTHON:
        return Diagnosis("Python", MISSING, f"{found} is too old", f"make an environment with Python {oldest} or newer")
    return Diagnosis("Python", OK, found)


def torch_diagnosis(version: str | None, num_gpus: int) -> Diagnosis:
    """Whether torch is installed, and where it computes.

    torch itself is not loaded, which takes seconds: the version says what it was built for, and the driver's devices
    say what is there.

    Args:
        version: Of the installed torch; None if there is none.
        num_gpus: Devices of NVIDIA's driver.
    """
    if version is None:
        return Diagnosis("torch", MISSING, "not installed", "pip install -e .")
    if not num_gpus:
        return Diagnosis("torch", OK, f"{version}, computes on the CPU: there is no NVIDIA GPU")
    gpus = f"{num_gpus} NVIDIA GPU{'s' if num_gpus > 1 else ''}"
    if version.endswith("+cpu"):
        return Diagnosis(
            "torch",
            WARNING,
            f"{version} computes on the CPU only, but there is {gpus}",
            "pip install --force-reinstall torch, from an index with builds for CUDA",
        )
    return Diagnosis("torch", OK, f"{version}, computes on {gpus}")


def compiler_diagnosis(compiler: str | None) -> Diagnosis:
    """Whether DeepSpeed can compile its CPU-Adam; without it, torch's AdamW takes its place."""
    if compiler:
        return Diagnosis("C++ compiler", OK, compiler)
    return Diagnosis(
        "C++ compiler",
        WARNING,
        "none; with moments off the GPU, torch's AdamW is used instead of DeepSpeed's faster CPU-Adam",
        "apt install g++",
    )


def disk_diagnosis(free_bytes: int, folder: Path) -> Diagnosis:
    """Whether runs have room."""
    what = f"{in_bytes(free_bytes)} free at {folder}"
    if free_bytes < SMALL_DISK_BYTES:
        return Diagnosis(
            "disk", WARNING, what, f"free {in_bytes(SMALL_DISK_BYTES)}, or give --out a folder on another disk"
        )
    return Diagnosis("disk", OK, what)


def extra_diagnosis(extra: str, *, is_needed: bool = True) -> Diagnosis:
    """Whether the packages of an extra are installed.

    Args:
        extra: Its name in pyproject.toml.
        is_needed: Whether something fails without it.
    """
    found = {name: _version(name) for name in EXTRAS[extra]}
    lacking = [name for name, version in found.items() if version is None]
    subject = f"extra {extra}"
    if lacking:
        state = MISSING if is_needed else WARNING
        return Diagnosis(subject, state, f"no {', '.join(lacking)}", f"pip install -e '.[{extra}]'")
    return Diagnosis(subject, OK, ", ".join(f"{name} {version}" for name, version in found.items()))


def program_diagnoses() -> list[Diagnosis]:
    """Whether the programs that deploy and log in can be called."""
    paths = {name: shutil.which(name) for name in _PROGRAMS}
    return [
        Diagnosis(name, OK, path) if path else Diagnosis(name, WARNING, "not on the PATH", _PROGRAMS[name])
        for name, path in paths.items()
    ]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
