"""A reconstructor and an evaluator of its lines, trained against each other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import make_volume
from safetensors.torch import load_file
from training.children import start_several, wait
from training.small_run import CONFIG, are_same_bits, largest_difference, newest_state, run
from training.test_train import stop_at

from mrikit.acquire.policies import load_evaluator
from mrikit.checkpoint import build_trained_model, load_weights, read_record
from mrikit.config import build_config, change_config
from mrikit.data import BatchShape, SliceDataset, SliceKey, prepare
from mrikit.errors import ConfigError, DataError
from mrikit.forecast.footprint import trace_step
from mrikit.models.cvpr19_evaluator import Evaluator
from mrikit.training import DataConfig, ExecutionConfig, RunConfig, TrainingConfig
from mrikit.training.evaluator_config import EvaluatorTraining
from mrikit.training.objectives import Draw, objective_of, with_shape
from mrikit.volumes import open_volume, write_fastmri

SHAPE = (32, 28)
BOTH = RunConfig(
    task="knee_acquire",
    size="tiny",
    model="cvpr19",
    objective="evaluator",
    model_config={
        "num_channels": 2,
        "num_cascades": 2,
        "num_residual_blocks": 1,
        "num_embedded": 2,
        "width": 28,
        "dropout": 0.0,
    },
    evaluator=EvaluatorTraining(num_channels=4, num_layers=3, lr_scale=2.0),
    data=DataConfig(mask_kind="episode", mask_settings={"num_given": 4, "budget": 10}),
    training=TrainingConfig(loss="uncertainty", num_epochs=2, batch_size=2, max_lr=3e-3, beta1=0.5, seed=4),
    execution=ExecutionConfig(checkpoint_minutes=0),
)
"""Four steps an epoch: four volumes of two slices to train on, one to validate on."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Volumes of one shape, with noise."""
    data = tmp_path_factory.mktemp("plain")
    rng = np.random.default_rng(0)
    for number in range(5):
        volume = make_volume(2, num_coils=2, size=SHAPE, window=(24, 20), volume_id=f"v{number}")
        noise = 0.01 * rng.standard_normal((2, *volume.kspace.shape)).astype(np.float32)
        info = replace(volume.info, patient_id=f"p{number}")
        write_fastmri(
            data / f"v{number}.h5", volume.replaced(kspace=volume.kspace + noise[0] + 1j * noise[1], info=info)
        )
    return data


@pytest.fixture(scope="module")
def trained(plain, tmp_path_factory):
    folder, rows = tmp_path_factory.mktemp("both") / "run", []
    run(plain, folder, rows, config=BOTH)
    return folder, rows


@pytest.fixture(scope="module")
def scan(plain):
    volumes = [open_volume(plain / "v0.h5")] * 2
    return prepare(SliceDataset(volumes[:1]).read([SliceKey(0, 0), SliceKey(0, 1)]), volumes, torch.device("cpu"))


def built(**changes):
    config = change_config(
        with_shape(BOTH, SHAPE), {key.replace("__", "."): value for key, value in changes.items()}, ""
    )
    objective = objective_of(config)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return objective, objective.parts()


def gradients(scan, *, of, loss, **changes):
    """Of one part, flat; of the sum of one loss, `total` or a term."""
    objective, parts = built(**changes)
    losses = objective.losses(parts, scan, Draw(0, 0))
    chosen = losses.total if loss == "total" else losses.terms[loss]
    found = torch.autograd.grad(chosen.sum(), list(parts[of].parameters()), allow_unused=True)
    return torch.cat([torch.zeros(1) if one is None else one.flatten() for one in found])


def test_the_evaluators_loss_moves_the_evaluator_alone(scan):
    assert gradients(scan, of="evaluator", loss="evaluator").abs().max() > 1e-4
    assert not gradients(scan, of="network", loss="evaluator").any()


def test_the_reconstructors_losses_move_the_reconstructor_alone(scan):
    for loss in ("generator", "uncertainty"):
        assert gradients(scan, of="network", loss=loss).abs().max() > 1e-6
        assert not gradients(scan, of="evaluator", loss=loss).any()


def test_the_whole_loss_is_that_of_both_at_their_weights(scan):
    objective, parts = built()
    losses = objective.losses(parts, scan, Draw(0, 0))
    terms = losses.terms
    expected = terms["uncertainty"] + 0.1 * terms["generator"] + terms["evaluator"]
    torch.testing.assert_close(losses.total, expected)
    of_image, of_lines = (gradients(scan, of="network", loss=loss) for loss in ("uncertainty", "generator"))
    torch.testing.assert_close(gradients(scan, of="network", loss="total"), of_image + 0.1 * of_lines)
    doubled = gradients(scan, of="network", loss="total", evaluator__weight=0.2)
    torch.testing.assert_close(doubled, of_image + 0.2 * of_lines)


def test_both_learn_and_all_losses_are_logged(trained):
    folder, rows = trained
    state = newest_state(folder)
    for name in ("evaluator/first.weight", "evaluator/output.bias", "cascades.1.output.weight", "embedding.weight"):
        assert state[f"exp_avg/{name}"].abs().max() > 0
    epochs = [row for row in rows if row["kind"] == "epoch"]
    assert epochs[1]["loss_uncertainty"] < epochs[0]["loss_uncertainty"]
    for row in epochs:
        parts = row["loss_uncertainty"] + 0.1 * row["loss_generator"] + row["loss_evaluator"]
        assert row["loss"] == pytest.approx(parts)
    assert all(0 < row["ssim"] < 1 for row in rows if row["kind"] == "validation")


def test_an_evaluator_learns_at_its_own_rate():
    objective, parts = built(evaluator__lr_scale=6.0, training__weight_decay=0.1)
    found = {group.name: (group.rate_scale, group.weight_decay) for group in objective.groups(parts)}
    assert found == {"network": (1, 0.1), "network biases": (1, 0), "evaluator": (6, 0.1), "evaluator biases": (6, 0)}


def test_an_evaluator_that_is_alone_learns_to_tell_lines_apart(scan):
    """Of a fixed reconstructor, it learns which lines are measured."""
    objective, parts = built(evaluator__weight=0.0)
    adam = torch.optim.Adam(parts["evaluator"].parameters(), 3e-3)
    losses = []
    for _ in range(40):
        loss = objective.losses(parts, scan, Draw(0, 0)).terms["evaluator"].mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_the_evaluator_lies_beside_the_weights_and_comes_back_from_its_file(trained):
    folder, _ = trained
    weights, file = load_weights(folder), folder / "parts" / "evaluator.safetensors"
    training = build_config(EvaluatorTraining, read_record(file)["evaluator"], "evaluator")
    assert training == replace(BOTH.evaluator, width=28)
    assert weights.record["evaluator"] == read_record(file)["evaluator"]
    Evaluator(training.network(num_embedded=2)).load_state_dict(load_file(file), strict=True)
    assert build_trained_model(weights).config.num_embedded == 2
    policy = load_evaluator(folder, SHAPE[1])
    torch.testing.assert_close(policy.evaluator.state_dict(), load_file(file))


def test_a_run_that_was_stopped_ends_with_the_same_bits(plain, trained, tmp_path):
    run(plain, tmp_path, config=BOTH, on_row=stop_at(3))
    run(plain, tmp_path, config=BOTH)
    assert are_same_bits(newest_state(tmp_path), newest_state(trained[0]))


def test_two_processes_with_zero_learn_the_same(plain, trained, tmp_path):
    several = start_several(plain, tmp_path / "run", 2, tmp_path, config=BOTH, execution__zero_stage=2)
    assert wait(several) == [0, 0]
    assert largest_difference(newest_state(tmp_path / "run"), newest_state(trained[0])) < 1e-4


def test_zero_3_is_refused_before_the_start(plain, tmp_path):
    with pytest.raises(ConfigError, match=r"evaluator is trained with stages up to 2; set execution\.zero_stage=2"):
        run(plain, tmp_path, config=BOTH, execution__zero_stage=3)


def test_memory_is_predicted_with_the_evaluator():
    alone = replace(BOTH, objective="image")
    shape = BatchShape(num_slices=2, kspace=(2, *SHAPE), window=(24, 20), reference=None)
    sizes = [trace_step(config, shape, is_gpu=False).trained_bytes for config in (alone, BOTH)]
    _, parts = built()
    assert sizes[1] - sizes[0] == 4 * sum(weight.numel() for weight in parts["evaluator"].parameters())


def test_volumes_of_several_sizes_are_refused(study, tmp_path):
    with pytest.raises(DataError, match="an evaluator is for one matrix, and the volumes have 2: 24 x 36"):
        run(study, tmp_path, config=BOTH)


def test_a_width_that_is_not_that_of_the_volumes_is_refused(plain, tmp_path):
    with pytest.raises(ConfigError, match=r"evaluator\.width is 40, and k-space has 28 lines; leave it out"):
        run(plain, tmp_path, config=BOTH, evaluator__width=40)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": "unet", "model_config": {}, "training.loss": "ssim"},
            "is for cvpr19 with masks that are drawn; found",
        ),
        (
            {"sampler.kind": "lines", "data.mask_kind": "learned", "data.mask_settings": {}},
            "found cvpr19 with masks that are learned",
        ),
        ({"evaluator.weight": -1.0}, "evaluator.weight is 0 or more, found -1"),
        ({"evaluator.steepness": "inf"}, "evaluator.steepness is 0 or more, found inf"),
        ({"evaluator.width": -1}, "evaluator.width is 0 or more, found -1"),
        ({"evaluator.num_layers": 1}, "an evaluator needs width >= 1, num_channels >= 1, num_layers >= 2"),
    ],
)
def test_settings_that_contradict_each_other_are_one_line(changes, message):
    with pytest.raises(ConfigError) as caught:
        change_config(BOTH, changes, "train")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_masks_of_points_are_refused():
    config = change_config(BOTH, {"data.mask_kind": "poisson_disc", "data.mask_settings": {}}, "train")
    with pytest.raises(ConfigError, match="an evaluator scores lines, and the poisson_disc mask measures points"):
        objective_of(config)


def test_the_loss_with_uncertainty_needs_a_network_that_gives_it():
    with pytest.raises(ConfigError, match=r"uncertainty needs a network that gives a variance.*varnet gives none"):
        change_config(CONFIG, {"training.loss": "uncertainty"}, "train")
