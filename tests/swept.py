"""A sweep whose members train in no time, and the commands on it."""

import json
from pathlib import Path

from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.commands.sweep import run as run_module
from mrikit.launching import sweep_runs
from mrikit.launching.job import JobPlan, JobStatus

HEAD = 'task = "knee_multicoil"\ndata = "DATA"\n'
GRID = HEAD + '[settings]\n"training.max_lr" = [1e-3, 1e-4]\n"training.seed" = [1, 2, 3]\n'
runner = CliRunner()


class InMemory:
    """Trains in no time: the score is the learning rate's, and seeds that a test names fail."""

    name = "local"

    def __init__(self):
        self.submitted, self.fails, self.running, self.ends, self.arrays = [], {}, {}, {}, []
        self.most, self.num_looks = 0, 2

    def plan(self, chain):
        return [JobPlan(where="memory", command=(), env={}, job_file="") for _ in chain]

    def submit(self, chain):
        (spec,) = chain
        self.submitted.append(spec)
        self.running[spec.name] = self.num_looks
        self.most = max(self.most, sum(left > 0 for left in self.running.values()))
        return [str(len(self.submitted))]

    def status(self, spec, handle):
        self.running[spec.name] -= 1
        if self.running[spec.name] > 0:
            return JobStatus(state="running")
        if handle not in self.ends:
            self.ends[handle] = self.end(spec)
        return self.ends[handle]

    def find(self):
        return [(spec, str(number)) for number, spec in enumerate(self.submitted, 1)]

    def end(self, spec):
        settings = dict(word.split("=") for word in spec.command if "=" in word)
        if settings["training.seed"] in self.fails:
            message = self.fails[settings["training.seed"]]
            is_starved = "out of memory" in message
            return JobStatus(state="failed", exit_code=137, message=message, is_out_of_memory=is_starved)
        write_run(spec, float(settings["training.max_lr"]) + float(settings["training.seed"]) / 1e6)
        return JobStatus(state="succeeded", exit_code=0)


def write_run(spec, score):
    folder = Path(spec.outputs[0])
    folder.mkdir(parents=True, exist_ok=True)
    config = {"task": "knee_multicoil", "size": "tiny", "model": "varnet"}
    (folder / "config.json").write_text(json.dumps(config))
    rows = [{"kind": "validation", "step": step, "epoch": step, "ssim": score / step} for step in (1, 2)]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def in_memory(monkeypatch, tmp_path):
    """A back end of that kind in place of all, and a sweep `rates.toml` in the working folder."""
    fake = InMemory()
    for module in (run_module, sweep_runs):
        monkeypatch.setattr(module, "open_backend", lambda _name: fake)
    monkeypatch.setattr(run_module, "_SECONDS_BETWEEN_LOOKS", 0.0)
    monkeypatch.setenv("MRIKIT_JOBS", str(tmp_path / "jobs"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rates.toml").write_text(GRID)
    return fake


def sweep(*words):
    """What `mrikit sweep ...` prints; it succeeds."""
    result = runner.invoke(app, ["sweep", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result
