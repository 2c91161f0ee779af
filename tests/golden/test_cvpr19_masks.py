"""The mask families of the CVPR'19 trainer, line for line (golden/active_mri_baselines.json)."""

import json

import numpy as np

from mrikit.masks.kinds.cvpr19 import FAMILIES, published_counts

DICOM = "10,12,1,5"
"""What the trainer takes for DICOM images, where the file says nothing."""


def draw(case):
    rng, width = np.random.RandomState(case["seed"]), case["width"]
    name = case["type"].removesuffix("_rnl").replace("symmetric_basic", "symmetric")
    if case["type"].endswith("_rnl") or "grid" in name:
        smallest, beyond, *beta = map(int, (case["rnl_params"] or DICOM).split(","))
        num_low, num_high = published_counts(width, rng, (smallest, beyond), tuple(beta))
    else:
        rng.randint(0, 1)  # a draw that decides nothing
        num_low = round(width / 8)
        num_high = width // 4 - num_low
    return np.fft.ifftshift(FAMILIES[name](width, num_low, num_high, rng))


def test_the_families_equal_the_published_ones(golden):
    cases = json.loads((golden / "active_mri_baselines.json").read_text())["mask_families"]
    assert {case["type"].removesuffix("_rnl") for case in cases} >= {"basic", "low_to_high", "grid", "symmetric_grid"}
    for case in cases:
        assert np.flatnonzero(draw(case)).tolist() == case["columns"], case["type"]
