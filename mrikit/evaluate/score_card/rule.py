"""Rule 1 of the score card: which volumes, which masks, which scorer.

Nothing here may change: cards of one rule are compared. Another choice is another rule, with another number.
"""

import hashlib
from typing import Any, Final

from mrikit.masks import MaskPlan
from mrikit.volumes import ScanInfo

RULE: Final = "score-card rule 1"
"""Name of the rule; it also seeds the choice of patients."""
SHARE: Final = 2
"""One patient of so many is chosen."""
SCORER: Final = "fastmri"
"""Name of the definition of the score."""
PLANS: Final = (
    MaskPlan(kind="equispaced_fraction", acceleration=4.0, center_fraction=0.08),
    MaskPlan(kind="equispaced_fraction", acceleration=8.0, center_fraction=0.04),
)
"""How each volume is undersampled; the seed of a mask is the name of the file, as fastMRI has it."""

_NUM_BYTES = 8


def is_chosen(info: ScanInfo) -> bool:
    """Whether a volume is one of those that are scored.

    Its patient decides, by a digest of the id; where the file names none, the name of the file does. So it does not
    matter which other volumes there are.
    """
    key = info.patient_id or f"{info.volume_id}.h5"
    digest = hashlib.sha256(f"{RULE}: {key}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:_NUM_BYTES], "big") % SHARE == 0


def reconstruct_words(plan: MaskPlan) -> list[str]:
    """Options of `mrikit reconstruct` that undersample as a plan of the rule does."""
    return [
        *("--mask", plan.kind, "--acceleration", f"{plan.acceleration:g}"),
        *("--center-fraction", f"{plan.center_fraction:g}"),
    ]


def rule_facts() -> dict[str, Any]:
    """The rule in words and numbers, as JSON."""
    return {
        "name": RULE,
        "volumes": f"fully sampled ones with a reference of their own, of one patient in {SHARE}: those whose SHA-256 "
        f"of '{RULE}: ' and the patient id, or without one the file name, is a multiple of {SHARE} in its first "
        f"{_NUM_BYTES} bytes; all of them where there is no such patient",
        "masks": [plan.facts | {"seed": "the characters of the file name, as fastMRI has it"} for plan in PLANS],
        "scorer": SCORER,
        "digests": "sha256 of each file as it lies on disk",
    }
