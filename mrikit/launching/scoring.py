"""Commands that score a run on test data."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mrikit.errors import ConfigError
from mrikit.storage import Location

if TYPE_CHECKING:
    from mrikit.data import MaskPlan
    from mrikit.recipes.tasks import AnyRunConfig
    from mrikit.training import RunConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Scoring:
    """What `mrikit train --test-data` does after the training."""

    data: Location
    """Volumes to test on."""
    weights: Location
    """The run, or one stage of it."""
    recon: Location
    """Where reconstructions and scores go: beside the run."""
    reconstruct: tuple[str, ...]
    """Words after `mrikit`."""
    evaluate: tuple[str, ...]
    """Words after `mrikit`."""
    scorer: str
    """A name of `mrikit.evaluate.SCORERS`: what the run was validated by."""


def scoring(config: "AnyRunConfig", run: Location, stage: int | None, data: Location, device: str = "auto") -> Scoring:
    """How a run is scored on test data: undersampled as it was validated.

    Args:
        config: Of its last stage.
        run: Its folder.
        stage: The only stage that is trained; None for all.
        data: Volumes to test on.
        device: Where to compute.

    Raises:
        ConfigError: It makes no images.
    """
    from mrikit.training import RunConfig

    if not isinstance(config, RunConfig):
        raise ConfigError(
            f"--test-data {data}: {config.task} learns what to measure; `mrikit acquire` measures test data so, and "
            f"`mrikit evaluate` scores them"
        )
    told = {"anatomy": "anatomies", "orientation": "orientations"}.get(config.objective)
    if told:
        raise ConfigError(f"--test-data {data}: {config.task} tells {told} apart and makes no image to score")
    weights = run / f"stage-{stage}" if stage else run
    ending = f"-stage-{stage}-test" if stage else "-test"
    recon = run.with_name(run.name + ending) if run.name else run / ending.lstrip("-")
    scorer = "snu-2025" if config.data.validation_score == "body_ssim" else "fastmri"
    where = () if device == "auto" else ("--device", device)
    made = ("--weights", str(weights), "--data", str(data), "--out", str(recon), *mask_words(config), *where)
    scored = ("--recon", str(recon), "--data", str(data), *(() if scorer == "fastmri" else ("--scorer", scorer)))
    return Scoring(
        data=data,
        weights=weights,
        recon=recon,
        reconstruct=("reconstruct", *made),
        evaluate=("evaluate", *scored),
        scorer=scorer,
    )


def mask_words(config: "RunConfig") -> list[str]:
    """How `mrikit reconstruct` undersamples as the run was validated."""
    return plan_words(config.data.validation_plans[0])


def plan_words(plan: "MaskPlan") -> list[str]:
    """How `mrikit reconstruct` undersamples by a plan."""
    from mrikit.data import MaskPlan
    from mrikit.masks import challenge_center_fraction, setting_options

    default = MaskPlan()
    words = ["--acceleration", f"{plan.acceleration:g}"]
    if plan.kind != default.kind:
        words += ["--mask", plan.kind]
    if plan.is_learned:
        return words  # its centre comes with it
    if plan.center_fraction != challenge_center_fraction(plan.acceleration):
        words += ["--center-fraction", f"{plan.center_fraction:g}"]
    return [*words, *setting_options(plan.settings)]
