"""PlannedVolume: one volume of a study before it is simulated, and the split that its patient is in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

SPLIT_OF_PATIENT = ("val", "train", "train", "test", "train", "train", "train", "val", "train", "train")
"""Split of patient number n % 10: 70 % train, 20 % val, 10 % test. A function of the number alone, so that a study
that grows never moves a patient; the first is val, so that every study can be scored."""


class Plan(Protocol):
    """What every plan of a scan says."""

    @property
    def matrix(self) -> tuple[int, int]:
        """(readout, phase) of k-space."""
        ...

    @property
    def patient_id(self) -> str:
        """Volumes of one patient share it."""
        ...

    @property
    def size_bytes(self) -> int:
        """Bytes of k-space and reference."""
        ...


P = TypeVar("P", bound=Plan)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedVolume(Generic[P]):
    """One volume of a study: how it is scanned and where it goes."""

    scan: P
    split: str
    """`train`, `val` or `test`."""
    acceleration: int = 1
    """Of the stored mask, where the file has one; 1 for files that are full in every split."""
    path: Path
    """The k-space file."""


def split_of_patient(patient: int) -> str:
    """`train`, `val` or `test`, by the number of the patient alone."""
    return SPLIT_OF_PATIENT[patient % len(SPLIT_OF_PATIENT)]
