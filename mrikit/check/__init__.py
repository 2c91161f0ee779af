"""Check a data folder: is everything there, whole, and what it says it is. Only `is_deep` loads torch."""

from mrikit.check.findings import Finding
from mrikit.check.folder import Report, check_folder

__all__ = ["Finding", "Report", "check_folder"]
