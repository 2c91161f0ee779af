"""The masks that weights have learned: the sampler of a run, rebuilt from its record and tensors."""

from collections.abc import Mapping, Sequence
from typing import Any

from mrikit.checkpoint.weights import Weights
from mrikit.config import build_config
from mrikit.errors import CheckpointError, ConfigError
from mrikit.models.samplers import Sampler, SamplerConfig
from mrikit.models.samplers.budget import GridBudget, grid_budgets, grid_shape


def build_trained_sampler(weights: Weights) -> Sampler | None:
    """The sampler that was trained with a network, in evaluation mode; None where there is none.

    Raises:
        CheckpointError: Its tensors are missing, of another shape or not finite, or its settings are not known here.
    """
    if "sampler" not in weights.record:
        return None
    try:
        config = build_config(SamplerConfig, weights.record["sampler"], "sampler")
        accelerations = [float(plan["acceleration"]) for plan in weights.record["masks"]]
        sampler = Sampler(config, accelerations, reads_start=False)
    except (ConfigError, KeyError, TypeError) as error:
        raise CheckpointError(f"{weights.path}: a sampler that is not known here: {error}") from error
    try:
        sampler.load_state_dict(weights.sampler)
    except RuntimeError as error:
        found = ", ".join(f"{name} {tuple(value.shape)}" for name, value in weights.sampler.items()) or "no tensor"
        raise CheckpointError(
            f"{weights.path}: its sampler needs logits {tuple(sampler.logits.shape)}, found {found}; is the file whole?"
        ) from error
    if not sampler.logits.isfinite().all():
        raise CheckpointError(f"{weights.path}: its sampler holds NaN or infinity; take weights from before that")
    return sampler.eval()


def describe_sampler(settings: Mapping[str, Any], masks: Sequence[Mapping[str, Any]]) -> str:
    """Kind, budget and centre in words: `lines of 368: 92 at 4x with a centre of 11; top_k`.

    Args:
        settings: As the record of weights has them.
        masks: The plans that were learned, likewise.
    """
    try:
        config = build_config(SamplerConfig, settings, "sampler")
        accelerations = [float(plan["acceleration"]) for plan in masks]
        budgets = grid_budgets(config, accelerations)
    except (ConfigError, KeyError, TypeError):
        return ", ".join(f"{name}={value}" for name, value in settings.items())  # of another version
    sizes = " x ".join(map(str, grid_shape(config) if config.kind != "lines" else config.shape[1:]))
    what = {"lines": "lines of", "global": "global, samples of"}.get(config.kind, f"tile of {_sizes(config.tile)} over")
    spent = [
        f"{budget.num_samples} at {acceleration:g}x{_center(config, budget)}"
        for acceleration, budget in zip(accelerations, budgets, strict=True)
    ]
    nested = ", nested" if config.is_nested else ""
    return f"{what} {sizes}: {'; '.join(spent)}; {config.estimator}{nested}"


def level_of(accelerations: Sequence[float], acceleration: float | None) -> int:
    """Which of the masks of a sampler is that of an acceleration.

    Args:
        accelerations: Those that were learned.
        acceleration: The one that is asked for; None for the lowest.

    Raises:
        ConfigError: It was not learned.
    """
    wanted = min(accelerations) if acceleration is None else acceleration
    if wanted not in accelerations:
        learned = ", ".join(f"{one:g}x" for one in sorted(accelerations))
        raise ConfigError(f"no mask of {wanted:g}x was learned; these weights have {learned}; give --acceleration")
    return list(accelerations).index(wanted)


def _center(config: SamplerConfig, budget: GridBudget) -> str:
    """Such as ` with a square centre of 16`."""
    number = int(budget.center.sum())
    if not number:
        return " without a centre"
    shape = "" if config.kind == "lines" else f"{config.acs} "
    return f" with a {shape}centre of {number}"


def _sizes(tile: tuple[int, ...]) -> str:
    return " x ".join(map(str, tile))
