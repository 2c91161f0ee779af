"""Fixtures for copies: one archive, and a server with a link to it."""

import pytest
from transfer.archive_server import Faults, running_server
from transfer.copying import write_archive


@pytest.fixture
def data(tmp_path):
    return write_archive(tmp_path / "source")


@pytest.fixture
def server(tmp_path, data):
    with running_server(tmp_path / "source", faults=Faults()) as server:
        yield server
