"""Fixtures for mirrors."""

import pytest

import mrikit.storage.mirror.mirror


@pytest.fixture
def run(blob_container):
    return blob_container / "runs/a"


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Changes to the cache of another machine, and back."""

    def change(name):
        monkeypatch.setenv("MRIKIT_CACHE", str(tmp_path / name))

    return change


@pytest.fixture
def uploads(monkeypatch):
    """Names of the blobs that mirrors write, in order."""
    names, write_stream = [], mrikit.storage.mirror.mirror.write_stream

    def note(path, *arguments, **settings):
        names.append(path.name)
        return write_stream(path, *arguments, **settings)

    monkeypatch.setattr(mrikit.storage.mirror.mirror, "write_stream", note)
    return names


@pytest.fixture
def downloads(monkeypatch):
    """Names of the blobs that mirrors read."""
    names, read_range = [], mrikit.storage.mirror.mirror.read_range

    def note(path, *arguments, **settings):
        names.append(path.name)
        return read_range(path, *arguments, **settings)

    monkeypatch.setattr(mrikit.storage.mirror.mirror, "read_range", note)
    return names
