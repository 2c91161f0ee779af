"""The evaluator as a policy (golden/active_mri_baselines.json, active_mri_networks.npz)."""

import json

import pytest
import torch
from episodes import choose, masks_of
from golden.active_mri import in_places
from golden.test_cvpr19 import build_evaluator, load  # noqa: F401 - a fixture
from torch import nn

from mrikit.acquire.policies import LowestScore, Observation


class Scores(nn.Module):
    """Says the same of every image."""

    def __init__(self, scores):
        super().__init__()
        self.scores = torch.tensor(scores)

    def forward(self, image, mask, embedded):
        del image, mask, embedded
        return self.scores


def test_the_published_lines_are_chosen_by_the_published_scores(golden):
    case = json.loads((golden / "active_mri_baselines.json").read_text())["evaluator"]
    width = len(case["scores"][0])
    assert choose(LowestScore(evaluator=Scores(case["scores"])), case["taken"], width) == case["actions"]


@pytest.mark.parametrize("number", ["0", "1"])
def test_the_published_network_chooses_its_worst_free_line(load, number):  # noqa: F811
    arrays, config = load("evaluator", number)
    evaluator = build_evaluator(arrays, config).eval()
    embedded, mask = arrays.get("mask_embedding"), in_places(arrays["mask"]).bool()
    width, given = mask.shape[-1], evaluator.config.num_given // 2
    # Beside the lines without a score of their own some must be free.
    mask |= masks_of([range(width // 2 - given, width // 2 + given)] * len(mask), width)
    seen = Observation(
        reconstruction=arrays["image"],
        mask=mask,
        is_free=~mask,
        num_decisions=torch.zeros(len(mask), dtype=torch.int64),
    )
    lines = LowestScore(evaluator=evaluator, embed=None if embedded is None else lambda _: embedded).choose(seen, [])
    # There the middle line comes first, and the lines given always are left out.
    scores = nn.functional.pad(arrays["scores"], (given, given), value=1e5)
    taken = torch.fft.ifftshift(mask, dim=-1)
    published = scores.masked_fill(taken, 1e5).argmin(-1)
    assert lines.tolist() == ((published + width // 2) % width).tolist()
