"""Files, on this machine and in Azure Blob Storage: either whole or absent, by the same few verbs."""

from mrikit.storage.access import (
    NOT_THERE,
    FileState,
    file_state,
    list_files,
    read_bytes,
    read_range,
    remove,
    write_bytes,
    write_stream,
)
from mrikit.storage.cache_folder import cache_folder
from mrikit.storage.follow import Place, mirrored, named_as_locations, pulled
from mrikit.storage.local import (
    atomic_path,
    create_json,
    has_living_writer,
    is_temporary,
    read_json,
    write_json,
    write_text,
)
from mrikit.storage.location import BlobPath, Location, parse_location
from mrikit.storage.mirror import everything, nothing, shown
from mrikit.storage.twin import ConflictError

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
    "parse_location",
    "pulled",
    "read_bytes",
    "read_json",
    "read_range",
    "remove",
    "shown",
    "write_bytes",
    "write_json",
    "write_stream",
    "write_text",
]
