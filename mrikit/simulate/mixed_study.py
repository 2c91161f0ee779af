"""MixedStudy: photographs, brains and discs, scanned in as many ways as scanners do."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrikit.errors import ConfigError
from mrikit.randomness import Key, generator
from mrikit.simulate.planned import PlannedVolume, split_of_patient
from mrikit.simulate.study import MOST_COILS, NUM_FILES, NUM_SEEDS, SMALLEST_MATRIX

SHARES = {"PHOTOGRAPH": 0.6, "TEMPLATE": 0.28, "DISCS": 0.12}
"""What volumes are made of, and how many of them."""
ONE_COIL_SHARE = 0.3
MOST_DRAWN_COILS = 20
WINDOW = (96, 320)
"""Rows of the scored window."""
FIELD_OF_VIEW_MM = (160.0, 320.0)
"""Height of the scored window."""
OVERSAMPLINGS = (1, 2)
"""Of the readout."""
LARGEST_PHASE_OVERSAMPLING = 1.25
NOISE_LEVELS = (0.002, 0.08)
"""As `MixedPlan.noise_level`. Corners of public scans have .019 (16-coil phantom), .024 (knee), .03 (head)."""
INTENSITIES = (1e-5, 1e3)
"""Scanners and converters differ: of four public scans the brightest pixels are 1.7e-4 (knee) to 152 (head)."""
COIL_REACHES = (0.6, 2.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class MixedStudy:
    """How many mixed volumes to simulate; all else is drawn."""

    folder: Path
    """Where the files go."""
    num_volumes: int
    """At least 1; each is a patient of its own."""
    num_slices: int = 6
    """Slices per volume, at least 1."""
    num_coils: tuple[int, ...] = ()
    """Coils of the volumes, in turn; empty to draw 1 to 20 for each."""
    matrix: tuple[int, int] | None = None
    """(readout, phase) of every volume instead of drawn ones."""
    template: Path | None = None
    """A NIfTI file with six classes; None for the ICBM152 average of nilearn."""
    seed: int = 0
    """Decides every random number, together with the names of volume, slice and purpose."""

    def __post_init__(self) -> None:
        for what, count in (("study", self.num_volumes), ("volume", self.num_slices)):
            if count < 1:
                part = "volume" if what == "study" else "slice"
                raise ConfigError(f"a {what} needs at least 1 {part}, found {count}")
        if not all(1 <= count <= MOST_COILS for count in self.num_coils):
            raise ConfigError(f"coil counts must lie in 1..{MOST_COILS}, found {','.join(map(str, self.num_coils))}")
        if self.matrix is not None and min(self.matrix) < SMALLEST_MATRIX:
            found = ",".join(map(str, self.matrix))
            raise ConfigError(f"a matrix is readout,phase of at least {SMALLEST_MATRIX}, found {found}; try 320,320")
        if self.seed < 0:
            raise ConfigError(f"a seed is 0 or more, found {self.seed}")

    @property
    def anatomy(self) -> str:
        """What every volume shows."""
        return "mixed"

    @property
    def layout(self) -> str:
        """How its files are written."""
        return "fastmri"


@dataclass(frozen=True, kw_only=True, slots=True)
class MixedPlan:
    """Everything that decides one volume but photographs and template."""

    seed: int
    number: int
    """Of the volume, from 0."""
    kind: str
    """A name of `SHARES`."""
    num_coils: int
    num_slices: int
    matrix: tuple[int, int]
    """(readout, phase), oversampling included."""
    recon_matrix: tuple[int, int]
    """(y, x) of the scored window, centred."""
    pixel_mm: tuple[float, float]
    """(y, x) distance of the pixels."""
    noise_level: float
    """Standard deviation of the noise of all coils together, over the brightest pixel without noise. It is what the
    background of a root-sum-of-squares image shows, whatever the number of coils."""
    intensity: float
    """Brightest pixel of the window, without noise and but for ringing."""
    coil_reach: float
    """Distance, in halves of the window, over which coils see: large ones are smooth, small ones local."""
    volume_id: str
    patient_id: str

    @property
    def key(self) -> Key:
        """Names the volume in every draw; no other volume has it."""
        return (self.seed, "mixed", self.number)

    @property
    def size_bytes(self) -> int:
        """Bytes of k-space and reference."""
        kspace = self.num_slices * self.num_coils * self.matrix[0] * self.matrix[1] * 8
        return kspace + self.num_slices * self.recon_matrix[0] * self.recon_matrix[1] * 4


def plan_mixed(study: MixedStudy) -> list[PlannedVolume[MixedPlan]]:
    """Every volume of a study, in order. Volume n is the same in every study that has it."""
    return [_plan(study, number) for number in range(study.num_volumes)]


def _plan(study: MixedStudy, number: int) -> PlannedVolume[MixedPlan]:
    key: Key = (study.seed, "mixed", number)
    matrix, window = _matrix(study, key)
    pixel_mm = _between(key, "field of view", FIELD_OF_VIEW_MM) / window[0]
    stretch = float(generator(*key, "stretch").uniform(0.85, 1.15))
    num_coils = study.num_coils[number % len(study.num_coils)] if study.num_coils else _num_coils(key)
    name, split = f"file_mixed_{7_000_000 + study.seed % NUM_SEEDS * NUM_FILES + number}", split_of_patient(number)
    scan = MixedPlan(
        seed=study.seed,
        number=number,
        kind=str(generator(*key, "kind").choice(list(SHARES), p=list(SHARES.values()))),
        num_coils=num_coils,
        num_slices=study.num_slices,
        matrix=matrix,
        recon_matrix=window,
        pixel_mm=(pixel_mm, pixel_mm * stretch),
        noise_level=_between(key, "noise level", NOISE_LEVELS),
        intensity=_between(key, "intensity", INTENSITIES),
        coil_reach=_between(key, "coil reach", COIL_REACHES),
        volume_id=name,
        patient_id=f"sim-mixed-{study.seed}-{number:05d}",
    )
    # Folders that name no number of coils: one network is to learn them all.
    return PlannedVolume(scan=scan, split=split, path=study.folder / split / f"{name}.h5")


def _matrix(study: MixedStudy, key: Key) -> tuple[tuple[int, int], tuple[int, int]]:
    """(readout, phase) of k-space, and the (y, x) window in its middle."""
    rng = generator(*key, "matrix")
    # Half of the scans have no more phase lines than the window has columns.
    oversampling = int(rng.choice(OVERSAMPLINGS)), max(1.0, rng.uniform(0.75, LARGEST_PHASE_OVERSAMPLING))
    height = _between(key, "rows", WINDOW)
    window = _even(height), _even(min(height * rng.uniform(0.75, 1.15), WINDOW[1]))
    if study.matrix is None:
        return (oversampling[0] * window[0], _even(window[1] * oversampling[1])), window
    readout, phase = study.matrix
    return study.matrix, (_even(readout / oversampling[0]), min(_even(phase / oversampling[1]), phase))


def _num_coils(key: Key) -> int:
    rng = generator(*key, "number of coils")
    return 1 if rng.random() < ONE_COIL_SHARE else int(rng.integers(2, MOST_DRAWN_COILS + 1))


def _between(key: Key, purpose: str, ends: tuple[float, float]) -> float:
    """Drawn evenly on a logarithmic scale."""
    return float(np.exp(generator(*key, purpose).uniform(np.log(ends[0]), np.log(ends[1]))))


def _even(size: float) -> int:
    return 2 * round(size / 2)
