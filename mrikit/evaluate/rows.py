"""What is known of one volume after scoring: its scores and those of its boxes, or why it has none."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class BoxScore:
    """The score of one box, in pixels of the scored window."""

    slice_index: int
    x: float
    y: float
    width: float
    height: float
    label: str
    """What the reader of the images saw."""
    ssim: float
    """Mean SSIM of the windows whose middle lies in the box."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeScore:
    """The scores of one reconstructed volume."""

    volume_id: str
    path: str
    """File of the volume, absolute."""
    reconstruction: str
    """File of the reconstruction, relative to the folder of the scores."""
    label: str
    """The model, and what tells this run from others of it at the same acceleration; scores are grouped by it."""
    model: str
    settings: tuple[str, ...]
    """What was chosen besides model, mask and acceleration, each as `name=value`."""
    patient_id: str | None
    """None if the file names no patient; the volume then counts as one of its own."""
    acquisition: str | None
    anatomy: str | None
    mask: str
    """Kind of sampling mask."""
    acceleration: float
    """Nominal acceleration; for a mask that was stored in the file its estimate, rounded."""
    true_acceleration: float
    """Acquired lines over sampled ones."""
    num_slices: int
    ssim: float
    """Mean over slices."""
    psnr: float
    """dB; infinite where reconstruction and reference are equal."""
    nmse: float
    mse: float
    """In the squared scale of the data."""
    slice_ssim: tuple[float | None, ...]
    """SSIM of each slice; None for one that the scorer does not count."""
    scorer: str
    """Name of the definition of all scores of this row."""
    lesion_ssim: float | None = None
    """Mean over boxes; None if no box was scored."""
    num_boxes: int = 0
    """Scored boxes."""
    num_boxes_found: int = 0
    """Boxes that there are for the volume, scored or not."""
    boxes: tuple[BoxScore, ...] = ()
    num_timed: int = 0
    """Slices whose forward pass was timed and counts."""
    forward_seconds: float = 0.0
    """Of these together."""
    kspace_nmse: float | None = None
    """Energy of the error of k-space over that of full k-space, of all slices together; None where a method fills no
    k-space, or full k-space is not known."""
    kspace_energy: float | None = None
    """That of full k-space, in the squared scale of the data."""
    banding_db: float | None = None
    """Mean of `slice_banding_db`, above 0 for bands and below for streaks; None by a scorer that has none."""
    slice_banding_db: tuple[float | None, ...] = ()
    """Directional excess of each slice; None for one with too few windows that count."""
    is_transposed: bool = False
    """Whether readout and phase were swapped before it was undersampled."""
    told: float | None = None
    """Share of the slices whose orientation a classifier told, which says nothing without the other orientation; None
    without a classifier."""
    told_of_reference: float | None = None
    """The same of the reference."""
    slice_logits: tuple[float, ...] = ()
    """Of the classifier for each slice, above 0 for transposed."""
    slice_reference_logits: tuple[float, ...] = ()
    """The same of the reference."""
    classifier: str = ""
    """Digest of the classifier's weights; empty without one."""

    @property
    def volume(self) -> tuple[str, str]:
        """File and name of the volume: a file may hold several."""
        return self.path, self.volume_id

    @property
    def num_counted(self) -> int:
        """Slices that count."""
        return sum(ssim is not None for ssim in self.slice_ssim)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unscored:
    """A volume without a score."""

    volume_id: str
    path: str
    """File of the volume, absolute; the reconstruction's if there is no such volume."""
    reconstruction: str | None
    """File of the reconstruction, relative to the folder of the scores; None if there is none."""
    reason: str
