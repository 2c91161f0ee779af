"""Which container image is meant, and the words that build it."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mrikit import __version__
from mrikit.errors import ConfigError

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,120}")
_INDEX = "PIP_EXTRA_INDEX_URL"
"""Where pip finds torch's builds, if it is set."""
CUDAS = {"cu126": "12.6.3", "cu128": "12.8.1"}
"""Other builds of torch than PyPI's, and NVIDIA's images for them; both run on driver 525 and newer."""
_ROOT = "0:0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One image."""

    tag: str = __version__
    """Of it, without what its kind adds."""
    is_cpu: bool = False
    """Whether it is the one without CUDA."""
    is_azure: bool = False
    """Whether it runs as root, as Azure ML expects: it mounts what root owns, and sets up its own things in there."""
    cuda: str | None = None
    """A key of `CUDAS`; None for PyPI's torch."""
    base: str | None = None
    """Base image instead of the Dockerfile's; its two stages have the same one then."""

    def __post_init__(self) -> None:
        if not _TAG.fullmatch(self.tag):
            raise ConfigError(
                f"--tag {self.tag}: letters, digits, '_', '.' and '-' are needed, without a name before it"
            )
        if self.cuda is not None and self.cuda not in CUDAS:
            raise ConfigError(f"--cuda {self.cuda}: {' or '.join(CUDAS)}; without it torch is that of PyPI, for 13.0")
        if self.cuda is not None and self.is_cpu:
            raise ConfigError(f"--cuda {self.cuda} is for the image with CUDA; leave out --cpu")

    @property
    def name(self) -> str:
        """Without its tag."""
        return "mrikit-cpu" if self.is_cpu else "mrikit"

    @property
    def full_name(self) -> str:
        """With its tag."""
        return f"{self.name}:{self.tag}{'-azure' if self.is_azure else ''}"

    @property
    def options(self) -> str:
        """What `mrikit image build` is given for it, with a space before."""
        words = [word for word, is_on in (("--azure", self.is_azure), ("--cpu", self.is_cpu)) if is_on]
        return "".join(f" {word}" for word in words)

    def dockerfile(self, root: Path) -> Path:
        """Its recipe in a checkout."""
        return root / "images" / self.name / "Dockerfile"


def docker_words(variant: Variant, root: Path, revision: str, network: str | None) -> list[str]:
    """Words after `docker` that build an image.

    Args:
        variant: Which.
        root: Of the checkout.
        revision: Of the checkout, for a label.
        network: Docker's network for the build.
    """
    arguments = _arguments(variant, revision)
    # Without its value, which Docker takes from the environment.
    named = [_INDEX] if os.environ.get(_INDEX) else []
    # The plain name too, so that `docker run mrikit` finds the newest build; but not one that runs as root.
    tags = [variant.full_name] if variant.is_azure else [variant.full_name, variant.name]
    return [
        "build", *_repeated("--build-arg", [*arguments, *named]), *(["--network", network] if network else []),
        *_repeated("--tag", tags), "--file", str(variant.dockerfile(root)), str(root),
    ]  # fmt: skip


def azure_words(variant: Variant, root: Path, revision: str, registry: str) -> list[str]:
    """Words after `az` that build an image in its registry, from what .dockerignore lets in.

    https://learn.microsoft.com/cli/azure/acr#az-acr-build

    Raises:
        ConfigError: The index of wheels has a password, which the registry would log.
    """
    index = os.environ.get(_INDEX, "")
    if any("@" in urlsplit(one).netloc for one in index.split()):
        raise ConfigError(f"{_INDEX} has a password, which a build in Azure would log; unset it, or build it here")
    arguments = [*_arguments(variant, revision), *([f"{_INDEX}={index}"] if index else [])]
    return [
        "acr", "build", "--registry", registry, "--image", variant.full_name, *_repeated("--build-arg", arguments),
        "--timeout", "10800", "--file", str(variant.dockerfile(root)), str(root),
    ]  # fmt: skip


def _arguments(variant: Variant, revision: str) -> list[str]:
    values = {"VERSION": __version__, "REVISION": revision}
    if variant.is_azure:
        values["RUN_AS"] = _ROOT
    if variant.cuda is not None:
        cuda = f"nvidia/cuda:{CUDAS[variant.cuda]}"
        bases = {"BUILD_IMAGE": f"{cuda}-devel-ubuntu24.04", "BASE_IMAGE": f"{cuda}-base-ubuntu24.04"}
        values |= {"TORCH_CUDA": variant.cuda, **bases}
    if variant.base is not None:
        stages = ("BASE_IMAGE",) if variant.is_cpu else ("BASE_IMAGE", "BUILD_IMAGE")
        values |= dict.fromkeys(stages, variant.base)
    return [f"{key}={value}" for key, value in values.items()]


def _repeated(option: str, values: list[str]) -> list[str]:
    return [word for value in values for word in (option, value)]
