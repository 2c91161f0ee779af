"""TemplateStudy: heads made of one average brain, each with a shape, contrast, coils and noise of its own."""

from dataclasses import dataclass
from pathlib import Path

from mrikit.errors import ConfigError
from mrikit.randomness import Key
from mrikit.simulate.planned import PlannedVolume, split_of_patient
from mrikit.simulate.study import MOST_COILS, NUM_FILES, NUM_SEEDS, SMALLEST_MATRIX

COIL_MODELS = ("loops", "array", "ellipse")
TEMPLATE_MATRICES = {"full": (145, 121), "half": (96, 80), "small": (72, 60)}
"""(readout, phase) by size; the field of view is the same, and `full` has the 1.5 mm of the template."""
TEMPLATE_SLICES = 40
LARGEST_DEFORMATION_MM = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateStudy:
    """What to simulate of a template."""

    folder: Path
    """Where the files go."""
    num_volumes: int
    """At least 1; each is a patient of its own."""
    template: Path | None = None
    """A NIfTI file with six classes; None for the ICBM152 average of nilearn."""
    num_coils: tuple[int, ...] = (8,)
    """Coils of the volumes, in turn; 1 gives single-coil files."""
    num_slices: int = TEMPLATE_SLICES
    """Slices per volume between 3 and 61.5 mm above the origin of MNI space, 1.5 mm apart where there are 40."""
    size: str = "full"
    """A name of `TEMPLATE_MATRICES`."""
    matrix: tuple[int, int] | None = None
    """(readout, phase) of every volume instead; the pixels change, not the field of view."""
    deformation_mm: float = 3.0
    """Standard deviation of the bend of each volume along each axis, millimetres; 0 for the template itself."""
    coil_model: str = "loops"
    """`loops` around the head, turned anew for each patient; an `array` of them that hardly moves; point dipoles on an
    `ellipse` further away, as in the learned-sampling study."""
    seed: int = 0
    """Decides every random number, together with the names of volume and purpose."""

    def __post_init__(self) -> None:
        for name, value, known in (
            ("size", self.size, tuple(TEMPLATE_MATRICES)),
            ("coil model", self.coil_model, COIL_MODELS),
        ):
            if value not in known:
                raise ConfigError(f"no {name} is called {value!r}; choose {' or '.join(known)}")
        for what, count in (("volume", self.num_volumes), ("slice", self.num_slices)):
            if count < 1:
                raise ConfigError(f"a study needs at least 1 {what}, found {count}")
        if not self.num_coils or not all(1 <= count <= MOST_COILS for count in self.num_coils):
            found = ",".join(map(str, self.num_coils)) or "none"
            raise ConfigError(f"coil counts must lie in 1..{MOST_COILS}, found {found}")
        if self.matrix is not None and min(self.matrix) < SMALLEST_MATRIX:
            found = ",".join(map(str, self.matrix))
            raise ConfigError(f"a matrix is readout,phase of at least {SMALLEST_MATRIX}, found {found}; try 145,121")
        if not 0 <= self.deformation_mm <= LARGEST_DEFORMATION_MM:
            raise ConfigError(
                f"a deformation is 0 to {LARGEST_DEFORMATION_MM:g} mm, so that nothing folds; found "
                f"{self.deformation_mm:g}"
            )
        if self.seed < 0:
            raise ConfigError(f"a seed is 0 or more, found {self.seed}")

    @property
    def anatomy(self) -> str:
        """What every volume shows."""
        return "brain"

    @property
    def layout(self) -> str:
        """How its files are written."""
        return "fastmri"


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplatePlan:
    """Everything that decides one volume but the template."""

    seed: int
    number: int
    """Of the volume, from 0."""
    num_coils: int
    num_slices: int
    matrix: tuple[int, int]
    """(readout, phase), which is the size of the image too."""
    deformation_mm: float
    coil_model: str
    volume_id: str
    patient_id: str

    @property
    def key(self) -> Key:
        """Names the volume in every draw; no other volume has it."""
        return (self.seed, "brain template", self.number)

    @property
    def size_bytes(self) -> int:
        """Bytes of k-space and reference."""
        return self.num_slices * (8 * self.num_coils + 4) * self.matrix[0] * self.matrix[1]


def plan_template(study: TemplateStudy) -> list[PlannedVolume[TemplatePlan]]:
    """Every volume of a study, in order. Volume n is the same in every study that has it."""
    return [_plan(study, number) for number in range(study.num_volumes)]


def _plan(study: TemplateStudy, number: int) -> PlannedVolume[TemplatePlan]:
    num_coils = study.num_coils[number % len(study.num_coils)]
    split = split_of_patient(number)
    name = f"file_brain_TEMPLATE_200_{6_000_000 + study.seed % NUM_SEEDS * NUM_FILES + number}"
    scan = TemplatePlan(
        seed=study.seed,
        number=number,
        num_coils=num_coils,
        num_slices=study.num_slices,
        matrix=study.matrix or TEMPLATE_MATRICES[study.size],
        deformation_mm=study.deformation_mm,
        coil_model=study.coil_model,
        volume_id=name,
        patient_id=f"sim-template-{study.seed}-{number:05d}",
    )
    folder = study.folder / f"{'singlecoil' if num_coils == 1 else 'multicoil'}_{split}"
    return PlannedVolume(scan=scan, split=split, path=folder / f"{name}.h5")
