"""Acquisitions by their fastMRI names, and the signal that a tissue gives in them."""

from dataclasses import dataclass
from math import exp

from mrikit.simulate.tissue import Tissue

FAT_T1_MS = 370.0
FAT_T2_MS = 130.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Acquisition:
    """One protocol: its timing and how much noise it has."""

    name: str
    """As fastMRI writes it, such as `AXT2`."""
    repetition_time_ms: float
    echo_time_ms: float
    inversion_time_ms: float | None = None
    """Time between inversion and excitation; None without an inversion."""
    fat_residual: float = 1.0
    """Share of the fat signal that the fat suppression leaves; 1 without suppression."""
    has_contrast_agent: bool = False
    snr: float
    """Mean signal in the body over the standard deviation of the noise in one coil (real or imaginary part)."""


ACQUISITIONS = {
    acquisition.name: acquisition
    for acquisition in (
        Acquisition(name="CORPD_FBK", repetition_time_ms=2750, echo_time_ms=30, snr=95),
        Acquisition(name="CORPDFS_FBK", repetition_time_ms=2900, echo_time_ms=33, fat_residual=0.10, snr=42),
        Acquisition(name="AXT1", repetition_time_ms=450, echo_time_ms=9, snr=85),
        Acquisition(name="AXT1POST", repetition_time_ms=450, echo_time_ms=9, has_contrast_agent=True, snr=85),
        Acquisition(name="AXT2", repetition_time_ms=5800, echo_time_ms=104, snr=105),
        Acquisition(
            name="AXFLAIR", repetition_time_ms=9000, echo_time_ms=88, inversion_time_ms=2500, fat_residual=0.55, snr=70
        ),
    )
}


def signal(tissue: Tissue, acquisition: Acquisition) -> float:
    """Spin-echo or inversion-recovery magnitude of one tissue, water and fat added, 1 at full magnetisation.

    Source:
        Bernstein, King, Zhou, Handbook of MRI Pulse Sequences (2004), equations 14.34 (inversion recovery with a
        short echo time against TR) and 14.59 (spin echo).
    """
    rate = 1e-3 * tissue.enhancement_per_s if acquisition.has_contrast_agent else 0.0
    water = _relaxed(1 / (1 / tissue.t1_ms + rate), tissue.t2_ms, acquisition)
    fat = acquisition.fat_residual * _relaxed(FAT_T1_MS, FAT_T2_MS, acquisition)
    return tissue.proton_density * ((1 - tissue.fat_fraction) * water + tissue.fat_fraction * fat)


def _relaxed(t1_ms: float, t2_ms: float, acquisition: Acquisition) -> float:
    recovery = 1 - exp(-acquisition.repetition_time_ms / t1_ms)
    if acquisition.inversion_time_ms is not None:
        recovery = 1 - 2 * exp(-acquisition.inversion_time_ms / t1_ms) + exp(-acquisition.repetition_time_ms / t1_ms)
    return abs(recovery) * exp(-acquisition.echo_time_ms / t2_ms)
