"""Why a service cannot be reached, in a few words: the text of a client's error is long and speaks of its objects."""

import socket
import ssl
from collections.abc import Iterator

_OF_ACCOUNT = "is the account's name right, the network up?"
_OF_CERTIFICATE = "name its authority in REQUESTS_CA_BUNDLE, if you trust it"


def why_unreachable(error: BaseException, doubt: str = _OF_ACCOUNT) -> str:
    """The reason that lies in an error of a client, and what would do.

    Args:
        error: Of the client.
        doubt: What to look at where the reason does not say it.
    """
    found = tuple(_all_in(error))
    for one in found:
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({one.verify_message}); {_OF_CERTIFICATE}"
    for kind, words in (
        (ssl.SSLError, "no TLS is spoken there"),
        (socket.gaierror, "its name is not known"),
        (ConnectionRefusedError, "the connection was refused"),
        (TimeoutError, "it did not answer in time"),
        (ConnectionError, "the connection was lost"),
    ):
        if any(isinstance(one, kind) for one in found):
            return f"{words}; {doubt}"
    return f"{type(found[-1]).__name__}; {doubt}"


def _all_in(error: BaseException) -> Iterator[BaseException]:
    """The error and those inside it: the clients keep them as causes, as arguments and in fields of their own."""
    todo, seen = [error], set[int]()
    while todo:
        one = todo.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = (getattr(one, "inner_exception", None), getattr(one, "reason", None), *one.args)
        todo += [each for each in (*inner, one.__cause__, one.__context__) if isinstance(each, BaseException)]
