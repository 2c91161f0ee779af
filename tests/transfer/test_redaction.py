"""Credentials in texts that others write."""

import io
import logging
import socket

import pytest
import urllib3
from urllib3.exceptions import MaxRetryError

from mrikit.transfer.redaction import RedactingFilter, install_log_redaction, redact
from tests.transfer.mails import CANARY, make_query, make_url

LOGGER = logging.getLogger("urllib3.connectionpool")


@pytest.fixture
def logged():
    """What handlers of the root logger and of urllib3's own print at DEBUG, redaction being installed."""
    streams = io.StringIO(), io.StringIO()
    handlers = [logging.StreamHandler(stream) for stream in streams]
    root = logging.getLogger()
    levels = root.level, LOGGER.level
    root.setLevel(logging.DEBUG)
    LOGGER.setLevel(logging.DEBUG)
    root.addHandler(handlers[0])
    LOGGER.addHandler(handlers[1])
    install_log_redaction()
    yield streams
    root.removeHandler(handlers[0])
    LOGGER.removeHandler(handlers[1])
    root.setLevel(levels[0])
    LOGGER.setLevel(levels[1])


@pytest.fixture
def unused_port():
    """A port on which nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


@pytest.mark.parametrize("kind", ["v2", "v4", "sas"])
@pytest.mark.parametrize(
    "text",
    [
        "Max retries exceeded with url: /v2.0/a.tar?{query} (Caused by None)",
        "GET /v2.0/a.tar?{query} HTTP/1.1",
        "copying {url}, then 'https://host/b?{query}' and <{url}>.",
        "x-ms-copy-source: {url}",
        "{query}",
        "the query was '{query}'",
        "HTTP://HOST/a?{query}",
    ],
)
def test_queries_are_taken_out_of_a_text(text, kind):
    redacted = redact(text.format(query=make_query(kind), url=make_url("a.tar", kind=kind)))
    assert CANARY not in redacted
    assert "..." in redacted


@pytest.mark.parametrize(
    "text",
    [
        "Signature%3DCANARY%253D%26Expires%3D1",
        "X-Amz-Security-Token=CANARY",
        "{'AWSAccessKeyId': ['CANARY'], 'Signature': ['CANARY']}",
        '{"X-Amz-Signature": "CANARY", "X-Amz-Credential": "CANARY/20270101"}',
        "<AWSAccessKeyId>CANARY</AWSAccessKeyId><SignatureProvided>CANARY</SignatureProvided>",
        "Signature=3DCANARY",
        "se=2027&sig=CANARY",
    ],
)
def test_values_of_a_signature_are_taken_out_wherever_they_stand(text):
    assert CANARY not in redact(text)


@pytest.mark.parametrize(
    "text", ["", "what? no=secret", "https://host/path is public", "a signature: none", "GET /v2.0/a.tar HTTP/1.1"]
)
def test_a_text_without_credentials_stays_but_for_what_looks_like_one(text):
    assert redact(text).replace("...", "none") == text


def test_a_redacted_text_names_host_and_path():
    assert (
        redact(f"GET {make_url('a.tar')} failed")
        == "GET https://fastmri-dataset.s3.amazonaws.com/v2.0/a.tar?... failed"
    )


def test_urllib3_logs_no_query_to_anybody(logged):
    LOGGER.debug('%s://%s:%s "%s %s %s" %s %s', "http", "host", 80, "GET", f"/a.tar?{make_query()}", "HTTP/1.1", 200, 5)
    for stream in logged:
        assert stream.getvalue() == 'http://host:80 "GET /a.tar?... HTTP/1.1" 200 5\n'


def test_an_exception_in_a_log_is_redacted_with_its_causes(logged):
    try:
        try:
            raise OSError(make_url("a.tar"))  # noqa: TRY301
        except OSError as error:
            raise ValueError(f"/a.tar?{make_query('v4')}") from error
    except ValueError:
        LOGGER.exception("failed")
    for stream in logged:
        assert CANARY not in stream.getvalue()
        assert "ValueError: /a.tar?..." in stream.getvalue()
        assert "OSError: https://fastmri-dataset" in stream.getvalue()


def test_redaction_is_installed_once():
    install_log_redaction()
    install_log_redaction()
    assert sum(isinstance(one, RedactingFilter) for one in LOGGER.filters) == 1


def test_a_handler_that_formats_exceptions_itself_gets_none(logged):
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    LOGGER.addHandler(handler)
    try:
        LOGGER.error("failed", exc_info=ValueError(make_url("a.tar")))
    finally:
        LOGGER.removeHandler(handler)
    assert records[0].exc_info is None
    assert CANARY not in str(vars(records[0]))


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_real_request_that_fails_and_is_tried_again_logs_no_query(logged, unused_port):
    with (
        urllib3.PoolManager(retries=urllib3.Retry(2, backoff_factor=0)) as pool,
        pytest.raises(MaxRetryError) as caught,
    ):
        pool.request("GET", make_url("a.tar", base_url=f"http://127.0.0.1:{unused_port}/"))
    assert CANARY in str(caught.value)
    assert CANARY not in redact(str(caught.value))
    for stream in logged:
        assert "/v2.0/a.tar?..." in stream.getvalue()
        assert CANARY not in stream.getvalue()
