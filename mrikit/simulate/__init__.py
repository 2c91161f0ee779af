"""Simulation: random anatomies, scanned by simulated coils, in the file formats of the real data."""

from mrikit.simulate.scan import ScanPlan, SimulatedScan, simulate_scan
from mrikit.simulate.study import PlannedVolume, StudyConfig, plan_study
from mrikit.simulate.write_study import missing_volumes, simulate_study

__all__ = [
    "PlannedVolume",
    "ScanPlan",
    "SimulatedScan",
    "StudyConfig",
    "missing_volumes",
    "plan_study",
    "simulate_scan",
    "simulate_study",
]
