"""Secrets: there are none, but one that is marked."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .resources import Estate, texts

_SECRET = re.compile(
    r"sig=|signature=|accountkey=|sharedaccess|password|x-amz-|awsaccesskeyid|-----begin", re.IGNORECASE
)
_SECRET_KEY = re.compile(
    r"(account|principal|access)key|sastoken|sasuri|connectionstring|password|secretvalue|token$", re.IGNORECASE
)
_MARKED = "monitor:ActionGroup"
"""The one type with a secret: the address by which it calls a workflow is a key to that."""
_RECEIVERS, _ADDRESS, _HIDDEN = "logicAppReceivers", "callbackUrl", "(secret)"


def hide_marked(kind: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs as a plan shows them, where an engine shows what is marked as secret without its mark."""
    if kind != _MARKED:
        return dict(inputs)
    receivers = [{**one, _ADDRESS: _HIDDEN} for one in inputs.get(_RECEIVERS) or []]
    return {**inputs, _RECEIVERS: receivers}


def nothing_is_secret(estate: Estate) -> Iterator[str]:
    """No input and no output is a secret, or looks like one; the address of a workflow is, and is marked as such."""
    for one in estate.resources:
        if one.has_secrets and one.type != _MARKED:
            yield f"{one.name}: something of it is marked as secret"
        for path, text in texts(one.inputs):
            if _SECRET.search(text) or _SECRET_KEY.search(path):
                yield f"{one.name}: {path} looks like a secret"
    for path, text in texts(estate.outputs):
        if _SECRET.search(text) or _SECRET_KEY.search(path):
            yield f"output {path} looks like a secret"
