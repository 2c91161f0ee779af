"""A run that begins with what another one found: weights, moments and a schedule of its own."""

import dataclasses
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file
from training.small_run import CONFIG, PROMPTMR, are_same_bits, newest_state
from training.small_run import run as run_small

from mrikit.checkpoint import checkpoint_path, find_checkpoints, load_weights, read_record, save_weights
from mrikit.config import change_config
from mrikit.errors import CheckpointError, ConfigError, DataError
from mrikit.models import LEARNED
from mrikit.run_files import WEIGHTS_FILE
from mrikit.runs.run_folder import save_checkpoint
from mrikit.training.objectives.image import ImageObjective
from mrikit.training.objectives.objective import Validated
from mrikit.training.schedule import learning_rate
from mrikit.training.train import train

FIRST = change_config(CONFIG, {"stage": 1, "execution.keep_best": True, "training.schedule_epochs": 3}, "test")
SECOND = change_config(
    FIRST, {"stage": 2, "training.first_epoch": 2, "training.max_lr": 1e-3, "training.warmup_epochs": 0}, "test"
)


def begin(study, folder, start, rows=None, lines=None, config=SECOND, on_row=None, **settings):
    """The second stage with some settings changed."""

    def take(row, num_steps):
        if rows is not None:
            rows.append(row)
        if on_row:
            on_row(row, num_steps)

    config = change_config(config, {name.replace("__", "."): value for name, value in settings.items()}, "test")
    say = (lambda _line: None) if lines is None else lines.append
    return train(config, study, folder, start=start, say=say, on_row=take)


@pytest.fixture(scope="module")
def first(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("first") / "stage-1"
    run_small(study, folder, config=FIRST)
    return folder


@pytest.fixture(scope="module")
def second(study, first, tmp_path_factory):
    folder = tmp_path_factory.mktemp("second") / "stage-2"
    rows = []
    begin(study, folder, first, rows)
    return folder, rows


def parts(state, prefix):
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def test_a_stage_begins_with_the_best_weights_and_their_moments(study, first, tmp_path):
    best = read_record(find_checkpoints(first)[-1])["position"]["best_step"]
    # A rate of almost nothing leaves the weights where they begin, and moments still say where they come from.
    begin(study, tmp_path / "run", first, training__max_lr=1e-12, training__num_epochs=1, execution__keep=9)
    begun, start = newest_state(tmp_path / "run"), load_file(checkpoint_path(first, best))
    for name, value in parts(start, "weights/").items():
        torch.testing.assert_close(begun[f"weights/{name}"], value, rtol=0, atol=1e-9)
    one_step = load_file(find_checkpoints(tmp_path / "run")[0])
    for name, value in parts(start, "exp_avg_sq/").items():
        assert (one_step[f"exp_avg_sq/{name}"] >= 0.999 * value * (1 - 1e-5)).all()


@pytest.mark.parametrize(
    ("zero_stage", "offload"), [(0, False), (1, False), (2, False), (3, False), (1, True), (2, True)]
)
def test_stages_are_the_same_at_every_zero_stage(study, plain_stages, tmp_path, zero_stage, offload):
    """With frozen prompts, and with weights that decay and others that do not; stopped and resumed in the second."""
    execution = {"execution.zero_stage": zero_stage, "execution.offload_optimizer": offload}
    first, second = (change_config(config, execution, "test") for config in plain_stages[0])
    run_small(study, tmp_path / "stage-1", config=first)
    with pytest.raises(KeyboardInterrupt):
        begin(study, tmp_path / "stage-2", tmp_path / "stage-1", config=second, on_row=interrupt)
    begin(study, tmp_path / "stage-2", tmp_path / "stage-1", config=second)
    found, wanted = newest_state(tmp_path / "stage-2"), newest_state(plain_stages[1] / "stage-2")
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=2e-6)


@pytest.fixture(scope="module")
def plain_stages(study, tmp_path_factory):
    """Both configurations, and their folder."""
    settings = {"training.weight_decay": 0.1, "training.num_epochs": 1, "training.schedule_epochs": 0}
    configs = [
        change_config(
            dataclasses.replace(config, model="promptmr", model_config={**PROMPTMR, "learnable_prompts": False}),
            settings,
            "test",
        )
        for config in (FIRST, SECOND)
    ]
    folder = tmp_path_factory.mktemp("plain")
    run_small(study, folder / "stage-1", config=configs[0])
    begin(study, folder / "stage-2", folder / "stage-1", config=configs[1])
    return configs, folder


def test_adam_counts_the_updates_of_all_stages(study, first, second):
    position = read_record(find_checkpoints(second[0])[-1])["position"]
    best = read_record(find_checkpoints(first)[-1])["position"]["best_step"]
    assert (position["step"], position["carried_steps"]) == (10, best)


@pytest.mark.parametrize("zero_stage", [0, 1])
def test_adam_corrects_its_bias_by_the_updates_of_all_stages(study, first, tmp_path, zero_stage):
    """The first step of the second stage, by hand from the moments that are in its checkpoint."""
    begin(study, tmp_path, first, training__num_epochs=1, execution__keep=9, execution__zero_stage=zero_stage)
    best = read_record(find_checkpoints(first)[-1])["position"]["best_step"]
    before, after = load_file(checkpoint_path(first, best)), load_file(checkpoint_path(tmp_path, 1))
    count = best + 1
    for name, weight in parts(before, "weights/").items():
        mean = after[f"exp_avg/{name}"].double() / (1 - 0.9**count)
        spread = (after[f"exp_avg_sq/{name}"].double() / (1 - 0.999**count)).sqrt()
        wanted = weight.double() - 1e-3 * mean / (spread + 1e-8)
        torch.testing.assert_close(after[f"weights/{name}"].double(), wanted, rtol=0, atol=2e-6)


def test_the_schedule_begins_anew_and_ends_before_its_cosine(second):
    rates = [row["lr"] for row in second[1] if row["kind"] == "train"]
    wanted = [1e-3 * (1 + math.cos(math.pi * step / 15)) / 2 for step in range(10)]
    assert rates == pytest.approx(wanted)
    assert rates[-1] > 1e-4


def test_the_challenge_leaves_its_cosines_where_the_spec_says():
    training = change_config(CONFIG.training, {"num_epochs": 15, "schedule_epochs": 20, "warmup_epochs": 1}, "test")
    one = change_config(training, {"max_lr": 3e-4}, "test")
    two = change_config(training, {"max_lr": 2e-4, "warmup_epochs": 0}, "test")
    assert learning_rate(15_000, 1000, one) / 3e-4 == pytest.approx(0.1614, abs=5e-5)
    assert learning_rate(15_000, 1000, two) / 2e-4 == pytest.approx(0.1464, abs=5e-5)


def test_epochs_go_on_from_the_stage_before(second):
    rows = second[1]
    assert [row["epoch"] for row in rows if row["kind"] == "validation"] == [3, 4]
    assert rows[0]["epoch"] == pytest.approx(2.2)
    assert load_weights(second[0]).record["stage"] == 2


def test_other_epochs_see_other_orders_and_masks(study, tmp_path):
    """Else a stage would repeat the examples of the one before it."""
    orders = []
    for first_epoch in (0, 2):
        rows = []
        settings = {"training.first_epoch": first_epoch, "training.num_epochs": 1}
        run_small(study, tmp_path / str(first_epoch), rows, config=change_config(CONFIG, settings, "test"))
        orders.append([row["loss"] for row in rows if row["kind"] == "train"])
    assert orders[0][0] != orders[1][0]


def test_a_stage_that_was_stopped_goes_on_to_the_same_bits(study, first, second, tmp_path):
    def stop(row, _):
        if row["kind"] == "train" and row["step"] in (3, 7):
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            begin(study, tmp_path / "stage-2", first, on_row=stop)
    begin(study, tmp_path / "stage-2", first)
    assert are_same_bits(newest_state(tmp_path / "stage-2"), newest_state(second[0]))
    assert load_weights(tmp_path / "stage-2").tensors.keys() == load_weights(second[0]).tensors.keys()


def test_a_stage_goes_on_when_the_one_before_is_gone(study, first, second, tmp_path):
    start = shutil.copytree(first, tmp_path / "stage-1")
    with pytest.raises(KeyboardInterrupt):
        begin(study, tmp_path / "stage-2", start, on_row=interrupt)
    shutil.rmtree(start)
    begin(study, tmp_path / "stage-2", start)
    assert are_same_bits(newest_state(tmp_path / "stage-2"), newest_state(second[0]))


def interrupt(row, _num_steps):
    if row["step"] == 3:
        raise KeyboardInterrupt


def test_a_stage_does_not_go_on_with_another_beginning(study, first, tmp_path):
    start = shutil.copytree(first, tmp_path / "stage-1")
    with pytest.raises(KeyboardInterrupt):
        begin(study, tmp_path / "stage-2", start, on_row=interrupt)
    shutil.rmtree(start)
    run_small(study, start, config=FIRST, training__seed=5)
    with pytest.raises(ConfigError, match=r"stage-2 holds a run with other settings: it began with other weights than"):
        begin(study, tmp_path / "stage-2", start)


def test_weights_alone_are_a_beginning_without_moments(study, first, tmp_path):
    lines = []
    begin(study, tmp_path / "run", first / WEIGHTS_FILE, lines=lines)
    assert lines[0] == f"{first / WEIGHTS_FILE}: weights without the moments of their step; Adam begins anew with them"
    assert read_record(find_checkpoints(tmp_path / "run")[-1])["position"]["carried_steps"] == 0


def test_a_run_that_is_not_finished_is_no_beginning(study, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run_small(study, tmp_path / "stage-1", config=FIRST, on_row=stop_in_second_epoch)
    message = r"stage-1: the run is at step \d+ of 10; give the command that started it again, then this one"
    with pytest.raises(CheckpointError, match=message):
        begin(study, tmp_path / "stage-2", tmp_path / "stage-1")


def stop_in_second_epoch(row, _num_steps):
    if row["step"] == 7:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_config.num_channels": 3}, "weights of another architecture than .* trains: num_channels=2, not 3$"),
        ({"model": "unet", "model_config": {}}, "weights of varnet, but knee_multicoil-unet-tiny-stage-2 trains unet"),
    ],
)
def test_weights_of_another_network_are_refused(study, first, tmp_path, settings, message):
    config = change_config(SECOND, settings, "test") if "model" not in settings else other_network()
    with pytest.raises(CheckpointError, match=message):
        begin(study, tmp_path / "run", first, config=config)


def other_network():
    assert "unet" in LEARNED
    config = change_config(SECOND, {"training.max_lr": 1e-3}, "test")
    return type(config)(
        task=config.task,
        stage=2,
        size="tiny",
        model="unet",
        model_config={"num_channels": 2, "num_pools": 1},
        data=config.data,
        training=config.training,
    )


def test_memory_settings_may_differ_from_those_of_the_stage_before(study, first, tmp_path):
    config = change_config(SECOND, {"model_config.use_checkpoint": True}, "test")
    begin(study, tmp_path / "run", first, config=config, training__num_epochs=1)
    assert find_checkpoints(tmp_path / "run")


def test_weights_that_count_the_lines_of_stored_masks_are_a_beginning_for_those_that_do_not(study, first, tmp_path):
    """As imported weights do; training draws its masks."""
    weights = load_weights(first)
    settings = weights.model_config | {"counts_stored_center": True}
    save_weights(tmp_path / "w.safetensors", weights.model, settings, weights.tensors, {})
    begin(study, tmp_path / "run", tmp_path / "w.safetensors", training__num_epochs=1)
    assert load_weights(tmp_path / "run").model_config["counts_stored_center"] is False


def test_the_checkpoint_of_the_best_step_stays(study, tmp_path, monkeypatch):
    scores = iter([0.5, 0.9, 0.4, 0.3])
    monkeypatch.setattr(ImageObjective, "validate", lambda *_: Validated(next(scores), {"ssim": 0.0}))
    run_small(study, tmp_path, config=FIRST, training__num_epochs=3, execution__keep=1)
    assert [int(path.stem.removeprefix("step-")) for path in find_checkpoints(tmp_path)] == [10, 15]
    begin(study, tmp_path / "next", tmp_path, training__num_epochs=1)
    assert read_record(find_checkpoints(tmp_path / "next")[-1])["position"]["carried_steps"] == 10


def test_the_best_checkpoint_counts_in_the_limit_of_the_disk(tmp_path):
    for step in (1, 2, 3, 4):
        save_checkpoint(
            tmp_path, step, {"weights/a": torch.zeros(1000)}, {}, last_good_step=step - 1, keep=5, max_disk_gb=0
        )
    size = checkpoint_path(tmp_path, 1).stat().st_size
    limit = {"keep": 5, "max_disk_gb": 3.5 * size / 1e9}
    save_checkpoint(tmp_path, 5, {"weights/a": torch.zeros(1000)}, {}, last_good_step=4, best_step=1, **limit)
    assert [int(path.stem.removeprefix("step-")) for path in find_checkpoints(tmp_path)] == [1, 4, 5]


def test_the_folder_of_all_stages_is_a_beginning_with_the_last(study, first, tmp_path):
    shutil.copytree(first, tmp_path / "run" / "stage-1")
    lines = []
    begin(study, tmp_path / "next", tmp_path / "run", lines=lines, training__num_epochs=1)
    assert lines[0].startswith(f"beginning with the weights and moments of {tmp_path}/run/stage-1/checkpoints/step-")


def test_a_later_stage_needs_a_beginning(study, tmp_path):
    with pytest.raises(ConfigError, match="knee_multicoil-varnet-tiny-stage-2 begins with the stage before it; give"):
        train(SECOND, study, tmp_path / "run")


def test_nobody_is_validated_who_was_trained_on_before(study, first, tmp_path):
    message = (
        r"2 volumes to validate on, such as v\d, were trained on before by .*; validate on the same patients in all"
    )
    with pytest.raises(DataError, match=message):
        begin(study, tmp_path / "run", first, training__seed=5)


def test_weights_know_what_was_trained_on_in_all_stages(study, first, tmp_path):
    seen = load_weights(first).record["trained_on"]
    begin(study, tmp_path / "run", first, training__num_epochs=1, data__num_volumes=1)
    assert load_weights(tmp_path / "run").record["trained_on"] == seen
    with pytest.raises(KeyboardInterrupt):
        begin(study, tmp_path / "again", first, data__num_volumes=1, training__num_epochs=3, on_row=interrupt)
    begin(study, tmp_path / "again", first, data__num_volumes=1, training__num_epochs=3)
    assert load_weights(tmp_path / "again").record["trained_on"] == seen
