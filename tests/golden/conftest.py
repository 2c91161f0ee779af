"""Parity with reference outputs: `MRIKIT_GOLDEN=DIR pytest tests/golden` runs the same tests on another folder."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of golden files."""
    return Path(os.environ.get("MRIKIT_GOLDEN", Path(__file__).parent))
