"""InfiniBand machines of Azure: settings of NCCL, and which GPU is near which adapter.

A virtual machine does not show its true PCI tree, so that NCCL guesses wrongly without a file that tells. What is below
is how Azure's own images for these machines are set up: `customizations/ndv4.sh`, `ndv5.sh` and `topology/` of
https://github.com/Azure/azhpc-images. Azure ML documents InfiniBand of the host alone
(https://learn.microsoft.com/azure/machine-learning/how-to-train-distributed-gpu); the container brings the rest.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = "/opt/mrikit/nccl"
"""Where the container image has the files."""
_GPU, _ADAPTER, _BRIDGE = "0x030200", "0x020700", "0x060400"
"""Classes of PCI devices: 3D controller, InfiniBand controller, bridge."""
_NUM_CPUS = 96


@dataclass(frozen=True, kw_only=True, slots=True)
class _Series:
    """One series of machines; all sizes of it are wired alike."""

    name: str
    """Of its file."""
    sizes: re.Pattern[str]
    """Which sizes belong to it."""
    cpu: str
    """Attributes of its CPUs, besides place and number."""
    link_speed: str
    """Of a PCIe lane."""
    nodes: tuple[tuple[tuple[tuple[int, int], ...], ...], ...]
    """For each NUMA node its bridges, for each bridge its pairs of GPU and adapter, as PCI domains."""
    settings: tuple[tuple[str, str], ...] = ()
    """Variables of NCCL besides the file."""


_RELAXED = ("NCCL_IB_PCI_RELAXED_ORDERING", "1")
_SERIES = (
    _Series(
        name="ndv4",
        sizes=re.compile(r"Standard_ND96a\w*_v4", re.IGNORECASE),
        cpu='arch="x86_64" vendor="AuthenticAMD" familyid="23" modelid="49"',
        link_speed="16 GT/s",
        nodes=(
            (((0x3, 0x103), (0x4, 0x104)),),
            (((0x1, 0x101), (0x2, 0x102)),),
            (((0xD, 0x107), (0xE, 0x108)),),
            (((0xB, 0x105), (0xC, 0x106)),),
        ),
        settings=(_RELAXED,),
    ),
    _Series(
        name="ndv5",
        sizes=re.compile(r"Standard_ND96is\w*_H100_v5", re.IGNORECASE),
        cpu='arch="x86_64" vendor="GenuineIntel" familyid="6" modelid="143"',
        link_speed="32.0 GT/s PCIe",
        nodes=(
            (((0x1, 0x101),), ((0x2, 0x102),), ((0x3, 0x103),), ((0x8, 0x104),)),
            (((0x9, 0x105),), ((0xA, 0x106),), ((0xB, 0x107),), ((0xC, 0x108),)),
        ),
        settings=(_RELAXED, ("NCCL_IGNORE_CPU_AFFINITY", "1")),
    ),
)


def nccl_settings(sku: str) -> dict[str, str]:
    """Environment of NCCL on machines of a size; empty where they have no InfiniBand.

    An image without the file only makes NCCL say so and guess.
    """
    for series in _SERIES:
        if series.sizes.fullmatch(sku):
            return {"NCCL_TOPO_FILE": f"{FOLDER}/{series.name}.xml", **dict(series.settings)}
    return {}


def write_topologies(folder: Path) -> None:
    """Write the file of each series, `NAME.xml`."""
    folder.mkdir(parents=True, exist_ok=True)
    for series in _SERIES:
        (folder / f"{series.name}.xml").write_text(topology_text(series))


def topology_text(series: _Series) -> str:
    """NCCL's XML of a series; its CPUs are split evenly between the NUMA nodes."""
    lines, bridge = ['<system version="1">'], 0
    width = _NUM_CPUS // len(series.nodes)
    for number, bridges in enumerate(series.nodes):
        affinity = _affinity(range(width * number, width * (number + 1)))
        lines.append(f'  <cpu numaid="{number}" affinity="{affinity}" {series.cpu}>')
        for pairs in bridges:
            bridge += 1
            lines.append(f"    {_device(f'ffff:ff:{bridge:02x}.0', _BRIDGE, series)}>")
            for pair in pairs:
                for domain, kind in zip(pair, (_GPU, _ADAPTER), strict=True):
                    lines.append(f"      {_device(f'{domain:04x}:00:00.0', kind, series)}/>")
            lines.append("    </pci>")
        lines.append("  </cpu>")
    return "\n".join([*lines, "</system>", ""])


def _device(address: str, kind: str, series: _Series) -> str:
    return f'<pci busid="{address}" class="{kind}" link_speed="{series.link_speed}" link_width="16"'


def _affinity(cpus: Sequence[int]) -> str:
    """Bits of CPUs as Linux writes them: groups of 32, the highest first."""
    bits = f"{sum(1 << cpu for cpu in cpus):0{_NUM_CPUS // 4}x}"
    return ",".join(bits[start : start + 8] for start in range(0, len(bits), 8))


if __name__ == "__main__":
    write_topologies(Path(sys.argv[1]))
