"""`mrikit image`: build the container images from a checkout, and push them, over the docker command line."""

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from mrikit import __version__
from mrikit.commands.first_steps import show_first_steps
from mrikit.errors import ConfigError, JobError
from mrikit.launching.docker.client import PROGRAM, docker, docker_shown

app = typer.Typer(
    name="image",
    help="Container images of mrikit: what --on docker and the clusters of the estate run.",
    rich_markup_mode=None,
)
show_first_steps(
    app,
    "mrikit image build --cpu               for machines without a GPU; --dry-run shows the docker command",
    "docker run -v $PWD:/data mrikit-cpu reconstruct",
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_SERVER = re.compile(r"[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9._-]+)*")
_INDEX = "PIP_EXTRA_INDEX_URL"
"""Where pip finds torch's builds, if it is set; its value stays out of the command."""
IsCpu = Annotated[bool, typer.Option("--cpu", help="The image for machines without a GPU.")]
Tag = Annotated[str, typer.Option(help="Its tag, by default the version.")]


@app.command()
def build(
    is_cpu: IsCpu = False,
    tag: Tag = __version__,
    base: Annotated[
        str | None, typer.Option(help="Base image instead of the Dockerfile's; see images/README.md.")
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="Docker's network for the build, such as host, where its own leads nowhere.")
    ] = None,
    is_dirty: Annotated[bool, typer.Option("--dirty", help="Also with changes that are not committed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the command and stop.")] = False,
) -> None:
    """Build a container image from this checkout, labelled with its version and commit."""
    name = _image(is_cpu, tag)
    root = checkout()
    revision = _revision(root, is_dirty=is_dirty)
    words = build_words(root, name, is_cpu=is_cpu, revision=revision, base=base, network=network)
    typer.echo(shlex.join([PROGRAM, *words]))
    if dry_run:
        return
    docker_shown(*words)
    typer.echo(f"built {name} of commit {revision}")
    typer.echo(f"next: mrikit image push{' --cpu' if is_cpu else ''}, or mrikit train ... --on docker")


@app.command()
def push(
    is_cpu: IsCpu = False,
    tag: Tag = __version__,
    to: Annotated[
        str | None, typer.Option(help="Address of the registry; that of the linked estate if left out.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands and stop.")] = False,
) -> None:
    """Push a container image that was built here to a registry."""
    name = _image(is_cpu, tag)
    server = to or _linked_server()
    if not _SERVER.fullmatch(server):
        raise ConfigError(f"--to {server}: the address of a registry, such as NAME.azurecr.io, is needed")
    target = f"{server}/{name}"
    if dry_run:
        typer.echo(shlex.join([PROGRAM, "tag", name, target]))
        typer.echo(shlex.join([PROGRAM, "push", target]))
        return
    try:
        docker("tag", name, target)
    except JobError as error:
        if "No such image" not in str(error):
            raise
        option = " --cpu" if is_cpu else ""
        raise JobError(f"container image {name} is not here; `mrikit image build{option}` makes it") from error
    try:
        docker_shown("push", target)
    except JobError as error:
        raise JobError(f"{target} was not pushed ({error}); if it is for want of a login: {_login(server)}") from error
    typer.echo(f"pushed {target}")


def checkout() -> Path:
    """The repository that this command runs from.

    Raises:
        ConfigError: It was installed without one.
    """
    root = Path(__file__).parents[1]
    if not (root / "images").is_dir():
        raise ConfigError(f"{root} has no images/; build from a checkout of mrikit: pip install -e .")
    return root


def build_words(
    root: Path, name: str, *, is_cpu: bool, revision: str, base: str | None = None, network: str | None = None
) -> list[str]:
    """Words after `docker` that build an image.

    Args:
        root: Of the checkout.
        name: Of the image, with its tag.
        is_cpu: Whether it is the one without CUDA.
        revision: Of the checkout, for a label.
        base: Base image instead of the Dockerfile's; its two stages have the same one then.
        network: Docker's network for the build.
    """
    values = {"VERSION": __version__, "REVISION": revision}
    if base is not None:
        values |= {"BASE_IMAGE": base} if is_cpu else {"BASE_IMAGE": base, "BUILD_IMAGE": base}
    arguments = [f"{key}={value}" for key, value in values.items()]
    if os.environ.get(_INDEX):
        arguments.append(_INDEX)
    plain = name.partition(":")[0]
    return [
        "build", *(word for argument in arguments for word in ("--build-arg", argument)),
        *(["--network", network] if network else []),
        # The plain name too, so that `docker run mrikit` finds the newest build.
        "--tag", name, "--tag", plain, "--file", str(root / "images" / plain / "Dockerfile"), str(root),
    ]  # fmt: skip


def _image(is_cpu: bool, tag: str) -> str:
    if not _TAG.fullmatch(tag):
        raise ConfigError(f"--tag {tag}: letters, digits, '_', '.' and '-' are needed, without a name before it")
    return f"mrikit-cpu:{tag}" if is_cpu else f"mrikit:{tag}"


def _revision(root: Path, *, is_dirty: bool) -> str:
    """The commit of a checkout, with `-dirty` if it has changes.

    Raises:
        ConfigError: It has changes that nobody agreed to, or is no repository.
    """
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain")
    if commit is None or changes is None:
        if is_dirty:
            return "unknown"
        raise ConfigError(f"{root} is no git repository, so nobody could tell what is in the image; or say --dirty")
    if not changes:
        return commit
    if is_dirty:
        return f"{commit}-dirty"
    files = changes.splitlines()
    raise ConfigError(
        f"{root} has {len(files)} change(s) that are not committed, such as {files[0][3:]}; commit them, or say --dirty"
    )


def _git(root: Path, *words: str) -> str | None:
    """What git says; None if it cannot."""
    try:
        done = subprocess.run(  # noqa: S603 - its words are ours
            ["git", "-C", str(root), *words],  # noqa: S607 - whichever is on the PATH
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout.rstrip()


def _linked_server() -> str:
    from mrikit.storage.estate import load_estate

    estate = load_estate()
    if estate is None:
        raise ConfigError("no estate is linked whose registry it could be pushed to; give --to NAME.azurecr.io")
    return estate.registry_server


def _login(server: str) -> str:
    name, _, rest = server.partition(".")
    return f"az acr login --name {name}" if rest.startswith("azurecr.") else f"docker login {server}"
