"""All members of a sweep as CSV."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from mrikit.report.sweep.runs import SEED, TEST_SCORES, SweepRun, setting_keys
from mrikit.storage import write_text


def write_table(path: Path, runs: Sequence[SweepRun]) -> None:
    """Write a row for each member: settings, seed, state, validation, test, epoch and seconds.

    What a member has not is an empty cell.

    Raises:
        StorageError: The file cannot be written.
    """
    keys = setting_keys(runs)
    table = io.StringIO(newline="")
    tests = [f"test_{name}" for name in TEST_SCORES]
    writer = csv.writer(table)
    writer.writerow(
        ["member", "task", *keys, "seed", "state", "score", "validation", *tests, "epoch", "seconds", "out"]
    )
    for run in runs:
        found = [run.score.name if run.best is not None else "", _cell(run.best)]
        found += [_cell(run.test.get(name)) for name in TEST_SCORES]
        found += [_cell(run.epoch), _cell(run.seconds or None)]
        settings = [run.settings.get(key, "") for key in keys]
        writer.writerow([run.name, run.task, *settings, run.settings.get(SEED, ""), run.state, *found, run.out])
    write_text(path, table.getvalue())


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"
