import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from scored_study import write_unreferenced
from training.children import newest_step
from training.small_run import CONFIG, are_same_bits, command_line, largest_difference, newest_state, write_study
from training.small_run import run as run_small
from typer.testing import CliRunner
from waiting import HANG_S, until

from mrikit.checkpoint import load_weights
from mrikit.commands.app import app
from mrikit.config import change_config
from mrikit.errors import ConfigError, DataError, StorageError
from mrikit.models import build_model
from mrikit.recipes import recipe
from mrikit.training import load_run_config
from mrikit.volumes.reconstruction import read_reconstruction

BIN = Path(sys.executable).parent
LONG = change_config(CONFIG, {"training.num_epochs": 8}, "test")
"""Long enough to be met on its way."""


@pytest.fixture(scope="module")
def finished(study, once):
    return once("long-run", lambda folder: run_small(study, folder, config=LONG, execution__checkpoint_minutes=9))


def invoke(*words):
    return CliRunner().invoke(app, ["train", *map(str, words)])


def quick(study, out, *words):
    """One epoch of the small run."""
    config = change_config(CONFIG, {"training.num_epochs": 1}, "test")
    return invoke(*command_line(config), "--data", study, "--out", out, *words)


def test_it_says_what_is_done_what_came_of_it_and_what_comes_next(study, tmp_path):
    done = quick(study, tmp_path / "run")
    assert done.exit_code == 0, done.output
    first, epoch, last = done.stderr.splitlines()
    assert first == (
        "training for 5 steps (1 epoch of 5): varnet with 1,304 weights, 5 volumes to train on and 2 to validate on, "
        "cpu"
    )
    assert re.fullmatch(r"epoch 1: SSIM 0\.\d{4}, PSNR \d+\.\d\d dB of 2 volumes, the best so far", epoch)
    assert last == "finished after step 5 of 5"
    best, following, report = done.stdout.splitlines()
    pattern = rf"SSIM 0\.\d{{4}} of held-out volumes after epoch 1; weights in {tmp_path}/run/weights.safetensors"
    assert re.fullmatch(pattern, best)
    assert following == (
        f"next: mrikit reconstruct --weights {tmp_path}/run --data {study} --out {tmp_path}/run-recon "
        f"--acceleration 4 --center-fraction 0.16 --held-out"
    )
    assert report == f"      mrikit report {tmp_path}/run"


def test_what_it_names_next_can_be_done(study, tmp_path):
    done = quick(study, tmp_path / "run")
    words = [line.split("mrikit ")[1].split() for line in done.stdout.splitlines() if "mrikit " in line]
    for command in words:
        following = CliRunner().invoke(app, command)
        assert following.exit_code == 0, following.output


def test_a_tile_of_a_seed_is_trained_with_and_goes_on_to_what_is_named_next(study, tmp_path):
    config = change_config(CONFIG, {"training.num_epochs": 1, "data.mask_kind": "random_tile"}, "test")
    words = ["mask_settings.seed=7", "mask_settings.acs=square", "mask_settings.center=5,5"]
    given = [word for setting in words for word in ("--set", f"data.{setting}")]
    done = invoke(*command_line(config), "--data", study, "--out", tmp_path / "run", *given)
    assert done.exit_code == 0, done.output
    expected = {"seed": 7, "acs": "square", "center": (5, 5)}
    assert load_run_config(tmp_path / "run").data.plans[0].settings == expected
    following = done.stdout.partition("next: mrikit ")[2].splitlines()[0]
    assert "--set mask.seed=7 --set mask.acs=square --set mask.center=5,5" in following
    assert CliRunner().invoke(app, following.split()).exit_code == 0
    (file, *_) = (tmp_path / "run-recon").glob("*.h5")
    assert read_reconstruction(file).mask.center == (5, 5)


def test_the_same_command_again_says_that_all_is_done(study, tmp_path):
    first, again = quick(study, tmp_path), quick(study, tmp_path)
    assert again.stderr.splitlines()[0].startswith("going on after step 5 of 5 steps")
    assert again.stdout.splitlines() == ["all 5 steps of this run were done before", *first.stdout.splitlines()]


def test_without_validation_it_says_so(study, tmp_path):
    config = change_config(CONFIG, {"training.num_epochs": 1, "data.num_validation": 0}, "test")
    done = invoke(*command_line(config), "--data", study, "--out", tmp_path)
    assert done.stdout.startswith("nothing was held out to validate on; weights in ")
    assert "--held-out" not in done.stdout


def test_a_dry_run_tells_the_extent_and_writes_nothing_but_the_index(study, tmp_path):
    data = shutil.copytree(study, tmp_path / "data", ignore=shutil.ignore_patterns("*index*", ".*"))
    before = {path.name for path in data.iterdir()}
    done = quick(data, tmp_path / "run", "--dry-run", "--keep", 4)
    assert done.exit_code == 0, done.output
    *extent, memory, duration = done.stdout.splitlines()
    assert extent == [
        f"train varnet with 1,304 weights for knee_multicoil (tiny) into {tmp_path}/run",
        "data: 5 volumes to train on, 2 to validate on",
        "steps: 5 (1 epoch of 5), slices of a step: 2",
        "disk: up to 0.104 MB, for 5 checkpoints while one of them is written",
    ]
    assert re.match(r"memory: 0\.\d GB at the peak on cpu \(", memory)
    assert re.match(r"time: .* a step, .* for 5 steps and validation; a part of the step was timed here", duration)
    assert {path.name for path in tmp_path.iterdir()} == {"data"}
    assert len({path.name for path in data.iterdir()} - before) == 1


def test_a_dry_run_prices_a_gpu_that_is_not_here(study, tmp_path):
    done = quick(study, tmp_path / "run", "--dry-run", "--gpu", "A100", "--price-per-hour", 3.5)
    memory, duration, cost = done.stdout.splitlines()[-3:]
    assert " on a100 " in memory
    assert "from a table of data sheets" in duration
    assert cost.startswith("cost: 0.00 in the currency of the price")


@pytest.mark.parametrize("words", [("--gpu", "a100"), ("--price-per-hour", 2)])
def test_a_price_without_a_dry_run_is_refused(study, tmp_path, words):
    done = quick(study, tmp_path / "run", *words)
    assert str(done.exception) == "--gpu and --price-per-hour are for what --dry-run tells; give that too"


def test_an_unknown_gpu_is_one_clear_line(study, tmp_path):
    done = quick(study, tmp_path / "run", "--dry-run", "--gpu", "a1000")
    assert isinstance(done.exception, ConfigError)
    assert done.stdout == ""
    assert "a100" in str(done.exception)


def test_a_price_below_nothing_is_a_usage_error(study, tmp_path):
    assert quick(study, tmp_path / "run", "--dry-run", "--price-per-hour", -1).exit_code == 2


def test_an_unknown_tracker_is_refused_by_a_dry_run_too(study, tmp_path):
    done = quick(study, tmp_path / "run", "--dry-run", "--track", "paper")
    assert isinstance(done.exception, ConfigError)
    assert "paper" in str(done.exception)


def test_settings_are_chosen_that_fit_into_a_memory(study, tmp_path):
    done = quick(study, tmp_path / "run", "--fit", "8GB")
    assert done.exit_code == 0, done.output
    assert "to fit into 8GB, knee_multicoil-varnet-tiny: nothing has to be changed" in done.stderr
    refused = quick(study, tmp_path / "other", "--fit", "8MB")
    assert str(refused.exception).startswith("the run needs 0.")
    assert "found 0.01 GB; try a smaller --size" in str(refused.exception)
    assert str(quick(study, tmp_path / "third", "--fit", "much").exception).startswith(
        "memory is a number with a unit, found 'much'"
    )


def test_the_extent_that_a_dry_run_tells_is_what_is_done(study, tmp_path):
    told = quick(study, tmp_path, "--dry-run").stdout
    assert quick(study, tmp_path).exit_code == 0
    size = max(path.stat().st_size for path in (tmp_path / "checkpoints").iterdir())
    weights = load_weights(tmp_path)
    network = build_model(weights.model, weights.model_config)
    num_weights = sum(weight.numel() for weight in network.parameters())
    assert f"{num_weights:,} weights" in told
    # Names and record of this tiny network take as much as its weights.
    assert 16 * num_weights < size < 16 * num_weights + 20_000


def test_options_reach_the_configuration(study, tmp_path):
    done = quick(study, tmp_path, "--max-disk-gb", 0.5, "--deterministic")
    assert done.exit_code == 0, done.output
    execution = load_run_config(tmp_path).execution
    assert (execution.keep, execution.max_disk_gb, execution.deterministic) == (2, 0.5, True)
    done = quick(study, tmp_path, "--keep", 1)
    assert done.exit_code == 0, done.output
    execution = load_run_config(tmp_path).execution
    assert (execution.keep, execution.max_disk_gb, execution.deterministic) == (1, 0, False)


def test_a_run_lies_where_its_name_says(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = command_line(change_config(CONFIG, {"training.num_epochs": 1}, "test"))
    assert invoke(*words, "--data", study).exit_code == 0
    assert (tmp_path / "runs" / "knee_multicoil-varnet-tiny" / "weights.safetensors").exists()


def test_a_task_is_trained_as_its_recipe_says(study, tmp_path):
    words = ["--task", "knee_singlecoil", "--data", study, "--out", tmp_path]
    done = invoke(*words, "--set", "training.num_epochs=1", "--set", "model_config.num_channels=2")
    assert done.exit_code == 0, done.output
    assert "--acceleration 4 --mask random" in done.stdout
    changes = {"training.num_epochs": 1, "model_config.num_channels": 2}
    assert load_run_config(tmp_path) == change_config(recipe("knee_singlecoil", "tiny"), changes, "test")


def test_validation_data_may_be_named(study, tmp_path):
    data = shutil.copytree(study, tmp_path / "data")
    for path in data.glob("v[0-3].h5"):
        path.unlink()
    done = quick(data, tmp_path / "run", "--validation-data", study)
    assert isinstance(done.exception, DataError)
    assert "is in the training data too" in str(done.exception)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_metrics_go_to_tensorboard_too(study, tmp_path):
    done = quick(study, tmp_path, "--track", "tensorboard")
    assert done.exit_code == 0, done.output
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    wanted = [(row["step"], pytest.approx(row["loss"])) for row in rows if row["kind"] == "train"]
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == wanted
    assert len(events.Scalars("validation/ssim")) == 1


def test_it_says_how_to_open_what_mlflow_keeps(study, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    done = quick(study, tmp_path, "--track", "mlflow")
    assert done.stdout.splitlines()[-1] == (
        f"      MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {tmp_path}/mlflow  # all of MLflow: pip "
        f"install mlflow"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--task", "knee"],
            "no task is called 'knee'; there are knee_acc4, knee_acc8, brain_acc4, brain_acc8, knee_multicoil",
        ),
        (["--size", "huge"], "no size is called 'huge'; there are tiny, small, full"),
        (["--set", "training.max_rl=1"], "train.training has no setting 'max_rl'; did you mean 'max_lr'?"),
        (["--set", "training.max_lr=fast"], "train.training.max_lr is of type float, found 'fast'"),
        (["--set", "training.beta1=2"], "training.beta1 is in [0, 1), found 2"),
        (["--set", "training.max_lr"], "a setting is written key=value, found 'training.max_lr'"),
        (["--set", "model_config.depth=3"], "model_config has no setting 'depth'; "),
        (["--keep", "0"], "execution.keep is at least 1, found 0"),
        (["--track", "tensorbord"], "there is no tracker 'tensorbord'; did you mean 'tensorboard'?"),
        (["--device", "tpu"], "cannot compute on 'tpu': "),
    ],
)
def test_a_wrong_word_is_one_clear_line_and_leaves_no_checkpoint(study, tmp_path, words, message):
    basic = {"--task": "knee_multicoil", "--data": study, "--out": tmp_path, "--device": "cpu"}
    basic |= dict([words]) if words[0] in ("--task", "--device") else {}
    rest = [] if words[0] in ("--task", "--device") else words
    done = invoke(*(word for pair in basic.items() for word in pair), *rest)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith(message)
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "checkpoints").exists()


def test_data_that_cannot_be_used_are_one_clear_line(study, tmp_path):
    empty, lines = tmp_path / "empty", tmp_path / "undersampled"
    empty.mkdir()
    write_unreferenced(lines)
    cut = shutil.copytree(study, tmp_path / "cut")
    whole = (cut / "v3.h5").read_bytes()
    (cut / "v3.h5").write_bytes(whole[: len(whole) // 2])
    for data, message in [
        (tmp_path / "nope", f"{tmp_path / 'nope'}: no such folder"),
        (empty, f"{empty}: no volume in this folder or below"),
        (lines, f"{lines}: all 1 volumes were acquired undersampled, such as test0; training needs fully sampled ones"),
        (cut, f"{cut / 'v3.h5'}: "),
    ]:
        for words in ([], ["--dry-run"]):
            done = quick(data, tmp_path / "run", *words)
            assert isinstance(done.exception, DataError), done.output
            assert str(done.exception).startswith(message)
            assert "\n" not in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_undersampled_volumes_are_left_out_and_counted(study, tmp_path):
    data = shutil.copytree(study, tmp_path / "data")
    write_unreferenced(data)
    done, planned = quick(data, tmp_path / "run"), quick(data, tmp_path / "run", "--dry-run")
    assert done.exit_code == 0, done.output
    line = "left out: 1 of 8 volumes is undersampled, such as test0\n"
    assert line in done.stderr
    assert line in planned.stdout


def test_a_file_that_is_damaged_inside_is_named(study, tmp_path):
    data = shutil.copytree(study, tmp_path / "data")
    with h5py.File(data / "v1.h5", "r+") as file:
        file["kspace"][1] = np.nan
    config = change_config(CONFIG, {"training.num_epochs": 1, "data.num_validation": 0}, "test")
    done = invoke(*command_line(config), "--data", data, "--out", tmp_path / "run")
    assert isinstance(done.exception, DataError)
    assert str(done.exception).startswith(f"{data / 'v1.h5'}: slice 1 of kspace holds NaN or Inf")


def test_a_resume_with_other_settings_says_which(study, tmp_path):
    assert quick(study, tmp_path).exit_code == 0
    config = change_config(CONFIG, {"training.num_epochs": 2, "model_config.num_cascades": 3}, "test")
    done = invoke(*command_line(config), "--data", study, "--out", tmp_path)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == (
        f"{tmp_path} holds a run with other settings: model_config.num_cascades was 2, now 3; training.num_epochs was "
        f"1, now 2; go back to those, or choose another --out"
    )


def test_a_folder_that_cannot_be_written_is_one_clear_line(study, tmp_path):
    (tmp_path / "file").write_text("")
    done = quick(study, tmp_path / "file" / "run")
    assert isinstance(done.exception, StorageError)
    assert str(done.exception).startswith(f"{tmp_path}/file/run/")
    assert "cannot be written" in str(done.exception)


def command(study, folder, *words, config=LONG):
    return [BIN / "mrikit", "train", *command_line(config), "--data", study, "--out", folder, *words]


def on_two(command, logs):
    """The same command by torchrun, which writes what each process says into files."""
    return [
        BIN / "torchrun",
        "--standalone",
        "--nproc-per-node",
        "2",
        "--redirects",
        "3",
        "--log-dir",
        logs,
        "--no-python",
        *command,
    ]


def said(logs, name):
    """What each of two processes wrote in the last start."""
    last = max(logs.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    return [(last / "attempt_0" / str(rank) / f"{name}.log").read_text() for rank in (0, 1)]


def ranks(process):
    """The process ids of torchrun's children, by rank."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    found = {}
    for child in children:
        environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        found |= {int(word[5:]): int(child) for word in environment if word.startswith(b"RANK=")}
    return found


def wait_for_step(folder, step, process):
    until(lambda: newest_step(folder) >= step, process)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_signal_saves_and_the_same_command_goes_on(study, finished, tmp_path, number, code):
    words = command(study, tmp_path)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for_step(tmp_path, 2, process)
        process.send_signal(number)
        result, messages = process.communicate(timeout=HANG_S)
    assert process.returncode == code
    step = newest_step(tmp_path)
    assert result == f"stopped after step {step} of 40; the same command goes on from there\n"
    told = [line for line in messages.splitlines() if not line.startswith("epoch ")]
    assert told[1:] == [
        "stopping after this step; Ctrl-C again stops at once and loses what came after the last checkpoint",
        f"stopped after step {step} of 40",
    ]
    run_small(study, tmp_path, config=LONG, execution__checkpoint_minutes=9)
    assert are_same_bits(newest_state(tmp_path), newest_state(finished))
    assert load_weights(tmp_path).sha256 == load_weights(finished).sha256


@pytest.mark.slow
def test_two_processes_stop_together_and_the_same_command_goes_on(study, finished, tmp_path):
    logs, words = tmp_path / "logs", command(study, tmp_path / "run")
    with subprocess.Popen(on_two(words, logs), stderr=subprocess.DEVNULL) as process:
        wait_for_step(tmp_path / "run", 2, process)
        process.terminate()
        assert process.wait(HANG_S) != 0
    step = newest_step(tmp_path / "run")
    assert said(logs, "stdout") == [f"stopped after step {step} of 40; the same command goes on from there\n", ""]
    messages = said(logs, "stderr")
    assert "2 processes on cpu\n" in messages[0]
    assert messages[0].endswith(f"stopped after step {step} of 40\n")
    assert messages[1] == ""
    done = subprocess.run(on_two(words, logs), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results, messages = said(logs, "stdout"), said(logs, "stderr")
    assert messages[0].startswith(f"going on after step {step} of 40")
    assert len(results[0].splitlines()) == 3
    assert (results[1], messages[1]) == ("", "")
    assert largest_difference(newest_state(tmp_path / "run"), newest_state(finished)) < 1e-5


@pytest.mark.parametrize("victim", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_process_that_is_killed_ends_the_run_with_one_line(study, tmp_path, victim):
    logs = tmp_path / "logs"
    with subprocess.Popen(on_two(command(study, tmp_path / "run"), logs), stderr=subprocess.DEVNULL) as process:
        wait_for_step(tmp_path / "run", 2, process)
        pids = ranks(process)
        os.kill(pids[victim], signal.SIGKILL)
        assert process.wait(HANG_S) != 0
    # On a busy machine torchrun may leave before the process that it has told to stop.
    until(lambda: not Path(f"/proc/{pids[1 - victim]}").exists())
    lines = [line for text in said(logs, "stderr") for line in text.splitlines() if line.startswith("mrikit: ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"mrikit: another process of the run in {tmp_path / 'run'} died (")
    assert not any("Traceback" in text for text in said(logs, "stderr"))
    assert said(logs, "stdout") == ["", ""]
    assert newest_step(tmp_path / "run") >= 2


@pytest.mark.slow
def test_what_all_processes_find_wrong_is_told_once(study, tmp_path):
    """A setting before they meet, and a batch that they cannot share after."""
    config = change_config(CONFIG, {"training.batch_size": 1}, "test")
    for number, words in enumerate([["--keep", "0"], []]):
        logs = tmp_path / f"logs{number}"
        done = subprocess.run(
            on_two(command(study, tmp_path / "run", *words, config=config), logs), capture_output=True, check=False
        )
        assert done.returncode == 1
        assert said(logs, "stdout") == ["", ""]
        (line,) = "".join(said(logs, "stderr")).splitlines()
        assert line.startswith("mrikit: execution.keep" if words else "mrikit: 1 slices of an optimizer step cannot be")


def test_help_loads_no_torch():
    script = "import sys; from mrikit.commands.app import app\ntry: app(['train', '--help'])\nexcept SystemExit: pass"
    script += "\nsys.exit(' '.join({'torch', 'h5py', 'deepspeed'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "--dry-run" in done.stdout
    assert done.stderr.strip() == ""


@pytest.fixture(scope="module")
def volumes_to_test(tmp_path_factory):
    folder = tmp_path_factory.mktemp("test-data")
    for path in write_study(tmp_path_factory.mktemp("others"), prefix="t").glob("t[05].h5"):
        shutil.copy(path, folder)
    return folder


def test_test_data_are_reconstructed_and_scored_after_the_training_and_only_once(study, volumes_to_test, tmp_path):
    words = (study, tmp_path / "run", "--test-data", volumes_to_test)
    planned = quick(*words, "--dry-run")
    told = [line.removeprefix("then: mrikit ") for line in planned.stdout.splitlines() if line.startswith("then: ")]
    assert [line.split()[0] for line in told] == ["reconstruct", "evaluate"]
    done = quick(*words)
    assert done.exit_code == 0, done.output
    recon = tmp_path / "run-test"
    assert "varnet: 2 volumes, 4 slices" in done.stdout
    assert f"{recon}/scores.json" in done.stdout.splitlines()
    settings = json.loads((recon / "reconstruct.json").read_text())
    assert settings["mask"]["center_fraction"] == 0.16
    scores = (recon / "scores.json").stat().st_mtime_ns
    assert quick(*words).stdout.splitlines()[-1] == f"scored before; next: mrikit report {recon}"
    assert (recon / "scores.json").stat().st_mtime_ns == scores
    for line in told:  # the commands that were named do the same, and find all done
        again = CliRunner().invoke(app, line.split())
        assert again.exit_code == 0, again.output


def test_test_data_that_are_not_there_are_told_before_the_training(study, tmp_path):
    done = quick(study, tmp_path / "run", "--test-data", tmp_path / "missing")
    assert str(done.exception) == f"{tmp_path}/missing: no such folder"
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_processes_score_together(study, volumes_to_test, tmp_path):
    config = change_config(CONFIG, {"training.num_epochs": 1}, "test")
    words = command(study, tmp_path / "run", "--test-data", volumes_to_test, config=config)
    done = subprocess.run(on_two(words, tmp_path / "logs"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, said(tmp_path / "logs", "stderr")
    assert sorted(path.name for path in (tmp_path / "run-test").glob("*.h5")) == ["t0.h5", "t5.h5"]
    rows = json.loads((tmp_path / "run-test" / "scores.json").read_text())["rows"]
    assert [row["volume_id"] for row in rows] == ["t0", "t5"]


def test_a_dry_run_says_which_folders_train_validate_and_stay_out(study, tmp_path):
    for number, path in enumerate(sorted(study.glob("*.h5"))):
        folder = ("train", "train", "train", "train", "val", "leaderboard/acc4", "leaderboard/acc8")[number]
        (tmp_path / "Data" / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "Data" / folder)
    done = quick(tmp_path / "Data", tmp_path / "run", "--dry-run", "--gpu", "a100")
    assert done.stdout.splitlines()[1:3] == [
        "data: 4 volumes to train on, 1 to validate on",
        "folders: train on train (4 files); validate on val (1 file); leave out leaderboard (2 files)",
    ]


def test_test_data_are_refused_on_one_line(study, tmp_path):
    shutil.copytree(study, tmp_path / "leaderboard" / "acc4")
    done = quick(tmp_path / "leaderboard" / "acc4", tmp_path / "run")
    assert str(done.exception) == (
        f"{tmp_path}/leaderboard/acc4: holds test data, as {tmp_path}/leaderboard says; it is never trained on; name "
        f"data to train on, or put what is none below a folder called train"
    )


def test_several_folders_of_data_are_trained_on_together(study, tmp_path):
    for number, path in enumerate(sorted(study.glob("*.h5"))):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "ab"[number % 2])
    done = quick(tmp_path / "a", tmp_path / "run", "--data", tmp_path / "b", "--dry-run", "--gpu", "a100")
    assert done.stdout.splitlines()[1] == "data: 5 volumes to train on, 2 to validate on"


def test_a_table_of_patients_decides_who_validates(study, tmp_path):
    (tmp_path / "patients.csv").write_text("".join(f"v{number}.h5,p{number % 3}\n" for number in range(7)))
    words = ["--dry-run", "--gpu", "a100", "--patients", tmp_path / "patients.csv"]
    done = quick(study, tmp_path / "run", *words)
    assert done.stdout.splitlines()[1] in (
        "data: 2 volumes to train on, 5 to validate on",  # two of three patients
        "data: 3 volumes to train on, 4 to validate on",
    )
