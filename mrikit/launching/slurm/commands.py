"""Slurm's programs, with one-line errors."""

import os
import shutil
import subprocess
from collections.abc import Mapping

from mrikit.errors import JobError

_TIMEOUT_S = 60.0
_PROGRAMS = ("sbatch", "squeue", "scontrol", "scancel")


def slurm(*words: str, text: str | None = None, environment: Mapping[str, str] | None = None) -> str:
    """What a program of Slurm prints.

    Args:
        words: The program and what it is given.
        text: Its input.
        environment: All of it; that of this process by default.

    Raises:
        JobError: It is not here, or does not do what it is asked for.
    """
    return _run(words, text, environment, "") or ""


def missing_program() -> str:
    """That a program of Slurm is not on this machine, on one line; empty where all are."""
    return next((_not_here(program) for program in _PROGRAMS if shutil.which(program) is None), "")


def ask(*words: str, unless: str) -> str | None:
    """What a program of Slurm prints; None if it complains in these words.

    Raises:
        JobError: It is not here, or has another complaint.
    """
    return _run(words, None, None, unless)


def _run(words: tuple[str, ...], text: str | None, environment: Mapping[str, str] | None, unless: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - words are ours, and no shell reads them
            words,
            input="" if text is None else text,
            capture_output=True,
            text=True,
            errors="surrogateescape",  # a folder may have a name that is no UTF-8
            env=os.environ if environment is None else environment,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise JobError(_not_here(words[0])) from error
    except OSError as error:
        raise JobError(f"`{words[0]}` cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise JobError(f"`{words[0]}` has no answer from Slurm after {_TIMEOUT_S:g} s; try again later") from error
    if done.returncode == 0:
        return done.stdout
    if unless and unless in done.stderr:
        return None
    raise JobError(f"`{words[0]}` says: {_complaint(words[0], done.stderr) or f'exit code {done.returncode}'}")


def _not_here(program: str) -> str:
    return (
        f"no `{program}` on the PATH: Slurm is used from a login node of its cluster; log in there, or load its module"
    )


def _complaint(program: str, text: str) -> str:
    """What a program says, on one line and without its own name."""
    lines = [line.removeprefix(f"{program}: ").removeprefix("error: ").strip() for line in text.splitlines()]
    return "; ".join(dict.fromkeys(line for line in lines if line))
