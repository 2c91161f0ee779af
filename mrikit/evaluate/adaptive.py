"""Whether a method that chose its lines itself chose them by what it saw."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from mrikit.evaluate.rows import VolumeScore
from mrikit.metrics.adaptivity import Adaptivity, measure_adaptivity
from mrikit.volumes.reconstruction import read_chances


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderAdaptivity:
    """How much the lines of a folder's volumes at one acceleration depend on what they show."""

    acceleration: float
    """As in `VolumeScore`."""
    num_slices: int
    num_decisions: int
    first: Adaptivity
    """Of the first decision, before which all slices were measured alike."""
    total: Adaptivity
    """Summed over decisions. Later ones follow earlier ones: where these draw, their chance counts as adaptation."""

    @property
    def line(self) -> str:
        """All of it in words."""
        more = f", {self.first.information_bits:.2f} in the first of {self.num_decisions} decisions"
        return (
            f"adaptivity at {self.acceleration:g}x: {self.total.information_bits:.2f} of "
            f"{self.total.marginal_bits:.2f} bits of the choice depend on the slice"
            f"{more if self.num_decisions > 1 else ''} ({self.num_slices} slices; 0 is the same for all)"
        )


def folder_adaptivity(recon: Path, rows: Iterable[VolumeScore]) -> list[FolderAdaptivity]:
    """For each acceleration where slices were measured by lines of their own, how much these depend on the slices.

    Args:
        recon: Folder of reconstructions.
        rows: Its scored volumes.

    Raises:
        DataError: A file cannot be read.
    """
    found: dict[tuple[float, tuple[int, ...]], list[np.ndarray]] = {}
    for row in rows:
        chances = read_chances(recon / row.reconstruction)
        if chances is not None and chances.shape[1]:
            # Of several widths each has lines of its own.
            found.setdefault((row.acceleration, chances.shape[1:]), []).append(chances)
    return [_measure(acceleration, np.concatenate(parts)) for (acceleration, _), parts in sorted(found.items())]


def _measure(acceleration: float, chances: np.ndarray) -> FolderAdaptivity:
    """Of (slice, decision, phase) chances."""
    each = [measure_adaptivity(chances[:, decision]) for decision in range(chances.shape[1])]
    total = {field.name: sum(getattr(one, field.name) for one in each) for field in fields(Adaptivity)}
    return FolderAdaptivity(
        acceleration=acceleration,
        num_slices=len(chances),
        num_decisions=len(each),
        first=each[0],
        total=Adaptivity(**total),
    )
