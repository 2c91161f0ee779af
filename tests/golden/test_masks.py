import json

import numpy as np
import pytest

from mrikit.masks import MaskPlan, sample_mask, volume_rng


def _cases(golden):
    return json.loads((golden / "fastmri_masks.json").read_text())


def test_fastmri_masks_are_equal_bit_for_bit(golden):
    cases = _cases(golden)
    assert len(cases) >= 50
    for case in cases:
        seed = case["seed"]
        rng = np.random.RandomState(seed) if isinstance(seed, int) else volume_rng(seed.removesuffix(".h5"))
        facts = {"acceleration": case["acceleration"], "center_fraction": case["center_fraction"]}
        mask = sample_mask(MaskPlan(kind=case["type"], **facts), (8, case["width"]), rng)
        assert np.flatnonzero(mask.samples).tolist() == case["columns"], case
        assert mask.num_center_lines == case["num_low"], case
        assert mask.true_acceleration == pytest.approx(case["width"] / len(case["columns"]))
