"""A folder of jobs of its own for each test."""

import pytest
from local_jobs import home


@pytest.fixture(autouse=True)
def jobs(tmp_path, monkeypatch):
    yield from home(tmp_path, monkeypatch)


@pytest.fixture
def here(tmp_path):
    return tmp_path / "here"
