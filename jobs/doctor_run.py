"""`mrikit doctor --run`: every way of the linked estate, tried once."""

import contextlib
import datetime as dt
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mrikit.errors import ConfigError
from mrikit.estate.diagnosis import MISSING, UNKNOWN
from mrikit.words import counted

if TYPE_CHECKING:
    from mrikit.estate.examine import Examination
    from mrikit.estate.first_day.first_day import FirstDay
    from mrikit.estate.first_day.job import StartedJob
    from mrikit.estate.first_day.report import Report
    from mrikit.launching.job import Backend, JobSpec
    from mrikit.storage import BlobPath
    from mrikit.storage.estate import Estate, EstateCluster

_NEEDED = ("extra azure", "login", "estate", "subscription")
_JOB_HOURS = 0.5
_NAMES_WIDTH = 34


def try_linked_estate(
    found: "Examination", *, has_gpu: bool, source: str | None, report: Path | None, is_json: bool, is_dry: bool
) -> None:
    """Try all of it, print each step as it ends, and write the report.

    Args:
        found: What was looked at before.
        has_gpu: Whether a job runs on a cluster with GPUs too.
        source: File for the copy; None for the usual one.
        report: Where the report goes; None for nowhere.
        is_json: Whether the report is printed as JSON instead of lines.
        is_dry: Whether only the plan is printed.

    Raises:
        ConfigError: Nothing can be tried, or no cluster fits.
        StorageError: The report cannot be written.
    """
    from mrikit.estate.arm import Arm
    from mrikit.estate.first_day.first_day import try_estate
    from mrikit.estate.first_day.report import Report, as_json, in_lines, write_report
    from mrikit.storage.estate import require_estate

    estate = require_estate()
    blocker = next((one for one in found.azure if one.subject in _NEEDED and one.state in (MISSING, UNKNOWN)), None)
    if blocker is not None:
        raise ConfigError(f"nothing was tried: {blocker.subject} comes first ({blocker.what}); {blocker.remedy}")
    day = _day(estate, has_gpu=has_gpu, source=source)
    _show_plan(day)
    if is_dry:
        return
    began_at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    outcomes = []
    # Closed at once, also where Ctrl-C comes between two steps: what was made is deleted then.
    with contextlib.closing(try_estate(day, Arm(), _start, lambda line: typer.echo(line, err=True))) as tried:
        for outcome in tried:
            outcomes.append(outcome)
            if not is_json:
                typer.echo("\n".join(in_lines(outcome, _NAMES_WIDTH)))
    whole = Report(estate=estate, began_at=began_at, diagnoses=found.diagnoses, outcomes=tuple(outcomes))
    if report is not None:
        write_report(whole, report)
    typer.echo(json.dumps(as_json(whole)) if is_json else _sums(whole, report))
    if whole.failed:
        raise typer.Exit(1)


def _day(estate: "Estate", *, has_gpu: bool, source: str | None) -> "FirstDay":
    from mrikit.estate.first_day.copy import SOURCE, public_file
    from mrikit.estate.first_day.first_day import FirstDay

    clusters = [(_cheapest(estate, has_gpu=False), False)]
    if has_gpu:
        clusters.append((_cheapest(estate, has_gpu=True), True))
    return FirstDay(estate=estate, clusters=tuple(clusters), source=public_file(source or SOURCE))


def _cheapest(estate: "Estate", *, has_gpu: bool) -> "EstateCluster":
    """The cluster for a job: dedicated if there is one, whose node comes sooner; one with GPUs only where it has to be.

    Raises:
        ConfigError: None has GPUs.
    """
    from mrikit.estate.prices import load_prices

    prices = load_prices()

    def num_gpus(cluster: "EstateCluster") -> int:
        machine = prices.machines.get(cluster.sku)
        return machine.gpus if machine else 0

    def rank(cluster: "EstateCluster") -> tuple[bool, bool, float]:
        price = prices.node_price(cluster.sku, cluster.priority)
        return num_gpus(cluster) > 0, cluster.priority != "Dedicated", price.hour if price else 0.0

    fitting = [one for one in estate.clusters if num_gpus(one) or not has_gpu]
    if not fitting:
        raise ConfigError(f"--gpu: the estate has {', '.join(one.name for one in estate.clusters)}, none with GPUs")
    return min(fitting, key=rank)


def _show_plan(day: "FirstDay") -> None:
    from mrikit.estate.first_day.first_day import step_names
    from mrikit.estate.prices import load_prices

    prices = load_prices()
    hourly = [prices.node_price(one.sku, one.priority) for one, _ in day.clusters]
    cost = sum(price.hour * _JOB_HOURS for price in hourly if price)
    typer.echo(f"to be tried in {day.estate.resource_group}: {', '.join(step_names(day))}", err=True)
    typer.echo(f"the copy is of {day.source}", err=True)
    typer.echo(
        f"at most {cost:.2f} {prices.currency} for {counted(len(day.clusters), 'machine')} of half an hour; "
        "what is made is deleted again",
        err=True,
    )


def _start(name: str, words: Sequence[str], blob: "BlobPath", cluster: "EstateCluster", has_gpu: bool) -> "StartedJob":
    """Submit the job, once."""
    from mrikit.launching.azure_ml.backend import AzureBackend
    from mrikit.launching.job import JobSpec

    spec = JobSpec(
        name=name,
        command=tuple(words),
        folder=str(Path.cwd()),
        gpus_per_node=1 if has_gpu else 0,
        outputs=(str(blob),),
        max_hours=_JOB_HOURS,
        max_restarts=0,
        resources={"cluster": cluster.name},
    )
    backend = AzureBackend()
    (handle,) = backend.submit([spec])
    return _Started(backend, spec, handle)


class _Started:
    """A job of the back end, as the first day sees it."""

    def __init__(self, backend: "Backend", spec: "JobSpec", handle: str) -> None:
        self._backend, self._spec, self._handle = backend, spec, handle

    def state(self) -> tuple[str, str]:
        status = self._backend.status(self._spec, self._handle)
        return status.state, status.message

    def log(self) -> str:
        return "".join(self._backend.logs(self._spec, self._handle, node=0, follow=False))

    def cancel(self) -> None:
        self._backend.cancel(self._spec, self._handle)


def _sums(whole: "Report", report: Path | None) -> str:
    counts = Counter(one.state for one in whole.outcomes)
    line = ", ".join(f"{counts[state]} {state}" for state in ("failed", "skipped", "not asked", "ok"))
    line = line if whole.failed else "every way of the estate works"
    line += f"; the report is {report}" if report else ""
    return f"{line}; next: {whole.next}" if whole.next else line
