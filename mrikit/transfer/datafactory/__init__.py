"""Archives into Blob by the estate's Data Factory."""

from mrikit.transfer.datafactory.archive_run import ArchiveAction
from mrikit.transfer.datafactory.engine import PARAMETERS, DataFactorySettings, copy_archives, plan_copies, stop_copy

__all__ = ["PARAMETERS", "ArchiveAction", "DataFactorySettings", "copy_archives", "plan_copies", "stop_copy"]
