"""Masks that weights bring along: which plan stands for them, and what is measured by it."""

import warnings

from mrikit.checkpoint import level_of
from mrikit.data import MaskPlan
from mrikit.errors import ConfigError
from mrikit.masks import Mask, challenge_center_fraction
from mrikit.reconstruct.method import Method


def settled_plan(method: Method, plan: MaskPlan | None, *, is_usual_kind: bool = False) -> MaskPlan | None:
    """How full volumes are undersampled for a method, whose weights may have learned that.

    Where they have, and no mask is asked for, theirs of the lowest acceleration; where only an acceleration is, theirs
    of that one. Other masks are used with a warning.

    Args:
        method: With the weights.
        plan: What is asked for.
        is_usual_kind: Whether nobody asked for the kind of the plan.

    Raises:
        ConfigError: A learned mask of weights that have none, or of an acceleration that they did not learn.
    """
    own = method.learned_plans
    if plan is None:
        return _lowest(own) if own else None
    if plan.is_learned or (is_usual_kind and own):
        if not own and not method.is_adaptive:
            raise ConfigError(
                f"--mask {plan.kind}: {method.source} learned no mask; name weights of a run that did, or another "
                f"--mask of `mrikit masks list`"
            )
        if not own:
            return plan  # of another program: nothing says what it was trained with
        found = own[level_of([one.acceleration for one in own], plan.acceleration)]
        if plan.center_fraction not in (*(one.center_fraction for one in (found, MaskPlan())), _usual_center(plan)):
            warnings.warn("a learned mask has a centre of its own; --center-fraction has no effect", stacklevel=2)
        return found
    if own:
        warnings.warn(
            f"{method.source} was trained with masks that were learned for it, and is given {plan.kind}; without "
            f"--mask it gets its own",
            stacklevel=2,
        )
    return plan


def mask_to_choose(method: Method, plan: MaskPlan | None) -> MaskPlan | Mask | None:
    """What `choose_mask` is to be given: of a learned plan the mask itself.

    Raises:
        ConfigError: It was not learned.
    """
    if plan is None or not plan.is_learned or not method.learned:
        return plan
    accelerations = list(method.learned)
    return method.learned[accelerations[level_of(accelerations, plan.acceleration)]]


def _lowest(own: tuple[MaskPlan, ...]) -> MaskPlan:
    lowest = min(own, key=lambda plan: plan.acceleration)
    if len(own) > 1:
        learned = ", ".join(f"{plan.acceleration:g}x" for plan in own)
        warnings.warn(
            f"masks of {learned} were learned; full volumes get that of {lowest.acceleration:g}x, --acceleration "
            f"chooses another",
            stacklevel=3,
        )
    return lowest


def _usual_center(plan: MaskPlan) -> float:
    return challenge_center_fraction(plan.acceleration)
