"""Single values of the configuration: what each may be, and the line that says so when it is not."""

import datetime as dt
import difflib
import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from infra.regions import REGIONS

_LARGEST_RANGE = 16
"""A range of addresses larger than this is taken for a mistake."""

# Not `is_private`, which counts the ranges for examples in documentation too.
_INSIDE = tuple(ipaddress.IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SUBNET = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Network/virtualNetworks/[^/]+/subnets/[^/]+"
)
_IMAGE_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class SettingsError(Exception):
    """The configuration cannot be meant as it stands; the message is one line that names the key."""


class Reader:
    """Values by key, and which keys have been asked for."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._asked: list[str] = []

    def value(self, key: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The value, decoded where it is JSON of a list or an object; None if there is none."""
        self._asked.append(key)
        found = self._values.get(key)
        if isinstance(found, str) and found.strip()[:1] in ("[", "{"):
            try:
                return json.loads(found)
            except json.JSONDecodeError as error:
                raise SettingsError(f"{key}: not JSON ({error.msg} at {error.pos})") from None
        return found

    def text(self, key: str, default: str) -> str:
        """A text without blanks around it."""
        found = self.value(key)
        if found is None:
            return default
        require(isinstance(found, str), f"{key}: a text; found {shown(found)}")
        return str(found).strip()

    def texts(self, key: str) -> list[str]:
        """A list of texts; an empty one if there is none."""
        found = self.value(key)
        if found is None or found == "":
            return []
        right = isinstance(found, list) and all(isinstance(one, str) for one in found)
        require(right, f"{key}: a list of texts; found {shown(found)}")
        return [one.strip() for one in found]

    def number(self, key: str, default: int, least: int, most: int, what: str) -> int:
        """A whole number within bounds; `what` says what it counts."""
        found = self.value(key)
        return default if found is None else number(key, found, least, most, what)

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        found = self.value(key)
        if found is None:
            return default
        words = {"true": True, "false": False}
        require(str(found).lower() in words, f"{key}: true or false; found {shown(found)}")
        return words[str(found).lower()]

    def require_no_other(self) -> None:
        """Refuse keys that nobody has asked for; they are misspelt."""
        for key in self._values:
            require(key in self._asked, f"{key}: no such key; {nearest(key, self._asked)}")


def number(key: str, found: object, least: int, most: int, what: str) -> int:
    """A whole number within bounds, as a number or its text."""
    is_whole = isinstance(found, int | str) and not isinstance(found, bool) and re.fullmatch(r"-?\d+", str(found))
    require(is_whole and least <= int(str(found)) <= most, f"{key}: {what}, {least} to {most:,}; found {shown(found)}")
    return int(str(found))


def region(text: str) -> str:
    """A region of Azure's public cloud."""
    if text in REGIONS:
        return text
    # "West Europe" is how the portal writes it.
    plain = text.lower().replace(" ", "")
    raise SettingsError(
        f"location: no region of Azure's public cloud is called '{text}'; {nearest(plain, sorted(REGIONS))}"
    )


def email(text: str) -> str:
    """An address that mails can be sent to."""
    require(text, "adminEmail: missing; `pulumi config set adminEmail you@example.org`")
    require(_EMAIL.fullmatch(text), f"adminEmail: an address such as you@example.org; found '{text}'")
    return text


def month(text: str) -> dt.date | None:
    """The first of a month; None for an empty text."""
    if not text:
        return None
    right = re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])-01", text) and text >= "2017-06"
    require(right, f"budgetStart: the first of a month since 2017-06 as YYYY-MM-01; found '{text}'")
    return dt.date.fromisoformat(text)


def address(text: str) -> str:
    """An address or a range as storage's firewall takes them: public, and /31 and /32 without their prefix."""
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise SettingsError(
            f"allowedIps: an IPv4 address or range such as 203.0.113.0/24; found '{text}' ({error})"
        ) from None
    require(
        network.prefixlen >= _LARGEST_RANGE,
        f"allowedIps: '{text}' opens the data to {network.num_addresses:,} addresses; at most /{_LARGEST_RANGE}",
    )
    require(
        not any(network.subnet_of(one) for one in _INSIDE),
        f"allowedIps: '{text}' is an address inside of a network, which Azure never sees; name the public one",
    )
    require(network.prefixlen != 31, f"allowedIps: Azure Storage takes no /31; name both addresses of '{text}' instead")
    return str(network.network_address) if network.prefixlen == 32 else str(network)


def subnet(text: str) -> str:
    """Id of a subnet, or nothing."""
    require(
        not text or _SUBNET.fullmatch(text),
        f"subnetId: /subscriptions/.../virtualNetworks/NAME/subnets/NAME, as `az network vnet subnet show --query id` "
        f"prints it; found '{text}'",
    )
    return text


def group(text: str) -> str:
    """Object id of a group, or nothing."""
    require(
        not text or _GUID.fullmatch(text),
        f"teamGroupId: a GUID, as `az ad group show --group NAME --query id` prints it; found '{text}'",
    )
    return text


def image_tag(text: str) -> str:
    """Tag of a container image, which stays what it is."""
    require(_IMAGE_TAG.fullmatch(text), f"imageTag: letters, digits and any of ._-, not empty; found '{text}'")
    require(text != "latest", "imageTag: 'latest' is another image tomorrow; name a version")
    return text


def choice(key: str, text: str, choices: tuple[str, ...]) -> str:
    """One of some words."""
    require(text in choices, f"{key}: one of {', '.join(choices)}; found '{text}'")
    return text


def nearest(key: str, known: Sequence[str]) -> str:
    """What may be meant by a misspelt word, or all that could be."""
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"there are {', '.join(known)}"


def shown(value: object) -> str:
    """A value as the user has written it."""
    return f"'{value}'" if isinstance(value, str) else json.dumps(value)


def require(condition: object, message: str) -> None:
    """Raise SettingsError with this message unless the condition holds."""
    if not condition:
        raise SettingsError(message)
