"""Ranges of blobs straight into memory: the hot path of reading, a fifth of the processor time of a BlobClient.

The client of the storage package hands on what it downloads in pieces of 4 KiB, joins and copies them. Here the
pipeline of azure-core does what it does there, tokens and retries, and large pieces go where they are wanted.
"""

import functools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

from mrikit.storage.blob import SCOPE, azure_packages, blob_endpoint, blob_errors, credential
from mrikit.storage.location import BlobPath

if TYPE_CHECKING:
    from azure.core import PipelineClient
    from azure.core.rest import HttpRequest, HttpResponse

_SERVICE_VERSION = "2023-11-03"
_PIECE_BYTES = 2**18
_MOST_BREAKS = 5  # of the connection within one range


def read_range_into(path: BlobPath, start: int, buffer: memoryview, *, if_version: int) -> int:
    """Fill `buffer` from byte `start` of a blob, by one request unless the connection breaks.

    Args:
        path: The blob.
        start: First byte.
        buffer: Where the bytes go.
        if_version: The version that it must still have.

    Returns:
        Number of bytes; fewer than the buffer takes where the blob ends before.

    Raises:
        StorageError: It cannot be read, or is not that version any more.
    """
    done, num_breaks = 0, 0
    with blob_errors(path):
        from azure.core.exceptions import IncompleteReadError, ServiceResponseError
        from urllib3.exceptions import HTTPError

        while done < len(buffer):
            response = _request(path, start + done, len(buffer) - done, if_version)
            try:
                for piece in _pieces(response):
                    buffer[done : done + len(piece)] = piece
                    done += len(piece)
            except (
                IncompleteReadError,
                ServiceResponseError,
                HTTPError,
            ):  # the last of TLS, which azure-core lets pass
                num_breaks += 1
                if num_breaks > _MOST_BREAKS:
                    raise
            else:
                return done
            finally:
                response.close()
    return done


def _request(path: BlobPath, start: int, count: int, version: int) -> "HttpResponse":
    """The answer to a ranged read, its body yet to come."""
    from azure.core.exceptions import HttpResponseError
    from azure.core.rest import HttpRequest

    endpoint = blob_endpoint(path.container)
    request = HttpRequest(
        "GET",
        f"{endpoint}/{path.container}/{quote(path.key)}",
        headers={
            "x-ms-version": _SERVICE_VERSION,
            "x-ms-range": f"bytes={start}-{start + count - 1}",
            "If-Match": f'"0x{version:X}"',
        },
    )
    response = _client(endpoint, os.getpid()).send_request(request, stream=True)
    if response.status_code != 206:
        response.read()
        error = HttpResponseError(f"status {response.status_code}", response=response)
        error.error_code = response.headers.get("x-ms-error-code")  # type: ignore[attr-defined]
        raise error
    return response


def _pieces(response: "HttpResponse") -> Iterator[bytes]:
    """The body as it comes."""
    from azure.core.exceptions import IncompleteReadError

    missing = int(response.headers["Content-Length"])
    for piece in response.iter_raw():
        missing -= len(piece)
        yield piece
    if missing:
        raise IncompleteReadError(f"{missing} bytes did not come")


@functools.lru_cache(maxsize=2)
def _client(endpoint: str, _process_id: int) -> "PipelineClient[HttpRequest, HttpResponse]":
    with azure_packages():
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy, UserAgentPolicy

        from mrikit.storage.transport import JitteredRetryPolicy, Transport

    return PipelineClient(
        endpoint,
        policies=[
            UserAgentPolicy("mrikit"),
            JitteredRetryPolicy(retry_total=5),
            BearerTokenCredentialPolicy(credential(), SCOPE),
        ],
        transport=Transport(_PIECE_BYTES),
    )
