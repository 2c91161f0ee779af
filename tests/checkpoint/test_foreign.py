import argparse
import hashlib
import os
import pickle
import sys
import types
import warnings
from collections import OrderedDict
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import safetensors.torch
import torch
from checkpoint.published_files import challenge_arguments, save_with_deepspeed
from torch import nn

from mrikit.checkpoint import save_weights
from mrikit.checkpoint.foreign import MODEL_FILE, read_foreign
from mrikit.errors import CheckpointError

WEIGHTS = {"net.a.weight": torch.arange(6.0).view(2, 3), "net.prompt_param": torch.ones(2)}
SETTINGS = {"num_cascades": 8, "feature_dim": [64, 80, 96], "adaptive_input": True}


@pytest.fixture(scope="module")
def deepspeed_folder(tmp_path_factory):
    """`step3`, as the challenge's entry leaves it."""
    return save_with_deepspeed(tmp_path_factory.mktemp("result") / "step3", WEIGHTS, challenge_arguments(SETTINGS))


@pytest.fixture(scope="module")
def sharded_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharded") / "step3"
    return save_with_deepspeed(folder, WEIGHTS, challenge_arguments(SETTINGS), zero_stage=3)


def has_weights(found):
    return found.state.keys() == WEIGHTS.keys() and all(
        torch.equal(found.state[name], WEIGHTS[name]) for name in WEIGHTS
    )


@pytest.mark.parametrize("place", [".", "epoch-45", f"epoch-45/{MODEL_FILE}"])
def test_a_folder_of_deepspeed_gives_weights_and_arguments(deepspeed_folder, place):
    found = read_foreign(deepspeed_folder / place)
    assert has_weights(found)
    assert found.settings == {
        **SETTINGS,
        "task": "brain",
        "acceleration": 4,
        "mask_type": "fixed",
        "max_lr": 1e-4,
        "step": 3,
        "path": "../Data/train",
        "epoch": 45,
    }
    assert (found.kind, found.name) == ("checkpoint of DeepSpeed", f"epoch-45/{MODEL_FILE}")
    content = (deepspeed_folder / "epoch-45" / MODEL_FILE).read_bytes()
    assert found.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("place", [".", "epoch-45"])
def test_a_folder_with_sharded_weights_is_refused_with_what_joins_them(sharded_folder, place):
    with pytest.raises(
        CheckpointError, match=r"sharded by ZeRO 3: it holds zero_pp_rank_0\S+; join .* zero_to_fp32.py"
    ):
        read_foreign(sharded_folder / place)


def test_a_part_of_sharded_weights_is_refused(sharded_folder):
    (part,) = sharded_folder.glob("*/*model_states.pt")
    with pytest.raises(CheckpointError, match=r"sharded by ZeRO 3: 2 of 2 tensors are empty; join them"):
        read_foreign(part)


def test_the_programs_in_a_folder_of_deepspeed_are_not_run(deepspeed_folder, tmp_path):
    folder = tmp_path / "step3"
    (folder / "epoch-45").mkdir(parents=True)
    (folder / "latest").write_text("epoch-45\n")
    (folder / "epoch-45" / MODEL_FILE).write_bytes((deepspeed_folder / "epoch-45" / MODEL_FILE).read_bytes())
    for place in (folder, folder / "epoch-45"):
        (place / "zero_to_fp32.py").write_text("raise SystemExit")
        (place / "zero_pp_rank_0_mp_rank_00_optim_states.pt").write_bytes(pickle.dumps(RunsCode(tmp_path / "owned")))
    assert has_weights(read_foreign(folder))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("key", ["state_dict", "module", "model_state_dict", "model"])
def test_a_state_dict_is_found_beside_other_things(tmp_path, key):
    torch.save({key: WEIGHTS, "optimizer": {"state": {0: torch.ones(1)}}, "epoch": 3}, tmp_path / "a.pt")
    found = read_foreign(tmp_path / "a.pt")
    assert has_weights(found)
    assert (found.kind, found.name, found.settings) == ("state dict", "a.pt", {"epoch": 3})


class AttributeDict(dict):
    """As Lightning keeps hyperparameters."""


def test_the_hyperparameters_of_lightning_are_read_with_groups_inside(tmp_path, monkeypatch):
    module = types.ModuleType("lightning.fabric.utilities.data")
    module.AttributeDict = AttributeDict
    for name in ("lightning", "lightning.fabric", "lightning.fabric.utilities"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(AttributeDict, "__module__", module.__name__)
    settings = AttributeDict(
        lr=np.float64(0.25), num_cascades=np.int32(12), has_ca=np.bool_(True), size=torch.Size([3, 4]),
        data=Path("/data") / "knee", where=PurePosixPath("a"), loss=None, names=["a", "b"], weights=torch.ones(2),
        model={"n_buffer": 4, "lr": 3.0, "mixed": [1, None]}, args=argparse.Namespace(n_history=11),
    )  # fmt: skip
    content = {"state_dict": WEIGHTS, "hyper_parameters": settings, "pytorch-lightning_version": "2.5", "epoch": 7}
    torch.save(content, tmp_path / "a.ckpt")
    monkeypatch.undo()
    found = read_foreign(tmp_path / "a.ckpt")
    assert has_weights(found)
    assert found.kind == "checkpoint of Lightning"
    assert found.settings == {
        "lr": 0.25, "num_cascades": 12, "has_ca": True, "size": [3, 4], "data": "/data/knee", "where": "a",
        "names": ["a", "b"], "n_buffer": 4, "n_history": 11, "epoch": 7,
    }  # fmt: skip


def test_settings_that_hold_themselves_or_broken_numbers_do_no_harm(tmp_path):
    settings = {"n": 1, "broken": BrokenNumber()}
    settings["again"] = settings
    torch.save({"state_dict": WEIGHTS, "hyper_parameters": settings}, tmp_path / "a.ckpt")
    assert read_foreign(tmp_path / "a.ckpt").settings == {"n": 1}


class BrokenNumber:
    """A numpy scalar of 8 bytes with 3."""

    def __reduce__(self):
        scalar = np.float64(1).__reduce__()[0]
        return scalar, (np.dtype("f8"), b"abc")


class RunsCode:
    """Unpickling it makes a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


class RunsState:
    """Unpickling it builds a harmless class, whose state makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return argparse.Namespace, (), {"x": RunsCode(self.folder)}


@pytest.mark.parametrize("bad", [RunsCode, RunsState])
@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "legacy"])
@pytest.mark.parametrize("key", ["x", "args", "hyper_parameters"])
def test_code_in_a_pickle_is_not_run_but_named(tmp_path, bad, options, key):
    torch.save({"state_dict": WEIGHTS, key: bad(tmp_path / "owned")}, tmp_path / "a.pt", **options)
    with pytest.raises(
        CheckpointError, match=r"a.pt: holds (posix|os).mkdir besides tensors; such a pickle can run"
    ) as caught:
        read_foreign(tmp_path / "a.pt")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "owned").exists()
    torch.load(tmp_path / "a.pt", weights_only=False)
    assert (tmp_path / "owned").exists()  # it would have


def test_code_in_a_folder_of_deepspeed_is_not_run_but_named(tmp_path):
    content = {"module": WEIGHTS, "args": challenge_arguments(SETTINGS, x=RunsCode(tmp_path / "owned"))}
    torch.save(content, tmp_path / MODEL_FILE)
    with pytest.raises(CheckpointError, match=rf"{MODEL_FILE}: holds (posix|os).mkdir besides tensors"):
        read_foreign(tmp_path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "value", [argparse.Action, np.random.default_rng, eval, OrderedDict.fromkeys], ids=lambda value: value.__name__
)
def test_a_name_that_is_not_known_as_harmless_is_refused_with_what_would_do(tmp_path, value):
    torch.save({"state_dict": WEIGHTS, "args": value}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match=r"holds \S+ besides .* save its state dict alone with torch.save"):
        read_foreign(tmp_path / "a.ckpt")


def test_nothing_of_a_file_stays_allowed_for_others(tmp_path):
    torch.save({"state_dict": WEIGHTS, "args": argparse.Namespace()}, tmp_path / "a.pt")
    read_foreign(tmp_path / "a.pt")
    with pytest.raises(pickle.UnpicklingError, match=r"argparse.Namespace"):
        torch.load(tmp_path / "a.pt", weights_only=True)


def test_a_damaged_pickle_is_one_line_wherever_it_is_damaged(tmp_path):
    generator = np.random.default_rng(0)
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        torch.save({"state_dict": {"a": torch.ones(3)}, "args": argparse.Namespace(a=1)}, tmp_path / "a.pt", **options)
        content = (tmp_path / "a.pt").read_bytes()
        for _ in range(60):
            broken = bytearray(content[: generator.integers(len(content))])
            for place in generator.integers(max(len(broken), 1), size=3):
                broken[place : place + 1] = bytes([generator.integers(256)])
            (tmp_path / "b.pt").write_bytes(broken)
            with pytest.raises(CheckpointError, match=r"^\S+b.pt: ") as caught:
                read_foreign(tmp_path / "b.pt")
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.pkl", pickle.dumps({"state_dict": [1.0]})),
        ("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(99)),
        ("a.txt", b"hello"),
        ("a.pt", b""),
    ],
)
def test_what_torch_did_not_write_is_refused_with_what_would_do(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        read_foreign(tmp_path / name)
    assert str(error.value) == (
        f"{tmp_path / name}: not a file that torch.save wrote, or cut off; give a .pt, .pth, .ckpt or .safetensors "
        f"file, or a DeepSpeed folder"
    )


def test_a_plain_pickle_that_would_run_code_is_not_run(tmp_path):
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(RunsCode(tmp_path / "made")))
    with pytest.raises(CheckpointError, match=r"evil.pkl: not a file that torch.save wrote"):
        read_foreign(tmp_path / "evil.pkl")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "content", [torch.ones(3), {"epoch": 3}, {"state_dict": {}}, [1, 2]], ids=["tensor", "number", "empty", "list"]
)
def test_a_file_without_a_state_dict_is_named(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a.pt: holds no state dict, but (Tensor|dict|list)"):
        read_foreign(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.eye(2).to_sparse(), "float32, sparse_coo, on cpu"),
        (torch.ones(2, device="meta"), "float32, strided, on meta"),
        (torch.ones(2, dtype=torch.complex128), "complex128, strided, on cpu"),
        (torch.ones(2).to(torch.float8_e4m3fn), "float8_e4m3fn, strided, on cpu"),
        (torch.ones(1).expand(10**12), "float32, strided, on cpu"),
    ],
    ids=["sparse", "without content", "complex128", "float8", "one number a trillion times"],
)
def test_a_tensor_that_is_no_plain_one_is_named(tmp_path, tensor, words):
    torch.save({"state_dict": WEIGHTS | {"odd": tensor}}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=rf"a.pt: odd is no plain tensor but {words}; save it as float32"):
        read_foreign(tmp_path / "a.pt")


class OddDict:
    """Becomes a dict, one of whose methods is a text."""

    def __init__(self, method, content):
        self.method, self.content = method, content

    def __reduce__(self):
        return OrderedDict, (), {self.method: "text"}, None, iter(self.content.items())


@pytest.mark.parametrize("method", ["get", "items", "values"])
@pytest.mark.parametrize("place", ["state_dict", "args", None])
def test_a_dict_that_does_not_behave_like_one_is_damage(tmp_path, method, place):
    content = {"state_dict": WEIGHTS, "args": {}} | ({place: OddDict(method, WEIGHTS)} if place else {})
    torch.save(content if place else OddDict(method, content), tmp_path / "a.pt")
    try:
        assert has_weights(read_foreign(tmp_path / "a.pt"))  # it does not need the method
    except CheckpointError as error:
        assert "a.pt: holds dicts that do not behave as such; save the state dict" in str(error)  # noqa: PT017


def test_a_program_of_torchscript_is_named(tmp_path):
    with warnings.catch_warnings(action="ignore"):  # TorchScript is going away
        torch.jit.save(torch.jit.script(nn.ReLU()), tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a.pt: a program of TorchScript, which is not read"):
        read_foreign(tmp_path / "a.pt")


def test_a_file_that_is_missing_or_cut_off_is_named(tmp_path):
    for name in ("a.pt", "a.safetensors"):
        with pytest.raises(CheckpointError, match=rf"{name}: cannot be read: No such file"):
            read_foreign(tmp_path / name)
    safetensors.torch.save_file({"a": torch.ones(9)}, tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes()[:-4])
    with pytest.raises(CheckpointError, match=r"a.safetensors: damaged or cut off"):
        read_foreign(tmp_path / "a.safetensors")


def test_weights_of_mrikit_need_no_import(tmp_path):
    save_weights(tmp_path / "weights.safetensors", "unet", {}, WEIGHTS, {})
    with pytest.raises(CheckpointError, match=r"weights of mrikit already; use them as they are"):
        read_foreign(tmp_path / "weights.safetensors")
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(CheckpointError, match=rf"a training run of mrikit; use it as it is, with --weights {tmp_path}"):
        read_foreign(tmp_path)


def test_a_folder_that_is_no_checkpoint_is_named_with_those_inside_that_are(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"no checkpoint folder of DeepSpeed.* nor 'latest'; give a file, or such"
    ):
        read_foreign(tmp_path)
    for step in (1, 3):
        (tmp_path / f"step{step}").mkdir()
        (tmp_path / f"step{step}" / "latest").write_text("epoch-15")
    with pytest.raises(CheckpointError, match=r"nor 'latest'; give one of its folders: step1, step3$"):
        read_foreign(tmp_path)


@pytest.mark.parametrize("tag", ["epoch-15", "", "x" * 300, "a\0b", "\xff"])
def test_a_folder_whose_latest_step_is_missing_is_named(tmp_path, tag):
    (tmp_path / "latest").write_bytes(tag.encode("latin1"))
    with pytest.raises(
        CheckpointError, match=r"'latest' in it names '.*', which is not there; copy it whole"
    ) as caught:
        read_foreign(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_network_of_model_parallel_parts_is_refused(tmp_path):
    for part in range(2):
        torch.save({"module": WEIGHTS}, tmp_path / f"mp_rank_0{part}_model_states.pt")
    with pytest.raises(CheckpointError, match=r"a network of 2 model-parallel parts is not read; save it whole"):
        read_foreign(tmp_path)
