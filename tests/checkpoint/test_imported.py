import json
import re
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from checkpoint.published_files import challenge_arguments, load_golden, save_with_deepspeed
from helpers import relative_error

from mrikit.checkpoint import SOURCES, build_trained_model, describe, import_weights, load_weights, make_card
from mrikit.checkpoint.foreign import MODEL_FILE
from mrikit.data import MaskPlan
from mrikit.errors import CheckpointError, ConfigError
from mrikit.models import LEARNED

VARNET = {"num_cascades": 2, "num_channels": 6, "num_pools": 2, "num_sens_channels": 4, "num_sens_pools": 2}
FILES = {
    "fastmri-varnet": "fastmri_varnet",
    "fastmri-unet": "fastmri_unet",
    "adaptive-varnet": "adaptive_varnet",
    "banding-removal": "banding_reconstructor",
    "promptmr": "promptmr_v1",
    "promptmr-plus": "promptmr_plus",
    "snu-challenge": "promptmr_snu_challenge",
}
TOLD = {"snu-challenge": {"task": "knee"}, "adaptive-varnet": {"budget": "9", "matrix": "32,36"}}
"""What a state dict alone does not tell."""
PROMPTMR = ["promptmr", "promptmr-plus", "snu-challenge"]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "w.safetensors"


def save(path, source, **changes):
    """A state dict under its published names."""
    torch.save(load_golden(FILES[source])[0] | changes, path)
    return path


@torch.inference_mode()
def error_of(weights, source):
    """How far the network is from the published one on the same input."""
    _, config, golden = load_golden(FILES[source])
    kspace = golden["kspace"].unflatten(0, (config["num_adj_slices"], -1))[None]
    image = build_trained_model(weights)(kspace, golden["mask"].bool().view(1, 1, 1, 1, -1), torch.tensor([0]))
    return relative_error(image, golden["output"])


def test_there_is_a_source_for_every_name_and_each_names_a_network():
    assert SOURCES.keys() == FILES.keys()
    assert all(source.model in LEARNED for source in SOURCES.values())


@pytest.mark.parametrize(
    ("source", "settings"),
    [
        ("fastmri-varnet", VARNET | {"use_checkpoint": False, "mask_center": True, "counts_stored_center": True}),
        (
            "fastmri-unet",
            {"num_channels": 8, "num_pools": 3, "dropout": 0.0, "crops_before": True, "clamps_input": True},
        ),
    ],
)
def test_the_settings_are_read_from_names_and_shapes(tmp_path, out, source, settings):
    weights = import_weights(save(tmp_path / "a.pt", source), out, source, dict(TOLD.get(source, {})))
    assert (weights.model, weights.model_config, weights.path) == (SOURCES[source].model, settings, out)
    assert weights.record["imported_from"] == "a.pt"
    assert len(build_trained_model(weights).state_dict()) == len(load_golden(FILES[source])[0])


@pytest.mark.parametrize("source", PROMPTMR)
def test_a_state_dict_of_the_promptmr_family_makes_the_published_image(tmp_path, out, source):
    weights = import_weights(
        save(tmp_path / "a.pt", source),
        out,
        source,
        {"num_adj_slices": "5" if "plus" in source else "3"} | TOLD.get(source, {}),
    )
    assert error_of(weights, source) < 1e-5


def test_the_folder_of_the_challenge_makes_the_published_image_and_says_what_it_was_trained_for(tmp_path, out):
    state, config, _ = load_golden(FILES["snu-challenge"])
    folder = save_with_deepspeed(tmp_path / "step3", state, challenge_arguments(config))
    weights = import_weights(folder, out, "snu-challenge", {})
    assert error_of(weights, "snu-challenge") < 1e-5
    record = weights.record
    assert (record["anatomy"], record["max_readout"], record["epoch"]) == ("brain", 384, 45)
    (plan,) = record["masks"]
    assert MaskPlan(**plan) == MaskPlan(kind="fixed", acceleration=4.0, center_fraction=0.08)
    assert (record["imported_from"], record["imported_kind"]) == (f"epoch-45/{MODEL_FILE}", "checkpoint of DeepSpeed")
    assert "../Data" not in json.dumps(record)  # folders are nobody's business


def test_a_checkpoint_of_lightning_with_prefixed_names_makes_the_published_image(tmp_path, out):
    state, config, _ = load_golden(FILES["promptmr-plus"])
    content = {
        "state_dict": {f"net.{name}": tensor for name, tensor in state.items()} | {"loss.w": torch.ones(1)},
        "hyper_parameters": {"lr": 1e-4, "net": config},
        "pytorch-lightning_version": "2.5.0",
    }
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.warns(UserWarning, match=r"a.ckpt: 1 tensors are no part of the network, left out"):
        weights = import_weights(tmp_path / "a.ckpt", out, "promptmr-plus", {})
    assert error_of(weights, "promptmr-plus") < 1e-5
    assert weights.record["imported_kind"] == "checkpoint of Lightning"


def test_weights_that_deepspeed_wrapped_lose_its_prefix(tmp_path, out):
    state = {f"module.{name}": tensor for name, tensor in load_golden(FILES["snu-challenge"])[0].items()}
    torch.save({"module": state}, tmp_path / MODEL_FILE)
    assert error_of(import_weights(tmp_path, out, "snu-challenge", {"task": "knee"}), "snu-challenge") < 1e-5


@pytest.mark.parametrize("source", ["fastmri-varnet", "fastmri-unet"])
@pytest.mark.parametrize("prefix", ["", "net.", "module.net."])
def test_a_checkpoint_of_lightning_gives_its_network_and_says_what_it_leaves_out(tmp_path, out, source, prefix):
    weights = load_golden(FILES[source])[0]
    state = {f"{prefix}{name}": tensor for name, tensor in weights.items()} | {"loss.w": torch.ones(1, 1, 7, 7)}
    torch.save({"state_dict": state, "epoch": 3, "hyper_parameters": {"lr": 1e-3}}, tmp_path / "a.ckpt")
    with pytest.warns(UserWarning, match=r"a.ckpt: 1 tensors are no part of the network, left out"):
        found = import_weights(tmp_path / "a.ckpt", out, source, dict(TOLD.get(source, {})))
    plain = import_weights(
        save(tmp_path / "plain.pt", source), tmp_path / "plain.safetensors", source, dict(TOLD.get(source, {}))
    )
    assert found.tensors.keys() == plain.tensors.keys()
    assert all(torch.equal(found.tensors[name], plain.tensors[name]) for name in plain.tensors)


def test_safetensors_of_another_program_can_be_imported(tmp_path, out):
    safetensors.torch.save_file(load_golden("fastmri_unet")[0], tmp_path / "a.safetensors")
    assert import_weights(tmp_path / "a.safetensors", out, "fastmri-unet", {}).model_config["num_pools"] == 3


@pytest.mark.parametrize("source", FILES)
def test_an_imported_network_runs_as_its_authors_ran_it_and_no_other_does(tmp_path, out, source):
    config = build_trained_model(
        import_weights(save(tmp_path / "a.pt", source), out, source, dict(TOLD.get(source, {})))
    ).config
    own = LEARNED[SOURCES[source].model][1]()
    for name, value in SOURCES[source].settings.items():
        assert (getattr(config, name), getattr(own, name)) == (value, False)


@pytest.mark.parametrize(("said", "given", "expected"), [(False, {}, False), (True, {}, True), (False, "true", True)])
def test_where_a_varnet_takes_its_maps_from_is_read_from_its_file(tmp_path, out, said, given, expected):
    content = {"state_dict": load_golden(FILES["fastmri-varnet"])[0], "hyper_parameters": {"mask_center": said}}
    torch.save(content, tmp_path / "a.ckpt")
    found = import_weights(tmp_path / "a.ckpt", out, "fastmri-varnet", {"mask_center": given} if given else {})
    assert found.model_config["mask_center"] is expected


def test_a_file_that_says_nothing_useful_of_it_is_refused(tmp_path, out):
    content = {"state_dict": load_golden(FILES["fastmri-varnet"])[0], "hyper_parameters": {"mask_center": "no"}}
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match=r"a.ckpt: its mask_center is true or false, found 'no'; give --set"):
        import_weights(tmp_path / "a.ckpt", out, "fastmri-varnet", {})


def test_weights_that_an_older_version_imported_are_named_when_they_are_used(tmp_path, out):
    found = import_weights(save(tmp_path / "a.pt", "fastmri-unet"), out, "fastmri-unet", {})
    older = {name: value for name, value in found.model_config.items() if name != "crops_before"}
    with pytest.warns(UserWarning, match=r"w.safetensors: imported by an older mrikit, .* \(crops_before\); import"):
        build_trained_model(replace(found, model_config=older))


def test_settings_that_no_shape_tells_can_be_given(tmp_path, out):
    found = import_weights(save(tmp_path / "a.pt", "fastmri-unet"), out, "fastmri-unet", {"dropout": "0.1"})
    assert found.model_config["dropout"] == 0.1


def test_a_setting_of_the_network_here_can_be_given_beside_published_ones(tmp_path, out):
    settings = {"num_adj_slices": "3", "feature_dim": "12,16 20", "use_checkpoint": "true"}
    found = import_weights(save(tmp_path / "a.pt", "promptmr"), out, "promptmr", settings)
    assert found.model_config["use_checkpoint"] is True
    assert found.model_config["feature_widths"] == [12, 16, 20]


def test_what_is_given_goes_before_what_the_file_says(tmp_path, out):
    state, config, _ = load_golden(FILES["snu-challenge"])
    arguments = challenge_arguments(config | {"n_buffer": "3", "learnable_prompt": 17})
    torch.save({"module": state, "args": arguments}, tmp_path / MODEL_FILE)
    with pytest.raises(CheckpointError, match=rf"{tmp_path}: was built with n_buffer 3, but its tensors are of 4"):
        import_weights(tmp_path, out, "snu-challenge", {})
    found = import_weights(tmp_path, out, "snu-challenge", {"n_buffer": "4"})
    assert (found.model_config["num_buffers"], found.model_config["learnable_prompts"]) == (4, False)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"n_buffer": "many"}, "n_buffer is a whole number, found 'many'"),
        ({"feature_dim": "12,a"}, "feature_dim is whole numbers with commas in between, found '12,a'"),
        ({"use_sens_adj": "7"}, "use_sens_adj is true or false, found '7'"),
        ({"n_bufer": "4"}, "promptmr has no setting 'n_bufer'"),
        ({"num_bufers": "4"}, "promptmr has no setting 'num_bufers'; did you mean 'num_buffers'?"),
    ],
)
def test_a_setting_that_is_none_is_refused(tmp_path, out, setting, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        import_weights(save(tmp_path / "a.pt", "snu-challenge"), out, "snu-challenge", setting)
    assert not out.exists()


def test_settings_that_contradict_the_shapes_are_refused(tmp_path, out):
    with pytest.raises(
        CheckpointError, match=r"a.pt: weights for another architecture than varnet with .*=3, .*missing"
    ):
        import_weights(save(tmp_path / "a.pt", "fastmri-varnet"), out, "fastmri-varnet", {"num_cascades": "3"})
    assert not out.exists()


@pytest.mark.parametrize("source", FILES)
@pytest.mark.parametrize("claimed", FILES)
def test_weights_of_another_network_are_refused_with_the_source_that_would_do(tmp_path, out, source, claimed):
    """Without history nothing tells the networks of the PromptMR family apart for sure."""
    if source in (claimed, "promptmr", "snu-challenge") and claimed in (source, *PROMPTMR):
        return
    path = save(tmp_path / "a.pt", source)
    with pytest.raises(
        CheckpointError, match=rf"a.pt: looks like weights of {source}, not of {claimed}; give --from {source}$"
    ):
        import_weights(path, out, claimed, {})
    assert not out.exists()


@pytest.mark.parametrize("claimed", ["promptmr", "promptmr-plus"])
def test_a_network_without_channel_attention_is_what_its_user_says_with_a_warning(tmp_path, out, claimed):
    path = save(tmp_path / "a.pt", "snu-challenge")
    with pytest.warns(UserWarning, match=r"a.pt: without channel attention, as .*; if its image is wrong, give"):
        weights = import_weights(path, out, claimed, {"num_adj_slices": "3"})
    assert (weights.record["source"], weights.model_config["has_attention"]) == (claimed, False)
    assert weights.model_config["kspace_cascades"] is True
    assert error_of(weights, "snu-challenge") > 1e-3  # another network with the same weights


@pytest.mark.parametrize("source", FILES)
def test_weights_of_no_known_network_are_refused_with_what_is_there(tmp_path, out, source):
    torch.save({"encoder.a": torch.ones(2), "head.b": torch.ones(2)}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a.pt: holds 0 networks of the form of .*, not 1; found encoder, head"):
        import_weights(tmp_path / "a.pt", out, source, dict(TOLD.get(source, {})))


def test_a_network_without_cascades_is_named(tmp_path, out):
    weights = load_golden("fastmri_varnet")[0]
    torch.save({name: tensor for name, tensor in weights.items() if name.startswith("sens_net")}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a.pt: has no cascades.0.network.unet.down.0.first.weight"):
        import_weights(tmp_path / "a.pt", out, "fastmri-varnet", {})


@pytest.mark.parametrize("source", ["fastmri-unet", "snu-challenge"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named_and_nothing_is_written(tmp_path, out, source, value):
    name = {"fastmri-unet": "up_conv.2.1.bias", "snu-challenge": "cascades.1.model.unet.conv_last.weight"}[source]
    broken = torch.full_like(load_golden(FILES[source])[0][name], value)
    with pytest.raises(CheckpointError, match=r"a.pt: \S+output.(bias|weight) holds NaN or infinity"):
        import_weights(save(tmp_path / "a.pt", source, **{name: broken}), out, source, dict(TOLD.get(source, {})))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pt"]


@pytest.mark.parametrize("source", ["fastmri-varnet", "snu-challenge"])
def test_a_tensor_of_another_shape_is_named(tmp_path, out, source):
    name = {"fastmri-varnet": "cascades.1.model.unet.conv.layers.0.weight"}.get(
        source, "cascades.1.model.unet.conv_last.weight"
    )
    with pytest.raises(CheckpointError, match=r"1 tensors of another shape \(cascades.1\S+ 2 x 2, not "):
        import_weights(
            save(tmp_path / "a.pt", source, **{name: torch.ones(2, 2)}), out, source, dict(TOLD.get(source, {}))
        )
    assert not out.exists()


def test_an_unknown_source_is_refused(tmp_path, out):
    with pytest.raises(ConfigError, match=r"from fastmri-varnet, .*, snu-challenge, not from 'unet'"):
        import_weights(save(tmp_path / "a.pt", "fastmri-unet"), out, "unet", {})


@pytest.mark.parametrize("source", ["fastmri-unet", "snu-challenge"])
def test_the_card_lies_beside_the_weights_and_says_what_they_say(tmp_path, out, source):
    import_weights(save(tmp_path / "a.pt", source), out, source, dict(TOLD.get(source, {})))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pt", "w.md", "w.safetensors"]
    assert (tmp_path / "w.md").read_text() == make_card(describe(load_weights(out)))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"task": "knee", "acceleration": 8, "mask_type": "random_offset"}, {"max_readout": 416, "acceleration": 8.0}),
        ({"task": "brain", "acceleration": float("nan"), "mask_type": "fixed"}, {"max_readout": 384}),
        ({"task": "brain", "acceleration": 0, "mask_type": "fixed"}, {"max_readout": 384}),
        ({"task": "brain", "acceleration": 4, "mask_type": "spiral"}, {"max_readout": 384}),
    ],
)
def test_of_the_training_only_what_is_understood_is_recorded(tmp_path, out, settings, expected):
    state = load_golden(FILES["snu-challenge"])[0]
    torch.save({"module": state, "args": settings}, tmp_path / MODEL_FILE)
    record = import_weights(tmp_path, out, "snu-challenge", {}).record
    found = {"max_readout": record["max_readout"]} | record.get("masks", [{}])[0]
    assert {name: found[name] for name in expected} == expected
    assert ("acceleration" in found) == ("acceleration" in expected)


@pytest.mark.parametrize("settings", [{}, {"task": "foot"}, {"task": ["knee"]}])
def test_an_entry_that_does_not_say_what_it_was_trained_for_is_named(tmp_path, out, settings):
    torch.save({"module": load_golden(FILES["snu-challenge"])[0], "args": settings}, tmp_path / MODEL_FILE)
    with pytest.warns(
        UserWarning, match=r"does not say what it was trained for, so that all rows of an image go in; .*"
    ):
        record = import_weights(tmp_path, out, "snu-challenge", {}).record
    assert not {"anatomy", "max_readout"} & record.keys()


@pytest.mark.parametrize(("task", "rows"), [("brain", 384), ("knee", 416)])
def test_what_an_entry_was_trained_for_can_be_given(tmp_path, out, task, rows):
    found = import_weights(save(tmp_path / "a.pt", "snu-challenge"), out, "snu-challenge", {"task": task})
    assert (found.record["anatomy"], found.record["max_readout"]) == (task, rows)


def test_a_task_that_the_challenge_never_had_is_refused(tmp_path, out):
    with pytest.raises(ConfigError, match="task is brain or knee, found 'foot'"):
        import_weights(save(tmp_path / "a.pt", "snu-challenge"), out, "snu-challenge", {"task": "foot"})
