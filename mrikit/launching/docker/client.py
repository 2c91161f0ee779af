"""Docker's command line, with one-line errors."""

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

from mrikit.errors import JobError

PROGRAM = "docker"
_CALL_TIMEOUT_S = 120.0
_PIECE_BYTES = 65_536
_STDERR = 2
_ADVICE = {
    "permission denied while trying to connect": "this user may not talk to Docker; add it to the group docker, or "
    "run Docker rootless",
    "cannot connect to the docker daemon": "Docker's engine does not answer; start it (`systemctl start docker`), or "
    "set DOCKER_HOST",
    "error during connect": "Docker's engine does not answer; start it, or set DOCKER_HOST",
    "could not select device driver": "Docker cannot give GPUs to a container; install the NVIDIA Container Toolkit",
}
"""What Docker says, in lower case, and what to say instead."""


def docker(*words: str, timeout_s: float = _CALL_TIMEOUT_S) -> str:
    """Call Docker.

    Returns:
        What it printed.

    Raises:
        JobError: It is not there, its engine does not answer, or it refuses.
    """
    try:
        done = subprocess.run(  # noqa: S603 - its words are ours
            [PROGRAM, *words],
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
        )
    except FileNotFoundError as error:
        raise _missing() from error
    except subprocess.TimeoutExpired as error:
        raise JobError(f"`docker {words[0]}` has not answered for {timeout_s:g} s; is its engine well?") from error
    if done.returncode:
        raise JobError(explained(words[0], done.stderr, done.returncode))
    return done.stdout


def docker_shown(*words: str) -> None:
    """Call Docker, and let it show on stderr what it does.

    Raises:
        JobError: It is not there, or fails; the reason stands above.
    """
    try:
        code = subprocess.run(  # noqa: S603 - its words are ours
            [PROGRAM, *words], check=False, stdin=subprocess.DEVNULL, stdout=_STDERR
        ).returncode
    except FileNotFoundError as error:
        raise _missing() from error
    if code:
        raise JobError(f"`docker {words[0]}` fails with exit code {code}; it says above why")


def docker_pieces(*words: str) -> Iterator[bytes]:
    """Call Docker, and hand on what it says as it comes, both its outputs together.

    Raises:
        JobError: It is not there, or refuses.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - its words are ours
            [PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except FileNotFoundError as error:
        raise _missing() from error
    assert process.stdout is not None
    last = b""
    try:
        while piece := os.read(process.stdout.fileno(), _PIECE_BYTES):
            last = piece
            yield piece
        code = process.wait()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    if code:
        raise JobError(explained(words[0], last.decode(errors="replace"), code))


def containers(*filters: str) -> list[dict[str, Any]]:
    """What Docker knows of all containers that filters such as `label=NAME=VALUE` let through, running or not.

    Raises:
        JobError: See `docker`.
    """
    words = [word for one in filters for word in ("--filter", one)]
    names = docker("ps", "--all", "--no-trunc", "--format", "{{.Names}}", *words).split()
    found: list[dict[str, Any]] = json.loads(docker("container", "inspect", *names)) if names else []
    return found


def explained(verb: str, said: str, code: int) -> str:
    """One line for what Docker said when it failed."""
    words = " ".join(said.split())
    for sign, advice in _ADVICE.items():
        if sign in words.lower():
            return advice
    words = (
        words.removeprefix("docker: ")
        .removeprefix("Error response from daemon: ")
        .removesuffix(" See 'docker run --help'.")
    )
    return f"`docker {verb}` fails: {words or f'exit code {code}'}"


def _missing() -> JobError:
    return JobError("the program docker is not on the PATH; install Docker, or run it with --on local")
