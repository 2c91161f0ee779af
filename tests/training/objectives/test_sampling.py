"""Runs that learn what to measure."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import make_volume
from training.children import start_several, wait
from training.small_run import CONFIG, PROMPTMR, are_same_bits, largest_difference, newest_state, run
from training.test_train import stop_at

from mrikit.checkpoint import load_weights
from mrikit.config import change_config
from mrikit.data import undersample
from mrikit.errors import ConfigError, DataError
from mrikit.models.adaptive import keyed_draws
from mrikit.models.samplers import Sampler, SamplerConfig
from mrikit.training import DataConfig, ExecutionConfig, RunConfig, TrainingConfig
from mrikit.training.objectives import sampling
from mrikit.training.objectives.image import validation_plan
from mrikit.training.schedule import learning_rate
from mrikit.volumes import write_fastmri

SHAPE = (32, 28)
POINTS = RunConfig(
    task="brain_sampling",
    size="tiny",
    model="spirit_net",
    model_config={"num_coils": 2, "num_blocks": 2, "kernel": (3, 3)},
    sampler=SamplerConfig(kind="global", directions=2, acs="square", num_acs=4, noise_std=0.1),
    data=DataConfig(accelerations=(3.0, 6.0), center_fractions=(0.0, 0.0), validation_score="kspace_nmse"),
    training=TrainingConfig(loss="kspace_nmse", num_epochs=2, batch_size=2, micro_batch_size=2, max_lr=1e-2, seed=4),
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
        noise = 0.01 * (rng.standard_normal((2, *volume.kspace.shape)) @ np.eye(SHAPE[1])).astype(np.float32)
        info = replace(volume.info, patient_id=f"p{number}")
        write_fastmri(
            data / f"v{number}.h5", volume.replaced(kspace=volume.kspace + noise[0] + 1j * noise[1], info=info)
        )
    return data


@pytest.fixture(scope="module")
def learned(plain, tmp_path_factory):
    folder, rows = tmp_path_factory.mktemp("learned") / "run", []
    run(plain, folder, rows, config=POINTS)
    return folder, rows


def patterns_of(folder):
    return {path.stem: dict(np.load(path)) for path in sorted((folder / "masks").glob("*.npz"))}


def test_sampler_and_network_learn_and_the_score_falls(learned):
    folder, rows = learned
    first, last = (load_weights(folder), newest_state(folder))
    assert first.sampler["logits"].shape == (2, *SHAPE)
    assert last["exp_avg/sampler/logits"].abs().max() > 0
    scores = [row["kspace_nmse"] for row in rows if row["kind"] == "validation"]
    assert 0 < scores[-1] < scores[0] < 1
    losses = [row["loss"] for row in rows if row["kind"] == "epoch"]
    assert losses[-1] < losses[0]


def test_the_weights_rebuild_the_mask_that_was_validated(learned):
    weights = load_weights(learned[0])
    config = SamplerConfig(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in weights.record["sampler"].items()}
    )
    assert config.shape == SHAPE
    sampler = Sampler(config, [plan["acceleration"] for plan in weights.record["masks"]], reads_start=False).eval()
    sampler.load_state_dict(weights.sampler)
    saved = patterns_of(learned[0])
    assert list(saved) == ["epoch-0000", "epoch-0001", "epoch-0002"]
    best = saved[f"epoch-{weights.record['epoch']:04d}"]
    for level, name in enumerate(("3x", "6x")):
        assert np.array_equal(sampler.mask(level).samples, best[name] > 0)
        assert np.array_equal(sampler.probabilities(level).numpy(), best[f"{name} probabilities"])
        assert best[name].sum() == round(SHAPE[0] * SHAPE[1] / float(name[:-1]))


def test_a_run_that_was_stopped_ends_with_the_same_bits(plain, learned, tmp_path):
    run(plain, tmp_path / "parts", config=POINTS, on_row=stop_at(3))
    run(plain, tmp_path / "parts", config=POINTS)
    assert are_same_bits(newest_state(tmp_path / "parts"), newest_state(learned[0]))


def test_two_processes_with_zero_learn_the_same(plain, tmp_path):
    config = replace(POINTS, training=replace(POINTS.training, micro_batch_size=1, num_epochs=1))
    run(plain, tmp_path / "alone", config=config)
    several = start_several(plain, tmp_path / "run", 2, tmp_path, config=config, execution__zero_stage=2)
    assert wait(several) == [0, 0]
    assert largest_difference(newest_state(tmp_path / "run"), newest_state(tmp_path / "alone")) < 1e-4


def test_zero_3_is_refused_before_the_start(plain, tmp_path):
    with pytest.raises(ConfigError, match=r"sampling is trained with stages up to 2; set execution\.zero_stage=2"):
        run(plain, tmp_path, config=POINTS, execution__zero_stage=3)


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("unet", {"num_channels": 2, "num_pools": 1}),
        ("varnet", CONFIG.model_config),
        ("promptmr", PROMPTMR | {"num_adjacent": 3}),
    ],
)
def test_any_network_learns_lines(plain, tmp_path, model, settings):
    lines = SamplerConfig(kind="lines", acs="column", num_acs=6)
    data = DataConfig(accelerations=(2.0,), center_fractions=(0.0,))
    training = replace(POINTS.training, loss="ssim", num_epochs=1)
    config = replace(POINTS, model=model, model_config=settings, sampler=lines, data=data, training=training)
    run(plain, tmp_path, config=config)
    assert newest_state(tmp_path)["exp_avg/sampler/logits"].abs().max() > 0


def test_a_network_that_needs_the_centre_is_refused_without_one(plain, tmp_path):
    lines = SamplerConfig(kind="lines")
    data = DataConfig(accelerations=(2.0,), center_fractions=(0.0,))
    training = replace(POINTS.training, loss="ssim")
    config = replace(POINTS, model="varnet", model_config={}, sampler=lines, data=data, training=training)
    with pytest.raises(ConfigError, match=r"varnet finds coil sensitivities in the centre .* sampler\.acs=column"):
        run(plain, tmp_path, config=config)


def test_a_sequence_of_masks_is_trained_by_the_last_or_by_all(plain, tmp_path):
    losses = {}
    for step_loss in ("last", "all"):
        rows = []
        settings = {"sampler__num_steps": 3, "sampler__step_loss": step_loss, "training__num_epochs": 1}
        run(plain, tmp_path / step_loss, rows, config=POINTS, **settings)
        losses[step_loss] = next(row["loss"] for row in rows if row["kind"] == "train")
    # The masks are the same, and fewer samples leave more of k-space unknown.
    assert losses["all"] > 1.02 * losses["last"]


def test_the_sampler_begins_in_its_epoch_at_its_own_rate(plain, tmp_path):
    settings = {
        "sampler__first_epoch": 1,
        "sampler__lr_scale": 3.0,
        "execution__keep": 20,
        "training__max_grad_norm": 0,
    }
    run(plain, tmp_path, config=POINTS, **settings)
    from safetensors.torch import load_file

    states = [load_file(path)["parts/sampler/logits"] for path in sorted((tmp_path / "checkpoints").glob("*"))]
    assert torch.equal(states[0], states[3])
    moved = (states[4] - states[3]).abs().max().item()
    # Adam's steps are about as long as the rate, and the network's alone is a third of this.
    rate = 3 * learning_rate(4, 4, POINTS.training)
    assert rate / 2 < moved < 1.5 * rate


def test_masks_are_drawn_from_the_first_epoch_of_the_schedule_to_its_last(plain, tmp_path, monkeypatch):
    found, draw = [], Sampler.draw
    monkeypatch.setattr(
        Sampler, "draw", lambda own, rngs, levels, progress: found.append(progress) or draw(own, rngs, levels, progress)
    )
    run(plain, tmp_path, config=POINTS, training__num_epochs=3, training__first_epoch=5)
    assert found == [0.0] * 4 + [0.5] * 4 + [1.0] * 4


def test_each_volume_is_validated_with_the_mask_of_its_acceleration(plain, tmp_path, monkeypatch):
    found = {}

    def spy(scan, masks, **settings):
        found.update({one.volume_id: mask.acceleration for one, mask in zip(scan.facts, masks, strict=True)})
        return undersample(scan, masks, **settings)

    monkeypatch.setattr(sampling, "undersample", spy)
    run(plain, tmp_path, config=POINTS, training__num_epochs=1, data__num_validation=4)
    assert found == {name: validation_plan(name, POINTS.data).acceleration for name in found}
    assert set(found.values()) == {3.0, 6.0}


def test_a_tile_learns_from_several_draws_of_each_slice(plain, tmp_path):
    settings = {"sampler__kind": "tile", "sampler__acs": "none", "sampler__num_acs": 0, "sampler__num_draws": 3}
    run(plain, tmp_path, config=POINTS, sampler__gradient="score", **settings)
    assert newest_state(tmp_path)["exp_avg/sampler/logits"].abs().max() > 0
    pattern = patterns_of(tmp_path)["epoch-0002"]["6x"]
    assert pattern.sum() == round(SHAPE[0] * SHAPE[1] / 6)


def test_volumes_of_two_shapes_are_refused(study, tmp_path):
    with pytest.raises(DataError, match="a learned mask is for one matrix, and the volumes have 2: "):
        run(study, tmp_path, config=POINTS)


def test_a_shape_that_is_not_that_of_the_data_is_refused(plain, tmp_path):
    with pytest.raises(ConfigError, match=r"sampler\.shape is 16 x 16, and k-space is masked at 32 x 28"):
        run(plain, tmp_path, config=POINTS, sampler__shape=(16, 16))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.mask_kind": "random"}, "masks are learned here, and data.mask_kind=random draws others"),
        ({"sampler.kind": ""}, "data.mask_kind=learned needs a sampler"),
        ({"data.validation_mask_kind": "random"}, "data.validation_mask_kind=random draws others; set it to nothing"),
        ({"model": "unet", "model_config": {}}, "kspace_nmse compares k-space, and unet gives an image alone"),
    ],
)
def test_settings_that_contradict_each_other_are_one_line(changes, message):
    with pytest.raises(ConfigError) as caught:
        change_config(POINTS, changes, "train")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_sampler_the_masks_are_drawn_and_the_objective_is_that_of_images():
    config = change_config(POINTS, {"sampler.kind": "", "data.mask_kind": "uniform"}, "train")
    assert (config.objective, config.data.mask_kind) == ("image", "uniform")


def test_a_budget_below_the_centre_is_refused(plain, tmp_path):
    with pytest.raises(ConfigError, match="the centre alone has 400 samples, but acceleration 3 allows 299 of 896"):
        run(plain, tmp_path, config=POINTS, sampler__num_acs=20)


ADAPTIVE = RunConfig(
    task="knee_sampling",
    size="tiny",
    model="adaptive_varnet",
    model_config={
        "num_cascades": 2,
        "num_channels": 2,
        "num_pools": 1,
        "budget": 8,
        "matrix": SHAPE,
        "num_policy_channels": 2,
        "policy_fc_size": 8,
        "num_sens_channels": 0,
    },
    data=DataConfig(accelerations=(28 / 12,), center_fractions=(4 / 28,)),
    training=TrainingConfig(num_epochs=1, batch_size=2, max_lr=3e-3, seed=4),
    execution=ExecutionConfig(checkpoint_minutes=0),
)
"""Twelve lines of 28, four of which are given."""


@pytest.mark.parametrize("policy", ["policy", "loupe"])
def test_a_network_that_chooses_its_lines_learns_to(plain, tmp_path, policy):
    rows = []
    run(plain, tmp_path, rows, config=ADAPTIVE, model_config__policy=policy)
    chooses = [name for name in newest_state(tmp_path) if name.startswith("exp_avg/polic")]
    assert max(newest_state(tmp_path)[name].abs().max() for name in chooses) > 0
    (pattern,) = patterns_of(tmp_path).values()
    assert pattern["acquired"].sum() == pytest.approx(12)
    assert (pattern["acquired"][12:16] == 1).all()
    assert 0 < rows[-1]["ssim"] < 1


def test_lines_are_drawn_anew_in_each_epoch(plain, tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr(sampling, "keyed_draws", lambda keys: found.extend(keys) or keyed_draws(keys))
    run(plain, tmp_path, config=ADAPTIVE, training__num_epochs=2, data__num_validation=1)
    trained = [key for key in found if "acquire" in key and len(key) > 3]
    assert len(set(trained)) == len(trained) == 2 * 4 * 2


def test_a_budget_that_is_not_the_acceleration_is_refused(plain, tmp_path):
    with pytest.raises(ConfigError, match=r"2\.33333x of 28 lines is 12, .* are 14; set model_config\.budget=8"):
        run(plain, tmp_path, config=ADAPTIVE, model_config__budget=10)


def test_two_accelerations_of_a_network_that_chooses_are_refused(plain, tmp_path):
    with pytest.raises(ConfigError, match="adaptive_varnet is trained for one acceleration, found 2"):
        run(plain, tmp_path, config=ADAPTIVE, data__accelerations=(4.0, 8.0), data__center_fractions=(0.1, 0.1))


def test_a_matrix_that_is_not_that_of_the_policies_is_refused_before_the_start(plain, tmp_path):
    with pytest.raises(ConfigError, match=r"model_config\.matrix is 16 x 16, and k-space is masked at 32 x 28"):
        run(plain, tmp_path / "run", config=ADAPTIVE, model_config__matrix=(16, 16))
    assert not (tmp_path / "run" / "config.json").exists()


def test_the_centre_of_a_sampler_is_not_that_of_drawn_masks():
    config = change_config(POINTS, {"data.center_fractions": "0.08,0.04"}, "train")
    assert [plan.facts["center_fraction"] for plan in config.data.plans] == [0.0, 0.0]


def test_a_sampler_beside_a_network_that_chooses_is_refused():
    with pytest.raises(ConfigError, match=r"adaptive_varnet chooses lines itself; leave sampler\.kind=lines out"):
        change_config(ADAPTIVE, {"sampler.kind": "lines"}, "train")
