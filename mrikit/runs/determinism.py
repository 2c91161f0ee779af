"""Only algorithms that give the same bits every time."""

import contextlib
import os
from collections.abc import Iterator

import torch

_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"


@contextlib.contextmanager
def deterministic(is_asked: bool) -> Iterator[None]:
    """Only such algorithms for the time of the block, if asked for."""
    if not is_asked:
        yield
        return
    was = torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault(_CUBLAS, ":4096:8")
    torch.use_deterministic_algorithms(mode=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=was)
