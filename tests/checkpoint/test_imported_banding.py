import argparse

import pytest
import torch
from checkpoint.published_files import load_golden
from helpers import relative_error

from mrikit.checkpoint import build_trained_model, import_weights
from mrikit.errors import CheckpointError, ConfigError

NAMES = ["banding_reconstructor", "banding_reconstructor_image"]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "w.safetensors"


def save(path, name, **changes):
    torch.save(load_golden(name)[0] | changes, path)
    return path


@torch.inference_mode()
def error_of(weights, name):
    _, config, golden = load_golden(name)
    num_center = torch.tensor([config["num_low_frequencies"]])
    image = build_trained_model(weights)(golden["kspace"][None], golden["mask"].view(1, 1, 1, -1), num_center)
    return relative_error(image, golden["output"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prefix", ["", "module.", "predictor.module."])
def test_a_checkpoint_of_a_training_makes_the_published_image(tmp_path, out, name, prefix):
    state, config, _ = load_golden(name)
    content = {
        "model": {f"{prefix}{key}": tensor for key, tensor in state.items()} | {"adversary.fc.bias": torch.ones(1)},
        "args": argparse.Namespace(lr=3e-4, method=config["method_str"], sens_method=config["sens_method_str"]),
        "epoch": 99,
    }
    torch.save(content, tmp_path / "current_model.mdl")
    with pytest.warns(UserWarning, match=r"current_model.mdl: 1 tensors are no part of the network, left out"):
        weights = import_weights(tmp_path / "current_model.mdl", out, "banding-removal", {})
    assert (weights.model, weights.record["epoch"]) == ("soft_varnet", 99)
    assert error_of(weights, name) < 2e-5


def test_sizes_are_read_from_shapes_and_the_form_from_names(tmp_path, out):
    found = import_weights(save(tmp_path / "a.pt", NAMES[0]), out, "banding-removal", {}).model_config
    sizes = {"num_channels": 2, "num_pools": 4, "num_sens_channels": 2, "num_sens_pools": 4, "num_cascades": 2}
    assert found == sizes | {"space": "kspace", "mode": "parallel", "use_checkpoint": False}


def test_the_form_of_cascades_in_the_image_must_be_told(tmp_path, out):
    path = save(tmp_path / "a.pt", NAMES[1])
    with pytest.raises(
        ConfigError, match=r"not say whether its cascades are sequential: give --set mode=sequential or"
    ):
        import_weights(path, out, "banding-removal", {})
    assert not out.exists()
    weights = import_weights(path, out, "banding-removal", {"mode": "sequential"})
    assert weights.model_config["space"] == "image"
    assert error_of(weights, NAMES[1]) < 2e-5
    other = import_weights(path, out, "banding-removal", {"mode": "parallel"})
    assert error_of(other, NAMES[1]) > 0.1


def test_the_words_of_a_method_tell_sequential_cascades_in_k_space(tmp_path, out):
    words = "12[SoftDC(cunet(18,2),'k-space','sequential'),]IFT(),RSS()"
    torch.save({"model": load_golden(NAMES[0])[0], "args": {"method": words}}, tmp_path / "a.mdl")
    found = import_weights(tmp_path / "a.mdl", out, "banding-removal", {}).model_config
    assert (found["space"], found["mode"]) == ("kspace", "sequential")


def test_two_networks_are_refused(tmp_path, out):
    state = load_golden(NAMES[0])[0]
    both = state | {f"mean.{name}": tensor for name, tensor in state.items()}
    torch.save(both, tmp_path / "a.pt")
    with pytest.raises(
        CheckpointError, match=r"a.pt: holds 2 networks of the form of the banding study's, not 1; found me"
    ):
        import_weights(tmp_path / "a.pt", out, "banding-removal", {})


def test_a_network_without_cascades_is_refused(tmp_path, out):
    state = {name: tensor for name, tensor in load_golden(NAMES[0])[0].items() if name.startswith("model_sens")}
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a.pt: holds a sensitivity network .*, but no cascade; save the whole"):
        import_weights(tmp_path / "a.pt", out, "banding-removal", {})


def test_weights_of_another_network_are_refused(tmp_path, out):
    torch.save(load_golden("fastmri_varnet")[0], tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"looks like weights of fastmri-varnet, not of banding-removal; give"):
        import_weights(tmp_path / "a.pt", out, "banding-removal", {})
    torch.save({"conv.weight": torch.ones(1)}, tmp_path / "b.pt")
    with pytest.raises(
        CheckpointError, match=r"b.pt: holds 0 networks of the form of the banding study's, not 1; found"
    ):
        import_weights(tmp_path / "b.pt", out, "banding-removal", {})
