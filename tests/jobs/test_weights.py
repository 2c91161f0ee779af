import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import relative_error
from phantoms import make_volume
from typer.testing import CliRunner

from jobs.app import app
from mrikit.checkpoint import build_trained_model, load_weights, save_weights
from mrikit.errors import CheckpointError, ConfigError
from mrikit.models import build_model, model_settings
from mrikit.volumes import Volume, write_fastmri
from mrikit.volumes.reconstruction import read_reconstruction

GOLDEN = Path(__file__).parents[1] / "golden"


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def trained(tmp_path):
    """The folder of a training run."""
    model = build_model("unet", {"num_channels": 2, "num_pools": 1})
    record = {"task": "knee_singlecoil", "step": 1200, "validation": {"ssim": 0.9, "psnr": 33.1}, "masks": [{"a": 1}]}
    save_weights(tmp_path / "run" / "weights.safetensors", "unet", model_settings(model), model.state_dict(), record)
    return tmp_path / "run"


def load_golden():
    with np.load(GOLDEN / "fastmri_varnet.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file if key != "config"}


def save_published(path, **others):
    weights = {f"varnet.{key[3:]}": array for key, array in load_golden().items() if key.startswith("w::")}
    torch.save({"state_dict": weights | others}, path)


def test_info_says_what_is_known_one_fact_a_line(trained):
    lines = dict(line.split(maxsplit=1) for line in run("weights", "info", trained).stdout.splitlines())
    digest = lines.pop("sha256")
    assert len(digest) == 64
    version = lines.pop("mrikit_version")
    assert version
    assert lines == {
        "path": str(trained / "weights.safetensors"),
        "model": "unet",
        "settings": "num_channels=2, num_pools=1, dropout=0.0",
        "parameters": "413",
        "task": "knee_singlecoil",
        "step": "1,200",
        "validation": "ssim=0.9, psnr=33.1",
        "masks": "1 entries, see --json",
    }


def test_info_as_json_is_read_by_programs(trained):
    facts = json.loads(run("weights", "info", trained, "--json").stdout)
    assert facts["settings"] == {"num_channels": 2, "num_pools": 1, "dropout": 0.0}
    assert (facts["parameters"], facts["step"], facts["masks"]) == (413, 1200, [{"a": 1}])


def test_info_refuses_weights_that_do_not_fit(tmp_path):
    model = build_model("unet", {"num_channels": 2, "num_pools": 1})
    settings = model_settings(model) | {"num_pools": 2}
    save_weights(tmp_path / "w.safetensors", "unet", settings, model.state_dict(), {})
    with pytest.raises(CheckpointError, match="weights for another architecture than unet"):
        run("weights", "info", tmp_path / "w.safetensors")


@torch.inference_mode()
def test_published_weights_reconstruct_as_in_their_own_program(tmp_path):
    """From fastMRI's state dict to the image that fastMRI makes with it, and of a file of k-space to the same."""
    golden = load_golden()
    kspace, mask = golden["kspace"].numpy(), golden["mask"].numpy().astype(bool)
    info = replace(make_volume().info, matrix=(40, 36), recon_matrix=(40, 36), padding=(0, 36), reference_max=None)
    volume = Volume(kspace=kspace[None], reference=None, mask=mask, info=info)
    write_fastmri(tmp_path / "data" / "file1000001.h5", volume)
    save_published(tmp_path / "varnet.ckpt")
    weights, out = tmp_path / "varnet.safetensors", tmp_path / "out"
    done = run("weights", "import", tmp_path / "varnet.ckpt", "--model", "varnet", "--out", weights)
    first, following = done.stdout.splitlines()
    assert first.startswith("varnet, ")
    assert "num_cascades=2, num_channels=6, num_pools=2, num_sens_channels=4, num_sens_pools=2" in first
    assert first.endswith(f"; in {weights}")
    assert following == f"next: mrikit reconstruct --data DATA --out RECON --weights {weights} --acceleration 4"
    assert run("reconstruct", "--data", tmp_path / "data", "--out", out, "--weights", weights).exit_code == 0
    result = read_reconstruction(out / "file1000001.h5")
    model = build_trained_model(load_weights(weights))
    inputs = (golden["kspace"][None], golden["mask"].bool().view(1, 1, 1, -1))
    assert relative_error(model(*inputs, torch.tensor([0])), golden["output"]) < 1e-5
    # In a stored mask mrikit finds the whole block of 7 lines; fastMRI counts as many on both sides of the middle, 6.
    assert result.mask.num_center_lines == 7
    assert relative_error(torch.from_numpy(result.image), model(*inputs, torch.tensor([7]))) < 1e-5


def test_a_setting_that_no_shape_tells_can_be_given(tmp_path):
    save_published(tmp_path / "varnet.pt")
    words = ["--model", "varnet", "--out", tmp_path / "w.safetensors", "--set", "use_checkpoint=true"]
    assert "use_checkpoint=True" in run("weights", "import", tmp_path / "varnet.pt", *words).stdout


def test_what_is_there_already_is_not_overwritten(tmp_path, trained):
    save_published(tmp_path / "varnet.pt")
    before = (trained / "weights.safetensors").read_bytes()
    with pytest.raises(ConfigError, match=r"weights.safetensors: there already; choose another --out or remove it"):
        run("weights", "import", tmp_path / "varnet.pt", "--model", "varnet", "--out", trained / "weights.safetensors")
    assert (trained / "weights.safetensors").read_bytes() == before


def test_another_suffix_is_refused(tmp_path):
    save_published(tmp_path / "varnet.pt")
    with pytest.raises(ConfigError, match=r"weights are a .safetensors file, found --out \S+w.pt"):
        run("weights", "import", tmp_path / "varnet.pt", "--model", "varnet", "--out", tmp_path / "w.pt")
