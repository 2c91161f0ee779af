"""What jobs on Azure ML say and write: their logs while they run, and files that are brought from Blob."""

import dataclasses

import pytest
from azure_jobs import CHAIN, SPEC, TAKEN_AWAY, failure, text

from mrikit.launching.azure_ml.backend import AzureBackend
from mrikit.storage import write_bytes

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


def test_logs_show_the_first_process_of_a_node_start_after_start(azure, workspace):
    spec = dataclasses.replace(SPEC, processes_per_node=1)
    azure.submit([spec])
    assert failure(lambda: text(azure, spec, "knee-1")) == "job knee-1 has written nothing yet; it is queued"
    workspace.write_log("knee-1", "first start\n", process=0)
    workspace.write_log("knee-1", "of the other node\n", process=1)
    workspace.set_status("knee-1", "Failed", error=TAKEN_AWAY)
    azure.status(spec, "knee-1")
    workspace.set_status("knee-1_1", "Running", log="second start, Grüße\n", process=0)
    assert text(azure, spec, "knee-1") == "first start\nsecond start, Grüße\n"
    assert text(azure, spec, "knee-1", node=1) == "of the other node\n"
    assert "job knee-1 has 2 nodes, counted from 0" in failure(lambda: text(azure, spec, "knee-1", node=2))


def test_a_followed_log_grows_starts_again_and_ends(azure, workspace, monkeypatch):
    spec = dataclasses.replace(SPEC, nodes=1)
    azure.submit([spec])
    steps = iter(
        [
            lambda: workspace.set_status("knee-1", "Running", log="one\n"),
            lambda: workspace.write_log("knee-1", "one\ntwo\n"),
            lambda: workspace.write_log("knee-1", "new\n"),  # on another machine
            lambda: workspace.set_status("knee-1", "Failed", error=TAKEN_AWAY),
            lambda: workspace.set_status("knee-1_1", "Completed", log="three\n"),
        ]
    )
    monkeypatch.setattr("mrikit.launching.azure_ml.logs.time.sleep", lambda _: next(steps)())
    told = text(azure, spec, "knee-1", follow=True)
    again = "\n--- started again by Azure ML, which keeps no log of the start before ---\n"
    assert told == f"one\ntwo\n{again}new\nthree\n"


def test_a_followed_step_is_waited_for_while_its_pipeline_goes_on(azure, workspace, monkeypatch):
    handles = azure.submit(CHAIN)
    root = handles[0].partition("/")[0]

    def begin(_):
        workspace.children[root] = [{"runId": "r2", "displayName": "stage-2"}]
        workspace.set_status(root, "Completed")
        workspace.set_status("r2", "Completed", log="stage two\n", process=0)

    monkeypatch.setattr("mrikit.launching.azure_ml.backend.time.sleep", begin)
    assert text(azure, CHAIN[1], handles[1], follow=True) == "stage two\n"


@pytest.mark.parametrize("chain", [[SPEC], CHAIN])
def test_following_what_was_cancelled_before_it_began_ends(azure, workspace, monkeypatch, chain):
    handle = azure.submit(chain)[-1]

    def end(_):
        workspace.jobs[handle.partition("/")[0]]["properties"]["status"] = "Canceled"

    monkeypatch.setattr("mrikit.launching.azure_ml.backend.time.sleep", end)
    assert "has written nothing yet; it is cancelled" in failure(lambda: text(azure, chain[-1], handle, follow=True))


def test_a_long_log_comes_in_pieces_and_its_address_is_no_place_for_the_token(azure, workspace, monkeypatch):
    monkeypatch.setattr("mrikit.launching.azure_ml.logs.PIECE_BYTES", 1000)
    monkeypatch.setattr("mrikit.launching.azure_ml.runs.PIECE_BYTES", 1000)
    spec, long = dataclasses.replace(SPEC, nodes=1), "ä" * 4999 + "\n"
    azure.submit([spec])
    workspace.set_status("knee-1", "Completed", log=long)
    assert text(azure, spec, "knee-1") == long
    asked = [headers for kind, _, headers in workspace.requests if kind == "GET log"]
    assert len(asked) == 10
    assert not any("Authorization" in headers for headers in asked)


@pytest.mark.parametrize("is_signed", [True, False])
def test_a_log_whose_address_is_refused_or_not_signed_is_read_by_ones_own_login(azure, workspace, is_signed):
    spec = dataclasses.replace(SPEC, nodes=1)
    azure.submit([spec])
    workspace.signs_logs = is_signed
    workspace.refuses["GET log"] = [(403, "AuthorizationFailure", {}), (409, "KeyBasedAuthenticationNotPermitted", {})]
    workspace.set_status("knee-1", "Completed", log="said\n")
    assert text(azure, spec, "knee-1") == "said\n"
    own = [path for kind, path, _ in workspace.requests if kind == "GET own log"]
    assert own == ["/azureml/ExperimentRun/dcid.knee-1/user_logs/std_log.txt"]
    assert len(workspace.refuses["GET log"]) == (1 if is_signed else 2)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (403, "(403); ask for the role Storage Blob Data Reader on it, and that its network rules let you in"),
        (400, "(400); ask again in some minutes"),
    ],
)
def test_a_log_that_ones_own_login_may_not_read_says_who_can_mend_that(azure, workspace, status, told):
    spec = dataclasses.replace(SPEC, nodes=1)
    azure.submit([spec])
    workspace.signs_logs = False
    workspace.refuses_own_login = status
    workspace.set_status("knee-1", "Running", log="said\n")
    assert told in failure(lambda: text(azure, spec, "knee-1"))


@pytest.fixture
def written(blob_container):
    """A job that writes to a real Azurite, which nothing but the container tells of."""
    run = blob_container / "runs/knee"
    return dataclasses.replace(SPEC, outputs=(str(run),)), run


def test_what_a_job_has_written_so_far_is_pulled_while_it_runs(written, tmp_path):
    spec, run = written
    backend = AzureBackend()
    assert backend.pull(spec, tmp_path) == []
    write_bytes(run / "metrics.jsonl", b"one\n")
    write_bytes(run / "checkpoints/state.bin", bytes(range(256)) * 40_000)
    paths = backend.pull(spec, tmp_path)
    assert paths == [tmp_path / "knee/checkpoints/state.bin", tmp_path / "knee/metrics.jsonl"]
    assert paths[0].read_bytes() == bytes(range(256)) * 40_000
    write_bytes(run / "metrics.jsonl", b"two\n")  # of the same size
    kept = paths[0].stat().st_mtime_ns
    assert backend.pull(spec, tmp_path) == paths
    assert paths[1].read_bytes() == b"two\n"
    assert paths[0].stat().st_mtime_ns == kept


def test_a_file_that_was_cut_here_is_pulled_again(written, tmp_path):
    spec, run = written
    write_bytes(run / "a.bin", b"whole")
    (path,) = AzureBackend().pull(spec, tmp_path)
    path.write_bytes(b"who")
    (tmp_path / "knee/.mrikit-pulled.json").write_text("{")
    AzureBackend().pull(spec, tmp_path)
    assert path.read_bytes() == b"whole"


def test_one_file_that_a_job_writes_is_pulled_under_its_name(written, tmp_path):
    spec, run = written
    write_bytes(run / "scores.json", b"{}")
    spec = dataclasses.replace(spec, outputs=(f"{run}/scores.json",))
    assert AzureBackend().pull(spec, tmp_path) == [tmp_path / "scores.json"]


def test_a_job_that_writes_nowhere_in_azure_has_nothing_to_pull(azure, tmp_path):
    spec = dataclasses.replace(SPEC, outputs=())
    assert "writes to no az:// place" in failure(lambda: azure.pull(spec, tmp_path))
