"""What answers mean: expiry, refusal, redirects, proxies; how long it is worth to try again."""

import logging
import time

import pytest
from transfer import archive_server
from transfer.archive_server import CANARY
from transfer.copying import IMPATIENT, NAME, failure_of, signatures_in, source_of, traces_of

from mrikit.errors import TransferError
from mrikit.transfer.link import Link
from mrikit.transfer.retry import Patience
from mrikit.transfer.source import HttpSource, LinkExpired

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

MONDAY, TUESDAY = ({"Last-Modified": f"{day} Jan 2026 08:00:00 GMT"} for day in ("Mon, 05", "Tue, 06"))


def test_giving_up_takes_time_and_tries():
    patience = Patience(give_up_after_s=900, num_tries=5)
    assert [patience.is_over(*so_far) for so_far in [(4, 1e6), (5, 899), (100, 899), (5, 900)]] == [
        False, False, False, True,
    ]  # fmt: skip
    assert patience.briefly(30).is_over(5, 30)


def test_retry_after_is_honoured_and_bounded():
    patience = Patience(first_wait_s=0.001, max_wait_s=2.0)
    assert patience.wait_s(1, retry_after_s=1.5) == 1.5
    assert patience.wait_s(1, retry_after_s=3600) == 2.0
    assert patience.wait_s(1) <= 0.001


def test_waits_grow_with_the_failures_and_are_spread():
    patience = Patience(first_wait_s=1, max_wait_s=8)
    waits = [[patience.wait_s(num_failures) for _ in range(200)] for num_failures in (1, 3, 9)]
    assert [max(some) <= most for some, most in zip(waits, (1, 4, 8), strict=True)] == [True] * 3
    assert max(waits[1]) > 2
    assert min(waits[2]) < 2


def test_the_server_may_ask_to_wait(server, data):
    server.faults.busy_every, server.faults.retry_after = 2, "1"
    source = source_of(server, patience=Patience(first_wait_s=0.001, max_wait_s=0.25))
    began = time.monotonic()
    for start in (0, 10):
        source.read(start, 10)
    assert time.monotonic() - began >= 0.25


def test_an_expired_link_says_when_and_what_to_do(server):
    error = failure_of(server, expires_at=1_700_000_000)
    assert isinstance(error, LinkExpired)
    assert "the link expired on 2023-11-14 22:13 UTC (server clock 2" in str(error)
    assert "paste a new mail: the same command with it goes on from here" in str(error)


def test_a_link_that_ended_before_its_time_is_not_said_to_have_expired_in_the_future(server):
    server.faults.refusal = (403, "AccessDenied", "Request has expired", {})
    error = failure_of(server, expires_at=4_000_000_000)
    assert "the link expired, its server says, before the time in it (2096-10-02 07:06 UTC); paste a new mail" in str(
        error
    )
    assert isinstance(error, LinkExpired)


def test_an_expired_link_is_not_tried_again(server):
    failure_of(server, expires_at=1_700_000_000)
    assert len(server.requests) == 1


def test_a_link_that_only_our_clock_calls_expired_is_used(server, data):
    # The server's clock is a year behind, so its links of half a year ago are good.
    server.faults.clock_skew_s = -365 * 86400
    expires_at = int(time.time()) - 180 * 86400
    assert source_of(server, expires_at=expires_at).read(0, 10) == data[:10]


def test_a_link_that_only_our_clock_calls_good_is_expired(server):
    server.faults.clock_skew_s = 365 * 86400
    assert isinstance(failure_of(server), LinkExpired)


def test_a_refused_signature_is_no_expiry(server):
    error = failure_of(server, signature=f"{CANARY}x")
    assert not isinstance(error, LinkExpired)
    assert "the link was refused (403 SignatureDoesNotMatch)" in str(error)


def test_a_file_that_is_gone_is_named(server, tmp_path):
    (tmp_path / "source" / NAME).unlink()
    assert f"{NAME}: does not exist at the source (404 for http://127.0.0.1:" in str(failure_of(server))


def test_an_empty_object_of_s3_may_say_so_in_words_only(server):
    server.faults.refusal = (416, "InvalidRange", "<ActualObjectSize>0</ActualObjectSize>", {})
    assert source_of(server).size_bytes == 0


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_final_and_names_where_it_leads(server, status):
    elsewhere = f"https://login.example.org/back?to={CANARY}"
    server.faults.refusal = (status, "TemporaryRedirect", "", {"Location": elsewhere})
    error = failure_of(server)
    assert f"127.0.0.1 answers {status} and points to login.example.org, but a signature holds for one host" in str(
        error
    )
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        ("AuthenticationFailed", "Signature not valid in the specified time frame: Start [x] - Expiry [y]"),
        ("AuthenticationFailed", "Server failed to authenticate the request."),
        ("ExpiredToken", "The provided token has expired."),
    ],
)
def test_expiry_is_known_by_the_words_of_any_service(server, code, detail):
    server.faults.refusal = (403, code, detail, {})
    assert isinstance(failure_of(server, expires_at=1_700_000_000), LinkExpired)


def test_a_signature_of_azure_that_is_wrong_within_its_time_is_no_expiry(server):
    server.faults.refusal = (403, "AuthenticationFailed", "Signature did not match.", {})
    assert not isinstance(failure_of(server), LinkExpired)


def test_a_proxy_that_wants_a_password_is_named_at_once(server, monkeypatch):
    server.faults.refusal = (407, "", "", {})
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    source = HttpSource(Link(f"http://archives.example.org/{NAME}?Signature=canary%2BSig"), patience=IMPATIENT)
    with pytest.raises(TransferError, match=r"^http_proxy: this proxy wants a name and a password \(407\)") as caught:
        _ = source.size_bytes
    assert not signatures_in(traces_of(caught.value))
    assert len(server.requests) == 1


def test_a_tunnel_that_wants_a_password_is_named_at_once(server, monkeypatch):
    # This server knows no CONNECT: the answer is made of what it would say.
    monkeypatch.setattr(archive_server._Handler, "do_CONNECT", lambda self: self._refuse(407, "", ""), raising=False)
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    source = HttpSource(Link(f"https://archives.example.org/{NAME}?Signature=canary%2BSig"), patience=IMPATIENT)
    with pytest.raises(TransferError, match=r"^https_proxy: this proxy wants a name and a password") as caught:
        _ = source.size_bytes
    assert not signatures_in(traces_of(caught.value))


@pytest.mark.parametrize(
    "proxy", ["socks5://me:canary+Sig@127.0.0.1:1", "http://me:canary+Sig@127.0.0.1:port", "http://[canary+Sig"]
)
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(server, monkeypatch, proxy):
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("no_proxy", "elsewhere")
    assert str(failure_of(server)).startswith("HTTP_PROXY: only a proxy such as http://HOST:PORT can be used")
    assert not server.requests


def test_the_query_is_in_no_log(server, caplog):
    caplog.set_level(logging.DEBUG)
    server.faults.busy_every = 2
    source = source_of(server)
    for start in range(4):
        source.read(start, 10)
    assert caplog.records
    assert not signatures_in(caplog.text)
