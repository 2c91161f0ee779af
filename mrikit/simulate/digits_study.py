"""DigitsStudy: handwritten digits as slices of single-coil volumes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mrikit.errors import ConfigError, DataError
from mrikit.simulate.planned import PlannedVolume, split_of_patient
from mrikit.simulate.scan import centred_fft2
from mrikit.volumes import ScanInfo, Volume

DIGITS_PER_VOLUME = 100
BRIGHTEST = 255.0


@dataclass(frozen=True, kw_only=True, slots=True)
class DigitsStudy:
    """Which digits to write as k-space."""

    folder: Path
    """Where the files go."""
    source: Path
    """The file of digits, see `mrikit.simulate.digits`."""
    num_volumes: int = 0
    """The first so many volumes; 0 for as many as the file fills."""
    num_slices: int = DIGITS_PER_VOLUME
    """Digits per volume, at least 1."""

    def __post_init__(self) -> None:
        if self.num_volumes < 0:
            raise ConfigError(f"a number of volumes is 0 or more, found {self.num_volumes}")
        if self.num_slices < 1:
            raise ConfigError(f"a volume needs at least 1 slice, found {self.num_slices}")

    @property
    def anatomy(self) -> str:
        """What every volume shows."""
        return "digits"

    @property
    def layout(self) -> str:
        """How its files are written."""
        return "fastmri"

    @property
    def num_coils(self) -> tuple[int, ...]:
        """One, which sees everything alike."""
        return (1,)


@dataclass(frozen=True, kw_only=True, slots=True)
class DigitsPlan:
    """Which digits one volume has."""

    first: int
    """Place of its first digit in the file."""
    num_slices: int
    matrix: tuple[int, int]
    """(readout, phase), which is the size of the digits."""
    volume_id: str
    patient_id: str

    @property
    def size_bytes(self) -> int:
        """Bytes of k-space and reference."""
        return self.num_slices * 12 * self.matrix[0] * self.matrix[1]


def plan_digits(study: DigitsStudy, digits: npt.NDArray[np.uint8]) -> list[PlannedVolume[DigitsPlan]]:
    """Every volume of a study, in order: runs of digits as the file has them, so that no two volumes share one.

    Raises:
        DataError: The file has too few digits.
    """
    most = len(digits) // study.num_slices
    if max(study.num_volumes, 1) > most:
        raise DataError(
            f"{study.source}: its {len(digits)} digits fill {most} volumes of {study.num_slices}, "
            f"{max(study.num_volumes, 1)} are asked for; fewer --volumes or --slices would do"
        )
    planned = []
    for number in range(study.num_volumes or most):
        name, split = f"digits{number:05d}", split_of_patient(number)
        scan = DigitsPlan(
            first=number * study.num_slices,
            num_slices=study.num_slices,
            matrix=(digits.shape[1], digits.shape[2]),
            volume_id=name,
            patient_id=f"digits-{number:05d}",
        )
        path = study.folder / f"singlecoil_{split}" / f"{name}.h5"
        planned.append(PlannedVolume(scan=scan, split=split, path=path))
    return planned


def scan_digits(plan: DigitsPlan, digits: npt.NDArray[np.uint8]) -> Volume:
    """K-space of the digits of one volume, from 0 to 1, without noise.

    Args:
        plan: The volume.
        digits: (digit, y, x) uint8, all of the file.
    """
    image = digits[plan.first : plan.first + plan.num_slices].astype(np.float32) / np.float32(BRIGHTEST)
    info = ScanInfo(
        volume_id=plan.volume_id,
        patient_id=plan.patient_id,
        anatomy="digits",
        acquisition="DIGITS",
        matrix=plan.matrix,
        recon_matrix=plan.matrix,
        padding=(0, plan.matrix[1]),
        reference_max=float(image.max()),
    )
    return Volume(kspace=centred_fft2(image)[:, None], reference=image, info=info)
