"""What `mrikit doctor --container` says of the container that a job runs in."""

import json

import pytest
from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.estate.container import gpu_diagnosis, user_diagnosis


@pytest.mark.parametrize(
    ("driver", "cuda", "gpus", "state", "what", "remedy"),
    [
        ("580.65", "13.0", ["NVIDIA A100"] * 2, "ok", "2 x NVIDIA A100, driver 580.65, torch for CUDA 13.0", ""),
        ("535.183", "13.0", [], "missing", "NVIDIA's driver 535.183 is too old for CUDA 13.0", "--cuda cu126"),
        ("580.65", "13.0", [], "missing", "but torch sees no GPU", "docker run --gpus all"),
        ("580.65", None, [], "warning", "torch is for CPUs only", "take the image mrikit"),
        ("", None, [], "ok", "no NVIDIA driver", ""),
        ("", "13.0", [], "warning", "no NVIDIA driver", ""),
    ],
)
def test_a_gpu_that_torch_cannot_use_is_told_with_its_reason(driver, cuda, gpus, state, what, remedy):
    found = gpu_diagnosis(driver, cuda, gpus)
    assert found.state == state
    assert what in found.what
    assert remedy in found.remedy
    assert bool(remedy) == bool(found.remedy)


def test_the_user_and_the_image_are_told():
    assert user_diagnosis("mrikit", 0).what == "mrikit, user 0 (root)"
    assert user_diagnosis("", 1000).what == "none of mrikit, user 1000"


def test_the_command_looks_at_the_container_alone(monkeypatch):
    monkeypatch.setenv("MRIKIT_IMAGE", "mrikit-cpu")
    done = CliRunner().invoke(app, ["doctor", "--container", "--json"])
    found = json.loads(done.stdout)["findings"]
    assert [one["subject"] for one in found] == ["container", "GPU", "InfiniBand", "versions"]
    assert found[0]["what"].startswith("mrikit-cpu, user ")
    shown = CliRunner().invoke(app, ["doctor", "--container"]).stdout
    assert "Azure" not in shown
