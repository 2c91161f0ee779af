import json
import random

import numpy as np
import pytest

from mrikit.masks import AcquiredRegion, MaskPlan, sample_mask, volume_rng, within
from mrikit.masks.kinds.banding import columns_with_signal, draw_budget, draw_column
from mrikit.masks.kinds.center import center_block

# Its names, as kinds and rules of ours. Its `equispaced` begins at its column, ours goes by it: before the first
# acquired column nothing is kept either way.
_KINDS = {
    "magic": ("magic", "banding"),
    "magic_v2": ("magic", "banding_v2"),
    "magic_fraction": ("magic_fraction", "banding"),
    "equispaced": ("equispaced", None),
    "equispaced_v2": ("equispaced", None),
    "equispaced_fraction": ("equispaced_fraction", None),
    "random": ("random", None),
    "random_fraction": ("random", None),
}


@pytest.fixture(scope="module")
def golden_masks(golden):
    return json.loads((golden / "banding_magic_masks.json").read_text())


def _rng(seed):
    return np.random.RandomState(seed) if isinstance(seed, int) else volume_rng(seed.removesuffix(".h5"))


def _plan(name, setting, acceleration, offset):
    kind, rule = _KINDS[name]
    settings = {} if rule is None else {"rule": rule}
    settings |= {} if offset is None else {"offset": str(offset)}
    settings |= {} if name.endswith("fraction") else {"num_center_lines": setting}
    fraction = setting if name.endswith("fraction") else 0.08
    return MaskPlan(kind=kind, acceleration=acceleration, center_fraction=fraction, settings=settings)


def _columns(samples):
    return np.flatnonzero(samples).tolist()


def test_masks_of_the_banding_system_are_equal_bit_for_bit(golden_masks):
    assert {case["type"] for case in golden_masks["masks"]} <= set(_KINDS)
    for case in golden_masks["masks"]:
        rng = _rng(case["seed"])
        setting, acceleration = draw_budget([case["setting"]], [case["acceleration"]], rng)
        mask = sample_mask(_plan(case["type"], setting, acceleration, case["offset"]), (8, case["width"]), rng)
        found = mask.samples
        if case["type"] == "equispaced":  # it has no line before its column, but the centre
            found = found & (
                (np.arange(case["width"]) >= case["offset"]) | center_block(case["width"], case["num_low"])
            )
        assert _columns(found) == case["columns"], case
        assert mask.num_center_lines == case["num_low"]


def test_centre_and_acceleration_are_drawn_each_alone(golden_masks):
    for case in golden_masks["choices"]:
        found = draw_budget(case["num_low_frequencies"], case["accelerations"], _rng(case["seed"]))
        assert list(found) == case["chosen"]


def test_a_column_that_k_space_does_not_give_comes_from_pythons_generator(golden_masks):
    for case in golden_masks["global_offset"]:
        rng = random.Random(case["python_random_seed"])
        for columns in case["columns"]:
            plan = _plan("magic", case["num_low"], case["acceleration"], draw_column(case["acceleration"], rng))
            assert _columns(sample_mask(plan, (8, case["width"]), np.random.RandomState(0)).samples) == columns


def test_k_space_gives_range_and_column(golden_masks):
    for case in golden_masks["acquired"]:
        kspace = np.array(case["kspace_real"]) + 1j * np.array(case["kspace_imag"])
        start, end = columns_with_signal(kspace.astype(np.complex64))
        assert (start, end, start) == (case["start"], case["end"], case["offset"])
        plan = MaskPlan(
            kind="magic",
            acceleration=case["acceleration"],
            settings={"num_center_lines": case["num_low"], "offset": "acquired", "rule": "banding"},
        )
        mask = sample_mask(plan, kspace.shape[1:], np.random.RandomState(0), start)
        region = AcquiredRegion.whole(kspace.shape[1:], (start, end))
        assert _columns(within(mask, region).samples) == case["columns"]
