"""The policy pack: `pulumi preview --policy-pack infra/policies` says what breaks a rule, `pulumi up` stops at it.

Rules look at inputs, as `mrikit infra plan` does. The engine shows them when a resource is registered; when all are,
it shows the stack, with the resources' outputs, in which names and rules of networks have other places.
"""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pulumi_policy as policy
from pulumi_policy.proxy import UnknownValueError

# The folder is a package; behind all others, so that nothing of the program is taken for something else.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from policies.resources import UNKNOWN, Estate, Resource
from policies.rules import RULES, Rule
from policies.secrecy import hide_marked

_PREFIX = "azure-native:"
_STACK = "pulumi:pulumi:Stack"
_IDS = "/subscriptions/"


class Declared:
    """Inputs of all resources as they are registered, by URN."""

    def __init__(self) -> None:
        self._inputs: dict[str, Any] = {}

    def keep(self, args: policy.ResourceValidationArgs, _: Callable[[str], None]) -> None:
        """Take one in; it is for the stack's rules, and nothing is reported of it alone."""
        self._inputs[args.urn] = plain(args.props)

    def estate(self, resources: list[policy.PolicyResource]) -> Estate:
        """The stack as rules see it."""
        (outputs,) = [plain(one.props) for one in resources if one.resource_type == _STACK]
        return Estate(
            resources=tuple(self._resource(one) for one in resources if one.resource_type.startswith(_PREFIX)),
            outputs=outputs,
        )

    def _resource(self, one: policy.PolicyResource) -> Resource:
        kind = one.resource_type.removeprefix(_PREFIX)
        return Resource(
            type=kind,
            name=one.name,
            urn=one.urn,
            id=UNKNOWN,
            inputs=hide_marked(kind, {**self._inputs[one.urn], **self._names(one)}),
            dependencies=tuple(other.urn for other in one.dependencies),
            protect=one.opts.protect,
            has_secrets=False,  # the engine takes the marks away
        )

    def _names(self, one: policy.PolicyResource) -> dict[str, str]:
        """What a preview does not know yet, and is the name of a resource that the program declares: `accountName`."""
        found = {}
        for key, others in one.property_dependencies.items():
            if key.endswith("Name") and self._inputs[one.urn].get(key) == UNKNOWN and len(others) == 1:
                found[key] = self._inputs[others[0].urn].get(key, UNKNOWN)
        return found


def plain(value: Any) -> Any:  # noqa: ANN401 - what JSON holds
    """The same in dicts and lists, whole numbers as such; what a preview cannot know, and every id, as UNKNOWN."""
    if isinstance(value, Mapping):
        return {key: _item(value, key) for key in value}
    if isinstance(value, str):
        return UNKNOWN if value.startswith(_IDS) and value.count("/") > _IDS.count("/") + 4 else value
    if hasattr(value, "__getitem__"):
        return [_item(value, index) for index in range(len(value))]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _item(value: Any, key: Any) -> Any:  # noqa: ANN401 - what JSON holds
    try:
        return plain(value[key])
    except UnknownValueError:
        return UNKNOWN


def stack_policy(rule: Rule, declared: Declared) -> policy.StackValidationPolicy:
    """A rule in the engine's form."""

    def validate(args: policy.StackValidationArgs, report: Callable[[str], None]) -> None:
        for line in rule(declared.estate(args.resources)):
            report(line)

    words = rule.__doc__ or ""
    return policy.StackValidationPolicy(
        name=rule.__name__.replace("_", "-"),
        description=words.partition("\n")[0],
        validate=validate,
        url=next(iter(re.findall(r"https://[^\s,)]+", words)), None),
    )


declared = Declared()
policy.PolicyPack(
    name="mrikit",
    enforcement_level=policy.EnforcementLevel.MANDATORY,
    policies=[
        policy.ResourceValidationPolicy(
            name="declared", description="What the program declares, for the other rules.", validate=declared.keep
        ),
        *(stack_policy(rule, declared) for rule in RULES),
    ],
)
