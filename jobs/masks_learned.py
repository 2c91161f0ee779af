"""What `mrikit masks make --weights` takes: the mask that a training run has learned."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import typer

from mrikit.checkpoint import build_trained_sampler, level_of, load_weights
from mrikit.commands.places import weights_of
from mrikit.errors import ConfigError
from mrikit.masks import Mask
from mrikit.storage import Location, named_as_locations, pulled


def learned_mask(
    weights: Location, acceleration: float | None
) -> tuple[Mask, npt.NDArray[np.float32], tuple[int, int]]:
    """The mask, its probabilities, and the (readout, phase) it is for.

    Args:
        weights: The run.
        acceleration: Which of its masks; that of the lowest one if None.

    Raises:
        ConfigError: The run has learned no mask, or none of this acceleration.
    """
    with named_as_locations():
        found = load_weights(pulled(weights, weights_of))
        sampler = build_trained_sampler(found)
    if sampler is None:
        raise ConfigError(
            f"{weights}: these weights of {found.model} hold no learned mask; name a run that was trained with "
            f"sampler.kind=lines, global or tile"
        )
    level = level_of(sampler.accelerations, acceleration)
    readout, phase = sampler.config.shape
    return sampler.mask(level), sampler.probabilities(level).cpu().numpy(), (readout, phase)


def require_undrawn(context: typer.Context) -> None:
    """Refuse what says how to draw a mask, because none is drawn.

    Raises:
        ConfigError: It was given.
    """
    given = [
        name
        for name in ("kind", "shape", "center", "seed", "settings")
        if getattr(context.get_parameter_source(name), "name", "") not in ("DEFAULT", "")
    ]
    if given:
        words = ", ".join("--set" if name == "settings" else f"--{name}" for name in given)
        raise ConfigError(f"--weights bring a mask of their own, and {words} draws one; leave either out")


def require_own_file(probabilities: Path | None, out: Path) -> None:
    """Refuse probabilities that cannot be written as asked for, before the mask is.

    Raises:
        ConfigError: They go into no `.npy` file, or into that of the mask.
    """
    if probabilities is None:
        return
    if probabilities.suffix != ".npy":
        raise ConfigError(f"probabilities are a .npy file, found --probabilities {probabilities}")
    if probabilities.resolve() == out.resolve():
        raise ConfigError(f"--out and --probabilities are both {out}; name another file for one of them")
