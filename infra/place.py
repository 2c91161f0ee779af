"""Where the estate stands, and what its parts are called: names that Azure takes, the same for each run of a stack."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from infra.config import PROJECT, Settings

_SHORT = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """What every part of the estate needs to know of its place."""

    stack: str
    """The stack's name."""
    suffix: str
    """8 hexadecimal digits that tell this stack's global names from everybody else's."""
    data_suffix: str
    """The same for what holds data, whose names no generation changes."""
    subscription_id: str
    """The subscription of everything."""
    location: str
    """The region."""
    resource_group_name: pulumi.Input[str]
    """The one resource group."""
    tags: Mapping[str, str]
    """Of every part that can be tagged."""

    def name(self, part: str = "") -> str:
        """For what is unique in the resource group: `mrikit-dev-compute`."""
        return "-".join(word for word in (PROJECT, self.stack, part) if word)

    def global_name(self) -> str:
        """For what is unique in all of Azure and takes hyphens: `mrikit-dev-1a2b3c4d`, at most 24 characters."""
        return f"{PROJECT}-{self._short()}-{self.suffix}"

    def plain_name(self, part: str = "") -> str:
        """For what is unique in all of Azure and takes letters and digits only: `mridevimages1a2b3c4d`."""
        return f"mri{self._short()}{part}{self.suffix}"

    def data_name(self, part: str) -> str:
        """The same for an account that holds data: `mridevdata1a2b3c4d`."""
        return f"mri{self._short()}{part}{self.data_suffix}"

    def resource_id(self, kind: str, name: str) -> str:
        """Id of a part before it is made, where waiting for it would be a circle.

        Args:
            kind: Its type, such as Microsoft.DataFactory/factories.
            name: Its name.
        """
        group = f"/subscriptions/{self.subscription_id}/resourceGroups/{self.name()}"
        return f"{group}/providers/{kind}/{name}"

    def tagged(self, component: str) -> dict[str, str]:
        """The tags of a part."""
        return {**self.tags, "component": component}

    def _short(self) -> str:
        return re.sub(r"[^a-z0-9]", "", self.stack.lower())[:_SHORT]


def make_suffix(subscription_id: str, stack: str, generation: int) -> str:
    """8 hexadecimal digits from all that tells one stack from another."""
    words = "/".join((subscription_id, PROJECT, stack, str(generation)))
    return hashlib.sha256(words.encode()).hexdigest()[:8]


def make_tags(settings: Settings) -> dict[str, str]:
    """The user's tags and ours; ours say what made this, and cannot be changed."""
    return {**settings.tags, "project": PROJECT, "stack": settings.stack, "managed-by": "pulumi"}
