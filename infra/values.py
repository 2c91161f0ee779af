"""Single values of the configuration: what each may be, and the line that says so when it is not."""

import datetime as dt
import difflib
import ipaddress
import json
import re
from collections.abc import Sequence

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
_HOST = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_SKU = re.compile(r"Standard_[A-Z]{1,3}\d{1,3}[a-z]*(-\d+[a-z]*)?(_[A-Z][A-Za-z0-9]*)?(_v\d+)?")
_PRIORITIES = {"dedicated": "Dedicated", "lowPriority": "LowPriority"}
# Azure ML takes 24 characters; the program adds six.
_CLUSTER_NAME = re.compile(r"[a-zA-Z](?![a-zA-Z0-9-]*-\d+$)[a-zA-Z0-9-]{2,17}")
_STACK = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,39}")
_TAG_NAME = re.compile(r"[^<>%&\\?/]{1,128}")


class SettingsError(Exception):
    """The configuration cannot be meant as it stands; the message is one line that names the key."""


def decoded(key: str, found: object) -> object:
    """A value as it is meant, where it is JSON of a list or a table."""
    if not isinstance(found, str) or found.strip()[:1] not in ("[", "{"):
        return found
    try:
        return json.loads(found)
    except json.JSONDecodeError as error:
        raise SettingsError(f"{key}: not JSON ({error.msg} at {error.pos})") from None


def no_flag(found: object) -> object:
    """Anything but true and false, which pydantic would count as 1 and 0."""
    if isinstance(found, bool):
        raise ValueError  # noqa: TRY004 - pydantic passes other errors on
    return found


def stack(text: str) -> str:
    """A stack's name, of which others are made."""
    require(
        _STACK.fullmatch(text),
        f"stack: 1 to 40 letters, digits, - or _, a letter first, because names are made of it; found '{text}'",
    )
    return text


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


def month(found: object) -> dt.date | None:
    """The first of a month; None for an empty text."""
    text = str(found or "").strip()
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


def host(text: str) -> str:
    """Name of a host that downloads come from."""
    require(_HOST.fullmatch(text), f"downloadHosts: a host such as data.example.org; found '{text}'")
    return text


def cluster_name(text: str) -> str:
    """Name of a cluster, as Azure ML takes it; pydantic says of which one."""
    if not _CLUSTER_NAME.fullmatch(text):
        raise ValueError(
            f"3 to 18 letters, digits and hyphens, a letter first, no hyphen and number last; found '{text}'"
        )
    return text


def machine(text: str) -> str:
    """Size of a machine."""
    if not _SKU.fullmatch(text):
        raise ValueError(f"a size such as Standard_NC24ads_A100_v4; found '{text}'")
    return text


def priority(found: object) -> str:
    """Azure's word for a priority."""
    if found not in _PRIORITIES:
        raise ValueError(f"one of {', '.join(_PRIORITIES)}; found {shown(found)}")
    return _PRIORITIES[str(found)]


def tags(found: dict[str, object]) -> dict[str, str]:
    """Names and texts that Azure takes for tags, beside ours."""
    require(len(found) <= 40, f"tags: at most 40, because Azure takes 50 and some are ours; found {len(found)}")
    for name, value in found.items():
        require(_TAG_NAME.fullmatch(name), f"tags: a name has up to 128 characters, none of <>%&\\?/; found '{name}'")
        require(isinstance(value, str) and len(value) <= 256, f"tags.{name}: a text of at most 256 characters")
    return {name: str(value) for name, value in found.items()}


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
