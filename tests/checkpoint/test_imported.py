import argparse
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from mrikit.checkpoint import build_trained_model, import_weights
from mrikit.errors import CheckpointError

GOLDEN = Path(__file__).parents[1] / "golden"
VARNET = {"num_cascades": 2, "num_channels": 6, "num_pools": 2, "num_sens_channels": 4, "num_sens_pools": 2}


def fastmri_weights(model):
    """A state dict of fastMRI, under its names."""
    with np.load(GOLDEN / f"fastmri_{model}.npz") as file:
        return {key[3:]: torch.from_numpy(file[key]) for key in file if key.startswith("w::")}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "w.safetensors"


@pytest.mark.parametrize(
    ("model", "settings"),
    [("varnet", VARNET | {"use_checkpoint": False}), ("unet", {"num_channels": 8, "num_pools": 3, "dropout": 0.0})],
)
def test_the_settings_are_read_from_names_and_shapes(tmp_path, out, model, settings):
    torch.save(fastmri_weights(model), tmp_path / "a.pt")
    weights = import_weights(tmp_path / "a.pt", out, model, {})
    assert (weights.model, weights.model_config, weights.path) == (model, settings, out)
    assert weights.record["imported_from"] == "a.pt"
    assert len(build_trained_model(weights).state_dict()) == len(fastmri_weights(model))


def test_settings_that_no_shape_tells_can_be_given(tmp_path, out):
    torch.save(fastmri_weights("unet"), tmp_path / "a.pt")
    assert import_weights(tmp_path / "a.pt", out, "unet", {"dropout": "0.1"}).model_config["dropout"] == 0.1


def test_settings_that_contradict_the_shapes_are_refused(tmp_path, out):
    torch.save(fastmri_weights("varnet"), tmp_path / "a.pt")
    with pytest.raises(
        CheckpointError, match=r"a.pt: weights for another architecture than varnet with .*=3, .*missing"
    ):
        import_weights(tmp_path / "a.pt", out, "varnet", {"num_cascades": "3"})
    assert not out.exists()


@pytest.mark.parametrize("model", ["varnet", "unet"])
@pytest.mark.parametrize("prefix", ["", "net.", "module.net."])
def test_a_checkpoint_of_lightning_gives_its_network_and_says_what_it_leaves_out(tmp_path, out, model, prefix):
    weights = fastmri_weights(model)
    state = {f"{prefix}{name}": tensor for name, tensor in weights.items()} | {"loss.w": torch.ones(1, 1, 7, 7)}
    torch.save({"state_dict": state, "epoch": 3, "hyper_parameters": {"lr": 1e-3}}, tmp_path / "a.ckpt")
    with pytest.warns(UserWarning, match=r"a.ckpt: 1 tensors are no part of the network, left out"):
        found = import_weights(tmp_path / "a.ckpt", out, model, {})
    torch.save(weights, tmp_path / "plain.pt")
    plain = import_weights(tmp_path / "plain.pt", tmp_path / "plain.safetensors", model, {})
    assert found.tensors.keys() == plain.tensors.keys()
    assert all(torch.equal(found.tensors[name], plain.tensors[name]) for name in plain.tensors)


def test_safetensors_of_another_program_can_be_imported(tmp_path, out):
    safetensors.torch.save_file(fastmri_weights("unet"), tmp_path / "a.safetensors")
    assert import_weights(tmp_path / "a.safetensors", out, "unet", {}).model_config["num_pools"] == 3


def test_weights_of_another_kind_of_network_are_refused(tmp_path, out):
    torch.save(fastmri_weights("varnet"), tmp_path / "varnet.pt")
    torch.save(fastmri_weights("unet"), tmp_path / "unet.pt")
    with pytest.raises(
        CheckpointError,
        match=r"varnet.pt: holds 3 networks of the form of fastMRI's unet, not 1; found cascades, sens_net",
    ):
        import_weights(tmp_path / "varnet.pt", out, "unet", {})
    with pytest.raises(
        CheckpointError, match=r"unet.pt: holds 0 networks of the form of fastMRI's varnet, not 1; found conv, "
    ):
        import_weights(tmp_path / "unet.pt", out, "varnet", {})
    with pytest.raises(CheckpointError, match=r"weights can be imported for unet and varnet, not for 'cg_sense'"):
        import_weights(tmp_path / "unet.pt", out, "cg_sense", {})


def test_a_network_without_cascades_is_named(tmp_path, out):
    sens_only = {name: tensor for name, tensor in fastmri_weights("varnet").items() if name.startswith("sens_net")}
    torch.save(sens_only, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a.pt: has no cascades.0.network.unet.down.0.first.weight"):
        import_weights(tmp_path / "a.pt", out, "varnet", {})


def test_weights_that_are_not_finite_are_named_and_nothing_is_written(tmp_path, out):
    weights = fastmri_weights("unet")
    weights["up_conv.2.1.bias"] = weights["up_conv.2.1.bias"] * float("nan")
    torch.save(weights, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a.pt: network.output.bias holds NaN or infinity"):
        import_weights(tmp_path / "a.pt", out, "unet", {})
    assert not out.exists()


class RunsCode:
    """Unpickling it makes a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "legacy"])
def test_code_in_a_pickle_is_not_run_but_named(tmp_path, out, options):
    torch.save({"state_dict": fastmri_weights("unet"), "x": RunsCode(tmp_path / "owned")}, tmp_path / "a.pt", **options)
    with pytest.raises(
        CheckpointError, match=r"a.pt: holds (posix|os).mkdir besides tensors; such a pickle can run"
    ) as caught:
        import_weights(tmp_path / "a.pt", out, "unet", {})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "owned").exists()
    torch.load(tmp_path / "a.pt", weights_only=False)
    assert (tmp_path / "owned").exists()  # it would have


def test_an_unknown_class_in_a_checkpoint_is_named_with_what_would_do(tmp_path, out):
    torch.save({"state_dict": fastmri_weights("unet"), "args": argparse.Namespace(lr=1)}, tmp_path / "a.ckpt")
    with pytest.raises(
        CheckpointError, match=r"holds argparse.Namespace besides .* save its state dict alone with torch.save"
    ):
        import_weights(tmp_path / "a.ckpt", out, "unet", {})


def test_a_damaged_pickle_is_one_line_wherever_it_is_damaged(tmp_path, out):
    generator = np.random.default_rng(0)
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        torch.save({"state_dict": {"a": torch.ones(3)}}, tmp_path / "a.pt", **options)
        content = (tmp_path / "a.pt").read_bytes()
        for _ in range(60):
            broken = bytearray(content[: generator.integers(len(content))])
            for place in generator.integers(max(len(broken), 1), size=3):
                broken[place : place + 1] = bytes([generator.integers(256)])
            (tmp_path / "b.pt").write_bytes(broken)
            with pytest.raises(CheckpointError, match=r"^\S+b.pt: ") as caught:
                import_weights(tmp_path / "b.pt", out, "unet", {})
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [torch.ones(3), {"epoch": 3}, {"state_dict": {}}, [1, 2]], ids=repr)
def test_a_file_without_a_state_dict_is_named(tmp_path, out, content):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a.pt: holds no state dict, but (Tensor|dict|list)"):
        import_weights(tmp_path / "a.pt", out, "unet", {})


def test_a_file_that_is_missing_or_cut_off_is_named(tmp_path, out):
    for name in ("a.pt", "a.safetensors"):
        with pytest.raises(CheckpointError, match=rf"{name}: cannot be read: No such file"):
            import_weights(tmp_path / name, out, "unet", {})
    safetensors.torch.save_file({"a": torch.ones(9)}, tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes()[:-4])
    with pytest.raises(CheckpointError, match=r"a.safetensors: damaged or cut off"):
        import_weights(tmp_path / "a.safetensors", out, "unet", {})
