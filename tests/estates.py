"""A linked estate for tests: whole, with what a test needs to be otherwise."""

from dataclasses import replace

from mrikit.storage.estate import Estate, EstateCluster

_EXAMPLE = Estate(
    subscription_id="0a1b2c3d-0000-4000-8000-00000000000f",
    tenant_id="0a1b2c3d-0000-4000-8000-00000000000d",
    resource_group="mrikit-dev",
    location="westeurope",
    blob_endpoint="https://mrikitdev.blob.core.windows.net",
    runs_endpoint="https://mrikitdevruns.blob.core.windows.net",
    work_endpoint="https://mrikitdevwork.blob.core.windows.net",
    vault_uri="https://mrikit-dev.vault.azure.net",
    containers=("raw", "datasets"),
    factory_name="mrikit-dev-factory",
    copy_pipeline="copy archive",
    unpack_pipeline="copy and unpack archive",
    workspace_name="mrikit-dev-workspace",
    datastores=("raw", "datasets", "runs"),
    registry_server="mrikitdev.azurecr.io",
    compute_client_id="0a1b2c3d-0000-4000-8000-00000000000e",
    network="public",
    clusters=(
        EstateCluster(
            name="gpu", compute_name="gpu-abcde", sku="Standard_NC24ads_A100_v4", priority="LowPriority", max_nodes=1
        ),
        EstateCluster(name="cpu", compute_name="cpu-abcde", sku="Standard_D16s_v3", priority="Dedicated", max_nodes=1),
    ),
)


def example_estate(**changes) -> Estate:
    """The example with some fields changed."""
    return replace(_EXAMPLE, **changes)
