"""How large fastMRI's sets are as published, for runs whose data nobody has looked into yet."""

from mrikit.data.sampler import BatchShape

_EXTENT = {
    ("multicoil", "knee", "train"): (973, 34_742),
    ("multicoil", "knee", "val"): (199, 7_135),
    ("singlecoil", "knee", "train"): (973, 34_742),
    ("singlecoil", "knee", "val"): (199, 7_135),
    ("multicoil", "brain", "train"): (4_469, 70_748),
    ("multicoil", "brain", "val"): (1_378, 21_842),
}
"""Volumes and slices of each set."""
_KSPACE = {"knee": (15, 640, 368), "brain": (16, 640, 320)}
"""(coil, readout, phase) sizes of most volumes; others differ in coils and columns."""
_WINDOW = (320, 320)


def published_shapes(challenge: str, anatomy: str, side: str) -> tuple[BatchShape, ...]:
    """Shapes of a set of fastMRI, every volume as most are.

    Args:
        challenge: `multicoil` or `singlecoil`.
        anatomy: `knee` or `brain`; empty for both.
        side: `train` or `val`.

    Returns:
        One shape for each volume; none where fastMRI has no such set.
    """
    shapes: list[BatchShape] = []
    for (its_challenge, its_anatomy, its_side), (num_volumes, num_slices) in _EXTENT.items():
        if (its_challenge, its_side) != (challenge, side) or anatomy not in ("", its_anatomy):
            continue
        num_coils, readout, phase = _KSPACE[its_anatomy]
        kspace = (num_coils if challenge == "multicoil" else 1, readout, phase)
        least, longer = divmod(num_slices, num_volumes)
        shapes += [
            BatchShape(num_slices=least + (index < longer), kspace=kspace, window=_WINDOW, reference=_WINDOW)
            for index in range(num_volumes)
        ]
    return tuple(shapes)
