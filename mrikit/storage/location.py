"""Where files lie: a local path, or a blob in Azure named `az://container/key`."""

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from mrikit.errors import ConfigError
from mrikit.words import in_unicode

SCHEME = "az://"
RUNS = "runs"
"""The container that runs are written to, in an account of its own where an estate says so."""
CONTAINER_NAME = re.compile(r"(?=.{3,63}$)[a-z0-9]+(?:-[a-z0-9]+)*")
"""Names that containers may have."""
_ALMOST = "az:"
_OTHER_SCHEME = re.compile(r"(?!az:)[a-zA-Z][a-zA-Z0-9+.-]+://")


@dataclass(frozen=True, order=True, slots=True)
class BlobPath:
    """A blob or a prefix of blobs, with the manners of a `pathlib` path; it cannot be opened as a file by mistake."""

    container: str
    """3 to 63 lower-case letters, digits and single hyphens."""
    key: str = ""
    """Names joined by `/`, without one at either end; empty for the whole container."""

    def __str__(self) -> str:
        return f"{SCHEME}{self.container}/{self.key}".rstrip("/")

    def __truediv__(self, name: str) -> "BlobPath":
        """The blob of this name below; `..` goes up, but not out of the container.

        Raises:
            ConfigError: The name leads out of the container, or is no UTF-8, which names of blobs are.
        """
        if in_unicode(str(name)) != str(name):
            raise ConfigError(f"{in_unicode(str(name))}: not UTF-8, as the names of blobs are; rename the file")
        key = posixpath.normpath(posixpath.join(self.key, str(name)))
        if key == ".." or key.startswith(("../", "/")):
            raise ConfigError(f"{name}: leads out of the container of {self}; name something below it")
        return BlobPath(self.container, "" if key == "." else key)

    @property
    def name(self) -> str:
        """The last part of the key; empty for a container."""
        return posixpath.basename(self.key)

    @property
    def suffix(self) -> str:
        """The last dot of the name and what follows; empty where there is none."""
        return posixpath.splitext(self.name)[1]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return posixpath.splitext(self.name)[0]

    @property
    def parent(self) -> "BlobPath":
        """The prefix above; a container is its own, as the root of a file system is."""
        return BlobPath(self.container, posixpath.dirname(self.key))

    def resolve(self) -> "BlobPath":
        """Itself: a URI is absolute and knows no links."""
        return self

    def with_name(self, name: str) -> "BlobPath":
        """The blob of another name beside this one."""
        return self.parent / name


Location: TypeAlias = Path | BlobPath
"""Where a file or a folder lies."""


def parse_location(text: str) -> Location:
    """A location from what a user wrote: `az://container[/prefix]`, or a local path.

    Raises:
        ConfigError: A URI of another kind, or no valid container.
    """
    if _OTHER_SCHEME.match(text):
        raise ConfigError(f"{_without_secrets(text)}: not a place that mrikit knows; give a local path or {_EXAMPLE}")
    if text.startswith(_ALMOST) and not text.startswith(SCHEME):
        raise ConfigError(
            f"{_without_secrets(text)}: a location in Azure begins with {SCHEME}, as {_EXAMPLE}; a local file of this "
            f"name is ./{_without_secrets(text)}"
        )
    if not text.startswith(SCHEME):
        return Path(text)
    container, _, key = text.removeprefix(SCHEME).partition("/")
    if not CONTAINER_NAME.fullmatch(container):
        raise ConfigError(
            f"{_without_secrets(text)}: '{_without_secrets(container)}' is no name of a container; 3 to 63 lower-case "
            f"letters, digits and single hyphens would do, as in {_EXAMPLE}"
        )
    if "?" in key:
        raise ConfigError(
            f"{_without_secrets(text)}: signatures do not belong into a location; leave out what follows the '?', and "
            "log in with `az login`"
        )
    return BlobPath(container) / "/".join(part for part in key.split("/") if part)


def recorded_location(text: str) -> Location:
    """A location from what was recorded as `str` of one: names of blobs may hold anything, a `?` too."""
    if not text.startswith(SCHEME):
        return Path(text)
    return BlobPath(*text.removeprefix(SCHEME).split("/", 1))


_EXAMPLE = f"{SCHEME}container/prefix"


def _without_secrets(text: str) -> str:
    """What may be shown: a query may be a signature, and `name:password@` a password."""
    return re.sub(r"//[^/]*@", "//", text.partition("?")[0])
