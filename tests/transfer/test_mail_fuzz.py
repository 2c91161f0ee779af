"""Any mail comes back as it was written, and any other text does no harm."""

import contextlib
import string
import time
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrikit.errors import ConfigError
from mrikit.transfer.link import is_file_name
from mrikit.transfer.mail import parse_mail, read_mail
from mrikit.transfer.redaction import redact
from tests.transfer.mails import (
    CANARY,
    EXPIRES,
    KNEE,
    as_eml,
    as_html,
    as_quoted_printable,
    cut_anywhere,
    make_line,
    make_mail,
    make_url,
    wrap,
)

PROFILE = settings(derandomize=True, database=None, deadline=None, max_examples=250)
LETTERS = string.ascii_letters + string.digits

stems = st.text(LETTERS + "_", min_size=1, max_size=30).filter(is_file_name)
urls = st.builds(
    make_url,
    st.builds("{}{}".format, stems, st.sampled_from([".tar.xz", ".tar.gz", ".tar", ".tgz"])),
    base_url=st.sampled_from(["https://fastmri-dataset.s3.amazonaws.com/", "http://127.0.0.1:8080/", "https://h/"]),
    folder=st.sampled_from(["", "v2.0", "v2.0/knee"]),
    expires=st.integers(1_000_000_000, 4_000_000_000),
    kind=st.sampled_from(["v2", "v4", "sas"]),
)
lists_of_urls = st.lists(urls, min_size=1, max_size=5, unique_by=lambda url: url.partition("?")[0].rpartition("/")[2])
quotations = st.sampled_from(['""', "''", "\u201c\u201d", "\u2018\u2019", ""])


def revealed(text):
    return [archive.link.reveal() for archive in read_mail(text)]


def own_names(urls):
    return [url.partition("?")[0].rpartition("/")[2] for url in urls]


@PROFILE
@given(
    urls=lists_of_urls,
    quotes=quotations,
    width=st.one_of(st.none(), st.integers(16, 120)),
    prefix=st.sampled_from(["", "> ", ">", ">> ", "    "]),
    flag=st.sampled_from(["--output ", "--output=", "-o "]),
    ending=st.sampled_from(["\n", "\r\n", "\n\n"]),
)
def test_every_wrapped_mail_comes_back(urls, quotes, width, prefix, flag, ending):
    lines = [part for url in urls for part in wrap(make_line(url, quotes=quotes, flag=flag), width)]
    text = "".join(f"{prefix}{line}{ending}" for line in lines)
    archives = read_mail(text)
    assert [archive.link.reveal() for archive in archives] == urls
    assert [archive.name for archive in archives] == own_names(urls)


@PROFILE
@given(
    urls=lists_of_urls,
    quotes=quotations,
    positions=st.lists(st.integers(0, 500), max_size=6),
    joint=st.sampled_from(["\n", "\n> ", "  \n", "\n  ", "\n\n"]),
)
def test_every_link_cut_anywhere_comes_back(urls, quotes, positions, joint):
    commands = [make_line(url, quotes=quotes).removeprefix("curl -C - ") for url in urls]
    text = "\n".join(f"curl -C - {cut_anywhere(command, positions, joint)}" for command in commands)
    archives = read_mail(text)
    assert [archive.link.reveal() for archive in archives] == urls
    assert [archive.name for archive in archives] == own_names(urls)


@PROFILE
@given(
    urls=lists_of_urls, width=st.one_of(st.none(), st.integers(30, 120)), quotes=st.sampled_from(['""', "\u201c\u201d"])
)
def test_every_encoded_mail_comes_back(urls, width, quotes):
    plain = "\n".join(part for url in urls for part in wrap(make_line(url, quotes=quotes), width))
    html = as_html(urls)
    for text in (as_quoted_printable(plain), html, as_quoted_printable(html), as_eml(plain), as_eml(plain, html)):
        assert revealed(text) == urls
    assert revealed(as_eml(plain, encoding="quoted-printable")) == urls


def everything_said(text):
    """What reading a text shows to anybody: result, error, warnings."""
    said = []
    for read in (parse_mail, read_mail):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                said.append(repr(read(text)))
            except ConfigError as error:
                said.append(f"{error} {error.__cause__!r} {error.__context__!r}")
        said += [str(one.message) for one in warned]
    return "".join(said)


MAILS = [
    make_mail(width=72),
    "\n".join(make_line(make_url(name, kind="v4"), quotes="") for name in KNEE),
    as_quoted_printable(make_mail(width=60)),
    as_html([make_url(name) for name in KNEE]),
    as_eml(make_mail(), as_html([make_url(KNEE[0], kind="sas")]), encoding="quoted-printable"),
]
SNIPPETS = st.one_of(
    st.sampled_from(
        [
            *(
                "\n",
                " ",
                '"',
                "'",
                "<",
                ">",
                "<br>",
                "<a href=",
                "&amp;",
                "=",
                "=3D",
                "=\n",
                "?",
                "&",
                "%",
                "/",
                "..",
                "#",
            ),
            *(
                "https://",
                "http://x/",
                "https://knee.tar.xz/",
                " --output ",
                "-o ",
                "curl ",
                "\n\n",
                "Knee:\n",
                "\ue000",
            ),
            *("Content-Type: multipart/mixed; boundary=a\n\n--a\n", "=\r\n", "\x00", "\ud800", "\u2028", "&#0;", "\\"),
        ]
    ),
    st.text(max_size=8),
)


@settings(PROFILE, max_examples=600)
@given(
    mail=st.sampled_from(MAILS), edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), SNIPPETS), max_size=4)
)
def test_a_damaged_mail_neither_crashes_nor_leaks(mail, edits):
    for place, length, snippet in edits:
        position = int(place * len(mail))
        mail = mail[:position] + snippet + mail[position + length :]
    assert CANARY not in everything_said(mail)


@PROFILE
@given(st.text(max_size=300))
def test_any_text_is_refused_politely(text):
    everything_said(text)


@PROFILE
@given(st.lists(SNIPPETS, max_size=60).map("".join))
def test_any_text_of_the_words_of_mails_is_read_or_refused_politely(text):
    everything_said(text)


@PROFILE
@given(st.lists(st.one_of(SNIPPETS, st.just(make_url("a.tar"))), max_size=12).map("".join))
def test_redaction_takes_any_text_and_no_text_back(text):
    once = redact(text)
    assert redact(once) == once


HOSTILE = {
    "schemes": "https://",
    "pages": "http://a ",
    "quoted": '"https://a',
    "parameters": "https://h/x?AWSAccessKeyId=A&Signature=B&Expires=1 2 3 ",
    "words": f"https://h/?sv=1&se=1&sig=1{' a' * 300} ",
    "anchors": f'<a href="{make_url("a.tar.xz")}">',
    "tags": "<a href=",
    "entities": "&amp;",
    "soft breaks": "=\n",
    "escapes": "=3D",
    "replies": "> ",
    "letters": "h\n\n  ",
    "outputs": "-\n-\no",
    "headers": "MIME-Version: 1\nFrom: a\n",
    "parts": "From: a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n",
    "queries": "?",
}


@pytest.mark.parametrize(
    ("unit", "num_megabytes"),
    [*((unit, 2) for unit in HOSTILE.values()), (HOSTILE["parameters"], 5)],
    ids=[*HOSTILE, "5 MB"],
)
def test_a_hostile_text_of_megabytes_takes_seconds(unit, num_megabytes):
    text = unit * (num_megabytes * 1_000_000 // len(unit))
    begins = time.process_time()
    with contextlib.suppress(ConfigError):
        parse_mail(text)
    redact(text)
    assert time.process_time() - begins < 4 * num_megabytes


def test_a_mail_of_5_mb_is_read_whole():
    urls = [make_url(f"a{index}.tar.xz", expires=EXPIRES + index) for index in range(23_000)]
    assert revealed("\n".join(map(make_line, urls))) == urls
