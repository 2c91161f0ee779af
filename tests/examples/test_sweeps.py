"""Sweep files in `examples/`: the grids of the learned-sampling study, small forms of them, and claims."""

from collections import Counter
from pathlib import Path

import pytest

from mrikit.launching.sweep_file import read_sweep
from mrikit.recipes.choose import chosen_configs

EXAMPLES = Path(__file__).parents[2] / "examples"
GRIDS = {"learned-brain": 864, "fixed-brain": 828, "learned-digits": 864, "fixed-digits": 990}
SMALL = {"learned-brain-small": 8, "fixed-brain-small": 10, "learned-digits-small": 8, "fixed-digits-small": 10}
CLAIMS = {"claim-brain": 65, "claim-digits": 90, "claim-knee": 30}
NESTED = {"nested-digits": 10}
CURES = {"banding-cures": 15}


def values_of(name):
    """How often each value of each setting is there."""
    members = read_sweep(EXAMPLES / f"{name}.toml").members()
    keys = dict.fromkeys(key for one in members for key in one.settings)
    return {key: Counter(one.settings.get(key) for one in members) for key in keys}


def evenly(count, *values):
    return dict.fromkeys(values, count // len(values))


@pytest.mark.parametrize(
    ("name", "count"), [*GRIDS.items(), *SMALL.items(), *CLAIMS.items(), *NESTED.items(), *CURES.items()]
)
def test_a_file_has_as_many_members_as_it_says_each_once(name, count):
    members = read_sweep(EXAMPLES / f"{name}.toml").members()
    assert len(members) == len({one.name for one in members}) == count
    first = (EXAMPLES / f"{name}.toml").read_text().splitlines()[0]
    assert first.endswith(f": {count} members.")


def test_every_file_of_the_folder_is_one_of_these():
    assert {path.stem for path in EXAMPLES.glob("*.toml")} == {*GRIDS, *SMALL, *CLAIMS, *NESTED, *CURES}


def test_the_learned_grids_have_the_axes_of_the_study():
    brain, digits = values_of("learned-brain"), values_of("learned-digits")
    for found, kernels, noise in ((brain, "11 13", "0.0175 0.05"), (digits, "5 7", "0.0175 0.03 0.05")):
        assert found["sampler.kind"] == evenly(864, "global", "tile")
        assert found["data.accelerations"] == evenly(864, "4", "8")
        assert found["model_config.num_blocks"] == evenly(864, "1", "5", "10")
        assert found["model_config.kernel"] == evenly(864, *kernels.split())
        assert found["sampler.noise_std"] == found["sampler.noise_end"] == evenly(864, *noise.split())
    assert brain["sampler.acs"] == evenly(864, "none", "square")
    assert "sampler.acs" not in digits


@pytest.mark.parametrize(
    ("name", "masks"), [("learned-brain", (1e-2, 1e-3, 1e-4)), ("learned-digits", (1e-1, 1e-2, 1e-3, 1e-4))]
)
def test_each_rate_of_the_sampler_goes_with_each_of_the_network(name, masks):
    members = read_sweep(EXAMPLES / f"{name}.toml").members()
    pairs = Counter()
    for one in members:
        rate = float(one.settings["training.max_lr"])
        pairs[rate, float(f"{rate * float(one.settings['sampler.lr_scale']):.6g}")] += 1
    assert pairs == evenly(864, *((other, mask) for other in (1e-2, 1e-3, 1e-4) for mask in masks))


@pytest.mark.parametrize(
    ("name", "tiles", "rates", "kernels"),
    [("fixed-brain", 20, "0.01 0.001 0.0001", "11 13"), ("fixed-digits", 30, "0.1 0.01 0.001 0.0001 1e-05", "5 7")],
)
def test_the_fixed_grids_have_the_masks_and_axes_of_the_study(name, tiles, rates, kernels):
    found, count = values_of(name), GRIDS[name]
    each = count // (tiles + 3)
    assert found["data.mask_kind"] == {"uniform_2d": 2 * each, "caipirinha": each, "random_tile": tiles * each}
    assert found["data.mask_settings.steps"] == {"1,4": each, "2,2": each, None: (tiles + 1) * each}
    assert len(found["data.mask_settings.seed"]) == tiles + 1
    assert found["training.max_lr"] == evenly(count, *rates.split())
    assert found["model_config.kernel"] == evenly(count, *kernels.split())
    assert found["model_config.num_blocks"] == evenly(count, "1", "5", "10")
    acs = found.get("data.mask_settings.acs")
    assert acs == (evenly(count, "none", "square") if name == "fixed-brain" else None)


@pytest.mark.parametrize("name", SMALL)
def test_a_small_form_repeats_each_of_its_settings_with_two_seeds(name):
    found = values_of(name)
    assert found["training.seed"] == evenly(SMALL[name], "0", "1")
    assert read_sweep(EXAMPLES / f"{name}.toml").size == "tiny"


@pytest.mark.parametrize("name", [*GRIDS, *SMALL])
def test_members_are_trainings_that_the_tasks_allow(name):
    sweep = read_sweep(EXAMPLES / f"{name}.toml")
    for member in sweep.members()[:: max(GRIDS.get(name, 0) // 30, 1)]:
        settings = [f"{key}={value}" for key, value in member.settings.items()]
        (config,) = chosen_configs(member.task, sweep.size, None, settings, {})
        assert config.learns_masks == name.startswith("learned")
        assert config.data.validation_score == "kspace_nmse"


@pytest.mark.parametrize("name", CLAIMS)
def test_each_row_of_a_claim_is_a_training_with_five_seeds_at_one_budget(name):
    sweep = read_sweep(EXAMPLES / f"{name}.toml")
    assert values_of(name)["training.seed"] == evenly(CLAIMS[name], *"01234")
    for member in sweep.members()[::5]:
        settings = [f"{key}={value}" for key, value in member.settings.items()]
        (config,) = chosen_configs(member.task, sweep.size, None, settings, {})
        is_fixed = member.settings.get("sampler.kind") == "" or config.model == "varnet"
        assert config.learns_masks != is_fixed
        assert len(config.data.accelerations) == 1


def test_knees_are_tested_on_whole_volumes_of_another_study():
    """Those of `multicoil_test` of a phantom study are undersampled, so that no mask can be tried on them."""
    sweep = read_sweep(EXAMPLES / "claim-knee.toml")
    assert Path(sweep.test_data).name == "multicoil_val"
    assert Path(sweep.test_data).parent != Path(sweep.data)


def test_nested_masks_are_compared_with_free_ones_at_both_accelerations():
    sweep = read_sweep(EXAMPLES / "nested-digits.toml")
    assert values_of("nested-digits")["sampler.is_nested"] == evenly(10, "true", "false")
    for member in sweep.members()[::5]:
        settings = [f"{key}={value}" for key, value in member.settings.items()]
        (config,) = chosen_configs(member.task, sweep.size, None, settings, {})
        assert config.data.accelerations == (4.0, 8.0)
        assert config.learns_masks


def test_cures_of_banding_are_trained_alike_with_five_seeds():
    sweep = read_sweep(EXAMPLES / "banding-cures.toml")
    assert values_of("banding-cures")["training.seed"] == evenly(15, *"01234")
    found, extents = [], set()
    for member in sweep.members()[::5]:
        settings = [f"{key}={value}" for key, value in member.settings.items()]
        first, second = chosen_configs(member.task, sweep.size, None, settings, {})
        found.append((second.data.mask_kind, second.adversary.strength))
        extents.add((first.training.num_epochs, second.training.num_epochs, first.data.matrix, second.objective))
        assert first.data.mask_kind == second.data.mask_kind
        assert first.augment.transpose_probability == second.augment.transpose_probability == 0.5
    assert found == [("equispaced", 0), ("magic", 0), ("equispaced", 0.3)]
    assert extents == {(*next(iter(extents))[:2], (96, 96), "adversary")}
    assert Path(sweep.test_data).parent != Path(sweep.data)
