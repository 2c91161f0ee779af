"""Claim: a job starts at most 2 s (local) later than its bare command. Peer: the bare command in the same run.

    python benchmarks/start_up_jobs.py [--on local] [--times 5]

From the moment that the user presses enter to the end of the command, which indexes one tiny volume.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from setting import print_setting, take_turns

from mrikit.launching.backends import open_backend
from mrikit.launching.job import GOING_ON, SUCCEEDED
from mrikit.launching.records import JOBS, require_record

MRIKIT = [sys.executable, "-P", "-m", "mrikit"]
AIMS_S = {"local": 2.0, "slurm": 3.0}
"""Over the bare command; Slurm's own scheduling comes on top of it."""
TIMEOUT_S = 120.0


def main() -> None:
    """Print the median times of the bare command and of the same on each back end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", action="append", choices=AIMS_S, help="a back end; local by default")
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ[JOBS] = str(Path(folder) / "jobs")
        data = Path(folder) / "data"
        _call("simulate", "knee", "--volumes", "1", "--out", data)
        command = ("data", "index", data)
        runs: dict[str, Callable[[], object]] = {"bare command": lambda: _call(*command)}
        for name in options.on or ["local"]:
            runs[f"--on {name}"] = _job(name, command)
        seconds = take_turns(runs, options.times)
    print_setting()
    bare = seconds["bare command"]
    print(f"\n| `mrikit data index` of one volume | median of {options.times}, s | over the bare command, s | aim, s |")
    print("|---|--:|--:|--:|")
    for name, total in seconds.items():
        aim = AIMS_S.get(name.removeprefix("--on "))
        print(f"| {name} | {total:.2f} | {total - bare:.2f} | {'' if aim is None else f'<= {aim:g}'} |")


def _job(backend: str, command: tuple[object, ...]) -> Callable[[], object]:
    """A run of the command as a job of another name each time, to its end."""
    count = iter(range(1_000_000))

    def run() -> None:
        name = f"start-up-{backend}-{next(count)}"
        _call(*command, "--on", backend, "--job-name", name)
        record, client = require_record(name), open_backend(backend)
        until = time.monotonic() + TIMEOUT_S
        while (found := client.status(record.spec, record.handle)).state in GOING_ON:
            if time.monotonic() > until:
                raise TimeoutError(f"{name} is {found.state} after {TIMEOUT_S:g} s")
            time.sleep(0.01)
        if found.state != SUCCEEDED:
            raise RuntimeError(f"{name} is {found.state}: {found.message}")

    return run


def _call(*words: object) -> None:
    subprocess.run([*MRIKIT, *map(str, words)], check=True, capture_output=True)


if __name__ == "__main__":
    main()
