"""Training in real processes that can be killed; forked from one that has loaded torch and DeepSpeed already."""

import json
import multiprocessing
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import torch
from training.small_run import run
from waiting import HANG_S

import mrikit.checkpoint.tensors
import mrikit.storage.local
import mrikit.training.engine
import mrikit.training.objectives.image
from mrikit.checkpoint import find_checkpoints
from mrikit.errors import MrikitError

SLOW_S = 3.0
_STORES = []  # kept alive


def start(data, folder, *, rank=0, world_size=1, port=None, dies=None, log=None, then=None, **settings):
    """A process that trains, one of several if there is a port to meet at.

    Args:
        data: Of the study.
        folder: Of the run.
        rank: Of the process.
        world_size: Processes of the run.
        port: Where several processes meet.
        dies: Where it kills itself, as `PLACES` has it, and at which time that it comes there; or "after a step", the
            step, and another signal if it is another one.
        log: File for what came of it and what was said.
        then: Folder and settings of a run that the same process does after it, from where it ended; the first process
            takes long to write its checkpoints then.
        settings: For `small_run.run`.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.children", "deepspeed", "torch._dynamo"])
    # The server takes neither sys.path nor DeepSpeed's choice from us.
    before = dict(os.environ)
    os.environ |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "DS_ACCELERATOR": "cpu"}
    process = context.Process(
        target=_work, args=(data, folder, rank, world_size, port, dies, log, then, settings), daemon=True
    )
    process.start()
    os.environ.clear()
    os.environ |= before
    return process


def start_several(data, folder, world_size, logs, *, dies=None, **settings):
    """Processes that train together; arguments that are lists hold the value of each process."""
    # As with torchrun, the words that they share outlive them.
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    _STORES.append(store)
    for path in logs.glob("*.json"):
        path.unlink()
    arguments = {"data": data, "folder": folder, "dies": dies, **settings}
    return [
        start(
            rank=rank,
            world_size=world_size,
            port=store.port,
            log=logs / f"{rank}.json",
            **{key: value[rank] if isinstance(value, list) else value for key, value in arguments.items()},
        )
        for rank in range(world_size)
    ]


def wait(processes):
    """Exit codes."""
    for process in processes:
        process.join(HANG_S)
        if process.is_alive():
            process.kill()
            raise AssertionError("a process hangs")
    return [process.exitcode for process in processes]


def read_logs(logs, world_size):
    """What each process left; None of one that was killed."""
    paths = [logs / f"{rank}.json" for rank in range(world_size)]
    return [json.loads(path.read_text()) if path.exists() else None for path in paths]


def newest_step(folder):
    """Of the checkpoints, 0 if there is none."""
    paths = find_checkpoints(folder)
    return int(paths[-1].stem.removeprefix("step-")) if paths else 0


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def _die_at(module, name, number):
    """Replace a function by one that kills the process when it is called for the number-th time, and only then."""
    function, calls = getattr(module, name), []

    def call(*arguments, **settings):
        calls.append(1)
        if len(calls) == number:
            _die()
        return function(*arguments, **settings)

    setattr(module, name, call)


def _slow_down(module, name, seconds):
    """Let a function take longer."""
    function = getattr(module, name)

    def call(*arguments, **settings):
        time.sleep(seconds)
        return function(*arguments, **settings)

    setattr(module, name, call)


PLACES = {
    "between two tensors of a file": (mrikit.checkpoint.tensors, "_content"),
    "before a file gets its name": (mrikit.storage.local, "_flush"),
    "before old checkpoints go": (Path, "unlink"),
    "while a volume is scored": (mrikit.training.objectives.image, "measure_volume"),
}
"""Where a process can die: a function that is called there."""


def _work(data, folder, rank, world_size, port, dies, log, then, settings):
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    if port:
        names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world_size, "MASTER_PORT": port}
        os.environ |= {name: str(value) for name, value in names.items()}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    on_row = None
    if dies:
        place, number, *sent = dies
        if place == "after a step":

            def on_row(row, _num_steps):
                if row["kind"] == "train" and row["step"] == number:
                    os.kill(os.getpid(), *(sent or [signal.SIGKILL]))
        else:
            _die_at(*PLACES[place], number)
    lines, rows, error, summary = [], [], None, None
    if then and rank == 0:
        _slow_down(mrikit.training.engine, "save_checkpoint", SLOW_S)
    try:
        summary = run(data, folder, rows=rows, lines=lines, on_row=on_row, **settings)
        if then:
            summary = run(data, then.pop("folder"), rows=rows, lines=lines, start=folder, **then)
    except MrikitError as caught:
        error = {"type": type(caught).__name__, "message": str(caught)}
    if log:
        step = summary.position.step if summary else None
        found = {"lines": lines, "num_rows": len(rows), "error": error, "step": step}
        log.write_text(json.dumps(found | {"is_first": summary and summary.is_first}))
    sys.exit(1 if error else 0)
