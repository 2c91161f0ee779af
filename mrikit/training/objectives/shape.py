"""The one size of k-space of runs that train something for its lines."""

from collections.abc import Sequence
from dataclasses import replace

from mrikit.data import cropped_shape
from mrikit.errors import ConfigError, DataError
from mrikit.training.config import RunConfig
from mrikit.volumes import Volume


def needs_shape(config: RunConfig) -> bool:
    """Whether a run trains a sampler or an evaluator, each for one size."""
    return bool(config.sampler.kind) or config.objective == "evaluator"


def one_shape(config: RunConfig, volumes: Sequence[Volume], where: str) -> tuple[int, int] | None:
    """The (readout, phase) size that all volumes have when they are masked; None without volumes.

    Raises:
        DataError: There are several sizes.
    """
    shapes = {cropped_shape(volume.info, config.data.max_readout): volume.info.volume_id for volume in volumes}
    if len(shapes) > 1:
        what = "an evaluator" if config.objective == "evaluator" else "a learned mask"
        found = ", ".join(f"{rows} x {columns} ({name})" for (rows, columns), name in sorted(shapes.items())[:3])
        raise DataError(
            f"{where}: {what} is for one matrix, and the volumes have {len(shapes)}: {found}; choose one, "
            f"or set data.matrix"
        )
    return next(iter(shapes), None)


def with_shape(config: RunConfig, shape: tuple[int, int] | None) -> RunConfig:
    """The run with its sampler's masks, or its evaluator's lines, of this (readout, phase) size.

    It stays as it is where it has neither.

    Raises:
        ConfigError: It names another size.
    """
    if shape is None or not needs_shape(config):
        return config
    if config.objective == "evaluator":
        if config.evaluator.width not in (0, shape[1]):
            raise ConfigError(
                f"evaluator.width is {config.evaluator.width}, and k-space has {shape[1]} lines; leave it out"
            )
        return replace(config, evaluator=replace(config.evaluator, width=shape[1]))
    if config.sampler.shape not in ((), shape):
        found, own = (" x ".join(map(str, one)) for one in (shape, config.sampler.shape))
        raise ConfigError(f"sampler.shape is {own}, and k-space is masked at {found}; leave sampler.shape out")
    return replace(config, sampler=replace(config.sampler, shape=shape))
