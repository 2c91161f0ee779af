"""Why a service cannot be reached, in a few words."""

import socket
import ssl

import pytest
from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from requests import ConnectionError as RequestsConnectionError
from urllib3.exceptions import MaxRetryError, NewConnectionError

from mrikit.storage.unreachable import why_unreachable

_CERTIFICATE = "name its authority in REQUESTS_CA_BUNDLE, if you trust it"
_ACCOUNT = "is the account's name right, the network up?"


def not_trusted():
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]")
    error.verify_message = "self-signed certificate"
    return error


def as_the_client_tells_it(cause):
    """The nest that requests and azure-core make of an error of a socket."""
    new = NewConnectionError(None, "Failed to establish a new connection: [Errno 111]")
    new.__cause__ = cause
    inner = RequestsConnectionError(MaxRetryError(None, "/container/blob", new))
    return ServiceRequestError(inner, error=inner)


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (ConnectionRefusedError(111, "refused"), f"the connection was refused; {_ACCOUNT}"),
        (socket.gaierror(-2, "Name or service not known"), f"its name is not known; {_ACCOUNT}"),
        (TimeoutError("timed out"), f"it did not answer in time; {_ACCOUNT}"),
        (ConnectionResetError(104, "reset"), f"the connection was lost; {_ACCOUNT}"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), f"no TLS is spoken there; {_ACCOUNT}"),
        (
            not_trusted(),
            f"its certificate is not trusted (self-signed certificate); {_CERTIFICATE}",
        ),
    ],
)
def test_what_lies_in_the_error_of_the_client_is_said_alone(cause, words):
    assert why_unreachable(as_the_client_tells_it(cause)) == words


def test_what_is_not_known_is_named_by_its_kind():
    assert why_unreachable(ServiceResponseError("a long story")) == f"ServiceResponseError; {_ACCOUNT}"


def test_an_error_that_holds_itself_ends():
    error = ValueError()
    error.args = (error,)
    assert why_unreachable(error).startswith("ValueError; ")
