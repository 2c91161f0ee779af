"""Time that a sweep would take."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mrikit.commands.policy_plan import expected_policy
from mrikit.commands.training_kinds import is_policy
from mrikit.commands.training_plan import expected_run, shapes_of
from mrikit.launching.sweep_file import Member, Sweep
from mrikit.storage import parse_location
from mrikit.words import counted, in_time

if TYPE_CHECKING:
    from mrikit.recipes.tasks import AnyRunConfig

_FREE = ("training.seed", "training.max_lr", "data.mask_kind", "data.accelerations", "data.center_fractions")
_FREE_OF_SAMPLER = tuple(f"sampler.{name}" for name in ("kind", "acs", "noise_std", "noise_end", "lr_scale"))
"""Settings that change what is learned, and hardly how long it takes."""


def show_expected(found: Sweep, members: Sequence[Member], runs_on: str, num_processes: int) -> None:
    """Print how long all members train, one after the other; each kind of them is timed once.

    Args:
        found: The sweep.
        members: All of it.
        runs_on: `cpu` or `cuda` of this machine, or a GPU whose speed is known; empty where nobody knows.
        num_processes: Of each member, each with a device of its own; on a CPU all share it.
    """
    import torch

    from mrikit.launching.chain import training_configs

    data = parse_location(found.data)
    if not runs_on or (runs_on == "cuda" and not torch.cuda.is_available()):
        typer.echo("expected: nobody knows how fast its machines are; --gpu names one that is known")
        return
    if not isinstance(data, Path) or not data.is_dir():
        typer.echo(f"expected: nobody knows how long it takes before volumes are in {found.data} here")
        return
    kinds: dict[str, list[Member]] = {}
    for member in members:
        costly = [f"{key}={value}" for key, value in sorted(member.settings.items()) if not _is_free(key)]
        kinds.setdefault(", ".join([member.task, *costly]), []).append(member)
    total = 0.0
    for name, alike in kinds.items():
        settings = [f"{key}={value}" for key, value in alike[0].settings.items()]
        params = {"task": alike[0].task, "size": found.size, "stage": found.stage or None, "settings": settings}
        stages = training_configs(params)
        seconds = sum(_seconds(config, stages, data, runs_on, num_processes) for config in stages)
        total += seconds * len(alike)
        typer.echo(f"expected of {name}: {in_time(seconds)} for each of {counted(len(alike), 'member')}")
    more = "starts and tests" if found.test_data else "starts"
    typer.echo(f"expected of all members, one after the other: {in_time(total)}; their {more} come on top")


def _seconds(
    config: "AnyRunConfig", stages: Sequence["AnyRunConfig"], data: Path, runs_on: str, num_processes: int
) -> float:
    training, validation, _ = shapes_of(config, [data], None, None)
    if not is_policy(config):
        return 3600 * expected_run(config, training, validation, runs_on, num_processes).hours
    if runs_on not in ("cpu", "cuda"):
        typer.echo(f"time: nobody knows how fast a policy learns on {runs_on}; it is not in the sum")
        return 0.0
    return 3600 * expected_policy(config, stages, (training, validation), runs_on).hours


def _is_free(key: str) -> bool:
    return key in _FREE or key in _FREE_OF_SAMPLER or key.startswith("data.mask_settings.")
