import json
from dataclasses import replace

import pytest
import torch
from checkpoint.published_files import challenge_arguments, load_golden
from helpers import relative_error
from phantoms import make_volume
from typer.testing import CliRunner

from mrikit.checkpoint import SOURCES, build_trained_model, describe, load_weights, make_card, save_weights
from mrikit.checkpoint.foreign import MODEL_FILE
from mrikit.commands.app import app
from mrikit.commands.weights import Source
from mrikit.errors import CheckpointError, ConfigError
from mrikit.models import build_model, model_settings
from mrikit.volumes import Volume, write_fastmri
from mrikit.volumes.reconstruction import read_reconstruction

MASK = {"kind": "fixed", "acceleration": 8.0, "center_fraction": 0.08}
WORDS = ("--from", "fastmri-varnet", "--out")


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def trained(tmp_path):
    """The folder of a training run."""
    model = build_model("unet", {"num_channels": 2, "num_pools": 1})
    record = {"task": "knee_singlecoil", "step": 1200, "validation": {"ssim": 0.9, "psnr": 33.1}, "masks": [MASK]}
    record |= {"stage": 0, "num_weights": 413, "loss": 0.07512345678901234, "validation_masks": [MASK]}
    save_weights(tmp_path / "run" / "weights.safetensors", "unet", model_settings(model), model.state_dict(), record)
    return tmp_path / "run"


def save_published(path, **others):
    weights = {f"varnet.{name}": array for name, array in load_golden("fastmri_varnet")[0].items()}
    torch.save({"state_dict": weights | others}, path)
    return path


def test_info_says_what_is_known_one_fact_a_line(trained):
    lines = dict(line.split(maxsplit=1) for line in run("weights", "info", trained).stdout.splitlines())
    digest = lines.pop("sha256")
    assert len(digest) == 64
    version = lines.pop("mrikit_version")
    assert version
    assert lines == {
        "path": str(trained / "weights.safetensors"),
        "model": "unet",
        "settings": "num_channels=2, num_pools=1, dropout=0, crops_before=False, clamps_input=False",
        "parameters": "413",
        "task": "knee_singlecoil",
        "step": "1,200",
        "validation": "ssim=0.9, psnr=33.1",
        "masks": "8x fixed, 8 % centre",
        "loss": "0.0751235",
        "compatibility": "none",
    }


def test_info_counts_the_volumes_and_as_json_names_all(tmp_path):
    model = build_model("unet", {"num_channels": 2, "num_pools": 1})
    record = {"trained_on": [f"file{number}" for number in range(1200)]}
    save_weights(tmp_path / "w.safetensors", "unet", model_settings(model), model.state_dict(), record)
    text = run("weights", "info", tmp_path / "w.safetensors").stdout
    assert "file0" not in text
    assert ["trained_on", "1,200 volumes"] in [line.split(maxsplit=1) for line in text.splitlines()]
    facts = json.loads(run("weights", "info", tmp_path / "w.safetensors", "--json").stdout)
    assert facts["trained_on"] == record["trained_on"]


def test_info_prints_the_card_alone(trained):
    done = run("weights", "info", trained, "--card")
    assert done.stdout == make_card(describe(load_weights(trained)))
    assert done.stdout.startswith("# unet for knee_singlecoil\n")


def test_info_prints_one_form(trained):
    done = run("weights", "info", trained, "--card", "--json")
    assert done.exit_code == 2
    assert "--json and --card are two ways" in " ".join(done.stderr.replace("│", " ").split())


def test_info_of_a_run_in_stages_is_of_the_highest_with_weights(tmp_path, trained):
    trained.rename(tmp_path / "stage-1")
    (tmp_path / "stage-2").mkdir()
    assert json.loads(run("weights", "info", tmp_path, "--json").stdout)["path"] == str(
        tmp_path / "stage-1" / "weights.safetensors"
    )


def test_info_as_json_is_read_by_programs(trained):
    facts = json.loads(run("weights", "info", trained, "--json").stdout)
    own = {"crops_before": False, "clamps_input": False}
    assert facts["settings"] == {"num_channels": 2, "num_pools": 1, "dropout": 0.0} | own
    assert (facts["parameters"], facts["step"], facts["masks"]) == (413, 1200, [MASK])


def test_info_refuses_weights_that_do_not_fit(tmp_path):
    model = build_model("unet", {"num_channels": 2, "num_pools": 1})
    settings = model_settings(model) | {"num_pools": 2}
    save_weights(tmp_path / "w.safetensors", "unet", settings, model.state_dict(), {})
    with pytest.raises(CheckpointError, match="weights for another architecture than unet"):
        run("weights", "info", tmp_path / "w.safetensors")


@torch.inference_mode()
def test_published_weights_reconstruct_as_in_their_own_program(tmp_path):
    """From fastMRI's state dict to the image that fastMRI makes with it, and of a file of k-space to the same."""
    _, _, golden = load_golden("fastmri_varnet")
    kspace, mask = golden["kspace"].numpy(), golden["mask"].numpy().astype(bool)
    info = replace(make_volume().info, matrix=(40, 36), recon_matrix=(40, 36), padding=(0, 36), reference_max=None)
    volume = Volume(kspace=kspace[None], reference=None, mask=mask, info=info)
    write_fastmri(tmp_path / "data" / "file1000001.h5", volume)
    save_published(tmp_path / "varnet.ckpt")
    weights, out = tmp_path / "varnet.safetensors", tmp_path / "out"
    done = run("weights", "import", tmp_path / "varnet.ckpt", "--from", "fastmri-varnet", "--out", weights)
    first, licence, card, following = done.stdout.splitlines()
    assert first.startswith("varnet, ")
    assert "num_cascades=2, num_channels=6, num_pools=2, num_sens_channels=4, num_sens_pools=2" in first
    assert first.endswith(f"; in {weights}")
    assert licence.startswith("licence: The weights keep the licence of their authors. fastMRI's code is under the MIT")
    assert card == f"card: {tmp_path / 'varnet.md'}"
    assert following == f"next: mrikit reconstruct --data DATA --out RECON --weights {weights} --acceleration 4"
    assert run("reconstruct", "--data", tmp_path / "data", "--out", out, "--weights", weights).exit_code == 0
    result = read_reconstruction(out / "file1000001.h5")
    model = build_trained_model(load_weights(weights))
    inputs = (golden["kspace"][None], golden["mask"].bool().view(1, 1, 1, -1))
    assert relative_error(model(*inputs, torch.tensor([0])), golden["output"]) < 1e-5
    # In a stored mask mrikit finds the whole block of 7 lines; fastMRI counts as many on both sides of the middle, 6.
    assert result.mask.num_center_lines == 7
    assert relative_error(torch.from_numpy(result.image), golden["output"]) < 1e-5


def test_a_setting_that_no_shape_tells_can_be_given(tmp_path):
    save_published(tmp_path / "varnet.pt")
    words = ["--from", "fastmri-varnet", "--out", tmp_path / "w.safetensors", "--set", "use_checkpoint=true"]
    assert "use_checkpoint=True" in run("weights", "import", tmp_path / "varnet.pt", *words).stdout


def test_what_is_there_already_is_not_overwritten(tmp_path, trained):
    save_published(tmp_path / "varnet.pt")
    before = (trained / "weights.safetensors").read_bytes()
    with pytest.raises(ConfigError, match=r"weights.safetensors: there already; choose another --out or remove it"):
        run("weights", "import", tmp_path / "varnet.pt", *WORDS, trained / "weights.safetensors")
    assert (trained / "weights.safetensors").read_bytes() == before


def test_another_suffix_is_refused(tmp_path):
    save_published(tmp_path / "varnet.pt")
    with pytest.raises(ConfigError, match=r"weights are a .safetensors file, found --out \S+w.pt"):
        run("weights", "import", tmp_path / "varnet.pt", *WORDS, tmp_path / "w.pt")


def test_a_text_that_lies_where_the_card_belongs_is_not_overwritten(tmp_path):
    save_published(tmp_path / "varnet.pt")
    (tmp_path / "w.md").write_text("notes")
    with pytest.raises(ConfigError, match=r"w.md: there already; choose another --out or remove it"):
        run("weights", "import", tmp_path / "varnet.pt", *WORDS, tmp_path / "w.safetensors")
    assert (tmp_path / "w.md").read_text() == "notes"
    assert not (tmp_path / "w.safetensors").exists()


@pytest.mark.parametrize("source", ["unet", "VarNet", ""])
def test_an_unknown_source_is_wrong_usage_that_lists_the_known(tmp_path, source):
    done = run("weights", "import", tmp_path / "a.pt", "--from", source, "--out", tmp_path / "w.safetensors")
    assert done.exit_code == 2
    assert all(name in done.stderr for name in SOURCES)


def test_the_command_knows_the_sources_that_the_importer_knows():
    assert [source.value for source in Source] == list(SOURCES)


def test_weights_of_the_challenge_are_imported_with_their_terms_and_the_mask_that_they_know(tmp_path):
    """From the folder that DeepSpeed leaves to a file, a card and the next command."""
    state, config, _ = load_golden("promptmr_snu_challenge")
    torch.save({"module": state, "epoch": 45, "args": challenge_arguments(config)}, tmp_path / MODEL_FILE)
    out = tmp_path / "brain.safetensors"
    done = run("weights", "import", tmp_path, "--from", "snu-challenge", "--out", out)
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].startswith("licence: The code that these weights come from has no licence")
    assert lines[-1].endswith(f"--weights {out} --acceleration 4 --mask fixed --center-fraction 0.08")
    info = dict(line.split(maxsplit=1) for line in run("weights", "info", out).stdout.splitlines())
    assert (info["source"], info["anatomy"], info["epoch"]) == ("snu-challenge", "brain", "45")
    assert info["compatibility"].startswith("shares_activation, ")
    card = run("weights", "info", out, "--card").stdout
    assert card == (tmp_path / "brain.md").read_text()
    assert "has no licence" in card
    assert "non-commercial" in card


@pytest.mark.parametrize("source", ["promptmr", "promptmr-plus"])
def test_the_card_of_promptmr_says_that_its_licence_is_non_commercial(tmp_path, source):
    torch.save(load_golden({"promptmr": "promptmr_v1"}.get(source, "promptmr_plus"))[0], tmp_path / "a.pt")
    words = ("--set", "num_adj_slices=3") if source == "promptmr" else ()
    run("weights", "import", tmp_path / "a.pt", "--from", source, "--out", tmp_path / "w.safetensors", *words)
    assert "published for non-commercial use only" in (tmp_path / "w.md").read_text().split("## Licence")[1]
