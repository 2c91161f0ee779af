"""Unpacked data from one folder to another, on disk and in Blob, with their manifests and their index."""

from mrikit.transfer.data_set.copy import DataSetResult, copy_data_set
from mrikit.transfer.data_set.plan import DataSetPlan, SetFile, plan_data_set

__all__ = ["DataSetPlan", "DataSetResult", "SetFile", "copy_data_set", "plan_data_set"]
