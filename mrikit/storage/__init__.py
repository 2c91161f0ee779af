"""Files, on this machine and in Azure Blob Storage: either whole or absent, by the same few verbs."""

from mrikit.storage.access import (
    file_state,
    list_files,
    read_bytes,
    read_range,
    remove,
    write_bytes,
    write_stream,
)
from mrikit.storage.cache_folder import cache_folder
from mrikit.storage.local import (
    atomic_path,
    create_json,
    has_living_writer,
    is_temporary,
    read_json,
    write_json,
    write_text,
)
from mrikit.storage.location import BlobPath, Location, parse_location, recorded_location
from mrikit.storage.mirror.mirror import ConflictError, everything
from mrikit.storage.mirror.place import Place, mirrored, named_as_locations, nothing, only, pulled, shown
from mrikit.storage.state import NOT_THERE, FileState

__all__ = [
    "NOT_THERE",
    "BlobPath",
    "ConflictError",
    "FileState",
    "Location",
    "Place",
    "atomic_path",
    "cache_folder",
    "create_json",
    "everything",
    "file_state",
    "has_living_writer",
    "is_temporary",
    "list_files",
    "mirrored",
    "named_as_locations",
    "nothing",
    "only",
    "parse_location",
    "pulled",
    "read_bytes",
    "read_json",
    "read_range",
    "recorded_location",
    "remove",
    "shown",
    "write_bytes",
    "write_json",
    "write_stream",
    "write_text",
]
