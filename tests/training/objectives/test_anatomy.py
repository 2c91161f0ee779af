from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import make_volume
from torch import nn

from mrikit.data import SliceDataset, SliceKey, prepare
from mrikit.errors import DataError
from mrikit.models.output import Output
from mrikit.runs.interrupts import StopRequest
from mrikit.runs.process import Process
from mrikit.simulate import StudyConfig, simulate_study
from mrikit.training import DataConfig, RunConfig, TrainingConfig
from mrikit.training.objectives import Draw, objective_of
from mrikit.volumes import find_volumes, open_volume

ALONE = Process(rank=0, world_size=1, device=torch.device("cpu"), store=None)
DATA = DataConfig(accelerations=(4.0, 8.0), center_fractions=(0.16, 0.16))


def volume(anatomy, volume_id="v", num_slices=2):
    made = make_volume(num_slices, 2, (32, 28), (24, 20), volume_id=volume_id)
    return replace(made, info=replace(made.info, anatomy=anatomy, acquisition=None))


OBJECTIVE = objective_of(
    RunConfig(
        task="anatomy", size="tiny", model="anatomy_net", data=DATA, training=TrainingConfig(loss="cross_entropy")
    )
)


def scan_of(*volumes, slice_index=0):
    batch = SliceDataset(volumes).read([SliceKey(position, slice_index) for position in range(len(volumes))])
    return prepare(batch, volumes)


def loss_of(network, scan, epoch=0):
    return OBJECTIVE.losses(nn.ModuleDict({"network": network}), scan, Draw(0, epoch)).total


def validate(network, dataset, stop):
    return OBJECTIVE.validate(nn.ModuleDict({"network": network}), dataset, ALONE, stop)


class Fixed(nn.Module):
    """Logits as given, one row for each slice in the order of the calls."""

    def __init__(self, rows, on_call=lambda: None):
        super().__init__()
        self.rows, self.on_call = iter(rows), on_call

    def forward(self, masked_kspace, mask, num_center_lines):
        self.on_call()
        return Output(None, extras={"logits": torch.stack([torch.as_tensor(next(self.rows)) for _ in masked_kspace])})


def test_the_loss_is_minus_the_logarithm_of_the_true_anatomys_probability():
    logits = torch.tensor([[0.3, -1.2], [2.0, 0.5]], requires_grad=True)
    loss = loss_of(Fixed(logits), scan_of(volume("knee", "a"), volume("brain", "b")))
    odds = logits.detach().double().exp()
    expected = -torch.log(torch.stack([odds[0, 1] / odds[0].sum(), odds[1, 0] / odds[1].sum()]))
    torch.testing.assert_close(loss.double(), expected, atol=1e-6, rtol=0)
    loss.sum().backward()
    assert (logits.grad[:, 0] * torch.tensor([1, -1]) > 0).all()


@pytest.mark.parametrize(("anatomy", "found"), [(None, "does not say what it shows"), ("hip", "shows hip")])
def test_a_volume_of_unknown_anatomy_cannot_be_trained_on(anatomy, found):
    scan = scan_of(volume("knee", "a"), volume(anatomy, "b"))
    with pytest.raises(
        DataError, match=f"^b: {found}; a classifier of brain and knee is trained on volumes whose"
    ) as e:
        loss_of(Fixed(torch.zeros(2, 2)), scan)
    assert "\n" not in str(e.value)


def test_validation_counts_volumes_by_the_mean_probability_of_their_slices():
    dataset = SliceDataset([volume("knee", "a"), volume("brain", "b"), volume("brain", "c")])
    probabilities = [[0.1, 0.9], [0.3, 0.7], [0.4, 0.6], [0.2, 0.8], [0.99, 0.01], [0.95, 0.05]]
    network = Fixed(np.log(probabilities).astype(np.float32).tolist())
    found = validate(network, dataset, StopRequest())
    expected = {"accuracy": 2 / 3, "confidence": (0.8 + 0.7 + 0.97) / 3, "known": 2 / 3}
    expected |= {"probability": (0.8 + 0.3 + 0.97) / 3}
    assert found.numbers == pytest.approx(expected, abs=1e-6)
    assert found.score == pytest.approx(2 / 3, abs=1e-3)


def test_accuracy_decides_which_weights_are_best_and_among_equals_the_probability():
    dataset = SliceDataset([volume("knee", "a", num_slices=1), volume("brain", "b", num_slices=1)])

    def score(of_knee, of_brain):
        logits = [[-of_knee, of_knee], [of_brain, -of_brain]]
        return validate(Fixed(logits), dataset, StopRequest()).score

    assert score(9.0, -0.1) < score(0.1, 0.1) < score(9.0, 0.1)


def test_validation_is_given_up_when_somebody_asks_to_stop():
    stop, dataset, calls = StopRequest(), SliceDataset([volume("knee", "a"), volume("knee", "b")]), []

    def ask():
        calls.append(1)
        stop.signal = 2

    network = Fixed([[0.0, 1.0]] * 4, ask)
    assert validate(network, dataset, stop) is None
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
        network = OBJECTIVE.parts()["network"]
    optimizer = torch.optim.Adam(network.parameters(), lr=4e-3)
    half = len(volumes) // 2
    for step in range(24):
        losses = []
        for one in (volumes[step % half], volumes[half + step % half]):
            losses += [loss_of(network, scan_of(one, slice_index=index), step) for index in (0, 1)]
        optimizer.zero_grad()
        torch.cat(losses).mean().backward()
        optimizer.step()
    dataset = SliceDataset(simulated(tmp_path / "test", seed=5))
    found = validate(network.eval(), dataset, StopRequest()).numbers
    assert found["accuracy"] == 1.0
    assert found["probability"] > 0.8
