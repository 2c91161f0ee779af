"""Jobs that are started again with more memory."""

import pytest

from mrikit.errors import ConfigError
from mrikit.launching.job import FAILED, RESTARTING, JobSpec
from mrikit.launching.memory import with_memory_of, with_more_memory
from mrikit.launching.outcome import OUT_OF_MEMORY
from mrikit.launching.slurm.status import read_starts, status_of
from mrikit.launching.state import JobState

SPEC = JobSpec(name="x", command=("train",), folder="/", resources={"partition": "gpu"})


@pytest.mark.parametrize(("had", "gets"), [("32GB", "64GB"), ("3g", "6g"), ("8000", "16000")])
def test_a_job_gets_twice_what_it_had_in_the_same_unit(had, gets):
    found = with_more_memory(SPEC, {"memory": had, "partition": "cpu"})
    assert found.resources == {"partition": "gpu", "memory": gets}


def test_what_is_named_counts_whatever_it_had():
    assert with_more_memory(SPEC, {}, "64GB").resources["memory"] == "64GB"


@pytest.mark.parametrize(
    ("before", "was"), [({}, "started without --resource memory"), ({"memory": "1.5g"}, "it had '1.5g'")]
)
def test_twice_of_nothing_known_is_one_line(before, was):
    with pytest.raises(ConfigError, match=rf"x ran out of memory, and .*{was}.*; name what it gets with --memory 64GB"):
        with_more_memory(SPEC, before)


def test_a_job_keeps_the_memory_of_its_last_start_unless_it_names_its_own():
    assert with_memory_of(SPEC, {"memory": "64GB", "qos": "a"}).resources == {"partition": "gpu", "memory": "64GB"}
    assert with_memory_of(with_more_memory(SPEC, {}, "8GB"), {"memory": "64GB"}).resources["memory"] == "8GB"


def test_a_job_here_or_in_docker_ran_out_of_memory_when_its_last_start_did():
    assert JobState(state=FAILED, exit_code=OUT_OF_MEMORY).status().is_out_of_memory
    assert not JobState(state=FAILED, exit_code=1).status().is_out_of_memory
    assert not JobState(state=RESTARTING, exit_code=OUT_OF_MEMORY).status().is_out_of_memory


@pytest.mark.parametrize(("reason", "is_it"), [("memory", True), ("error", False), ("taken", False)])
def test_a_job_on_slurm_ran_out_of_memory_when_its_script_says_so(tmp_path, reason, is_it):
    (tmp_path / "starts.txt").write_text(f"start 1 1000 localhost\nend 1 1060 {reason} 137 over\n")
    status = status_of(SPEC, read_starts(tmp_path), {"JobState": "FAILED"}, is_cancelled=False)
    assert (status.state, status.is_out_of_memory) == ("failed", is_it)


@pytest.mark.parametrize(("state", "is_it"), [("OUT_OF_MEMORY", True), ("NODE_FAIL", False), ("RUNNING", False)])
def test_a_job_on_slurm_ran_out_of_memory_when_slurm_says_so_of_its_script(tmp_path, state, is_it):
    (tmp_path / "starts.txt").write_text("start 1 1000 localhost\n")
    status = status_of(SPEC, read_starts(tmp_path), {"JobState": state}, is_cancelled=False)
    assert status.is_out_of_memory is is_it
