"""What `mrikit train` calls and says, by what is trained: a network, or a policy."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from mrikit.acquire.learning.config import PolicyRunConfig
    from mrikit.recipes.tasks import AnyRunConfig
    from mrikit.training import RunConfig, TrainSummary

Row = Mapping[str, Any]


class Kind(NamedTuple):
    """A kind of run."""

    train: "Callable[..., TrainSummary]"
    """With the arguments of `mrikit.training.train`."""
    numbers: Callable[[Row], str]
    """A row of training beside the progress bar."""
    validation: "Callable[[Row, Any], str]"
    """A row of validation and the run, in a line."""
    best: "Callable[[TrainSummary, Any], str]"
    """What came of a finished run that was validated."""


def kind_of(config: "AnyRunConfig") -> Kind:
    """What to call and to say for a run."""
    from mrikit.training import RunConfig, train

    if isinstance(config, RunConfig):
        return Kind(train, _network_numbers, _network_validation, _network_best)
    from mrikit.acquire.learning.train import train_policy

    return Kind(train_policy, _policy_numbers, _policy_validation, _policy_best)


def is_policy(config: "AnyRunConfig") -> "TypeIs[PolicyRunConfig]":
    """Whether the run learns a policy."""
    return hasattr(config, "policy")


def _network_numbers(row: Row) -> str:
    return f"loss {row['loss']:.4f}, {row['slices_per_second']:.1f} slices/s"


def _network_validation(row: Row, config: "RunConfig") -> str:
    from mrikit.training.objectives import objective_of

    found = f"{objective_of(config).describe(row)} of {row['num_volumes']} volumes"
    if row["kind"] == "start":
        return f"before the first step: {found}"
    best = ", the best so far" if row["is_best"] else ""
    failed = f"; FAILED: {row['failed']}" if "failed" in row else ""
    return f"epoch {row['epoch']}: {found}{best}{failed}"


def _network_best(summary: "TrainSummary", config: "RunConfig") -> str:
    from mrikit.training.objectives import objective_of

    position = summary.position
    epoch = config.training.first_epoch + position.best_step // summary.steps_per_epoch
    score = objective_of(config).score
    # A classifier's has a little of its confidence in it, which decides between equal ones.
    value = min(position.best_score, 1) if score.name == "accuracy" else position.best_score
    return f"{score.words} {value:.4f} of held-out volumes after epoch {epoch}"


def _policy_numbers(row: Row) -> str:
    loss = f"loss {row['loss']:.2g}, " if "loss" in row else ""
    speed = "" if row["steps_per_second"] is None else f", {row['steps_per_second']:.0f} lines/s"
    return f"{loss}reward {row['reward']:.4f}{speed}"


def _policy_validation(row: Row, config: "PolicyRunConfig") -> str:
    del config
    best = ", the best so far" if row["is_best"] else ""
    return (
        f"line {row['step']}: {_words(row['score'])} {row['area']:.4f} over all lines, {row['final']:.4f} after the "
        f"last, of {row['num_slices']} slices{best}"
    )


def _policy_best(summary: "TrainSummary", config: "PolicyRunConfig") -> str:
    position = summary.position
    score = _words(config.episode.score)
    return f"{score} {position.best_score:.4f} over all lines, of held-out volumes, after line {position.best_step}"


def _words(score: str) -> str:
    return score.upper()
