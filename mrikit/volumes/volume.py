"""Volume: the k-space of one scan with what is known about it, in mrikit's axis order."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mrikit.storage import Location
from mrikit.volumes.sampling import is_full
from mrikit.volumes.slice_array import SliceArray


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanInfo:
    """What a file says about its scan. Absent facts are None, never guessed."""

    volume_id: str
    """File name without its suffix; unique within a data folder."""
    patient_id: str | None = None
    """Volumes of one patient share it, and never straddle two splits."""
    study_id: str | None = None
    """Volumes of one study or file share it; it stands for a patient who is not named."""
    anatomy: str | None = None
    """`knee`, `brain`, ..."""
    acquisition: str | None = None
    """Name of the protocol as fastMRI writes it, such as `CORPD_FBK` or `AXT2`."""
    field_strength_t: float | None = None
    """Main magnetic field, tesla."""
    matrix: tuple[int, int]
    """(readout, phase) size of the encoded k-space, oversampling included."""
    recon_matrix: tuple[int, int]
    """(y, x) size of the scored window, a centre crop of the full field of view."""
    fov_mm: tuple[float, float] | None = None
    """(readout, phase) encoded field of view, millimetres."""
    padding: tuple[int, int]
    """[left, right) phase columns that the scanner acquired; the rest is zero filling."""
    reference_max: float | None = None
    """Maximum of the reference volume as stored in the file, in the scale of the data."""
    acceleration: float | None = None
    """Nominal acceleration of the file's own mask, at least 1."""
    num_center_lines: int | None = None
    """Fully sampled columns in the middle of the file's own mask, at least 1."""
    source: Location | None = None
    """The file it came from."""


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
    def is_fully_sampled(self) -> bool:
        """Whether every column that the scanner acquired was measured; decided when it is first asked for."""
        return is_full(self.kspace, self.mask, self.info.padding)
