"""Folders and prefixes with small text files."""

import time

from mrikit.storage import list_files, read_bytes


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def contents(prefix):
    return {name: read_bytes(prefix / name).decode() for name in list_files(prefix)}


def local_contents(folder):
    return {name: (folder / name).read_text() for name in list_files(folder)}


def wait_for(question, seconds=20):
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)
