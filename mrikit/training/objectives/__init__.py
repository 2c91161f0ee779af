"""What a run minimises and how it is judged, one file for each objective."""

from collections.abc import Callable

from mrikit.errors import ConfigError
from mrikit.training.config import RunConfig
from mrikit.training.objectives.adversary import AdversaryObjective
from mrikit.training.objectives.anatomy import AnatomyObjective
from mrikit.training.objectives.evaluator import EvaluatorObjective
from mrikit.training.objectives.image import ImageObjective
from mrikit.training.objectives.objective import (
    ComparesWithStart,
    Draw,
    Group,
    Objective,
    Score,
    Validated,
    decaying_groups,
)
from mrikit.training.objectives.orientation import OrientationObjective
from mrikit.training.objectives.sampling import SamplingObjective
from mrikit.training.objectives.shape import needs_shape, one_shape, with_shape

OBJECTIVES: dict[str, Callable[[RunConfig], Objective]] = {
    "image": ImageObjective,
    "anatomy": AnatomyObjective,
    "sampling": SamplingObjective,
    "evaluator": EvaluatorObjective,
    "adversary": AdversaryObjective,
    "orientation": OrientationObjective,
}
"""Name to what makes the objective of a run."""


def objective_of(config: RunConfig) -> Objective:
    """The objective of a run.

    Raises:
        ConfigError: There is none of this name, or it cannot be trained with the ZeRO stage of the run.
    """
    if config.objective not in OBJECTIVES:
        raise ConfigError(f"objective is one of {', '.join(OBJECTIVES)}, found {config.objective!r}")
    objective = OBJECTIVES[config.objective](config)
    if config.execution.zero_stage > objective.max_zero_stage:
        raise ConfigError(
            f"execution.zero_stage {config.execution.zero_stage}: the objective {config.objective} is trained with "
            f"stages up to {objective.max_zero_stage}; set execution.zero_stage={objective.max_zero_stage}"
        )
    return objective


__all__ = [
    "OBJECTIVES",
    "ComparesWithStart",
    "Draw",
    "Group",
    "Objective",
    "Score",
    "Validated",
    "decaying_groups",
    "needs_shape",
    "objective_of",
    "one_shape",
    "with_shape",
]
