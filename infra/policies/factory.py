"""The Data Factory: its pipelines name what there is, hide links, and are bounded."""

from collections.abc import Iterator, Mapping
from typing import Any

from .references import broken_references
from .resources import Estate


def the_factory_is_whole(estate: Estate) -> Iterator[str]:
    """Pipelines name what there is, hide what they are given, try again, end, and are bounded."""
    yield from broken_references(estate)
    for one in estate.of("datafactory:Pipeline"):
        if not 1 <= (one.inputs.get("concurrency") or 0) <= 50:
            yield f"{one.name}: concurrency is {one.inputs.get('concurrency')}, not 1 to 50"
        if (one.inputs["parameters"].get("relativeUrl") or {}).get("type") != "SecureString":
            yield f"{one.name}: parameters.relativeUrl is no SecureString, and runs would show signatures"
        for activity in copies_of(one.inputs["activities"]):
            yield from _careful(f"{one.name}: {activity['name']}", activity)
    for one in estate.of("datafactory:LinkedService"):
        properties = one.inputs["properties"]
        # An endpoint and nothing else means the factory's own identity.
        if properties["type"] == "AzureBlobStorage" and not properties.get("serviceEndpoint"):
            yield f"{one.name}: properties.serviceEndpoint is not set, and only with it the factory comes as itself"
        if properties.get("credential"):
            yield f"{one.name}: properties.credential is a user-assigned identity, which no firewall lets through"
        if properties["type"] == "HttpServer" and properties.get("enableServerCertificateValidation") is not True:
            yield f"{one.name}: enableServerCertificateValidation is not on"


def copies_of(activities: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The copy activities of a pipeline, those inside of others too."""
    for activity in activities:
        if activity["type"] == "Copy":
            yield activity
        for case in activity.get("cases") or []:
            yield from copies_of(case.get("activities") or [])
        for key in ("activities", "defaultActivities", "ifTrueActivities", "ifFalseActivities"):
            yield from copies_of(activity.get(key) or [])


def _careful(where: str, activity: Mapping[str, Any]) -> Iterator[str]:
    """A copy hides what it is given but not its progress, tries again, and ends."""
    policy = activity.get("policy") or {}
    if policy.get("secureInput") is not True:
        yield f"{where}: policy.secureInput is not on"
    # https://learn.microsoft.com/azure/data-factory/concepts-pipelines-activities: what is secure is not logged.
    if policy.get("secureOutput"):
        yield f"{where}: policy.secureOutput hides how far it is"
    if not (1 <= (policy.get("retry") or 0) <= 10 and 30 <= (policy.get("retryIntervalInSeconds") or 0) <= 86_400):
        yield f"{where}: policy.retry does not try again"
    if not policy.get("timeout"):
        yield f"{where}: policy.timeout is not set, and Azure's is 12 h to 7 d"
    if not 1 <= (activity.get("dataIntegrationUnits") or 0) <= 4:
        yield f"{where}: dataIntegrationUnits are not 1 to 4, the most that a file can use"
