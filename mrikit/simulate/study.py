"""A study: which volumes there are, whose they are, how they are scanned, and in which split they lie."""

from dataclasses import dataclass
from pathlib import Path

from mrikit.errors import ConfigError
from mrikit.simulate.phantom import ANATOMIES
from mrikit.simulate.planned import PlannedVolume, split_of_patient
from mrikit.simulate.scan import NARROWEST_MM, ScanPlan

LAYOUTS = ("fastmri", "snu")
PROTOCOLS = {
    "knee": (("CORPD_FBK", "CORPDFS_FBK"),),
    "brain": (("AXT2", "AXFLAIR"), ("AXT1", "AXT1POST")),
}
"""The acquisitions of one patient, in turn over the patients. Every patient has two volumes."""
VOLUMES_PER_PATIENT = 2
ACCELERATIONS = (4, 8)

_Scan = tuple[tuple[int, int], tuple[int, int], float]
MATRICES: dict[tuple[str, str, str], tuple[_Scan, ...]] = {
    # (readout, phase), scored window, share of the columns that are acquired; in turn over the patients.
    ("fastmri", "full", "knee"): (((640, 368), (320, 320), 0.875), ((640, 372), (320, 320), 1.0)),
    ("fastmri", "full", "brain"): (((640, 320), (320, 320), 1.0), ((768, 396), (384, 384), 0.9)),
    ("fastmri", "half", "knee"): (((320, 184), (160, 160), 0.875), ((320, 187), (160, 160), 1.0)),
    ("fastmri", "half", "brain"): (((320, 160), (160, 160), 1.0), ((384, 199), (192, 192), 0.9)),
    ("fastmri", "small", "knee"): (((192, 96), (96, 92), 0.875), ((192, 97), (96, 92), 1.0)),
    ("fastmri", "small", "brain"): (((192, 96), (96, 92), 1.0), ((192, 93), (96, 92), 0.9)),
    ("snu", "full", "knee"): (((768, 392), (384, 384), 1.0), ((768, 396), (384, 384), 1.0)),
    ("snu", "full", "brain"): (((768, 396), (384, 384), 1.0), ((768, 392), (384, 384), 1.0)),
    ("snu", "half", "knee"): (((384, 196), (192, 192), 1.0), ((384, 199), (192, 192), 1.0)),
    ("snu", "half", "brain"): (((384, 199), (192, 192), 1.0), ((384, 196), (192, 192), 1.0)),
    ("snu", "small", "knee"): (((192, 97), (96, 92), 1.0), ((192, 96), (96, 92), 1.0)),
    ("snu", "small", "brain"): (((192, 96), (96, 92), 1.0), ((192, 93), (96, 92), 1.0)),
}
"""The SNU format cannot say which columns were acquired, so there all of them are."""
SIZES = ("small", "half", "full")
MOST_COILS = 64
NUM_SEEDS, NUM_FILES = 100, 10_000
"""Studies of these seeds have no file name in common, up to so many files: a name tells a volume in fastMRI too."""
SMALLEST_MATRIX = 32
SMALLEST_VIEW_MM, LARGEST_VIEW_MM = NARROWEST_MM, 500.0
"""Of fields of view: smaller ones would wrap the body around."""
LARGEST_NOISE = 1000.0


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """What to simulate."""

    anatomy: str
    """`brain` or `knee`."""
    folder: Path
    """Where the files go."""
    num_volumes: int
    """At least 1."""
    num_coils: tuple[int, ...] = (8,)
    """Coils of the patients, in turn; 1 gives single-coil files."""
    num_slices: int = 6
    """Slices per volume, at least 1."""
    layout: str = "fastmri"
    """Folder and file format: `fastmri` or `snu`."""
    seed: int = 0
    """Decides every random number, together with the names of patient and purpose."""
    size: str = "small"
    """`full` for the matrix sizes of the real data, `half` for half of them, `small` for about a third."""
    matrix: tuple[int, int] | None = None
    """(readout, phase) of every volume instead of the sizes that belong to `size`."""
    field_of_view_mm: float = 0.0
    """Height of the scored window, such as 220: more shows more of what gives no signal. 0 for that of the anatomy."""
    noise: float = 1.0
    """Factor on the standard deviation of the noise of every protocol, such as 2."""

    def __post_init__(self) -> None:
        for name, value, known in (
            ("anatomy", self.anatomy, tuple(sorted(ANATOMIES))),
            ("layout", self.layout, LAYOUTS),
            ("size", self.size, SIZES),
        ):
            if value not in known:
                raise ConfigError(f"no {name} is called {value!r}; choose {' or '.join(known)}")
        if self.num_volumes < 1:
            raise ConfigError(f"a study needs at least 1 volume, found {self.num_volumes}")
        if self.num_slices < 1:
            raise ConfigError(f"a volume needs at least 1 slice, found {self.num_slices}")
        if not self.num_coils or not all(1 <= count <= MOST_COILS for count in self.num_coils):
            found = ",".join(map(str, self.num_coils)) or "none"
            raise ConfigError(f"coil counts must lie in 1..{MOST_COILS}, found {found}")
        if self.seed < 0:
            raise ConfigError(f"a seed is 0 or more, found {self.seed}")
        if self.matrix is not None and (min(self.matrix) < SMALLEST_MATRIX or self.matrix[0] % 2):
            found = ",".join(map(str, self.matrix))
            raise ConfigError(
                f"a matrix is an even readout and a phase of at least {SMALLEST_MATRIX}, found {found}; try 192,96"
            )
        shown, noise = self.field_of_view_mm, self.noise
        if shown and not SMALLEST_VIEW_MM[self.anatomy] <= shown <= LARGEST_VIEW_MM:
            raise ConfigError(
                f"a field of view of a {self.anatomy} is {SMALLEST_VIEW_MM[self.anatomy]:g} to {LARGEST_VIEW_MM:g} mm, "
                f"or 0 for the usual one; found {shown:g}"
            )
        if not 0 < noise <= LARGEST_NOISE:
            raise ConfigError(
                f"noise is a factor above 0 and at most {LARGEST_NOISE:g}, found {noise:g}; 1 is the protocols' own"
            )


def plan_phantoms(config: StudyConfig) -> list[PlannedVolume[ScanPlan]]:
    """Every volume of a study, in order. Volume n is the same in every study that has it."""
    return [_plan(config, index) for index in range(config.num_volumes)]


def _plan(config: StudyConfig, index: int) -> PlannedVolume[ScanPlan]:
    patient, visit = divmod(index, VOLUMES_PER_PATIENT)
    protocols = PROTOCOLS[config.anatomy]
    acquisition = protocols[patient % len(protocols)][visit]
    # Both accelerations meet both acquisitions: the order alternates from patient to patient.
    acceleration = ACCELERATIONS[(patient + visit) % 2]
    split = split_of_patient(patient)
    num_coils = config.num_coils[patient % len(config.num_coils)]
    path = _path(config, index, patient, split, acquisition, acceleration, num_coils)
    matrix, recon_matrix, share = _matrix(config, patient)
    scan = ScanPlan(
        seed=config.seed,
        anatomy=config.anatomy,
        patient=patient,
        acquisition=acquisition,
        num_coils=num_coils,
        num_slices=config.num_slices,
        matrix=matrix,
        recon_matrix=recon_matrix,
        num_acquired=round(share * matrix[1]),
        field_of_view_mm=config.field_of_view_mm,
        noise=config.noise,
        volume_id=path.stem,
        patient_id=f"sim-{config.anatomy}-{config.seed}-{patient:05d}",
    )
    return PlannedVolume(scan=scan, split=split, acceleration=acceleration, path=path)


def _matrix(config: StudyConfig, patient: int) -> _Scan:
    if config.matrix is not None:
        readout, phase = config.matrix
        return config.matrix, (readout // 2, min(readout // 2, phase)), 1.0
    choices = MATRICES[config.layout, config.size, config.anatomy]
    # Not in step with the protocols, so that every acquisition meets every matrix.
    return choices[(patient // len(PROTOCOLS[config.anatomy])) % len(choices)]


def _path(
    config: StudyConfig, index: int, patient: int, split: str, acquisition: str, acceleration: int, num_coils: int
) -> Path:
    if config.layout == "snu":
        if split == "test":
            return config.folder / f"leaderboard/acc{acceleration}/kspace/{config.anatomy}_test{patient + 1}.h5"
        return config.folder / f"{split}/{config.anatomy}/kspace/{config.anatomy}_acc{acceleration}_{patient + 1}.h5"
    folder = config.folder / f"{'singlecoil' if num_coils == 1 else 'multicoil'}_{split}"
    number = config.seed % NUM_SEEDS * NUM_FILES + index
    if config.anatomy == "knee":
        return folder / f"file{1_000_000 + number}.h5"
    return folder / f"file_brain_{acquisition}_200_{6_000_000 + number}.h5"
