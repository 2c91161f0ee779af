import itertools
import json
import os
import signal

import pytest
import torch
from safetensors.torch import load_file
from scored_study import write_volumes
from training.small_run import CONFIG, are_same_bits, largest_difference, newest_state, run

from mrikit.checkpoint import load_weights, read_record
from mrikit.config import change_config
from mrikit.data import center_crop, draw_masks, load_training_volumes, make_example, plan_epoch
from mrikit.errors import CheckpointError, ConfigError, DataError, StorageError
from mrikit.metrics import slice_ssim_loss, ssim_loss
from mrikit.training import load_run_config
from mrikit.training.losses import LOSSES
from mrikit.training.network import initial_network
from mrikit.training.schedule import learning_rate
from mrikit.training.study import open_study


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


def test_one_process_is_plain_adamw_on_the_planned_batches(study, tmp_path):
    run(study, tmp_path, training__weight_decay=0.01, training__num_epochs=1)
    config = change_config(CONFIG, {"training.weight_decay": 0.01, "training.num_epochs": 1}, "test")
    training = config.training
    network = initial_network(config).network
    optimizer = torch.optim.AdamW(network.parameters(), lr=1.0, weight_decay=training.weight_decay)
    dataset = open_study(config, study).training
    plan = plan_epoch(dataset.shapes, micro_batch_size=1, batch_size=2, seed=training.seed, epoch=0)
    for step in range(len(plan) // 2):
        optimizer.param_groups[0]["lr"] = learning_rate(step, len(plan) // 2, training)
        optimizer.zero_grad()
        for (key,) in plan[2 * step : 2 * step + 2]:
            volume = dataset.volumes[key.volume]
            (mask,) = draw_masks(config.data.plans, [volume.info], [key.slice_index], seed=training.seed, epoch=0)
            example = make_example(volume, (key.slice_index,), mask)
            image = network(example.masked_kspace, example.mask, example.num_center_lines)
            (ssim_loss(center_crop(image, example.crop), example.reference, example.data_range) / 2).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), training.max_grad_norm)
        optimizer.step()
    state = newest_state(tmp_path)
    for name, weight in network.named_parameters():
        torch.testing.assert_close(state[f"weights/{name}"], weight.detach(), rtol=0, atol=2e-6)


def test_the_same_command_again_finds_the_run_finished(study, finished):
    folder, _ = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    rows = []
    summary = run(study, folder, rows)
    assert summary.resumed_step == summary.position.step == summary.num_steps == 10
    assert rows == []
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")} == before


def test_two_runs_give_the_same_bits(study, finished, tmp_path):
    run(study, tmp_path, execution__deterministic=True, execution__num_workers=0, execution__checkpoint_minutes=9)
    assert are_same_bits(newest_state(tmp_path), newest_state(finished[0]))
    assert not torch.are_deterministic_algorithms_enabled()


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


def test_a_network_with_dropout_resumes_with_the_same_bits(study, tmp_path):
    settings = {"num_channels": 2, "num_pools": 1, "dropout": 0.3}
    config = change_config(CONFIG, {"model": "unet", "model_config": settings, "training.loss": "l1"}, "test")
    run(study, tmp_path / "whole", config=config)
    run(study, tmp_path / "parts", config=config, on_row=stop_at(3))
    run(study, tmp_path / "parts", config=config)
    assert are_same_bits(newest_state(tmp_path / "parts"), newest_state(tmp_path / "whole"))


def test_a_resume_with_other_settings_says_which(study, finished):
    with pytest.raises(ConfigError, match=r"holds a run with other settings: training.max_lr was 0.003, now 0.01; go"):
        run(study, finished[0], training__max_lr=0.01)
    with pytest.raises(ConfigError, match=r"task was knee_multicoil, now brain_multicoil"):
        run(study, finished[0], task="brain_multicoil")


def test_a_resume_with_other_data_says_so(study, finished, tmp_path):
    write_volumes(tmp_path)
    with pytest.raises(ConfigError, match=r"data was .*, now "):
        run(tmp_path, finished[0])


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
    run(study, tmp_path / "b", training__num_epochs=1, execution__keep=5, execution__max_disk_gb=3.5 * size / 1e9)
    assert len(list((tmp_path / "b" / "checkpoints").iterdir())) == 3
    with pytest.raises(StorageError, match=r"a new one and the one before it take .*; raise execution.max_disk_gb"):
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
    monkeypatch.setitem(LOSSES, "ssim", lambda *images: slice_ssim_loss(*images) * next(calls))
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


def test_without_validation_the_newest_weights_are_kept(study, tmp_path):
    rows = []
    run(study, tmp_path, rows, data__num_validation=0, training__ema_decay=0, training__num_epochs=1)
    assert {row["kind"] for row in rows} == {"train"}
    state = newest_state(tmp_path)
    assert all(torch.equal(value, state[f"weights/{name}"]) for name, value in load_weights(tmp_path).tensors.items())


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


def test_a_batch_that_the_processes_cannot_share_is_refused(study, tmp_path, monkeypatch):
    from mrikit.training.deepspeed_config import deepspeed_config

    with pytest.raises(ConfigError, match="2 slices of an optimizer step cannot be shared by 4 processes"):
        deepspeed_config(CONFIG.training, CONFIG.execution, world_size=4, has_cpu_adam=False, is_pinned=False)
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(
        ConfigError, match=r"sets RANK but not WORLD_SIZE, LOCAL_RANK, .*; start the processes with torchrun"
    ):
        run(study, tmp_path)


def test_the_training_volumes_are_the_full_ones(study):
    assert len(load_training_volumes(study).volumes) == 7
