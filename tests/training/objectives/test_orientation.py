"""A classifier that learns orientations from images of networks that learn nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import make_volume
from scipy.stats import spearmanr
from torch import nn
from training.small_run import CONFIG as NETWORK
from training.small_run import are_same_bits, newest_state, run
from training.test_train import stop_at

from mrikit.checkpoint import build_trained_model, load_weights, save_weights
from mrikit.config import change_config
from mrikit.data import (
    AugmentConfig,
    BatchShape,
    SliceDataset,
    SliceKey,
    center_crop,
    draw_masks,
    prepare,
    transpose,
    undersample,
)
from mrikit.errors import CheckpointError, ConfigError, DataError
from mrikit.forecast.footprint import trace_step
from mrikit.models import build_model, model_settings
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from mrikit.runs.process import Process
from mrikit.training import DataConfig, ExecutionConfig, RunConfig, TrainingConfig
from mrikit.training.objectives import Draw, objective_of
from mrikit.training.orientation_config import OrientationTraining
from mrikit.volumes import open_volume, write_fastmri

TELLS = RunConfig(
    task="orientation",
    size="tiny",
    model="orientation_net",
    model_config={"kind": "simple"},
    orientation=OrientationTraining(reconstructors=("zero_filled",)),
    data=DataConfig(num_validation=1),
    augment=AugmentConfig(transpose_probability=0.5),
    training=TrainingConfig(loss="cross_entropy", num_epochs=1, batch_size=2, max_lr=1e-3, seed=4),
    execution=ExecutionConfig(checkpoint_minutes=0),
)
"""Two steps an epoch: two volumes of two slices to train on, one to validate on."""
SMALL = {
    "varnet": NETWORK.model_config,
    "adaptive_varnet": {
        "matrix": (16, 16),
        "budget": 2,
        "num_cascades": 1,
        "num_channels": 2,
        "num_pools": 1,
        "num_policy_channels": 2,
    },
}
SIZE, WINDOW = (24, 20), (16, 12)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Volumes of patients of their own, with noise."""
    data, rng = tmp_path_factory.mktemp("plain"), np.random.default_rng(0)
    for number in range(3):
        volume = make_volume(2, num_coils=2, size=SIZE, window=WINDOW, volume_id=f"v{number}")
        noise = 0.01 * rng.standard_normal((2, *volume.kspace.shape)).astype(np.float32)
        info = replace(volume.info, patient_id=f"p{number}")
        made = volume.replaced(kspace=volume.kspace + noise[0] + 1j * noise[1], info=info)
        write_fastmri(data / f"v{number}.h5", made)
    return data


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Weights of a small network that makes images."""
    return saved(tmp_path_factory.mktemp("network") / "net.safetensors")


@pytest.fixture(scope="module")
def trained(plain, tmp_path_factory):
    folder, rows = tmp_path_factory.mktemp("tells") / "run", []
    run(plain, folder, rows, config=TELLS)
    return folder, rows


@pytest.fixture
def scan(plain):
    return slices_of(plain, "v0")


def slices_of(data, name):
    """Both slices of a volume."""
    volumes = [open_volume(data / f"{name}.h5")] * 2
    return prepare(SliceDataset(volumes[:1]).read([SliceKey(0, 0), SliceKey(0, 1)]), volumes, torch.device("cpu"))


def saved(path, seed=0, model="varnet", **record):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = build_model(model, SMALL.get(model, {}))
    save_weights(path, model, model_settings(made), made.state_dict(), record)
    return path


def with_network(*paths, **changes):
    settings = {name.replace("__", "."): value for name, value in changes.items()}
    return change_config(TELLS, {"orientation.reconstructors": ",".join(map(str, paths)), **settings}, "train")


class Seen(nn.Module):
    """Takes all for transposed, and keeps the images that it saw."""

    def __init__(self):
        super().__init__()
        self.images = []

    def forward(self, image, is_transposed):
        self.images.append((image.clone(), is_transposed.tolist()))
        return torch.ones(len(image))


def test_it_sees_what_the_network_makes_of_the_slices_as_they_lie(scan, network):
    """A transposed slice is undersampled along its former readout, by as many lines as that has."""
    objective, parts = objective_of(with_network(network)), nn.ModuleDict({"network": Seen()})
    both = [objective.losses(parts, one, Draw(0, 0)) for one in (scan, transpose(scan, [True, True]))]
    (image, sides), (other, other_sides) = parts["network"].images
    assert (sides, other_sides) == ([False, False], [True, True])
    assert image.shape == (2, *WINDOW)
    assert other.shape == (2, *WINDOW[::-1])
    assert not torch.allclose(image, other.mT, rtol=1e-2)
    # Of an estimate of 1 for transposed.
    torch.testing.assert_close(both[0].total, torch.full((2,), 1.3133), rtol=1e-3, atol=0)
    torch.testing.assert_close(both[1].total, torch.full((2,), 0.3133), rtol=1e-3, atol=0)


def test_each_network_has_its_turn_and_none_learns(scan, network, tmp_path):
    other = saved(tmp_path / "other.safetensors", seed=1)

    def images(*paths):
        objective, parts = objective_of(with_network(*paths)), nn.ModuleDict({"network": Seen()})
        for epoch in range(8):
            objective.losses(parts, scan, Draw(0, epoch))
        return [image for image, _ in parts["network"].images]

    of_both, of_one, of_other = images(network, other), images(network), images(other)
    whose = [
        (torch.equal(one, first), torch.equal(one, second))
        for one, first, second in zip(of_both, of_one, of_other, strict=True)
    ]
    assert set(whose) == {(True, False), (False, True)}
    assert not any(image.requires_grad for image in of_both)


@pytest.fixture(scope="module")
def taught(plain):
    """A classifier after a few steps on two slices in both orientations, and its losses."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        objective = objective_of(TELLS)
        parts = objective.parts()
    adam, losses, scan = torch.optim.Adam(parts.parameters(), 1e-3), [], slices_of(plain, "v0")
    for _ in range(20):
        sides = (scan, transpose(scan, [True, True]))
        loss = torch.cat([objective.losses(parts, one, Draw(0, 0)).total for one in sides]).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
    return parts["network"], losses


def test_it_learns_to_tell_how_slices_were_undersampled(taught):
    _, losses = taught
    assert losses[-1] < 0.2 < 0.5 < losses[0]


def test_the_more_undersampling_leaves_the_surer_it_is(taught, plain):
    """Of another patient, at known doses between the reference and what is zero-filled; of none it tells nothing."""
    network, doses = taught[0], (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
    sides, scan = [], slices_of(plain, "v2")
    for is_swapped in (False, True):
        turned = transpose(scan, [is_swapped] * 2)
        masks = draw_masks(TELLS.data.plans, turned, Draw(1, 0).generators(turned, "mask"))
        example = undersample(turned, masks)
        left = center_crop(rss(ifft2c(example.masked_kspace)), example.crop) - example.reference
        signs = 2.0 * is_swapped - 1
        with torch.inference_mode():
            flags = torch.tensor([is_swapped] * 2)
            sides.append([float(signs * network(example.reference + dose * left, flags).mean()) for dose in doses])
    margins = [one + other for one, other in zip(*sides, strict=True)]
    assert margins[0] == 0
    assert spearmanr(doses, margins).statistic >= 0.95
    assert margins[-1] > 1


def test_every_held_out_slice_is_judged_in_both_orientations(plain, network):
    """Who always says transposed is right half the time, of images and of their references."""
    objective = objective_of(with_network("zero_filled", network))
    parts = nn.ModuleDict({"network": Seen()})
    process = Process(rank=0, world_size=1, device=torch.device("cpu"), store=None)
    dataset = SliceDataset([open_volume(plain / "v0.h5")])
    found = objective.validate(parts, dataset, process, stop=False)
    assert found.numbers == {"accuracy": 0.5, "floor": 0.5, "probability": pytest.approx(0.5)}
    assert found.score == pytest.approx(0.5, abs=1e-4)
    # Of each of two slices its reference, and the images of both networks in both orientations.
    seen = parts["network"].images
    assert [sides for _, sides in seen] == ([[False]] * 3 + [[True]] * 2) * 2
    assert [image.shape[1:] for image, _ in seen] == ([WINDOW] * 3 + [WINDOW[::-1]] * 2) * 2
    np.testing.assert_array_equal(seen[0][0][0], dataset.volumes[0].reference[0])


def test_a_run_says_what_it_was_trained_on_and_how_well_it_tells(trained):
    folder, rows = trained
    (found,) = [row for row in rows if row["kind"] == "validation"]
    assert 0 <= found["accuracy"] <= 1
    assert found["floor"] == 0.5
    weights = load_weights(folder)
    assert weights.record["orientation"] == {"reconstructors": ["zero_filled"], "num_adjacent": 1}
    assert len(weights.record["trained_on"]) == 2
    build_trained_model(weights)
    words = objective_of(TELLS).describe(found)
    assert words == f"balanced accuracy {found['accuracy']:.4f}, of fully sampled images 0.5000"
    assert not any("reconstructor" in name for name in newest_state(folder))


def test_a_run_that_was_stopped_ends_with_the_same_bits(plain, trained, tmp_path):
    run(plain, tmp_path, config=TELLS, on_row=stop_at(1))
    run(plain, tmp_path, config=TELLS)
    assert are_same_bits(newest_state(tmp_path), newest_state(trained[0]))


def test_a_run_does_not_go_on_with_other_weights_of_its_network(plain, tmp_path):
    config = with_network(saved(tmp_path / "net.safetensors"))
    run(plain, tmp_path / "run", config=config, on_row=stop_at(1))
    saved(tmp_path / "net.safetensors", seed=1)
    with pytest.raises(ConfigError, match="holds a run with other settings"):
        run(plain, tmp_path / "run", config=config)


def test_memory_is_predicted_with_the_images_of_the_network(network):
    shape = BatchShape(num_slices=2, kspace=(2, *SIZE), window=WINDOW, reference=None)
    plain, with_it = (trace_step(config, shape, is_gpu=False) for config in (TELLS, with_network(network)))
    assert plain.trained_bytes == with_it.trained_bytes == 4 * 594_561
    assert with_it.product_flops > plain.product_flops


def test_volumes_that_the_network_was_trained_on_are_said(plain, tmp_path):
    path = saved(tmp_path / "net.safetensors", trained_on=["v0", "v2"])
    volumes = [open_volume(plain / f"v{number}.h5") for number in range(3)]
    with pytest.warns(UserWarning, match=r"net.safetensors was trained on 2 of 3 volumes of DATA too"):
        objective_of(with_network(path)).check(volumes, "DATA")
    objective_of(with_network(path)).check(volumes, "DATA", is_training=False)


def test_masks_of_another_kind_than_the_networks_are_said(tmp_path):
    own = {"kind": "magic", "acceleration": 4.0, "center_fraction": 0.04}
    path = saved(tmp_path / "net.safetensors", masks=[own])
    with pytest.warns(UserWarning, match=r"trained with kind=magic .*learns with kind=equispaced_fraction"):
        objective_of(with_network(path))
    objective_of(with_network(path, data__mask_kind="magic", data__center_fractions="0.04"))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"matrix": [16, 16]}, r"data\.matrix=16,16, .*; give --set data\.matrix=16,16$"),
        ({"num_coils": 4}, r"data\.num_coils=4, and the classifier is to learn with 0"),
        ({"max_readout": 320}, r"give --set data\.max_readout=320$"),
    ],
)
def test_a_network_that_sees_other_kspace_is_refused(tmp_path, record, message):
    path = saved(tmp_path / "net.safetensors", **record)
    with pytest.raises(ConfigError, match=message):
        objective_of(with_network(path))


def test_what_makes_no_images_is_refused(tmp_path):
    classifier = saved(tmp_path / "who.safetensors", model="anatomy_net")
    with pytest.raises(ConfigError, match="weights of anatomy_net, which makes no image"):
        objective_of(with_network(classifier))
    with pytest.raises(ConfigError, match=r"no weights in runs/gone; name the run folders of .*, or zero_filled$"):
        objective_of(with_network("runs/gone"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="no folder of a training run"):
        objective_of(with_network(tmp_path / "empty"))
    chooser = saved(tmp_path / "chooser.safetensors", model="adaptive_varnet")
    with pytest.raises(ConfigError, match="has learned what to measure, in one orientation"):
        objective_of(with_network(chooser))


def test_without_a_network_nothing_is_started(plain, tmp_path):
    with pytest.raises(ConfigError, match=r"none is named; give --set orientation\.reconstructors=RUN$"):
        run(plain, tmp_path, config=with_network())


def test_images_that_are_too_small_are_refused_before_the_start(plain, tmp_path):
    expected = r"v0 has images of 16 x 12, and shallow needs 16 x 16 or more; set model_config\.kind to another"
    with pytest.raises(DataError, match=expected):
        run(plain, tmp_path, config=change_config(TELLS, {"model_config.kind": "shallow"}, "train"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"augment.transpose_probability": 0.0}, "learns from both orientations, .* is 0; set it to 0.5"),
        ({"augment.transpose_probability": 1.0}, "learns from both orientations, .* is 1; set it to 0.5"),
        ({"data.mask_kind": "poisson_disc"}, "poisson_disc has no orientation"),
        ({"objective": "image"}, "the objective orientation is for orientation_net and no other model; found image"),
        ({"training.loss": "ssim"}, "cross_entropy for anatomy_net, orientation_net and no other"),
        ({"orientation.num_adjacent": 2}, r"orientation\.num_adjacent is odd and at least 1, found 2"),
    ],
)
def test_settings_that_contradict_each_other_are_one_line(changes, message):
    with pytest.raises(ConfigError, match=message):
        change_config(TELLS, changes, "train")


def test_networks_that_see_neighbours_get_them(tmp_path):
    config = change_config(TELLS, {"orientation.num_adjacent": 3}, "train")
    assert config.num_adjacent == 3
    path = saved(tmp_path / "net.safetensors")
    with pytest.raises(ConfigError, match=r"orientation\.num_adjacent=1, and the classifier is to learn with 3"):
        objective_of(with_network(path, orientation__num_adjacent=3))
