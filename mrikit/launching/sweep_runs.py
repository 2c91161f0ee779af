"""Members of a sweep with what their jobs left."""

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from mrikit.errors import ConfigError, StorageError
from mrikit.launching.backends import open_backend
from mrikit.launching.job import SUCCEEDED, JobStatus
from mrikit.launching.records import load_record
from mrikit.launching.sweep_file import NEW, Member
from mrikit.report.sweep.runs import SweepRun, found_training, mean_test_scores
from mrikit.storage import BlobPath, parse_location, pulled


def submitted_runs(members: Sequence[Member]) -> list[SweepRun]:
    """All members as they stand, wherever each was submitted.

    Raises:
        ConfigError: None was submitted from this machine.
        JobError: A back end cannot be reached.
    """
    records = {member.name: load_record(member.name) for member in members}
    if not any(records.values()):
        raise ConfigError("no member of this sweep was started from this machine; `mrikit sweep FILE` starts them")
    backends = {record.backend: open_backend(record.backend) for record in records.values() if record}
    runs = []
    for member in members:
        record = records[member.name]
        if record is None:
            runs.append(read_run(member, (), JobStatus(state=NEW)))
        else:
            status = backends[record.backend].status(record.spec, record.handle)
            runs.append(read_run(member, record.spec.outputs, status))
    return runs


def read_run(member: Member, outputs: Sequence[str], status: JobStatus) -> SweepRun:
    """What came of a member so far.

    Args:
        member: Of the sweep.
        outputs: Places that its job writes: its run, and its test where it has one.
        status: Of its job.
    """
    training, seconds, test = None, 0.0, dict[str, float]()
    is_done = status.state == SUCCEEDED
    if outputs:
        folder = _folder(outputs[0])
        training, seconds = found_training(folder) if folder else (None, 0.0)
    for place in outputs[1:] if is_done else ():
        folder = _folder(place)
        test = mean_test_scores(folder) if folder else {}
    run = SweepRun(
        name=member.name,
        task=member.task,
        settings=member.settings,
        out=outputs[0] if outputs else "",
        state=status.state,
        is_done=is_done,
        is_out_of_memory=status.is_out_of_memory,
        message=status.message,
        seconds=seconds,
        test=test,
    )
    if training is None or training.best is None:
        return run
    epoch, best = training.best
    return replace(run, score=training.score, epoch=epoch, best=best)


def _folder(place: str) -> Path | None:
    """A folder here with the numbers of a place; None where nothing is yet."""
    location = parse_location(place)
    if not isinstance(location, BlobPath):
        return location
    with contextlib.suppress(StorageError):  # nothing is there yet
        return pulled(location, _numbers)
    return None


def _numbers(names: Collection[str]) -> Collection[str]:
    return {name for name in names if name.endswith((".json", ".jsonl"))}
