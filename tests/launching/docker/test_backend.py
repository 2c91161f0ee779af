"""What Docker would be told, and what is said where it cannot be; tests/containers runs it for real."""

import os
import shutil

import pytest
from estates import example_estate
from typer.testing import CliRunner

from mrikit import __version__
from mrikit.commands.app import app
from mrikit.errors import ConfigError, JobError
from mrikit.launching.command import places
from mrikit.launching.docker import start
from mrikit.launching.docker.backend import DockerBackend
from mrikit.launching.docker.client import docker, explained
from mrikit.launching.job import JobSpec
from mrikit.launching.records import JOBS, spec_from_json
from mrikit.storage.estate import ESTATE, save_estate


@pytest.fixture(autouse=True)
def jobs(tmp_path, monkeypatch):
    """A folder for jobs; no estate is linked."""
    monkeypatch.setenv(JOBS, "/srv/jobs")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(ESTATE, raising=False)


def spec_of(*command, **facts):
    words = command or ("reconstruct", "--data", "/data/in", "--out", "/data/out")
    facts = {"name": "one-0123", "folder": "/work/here", "inputs": ("/data/in",), "outputs": ("/data/out",)} | facts
    return JobSpec(command=words, **facts)


def lines_of(**facts):
    (plan,) = DockerBackend().plan([spec_of(**facts)])
    return plan.job_file.splitlines()


def mounts_of(*command, **facts):
    (plan,) = DockerBackend().plan([spec_of(*command, **facts)])
    words = plan.job_file.split()
    mounts = [words[index + 1] for index, word in enumerate(words) if word == "--mount"]
    return {
        one.split("src=")[1].split(",")[0]: "read" if "readonly" in one else "write"
        for one in mounts
        if "/srv/jobs" not in one
    }


def test_a_container_may_do_nothing_that_it_does_not_need():
    (line,) = lines_of()
    assert line.startswith("docker run --detach --name mrikit-one-0123 --label mrikit.job=one-0123 ")
    for words in (
        "--read-only", "--tmpfs /tmp", "--cap-drop ALL", "--security-opt no-new-privileges", "--network none",
        f"--user {os.getuid()}:{os.getgid()}", "--workdir /work/here", "--shm-size 1g", "--restart on-failure:11",
    ):  # fmt: skip
        assert f" {words} " in line
    assert "--gpus" not in line
    assert line.endswith(
        f"--entrypoint python mrikit-cpu:{__version__} -P -m mrikit.launching.docker.first_process "
        "/srv/jobs/one-0123/docker-0/node-0"
    )


def test_the_command_inside_is_the_command_given():
    (plan,) = DockerBackend().plan([spec_of()])
    assert plan.command == ("mrikit", "reconstruct", "--data", "/data/in", "--out", "/data/out")
    assert plan.where == f"Docker, container image mrikit-cpu:{__version__}"


def test_a_label_holds_the_whole_job():
    spec = spec_of(max_errors=3, resources={"memory": "8g"})
    (plan,) = DockerBackend().plan([spec])
    import shlex

    words = shlex.split(plan.job_file)
    (label,) = [word for word in words if word.startswith("mrikit.spec=")]
    assert spec_from_json(label.partition("=")[2]) == spec


def test_several_processes_are_started_by_torchrun():
    (plan,) = DockerBackend().plan([spec_of(processes_per_node=2)])
    assert plan.command[:9] == (
        "torchrun", "--nnodes", "1", "--node-rank", "0", "--nproc-per-node", "2", "--master-addr", "127.0.0.1",
    )  # fmt: skip
    assert plan.command[-7:-4] == ("--no-python", "mrikit", "reconstruct")


def test_several_nodes_are_containers_on_a_network_of_their_own():
    network, first, second = lines_of(nodes=2)
    assert network == "docker network create --label mrikit.job=one-0123 --internal mrikit-one-0123"
    for node, line in enumerate((first, second)):
        assert f" --network mrikit-one-0123 --hostname node{node} --network-alias node{node} " in line
        assert " --restart no " in line
    assert "--name mrikit-one-0123-node1" in second
    (plan,) = DockerBackend().plan([spec_of(nodes=2)])
    assert "--master-addr node0" in " ".join(plan.command)


def test_gpus_take_the_image_with_cuda():
    (line,) = lines_of(gpus_per_node=2)
    assert " --gpus 2 " in line
    assert f" mrikit:{__version__} " in line


def test_resources_become_words_of_docker():
    (line,) = lines_of(
        processes_per_node=2,
        resources={"image": "other:1", "memory": "8g", "cpus": "6.5", "shm": "2g", "network": "host"},
    )
    for words in ("--memory 8g", "--cpus 6.5", "--shm-size 2g", "--network host", "--entrypoint python other:1"):
        assert words in line
    (plan,) = DockerBackend().plan([spec_of(processes_per_node=2, resources={"cpus": "6.5"})])
    assert plan.env == {"OMP_NUM_THREADS": "3"}


def test_places_are_mounted_where_they_are():
    assert mounts_of() == {"/work/here": "write", "/data/in": "read", "/data/out": "write"}


def test_places_below_others_are_mounted_only_if_they_differ():
    train = ("train", "--task", "knee_acc4")
    assert mounts_of(*train, inputs=("/work/here/data",), outputs=("/work/here/runs",)) == {
        "/work/here": "write",
        "/work/here/data": "read",
    }
    assert mounts_of(*train, inputs=("/data", "/data/in"), outputs=("/data/out",)) == {
        "/work/here": "write",
        "/data": "read",
        "/data/out": "write",
    }
    assert mounts_of(*train, inputs=("/data/run",), outputs=("/data/run",))["/data/run"] == "write"


@pytest.mark.parametrize(
    ("command", "name"), [(("evaluate",), "recon"), (("data", "index"), "data"), (("data", "unpack"), "archives")]
)
def test_commands_that_write_beside_what_they_read_may_do_so(command, name, tmp_path):
    inputs, outputs = places(command, {name: tmp_path})
    assert mounts_of(*command, str(tmp_path), inputs=inputs, outputs=outputs)[str(tmp_path)] == "write"


def test_the_folder_of_a_file_to_write_is_mounted_and_made_and_not_the_file(tmp_path):
    (tmp_path / "study").mkdir()
    outputs = (str(tmp_path / "study"), str(tmp_path / "kept" / "index.json"))
    words = ("data", "index", "study", "--index", "kept/index.json")
    facts = {"folder": str(tmp_path), "inputs": (), "outputs": outputs}
    assert mounts_of(*words, **facts)[str(tmp_path)] == "write"
    elsewhere = (*words[:-1], "/store/index.json")
    assert mounts_of(*elsewhere, inputs=(), outputs=("/store/index.json",))["/store"] == "write"
    start._make_places(spec_of(*words, **facts), [tmp_path / "order"])
    assert (tmp_path / "kept").is_dir()
    assert not (tmp_path / "kept" / "index.json").exists()


def test_other_folders_can_be_named():
    assert mounts_of(resources={"mount": "/store/a,/store/b"}) == {
        "/work/here": "write", "/data/in": "read", "/data/out": "write", "/store/a": "read", "/store/b": "read",
    }  # fmt: skip


def test_a_path_with_a_comma_is_quoted():
    (line,) = lines_of(inputs=("/data/a,b",))
    assert """--mount 'type=bind,"src=/data/a,b","dst=/data/a,b",readonly'""" in line


def test_azure_opens_the_network_and_brings_the_linked_estate(tmp_path):
    file = save_estate(example_estate())
    (plan,) = DockerBackend().plan([spec_of(inputs=("az://datasets/knee",))])
    assert " --network bridge " in plan.job_file
    assert plan.env == {ESTATE: str(file)}
    assert f"src={file}," in plan.job_file
    assert any("this machine's identity" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"resources": {"partition": "gpu"}}, "--resource partition=gpu: --on docker takes image, memory, "),
        ({"simulates_preemption": True}, "--simulate-preemption: --on docker cannot do that"),
        ({"nodes": 2, "resources": {"network": "none"}}, "--resource network=none: several nodes and az:// places"),
        ({"resources": {"cpus": "many"}}, "--resource cpus=many: a number above 0 is needed"),
        ({"resources": {"mount": "data"}}, "--resource mount=data: an absolute path is needed"),
        ({"folder": "/"}, "/ cannot be mounted at its own path: the container has /opt/venv of its own"),
        ({"inputs": ("/usr/share/data",)}, "/usr/share/data cannot be mounted at its own path"),
    ],
)
def test_what_docker_cannot_do_is_said_before_it_is_asked(facts, message):
    with pytest.raises(ConfigError) as error:
        DockerBackend().plan([spec_of(**facts)])
    assert str(error.value).startswith(message)


def test_a_chain_is_refused():
    with pytest.raises(ConfigError, match="one job at a time; found 2"):
        DockerBackend().plan([spec_of(), spec_of(name="two")])


def test_a_plan_needs_no_docker(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    words = ["reconstruct", "--data", "in", "--out", "out", "--on", "docker", "--dry-run"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert "docker run --detach" in done.stdout


def test_a_missing_docker_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JobError, match="the program docker is not on the PATH; install Docker"):
        DockerBackend().find()


@pytest.mark.skipif(shutil.which("docker") is None, reason="no docker command")
def test_a_dead_engine_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(JobError, match="Docker's engine does not answer; start it"):
        DockerBackend().submit([spec_of()])


def test_what_docker_says_becomes_one_line():
    said = 'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].\n'
    assert explained("run", said, 125).endswith("install the NVIDIA Container Toolkit")
    said = "Error response from daemon: something\nelse.\nSee 'docker run --help'.\n"
    assert explained("run", said, 125) == "`docker run` fails: something else."
    assert explained("run", "", 3) == "`docker run` fails: exit code 3"


def test_a_docker_that_hangs_is_given_up(tmp_path, monkeypatch):
    (tmp_path / "docker").write_text("#!/bin/sh\nexec /bin/sleep 30\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JobError, match=r"`docker ps` has not answered for 0.2 s; is its engine well"):
        docker("ps", timeout_s=0.2)


@pytest.mark.parametrize(
    ("answers", "num_calls"),
    [
        (["network mrikit-a-job has active endpoints"] * 2 + [""], 3),
        (["network mrikit-a-job not found", ""], 1),
        ([""], 1),
    ],
)
def test_a_network_that_a_container_is_just_leaving_is_asked_for_again(monkeypatch, answers, num_calls):
    calls = []

    def docker(*words):
        calls.append(words)
        if answers[len(calls) - 1]:
            raise JobError(answers[len(calls) - 1])

    monkeypatch.setattr(start, "docker", docker)
    start.remove_network(spec_of(nodes=2))
    assert [words[:2] for words in calls] == [("network", "rm")] * num_calls
    start.remove_network(spec_of(nodes=1))
    assert len(calls) == num_calls
