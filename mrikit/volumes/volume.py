"""Volume: the k-space of one scan with what is known about it, in mrikit's axis order."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.masks import AcquiredRegion
from mrikit.storage import Location
from mrikit.volumes.faults import at_path
from mrikit.volumes.geometry import Geometry
from mrikit.volumes.layout import energy_center, energy_profiles, misplaced
from mrikit.volumes.sampling import Sampling, can_be_full, find_sampling, first_coil, look
from mrikit.volumes.slice_array import SliceArray

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanInfo:
    """What a file says about its scan. Absent facts are None, never guessed."""

    volume_id: str
    """File name without its suffix; unique within a data folder."""
    patient_id: str | None = None
    """Volumes of one patient share it, and never straddle two splits."""
    study_id: str | None = None
    """Volumes of one file share it, such as contrasts and repetitions; without a patient it keeps them together."""
    anatomy: str | None = None
    """`knee`, `brain`, ..."""
    acquisition: str | None = None
    """Name of the protocol as fastMRI writes it, such as `CORPD_FBK` or `AXT2`."""
    field_strength_t: float | None = None
    """Main magnetic field, tesla."""
    system: str | None = None
    """Model of the scanner as the header names it, such as `Aera`."""
    matrix: tuple[int, int]
    """(readout, phase) size of the encoded k-space, oversampling included."""
    recon_matrix: tuple[int, int]
    """(y, x) size of the scored window, a centre crop of the full field of view."""
    interpolated_matrix: tuple[int, int] | None = None
    """(y, x) size to which the scanner interpolates the window; mrikit does not. None where it does not either."""
    fov_mm: tuple[float, float] | None = None
    """(readout, phase) encoded field of view, millimetres."""
    padding: tuple[int, int]
    """[left, right) phase columns that the header says were acquired, all of them if there is none; `Volume.acquired`
    is what k-space shows."""
    reference_max: float | None = None
    """Maximum of the reference volume as stored in the file, in the scale of the data."""
    acceleration: float | None = None
    """Nominal acceleration of the file's own mask, at least 1."""
    num_center_lines: int | None = None
    """Fully sampled columns in the middle of the file's own mask, at least 1."""
    geometry: Geometry | None = None
    """Where the image of the full field of view lies in the patient."""
    source: Location | None = None
    """The file it came from."""
    notes: tuple[str, ...] = ()
    """What its reader left out, inferred or repaired, a line each."""

    @property
    def interpolation(self) -> str | None:
        """What to say of an image that the scanner interpolates; None where it does not."""
        if self.interpolated_matrix is None:
            return None
        shown, measured = (" x ".join(map(str, size)) for size in (self.interpolated_matrix, self.recon_matrix))
        return f"the scanner shows {shown} pixels, of which {measured} were measured in its field of view"


@dataclass(frozen=True, kw_only=True)
class Volume:
    """One scan: k-space, and where the file has them its reference image and sampling mask."""

    kspace: SliceArray
    """(slice, coil, readout, phase) complex64, read slice by slice."""
    reference: SliceArray | None = None
    """(slice, y, x) float32, already cropped to `info.recon_matrix`."""
    mask: npt.NDArray[np.bool_] | None = None
    """(phase,) or (readout, phase) bool as stored in the file, True where sampled; None if the file stores none."""
    planned_mask: npt.NDArray[np.bool_] | None = None
    """(phase,) or (readout, phase) bool that the file stores beside k-space that is not zero outside it. Such a volume
    has no `mask`: reconstructions without a plan of their own apply this one, training ignores it."""
    info: ScanInfo

    @cached_property
    def acquired(self) -> AcquiredRegion:
        """What the scanner acquired, by header and k-space together: the one answer for all who ask.

        Raises:
            DataError: All of k-space is zero, or a slice cannot be read.
        """
        return self._sampling.region

    @cached_property
    def is_fully_sampled(self) -> bool:
        """Whether all that the scanner acquired was measured; decided when it is first asked for.

        Raises:
            DataError: As for `acquired`.
        """
        return can_be_full(self.mask, self.info.padding) and self._seen.samples is None

    @property
    def sampled(self) -> npt.NDArray[np.bool_] | None:
        """What was measured, as the file stores it, or as k-space shows it where the file stores nothing.

        (phase,) or (readout, phase) bool; None if all that the scanner acquired was measured.

        Raises:
            DataError: As for `acquired`.
        """
        return self._sampling.samples

    def replaced(self, **changes: Any) -> "Volume":  # noqa: ANN401 - as dataclasses.replace
        """The volume with other facts or another way to the same k-space; what was decided about that stays."""
        changed = replace(self, **changes)
        changed.__dict__.update({name: self.__dict__[name] for name in _DECIDED if name in self.__dict__})
        return changed

    def rescanned(self, kspace: SliceArray, info: ScanInfo, region: AcquiredRegion) -> "Volume":
        """A fully sampled volume whose k-space was computed from this one's, and which has nothing else.

        Args:
            kspace: (slice, coil, readout, phase) complex64.
            info: The facts that fit it.
            region: What of it was acquired; computed zeros do not show it.
        """
        made = Volume(kspace=kspace, info=info)
        made.__dict__["_looked"] = Sampling(region, None), self.misplaced
        return made

    @cached_property
    def _sampling(self) -> Sampling:
        """Of an undersampled volume without a mask all slices tell, because the middle one may lack samples."""
        if self._seen.samples is None or self._seen.samples is self.mask:
            return self._seen
        return self._named(lambda: find_sampling(self.kspace, self.info.padding))

    @property
    def misplaced(self) -> str | None:
        """What is wrong with the place of the k-space centre, as the first coil shows it; None if nothing is.

        Raises:
            DataError: As for `acquired`.
        """
        return self._looked[1]

    @property
    def _seen(self) -> Sampling:
        """As the middle slice shows it."""
        return self._looked[0]

    @cached_property
    def _looked(self) -> tuple[Sampling, str | None]:
        """What the middle slice shows, which is read once for all of it."""

        def look_once() -> tuple[Sampling, str | None]:
            first = first_coil(self.kspace)
            center = energy_center(energy_profiles(first[None]))
            wrong = None if center is None else misplaced(center, self.info.matrix)
            return look(self.kspace, first, self.mask, self.info.padding), wrong

        return self._named(look_once)

    def _named(self, decide: Callable[[], _T]) -> _T:
        """What is decided; errors name the volume."""
        try:
            return decide()
        except DataError as error:
            raise at_path(error, self.info.source or self.info.volume_id) from error


_DECIDED = ("acquired", "is_fully_sampled", "_sampling", "_looked")
