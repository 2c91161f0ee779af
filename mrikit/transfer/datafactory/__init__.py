"""Archives into Blob by the estate's Data Factory."""

from mrikit.transfer.datafactory.archive_run import Finding
from mrikit.transfer.datafactory.engine import PARAMETERS, DataFactorySettings, copy_archives, plan_copies

__all__ = ["PARAMETERS", "DataFactorySettings", "Finding", "copy_archives", "plan_copies"]
