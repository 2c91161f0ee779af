import pytest
import torch

from mrikit.checkpoint import as_lines, describe, load_weights, make_card, save_weights
from mrikit.checkpoint.card import COMPATIBILITY
from mrikit.checkpoint.weights import Weights
from mrikit.models import build_model, model_settings
from mrikit.models.promptmr_config import CHALLENGE_FLAWS

TRAINED = {
    "task": "knee_acc8",
    "stage": 2,
    "size": "full",
    "anatomy": "knee",
    "masks": [{"kind": "random_offset", "acceleration": 8.0, "center_fraction": 0.08}],
    "max_readout": 416,
    "trained_on": [f"file{number}" for number in range(200)],
    "step": 12000,
    "ssim": 0.9721,
    "psnr": 38.09,
}


def sections(card):
    """Title to content, with the head of the card under an empty title."""
    head, *rest = card.split("\n## ")
    return {"": head} | {part.split("\n", 1)[0]: part.split("\n", 1)[1].strip() for part in rest}


@pytest.fixture
def trained(tmp_path):
    """Weights as a run of mrikit keeps them."""
    model = build_model("unet", {"num_channels": 2, "num_pools": 1})
    save_weights(tmp_path / "w.safetensors", "unet", model_settings(model), model.state_dict(), TRAINED)
    return load_weights(tmp_path / "w.safetensors")


def test_weights_trained_here_have_a_card_from_their_record(trained):
    found = sections(make_card(describe(trained)))
    head = found[""]
    assert head.startswith("# unet for knee_acc8, stage 2\n")
    for row in (
        "| Network | unet |",
        "| Parameters | 413 |",
        "| Task | knee_acc8 |",
        "| Stage | 2 |",
        "| Size | full |",
        "| Anatomy | knee |",
        "| Undersampling | 8x random_offset, 8 % centre |",
        "| Rows kept of an image | 416 |",
        "| Step | 12,000 |",
        f"| SHA-256 of the weights file | {trained.sha256} |",
    ):
        assert row in head.splitlines()
    assert found["Training"].startswith("Trained on 200 volumes: file0, file1, ")
    assert found["Training"].endswith("file7 and 192 more.")
    assert found["Scores"].splitlines() == ["- `ssim`: 0.9721", "- `psnr`: 38.09"]
    assert found["Settings of the network"].splitlines()[0] == "- `num_channels`: 2"
    assert "Not a medical device" in found["Intended use"]
    assert "no score" not in found["Limits"]
    assert "Trained with mrikit" in found["Licence"]
    assert "Origin" not in found
    assert "Compatibility" not in found


def mask(kind, acceleration=8.0, center_fraction=0.08):
    return {"kind": kind, "acceleration": acceleration, "center_fraction": center_fraction}


@pytest.mark.parametrize(
    ("masks", "others", "words"),
    [
        ([mask("fixed")], [mask("fixed")], ["8x fixed, 8 % centre", None]),
        ([mask("fixed")], None, ["8x fixed, 8 % centre", None]),
        (
            [mask("random", 4.0), mask("random", 6.25, 0.07)],
            [mask("fixed")],
            ["4x random, 8 % centre; 6.25x random, 7 % centre", "8x fixed, 8 % centre"],
        ),
        ([{"acceleration": 4.0}], [], ["4x", None]),
    ],
)
def test_masks_of_validation_are_shown_where_they_are_others(masks, others, words):
    facts = {"model": "unet", "masks": masks, "validation_masks": others}
    rows = {row.split("|")[1].strip(): row.split("|")[2].strip() for row in make_card(facts).splitlines() if "|" in row}
    lines = as_lines(facts)
    assert [rows.get("Undersampling"), rows.get("Undersampling in validation")] == words
    assert [lines.get("masks"), lines.get("validation_masks")] == words


def test_lines_hold_what_is_known_shortly():
    facts = {
        "model": "unet",
        "stage": 0,
        "max_readout": 0,
        "anatomy": "",
        "loss": 0.12345678901234567,
        "step": 12000,
        "trained_on": [f"file{number}" for number in range(1200)],
        "validation": {"ssim": 0.9123456789, "slices": [1, 2.25]},
        "compatibility": {"counts_center_lines": "the lines"},
    }
    assert as_lines(facts) == {
        "model": "unet",
        "loss": "0.123457",
        "step": "12,000",
        "trained_on": "1,200 volumes",
        "validation": "ssim=0.912346, slices=(1, 2.25)",
        "compatibility": "counts_center_lines",
    }
    assert as_lines({"stage": 2, "max_readout": 416}) == {"stage": "2", "max_readout": "416"}


def test_scores_that_are_a_group_of_the_record_are_shown():
    found = sections(make_card({"model": "promptmr", "scores": {"snu": 0.975, "fastmri": 0.98}, "ssim": 0.1}))
    assert found["Scores"].splitlines() == ["- `snu`: 0.975", "- `fastmri`: 0.98"]


def test_a_record_that_says_next_to_nothing_has_a_card_without_empty_sections():
    found = sections(make_card({"model": "unet"}))
    assert found[""] == "# Weights of unet\n\n| | |\n|---|---|\n| Network | unet |\n"
    assert set(found) == {"", "Intended use", "Limits", "Licence"}
    assert "mrikit has no score of these weights" in found["Limits"]


def test_the_switches_that_are_on_are_explained_and_the_others_left_out():
    settings = {
        "num_cascades": 8,
        "shares_activation": True,
        "output_uses_all_maps": True,
        "counts_center_lines": False,
    }
    weights = Weights(model="promptmr", model_config=settings, tensors={}, sha256="", record={}, path=None)
    facts = describe(weights)
    assert facts["compatibility"] == {
        name: COMPATIBILITY[name] for name in ("shares_activation", "output_uses_all_maps")
    }
    lines = sections(make_card(facts))["Compatibility"].splitlines()
    assert lines[2:] == [f"- `{name}`: {COMPATIBILITY[name]}" for name in facts["compatibility"]]


def test_every_switch_of_a_network_is_explained():
    assert COMPATIBILITY.keys() == CHALLENGE_FLAWS.keys()


def test_a_card_changes_nothing_of_what_it_is_given():
    facts = {"model": "unet", "settings": {"a": (1, 2)}, "trained_on": ["a"]}
    make_card(facts)
    assert facts == {"model": "unet", "settings": {"a": (1, 2)}, "trained_on": ["a"]}


def test_names_from_outside_do_not_become_markdown():
    card = make_card({"model": "unet", "imported_from": "a|b\n# Owned <script>`x` [y](z).pt", "task": "*k*\n# t"})
    assert "| File | a\\|b # Owned \\<script>\\`x\\` \\[y](z).pt |" in card.splitlines()
    assert card.splitlines()[0] == "# unet for \\*k\\* # t"
    assert sum(line.startswith("# ") for line in card.splitlines()) == 1


def test_facts_are_counted_from_the_tensors_and_not_taken_from_the_record():
    weights = Weights(
        model="unet",
        model_config={},
        tensors={"a": torch.ones(2, 3), "b": torch.ones(1)},
        sha256="cd",
        record={"model": "unet", "model_config": {}, "parameters": 99, "num_weights": 98, "format": 1, "step": 4},
        path=None,
    )
    assert describe(weights) == {
        "model": "unet", "settings": {}, "compatibility": {}, "parameters": 7, "sha256": "cd", "step": 4,
    }  # fmt: skip
