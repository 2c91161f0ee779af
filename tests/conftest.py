"""Fixtures that several rooms share."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of small real scanner data; CI fails without it, elsewhere its tests skip."""
    folder = Path(os.environ.get("MRIKIT_REALDATA", Path(__file__).parents[2] / "shared" / "realdata"))
    if folder.is_dir():
        return folder
    reason = f"no real data at {folder}; set MRIKIT_REALDATA"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty folder on a real file system of 1 MiB; only root can mount one."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mount.returncode:
        reason = f"cannot mount a small file system: {mount.stderr.strip()}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
