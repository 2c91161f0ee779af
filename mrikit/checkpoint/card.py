"""The card of a weights file: what a reader has to know before using it, as Markdown."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mrikit.checkpoint.learned_masks import describe_sampler
from mrikit.checkpoint.weights import Weights
from mrikit.masks import LEARNED_KIND

COMPATIBILITY: Final[dict[str, str]] = {
    "shares_activation": "all blocks but the first of each network share one slope of their activation",
    "output_uses_all_maps": "the image comes out larger by the root of the number of adjacent slices, which the last "
    "cascade has learned to undo",
    "counts_center_lines": "the sampled lines of the centre are counted in the mask, also where their number is known",
    "counts_one_line_in_full_masks": "in a mask without gaps one line of the centre is counted, so that coil "
    "sensitivities of fully sampled data are poor",
    "has_unused_outputs": "networks compute channels that nothing looks at, which takes time and changes no image",
}
"""Settings that keep what published code does by mistake, for its weights: what each means where it is on."""

_SCORES = ("ssim", "psnr", "nmse", "accuracy")
_NOT_SHOWN = ("format", "model_config", "num_weights")  # the last is what `parameters` says
_ZERO_IS_NONE = ("stage", "max_readout", "num_coils")
_MOST_ITEMS = 8
_FACTS = {
    "model": "Network",
    "parameters": "Parameters",
    "source": "Source",
    "task": "Task",
    "stage": "Stage",
    "size": "Size",
    "anatomy": "Anatomy",
    "masks": "Undersampling",
    "validation_masks": "Undersampling in validation",
    "sampler": "Learned masks",
    "max_readout": "Rows kept of an image",
    "matrix": "Matrix that k-space is cropped to",
    "num_coils": "Virtual coils",
    "step": "Step",
    "epoch": "Epoch",
    "sha256": "SHA-256 of the weights file",
    "mrikit_version": "Written by mrikit",
}
_ORIGIN = {
    "imported_from": "File",
    "imported_kind": "Kind of file",
    "imported_sha256": "SHA-256",
    "citation": "Reference",
    "training_data": "Training data",
}
_USE = (
    "Research on the reconstruction of MRI from raw Cartesian data. Not a medical device: nothing that these weights "
    "make is for diagnosis or treatment."
)
_LIMITS = (
    "A network can leave out what is there and add what is not, most of all at higher accelerations and on other "
    "anatomies, contrasts, coils, fields and masks than it was trained with. Score it on data of your own first: "
    "`mrikit reconstruct`, then `mrikit evaluate`."
)
_OWN_LICENCE = (
    "Trained with mrikit, which claims no rights in weights; the terms of the data that they were trained with hold."
)


def describe(weights: Weights) -> dict[str, Any]:
    """Everything that is known of weights, as JSON: what the file says, and what can be read off it."""
    facts = {name: value for name, value in weights.record.items() if name not in _NOT_SHOWN}
    facts |= {
        "model": weights.model,
        "settings": weights.model_config,
        "compatibility": switches(weights.model_config),
        "parameters": sum(tensor.numel() for tensor in weights.tensors.values()),
        "sha256": weights.sha256,
    }
    return facts


def as_lines(facts: Mapping[str, Any]) -> dict[str, str]:
    """Facts on one line each, by name, for people: those that are known, without what the card explains at length.

    Args:
        facts: What `describe` gives.
    """
    lines = {name: _fact(facts, name) for name in facts if _is_known(facts, name)}
    if facts.get("trained_on"):
        lines["trained_on"] = f"{len(facts['trained_on']):,} volumes"
    if "compatibility" in facts:  # what the switches mean is in the card
        lines["compatibility"] = as_text(list(facts["compatibility"]))
    return lines


def switches(settings: Mapping[str, Any]) -> dict[str, str]:
    """The settings that keep a flaw of published code and are on, with what they mean."""
    return {name: meaning for name, meaning in COMPATIBILITY.items() if settings.get(name)}


def card_path(weights: Path) -> Path:
    """Where the card of a weights file lies."""
    return weights.with_suffix(".md")


def make_card(facts: Mapping[str, Any]) -> str:
    """The card of weights.

    Args:
        facts: What `describe` gives; whatever of it is missing is left out.
    """
    sections = [
        f"# {_title(facts)}",
        _table(facts, _FACTS),
        _section("Settings of the network", _lines(facts.get("settings", {}))),
        _section("Compatibility", _compatibility(facts.get("compatibility", {}))),
        _section("Training", _training(facts)),
        _section("Scores", _scores(facts)),
        _section("Origin", _table(facts, _ORIGIN)),
        _section("Intended use", _USE),
        _section("Limits", _limits(facts)),
        _section("Licence", _plain(facts.get("licence") or _OWN_LICENCE)),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def as_text(value: Any) -> str:  # noqa: ANN401 - anything that JSON holds
    """A fact on one line, as far as one line holds it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_part(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        more = f" and {len(value) - _MOST_ITEMS} more" if len(value) > _MOST_ITEMS else ""
        return ", ".join(map(_part, value[:_MOST_ITEMS])) + more or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else _scalar(value)


def _part(value: Any) -> str:  # noqa: ANN401 - anything that JSON holds
    return f"({as_text(value)})" if isinstance(value, Mapping | list | tuple) else _scalar(value)


def _scalar(value: Any) -> str:  # noqa: ANN401 - anything that JSON holds but lists and objects
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _fact(facts: Mapping[str, Any], name: str) -> str:
    """A fact on one line; masks and samplers as people call them."""
    value = facts[name]
    if name == "sampler":
        return describe_sampler(value, facts.get("masks") or ())
    return "; ".join(map(_mask, value)) if name in ("masks", "validation_masks") else as_text(value)


def _mask(plan: Mapping[str, Any]) -> str:
    """Such as `8x fixed, 8 % centre`; imported weights and those of others may say less of it."""
    if "acceleration" not in plan:
        return as_text(plan)
    kind = f" {plan['kind']}" if "kind" in plan else ""
    # Of a sampler the centre is a setting of its own.
    has_center = "center_fraction" in plan and (plan.get("kind") != LEARNED_KIND or plan["center_fraction"])
    center = f", {100 * plan['center_fraction']:g} % centre" if has_center else ""
    return f"{plan['acceleration']:g}x{kind}{center}"


def _title(facts: Mapping[str, Any]) -> str:
    model = facts.get("model", "network")
    if "title" in facts:
        return _plain(f"{facts['title']}, as weights of {model}")
    parts = [f"{name} {facts[name]}" for name in ("stage",) if facts.get(name)]
    return _plain(", ".join([f"{model} for {facts['task']}" if facts.get("task") else f"Weights of {model}", *parts]))


def _section(title: str, content: str) -> str:
    return f"## {title}\n\n{content}" if content else ""


def _table(facts: Mapping[str, Any], names: Mapping[str, str]) -> str:
    rows = [f"| {title} | {_plain(_fact(facts, name))} |" for name, title in names.items() if _is_known(facts, name)]
    return "\n".join(["| | |", "|---|---|", *rows]) if rows else ""


def _is_known(facts: Mapping[str, Any], name: str) -> bool:
    """Whether a fact says anything, and anything new."""
    if name == "validation_masks" and facts.get(name) == facts.get("masks"):
        return False
    if name in _ZERO_IS_NONE and not facts.get(name):
        return False
    return facts.get(name) not in (None, "", [], {})


def _lines(values: Mapping[str, Any]) -> str:
    return "\n".join(f"- `{_plain(name)}`: {_plain(as_text(value))}" for name, value in values.items())


def _compatibility(found: Mapping[str, str]) -> str:
    if not found:
        return ""
    return f"These weights were trained with flaws of the code that they come from, and need them:\n\n{_lines(found)}"


def _training(facts: Mapping[str, Any]) -> str:
    volumes = facts.get("trained_on")
    return f"Trained on {len(volumes):,} volumes: {_plain(as_text(volumes))}." if volumes else ""


def _scores(facts: Mapping[str, Any]) -> str:
    scores = facts.get("scores") or {name: facts[name] for name in _SCORES if name in facts}
    return _lines(scores)


def _limits(facts: Mapping[str, Any]) -> str:
    unscored = "" if _scores(facts) else " mrikit has no score of these weights."
    return _LIMITS + unscored


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    text = " ".join(str(text).split())
    for sign in ("\\", "|", "`", "<", "*", "["):
        text = text.replace(sign, f"\\{sign}")
    return text
