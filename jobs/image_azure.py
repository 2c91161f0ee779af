"""Container images in the linked estate: built or pushed into its registry, and registered by digest."""

import json
import shlex
import subprocess
from pathlib import Path

import typer

from mrikit.commands.image_variant import Variant, azure_words
from mrikit.errors import JobError
from mrikit.launching.docker.client import docker
from mrikit.storage.estate import Estate

_AZ = "az"
_STDERR = 2


def build_there(variant: Variant, root: Path, revision: str, estate: Estate, *, dry_run: bool) -> None:
    """Build an image in the estate's registry, and register it.

    Raises:
        ConfigError: The index of wheels has a password.
        JobError: `az` is not there or fails, or the workspace refuses the image.
    """
    registry = estate.registry_server.partition(".")[0]
    build = azure_words(variant, root, revision, registry)
    ask = ["acr", "repository", "show", "--name", registry, "--image", variant.full_name]
    ask += ["--query", "digest", "--output", "tsv"]
    typer.echo(shlex.join([_AZ, *build]))
    if dry_run:
        typer.echo(shlex.join([_AZ, *ask]))
        return
    _az(build, is_shown=True)
    register(variant, _az(ask).strip(), estate)


def pushed_digest(target: str) -> str:
    """The digest that the registry of a pushed image knows it by; empty if Docker does not tell.

    Raises:
        JobError: See `docker`.
    """
    found = json.loads(docker("image", "inspect", "--format", "{{json .RepoDigests}}", target)) or []
    name = target.rpartition(":")[0]
    return next((one.partition("@")[2] for one in found if one.partition("@")[0] == name), "")


def register(variant: Variant, digest: str, estate: Estate) -> None:
    """Make an image the one that jobs on Azure run in from now on.

    Raises:
        JobError: The workspace refuses it.
    """
    from mrikit.launching.azure_ml.client import Workspace
    from mrikit.launching.azure_ml.environments import register_image

    tag = variant.full_name.partition(":")[2]
    version = register_image(Workspace(estate), variant.name, estate.registry_server, digest, tag)
    typer.echo(f"registered it as environment {version} of workspace {estate.workspace_name}")
    typer.echo("next: mrikit train ... --on azure, which runs in it")


def _az(words: list[str], *, is_shown: bool = False) -> str:
    """Call Azure's command line; what it shows goes to stderr.

    Raises:
        JobError: It is not there, or fails.
    """
    try:
        done = subprocess.run(  # noqa: S603 - its words are ours
            [_AZ, *words],
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=_STDERR if is_shown else subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise JobError(
            "the program az is not on the PATH; install Azure's command line, or build here: mrikit image build --azure"
        ) from error
    if done.returncode:
        what = " ".join(words[:3] if words[1] == "repository" else words[:2])
        raise JobError(
            f"`az {what}` fails with exit code {done.returncode}; it says above why (it needs `az login`, and "
            f"Contributor on the registry)"
        )
    return done.stdout or ""
