import json

import numpy as np
import pytest

from mrikit.masks import MaskPlan, sample_mask

# The study lays a pattern into a tile and repeats that; its tile of 4 x 4 continues the pattern.
_ACS = {"no": "none", "column": "column", "square": "square"}


def _plan(case):
    settings = {"acs": _ACS[case["acs"]], "is_whole": True}
    match case["type"]:
        case "uniform":  # a square ACS is no set of lines, so all of them are drawn as a pattern
            return MaskPlan(kind="uniform_2d", settings=settings | {"steps": (1, 4), "tile": case["mask_shape"]})
        case "2D_uniform":
            return MaskPlan(kind="uniform_2d", settings=settings | {"tile": case["mask_shape"]})
        case "caipirinha":
            return MaskPlan(kind="caipirinha", settings=settings | {"tile": case["mask_shape"]})
    return MaskPlan(kind="random_tile", settings=settings | {"seed": case["seed"], "tile": case["mask_shape"]})


def _samples(case):
    return np.array([[letter == "1" for letter in row] for row in case["rows"]])


@pytest.fixture(scope="module")
def cases(golden):
    return json.loads((golden / "fixed_masks_002.json").read_text())["cases"]


def test_fixed_masks_of_the_study_are_equal_bit_for_bit(cases):
    assert {case["type"] for case in cases} == {"uniform", "2D_uniform", "caipirinha", "random"}
    for case in cases:
        mask = sample_mask(_plan(case), tuple(case["shape"]), np.random.RandomState(0))
        np.testing.assert_array_equal(mask.samples, _samples(case), str(case))
        assert mask.samples.sum() == case["kept"]


def test_uniform_columns_are_lines_of_the_study(cases):
    for case in cases:
        if case["type"] == "uniform" and case["acs"] != "square":
            plan = MaskPlan(kind="uniform", settings={"acs": _ACS[case["acs"]], "is_whole": True})
            lines = sample_mask(plan, tuple(case["shape"]), np.random.RandomState(0)).samples
            np.testing.assert_array_equal(np.broadcast_to(lines, case["shape"]), _samples(case))


def test_an_acs_is_as_large_as_in_the_study(cases):
    for case in cases:
        if case["acs"] == "square":
            mask = sample_mask(_plan(case), tuple(case["shape"]), np.random.RandomState(0))
            assert mask.center == (case["acs_lines"] // 2 * 2 + 1,) * 2
