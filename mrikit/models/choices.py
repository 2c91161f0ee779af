"""Where networks choose between two ways to the same numbers, by the device."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import torch

_ASSUMED: ContextVar[str] = ContextVar("kind of device that networks assume", default="")


def is_on_cpu(tensor: torch.Tensor) -> bool:
    """Whether to choose what is best on a CPU."""
    return (_ASSUMED.get() or tensor.device.type) == "cpu"


@contextlib.contextmanager
def assuming(device_type: str) -> Iterator[None]:
    """Choose as on this kind of device, `cpu` or `cuda`, wherever the tensors are.

    For predictions: tensors without memory cannot say that they are on a GPU where torch was built for none.
    """
    token = _ASSUMED.set(device_type)
    try:
        yield
    finally:
        _ASSUMED.reset(token)
