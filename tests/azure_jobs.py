"""Jobs on a stand-in for an Azure ML workspace: what they are, the workspace of a test, and how errors are read."""

import dataclasses
from pathlib import Path

import pytest
from estates import example_estate
from fake_azureml import FakeAzureml

from mrikit.errors import JobError
from mrikit.launching.job import JobSpec
from mrikit.storage import blob
from mrikit.storage.estate import EstateCluster, save_estate

CLUSTERS = (
    EstateCluster(
        name="gpu", compute_name="gpu-abcde", sku="Standard_NC24ads_A100_v4", priority="LowPriority", max_nodes=4
    ),
    EstateCluster(name="cpu", compute_name="cpu-abcde", sku="Standard_D16s_v3", priority="Dedicated", max_nodes=1),
)
SPEC = JobSpec(
    name="knee-1",
    command=("train", "--task", "knee_acc8", "--data", "az://datasets/fastmri", "--out", "az://runs/knee"),
    folder="/home/me",
    nodes=2,
    gpus_per_node=1,
    inputs=("az://datasets/fastmri",),
    outputs=("az://runs/knee",),
    spot=True,
)
CHAIN = [dataclasses.replace(SPEC, name=f"stage-{n}", command=(*SPEC.command, "--stage", n)) for n in "12"]
PUSHED = "0123456789ab"
"""Version of the environments that are there."""
TAKEN_AWAY = ("PreemptionError", "The node was preempted by the service.")
BROKEN = ("UserError", "Execution failed. User process 'mrikit' exited with status code 3. Please check the log")


def workspace_for(azure_login, monkeypatch, tmp_path):
    """A fixture's body: a workspace for this test, its estate linked, and a managed identity."""
    for name, value in azure_login.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MRIKIT_ESTATE", str(tmp_path / "estate.json"))
    monkeypatch.setenv("MRIKIT_JOBS", str(tmp_path / "jobs"))
    monkeypatch.setenv("AZUREML_CURRENT_CLOUD", "AzureCloud")  # the vendor's client writes its cloud there
    certificate = Path(azure_login["REQUESTS_CA_BUNDLE"])
    fake = FakeAzureml(certificate, certificate.with_name("key.pem"))
    save_estate(example_estate(clusters=CLUSTERS, work_endpoint=fake.endpoint))
    for image in ("mrikit", "mrikit-cpu"):
        fake.push(image, PUSHED)
    monkeypatch.setenv("MRIKIT_ARM_ENDPOINT", fake.endpoint)
    blob._credential.cache_clear()
    yield fake
    fake.close()
    blob._credential.cache_clear()


def failure(act, kind=JobError):
    with pytest.raises(kind) as caught:
        act()
    assert "\n" not in str(caught.value)
    for secret in ("eyJ", "Bearer", "SECRETOFLOG", "c2ln"):
        assert secret not in str(caught.value)
    return str(caught.value)


def text(azure, spec, handle, **options):
    return "".join(azure.logs(spec, handle, **{"node": 0, "follow": False, **options}))
