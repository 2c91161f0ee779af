"""What the benchmarks of blobs share: a real Azurite, files in it, what went over the wire, and adlfs."""

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrikit.storage import BlobPath, write_bytes
from mrikit.storage.blob import blob_endpoint, container_client

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from azurite import find_azurite, running_azurite


@dataclass(kw_only=True)
class Traffic:
    """What was exchanged with the storage account."""

    num_requests: int = 0
    num_bytes: int = 0
    """Of the bodies of all answers."""


@contextmanager
def azurite_here(folder: Path, *, is_far: bool = False) -> Iterator[BlobPath]:
    """A container on a fresh Azurite, and mrikit's caches below the folder; mrikit keeps no ranges.

    Args:
        folder: For all files.
        is_far: Whether the line to it is slow; see `slow_line.py`.
    """
    program = find_azurite()
    if program is None:
        sys.exit("no Azurite; `make azurite` installs it")
    with running_azurite(program, Path(tempfile.mkdtemp(dir=folder))) as environment:
        # The asynchronous client of adlfs looks for certificates elsewhere.
        environment["SSL_CERT_FILE"] = environment["REQUESTS_CA_BUNDLE"]
        with _line(environment, is_far) as endpoint:
            environment["MRIKIT_BLOB_ENDPOINT"] = endpoint
            os.environ.update(environment, MRIKIT_CACHE=str(folder / "cache"), MRIKIT_CACHE_SIZE="0")
            container_client("benchmark").create_container()
            yield BlobPath("benchmark")


@contextmanager
def _line(environment: dict[str, str], is_far: bool) -> Iterator[str]:
    """The endpoint at the near end of the line."""
    endpoint = environment["MRIKIT_BLOB_ENDPOINT"]
    if not is_far:
        yield endpoint
        return
    port = endpoint.rpartition("/")[0].rpartition(":")[2]
    command = [sys.executable, str(Path(__file__).with_name("slow_line.py")), port]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield endpoint.replace(f":{port}/", f":{process.stdout.readline().strip()}/")
        finally:
            process.kill()


def upload(files: Sequence[Path], prefix: BlobPath, num_files: int) -> BlobPath:
    """So many blobs, each with the bytes of one of the files by turns."""
    contents = [path.read_bytes() for path in files]
    for number in range(num_files):
        write_bytes(prefix / f"file{1000000 + number}.h5", contents[number % len(contents)])
    return prefix


@contextmanager
def counted() -> Iterator[Traffic]:
    """Count what Azure's clients send and receive, mrikit's and those of adlfs alike."""
    # aiohttp looks for certificates when it is imported.
    from azure.core.pipeline.transport import AioHttpTransport, RequestsTransport

    traffic = Traffic()
    send, send_async = RequestsTransport.send, AioHttpTransport.send

    def note(response: Any) -> Any:
        traffic.num_requests += 1
        if response.request.method == "GET":
            traffic.num_bytes += int(response.headers.get("Content-Length", 0))
        return response

    async def note_async(self: AioHttpTransport, *args: Any, **options: Any) -> Any:
        return note(await send_async(self, *args, **options))

    RequestsTransport.send = lambda self, *args, **options: note(send(self, *args, **options))  # type: ignore[method-assign]
    AioHttpTransport.send = note_async  # type: ignore[method-assign]
    try:
        yield traffic
    finally:
        RequestsTransport.send, AioHttpTransport.send = send, send_async  # type: ignore[method-assign]


@functools.cache
def adlfs_files() -> Any:
    """The account by adlfs, with the identity that mrikit has."""
    import adlfs
    from azure.identity.aio import DefaultAzureCredential

    # Listings are not kept, so that every run sees what is there.
    return adlfs.AzureBlobFileSystem(
        account_name="benchmark",
        account_host=blob_endpoint("benchmark").removeprefix("https://"),
        credential=DefaultAzureCredential(),
        use_listings_cache=False,
    )
