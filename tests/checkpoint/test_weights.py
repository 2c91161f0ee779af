import hashlib

import pytest
import torch

from mrikit.checkpoint import (
    build_trained_model,
    checkpoint_path,
    find_checkpoints,
    load_weights,
    save_weights,
    write_tensors,
)
from mrikit.errors import CheckpointError
from mrikit.models import build_model, model_settings

SMALL = {
    "varnet": {"num_cascades": 2, "num_channels": 2, "num_pools": 1, "num_sens_channels": 2, "num_sens_pools": 1},
    "unet": {"num_channels": 2, "num_pools": 2},
}


def build(name="varnet", seed=0, **settings):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model(name, SMALL[name] | settings)


def save(path, model, name="varnet", tensors=None, **record):
    return save_weights(path, name, model_settings(model), tensors or model.state_dict(), record)


def save_checkpoint(path, model, ema=None, **record):
    """As training keeps its state."""
    tensors = {f"weights/{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"optimizer/{name}/exp_avg": torch.ones_like(tensor) for name, tensor in model.state_dict().items()}
    if ema:
        tensors |= {f"ema/{name}": tensor for name, tensor in ema.state_dict().items()}
    write_tensors(path, tensors, {"model": "varnet", "model_config": model_settings(model), **record})


def has_weights_of(found, model):
    expected = model.state_dict()
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_network_comes_back_with_its_weights_ready_to_reconstruct(tmp_path, name):
    model = build(name)
    digest = save(tmp_path / "w.safetensors", model, name, task="knee")
    weights = load_weights(tmp_path / "w.safetensors")
    assert (weights.model, weights.model_config) == (name, model_settings(model))
    assert weights.record["task"] == "knee"
    assert weights.path == tmp_path / "w.safetensors"
    assert weights.sha256 == digest == hashlib.sha256(weights.path.read_bytes()).hexdigest()
    trained = build_trained_model(weights)
    assert type(trained) is type(model)
    assert not any(part.training for part in trained.modules())
    assert has_weights_of(trained.state_dict(), model)


def test_of_a_run_the_best_weights_are_taken(tmp_path):
    save_checkpoint(checkpoint_path(tmp_path, 7), build(seed=1))
    save(tmp_path / "weights.safetensors", build())
    assert has_weights_of(load_weights(tmp_path).tensors, build())


def test_of_a_run_without_a_validation_the_newest_checkpoint_is_named(tmp_path):
    for step in (9, 120):
        save_checkpoint(checkpoint_path(tmp_path, step), build())
    newest = tmp_path / "checkpoints" / "step-00000120.safetensors"
    with pytest.raises(CheckpointError, match=rf"no validation was finished yet; .* give the checkpoint {newest}$"):
        load_weights(tmp_path)
    assert has_weights_of(load_weights(newest).tensors, build())


def test_of_a_run_in_stages_the_highest_with_weights_is_taken(tmp_path):
    for stage in (1, 2, 10):
        save(tmp_path / f"stage-{stage}" / "weights.safetensors", build(seed=stage))
    save_checkpoint(checkpoint_path(tmp_path / "stage-11", 7), build())
    (tmp_path / "stage-99").write_text("no folder")
    save(tmp_path / "stage-old" / "weights.safetensors", build())
    weights = load_weights(tmp_path)
    assert weights.path == tmp_path / "stage-10" / "weights.safetensors"
    assert has_weights_of(weights.tensors, build(seed=10))


def save_stage(run, stage, steps, num_steps=10):
    """A stage with weights and checkpoints that were validated at some steps."""
    save(run / f"stage-{stage}" / "weights.safetensors", build())
    for step in steps:
        path = checkpoint_path(run / f"stage-{stage}", step)
        save_checkpoint(path, build(), position={"validated_step": step}, num_steps=num_steps)


def test_of_a_run_in_stages_the_highest_finished_one_is_taken_and_the_others_named_once(tmp_path):
    save_stage(tmp_path, 1, [10])
    save_stage(tmp_path, 2, [5, 10])
    save_stage(tmp_path, 3, [9])
    save_stage(tmp_path, 4, [5])
    with pytest.warns(UserWarning, match="not finished") as caught:
        assert load_weights(tmp_path).path == tmp_path / "stage-2" / "weights.safetensors"
    (warning,) = caught
    assert str(warning.message) == (
        f"{tmp_path}: not finished is stage-4 (validated at step 5 of 10), stage-3 (validated at step 9 of 10); the "
        f"weights are those of stage-2; name the folder of another stage to take its own"
    )
    assert load_weights(tmp_path / "stage-4").path == tmp_path / "stage-4" / "weights.safetensors"


def test_a_stage_without_checkpoints_or_with_ones_that_do_not_say_is_finished(tmp_path):
    save_stage(tmp_path, 1, [10])
    save_stage(tmp_path, 2, [])
    assert load_weights(tmp_path).path.parent.name == "stage-2"
    save(tmp_path / "stage-3" / "weights.safetensors", build())
    save_checkpoint(checkpoint_path(tmp_path / "stage-3", 5), build())
    assert load_weights(tmp_path).path.parent.name == "stage-3"


def test_where_no_stage_is_finished_the_highest_with_weights_is_taken(tmp_path):
    save_stage(tmp_path, 1, [3])
    save_stage(tmp_path, 2, [5])
    (tmp_path / "stage-3").mkdir()
    assert load_weights(tmp_path).path.parent.name == "stage-2"


def test_a_stage_whose_newest_checkpoint_is_damaged_does_not_count_as_finished(tmp_path):
    save_stage(tmp_path, 1, [10])
    save_stage(tmp_path, 2, [5, 10])
    checkpoint_path(tmp_path / "stage-2", 10).write_bytes(b"damaged")
    with pytest.warns(UserWarning, match=r"stage-2 \(step-00000010.safetensors cannot be read\); the weights are"):
        assert load_weights(tmp_path).path.parent.name == "stage-1"


def test_weights_of_the_folder_itself_go_before_those_of_stages(tmp_path):
    save(tmp_path / "weights.safetensors", build())
    save(tmp_path / "stage-1" / "weights.safetensors", build(seed=1))
    assert load_weights(tmp_path).path == tmp_path / "weights.safetensors"


def test_of_a_run_in_stages_none_of_which_has_weights_the_newest_checkpoint_is_named(tmp_path):
    (tmp_path / "stage-2").mkdir()
    save_checkpoint(checkpoint_path(tmp_path / "stage-1", 7), build())
    newest = tmp_path / "stage-1" / "checkpoints" / "step-00000007.safetensors"
    with pytest.raises(CheckpointError, match=rf"stage-1: has no weights.safetensors, .* the checkpoint {newest}$"):
        load_weights(tmp_path)


def test_a_run_in_stages_that_were_never_trained_is_named(tmp_path):
    for stage in (2, 1):
        (tmp_path / f"stage-{stage}").mkdir()
    with pytest.raises(
        CheckpointError, match=rf"^{tmp_path}: none of stage-1, stage-2 has a weights.safetensors; train"
    ):
        load_weights(tmp_path)


def test_checkpoints_are_found_in_the_order_of_their_steps_without_unfinished_ones(tmp_path):
    assert find_checkpoints(tmp_path) == []
    for step in (10**7, 9, 120):
        save_checkpoint(checkpoint_path(tmp_path, step), build())
    (tmp_path / "checkpoints" / ".step-00000130.host.1.tmp.safetensors").write_bytes(b"of a killed process")
    assert find_checkpoints(tmp_path) == [checkpoint_path(tmp_path, step) for step in (9, 120, 10**7)]


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"no folder of a training run; it holds neither weights.safetensors nor"):
        load_weights(tmp_path)


def test_of_a_checkpoint_the_running_means_are_preferred(tmp_path):
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, build(), step=3)
    assert has_weights_of(load_weights(path).tensors, build())
    save_checkpoint(path, build(), ema=build(seed=1), step=3)
    weights = load_weights(path)
    assert has_weights_of(weights.tensors, build(seed=1))
    assert weights.record["step"] == 3


def test_weights_in_bfloat16_become_a_float32_network(tmp_path):
    rounded = {name: tensor.bfloat16() for name, tensor in build().state_dict().items()}
    save(tmp_path / "w.safetensors", build(), tensors=rounded)
    state = build_trained_model(load_weights(tmp_path / "w.safetensors")).state_dict()
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    assert all(torch.equal(state[name], rounded[name].float()) for name in rounded)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            {"num_cascades": 3},
            r"num_cascades=2.*: \d+ tensors unexpected \(cascades.2.*, cascades.2.*, cascades.2.*, \.{3}\)$",
        ),
        ({"num_cascades": 1}, r": \d+ tensors missing \(cascades\.1\."),
        ({"num_channels": 3}, r": \d+ tensors of another shape \(cascades\S+ 6 x 3 x 3 x 3, not 4 x 2 x 3 x 3, "),
    ],
)
def test_weights_for_another_architecture_are_refused_with_what_does_not_fit(tmp_path, found, message):
    path = tmp_path / "w.safetensors"
    save(path, build(), tensors=build(**found).state_dict())
    with pytest.raises(
        CheckpointError, match=rf"^{path}: weights for another architecture than varnet with "
    ) as caught:
        build_trained_model(load_weights(path))
    caught.match(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        ("swin", {}, "no model is called 'swin'"),
        ("varnet", {"num_blocks": 2}, "varnet has no setting 'num_blocks'"),
        ("varnet", {"num_cascades": 0}, "varnet needs at least 1 cascade"),
    ],
)
def test_weights_for_a_network_that_is_not_known_are_refused(tmp_path, model, settings, message):
    save_weights(tmp_path / "w.safetensors", model, settings, build().state_dict(), {})
    with pytest.raises(
        CheckpointError, match=f"w.safetensors: weights for a network that is not known here: {message}"
    ):
        build_trained_model(load_weights(tmp_path / "w.safetensors"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(tmp_path, value):
    model = build()
    model.cascades[1].dc_weight.data[0] = value
    save(tmp_path / "w.safetensors", model)
    with pytest.raises(CheckpointError, match=r"w.safetensors: cascades.1.dc_weight holds NaN or infinity"):
        build_trained_model(load_weights(tmp_path / "w.safetensors"))


def test_tensors_of_no_model_are_no_weights(tmp_path):
    write_tensors(tmp_path / "a.safetensors", {"t": torch.ones(1)}, {"step": 3})
    with pytest.raises(CheckpointError, match="does not say which model its tensors belong to"):
        load_weights(tmp_path / "a.safetensors")


def test_weights_that_are_replaced_while_they_are_read_are_not_given_a_wrong_digest(tmp_path, monkeypatch):
    path, newer = tmp_path / "w.safetensors", tmp_path / "newer.safetensors"
    save(path, build())
    save(newer, build(seed=1))
    digest = hashlib.file_digest

    def replace(file, name):
        newer.replace(path)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", replace)
    with pytest.raises(CheckpointError, match="was replaced while it was read; run the same command again"):
        load_weights(path)
    monkeypatch.undo()
    assert has_weights_of(load_weights(path).tensors, build(seed=1))
