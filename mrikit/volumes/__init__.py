"""Volumes: raw k-space files of several formats as one type."""

from mrikit.storage import Location
from mrikit.volumes.files import find_volumes, open_volume
from mrikit.volumes.index import Index, build_index, load_index
from mrikit.volumes.volume import ScanInfo, SliceArray, Volume
from mrikit.volumes.write import write_fastmri, write_ismrmrd, write_snu

__all__ = [
    "Index",
    "Location",
    "ScanInfo",
    "SliceArray",
    "Volume",
    "build_index",
    "find_volumes",
    "load_index",
    "open_volume",
    "write_fastmri",
    "write_ismrmrd",
    "write_snu",
]
