"""Volumes: raw k-space files of several formats as one type."""

from mrikit.storage import Location
from mrikit.volumes.files import open_volume, open_volumes
from mrikit.volumes.index import Index, build_index, load_index
from mrikit.volumes.slice_array import SliceArray
from mrikit.volumes.volume import ScanInfo, Volume
from mrikit.volumes.volume_files import VolumeFile, find_volumes, scan_volumes, warn_of_notes
from mrikit.volumes.write import write_fastmri, write_ismrmrd, write_snu

__all__ = [
    "Index",
    "Location",
    "ScanInfo",
    "SliceArray",
    "Volume",
    "VolumeFile",
    "build_index",
    "find_volumes",
    "load_index",
    "open_volume",
    "open_volumes",
    "scan_volumes",
    "warn_of_notes",
    "write_fastmri",
    "write_ismrmrd",
    "write_snu",
]
