"""Links tell everything but their query."""

import copy
import dataclasses
import json
import pickle
from datetime import UTC, datetime

import pytest

from mrikit.errors import ConfigError
from mrikit.transfer import Link, MailArchive
from tests.transfer.mails import CANARY, EXPIRES, HOST, make_query, make_url

WHOLE = make_url("knee_multicoil_val.tar.xz")


def test_a_link_tells_where_it_leads():
    link = Link(WHOLE)
    assert (link.name, link.host, link.path) == ("knee_multicoil_val.tar.xz", HOST, "/v2.0/knee_multicoil_val.tar.xz")
    assert link.base_url == f"https://{HOST}/"


def test_a_link_reveals_its_whole_url_when_asked():
    assert Link(WHOLE).reveal() == WHOLE
    assert Link(WHOLE).base_url + Link(WHOLE).relative_url_reveal() == WHOLE


def test_the_port_belongs_to_the_base_url_but_not_to_the_host():
    link = Link("http://127.0.0.1:8080/a.tar?x=1")
    assert (link.base_url, link.host, str(link)) == (
        "http://127.0.0.1:8080/",
        "127.0.0.1",
        "http://127.0.0.1:8080/a.tar?...",
    )


def test_a_link_without_a_query_shows_none():
    assert str(Link("https://host/a.tar")) == "https://host/a.tar"


@pytest.mark.parametrize("kind", ["v2", "v4", "sas"])
def test_every_signature_says_when_it_expires(kind):
    assert Link(make_url("a.tar", kind=kind)).expires_at == datetime.fromtimestamp(EXPIRES, UTC)


def test_a_sas_that_ends_on_a_day_without_a_zone_ends_in_utc():
    assert Link("https://host/a.tar?se=2027-01-15&sig=x").expires_at == datetime(2027, 1, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "query",
    [
        *("", "Expires=soon", "Expires=99999999999999999999", "X-Amz-Expires=60", "se=2027-01-15", "se=x&sig=y"),
        *("X-Amz-Date=20270115T080000Z&X-Amz-Expires=1e9", "X-Amz-Date=today&X-Amz-Expires=60"),
        "X-Amz-Date=20270115T080000Z&X-Amz-Expires=999999999999999",
    ],
)
def test_a_link_without_a_readable_date_says_none(query):
    assert Link(f"https://host/a.tar?{query}").expires_at is None


@pytest.mark.parametrize("kind", ["v2", "v4", "sas"])
def test_no_text_of_a_link_shows_its_signature(kind):
    link = Link(make_url("a.tar", kind=kind))
    archive = MailArchive(link=link, name="a.tar")
    shown = [
        str(link),
        repr(link),
        f"{link}",
        f"{link:>200}",
        f"{link!r}",
        str([link]),
        repr({link: link}),
    ]
    shown += [repr(archive), str(dataclasses.asdict(archive)), str(copy.deepcopy(archive)), str(copy.copy(link))]
    assert all("https://" in text for text in shown)
    assert CANARY not in "".join(shown)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_link_refuses_to_be_pickled_and_does_not_leak_on_the_way(protocol):
    with pytest.raises(TypeError, match="never pickled") as caught:
        pickle.dumps(MailArchive(link=Link(WHOLE), name="a.tar"), protocol)
    assert CANARY not in str(caught.value)


def test_a_link_has_no_state_that_can_be_read_by_tools():
    link = Link(WHOLE)
    with pytest.raises(TypeError):
        vars(link)
    with pytest.raises(TypeError, match="no state"):
        link.__getstate__()
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps({"link": link})


def test_links_are_equal_if_their_whole_urls_are():
    assert Link(WHOLE) == Link(WHOLE)
    assert len({Link(WHOLE), Link(WHOLE), Link(make_url("knee_multicoil_val.tar.xz", expires=EXPIRES + 1))}) == 2
    assert Link(WHOLE) != WHOLE


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/a.tar", "begins with http:// or https://"),
        ("host/a.tar", "begins with http:// or https://"),
        ("https://host/a\n.tar", "begins with http:// or https://"),
        ("https://[::1/a.tar", "begins with http:// or https://"),
        ("https://host:port/a.tar", "begins with http:// or https://"),
        ("https:///a.tar", "without a plain host name"),
        ("https://me:CANARY@host/a.tar", "without a plain host name"),
        ("https://-h_st/a.tar", "without a plain host name"),
        ("https://host", "the link to host has no path"),
        ("https://host/", "the link to host has no path"),
        ("https://host?Signature=CANARY", "the link to host has no path"),
        ("https://host/a/", "not one of a file"),
        ("https://host/a.tarAWSAccessKeyIdCANARY", "not one of a file"),
        ("https://host/a.tar&Signature=CANARY", "not one of a file"),
        ("https://host/%41WSAccessKeyIdCANARY", "not one of a file"),
        ("https://host/a%zz.tar", "not one of a file"),
        ("https://host/a;b.tar", "not one of a file"),
        ("https://host/v2.0/..", "could lead elsewhere"),
        ("https://host/../a.tar", "could lead elsewhere"),
        ("https://host/./a.tar", "could lead elsewhere"),
        ("https://host/%2e%2E/a.tar", "could lead elsewhere"),
        ("https://host/..%2Fa.tar", "could lead elsewhere"),
        ("https://host/a%2Fb.tar", "could lead elsewhere"),
        ("https://host/a%5Cb.tar", "could lead elsewhere"),
        ("https://host/a%00.tar", "could lead elsewhere"),
        ("https://host/.hidden", "could lead elsewhere"),
        ("https://host/-rf", "could lead elsewhere"),
        ("https://host/C%3Aa", "could lead elsewhere"),
        ("https://host/" + "a" * 201, "could lead elsewhere"),
        ("https://host/a.tar?Signature=<CANARY>", "the query of the link to host"),
        ("https://host/a.tar?Signature=\u00e4CANARY", "the query of the link to host"),
        ("https://host/a.tar?a#CANARY", "the query of the link to host"),
    ],
)
def test_a_url_that_leads_to_no_plain_file_is_refused_without_its_secrets(url, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Link(url)
    error = caught.value
    assert CANARY not in f"{error} {error.__cause__} {error.__context__}"
    assert "\n" not in str(error)


def test_an_error_of_urllib_is_not_kept_as_the_context():
    with pytest.raises(ConfigError) as caught:
        Link(f"https://host:{make_query()}/a.tar")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
