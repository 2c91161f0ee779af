"""`mrikit image`: build the container images from a checkout, and bring them to a registry."""

import re
import shlex
from typing import Annotated

import typer

from mrikit import __version__
from mrikit.commands.first_steps import show_first_steps
from mrikit.commands.image_source import checkout, revision
from mrikit.commands.image_variant import Variant, docker_words
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
    "mrikit image push --build-in-azure     builds it in the registry of the estate, for --on azure",
)
_SERVER = re.compile(r"[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9._-]+)*")
IsCpu = Annotated[bool, typer.Option("--cpu", help="The image for machines without a GPU.")]
Tag = Annotated[str, typer.Option(help="Its tag, by default the version.")]
Cuda = Annotated[
    str | None, typer.Option(help="Torch for another CUDA than 13.0, for nodes with an older driver: cu126 or cu128.")
]
IsDirty = Annotated[bool, typer.Option("--dirty", help="Also with changes that are not committed.")]


@app.command()
def build(
    is_cpu: IsCpu = False,
    is_azure: Annotated[
        bool, typer.Option("--azure", help="As Azure ML expects it: as root, and its tag ends in -azure.")
    ] = False,
    tag: Tag = __version__,
    cuda: Cuda = None,
    base: Annotated[
        str | None, typer.Option(help="Base image instead of the Dockerfile's; see images/README.md.")
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="Docker's network for the build, such as host, where its own leads nowhere.")
    ] = None,
    is_dirty: IsDirty = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the command and stop.")] = False,
) -> None:
    """Build a container image from this checkout, labelled with its version and commit."""
    variant = Variant(tag=tag, is_cpu=is_cpu, is_azure=is_azure, cuda=cuda, base=base)
    root = checkout()
    commit = revision(root, is_dirty=is_dirty)
    words = docker_words(variant, root, commit, network)
    typer.echo(shlex.join([PROGRAM, *words]))
    if dry_run:
        return
    docker_shown(*words)
    typer.echo(f"built {variant.full_name} of commit {commit}")
    push = f"mrikit image push{' --cpu' if is_cpu else ''}"
    typer.echo(f"next: {push}" if is_azure else f"next: {push} --to SERVER, or mrikit train ... --on docker")


@app.command()
def push(
    is_cpu: IsCpu = False,
    tag: Tag = __version__,
    to: Annotated[
        str | None, typer.Option(help="Address of another registry; its image is the one without --azure.")
    ] = None,
    is_built_there: Annotated[
        bool,
        typer.Option("--build-in-azure", help="Build it in the estate's registry, by az acr build."),
    ] = False,
    cuda: Cuda = None,
    is_dirty: IsDirty = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands and stop.")] = False,
) -> None:
    """Bring a container image to the linked estate, where jobs then run in it, or to another registry."""
    from mrikit.storage.estate import load_estate

    if not is_built_there and (cuda or is_dirty):
        raise ConfigError("--cuda and --dirty are for --build-in-azure; here `mrikit image build` takes them")
    if is_built_there and to:
        raise ConfigError(f"--to {to}: --build-in-azure builds in the registry of the linked estate; leave one out")
    estate = None if to else load_estate()
    server = to or (estate.registry_server if estate else "")
    if not server:
        raise ConfigError("no estate is linked whose registry it could be pushed to; give --to NAME.azurecr.io")
    variant = Variant(tag=tag, is_cpu=is_cpu, is_azure=estate is not None, cuda=cuda)
    if estate is not None and is_built_there:
        from mrikit.commands.image_azure import build_there

        root = checkout()
        build_there(variant, root, revision(root, is_dirty=is_dirty), estate, dry_run=dry_run)
        return
    target = _push(variant, server, dry_run=dry_run)
    if estate is not None and not dry_run:
        from mrikit.commands.image_azure import pushed_digest, register

        register(variant, pushed_digest(target), estate)


def _push(variant: Variant, server: str, *, dry_run: bool) -> str:
    """Push an image that was built here.

    Returns:
        Its name in the registry.

    Raises:
        ConfigError: The address is none.
        JobError: The image is not here, or the registry refuses it.
    """
    if not _SERVER.fullmatch(server):
        raise ConfigError(f"--to {server}: the address of a registry, such as NAME.azurecr.io, is needed")
    name, target = variant.full_name, f"{server}/{variant.full_name}"
    if dry_run:
        typer.echo(shlex.join([PROGRAM, "tag", name, target]))
        typer.echo(shlex.join([PROGRAM, "push", target]))
        return target
    try:
        docker("tag", name, target)
    except JobError as error:
        if "No such image" not in str(error):
            raise
        raise JobError(f"container image {name} is not here; `mrikit image build{variant.options}` makes it") from error
    try:
        docker_shown("push", target)
    except JobError as error:
        raise JobError(f"{target} was not pushed ({error}); if it is for want of a login: {_login(server)}") from error
    typer.echo(f"pushed {target}")
    return target


def _login(server: str) -> str:
    name, _, rest = server.partition(".")
    return f"az acr login --name {name}" if rest.startswith("azurecr.") else f"docker login {server}"
