import pytest
import torch
from promptmr_setting import SMALL, build

from mrikit.errors import ConfigError
from mrikit.models import build_model
from mrikit.models.promptmr import PromptMR
from mrikit.models.promptmr_config import (
    CHALLENGE_FLAWS,
    CHALLENGE_SETTINGS,
    PLUS_SETTINGS,
    PUBLISHED_FLAWS,
    PromptMRConfig,
)


@pytest.mark.parametrize(
    ("settings", "flaws", "num_weights", "num_learning"),
    [
        (CHALLENGE_SETTINGS, CHALLENGE_FLAWS, 34_225_281, 29_663_361),
        (CHALLENGE_SETTINGS | {"num_bottleneck_blocks": 1}, CHALLENGE_FLAWS, 31_550_337, 26_988_417),
        (PLUS_SETTINGS, PUBLISHED_FLAWS, 92_859_005, 82_491_005),
    ],
    ids=["challenge", "challenge as its README has it", "plus"],
)
def test_it_has_as_many_weights_as_was_published(settings, flaws, num_weights, num_learning):
    with torch.device("meta"):
        model = PromptMR(PromptMRConfig(**settings, **flaws, learnable_prompts=False))
        corrected = PromptMR(PromptMRConfig(**settings))
    assert sum(weight.numel() for weight in model.parameters()) == num_weights
    assert sum(weight.numel() for weight in model.parameters() if weight.requires_grad) == num_learning
    learning = sum(weight.numel() for weight in corrected.parameters() if weight.requires_grad)
    assert num_learning < learning < num_weights


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_adjacent": 2}, r"promptmr.num_adjacent is odd, a slice and its neighbours, found 2"),
        ({"num_buffers": 2}, r"promptmr.num_buffers is 0 or 3 and more, because 3 images always come first, found 2"),
        ({"num_buffers": -1}, r"promptmr.num_buffers is 0 or 3 and more, .* found -1"),
        ({"num_cascades": 0}, r"promptmr needs at least 1 cascade, halving and channel, found num_cascades 0, "),
        ({"feature_widths": ()}, r"promptmr needs at least 1 cascade, halving and channel, .* feature_widths \(\)"),
        ({"prompt_widths": (2,)}, r"promptmr.prompt_widths needs 2 numbers of 1 or more, .* \(5, 6\), found \(2,\)"),
        ({"num_skip_blocks": (1, -1)}, r"promptmr.num_skip_blocks needs 2 numbers of 0 or more, .* found \(1, -1\)"),
        ({"has_attention": True}, r"promptmr.has_attention needs widths of 4 or more, found 2; widen the network or"),
        ({"num_history": -1}, r"promptmr.num_history is 0 or more, found -1"),
        ({"coils_at_a_time": -1}, r"promptmr.coils_at_a_time is 0 or more, found -1"),
        ({"kspace_cascades": True, "output_uses_all_maps": True}, r"promptmr.output_uses_all_maps needs an image to "),
    ],
)
def test_a_setting_that_cannot_work_is_one_clear_line(settings, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        build(**settings)


def test_tuples_are_read_from_the_words_of_a_user():
    model = build_model("promptmr", {**SMALL, "feature_widths": "7,9"})
    assert [down.shrink.out_channels for down in model.cascades[0].network.unet.down] == [7, 9]
