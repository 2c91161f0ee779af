"""Scope of an examination: linked estate or stack."""

import os
from dataclasses import dataclass

from mrikit.config import build_config
from mrikit.errors import ConfigError, MrikitError, StorageError
from mrikit.estate.diagnosis import MISSING, OK, WARNING, Diagnosis
from mrikit.estate.subscription import PROVIDERS, SUBSCRIPTION
from mrikit.storage.estate import Estate, EstateCluster, load_estate


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Where to look, and for what."""

    estate: Estate | None
    """The linked estate; None also if its file is damaged."""
    subscription_id: str
    """Empty if nobody names one."""
    location: str
    """Region of the clusters; empty if there are none."""
    clusters: tuple[EstateCluster, ...]
    """Those that quota is needed for."""
    resource_group: str
    """Of the stack that is to be deployed; empty if none is named."""
    subnet_id: str
    """The user's subnet that a stack names; empty for none."""
    providers: tuple[str, ...]
    """Namespaces of the resource providers that a stack is made of; those of every estate without a stack."""
    diagnoses: tuple[Diagnosis, ...]
    """Of the estate's file and the stack's."""
    is_azure: bool
    """Whether the user has anything to do with Azure."""


def read_wanted(stack: str | None) -> Wanted:
    """From the linked estate, the stack and the environment.

    Args:
        stack: Name of a stack or its file, whose clusters count instead of the estate's.
    """
    estate, found = _estate()
    diagnoses = [found]
    chosen = _Chosen(location=estate.location if estate else "", clusters=estate.clusters if estate else ())
    if stack is not None:
        try:
            chosen = _stack(stack)
            what = f"{stack}: {', '.join(one.name for one in chosen.clusters)} in {chosen.location}"
            diagnoses.append(Diagnosis("stack", OK, what))
        except MrikitError as error:
            chosen = _Chosen(location="", clusters=())
            diagnoses.append(Diagnosis("stack", MISSING, str(error), "mend the stack's file, or name another"))
    named = os.environ.get(SUBSCRIPTION, "")
    return Wanted(
        estate=estate,
        subscription_id=estate.subscription_id if estate else named,
        location=chosen.location,
        clusters=chosen.clusters,
        resource_group=chosen.resource_group,
        subnet_id=chosen.subnet_id,
        providers=chosen.providers,
        diagnoses=tuple(diagnoses),
        is_azure=bool(named) or stack is not None or found.state != WARNING,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Chosen:
    """The estate's, or a stack's."""

    location: str
    clusters: tuple[EstateCluster, ...]
    providers: tuple[str, ...] = PROVIDERS
    resource_group: str = ""
    subnet_id: str = ""


def _estate() -> tuple[Estate | None, Diagnosis]:
    """Not linked is a warning, because that is how everybody begins; damaged is an error."""
    try:
        estate = load_estate()
    except (ConfigError, StorageError) as error:
        return None, Diagnosis("estate", MISSING, str(error), "mrikit infra link")
    if estate is None:
        return None, Diagnosis("estate", WARNING, "none is linked", "`pulumi up`, then `mrikit infra link`")
    return estate, Diagnosis("estate", OK, f"{estate.resource_group} in {estate.location}")


def _stack(stack: str) -> _Chosen:
    """What a stack needs, as its program would declare it.

    Raises:
        MrikitError: There is no such stack, or its program refuses it.
    """
    from mrikit.estate.declared import program_folder, record_program
    from mrikit.estate.stack_file import read_stack

    chosen = read_stack(stack, program_folder().parent)
    record = record_program(chosen.config, chosen.stack)
    own = {one.id for one in record.of("network:Subnet")}
    named = [
        (one.inputs["properties"]["properties"].get("subnet") or {}).get("id", "")
        for one in record.of("machinelearningservices:Compute")
    ]
    return _Chosen(
        location=str(record.outputs["location"]),
        clusters=tuple(build_config(EstateCluster, table, "cluster") for table in record.outputs["clusters"]),
        providers=tuple(dict.fromkeys([*PROVIDERS, *(one.arm_type.partition("/")[0] for one in record.resources)])),
        resource_group=str(record.outputs["resource_group"]),
        subnet_id=next((one for one in named if one not in own), ""),
    )
