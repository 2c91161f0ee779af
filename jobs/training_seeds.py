"""`mrikit train --seeds N`: the same training with several seeds, one after the other, and the best of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from mrikit.commands.natural import say
from mrikit.commands.output import results_console
from mrikit.commands.places import Location
from mrikit.commands.training_kinds import is_policy
from mrikit.commands.training_run import num_processes, stage_places
from mrikit.config import parse_assignments
from mrikit.errors import ConfigError, JobError, MrikitError
from mrikit.run_files import METRICS_FILE, WEIGHTS_FILE
from mrikit.storage import shown

if TYPE_CHECKING:
    from mrikit.recipes.tasks import AnyRunConfig
    from mrikit.report.sweep.runs import SweepRun
    from mrikit.storage import Place

SEED_FOLDERS = "seed-[0-9]*"


class OneRun(NamedTuple):
    """All stages of one training."""

    configs: Sequence["AnyRunConfig"]
    out: Location
    """Its folder, as the user names it."""
    place: "Place"
    """The same to read and write."""

    @property
    def places(self) -> list["Place"]:
        """Where its stages lie."""
        return stage_places(self.configs, self.place)


def seed_name(seed: int) -> str:
    """The folder of a seed, in that of all of them."""
    return f"seed-{seed}"


def seed_configs(
    task: str, size: str, stage: int | None, settings: Sequence[str], execution: Mapping[str, Any], num_seeds: int
) -> list[list["AnyRunConfig"]]:
    """The stages of a run with each seed; all are validated on the same patients, so that their scores compare.

    Args:
        task: As in `chosen_configs`, and so the next four.
        size: See there.
        stage: See there.
        settings: See there.
        execution: See there.
        num_seeds: The seeds are 0, 1, ...

    Raises:
        ConfigError: There is no such run, or it cannot be chosen by validation.
    """
    from mrikit.recipes.choose import chosen_configs
    from mrikit.recipes.tasks import networks

    given = parse_assignments(list(settings))
    if "training.seed" in given:
        raise ConfigError("--seeds sets training.seed to 0, 1, ...; leave out one of the two")
    if num_processes() > 1:
        raise ConfigError(
            f"--seeds trains one seed after the other in one process, found {num_processes()}; `mrikit sweep` trains "
            f"several values of training.seed on several GPUs"
        )
    plain = chosen_configs(task, size, stage, settings, execution)
    for config in plain:
        if is_policy(config):
            raise ConfigError(f"--seeds is for networks, and {config.name} is a policy; sweep its learning.seed")
    last = networks(plain)[-1]
    if not last.data.num_validation:
        raise ConfigError("--seeds chooses by validation, and data.num_validation=0 holds nobody out; leave one out")
    given["data.split_seed"] = str(last.split_seed)
    return [
        chosen_configs(task, size, stage, _assigned(given | {"training.seed": str(seed)}), execution)
        for seed in range(num_seeds)
    ]


def planned_runs(variants: Sequence[Sequence["AnyRunConfig"]], out: Location, place: "Place") -> list[OneRun]:
    """The one run, or one for each of several seeds in a folder of its own."""
    if len(variants) == 1:
        return [OneRun(variants[0], out, place)]
    names = [seed_name(seed) for seed in range(len(variants))]
    return [
        OneRun(configs, out / name, replace(place, folder=place.folder / name))
        for name, configs in zip(names, variants, strict=True)
    ]


def show_times(count: int) -> None:
    """Say behind the plan of one run how many there are; nothing of one."""
    if count > 1:
        typer.echo(f"seeds: {count} times this, one after the other")


def train_runs(runs: Sequence[OneRun], folder: Path, train: Callable[[OneRun], None]) -> OneRun:
    """Train the one run; or one with each seed, show what came of them, and write `seeds.json`.

    A seed that fails does not keep the next from its turn.

    Args:
        runs: One, or that of each seed.
        folder: Of all of them.
        train: Trains one.

    Returns:
        The one that is chosen.

    Raises:
        JobError: All failed.
        MrikitError: The first could not begin, as none would.
    """
    if len(runs) == 1:
        train(runs[0])
        return runs[0]
    from mrikit.report.sweep.seeds import best_seed, read_seed, write_seeds

    found = []
    for seed, one in enumerate(runs):
        config, error = one.configs[-1], ""
        say(f"seed {seed}, {seed + 1} of {len(runs)}")
        try:
            train(one)
        except MrikitError as failure:
            has_begun = any(one.place.folder.rglob(METRICS_FILE))
            if seed == 0 and (isinstance(failure, ConfigError) or not has_begun):
                raise
            error = shown(failure)
            say(f"seed {seed} failed: {error}")
        found.append(read_seed(seed_name(seed), config.task, seed, one.places[-1].folder, error))
    chosen = best_seed(found)
    write_seeds(folder, found, chosen)
    _show(found, chosen)
    if chosen is None:
        raise JobError(f"all {len(found)} seeds failed, and none is chosen; try a lower training.max_lr")
    best = runs[found.index(chosen)]
    typer.echo(f"chosen: seed {found.index(chosen)}; weights in {shown(best.places[-1].folder / WEIGHTS_FILE)}")
    return best


def _assigned(settings: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in settings.items()]


def _show(runs: Sequence["SweepRun"], chosen: "SweepRun | None") -> None:
    """A line for each seed: its best validation, its epoch, and why it failed if it did."""
    from rich.table import Table
    from rich.text import Text

    score = (chosen or runs[0]).score.words
    table = Table(box=None, pad_edge=False, header_style="")
    for column in ("seed", score, "epoch", ""):
        table.add_column(column, justify="left" if not column else "right", overflow="fold")
    for seed, run in enumerate(runs):
        best, epoch = "" if run.best is None else f"{run.best:.4f}", "" if run.epoch is None else f"{run.epoch:g}"
        remark = f"failed: {run.message}" if run.message else "chosen" if run is chosen else ""
        table.add_row(*map(Text, (str(seed), best, epoch, remark)))
    results_console().print(table)
