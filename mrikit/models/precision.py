"""What networks compute in: float32 that is float32, or bfloat16 where it does no harm."""

import contextlib
from collections.abc import Iterator

import torch

PRECISIONS = ("fp32", "bf16")
"""With `bf16` convolutions compute in bfloat16; Fourier transforms, data consistency and images stay in float32."""


def autocast(device: torch.device | str, precision: str) -> torch.autocast:
    """The context in which a network computes in one of PRECISIONS; it belongs to the thread that enters it."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16")


@contextlib.contextmanager
def real_float32() -> Iterator[None]:
    """Convolutions of float32 numbers on a GPU in float32, not in TF32 with its 10 bits, which is torch's default."""
    was = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = was
