"""The masks that weights have learned: the sampler of a run, rebuilt from its record and tensors."""

from collections.abc import Sequence

from mrikit.checkpoint.weights import Weights
from mrikit.config import build_config
from mrikit.errors import CheckpointError, ConfigError
from mrikit.models.samplers import Sampler, SamplerConfig


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
