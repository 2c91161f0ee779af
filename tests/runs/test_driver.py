"""NVIDIA's driver, and how machines of a run talk."""

import pytest

from mrikit.runs.driver import driver_problem, driver_version
from mrikit.runs.transport import Fabric, find_fabric, transport_line

OLD = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build"


@pytest.mark.parametrize(("text", "version"), [(OLD, "535.183"), (OPEN, "580.65"), ("something", "")])
def test_the_driver_tells_its_version(tmp_path, text, version):
    (tmp_path / "version").write_text(f"{text}\nGCC version:  gcc\n")
    assert driver_version(tmp_path / "version") == version


def test_without_a_driver_there_is_no_version(tmp_path):
    assert driver_version(tmp_path / "version") == ""


def test_a_driver_that_is_too_old_for_torchs_cuda_is_named_with_the_image_that_would_do():
    told = driver_problem("535.183", "13.0")
    assert told.startswith(
        "NVIDIA's driver 535.183 is too old for CUDA 13.0, which torch was built for and which needs 580"
    )
    assert told.endswith("`mrikit image build --cuda cu126`")


@pytest.mark.parametrize(("version", "cuda"), [("535.183", "12.6"), ("580.65", "13.0"), ("", "13.0"), ("535.1", None)])
def test_a_driver_that_does_is_no_problem(version, cuda):
    assert driver_problem(version, cuda) == ""


@pytest.fixture
def root(tmp_path):
    """A machine with two InfiniBand adapters, and one for Ethernet as Azure's accelerated networking has."""
    for name, layer in (("mlx5_ib0", "InfiniBand"), ("mlx5_ib1", "InfiniBand"), ("mlx5_an0", "Ethernet")):
        folder = tmp_path / "sys/class/infiniband" / name / "ports/1"
        folder.mkdir(parents=True)
        (folder / "link_layer").write_text(f"{layer}\n")
    (tmp_path / "dev/infiniband").mkdir(parents=True)
    (tmp_path / "dev/infiniband/uverbs0").touch()
    return tmp_path


@pytest.fixture
def has_library(monkeypatch):
    monkeypatch.setattr("mrikit.runs.transport.ctypes.CDLL", lambda name: name)


def test_adapters_for_ethernet_are_none_for_infiniband(root, has_library):
    fabric = find_fabric({}, root)
    assert (fabric.adapters, fabric.lacks) == (("mlx5_ib0", "mlx5_ib1"), "")


def test_what_keeps_nccl_from_infiniband_is_named(root, has_library, monkeypatch, tmp_path):
    assert find_fabric({"NCCL_IB_DISABLE": "1"}, root).lacks == "NCCL_IB_DISABLE is set"
    assert find_fabric({}, tmp_path / "nothing").lacks == "it has no InfiniBand adapter"

    def missing(name):
        raise OSError(name)

    monkeypatch.setattr("mrikit.runs.transport.ctypes.CDLL", missing)
    assert find_fabric({}, root).lacks == "there is no libibverbs.so.1; apt-get install libibverbs1 ibverbs-providers"
    (root / "dev/infiniband/uverbs0").unlink()
    assert find_fabric({}, root).lacks == "the container is not given /dev/infiniband"


def test_machines_with_adapters_talk_over_infiniband_and_one_without_makes_it_tcp():
    fast = [Fabric(machine=name, adapters=("a", "b")) for name in "xxyy"]
    assert transport_line(fast) == "NCCL: 2 machines talk over InfiniBand, 2 adapters each"
    slow = Fabric(machine="z", adapters=(), lacks="it has no InfiniBand adapter")
    assert transport_line([*fast, slow]) == (
        "NCCL: 3 machines talk over TCP, because of z: it has no InfiniBand adapter"
    )
    assert transport_line(fast[:2]) == ""
