"""Scope of an examination: linked estate or stack."""

import os
from dataclasses import dataclass

from mrikit.config import build_config
from mrikit.errors import ConfigError, MrikitError, StorageError
from mrikit.estate.diagnosis import MISSING, OK, WARNING, Diagnosis
from mrikit.estate.subscription import SUBSCRIPTION
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
    location, clusters = (estate.location, estate.clusters) if estate else ("", ())
    resource_group = ""
    if stack is not None:
        try:
            location, clusters, resource_group = _stack(stack)
            what = f"{stack}: {', '.join(one.name for one in clusters)} in {location}"
            diagnoses.append(Diagnosis("stack", OK, what))
        except MrikitError as error:
            location, clusters = "", ()
            diagnoses.append(Diagnosis("stack", MISSING, str(error), "mend the stack's file, or name another"))
    named = os.environ.get(SUBSCRIPTION, "")
    return Wanted(
        estate=estate,
        subscription_id=estate.subscription_id if estate else named,
        location=location,
        clusters=clusters,
        resource_group=resource_group,
        diagnoses=tuple(diagnoses),
        is_azure=bool(named) or stack is not None or found.state != WARNING,
    )


def _estate() -> tuple[Estate | None, Diagnosis]:
    """Not linked is a warning, because that is how everybody begins; damaged is an error."""
    try:
        estate = load_estate()
    except (ConfigError, StorageError) as error:
        return None, Diagnosis("estate", MISSING, str(error), "mrikit infra link")
    if estate is None:
        return None, Diagnosis("estate", WARNING, "none is linked", "`pulumi up`, then `mrikit infra link`")
    return estate, Diagnosis("estate", OK, f"{estate.resource_group} in {estate.location}")


def _stack(stack: str) -> tuple[str, tuple[EstateCluster, ...], str]:
    """Region, clusters and resource group of a stack, as its program would declare them.

    Raises:
        MrikitError: There is no such stack, or its program refuses it.
    """
    from mrikit.estate.declared import program_folder, record_program
    from mrikit.estate.stack_file import read_stack

    chosen = read_stack(stack, program_folder().parent)
    outputs = record_program(chosen.config, chosen.stack).outputs
    clusters = tuple(build_config(EstateCluster, table, "cluster") for table in outputs["clusters"])
    return str(outputs["location"]), clusters, str(outputs["resource_group"])
