"""Tissues and their relaxation at 1.5 and 3 tesla, with the spread between patients."""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class Tissue:
    """What the signal equations need to know of one tissue."""

    proton_density: float
    """Visible protons, 1 for free water."""
    t1_ms: float
    """Longitudinal relaxation time of the water, milliseconds."""
    t2_ms: float
    """Transverse relaxation time of the water, milliseconds."""
    fat_fraction: float = 0.0
    """Share of the protons that belong to fat."""
    enhancement_per_s: float = 0.0
    """Increase of 1/T1 after the contrast agent, 1/second."""


def _tissue(density: float, t1_ms: float, t2_ms: float, fat: float = 0.0, enhancement: float = 0.0) -> Tissue:
    return Tissue(proton_density=density, t1_ms=t1_ms, t2_ms=t2_ms, fat_fraction=fat, enhancement_per_s=enhancement)


# Rounded from the literature for 3 tesla (Stanisz et al., MRM 54:507 (2005); Gold et al., AJR 183:343 (2004);
# Bojorquez et al., MRI 35:69 (2017)). Fat has the long apparent T2 of a fast spin echo.
TISSUES_3T = {
    "skin": _tissue(0.62, 950, 38, 0.15, 0.6),
    "subcutaneous_fat": _tissue(0.95, 382, 135, 0.93),
    "deep_fat": _tissue(0.90, 382, 130, 0.86),
    "fascia": _tissue(0.42, 800, 16, 0.25),
    "muscle": _tissue(0.78, 1420, 33, 0.04, 0.4),
    "cortical_bone": _tissue(0.07, 300, 2),
    "yellow_marrow": _tissue(0.86, 700, 60, 0.80),
    "red_marrow": _tissue(0.80, 800, 58, 0.50, 0.3),
    "bone_scar": _tissue(0.45, 700, 30, 0.45),
    "cartilage": _tissue(0.82, 1200, 42, 0.0, 0.1),
    "meniscus": _tissue(0.42, 900, 10, 0.0),
    "ligament": _tissue(0.36, 900, 9, 0.05),
    "synovium": _tissue(0.80, 1300, 62, 0.15, 1.6),
    "joint_fluid": _tissue(0.98, 3200, 620),
    "edema": _tissue(0.92, 1500, 95, 0.35, 0.9),
    "slow_vessel": _tissue(0.92, 1800, 160, 0.0, 5.0),
    "flow_void": _tissue(0.16, 1600, 60, 0.0, 9.0),
    "venous_blood": _tissue(0.60, 1750, 38, 0.0, 6.5),
    "diploe": _tissue(0.70, 450, 85, 0.65),
    "dura": _tissue(0.50, 950, 28, 0.05, 2.2),
    "csf": _tissue(1.00, 4200, 1400),
    "gray_matter": _tissue(0.83, 1500, 99, 0.0, 0.06),
    "deep_gray": _tissue(0.80, 1250, 80, 0.0, 0.05),
    "pallidum": _tissue(0.76, 1080, 58, 0.0, 0.05),
    "white_matter": _tissue(0.70, 880, 70, 0.0, 0.03),
    "choroid": _tissue(0.90, 1700, 170, 0.0, 3.2),
    "gliosis": _tissue(0.88, 1500, 165),
    "tumor_core": _tissue(0.92, 2300, 260, 0.0, 0.2),
    "tumor_rim": _tissue(0.86, 1500, 120, 0.0, 3.5),
}

T1_RATIO_AT_1P5T = 0.78
"""T1 of water at 1.5 tesla over that at 3 tesla; T2 hardly changes."""
SPREAD_BETWEEN_PATIENTS = 0.04
"""Standard deviation of the logarithm of T1 and T2 from patient to patient; half of it for the proton density."""


def patient_tissues(field_strength_t: float, rng: np.random.Generator) -> dict[str, Tissue]:
    """The tissue table of one patient.

    Args:
        field_strength_t: 1.5 or 3, tesla.
        rng: Draws the patient's deviations, three per tissue in the order of the table.
    """
    ratio = T1_RATIO_AT_1P5T if field_strength_t < 2 else 1.0
    table = {}
    for name, tissue in TISSUES_3T.items():
        deviation = np.exp(SPREAD_BETWEEN_PATIENTS * rng.standard_normal(3))
        table[name] = replace(
            tissue,
            proton_density=float(tissue.proton_density * deviation[0] ** 0.5),
            t1_ms=float(tissue.t1_ms * ratio * deviation[1]),
            t2_ms=float(tissue.t2_ms * deviation[2]),
        )
    return table
