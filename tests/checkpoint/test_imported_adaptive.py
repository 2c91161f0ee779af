import itertools

import pytest
import torch
from checkpoint.published_files import load_golden
from helpers import relative_error

from mrikit.checkpoint import build_trained_model, import_weights
from mrikit.errors import CheckpointError, ConfigError
from mrikit.models.adaptive import scan_of

NAMES = ["adaptive_varnet", "adaptive_varnet_single", "adaptive_loupe"]
TOLD = {
    "adaptive_varnet": {"budget": "9", "matrix": "32,36"},
    "adaptive_varnet_single": {"budget": "6", "cascades_per_policy": "2", "dc_mode": "simul"},
    "adaptive_loupe": {"budget": "8", "dc_mode": "simul"},
}
"""What a state dict alone does not tell."""


@pytest.fixture
def out(tmp_path):
    return tmp_path / "w.safetensors"


def save(path, name, **changes):
    torch.save(load_golden(name)[0] | changes, path)
    return path


@torch.inference_mode()
def assert_acquires_as_published(weights, name):
    _, _, golden = load_golden(name)
    rows = itertools.chain(golden["uniforms"].numpy())
    draws = [lambda number: next(rows)[:number]] * len(golden["mask"])
    start = golden["mask"].bool()[:, None, None]
    output = build_trained_model(weights).eval().acquire(scan_of(golden["kspace"]), start, draws)
    assert torch.equal(output.extras["masks"], golden["masks"])
    assert relative_error(output.image, golden["output"]) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_a_state_dict_measures_the_published_lines_and_makes_the_published_image(tmp_path, out, name):
    weights = import_weights(save(tmp_path / "a.pt", name), out, "adaptive-varnet", TOLD[name])
    assert_acquires_as_published(weights, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_of_lightning_tells_what_its_tensors_do_not(tmp_path, out, name):
    state, config, _ = load_golden(name)
    content = {
        "state_dict": {f"varnet.{name}": tensor for name, tensor in state.items()} | {"loss.w": torch.ones(1)},
        "hyper_parameters": config | {"lr": 1e-3},
        "pytorch-lightning_version": "2.5.0",
    }
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.warns(UserWarning, match=r"a.ckpt: 1 tensors are no part of the network, left out"):
        weights = import_weights(tmp_path / "a.ckpt", out, "adaptive-varnet", {})
    assert_acquires_as_published(weights, name)
    assert weights.model_config["num_center_lines"] == config.get("num_sense_lines", 0)


def test_the_sizes_of_policies_are_read_from_their_shapes(tmp_path, out):
    name = "adaptive_varnet"
    config = import_weights(save(tmp_path / "a.pt", name), out, "adaptive-varnet", TOLD[name]).model_config
    sizes = {"num_policy_channels": 2, "policy_fc_size": 16, "num_policy_fc_layers": 3, "cascades_per_policy": 1}
    assert config | sizes | {"num_cascades": 3, "hard_dc": True, "policy": "policy"} == config


def test_a_square_matrix_need_not_be_told(tmp_path, out):
    name = "adaptive_varnet_single"
    config = import_weights(save(tmp_path / "a.pt", name), out, "adaptive-varnet", TOLD[name]).model_config
    assert list(config["matrix"]) == [32, 32]


@pytest.mark.parametrize("name", NAMES)
def test_lines_to_choose_must_be_told(tmp_path, out, name):
    told = {key: value for key, value in TOLD[name].items() if key != "budget"}
    with pytest.raises(ConfigError, match="does not say how many lines its policies choose: give --set budget=22"):
        import_weights(save(tmp_path / "a.pt", name), out, "adaptive-varnet", told)
    assert not out.exists()


def test_where_one_policy_stands_must_be_told(tmp_path, out):
    path = save(tmp_path / "a.pt", "adaptive_varnet_single")
    with pytest.raises(ConfigError, match="1 policies among 2 cascades: give --set cascades_per_policy=1"):
        import_weights(path, out, "adaptive-varnet", {"budget": "6"})


def test_a_matrix_that_cannot_be_square_must_be_told(tmp_path, out):
    name = "policies.0.sampler.fc_out.0.weight"
    wide = {name: torch.ones(16, 256), name.replace("policies.0", "policies.1"): torch.ones(16, 256)}
    path = save(tmp_path / "a.pt", "adaptive_varnet", **wide)
    with pytest.raises(ConfigError, match="does not say the matrix of its policies: give --set matrix=ROWS,36"):
        import_weights(path, out, "adaptive-varnet", {"budget": "9"})
    assert list(
        import_weights(path, out, "adaptive-varnet", {"budget": "9", "matrix": "64,36"}).model_config["matrix"]
    ) == [64, 36]


def test_two_copies_of_a_convolution_must_be_one(tmp_path, out):
    name = "policies.1.sampler.down_sample_layers.2.layers.0.bias"
    path = save(tmp_path / "a.pt", "adaptive_varnet", **{name: torch.ones(16)})
    with pytest.raises(CheckpointError, match=r"a.pt: holds policies.1\S+ twice with two values; one network cannot"):
        import_weights(path, out, "adaptive-varnet", TOLD["adaptive_varnet"])


def test_a_network_without_policies_reconstructs_a_given_start(tmp_path, out):
    """Published beside the others, for equispaced lines; no weight of data consistency tells it from a VarNet."""
    state = {name: tensor for name, tensor in load_golden("adaptive_varnet")[0].items() if "policies" not in name}
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="looks like weights of adaptive-varnet, not of fastmri-varnet"):
        import_weights(tmp_path / "a.pt", out, "fastmri-varnet", {})
    weights = import_weights(tmp_path / "a.pt", out, "adaptive-varnet", {})
    assert (weights.model_config["policy"], weights.model_config["hard_dc"]) == ("none", True)


def test_settings_that_contradict_the_shapes_are_refused(tmp_path, out):
    told = TOLD["adaptive_varnet"] | {"policy_fc_size": "17"}
    with pytest.raises(CheckpointError, match=r"a.pt: weights for another architecture than adaptive_varnet"):
        import_weights(save(tmp_path / "a.pt", "adaptive_varnet"), out, "adaptive-varnet", told)
