"""Jobs of a training that learns a policy: it learns in one process."""

import pytest

from mrikit.errors import ConfigError
from mrikit.launching.chain import job_chain
from mrikit.launching.options import Chosen
from mrikit.storage import parse_location


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MRIKIT_JOBS", str(tmp_path / "jobs"))


def chain(on="slurm", stage=None, settings=("training.batch_size=32",), **chosen):
    words = ["train", "--task", "knee_acquire", "--data", "D", *(["--stage", str(stage)] if stage else [])]
    params = {"task": "knee_acquire", "size": "tiny", "stage": stage, "out": None, "device": "auto"}
    params |= {"data": parse_location("D"), "settings": list(settings)}
    return job_chain(words, params, Chosen(on=on, **chosen))


def test_the_reconstructor_has_all_processes_and_the_policy_one():
    first, second = chain(nodes=2, gpus=4)
    assert (first.nodes, first.gpus_per_node, first.num_processes) == (2, 4, 8)
    assert (second.nodes, second.gpus_per_node, second.num_processes) == (1, 1, 1)
    assert second.command[-2:] == ("--stage", "2")
    assert "runs/knee_acquire-ss_ddqn-tiny" in second.command


def test_one_job_for_a_policy_has_one_process():
    (only,) = chain(stage=2, settings=())
    assert only.num_processes == 1
    with pytest.raises(ConfigError, match="a policy learns in one process, found 2"):
        chain(stage=2, settings=(), gpus=2)
