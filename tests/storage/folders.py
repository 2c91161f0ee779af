"""Folders and prefixes with small text files."""

from waiting import until

from mrikit.storage import list_files, read_bytes

wait_for = until


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def contents(prefix):
    return {name: read_bytes(prefix / name).decode() for name in list_files(prefix)}


def local_contents(folder):
    return {name: (folder / name).read_text() for name in list_files(folder)}
