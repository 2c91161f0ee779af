"""Check of an Azure subscription and its providers."""

from collections.abc import Collection, Iterator

from mrikit.estate.arm import Arm, ArmError, LoginError, UnreachableError
from mrikit.estate.diagnosis import MISSING, OK, UNKNOWN, WARNING, Diagnosis

SUBSCRIPTION = "AZURE_SUBSCRIPTION_ID"
PROVIDERS = (
    "Microsoft.DataFactory",
    "Microsoft.MachineLearningServices",
    "Microsoft.Storage",
    "Microsoft.KeyVault",
    "Microsoft.ContainerRegistry",
    "Microsoft.ManagedIdentity",
    "Microsoft.OperationalInsights",
    "Microsoft.Insights",
    "Microsoft.Network",
    "Microsoft.Consumption",
)
"""Whose resources every estate is made of."""
_ALWAYS_THERE = ("Microsoft.Resources", "Microsoft.Authorization")
"""Registered in every subscription."""
_SUBSCRIPTION_VERSION = "2022-12-01"
_PROVIDER_VERSION = "2021-04-01"
_STILL_WORKS = ("Warned", "PastDue")


def subscription_diagnosis(arm: Arm, subscription_id: str) -> Diagnosis:
    """Whether the login sees the subscription, and it is enabled.

    Args:
        arm: Where to ask.
        subscription_id: Its GUID; empty if nobody names one.

    Raises:
        UnreachableError: Nobody answers.
    """
    if not subscription_id:
        how = f"export {SUBSCRIPTION}=$(az account show --query id --output tsv)"
        return Diagnosis("subscription", UNKNOWN, "no estate is linked and none is named", how)
    try:
        found = arm.get(f"/subscriptions/{subscription_id}", _SUBSCRIPTION_VERSION)
    except UnreachableError:
        raise
    except ArmError as error:
        return _not_seen(subscription_id, error)
    state = str(found.get("state"))
    what = f"{found.get('displayName')} ({subscription_id}) is {state}"
    if state == "Enabled":
        return Diagnosis("subscription", OK, what)
    if state in _STILL_WORKS:
        return Diagnosis(
            "subscription", WARNING, what, "pay its open bill before it is disabled: Azure portal, Billing"
        )
    return Diagnosis("subscription", MISSING, what, "have its owner enable it again: Azure portal, Subscriptions")


def provider_diagnoses(arm: Arm, subscription_id: str, namespaces: Collection[str] = PROVIDERS) -> Iterator[Diagnosis]:
    """One diagnosis for each resource provider that the subscription does not use yet, and one for all others.

    Raises:
        ArmError: The control plane does not say.
    """
    others, asked = [], [one for one in namespaces if one not in _ALWAYS_THERE]
    for namespace in asked:
        found = arm.get(f"/subscriptions/{subscription_id}/providers/{namespace}", _PROVIDER_VERSION)
        state = str(found.get("registrationState"))
        if state == "Registered":
            continue
        remedy = f"az provider register --namespace {namespace} --subscription {subscription_id}"
        if state == "Registering":
            others.append(Diagnosis(namespace, WARNING, "is being registered, which takes some minutes"))
        else:
            others.append(Diagnosis(namespace, MISSING, f"the resource provider is {state}", remedy))
    if len(others) < len(asked):
        num_registered = len(asked) - len(others)
        yield Diagnosis("providers", OK, f"{num_registered} of {len(asked)} are registered")
    yield from others


def _not_seen(subscription_id: str, error: ArmError) -> Diagnosis:
    if isinstance(error, LoginError):
        tenant = f" --tenant {error.tenant_id}" if error.tenant_id else ""
        return Diagnosis("subscription", MISSING, str(error), f"az login{tenant}")
    if error.status in (400, 403, 404):
        what = f"you see no subscription {subscription_id} ({error.code or error.status})"
        remedy = f"az account set --subscription {subscription_id}, or `az login --tenant` with its tenant"
        return Diagnosis("subscription", MISSING, what, remedy)
    return Diagnosis("subscription", UNKNOWN, str(error))
