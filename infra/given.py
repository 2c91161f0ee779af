"""What the stack gives: the engine's configuration, by public ways only."""

import json
import os

import pulumi

from infra.config import PROJECT, setting_names

_SHOWN = "PULUMI_CONFIG"
"""The environment variable in which the engine hands all keys to a program."""


def given_settings() -> dict[str, str]:
    """Texts, and JSON for what is none, by namespaced key.

    `pulumi.Config` finds settings by their names only. Keys that are no settings, misspelt ones, are seen where the
    engine shows all of them.
    """
    config = pulumi.Config(PROJECT)
    known = {f"{PROJECT}:{name}": config.get(name) for name in setting_names()}
    shown = json.loads(os.environ.get(_SHOWN) or "{}")
    return {**shown, **{key: value for key, value in known.items() if value is not None}}
