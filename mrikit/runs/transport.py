"""How the machines of a run talk: InfiniBand, or TCP and why."""

import contextlib
import ctypes
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrikit.words import counted

_LIBRARY = "libibverbs.so.1"
"""What NCCL opens by itself; without it, it takes TCP and says nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fabric:
    """What one machine has for NCCL."""

    machine: str
    """Its name."""
    adapters: tuple[str, ...]
    """InfiniBand adapters by name; those for Ethernet do not count."""
    lacks: str = ""
    """Why NCCL cannot use InfiniBand there; empty if it can."""


def find_fabric(environ: Mapping[str, str], root: Path = Path("/")) -> Fabric:
    """What this machine has for NCCL.

    Args:
        environ: Of this process.
        root: Of its file system.
    """
    adapters = tuple(sorted(one.name for one in (root / "sys/class/infiniband").glob("*") if _is_infiniband(one)))
    if environ.get("NCCL_IB_DISABLE", "0") not in ("", "0"):
        lacks = "NCCL_IB_DISABLE is set"
    elif not adapters:
        lacks = "it has no InfiniBand adapter"
    elif not list((root / "dev/infiniband").glob("uverbs*")):
        lacks = "the container is not given /dev/infiniband"
    elif not _has_library():
        lacks = f"there is no {_LIBRARY}; apt-get install libibverbs1 ibverbs-providers"
    else:
        lacks = ""
    return Fabric(machine=os.uname().nodename, adapters=adapters, lacks=lacks)


def transport_line(fabrics: Sequence[Fabric]) -> str:
    """One line about how the machines of a run talk; empty for one machine.

    Args:
        fabrics: Of each process.
    """
    machines = {one.machine: one for one in fabrics}
    if len(machines) < 2:
        return ""
    lacking = next((one for one in machines.values() if one.lacks), None)
    if lacking is not None:
        return f"NCCL: {len(machines)} machines talk over TCP, because of {lacking.machine}: {lacking.lacks}"
    fewest = min(len(one.adapters) for one in machines.values())
    return f"NCCL: {len(machines)} machines talk over InfiniBand, {counted(fewest, 'adapter')} each"


def _is_infiniband(adapter: Path) -> bool:
    """Whether it is one; adapters of Azure's Ethernet stand in the same folder."""
    for layer in adapter.glob("ports/*/link_layer"):
        with contextlib.suppress(OSError):
            if layer.read_text().strip() == "InfiniBand":
                return True
    return False


def _has_library() -> bool:
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError:
        return False
    return True
