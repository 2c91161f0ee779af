"""What NCCL is told on Azure's machines with InfiniBand."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from mrikit.launching.azure_ml.topology import FOLDER, nccl_settings, write_topologies

ROOT = Path(__file__).parents[3]
GPU, ADAPTER = "0x030200", "0x020700"


@pytest.mark.parametrize(
    ("sku", "file", "more"),
    [
        ("Standard_ND96asr_v4", "ndv4", {}),
        ("Standard_ND96amsr_A100_v4", "ndv4", {}),
        ("standard_nd96isr_h100_v5", "ndv5", {"NCCL_IGNORE_CPU_AFFINITY": "1"}),
    ],
)
def test_machines_with_infiniband_have_a_topology_and_relaxed_ordering(sku, file, more):
    assert nccl_settings(sku) == {
        "NCCL_TOPO_FILE": f"/opt/mrikit/nccl/{file}.xml",
        "NCCL_IB_PCI_RELAXED_ORDERING": "1",
        **more,
    }


@pytest.mark.parametrize("sku", ["Standard_NC24ads_A100_v4", "Standard_D16s_v3", "Standard_ND96isr_MI300X_v5"])
def test_other_machines_have_none(sku):
    assert nccl_settings(sku) == {}


def test_each_of_eight_gpus_shares_a_bridge_with_an_adapter_of_its_own(tmp_path):
    write_topologies(tmp_path)
    for file, num_bridges in (("ndv4.xml", 4), ("ndv5.xml", 8)):
        system = ET.parse(tmp_path / file).getroot()
        bridges = system.findall("cpu/pci")
        assert len(bridges) == num_bridges
        addresses = [device.get("busid") for device in system.iter("pci")]
        assert len(set(addresses)) == len(addresses)
        for kind in (GPU, ADAPTER):
            near = [sum(one.get("class") == kind for one in bridge) for bridge in bridges]
            assert near == [8 // num_bridges] * num_bridges


def test_every_cpu_belongs_to_one_numa_node(tmp_path):
    write_topologies(tmp_path)
    for file in ("ndv4.xml", "ndv5.xml"):
        cpus = ET.parse(tmp_path / file).getroot().findall("cpu")
        masks = [int(cpu.get("affinity").replace(",", ""), 16) for cpu in cpus]
        assert sum(masks) == 2**96 - 1
        assert all(re.fullmatch(r"[0-9a-f]{8}(,[0-9a-f]{8}){2}", cpu.get("affinity")) for cpu in cpus)
    assert cpus[0].get("affinity") == "00000000,0000ffff,ffffffff"


def test_the_image_has_the_files_where_jobs_look_for_them(tmp_path):
    text = (ROOT / "images/mrikit/Dockerfile").read_text()
    assert f"python -m mrikit.launching.azure_ml.topology {FOLDER} " in text
    final = text.rpartition("FROM ")[2]
    assert re.search(r"ibverbs-providers=\S+ .*libibverbs1=", final)
    subprocess.run([sys.executable, "-m", "mrikit.launching.azure_ml.topology", tmp_path], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ndv4.xml", "ndv5.xml"]
