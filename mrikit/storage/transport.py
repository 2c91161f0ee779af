"""How requests travel to Azure Blob Storage: the same connections and patience for whoever sends them.

The Azure packages are imported here at once, so this module is imported only where they are needed.
"""

import random
from typing import Any

import requests
from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline.policies import RetryPolicy
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter

_MOST_CONNECTIONS = 64
_CONNECTION_TIMEOUT_S = 20
_READ_TIMEOUT_S = 60
_FIRST_ERROR = 400  # of the status codes


class Transport(RequestsTransport):  # type: ignore[misc] # azure-core hides its type
    """Connections to Blob that are given back also after an error.

    The usual ten connections would be thrown away and opened again under more threads. A retry policy sends again
    without reading or closing the streamed answer that it retries, which then holds its connection for ever: here the
    short body of an error has been read before any policy sees it.

    Args:
        piece_bytes: Size of the pieces that bodies come in; the usual 4 KiB cost more time than TLS.
    """

    def __init__(self, piece_bytes: int) -> None:
        session = requests.Session()
        # Others retry, not the adapter.
        session.mount("https://", HTTPAdapter(pool_maxsize=_MOST_CONNECTIONS, pool_block=True, max_retries=0))
        super().__init__(
            session=session,
            session_owner=False,
            connection_timeout=_CONNECTION_TIMEOUT_S,
            read_timeout=_READ_TIMEOUT_S,
            connection_data_block_size=piece_bytes,
        )

    def send(self, request: Any, **settings: Any) -> Any:  # noqa: ANN401 - two kinds of requests, as in azure-core
        """Send a request.

        Raises:
            AzureError: No answer came, or no whole one of an error.
        """
        response = super().send(request, **settings)
        if response.status_code >= _FIRST_ERROR:
            try:
                _ = response.internal_response.content
            except requests.RequestException as error:
                response.internal_response.close()
                raise ServiceResponseError(error, error=error) from error
        return response


class JitteredRetryPolicy(RetryPolicy[Any, Any]):
    """Tries again after a pause that differs among the many machines that are told to come back later."""

    def get_backoff_time(self, settings: dict[str, Any]) -> float:
        """Seconds until the next attempt."""
        return super().get_backoff_time(settings) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
