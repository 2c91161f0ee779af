"""Whoever starts the processes of a run, each knows which of how many it is, and where they meet."""

import os
import subprocess
import sys

import pytest

from mrikit.errors import ConfigError
from mrikit.launch import Launch, adopt_launch, first_host, read_launch

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "10.0.0.4", "MASTER_PORT": "29500"}
AZURE_ML = {**TORCHRUN, "MASTER_PORT": "6105", "NODE_RANK": "1", "AZUREML_EXPERIMENT_ID": "x"}
MPI = {
    "OMPI_COMM_WORLD_RANK": "5", "OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "4", "AZ_BATCH_MASTER_NODE": "10.0.0.5:6000",
}  # fmt: skip
SLURM = {
    "SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "4", "SLURM_LOCALID": "0", "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_JOB_ID": "123456", "SLURM_NTASKS": "4",
}  # fmt: skip


def launch(launcher, rank, local_rank, world_size, address, port):
    return Launch(
        launcher=launcher, rank=rank, local_rank=local_rank, world_size=world_size, master_address=address,
        master_port=port,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, launch("none", 0, 0, 1, "", 0)),
        (TORCHRUN, launch("torchrun", 3, 1, 8, "10.0.0.4", 29500)),
        (AZURE_ML, launch("torchrun", 3, 1, 8, "10.0.0.4", 6105)),
        (MPI, launch("mpi", 5, 1, 8, "10.0.0.5", 6105)),
        ({**MPI, "MASTER_ADDR": "first", "MASTER_PORT": "7"}, launch("mpi", 5, 1, 8, "first", 7)),
        (SLURM, launch("slurm", 2, 0, 4, "gpu07", 23456)),
        ({**SLURM, "MASTER_ADDR": "first", "MASTER_PORT": "7"}, launch("slurm", 2, 0, 4, "first", 7)),
        # torchrun inside of a step of srun: the inner launcher counts.
        ({**SLURM, **TORCHRUN}, launch("torchrun", 3, 1, 8, "10.0.0.4", 29500)),
    ],
)
def test_every_launcher_says_which_of_how_many(environ, expected):
    assert read_launch(environ) == expected


def test_mpi_on_one_machine_meets_there():
    one = {**MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "8"}
    assert read_launch(one).master_address == "127.0.0.1"
    del one["AZ_BATCH_MASTER_NODE"], one["OMPI_COMM_WORLD_LOCAL_SIZE"]
    assert read_launch(one).master_address == "127.0.0.1"


@pytest.mark.parametrize(
    "environ",
    [
        {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"},  # a batch script
        {**SLURM, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"},  # srun --pty bash
    ],
)
def test_a_shell_in_an_allocation_is_a_process_alone(environ):
    assert read_launch(environ).world_size == 1


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu07", "gpu07"), ("gpu07,gpu09", "gpu07"), ("gpu[07-09,12],big1", "gpu07"), ("gpu[3,5]", "gpu3"),
        ("rack[1-2]-gpu", "rack1-gpu"), ("", ""),
    ],
)  # fmt: skip
def test_the_first_machine_of_a_list_is_found(nodes, first):
    assert first_host(nodes) == first


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"RANK": "0", "WORLD_SIZE": "2"}, "sets RANK, WORLD_SIZE but not LOCAL_RANK, MASTER_ADDR, MASTER_PORT; start"),
        (
            {**TORCHRUN, "RANK": "x"},
            "RANK, WORLD_SIZE, LOCAL_RANK in the environment are whole .*; found RANK='x'",
        ),
        (
            {**TORCHRUN, "MASTER_PORT": "http"},
            "MASTER_PORT in the environment are whole .*; found MASTER_PORT='http'",
        ),
        ({**TORCHRUN, "RANK": "8"}, "torchrun says that this is process 8 of 8"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "lacks OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_LOCAL_RANK"),
        ({**MPI, "AZ_BATCH_MASTER_NODE": ""}, "started 8 processes on several machines .*; set MASTER_ADDR"),
        ({**SLURM, "SLURM_STEP_NODELIST": ""}, "srun started 4 processes and SLURM_STEP_NODELIST names no machine"),
        ({key: SLURM[key] for key in SLURM if key != "SLURM_PROCID"}, "lacks SLURM_PROCID; was it changed by hand"),
    ],
)
def test_half_an_environment_is_one_clear_line(environ, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_launch(environ)
    assert "\n" not in str(caught.value)


def test_other_launchers_are_written_as_torchrun_writes():
    environ = dict(SLURM)
    adopt_launch(environ)
    assert environ == {
        **SLURM,
        "RANK": "2",
        "WORLD_SIZE": "4",
        "LOCAL_RANK": "0",
        "MASTER_ADDR": "gpu07",
        "MASTER_PORT": "23456",
    }
    assert read_launch(environ).launcher == "torchrun"


def test_an_environment_without_a_launch_or_with_torchruns_stays_as_it_is():
    for environ in ({}, {"RANK": "0"}, dict(TORCHRUN)):
        before = dict(environ)
        adopt_launch(environ)
        assert environ == before


def test_the_command_line_adopts_a_launch():
    environ = {**os.environ, **SLURM, "SLURM_PROCID": "x"}
    done = subprocess.run(
        [sys.executable, "-m", "mrikit", "tasks"], env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "mrikit: SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID in the environment are whole"
    )
