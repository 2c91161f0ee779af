import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import make_volume
from safetensors.torch import load_file
from torch import nn
from training.children import start_several, wait
from training.small_run import CONFIG, are_same_bits, largest_difference, newest_state, run
from training.test_train import stop_at
from training.three_parts import ThreeParts

from mrikit.checkpoint import build_trained_model, find_checkpoints, load_weights, read_record
from mrikit.config import change_config
from mrikit.errors import ConfigError, DataError
from mrikit.reconstruct import find_weights
from mrikit.training.objectives import OBJECTIVES, Group, objective_of

THREE = replace(CONFIG, objective="three_parts")
OF_CRITIC = ("parts/critic/conv.weight", "parts/critic/conv.bias")


@pytest.fixture(scope="module")
def trained(study, tmp_path_factory):
    folder, rows = tmp_path_factory.mktemp("three") / "run", []
    run(study, folder, rows, config=THREE)
    return folder, rows


def state_at(folder, step):
    return load_file(folder / "checkpoints" / f"step-{step:08d}.safetensors")


def test_every_part_is_trained_and_in_the_checkpoint(trained):
    state = newest_state(trained[0])
    assert abs(state["parts/sampler/gain"] - 1) > 1e-4
    for name in ("sampler/gain", "critic/conv.weight", "cascades.1.dc_weight"):
        assert state[f"exp_avg/{name}"].abs().max() > 0


def test_a_group_begins_in_its_epoch_and_learns_at_its_share_of_the_rate(study, tmp_path):
    run(study, tmp_path, config=THREE, execution__keep=20, training__warmup_epochs=0, training__max_grad_norm=0)
    first, fifth, sixth = (state_at(tmp_path, step) for step in (1, 5, 6))
    assert all(torch.equal(first[name], fifth[name]) for name in OF_CRITIC)
    # Adam's first steps are as long as the rate; the sampler's is twice that of the run.
    assert abs(first["parts/sampler/gain"] - 1) == pytest.approx(2 * 3e-3, rel=1e-2)
    moved = (sixth[OF_CRITIC[0]] - fifth[OF_CRITIC[0]]).abs().max()
    assert 0 < moved < 0.2 * 3e-3 * 1.5


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_every_zero_stage_trains_all_parts_alike(study, trained, tmp_path, stage):
    run(study, tmp_path / "whole", config=THREE, execution__zero_stage=stage)
    assert largest_difference(newest_state(tmp_path / "whole"), newest_state(trained[0])) < 2e-6
    run(study, tmp_path / "parts", config=THREE, on_row=stop_at(4), execution__zero_stage=stage)
    run(study, tmp_path / "parts", config=THREE, execution__zero_stage=stage)
    assert are_same_bits(newest_state(tmp_path / "parts"), newest_state(tmp_path / "whole"))


@pytest.mark.parametrize("stage", [0, 3])
def test_gradients_of_every_part_are_means_over_all_processes(study, trained, tmp_path, stage):
    processes = start_several(study, tmp_path / "run", 2, tmp_path, config=THREE, execution__zero_stage=stage)
    assert wait(processes) == [0, 0]
    found, alone = newest_state(tmp_path / "run"), newest_state(trained[0])
    assert found.keys() == alone.keys()
    # Each process counts the slices of its own.
    same = [name for name in found if not name.endswith("num_seen")]
    assert max((found[name] - alone[name]).abs().max() for name in same) < 2e-6
    assert found["parts/critic/num_seen"] == alone["parts/critic/num_seen"] / 2


def test_the_weights_hold_network_and_sampler_and_the_rest_lies_beside_them(trained):
    weights = load_weights(trained[0])
    assert set(weights.sampler) == {"gain", "num_seen"}
    assert weights.sampler["num_seen"] == newest_state(trained[0])["parts/sampler/num_seen"] > 0
    assert build_trained_model(weights)
    assert set(load_file(trained[0] / "parts" / "critic.safetensors")) == {"conv.weight", "conv.bias", "num_seen"}
    assert find_weights([trained[0].parent]) == [trained[0] / "weights.safetensors"]
    assert load_weights(find_checkpoints(trained[0])[-1]).sampler.keys() == {"gain", "num_seen"}


def test_terms_are_logged_for_steps_and_for_whole_epochs(trained):
    rows = [json.loads(line) for line in (trained[0] / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if row["kind"] == "train"]
    epochs = [row for row in rows if row["kind"] == "epoch"]
    assert [row["step"] for row in steps] == list(range(1, 11))
    for row in (*steps, *epochs):
        assert row["loss"] == pytest.approx(row["loss_ssim"] + 0.1 * row["loss_critic"])
    assert [row["step"] for row in epochs] == [5, 10]
    for number, row in enumerate(epochs):
        own = [step["loss"] for step in steps[5 * number : 5 * number + 5]]
        assert row["loss"] == pytest.approx(sum(own) / 5)


def test_means_of_an_epoch_are_whole_after_a_resume(study, trained, tmp_path):
    rows = []
    run(study, tmp_path, rows, config=THREE, on_row=stop_at(3))
    run(study, tmp_path, rows, config=THREE)
    found = [row["loss"] for row in rows if row["kind"] == "epoch"]
    assert len(found) == 2
    assert found == [row["loss"] for row in trained[1] if row["kind"] == "epoch"]


def test_the_best_has_least_of_a_score_of_which_less_is_better(study, tmp_path):
    rows = []
    run(study, tmp_path, rows, config=replace(CONFIG, objective="lowest_nmse"))
    validations = [row for row in rows if row["kind"] == "validation"]
    best = min(validations, key=lambda row: row["nmse"])
    position = read_record(find_checkpoints(tmp_path)[-1])["position"]
    assert (position["best_step"], position["best_score"]) == (best["step"], best["nmse"])
    score = json.loads((tmp_path / "config.json").read_text())["score"]
    assert score == {"name": "nmse", "words": "NMSE", "higher_is_better": False}


def with_groups(monkeypatch, groups):
    monkeypatch.setitem(OBJECTIVES, "odd", type("Odd", (ThreeParts,), {"groups": groups}))
    return replace(CONFIG, objective="odd")


def test_a_group_without_parameters_is_refused_by_its_name(study, tmp_path, monkeypatch):
    groups = ThreeParts.groups
    config = with_groups(monkeypatch, lambda self, parts: [*groups(self, parts), Group(name="judge", parameters=[])])
    with pytest.raises(ConfigError, match="'judge' has no parameters to train"):
        run(study, tmp_path / "run", config=config)
    assert not (tmp_path / "run").exists()


def test_a_parameter_in_no_group_is_refused_by_its_name(study, tmp_path, monkeypatch):
    groups = ThreeParts.groups
    config = with_groups(monkeypatch, lambda self, parts: groups(self, parts)[:-1])
    with pytest.raises(ConfigError, match=r"critic/conv.weight is in no group"):
        run(study, tmp_path / "run", config=config)


def test_a_zero_stage_that_an_objective_cannot_take_is_refused(monkeypatch):
    monkeypatch.setattr(ThreeParts, "max_zero_stage", 2)
    with pytest.raises(ConfigError, match=r"stages up to 2; set execution.zero_stage=2"):
        objective_of(replace(THREE, execution=replace(THREE.execution, zero_stage=3)))


def test_an_unknown_objective_is_refused():
    with pytest.raises(ConfigError, match=r"objective is one of image, anatomy, .*found 'imge'"):
        objective_of(replace(CONFIG, objective="imge"))


def test_a_run_of_the_former_layout_resumes(study, trained, tmp_path):
    run(study, tmp_path / "run", on_row=stop_at(4))
    path = tmp_path / "run" / "config.json"
    found = json.loads(path.read_text())
    for name in ("layout", "version", "score", "objective"):
        del found[name]
    del found["config"]["objective"]
    path.write_text(json.dumps(found))
    run(study, tmp_path / "run")
    run(study, tmp_path / "whole")
    assert are_same_bits(newest_state(tmp_path / "run"), newest_state(tmp_path / "whole"))


def test_a_run_of_a_newer_layout_names_the_version_that_made_it(study, trained, tmp_path):
    run(study, tmp_path, on_row=stop_at(4))
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"layout": 9, "version": "9.1"}))
    with pytest.raises(ConfigError, match=r"is a run of mrikit 9.1, whose folders have layout 9; .* --start"):
        run(study, tmp_path)


def test_the_parts_of_a_module_keep_their_own_names():
    parts = objective_of(THREE).parts()
    assert isinstance(parts, nn.ModuleDict)
    assert list(parts) == ["network", "sampler", "critic"]


def test_an_objective_for_another_kind_of_model_is_refused():
    with pytest.raises(ConfigError, match="the objective anatomy is for anatomy_net and no other model; found anatomy"):
        replace(CONFIG, objective="anatomy")


def test_a_run_begins_with_a_sampler_and_what_the_run_before_lacks_is_new(study, finished, trained, tmp_path):
    run(study, tmp_path / "of-network", config=THREE, start=finished[0], training__num_epochs=1)
    assert newest_state(tmp_path / "of-network")["exp_avg/sampler/gain"].abs() > 0
    lines = []
    weights = trained[0] / "weights.safetensors"
    run(study, tmp_path / "of-weights", config=THREE, start=weights, lines=lines, training__max_lr=1e-12)
    assert "Adam begins anew" in lines[0]
    gain = load_weights(weights).sampler["gain"]
    assert abs(newest_state(tmp_path / "of-weights")["parts/sampler/gain"] - gain) < 1e-6


def test_one_spelling_of_a_loss_is_kept(study, tmp_path):
    run(study, tmp_path, training__loss="0.01*l1+ssim", on_row=stop_at(2))
    run(study, tmp_path, training__loss="0.010 l1 + 1 ssim")
    assert json.loads((tmp_path / "config.json").read_text())["config"]["training"]["loss"] == "0.01 l1 + ssim"


@pytest.mark.parametrize(
    "settings", [{"training.loss": "ssim + 0.1 ssim_body"}, {"data.validation_score": "body_ssim"}]
)
def test_volumes_without_a_body_mask_are_refused_before_anything_is_claimed(settings):
    volume = make_volume(volume_id="file7")
    silent = replace(volume, info=replace(volume.info, anatomy=None, acquisition=None))
    objective = objective_of(change_config(CONFIG, settings, "test"))
    objective.check([replace(volume, info=replace(volume.info, anatomy="knee"))], "DATA")
    with pytest.raises(DataError, match=r"^DATA, file7: [^\n]*needs a body mask[^\n]*$"):
        objective.check([silent], "DATA")


def test_a_mask_file_is_seen_to_fit_and_belongs_to_the_run(study, tmp_path):
    lines = tmp_path / "lines.json"
    lines.write_text(json.dumps([*range(12, 22), 0, 3, 5, 8, 23, 25, 27, 1]))
    settings = {"data__mask_kind": str(lines), "data__accelerations": (2.0,), "data__center_fractions": (0.1,)}
    run(study, tmp_path / "run", on_row=stop_at(2), **settings)
    lines.write_text(json.dumps([*range(12, 22), 0, 3, 5, 8, 24, 26, 27, 1]))
    with pytest.raises(ConfigError, match="the volumes were those of"):
        run(study, tmp_path / "run", **settings)
    np.save(tmp_path / "other.npy", np.ones((5, 5), bool))
    with pytest.raises(DataError, match="a mask of 5 x 5 for k-space of"):
        run(study, tmp_path / "new", data__mask_kind=str(tmp_path / "other.npy"))
    assert not (tmp_path / "new").exists()
