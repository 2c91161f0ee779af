"""The whole of MLflow opens what its small client has written, by the command that a run prints."""

import importlib.metadata
import os
import socket
import subprocess
import venv

import pytest
from waiting import until

from mrikit.runs.trackers.mlflow import local_stores
from mrikit.runs.tracking import open_trackers

READ = """
import sys, mlflow
client = mlflow.MlflowClient(sys.argv[1])
runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
print([(run.info.run_name, run.data.params, run.data.metrics) for run in runs])
"""


@pytest.fixture(scope="module")
def mlflow_bin(tmp_path_factory):
    """The programs of an environment with all of MLflow, of the version of the small client."""
    folder = tmp_path_factory.mktemp("mlflow")
    venv.create(folder, with_pip=True)
    version = importlib.metadata.version("mlflow-skinny")
    words = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", f"mlflow=={version}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = f"MLflow cannot be installed: {done.stderr.strip()[-300:]}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder / "bin"


@pytest.mark.slow
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_the_command_that_is_printed_shows_the_run(tmp_path, mlflow_bin, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracker = open_trackers(["mlflow"], tmp_path, run_name="knee tiny", config={"task": "knee"}, resume_step=0)
    tracker.log({"kind": "train", "step": 1, "loss": 0.5})
    tracker.close()
    (command,) = local_stores([tmp_path])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PATH": f"{mlflow_bin}:{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment.pop("PYTHONPATH", None)
    with subprocess.Popen(
        f"exec env {command} --host 127.0.0.1 --port {port} --workers 1", shell=True, env=environment, cwd=tmp_path
    ) as server:
        try:
            until(lambda: is_open(port), server)
            words = [mlflow_bin / "python", "-c", READ, f"http://127.0.0.1:{port}"]
            said = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
        finally:
            server.terminate()
    assert said.strip() == "[('knee tiny', {'task': 'knee'}, {'train/loss': 0.5})]"


@pytest.mark.slow
def test_without_what_the_command_sets_it_is_refused(tmp_path, mlflow_bin):
    words = [mlflow_bin / "python", "-c", READ, tmp_path.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "MLFLOW_ALLOW_FILE_STORE=true" in done.stderr


def is_open(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
