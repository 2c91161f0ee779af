import itertools
import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from scored_study import write_volumes
from training.small_run import CONFIG, are_same_bits, largest_difference, newest_state, run

from mrikit.checkpoint import load_weights, read_record, save_weights
from mrikit.config import change_config
from mrikit.data import (
    SliceDataset,
    SliceKey,
    center_crop,
    draw_masks,
    load_training_volumes,
    make_augment,
    orient,
    plan_epoch,
    prepare,
    undersample,
)
from mrikit.errors import CheckpointError, ConfigError, DataError, JobError, StorageError
from mrikit.metrics import ssim_loss
from mrikit.runs.process import joined
from mrikit.training import engine, load_run_config, saving
from mrikit.training.losses import LOSSES
from mrikit.training.objectives import Draw, objective_of
from mrikit.training.parts import initial_parts
from mrikit.training.schedule import learning_rate
from mrikit.training.volumes import open_study


def stop_at(step, signal_number=signal.SIGINT):
    """Signal this process at the row of a step."""

    def stop(row, _num_steps):
        if row["kind"] == "train" and row["step"] == step:
            os.kill(os.getpid(), signal_number)

    return stop


def test_training_lowers_the_loss_and_raises_the_score(study, tmp_path):
    rows = []
    run(study, tmp_path, rows, training__num_epochs=12, training__ema_decay=0, execution__checkpoint_minutes=9)
    losses = [row["loss"] for row in rows if row["kind"] == "train"]
    scores = [row["ssim"] for row in rows if row["kind"] == "validation"]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    assert scores[-1] > scores[0] + 0.05


def train_plainly(config, data):
    """The weights and the mean loss of each step: torch's AdamW on one slice after the other, in the planned order."""
    training = config.training
    network = initial_parts(config, objective_of(config)).parts["network"].network
    betas = (training.beta1, training.beta2)
    kernels = [weight for weight in network.parameters() if weight.ndim > 1]
    others = [weight for weight in network.parameters() if weight.ndim < 2]
    groups = [{"params": kernels, "weight_decay": training.weight_decay}, {"params": others, "weight_decay": 0}]
    optimizer = torch.optim.AdamW(groups, betas=betas)
    dataset = open_study(config, data).training
    losses, num_micro = [], training.batch_size // training.micro_batch_size
    for epoch in range(training.num_epochs):
        sizes = {"micro_batch_size": training.micro_batch_size, "batch_size": training.batch_size}
        key_epoch = training.first_epoch + epoch
        plan = plan_epoch(dataset.shapes, **sizes, seed=training.seed, epoch=key_epoch, share=config.data.epoch_share)
        num_steps = len(plan) // num_micro
        for step in range(num_steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(epoch * num_steps + step, num_steps, training)
            optimizer.zero_grad()
            keys = [key for keys in plan[num_micro * step : num_micro * (step + 1)] for key in keys]
            found = [
                slice_loss(config, network, dataset.volumes[key.volume], key.slice_index, key_epoch) for key in keys
            ]
            (sum(found) / training.batch_size).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), training.max_grad_norm)
            optimizer.step()
            losses.append(sum(loss.item() for loss in found) / len(found))
    return dict(network.named_parameters()), losses


def slice_loss(config, network, volume, slice_index, epoch):
    seed = config.training.seed
    batch = SliceDataset([volume]).read([SliceKey(0, slice_index)])
    augment = make_augment(config.augment, seed=seed, epoch=epoch)
    scan = prepare(batch, [volume], augment=augment, max_readout=config.data.max_readout)
    scan = orient(scan, config.augment.transpose_probability, seed=seed, epoch=epoch)
    example = undersample(scan, draw_masks(config.data.plans, scan, Draw(seed, epoch).generators(scan, "mask")))
    image = network(example.masked_kspace, example.mask, example.num_center_lines)
    return ssim_loss(center_crop(image, example.crop), example.reference, example.data_range)


@pytest.mark.parametrize(
    "changes",
    [
        {"training.weight_decay": 0.01},
        {"augment.strength": 1.0, "data.max_readout": 26, "training.first_epoch": 3},
        # Micro-batches of two slices, and of one where a shape has an odd number of them.
        {"training.batch_size": 4, "training.micro_batch_size": 2, "data.num_volumes": 3},
        {"training.beta1": 0.5, "training.beta2": 0.9, "training.schedule": "step", "training.step_epochs": 1},
        {"data.accelerations": "2,4", "data.center_fractions": "0.2,0.16", "training.batch_size": 1},
        {"augment.transpose_probability": 0.5, "data.epoch_share": 0.4},
    ],
    ids=",".join,
)
def test_one_process_is_plain_adamw_on_the_planned_batches(odd_study, tmp_path, changes):
    config, rows = change_config(CONFIG, changes, "test"), []
    run(odd_study, tmp_path, rows, config=config)
    weights, losses = train_plainly(config, odd_study)
    state = newest_state(tmp_path)
    for name, weight in weights.items():
        torch.testing.assert_close(state[f"weights/{name}"], weight.detach(), rtol=0, atol=2e-6)
    assert [row["loss"] for row in rows if row["kind"] == "train"] == pytest.approx(losses, abs=1e-5)


def test_rows_say_where_the_run_is(study, finished):
    trained = [row for row in finished[1] if row["kind"] == "train"]
    assert [row["step"] for row in trained] == list(range(1, 11))
    assert [row["epoch"] for row in trained] == pytest.approx([step / 5 for step in range(1, 11)])
    assert [row["lr"] for row in trained] == [learning_rate(step, 5, CONFIG.training) for step in range(10)]
    assert all(row["slices_per_second"] > 0 for row in trained)
    assert [(row["step"], row["epoch"]) for row in finished[1] if row["kind"] == "validation"] == [(5, 1), (10, 2)]
    kept = [json.loads(line) for line in (finished[0] / "metrics.jsonl").read_text().splitlines()]
    assert kept == finished[1]


def test_of_a_long_epoch_some_steps_are_logged_and_the_last(study, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "_ROWS_PER_EPOCH", 2)
    monkeypatch.setattr(engine, "_FIRST_STEPS", 3)
    rows = []
    run(study, tmp_path, rows, execution__checkpoint_minutes=9)
    assert [row["step"] for row in rows if row["kind"] == "train"] == [1, 2, 3, 4, 5, 6, 8, 10]


@pytest.fixture
def again(finished, tmp_path):
    """A copy of the finished run, to train in."""
    return shutil.copytree(finished[0], tmp_path / "again")


def test_the_same_command_again_finds_the_run_finished(study, again):
    before = {path: path.stat().st_mtime_ns for path in again.rglob("*.safetensors")}
    rows = []
    summary = run(study, again, rows)
    assert summary.resumed_step == summary.position.step == summary.num_steps == 10
    assert rows == []
    assert {path: path.stat().st_mtime_ns for path in again.rglob("*.safetensors")} == before


def test_two_runs_give_the_same_bits(study, finished, tmp_path):
    settings = {"deterministic": True, "num_workers": 0, "checkpoint_minutes": 9}
    settings, seen = {f"execution__{name}": value for name, value in settings.items()}, []
    run(study, tmp_path, on_row=lambda *_: seen.append(torch.are_deterministic_algorithms_enabled()), **settings)
    assert are_same_bits(newest_state(tmp_path), newest_state(finished[0]))
    assert all(seen)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_deterministic_run_allows_deterministic_algorithms_only(study, tmp_path):
    seen = []
    run(
        study,
        tmp_path,
        on_row=lambda _row, _num_steps: seen.append(torch.are_deterministic_algorithms_enabled()),
        execution__deterministic=True,
        training__num_epochs=1,
    )
    assert seen
    assert all(seen)


def test_another_seed_gives_other_weights(study, finished, tmp_path):
    run(study, tmp_path, training__seed=5)
    assert largest_difference(newest_state(tmp_path), newest_state(finished[0])) > 1e-3


@pytest.mark.parametrize("step", [3, 5])
def test_ctrl_c_saves_and_the_same_command_ends_with_the_same_bits(study, finished, tmp_path, step):
    lines = []
    stopped = run(study, tmp_path, lines=lines, on_row=stop_at(step), execution__checkpoint_minutes=9)
    assert stopped.signal == signal.SIGINT
    # The signal comes when the step is done and its row is seen: at the end of an epoch before the validation.
    assert stopped.position.step == (step if step == 5 else step + 1)
    assert any("stopping after this step" in line for line in lines)
    resumed = run(study, tmp_path)
    assert resumed.resumed_step == stopped.position.step
    assert are_same_bits(newest_state(tmp_path), newest_state(finished[0]))
    assert load_weights(tmp_path).sha256 == load_weights(finished[0]).sha256


@pytest.mark.parametrize("num_validation", [0, 2])
def test_a_run_that_is_stopped_after_its_last_step_is_finished_by_the_same_command(study, tmp_path, num_validation):
    settings = {"data__num_validation": num_validation, "training__num_epochs": 1, "execution__checkpoint_minutes": 9}
    run(study, tmp_path / "whole", **settings)
    rows = []
    last = len([line for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines() if "train" in line])
    stopped = run(study, tmp_path / "parts", on_row=stop_at(last), **settings)
    assert stopped.position.step == stopped.num_steps == last
    if num_validation:
        assert stopped.signal == signal.SIGINT
        assert not (tmp_path / "parts" / "weights.safetensors").exists()
        again = run(study, tmp_path / "parts", rows, **settings)
        assert [row["kind"] for row in rows] == ["validation"]
        assert again.signal is None
    assert load_weights(tmp_path / "parts").sha256 == load_weights(tmp_path / "whole").sha256


def test_a_second_signal_stops_at_once(study, tmp_path):
    def twice(row, _num_steps):
        if row["step"] == 3:
            first = signal.getsignal(signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            while signal.getsignal(signal.SIGINT) is first:  # two that come at once may count as one
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            run(study, tmp_path, on_row=twice)
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert not torch.distributed.is_initialized()


def test_a_second_termination_is_the_same_wish(study, tmp_path):
    def twice(row, _num_steps):
        if row["kind"] == "train" and row["step"] == 2:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.01)

    assert run(study, tmp_path, on_row=twice).signal == signal.SIGTERM
    assert newest_state(tmp_path)


def test_a_signal_while_a_line_is_written_is_not_lost(study, tmp_path):
    class Busy(list):
        def append(self, line):
            if "stopping" in line:
                raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")

    assert run(study, tmp_path, lines=Busy(), on_row=stop_at(2)).signal == signal.SIGINT


def test_a_checkpoint_is_not_held_open_after_it_was_read(study, tmp_path):
    """A file that is removed while it is mapped takes its space until the run ends."""
    run(study, tmp_path, on_row=stop_at(3))
    mapped = []
    run(study, tmp_path, on_row=lambda row, _: mapped.append(str(tmp_path) in Path("/proc/self/maps").read_text()))
    assert not any(mapped)


def test_data_that_were_moved_are_found_again(study, finished, tmp_path):
    run(study, tmp_path / "run", on_row=stop_at(4))
    run(shutil.copytree(study, tmp_path / "elsewhere"), tmp_path / "run")
    assert are_same_bits(newest_state(tmp_path / "run"), newest_state(finished[0]))


def test_termination_saves_too(study, tmp_path):
    stopped = run(study, tmp_path, on_row=stop_at(2, signal.SIGTERM))
    assert stopped.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_resumed_run_logs_every_step_once(study, finished, tmp_path):
    run(study, tmp_path, on_row=stop_at(4), execution__checkpoint_minutes=9)
    run(study, tmp_path)
    keys = ("kind", "step", "loss", "lr", "ssim")
    wanted, found = (
        [[row.get(key) for key in keys] for row in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())]
        for folder in (finished[0], tmp_path)
    )
    assert found == wanted


def test_transposed_slices_and_short_epochs_are_the_same_after_a_resume(study, tmp_path):
    changes = {"augment__transpose_probability": 0.5, "training__micro_batch_size": 2, "data__epoch_share": 0.4}
    assert run(study, tmp_path / "whole", **changes).num_steps == 4
    run(study, tmp_path / "parts", on_row=stop_at(3), **changes)
    run(study, tmp_path / "parts", **changes)
    assert are_same_bits(newest_state(tmp_path / "parts"), newest_state(tmp_path / "whole"))


def test_a_network_with_dropout_resumes_with_the_same_bits(study, tmp_path):
    settings = {"num_channels": 2, "num_pools": 1, "dropout": 0.3}
    config = change_config(CONFIG, {"model": "unet", "model_config": settings, "training.loss": "l1"}, "test")
    run(study, tmp_path / "whole", config=config)
    run(study, tmp_path / "parts", config=config, on_row=stop_at(3))
    run(study, tmp_path / "parts", config=config)
    assert are_same_bits(newest_state(tmp_path / "parts"), newest_state(tmp_path / "whole"))


def test_a_resume_with_other_settings_says_which(study, again):
    with pytest.raises(ConfigError, match=r"holds a run with other settings: training.max_lr was 0.003, now 0.01; go"):
        run(study, again, training__max_lr=0.01)
    with pytest.raises(ConfigError, match=r"task was knee_multicoil, now brain_multicoil"):
        run(study, again, task="brain_multicoil")


def test_a_resume_with_other_data_says_so(again, tmp_path):
    write_volumes(tmp_path / "others")
    with pytest.raises(ConfigError, match=r"the volumes were those of .*, now others or changed ones of .*; go back"):
        run(tmp_path / "others", again)


def test_what_only_decides_how_it_is_computed_may_change(study, tmp_path):
    run(study, tmp_path, on_row=stop_at(2))
    run(study, tmp_path, execution__keep=1, execution__num_workers=0, model_config__use_checkpoint=True)
    assert load_run_config(tmp_path).execution.keep == 1
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1


def test_only_the_newest_checkpoints_stay(finished):
    names = sorted(path.name for path in (finished[0] / "checkpoints").iterdir())
    assert names == ["step-00000009.safetensors", "step-00000010.safetensors"]


def test_checkpoints_keep_to_their_share_of_the_disk(study, tmp_path):
    run(study, tmp_path / "a", training__num_epochs=1)
    size = max(path.stat().st_size for path in (tmp_path / "a" / "checkpoints").iterdir())
    run(study, tmp_path / "b", training__num_epochs=1, execution__keep=5, execution__max_disk_gb=4.5 * size / 1e9)
    assert len(list((tmp_path / "b" / "checkpoints").iterdir())) == 3
    with pytest.raises(StorageError, match=r"a new one and those that must stay take .*; raise execution.max_disk_gb"):
        run(study, tmp_path / "c", execution__max_disk_gb=1.5 * size / 1e9)
    assert len(list((tmp_path / "c" / "checkpoints").iterdir())) == 1


def test_a_damaged_checkpoint_is_passed_over(study, finished, tmp_path):
    run(study, tmp_path, on_row=stop_at(4))
    newest = sorted((tmp_path / "checkpoints").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    lines = []
    summary = run(study, tmp_path, lines=lines)
    assert newest.name == "step-00000005.safetensors"
    assert summary.resumed_step == 4
    assert any("damaged" in line and "going back to the checkpoint before it" in line for line in lines)
    assert are_same_bits(newest_state(tmp_path), newest_state(finished[0]))


def test_damaged_checkpoints_take_no_place_from_good_ones(study, tmp_path):
    run(study, tmp_path, on_row=stop_at(6), execution__keep=9)
    for step in (6, 7):
        (tmp_path / "checkpoints" / f"step-{step:08d}.safetensors").write_bytes(b"")
    assert run(study, tmp_path, execution__checkpoint_minutes=9).resumed_step == 5
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-00000005.safetensors", "step-00000010.safetensors"]


def test_only_damaged_checkpoints_are_an_error(study, tmp_path):
    run(study, tmp_path, on_row=stop_at(2))
    for path in (tmp_path / "checkpoints").iterdir():
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="none of 2 checkpoints can be read"):
        run(study, tmp_path)


def test_a_full_disk_keeps_the_last_good_checkpoint(study, finished, full_disk):
    (full_disk / "ballast").write_bytes(bytes(900_000))
    with pytest.raises(StorageError, match="the disk is full"):
        run(study, full_disk / "run", execution__keep=9)
    kept = sorted((full_disk / "run" / "checkpoints").iterdir())
    assert kept
    assert all(path.suffix == ".safetensors" and read_record(path)["position"] for path in kept)
    (full_disk / "ballast").unlink()
    run(study, full_disk / "run", execution__keep=1)
    assert are_same_bits(newest_state(full_disk / "run"), newest_state(finished[0]))


def test_a_loss_that_is_not_finite_names_step_slice_and_checkpoint(study, tmp_path, monkeypatch):
    calls = iter([1.0] * 7 + [float("nan")])
    loss = LOSSES["ssim"]
    monkeypatch.setitem(LOSSES, "ssim", lambda output, example: loss(output, example) * next(calls))
    message = r"the loss is nan at step 4: v\d, slice \d; the last good checkpoint is .*step-00000003.safetensors; look"
    with pytest.raises(DataError, match=message):
        run(study, tmp_path)
    assert newest_state(tmp_path)


def test_weights_that_are_not_finite_are_never_saved(study, tmp_path):
    with pytest.raises(DataError, match=r"is not finite after step \d; .* lower training.max_lr"):
        run(study, tmp_path, training__max_lr=1e30, training__max_grad_norm=0, training__weight_decay=1)
    for path in (tmp_path / "checkpoints").glob("*"):
        assert all(value.isfinite().all() for value in newest_state(tmp_path).values()), path


def test_the_running_mean_is_what_it_is_called(study, tmp_path):
    run(study, tmp_path, on_row=stop_at(4), execution__keep=9)
    states = [load_file(path) for path in sorted((tmp_path / "checkpoints").iterdir())]
    assert len(states) == 5
    name = "cascades.0.network.unet.output.bias"
    for number, (before, after) in enumerate(itertools.pairwise(states), 2):
        decay = min(0.9, number / (number + 9))
        expected = decay * before[f"ema/{name}"] + (1 - decay) * after[f"weights/{name}"]
        torch.testing.assert_close(after[f"ema/{name}"], expected)
        assert not torch.equal(before[f"weights/{name}"], after[f"weights/{name}"])


def test_the_kept_weights_are_those_of_the_best_validation(finished):
    folder, rows = finished
    scores = [row for row in rows if row["kind"] == "validation"]
    best = max(scores, key=lambda row: row["ssim"])
    record = load_weights(folder).record
    assert record["step"] == best["step"]
    assert record["ssim"] == best["ssim"]
    assert scores[0]["is_best"]


def test_a_run_that_went_on_remembers_which_weights_were_the_best(study, tmp_path):
    # In the second epoch a rate a thousand times as high makes them worse.
    settings = {"training__schedule": "step", "training__step_epochs": 1, "training__step_factor": 1e3}
    settings |= {"training__warmup_epochs": 0, "training__ema_decay": 0, "execution__checkpoint_minutes": 9}
    run(study, tmp_path / "whole", **settings)
    rows = []
    run(study, tmp_path / "parts", rows, on_row=stop_at(7), **settings)
    done = run(study, tmp_path / "parts", rows, **settings)
    assert [row["is_best"] for row in rows if row["kind"] == "validation"] == [True, False]
    assert done.position.best_step == load_weights(tmp_path / "parts").record["step"] == 5
    assert load_weights(tmp_path / "parts").sha256 == load_weights(tmp_path / "whole").sha256


def test_without_validation_the_newest_weights_are_kept(study, tmp_path):
    rows = []
    run(study, tmp_path, rows, data__num_validation=0, training__ema_decay=0, training__num_epochs=1)
    assert {row["kind"] for row in rows} == {"train", "epoch"}
    state = newest_state(tmp_path)
    assert all(torch.equal(value, state[f"weights/{name}"]) for name, value in load_weights(tmp_path).tensors.items())


def test_a_run_that_dies_while_its_first_weights_are_written_goes_on(study, tmp_path, monkeypatch):
    settings = {"data__num_validation": 0, "training__num_epochs": 1, "execution__checkpoint_minutes": 9}

    def write_and_die(*facts):
        save_weights(*facts)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(saving, "save_weights", write_and_die)
        with pytest.raises(KeyboardInterrupt):
            run(study, tmp_path, **settings)
    assert (tmp_path / "weights.safetensors").exists()
    assert run(study, tmp_path, **settings).signal is None


def test_bf16_keeps_weights_in_float32_and_trains(study, finished, tmp_path):
    rows = []
    run(study, tmp_path, rows, training__precision="bf16")
    assert all(value.dtype == torch.float32 for value in newest_state(tmp_path).values())
    difference = largest_difference(newest_state(tmp_path), newest_state(finished[0]))
    assert 1e-6 < difference < 0.1


def test_a_file_with_nan_is_named(study, tmp_path):
    data = tmp_path / "data"
    write_volumes(data, num_volumes=4)
    import h5py

    with h5py.File(data / "v2.h5", "r+") as file:
        file["kspace"][1, 0, 0, 0] = float("nan")
    with pytest.raises(DataError, match=r"v2.h5: slice 1 of kspace holds NaN or Inf"):
        run(data, tmp_path / "run", training__num_epochs=3, data__num_validation=0)


def test_one_patient_cannot_be_split(study, tmp_path):
    write_volumes(tmp_path / "data", num_volumes=1)
    with pytest.raises(ConfigError, match=r"1 patient in the data; 2 for validation leave none to train on"):
        run(tmp_path / "data", tmp_path / "run")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            {"RANK": "0"},
            "the environment sets RANK but not WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT; ",
        ),
        (
            {"WORLD_SIZE": "2", "LOCAL_RANK": "1"},
            "the environment sets WORLD_SIZE, LOCAL_RANK but not RANK, ",
        ),
        (
            {"RANK": "a", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "h", "MASTER_PORT": "1"},
            "RANK, WORLD_SIZE, LOCAL_RANK in the environment are whole numbers; found RANK='a'",
        ),
    ],
)
def test_half_a_launcher_is_one_clear_line(study, tmp_path, monkeypatch, names, message):
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        run(study, tmp_path)
    assert str(caught.value).startswith(message)


@pytest.mark.skipif(torch.cuda.device_count() > 8, reason="a machine of more GPUs than any")
def test_a_process_without_a_gpu_of_its_own_is_told_so(study, tmp_path, monkeypatch):
    names = {"RANK": "9", "WORLD_SIZE": "16", "LOCAL_RANK": "9", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught, joined("cuda"):
        pass
    found = torch.cuda.device_count()
    message = f"process 9 has no GPU of its own: it is number 9 of this machine, which has {found}; start as many"
    assert str(caught.value).startswith(message)


def test_a_port_where_processes_cannot_meet_is_one_clear_line(study, tmp_path, monkeypatch):
    names = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    other = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    for name, value in (names | {"MASTER_PORT": str(other.port)}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(JobError) as caught:
        run(study, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"the processes of the run do not meet at 127.0.0.1:{other.port}: ")
    assert message.endswith("; choose another port")
    assert "\n" not in message


def test_the_training_volumes_are_the_full_ones(study):
    assert len(load_training_volumes(study).volumes) == 7
