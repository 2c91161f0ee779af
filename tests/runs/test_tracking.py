import io
import json
import math
import os
import subprocess
import sys
import threading
import types

import numpy as np
import pytest
from matplotlib.image import imread

from mrikit.errors import ConfigError, StorageError
from mrikit.runs import tracking
from mrikit.runs.trackers import SERVICES, Service
from mrikit.runs.trackers.common import redact
from mrikit.runs.trackers.mlflow import local_stores
from mrikit.runs.tracking import JsonLines, open_trackers, require_trackers, trim

CONFIG = {
    "task": "knee_multicoil",
    "training": {"seed": 7, "accelerations": [4, 8]},
    "data": "https://someone:hunter2@lake.blob/knee?sv=1&sig=SECRET",
    "long": "x" * 7000,
}


def train(step, loss=0.5):
    return {"kind": "train", "step": step, "epoch": step / 10, "loss": loss, "lr": 1e-3}


def validation(step, ssim=0.9):
    return {"kind": "validation", "step": step, "epoch": 1, "ssim": ssim, "is_best": True}


def read(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def track(folder, names, rows, resume_step=0, config=CONFIG, pictures=()):
    tracker = open_trackers(names, folder, run_name="knee tiny", config=config, resume_step=resume_step)
    for row in rows:
        tracker.log(row)
    for step in pictures:
        tracker.show("validation", picture(step), step)
    tracker.close()


def picture(step):
    return np.full((4, 6), step, np.uint8)


def pictures(folder):
    return {path.name: np.rint(255 * imread(path)).max() for path in (folder / "pictures").glob("*.png")}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    """What a user may have set in the environment is not part of a test."""
    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "WANDB_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    # What our code sets by default goes with the test.
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


class Remembering:
    """A service that remembers what it gets, and may fail or hang."""

    def __init__(self, fail_at=None, hang=None):
        self.rows, self.pictures, self.fail_at, self.hang, self.is_closed = [], [], fail_at, hang, False

    def log(self, row):
        if self.hang:
            self.hang.wait()
        if row["step"] == self.fail_at:
            raise ConnectionError("no route to https://someone:hunter2@server/api?key=SECRET\nor so")
        self.rows.append(row)

    def show(self, name, image, step):
        self.pictures.append((name, image.tolist(), step))

    def close(self):
        self.is_closed = True


@pytest.fixture
def service(monkeypatch):
    """Puts a tracker or an error in the place of a service, as a package of its own would."""

    def put(name, found):
        def open_service(*_):
            if isinstance(found, Exception):
                raise found
            return found

        plug_in = types.ModuleType(f"plug_in_{name}")
        plug_in.open_service = open_service
        monkeypatch.setitem(sys.modules, plug_in.__name__, plug_in)
        monkeypatch.setitem(SERVICES, name, Service(f"{plug_in.__name__}:open_service", "json", "a-plug-in"))
        return found

    return put


def test_a_validation_that_the_checkpoint_does_not_know_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"kind":"train","step":2}\n{"kind":"validation","step":2}\n{"kind":"train","step":3}\n')
    trim(path, 2, 0)
    assert path.read_text() == '{"kind":"train","step":2}\n'


def test_the_validation_before_the_first_step_is_dropped_until_a_step_is_saved(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"kind":"start","step":0}\n')
    trim(path, 2, 0)
    assert path.read_text() == '{"kind":"start","step":0}\n'
    trim(path, 0, 0)
    assert path.read_text() == ""


def test_every_row_is_on_disk_as_one_line_when_log_returns(tmp_path):
    lines = JsonLines(tmp_path / "new" / "metrics.jsonl")
    for row in (train(1), validation(1)):
        lines.log(row)
        assert read(tmp_path / "new")[-1] == row
    lines.close()
    assert len(read(tmp_path / "new")) == 2


def test_numbers_that_json_lacks_are_null(tmp_path):
    lines = JsonLines(tmp_path / "metrics.jsonl")
    lines.log({"kind": "train", "step": 1, "loss": math.nan, "psnr": math.inf})
    lines.close()
    assert read(tmp_path) == [{"kind": "train", "step": 1, "loss": None, "psnr": None}]


def test_rows_beyond_the_step_and_a_torn_line_are_trimmed(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = [train(1), train(2), validation(2), train(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"kind": "train", "st')
    trim(path, 2)
    assert read(tmp_path) == rows[:3]
    trim(path, 0)
    assert path.read_text() == ""


def test_a_line_without_its_end_is_torn_even_if_it_reads_as_json(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps(train(1)) + "\n" + json.dumps(train(2)))
    trim(path, 2)
    assert read(tmp_path) == [train(1)]


def test_nothing_to_trim_leaves_the_file_alone(tmp_path):
    path = tmp_path / "metrics.jsonl"
    trim(path, 5)
    assert not path.exists()
    path.write_text(json.dumps(train(1)) + "\n")
    before = path.stat()
    trim(path, 1)
    assert path.stat() == before


def test_damaged_lines_in_the_middle_are_counted(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f"{json.dumps(train(1))}\n\0\0\n[1]\n{json.dumps(train(2))}\n")
    with pytest.warns(UserWarning, match=r"metrics\.jsonl: 2 damaged lines were dropped"):
        trim(path, 2)
    assert read(tmp_path) == [train(1), train(2)]


def test_after_a_kill_and_a_resume_every_step_is_there_once(tmp_path):
    script = (
        "import os, signal, sys, pathlib; from mrikit.runs.tracking import open_trackers\n"
        "t = open_trackers([], pathlib.Path(sys.argv[1]), run_name='', config={}, resume_step=0)\n"
        "for n in range(1, 8): t.log({'kind': 'train', 'step': n})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert killed.returncode == -9
    assert [row["step"] for row in read(tmp_path)] == [1, 2, 3, 4, 5, 6, 7]
    track(tmp_path, [], [train(step) for step in range(5, 10)], resume_step=4)
    assert [row["step"] for row in read(tmp_path)] == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_a_full_disk_is_an_error(full_disk):
    lines, accepted = JsonLines(full_disk / "metrics.jsonl"), []
    (full_disk / "filler").write_bytes(bytes(2**20 - 2**13))
    with pytest.raises(StorageError, match=r"metrics\.jsonl: cannot be .* No space left on device\. Mend that"):
        for step in range(1000):
            lines.log(train(step))
            accepted.append(step)
    lines.close()
    (full_disk / "filler").unlink()
    *whole, _torn = (full_disk / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in whole] == accepted
    assert len(whole) > 10
    trim(full_disk / "metrics.jsonl", len(whole))
    assert read(full_disk) == [json.loads(line) for line in whole]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"metrics\.jsonl: cannot be read or written: "):
        track(tmp_path / "file" / "run", [], [])


def test_all_trackers_get_every_row_and_are_closed(tmp_path, service):
    first, second = service("mlflow", Remembering()), service("wandb", Remembering())
    track(tmp_path, ["mlflow", "wandb", "mlflow"], [train(1), validation(1)])
    assert read(tmp_path) == first.rows == second.rows == [train(1), validation(1)]
    assert first.is_closed
    assert second.is_closed


@pytest.mark.parametrize(
    ("name", "hint"), [("tensorbord", "did you mean 'tensorboard'?"), ("x", "known: tensorboard, mlflow, wandb")]
)
def test_an_unknown_tracker_is_an_error_with_the_nearest_name(tmp_path, name, hint):
    with pytest.raises(ConfigError) as caught:
        track(tmp_path / "run", ["wandb", name], [])
    assert str(caught.value) == f"there is no tracker {name!r}; {hint}"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_library_that_is_missing_is_named_with_its_extra(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError) as caught:
        track(tmp_path, [name], [], resume_step=3)
    assert str(caught.value) == f"{name} is not installed; pip install 'mrikit[{name}]'"


def test_mlflow_without_its_plug_in_for_azure_ml_is_refused_before_it_is_opened(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "azureml://westeurope.api.azureml.ms/mlflow/v1.0/x?secret")
    with pytest.raises(ConfigError, match=r"azureml-mlflow, is not installed; leave mlflow out") as caught:
        require_trackers(["mlflow"])
    assert "secret" not in str(caught.value)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **of: [of])
    require_trackers(["mlflow"])


def test_a_service_that_fails_is_warned_of_once_without_secrets_and_training_goes_on(tmp_path, service):
    broken, good = service("mlflow", Remembering(fail_at=2)), service("wandb", Remembering())
    rows = [train(step) for step in range(1, 50)]
    expected = "mlflow failed, the run goes on without it: no route to https://server/api or so"
    with pytest.warns(UserWarning, match=f"^{expected}$") as caught:
        track(tmp_path, ["mlflow", "wandb"], rows)
    assert len(caught) == 1
    assert read(tmp_path) == good.rows == rows
    assert broken.rows == rows[:1]


def test_training_does_not_wait_for_a_service_that_hangs(tmp_path, service, monkeypatch):
    monkeypatch.setattr(tracking, "CLOSE_TIMEOUT_S", 0.05)
    hang = threading.Event()
    service("mlflow", Remembering(hang=hang))
    with pytest.warns(
        UserWarning, match="mlflow is not done after 0 s; its last 3 rows and pictures may be in the run's folder only"
    ):
        track(tmp_path, ["mlflow"], [train(1), train(2), train(3)])
    assert len(read(tmp_path)) == 3
    hang.set()


def test_a_service_that_cannot_be_opened_stops_a_new_run_only(tmp_path, service):
    service("mlflow", ConnectionError("refused"))
    good = service("wandb", Remembering())
    with pytest.raises(ConfigError) as caught:
        track(tmp_path, ["wandb", "mlflow"], [])
    mend = f"mend it, delete {tmp_path}/trackers.json to begin a new one, or leave mlflow out"
    assert str(caught.value) == f"mlflow cannot be opened: refused; {mend}"
    assert good.is_closed
    with pytest.warns(UserWarning, match="mlflow cannot be opened: refused; the run goes on without it"):
        track(tmp_path, ["mlflow"], [train(4)], resume_step=3)
    assert read(tmp_path) == [train(4)]


def test_a_service_of_another_package_is_one_more_entry(tmp_path, service):
    found = service("aim", Remembering())
    track(tmp_path, ["aim"], [train(1)])
    assert found.rows == [train(1)]


def test_all_trackers_get_every_picture_as_it_was(tmp_path, service):
    found, image = service("mlflow", Remembering()), picture(9)
    tracker = open_trackers(["mlflow"], tmp_path, run_name="", config={}, resume_step=0)
    tracker.show("validation", image, 2)
    image[:] = 0
    tracker.close()
    assert found.pictures == [("validation", picture(9).tolist(), 2)]
    assert pictures(tmp_path) == {"step-00000002-validation.png": 9}


def test_pictures_for_a_service_that_hangs_do_not_fill_the_memory(tmp_path, service, monkeypatch):
    monkeypatch.setattr(tracking, "MAX_WAITING", 2)
    hang = threading.Event()
    found = service("mlflow", Remembering(hang=hang))
    tracker = open_trackers(["mlflow"], tmp_path, run_name="", config={}, resume_step=0)
    tracker.log(train(1))
    for step in range(1, 9):
        tracker.show("validation", picture(step), step)
    hang.set()
    tracker.close()
    assert len(found.pictures) in (1, 2)  # whether the row was taken from the queue before or not
    assert len(pictures(tmp_path)) == 8


def test_after_a_resume_pictures_beyond_its_step_are_gone_and_each_is_there_once(tmp_path):
    track(tmp_path, [], [], pictures=[2, 4, 6])
    (tmp_path / "pictures" / "notes.txt").touch()
    track(tmp_path, [], [], pictures=[8], resume_step=4)
    assert sorted(pictures(tmp_path)) == [f"step-0000000{step}-validation.png" for step in (2, 4, 8)]
    assert (tmp_path / "pictures" / "notes.txt").exists()


def test_a_picture_of_a_validation_that_the_checkpoint_does_not_know_is_dropped(tmp_path):
    track(tmp_path, [], [], pictures=[2, 4])
    trim(tmp_path / "metrics.jsonl", 4, 2)
    assert list(pictures(tmp_path)) == ["step-00000002-validation.png"]


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "tensorboard"), purge_orphaned_data=True)
    found.Reload()
    values = {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    texts = [event.tensor_proto.string_val[0].decode() for event in found.Tensors("config/text_summary")]
    return values, texts


def test_tensorboard_reads_back_what_was_logged_and_after_a_resume_each_step_once(tmp_path):
    track(tmp_path, ["tensorboard"], [train(1, 0.75), train(2, 0.5), validation(2), train(3, 99.0)])
    track(tmp_path, ["tensorboard"], [train(3, 0.25)], resume_step=2)
    values, texts = scalars(tmp_path)
    assert values["train/loss"] == [(1, 0.75), (2, 0.5), (3, 0.25)]
    assert values["validation/ssim"] == [(2, pytest.approx(0.9))]
    assert set(values) == {"train/epoch", "train/loss", "train/lr", "validation/epoch", "validation/ssim"}
    assert '"task": "knee_multicoil"' in texts[0]
    assert "SECRET" not in texts[0]


def test_tensorboard_shows_each_picture_once_after_a_resume(tmp_path):
    from PIL import Image
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    track(tmp_path, ["tensorboard"], [train(1)], pictures=[2, 4])
    track(tmp_path, ["tensorboard"], [train(3)], pictures=[5], resume_step=2)
    found = EventAccumulator(str(tmp_path / "tensorboard"), purge_orphaned_data=True)
    found.Reload()
    shown = found.Images("validation/picture")
    assert [event.step for event in shown] == [2, 5]
    assert Image.open(io.BytesIO(shown[1].encoded_image_string)).getpixel((0, 0)) in (5, (5, 5, 5))


@pytest.fixture
def mlflow_client(tmp_path, monkeypatch):
    def make():
        from mlflow import MlflowClient

        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        client = MlflowClient(tracking_uri=(tmp_path / "mlflow").as_uri())
        experiments = client.search_experiments(filter_string="name != 'Default'")
        runs = client.search_runs([experiment.experiment_id for experiment in experiments])
        monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
        return client, [experiment.name for experiment in experiments], runs

    return make


def points(client, run, name):
    return [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name)]


def test_mlflow_reads_back_what_was_logged_and_a_resume_continues_the_same_run(tmp_path, mlflow_client):
    track(tmp_path, ["mlflow"], [train(1, 0.75), validation(1)])
    track(tmp_path, ["mlflow"], [train(2, 0.25)], resume_step=1, config=CONFIG | {"task": "other", "new": 1})
    client, experiments, (run,) = mlflow_client()
    assert experiments == ["mrikit"]
    assert (run.info.run_name, run.info.status) == ("knee tiny", "FINISHED")
    assert points(client, run, "train/loss") == [(1, 0.75), (2, 0.25)]
    assert points(client, run, "validation/ssim") == [(1, 0.9)]
    assert "validation/is_best" not in run.data.metrics
    params = run.data.params
    assert (params["task"], params["training.seed"], params["new"]) == ("knee_multicoil", "7", "1")
    assert params["training.accelerations"] == "[4, 8]"
    assert params["data"] == "https://lake.blob/knee"
    assert params["long"] == "x" * 497 + "..."
    assert json.loads((tmp_path / "trackers.json").read_text()) == {"mlflow": run.info.run_id}


def test_mlflow_is_running_until_it_is_closed(tmp_path, mlflow_client):
    track(tmp_path, ["mlflow"], [])
    tracker = open_trackers(["mlflow"], tmp_path, run_name="", config={}, resume_step=0)
    assert [run.info.status for run in mlflow_client()[2]] == ["RUNNING"]
    tracker.close()
    assert [run.info.status for run in mlflow_client()[2]] == ["FINISHED"]


def test_mlflow_goes_where_the_user_or_the_platform_says(tmp_path, monkeypatch, mlflow_client):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlflow").as_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "ours")
    track(tmp_path / "first", ["mlflow"], [])
    assert not (tmp_path / "first" / "mlflow").exists()
    client, experiments, (run,) = mlflow_client()
    assert experiments == ["ours"]
    client.update_run(run.info.run_id, status="RUNNING")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", run.info.experiment_id)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    track(tmp_path / "second", ["mlflow"], [])
    assert len(mlflow_client()[2]) == 2
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    track(tmp_path / "third", ["mlflow"], [train(1)])
    client, experiments, runs = mlflow_client()
    assert (experiments, len(runs)) == (["ours"], 2)
    assert points(client, run, "train/loss") == [(1, 0.5)]
    assert client.get_run(run.info.run_id).info.status == "RUNNING"  # the platform ends what it began


def test_mlflow_keeps_a_picture_as_an_artifact_once_for_each_step(tmp_path, mlflow_client):
    track(tmp_path, ["mlflow"], [], pictures=[2, 4])
    track(tmp_path, ["mlflow"], [], pictures=[4], resume_step=2)
    client, _, (run,) = mlflow_client()
    found = [artifact.path for artifact in client.list_artifacts(run.info.run_id, "pictures")]
    assert found == [f"pictures/step-0000000{step}-validation.png" for step in (2, 4)]
    np.testing.assert_array_equal(
        np.rint(255 * imread(client.download_artifacts(run.info.run_id, found[1]))), picture(4)
    )


def test_more_parameters_than_one_request_takes_are_all_there(tmp_path, mlflow_client):
    track(tmp_path, ["mlflow"], [], config={f"key{number}": number for number in range(230)})
    (run,) = mlflow_client()[2]
    assert len(run.data.params) == 230


def test_an_mlflow_run_that_is_gone_says_how_to_begin_a_new_one(tmp_path):
    (tmp_path / "trackers.json").write_text('{"mlflow": "0123456789abcdef"}')
    with pytest.raises(ConfigError, match=r"0123456789abcdef.*delete \S*trackers\.json to begin a new one"):
        track(tmp_path, ["mlflow"], [])


def test_settings_for_mlflow_are_taken_back(tmp_path):
    before = dict(os.environ)
    track(tmp_path, ["mlflow"], [train(1)])
    assert dict(os.environ) == before


@pytest.fixture
def end_wandb():
    """Ends W&B's service, a process of its own, which may still be writing a finished run until then."""
    import wandb

    yield wandb.teardown
    wandb.teardown()


def test_wandb_writes_offline_and_a_resume_continues_the_same_run(tmp_path, monkeypatch, end_wandb):
    monkeypatch.setattr(sys, "argv", ["mrikit", "train", "--data", "https://lake.blob/knee?sig=SECRET"])
    track(tmp_path, ["wandb"], [train(1, 0.75), validation(1), train(2)], pictures=[2])
    end_wandb()
    (record,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    text = record.read_bytes()
    for word in (b"train/loss", b"validation/ssim", b"knee tiny", b"knee_multicoil"):
        assert word in text
    (shown,) = (tmp_path / "wandb").rglob("media/images/validation/picture_2_*.png")
    np.testing.assert_array_equal(np.rint(255 * imread(shown)), picture(2))
    track(tmp_path, ["wandb"], [train(2, 0.25)], resume_step=1)
    end_wandb()
    (run_id,) = json.loads((tmp_path / "trackers.json").read_text()).values()
    assert {path.name for path in (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")} == {f"run-{run_id}.wandb"}
    found = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"SECRET" not in found
    assert b"hunter2" not in found


def test_without_settings_no_service_reaches_for_the_network(tmp_path):
    script = """
import pathlib, socket, sys, threading
import numpy as np
real = socket.socket.connect
def connect(self, address):
    if self.family != socket.AF_UNIX:
        sys.exit(f"connects to {address}")
    return real(self, address)
def look_up(*arguments, **_):
    raise SystemExit(f"looks up {arguments}")
socket.socket.connect, socket.getaddrinfo = connect, look_up
threading.excepthook = lambda found: sys.stderr.write(f"in a thread: {found.exc_value}")
from mrikit.runs.tracking import open_trackers
names = ["tensorboard", "mlflow", "wandb"]
t = open_trackers(names, pathlib.Path(sys.argv[1]), run_name="n", config={"a": 1}, resume_step=0)
t.log({"kind": "train", "step": 1, "loss": 0.5})
t.show("validation", np.zeros((2, 3), np.uint8), 1)
t.close()
print(" ".join(sorted(thread.name for thread in threading.enumerate())))
"""
    # The names of the test runner and of CI switch off what is looked for here.
    silencers = ("CI", "PYTEST", "MLFLOW", "DO_NOT_TRACK", "WANDB_ERROR")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(silencers)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Telemetry" not in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {
        "metrics.jsonl",
        "mlflow",
        "pictures",
        "tensorboard",
        "trackers.json",
        "wandb",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://a.b/c?sig=x&y=z and more", "https://a.b/c and more"),
        ("http://me:pass@server:5000/x", "http://server:5000/x"),
        ("abfss://container@lake.dfs/x", "abfss://container@lake.dfs/x"),
        ("what? https://a.b/c", "what? https://a.b/c"),
        ("/data/knee", "/data/knee"),
    ],
)
def test_passwords_and_signatures_leave_urls(text, expected):
    assert redact(text) == expected


def test_the_command_that_opens_a_local_store_is_quoted_and_there_is_none_of_a_server(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("my run/stage-1", "my run/stage-2"):
        (tmp_path / name / "mlflow").mkdir(parents=True)
    folders = [tmp_path / "my run" / name for name in ("stage-1", "stage-2", "stage-3")]
    assert local_stores(folders) == [
        f"MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri '{folder}/mlflow'" for folder in folders[:2]
    ]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://server/api")
    assert local_stores(folders) == []
