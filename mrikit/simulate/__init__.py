"""Simulation: phantoms, an average brain, digits and mixtures as k-space, in the file formats of the real data."""

from mrikit.simulate.digits_study import DigitsStudy
from mrikit.simulate.mixed_study import MixedStudy
from mrikit.simulate.planned import PlannedVolume
from mrikit.simulate.scan import ScanPlan, SimulatedScan, simulate_scan
from mrikit.simulate.study import StudyConfig
from mrikit.simulate.template_study import TemplateStudy
from mrikit.simulate.write_study import Planned, Study, missing_volumes, plan_study, simulate_study

__all__ = [
    "DigitsStudy",
    "MixedStudy",
    "Planned",
    "PlannedVolume",
    "ScanPlan",
    "SimulatedScan",
    "Study",
    "StudyConfig",
    "TemplateStudy",
    "missing_volumes",
    "plan_study",
    "simulate_scan",
    "simulate_study",
]
