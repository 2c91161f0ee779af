from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from phantoms import make_volume
from torch import nn

from mrikit.data import MaskPlan, SliceDataset, SliceKey, choose_mask, draw_masks, make_example, prepare_batch
from mrikit.errors import DataError
from mrikit.models import build_model
from mrikit.runs.interrupts import StopRequest
from mrikit.runs.process import Process
from mrikit.simulate import StudyConfig, simulate_study
from mrikit.training import DataConfig
from mrikit.training.objectives.anatomy import AnatomyValidation, anatomy_loss, validate_anatomy
from mrikit.volumes import find_volumes, open_volume

ALONE = Process(rank=0, world_size=1, device=torch.device("cpu"), store=None)
DATA = DataConfig(accelerations=(4.0, 8.0), center_fractions=(0.16, 0.16))


def volume(anatomy, volume_id="v", num_slices=2):
    made = make_volume(num_slices, 2, (32, 28), (24, 20), volume_id=volume_id)
    return replace(made, info=replace(made.info, anatomy=anatomy, acquisition=None))


def example_of(*volumes):
    batch = SliceDataset(volumes).read([SliceKey(position, 0) for position in range(len(volumes))])
    masks = [choose_mask(one, MaskPlan(center_fraction=0.16)) for one in volumes]
    return prepare_batch(batch, [one.info for one in volumes], masks)


class Fixed(nn.Module):
    """Logits as given, one row for each slice in the order of the calls."""

    def __init__(self, rows, on_call=lambda: None):
        super().__init__()
        self.rows, self.on_call = iter(rows), on_call

    def forward(self, masked_kspace, mask, num_center_lines):
        self.on_call()
        return torch.tensor([next(self.rows)])


def test_the_loss_is_minus_the_logarithm_of_the_true_anatomys_probability():
    example = example_of(volume("knee", "a"), volume("brain", "b"))
    logits = torch.tensor([[0.3, -1.2], [2.0, 0.5]], requires_grad=True)
    loss = anatomy_loss(logits, example)
    odds = logits.detach().double().exp()
    expected = -torch.log(torch.stack([odds[0, 1] / odds[0].sum(), odds[1, 0] / odds[1].sum()]))
    torch.testing.assert_close(loss.double(), expected, atol=1e-6, rtol=0)
    loss.sum().backward()
    assert (logits.grad[:, 0] * torch.tensor([1, -1]) > 0).all()


@pytest.mark.parametrize(("anatomy", "found"), [(None, "does not say what it shows"), ("hip", "shows hip")])
def test_a_volume_of_unknown_anatomy_cannot_be_trained_on(anatomy, found):
    example = example_of(volume("knee", "a"), volume(anatomy, "b"))
    with pytest.raises(
        DataError, match=f"^b: {found}; a classifier of brain and knee is trained on volumes whose"
    ) as e:
        anatomy_loss(torch.zeros(2, 2), example)
    assert "\n" not in str(e.value)


def test_validation_counts_volumes_by_the_mean_probability_of_their_slices():
    dataset = SliceDataset([volume("knee", "a"), volume("brain", "b"), volume("brain", "c")])
    probabilities = [[0.1, 0.9], [0.3, 0.7], [0.4, 0.6], [0.2, 0.8], [0.99, 0.01], [0.95, 0.05]]
    network = Fixed(np.log(probabilities).astype(np.float32).tolist())
    found = validate_anatomy(network, dataset, DATA, ALONE, StopRequest())
    expected = AnatomyValidation(
        accuracy=2 / 3, confidence=(0.8 + 0.7 + 0.97) / 3, known=2 / 3, probability=(0.8 + 0.3 + 0.97) / 3
    )
    assert asdict(found) == pytest.approx(asdict(expected), abs=1e-6)
    assert found.score == pytest.approx(2 / 3, abs=1e-3)


def test_accuracy_decides_which_weights_are_best_and_among_equals_the_probability():
    facts = {"confidence": 0.9, "known": 1.0}
    worse, better = (AnatomyValidation(accuracy=0.99, probability=one, **facts) for one in (0.5, 0.9))
    best = AnatomyValidation(accuracy=1.0, probability=0.1, **facts)
    assert worse.score < better.score < best.score


def test_validation_is_given_up_when_somebody_asks_to_stop():
    stop, dataset, calls = StopRequest(), SliceDataset([volume("knee", "a"), volume("knee", "b")]), []

    def ask():
        calls.append(1)
        stop.signal = 2

    network = Fixed([[0.0, 1.0]] * 4, ask)
    assert validate_anatomy(network, dataset, DATA, ALONE, stop) is None
    assert len(calls) == 2


def simulated(folder, seed):
    """Knees and brains of two patients each, fully sampled, knees first."""
    for anatomy in ("knee", "brain"):
        simulate_study(
            StudyConfig(anatomy=anatomy, folder=folder, num_volumes=4, num_coils=(2,), num_slices=2, seed=seed)
        )
    volumes = [open_volume(path) for path in find_volumes(folder)]
    return sorted((one for one in volumes if one.reference is not None), key=lambda one: one.info.anatomy == "brain")


def test_a_classifier_learns_in_seconds_to_tell_simulated_knees_from_brains(tmp_path):
    """Of other patients, at 4x and 8x."""
    volumes = simulated(tmp_path / "train", seed=0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_model("anatomy_net")
    optimizer = torch.optim.Adam(network.parameters(), lr=4e-3)
    half = len(volumes) // 2
    for step in range(24):
        losses = []
        for one in (volumes[step % half], volumes[half + step % half]):
            (mask,) = draw_masks(DATA.plans, [one.info], [0], seed=0, epoch=step)
            example = make_example(one, (0, 1), mask)
            losses.append(anatomy_loss(network(example.masked_kspace, example.mask, example.num_center_lines), example))
        optimizer.zero_grad()
        torch.cat(losses).mean().backward()
        optimizer.step()
    dataset = SliceDataset(simulated(tmp_path / "test", seed=5))
    found = validate_anatomy(network.eval(), dataset, DATA, ALONE, StopRequest())
    assert found.accuracy == 1.0
    assert found.probability > 0.8
