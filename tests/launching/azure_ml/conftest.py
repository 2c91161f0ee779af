"""A workspace that plays Azure ML, and a back end that asks it often."""

import pytest
from azure_jobs import workspace_for

from mrikit.launching.azure_ml.backend import AzureBackend


@pytest.fixture
def workspace(azure_login, monkeypatch, tmp_path):
    yield from workspace_for(azure_login, monkeypatch, tmp_path)


@pytest.fixture
def azure(workspace):
    return AzureBackend(poll_s=0.01, retry_wait_s=0.001)
