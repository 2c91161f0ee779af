"""State dicts and arguments of the published code; that their numbers are the same: tests/golden/test_promptmr.py."""

import re

import pytest
import torch
from promptmr_setting import PLUS, SMALL, V1

from mrikit.errors import CheckpointError
from mrikit.models import build_model
from mrikit.models.promptmr_config import CHALLENGE_FLAWS, PUBLISHED_FLAWS
from mrikit.models.published_promptmr import convert

NAMES = (
    (r"^sens_net\.", "sens_net.norm_unet."),
    (r"^(cascades\.\d+)\.network\.", r"\1.model."),
    (r"\.attention\.squeeze\.", ".CA.conv_du.0."),
    (r"\.attention\.excite\.", ".CA.conv_du.2."),
    (r"\.stem\.", ".feat_extract."),
    (r"\.output\.", ".conv_last."),
    (r"\.first\.", ".body.0."),
    (r"\.activation\.", ".body.1."),
    (r"\.second\.", ".body.2."),
    (r"\.bottom\.", ".bottleneck."),
    (r"\.down\.(\d)\.blocks\.", r".enc_level\1.encoder."),
    (r"\.down\.(\d)\.shrink\.", r".enc_level\1.down."),
    (r"\.up\.(\d)\.prompt\.bank", r".prompt_level\1.prompt_param"),
    (r"\.up\.(\d)\.prompt\.choose\.", r".prompt_level\1.linear_layer."),
    (r"\.up\.(\d)\.prompt\.smooth\.", r".prompt_level\1.dec_conv3x3."),
    (r"\.up\.(\d)\.skip\.", r".skip_attn\1.skip_attn."),
    (r"\.up\.(\d)\.recall\.", r".dec_level\1.momentum."),
    (r"\.up\.(\d)\.blocks\.", r".dec_level\1.fuse."),
    (r"\.up\.(\d)\.expand\.", r".dec_level\1.up.1."),
    (r"\.up\.(\d)\.merge\.", r".dec_level\1.ca."),
    (r"\.up\.(\d)\.reduce\.", r".dec_level\1.reduce."),
)
SETTINGS = {
    "snu-challenge": {**CHALLENGE_FLAWS, "learnable_prompts": False, "num_adjacent": 5, "num_buffers": 3},
    "promptmr-plus": {**PUBLISHED_FLAWS, **PLUS, "learnable_prompts": False, "num_buffers": 5},
    "promptmr": {**PUBLISHED_FLAWS, **V1},
}
sources = pytest.mark.parametrize("source", sorted(SETTINGS))


def publish(model, prefix=""):
    """The state dict of a network as the published code has it: levels from 1, and the shared slope at every site."""
    state = model.state_dict()
    slope = state.pop("activation.weight", None)
    for name in [name for name in state if name.endswith(".first.weight") and slope is not None]:
        state.setdefault(name.replace(".first.", ".activation."), slope)
    published = {}
    for name, tensor in state.items():
        tensor = tensor[None] if name.endswith("prompt.bank") else tensor
        for pattern, replacement in NAMES:
            name = re.sub(pattern, replacement, name)
        name = re.sub(r"_(level|attn)(\d)", lambda found: f"_{found[1]}{int(found[2]) + 1}", name)
        published[prefix + name] = tensor
    return published


def build(source, **settings):
    torch.manual_seed(0)
    return build_model("promptmr", {**SMALL, **SETTINGS[source], **settings})


@sources
@pytest.mark.parametrize("prefix", ["", "module.", "promptmr."])
def test_a_published_state_dict_tells_tensors_and_settings(source, prefix):
    model = build(source)
    published = publish(model, prefix)
    tensors, settings = convert(source, {**published, "loss.w": torch.ones(1)}, {})
    expected = model.state_dict()
    assert len(published) > len(expected)
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in expected.items())
    found = build_model("promptmr", settings).config
    assert found == model.config


def test_slopes_that_differ_stay_apart():
    model = build("snu-challenge", shares_activation=False)
    with torch.no_grad():
        model.cascades[1].network.unet.bottom[0].activation.weight.fill_(0.5)
    tensors, settings = convert("snu-challenge", publish(model), {})
    assert settings["shares_activation"] is False
    build_model("promptmr", settings).load_state_dict(tensors)
    assert tensors["cascades.1.network.unet.bottom.0.activation.weight"] == 0.5


def test_tensors_can_be_saved_and_do_not_share_memory():
    published = publish(build("snu-challenge"))
    tensors, _ = convert("snu-challenge", published, {})
    assert len({tensor.data_ptr() for tensor in tensors.values()}) == len(tensors)


def test_arguments_tell_what_tensors_do_not():
    state = publish(build("promptmr"))
    frozen = {"learnable_prompt": False, "num_cascades": 2, "feature_dim": "5 6", "prompt_size": [6, 3], "seed": 430}
    assert convert("promptmr", state, {})[1]["learnable_prompts"] is True
    assert convert("promptmr", state, frozen)[1]["learnable_prompts"] is False
    one = build("snu-challenge", sens_uses_adjacent=False, num_adjacent=3)
    settings = convert("snu-challenge", publish(one), {"num_adj_slices": 3})[1]
    assert (settings["num_adjacent"], settings["num_buffers"], settings["sens_uses_adjacent"]) == (3, 3, False)


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        ("fastmri", {}, r"weights of PromptMR come from promptmr, promptmr-plus, snu-challenge, found 'fastmri'$"),
        ("promptmr", {"n_buffer": 4}, r"was built with n_buffer 4, but its tensors are of 0$"),
        ("promptmr", {"feature_dim": "5 7"}, r"was built with feature_dim \(5, 7\), but its tensors are of \(5, 6\)$"),
        (
            "promptmr",
            {"feature_dim": "wide"},
            r"was built with feature_dim 'wide', which is no number or list of numbers$",
        ),
        ("promptmr", {"num_adj_slices": 2}, r"its 3 input images are no multiple of its 2 adjacent slices$"),
        ("promptmr-plus", {}, r"its 3 input images may be slices or buffers; give num_adj_slices$"),
    ],
)
def test_arguments_that_do_not_fit_are_one_clear_line(source, arguments, message):
    with pytest.raises(CheckpointError, match=f"^{message}"):
        convert(source, publish(build("promptmr")), arguments)


def test_another_network_is_one_clear_line():
    with pytest.raises(CheckpointError, match=r"^holds 0 networks of the form of PromptMR, not 1; found conv$"):
        convert("promptmr", {"conv.weight": torch.ones(1)}, {})
    state = publish(build("promptmr"))
    twice = {f"{name}.{key}": tensor for name in "ab" for key, tensor in state.items()}
    with pytest.raises(CheckpointError, match=r"^holds 2 networks of the form of PromptMR, not 1; found a, b$"):
        convert("promptmr", twice, {})
    del state["cascades.0.model.unet.feat_extract.weight"]
    with pytest.raises(CheckpointError, match=r"^has no cascades.0.network.unet.stem.weight, from which the size of"):
        convert("promptmr", state, {})


def test_a_sensitivity_network_of_another_build_is_one_clear_line():
    state = publish(build("promptmr"))
    cut = {name: tensor for name, tensor in state.items() if not name.startswith("sens_net.norm_unet.unet.bottleneck.")}
    message = r"^its sensitivity network is built otherwise than its cascades: num_bottleneck_blocks 0 and 1$"
    with pytest.raises(CheckpointError, match=message):
        convert("promptmr", cut, {})
