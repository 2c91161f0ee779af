"""`mrikit sweep show FILE`: the best settings by validation, what each setting does, all members as CSV."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrikit.commands.output import messages_console, results_console
from mrikit.commands.sweep.table import in_words
from mrikit.errors import ConfigError
from mrikit.launching.sweep_file import read_sweep
from mrikit.words import counted

if TYPE_CHECKING:
    from mrikit.report.sweep.choose import Choice, SeedMean
    from mrikit.report.sweep.runs import SweepRun


def show(
    file: Annotated[Path, typer.Argument(help="The sweep's TOML file.")],
    by: Annotated[
        str, typer.Option(help="Settings, with commas: the best is shown for each of their values. Also task.")
    ] = "",
    table: Annotated[Path | None, typer.Option("--csv", help="Write all members into this file.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the pictures; runs/NAME-summary by default, NAME the sweep's.")
    ] = None,
) -> None:
    """Sum up a sweep as it stands; nothing is started.

    The best settings are those of the best validation score, in the mean over seeds (training.seed) with its 95 %
    interval. Their test scores stand beside, and nothing is chosen by them. Box plots show the validation score over
    each setting and each pair of settings.
    """
    from mrikit.launching.sweep_runs import submitted_runs
    from mrikit.report.sweep.choose import choose
    from mrikit.report.sweep.table import write_table

    found = read_sweep(file)
    members = found.members()
    keys = [key.strip() for key in by.split(",") if key.strip()]
    try:
        runs = submitted_runs(members)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    choices = choose(runs, keys)
    messages = messages_console()
    messages.print(f"{found.name}: {_states(runs)}")
    if table is not None:
        write_table(table, runs)
        messages.print(f"all members: {table}")
    if not choices:
        raise ConfigError(f"{file}: no member is trained to its end and validated yet; nothing is compared")
    for line in _notes(choices):
        messages.print(line)
    _print_choices(choices, runs)
    _draw(runs, out or Path("runs") / f"{found.name}-summary")


def _states(runs: Sequence["SweepRun"]) -> str:
    """`6 members, 4 done; missing are 2: 1 failed, 1 new`."""
    missing = Counter(run.state for run in runs if not run.is_done)
    done = f"{counted(len(runs), 'member')}, {len(runs) - missing.total():,} done"
    states = ", ".join(f"{count:,} {state}" for state, count in missing.most_common())
    return (
        f"{done}; missing {'is' if missing.total() == 1 else 'are'} {missing.total():,}: {states}" if missing else done
    )


def _notes(choices: Sequence["Choice"]) -> list[str]:
    """What has to be known before the numbers are compared."""
    notes = []
    for score in dict.fromkeys(choice.score for choice in choices):
        way = "highest" if score.higher_is_better else "lowest"
        notes.append(f"chosen by validation alone: the {way} {score.words}, in the mean over seeds")
    seeds = sorted({len(choice.runs) for choice in choices})
    if len(seeds) > 1:
        notes.append(f"groups have different numbers of seeds, {seeds[0]} to {seeds[-1]}: compare them with care")
    num_fewer = sum(choice.num_fewer for choice in choices)
    if num_fewer:
        notes.append(f"left out of the choice: {num_fewer:,} settings of which fewer seeds are done than of others")
    untested = [choice for choice in choices if not choice.test]
    if untested:
        notes.append(
            f"without test scores: {len(untested)} of {len(choices)}; test_data in the file has members tested"
        )
    return notes


def _print_choices(choices: Sequence["Choice"], runs: Sequence["SweepRun"]) -> None:
    """A line for each group; what all members have in common is left out."""
    from rich.table import Table
    from rich.text import Text

    from mrikit.report.sweep.runs import setting_keys

    has_tasks = len({choice.group["task"] for choice in choices}) > 1
    keys = [key for key in choices[0].group if key != "task" or has_tasks]
    differing = {key for key in setting_keys(runs) if len({run.settings.get(key) for run in runs}) > 1}
    tests = list(dict.fromkeys(name for choice in choices for name in choice.test))
    table = Table(box=None, pad_edge=False, header_style="")
    for column in (*keys, "seeds", "validation", *(f"test {name}" for name in tests), "of", "settings"):
        is_text = column in keys or column == "settings"
        table.add_column(column, justify="left" if is_text else "right", overflow="fold")
    for choice in choices:
        groups = [choice.group[key] or "-" for key in keys]
        numbers = [_number(choice.validation), *(_number(choice.test.get(name)) for name in tests)]
        chosen = in_words({key: value for key, value in choice.settings.items() if key in differing})
        cells = (*groups, str(len(choice.runs)), *numbers, f"{choice.num_settings:,}", chosen)
        table.add_row(*map(Text, cells))
    results_console().print(table)


def _number(mean: "SeedMean | None") -> str:
    """`0.8123 +- 0.0021`, the 95 % interval; the mean alone of one seed."""
    if mean is None:
        return ""
    return f"{mean.mean:.4g}" + ("" if mean.half_width is None else f" +- {mean.half_width:.2g}")


def _draw(runs: Sequence["SweepRun"], folder: Path) -> None:
    from mrikit.report.sweep.boxes import draw_boxes

    pictures = draw_boxes(runs, folder)
    if pictures:
        messages_console().print(f"box plots of the validation score: {counted(len(pictures), 'picture')} in {folder}")
    else:
        messages_console().print("no box plots: members that are done differ in no setting but the seed")
