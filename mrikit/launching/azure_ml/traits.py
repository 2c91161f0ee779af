"""What Azure ML is like as a back end."""

from mrikit.launching.job import Backend, JobSpec
from mrikit.launching.traits import Traits
from mrikit.storage import BlobPath


def _open() -> Backend:
    from mrikit.launching.azure_ml.backend import AzureBackend

    return AzureBackend()


def _gpus_of_machines(spec: JobSpec) -> int:
    """All GPUs of a machine of the linked estate that the job would get."""
    from mrikit.estate.prices import load_prices
    from mrikit.launching.azure_ml.cluster import default_gpus
    from mrikit.storage.estate import require_estate

    return default_gpus(spec, require_estate().clusters, load_prices())


AZURE = Traits(
    name="azure",
    open=_open,
    resources=("cluster", "data_mode", "environment", "experiment", "shm_size"),
    shares_files=False,
    default_runs=BlobPath("runs"),
    has_stage_jobs=True,
    has_queue=True,
    is_in_estate=True,
    default_gpus=_gpus_of_machines,
)
