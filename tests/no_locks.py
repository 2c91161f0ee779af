"""A machine whose file systems have no locks, as some NFS and Lustre mounts."""

import os
import shutil
import subprocess

import pytest

SOURCE = "#include <errno.h>\nint flock(int file, int operation) { errno = ENOLCK; return -1; }\n"


def environment(folder):
    """The environment of a program that finds no locks; a library made in `folder` answers for the system."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no compiler")
    source, library = folder / "no_locks.c", folder / "no_locks.so"
    source.write_text(SOURCE)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return {**os.environ, "LD_PRELOAD": str(library)}
