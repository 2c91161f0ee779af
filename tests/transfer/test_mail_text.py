"""Mails that come as quoted-printable, as HTML or as whole messages."""

import base64

import pytest

from mrikit.transfer.mail import parse_mail, read_mail
from tests.transfer.mails import KNEE, as_eml, as_html, as_quoted_printable, make_line, make_mail, make_url

URLS = [make_url(name) for name in KNEE]
NAME = KNEE[0]


def links(text):
    """Whole URLs that a mail offers."""
    return [archive.link.reveal() for archive in read_mail(text)]


@pytest.mark.parametrize("wrapped", [None, 76])
@pytest.mark.parametrize("kind", ["v2", "v4"])
def test_quoted_printable_is_decoded(kind, wrapped):
    text = as_quoted_printable(make_mail(width=wrapped, kind=kind))
    assert "=3D" in text
    assert links(text) == [make_url(name, kind=kind) for name in KNEE]
    assert links("".join(f"> {line}\n" for line in text.splitlines())) == [make_url(name, kind=kind) for name in KNEE]


def test_quoted_printable_and_plain_mails_may_stand_below_each_other():
    assert links(f"{as_quoted_printable(make_line(URLS[0]))}\n\n{make_line(URLS[1])}") == URLS[:2]


def test_curly_quotes_are_known_in_quoted_printable_too():
    assert links(as_quoted_printable(make_line(URLS[0], quotes="\u201c\u201d"))) == URLS[:1]


def test_a_signature_that_looks_like_quoted_printable_stays():
    url = URLS[0].replace("Signature=CA", "Signature=3DCA").replace("xCANARY%2F", "xCARY%2F")
    assert links(make_line(url)) == [url]


@pytest.mark.parametrize("encode", [str, as_quoted_printable])
def test_html_is_read_through(encode):
    mail = parse_mail(encode(as_html(URLS)))
    assert [one.link.reveal() for one in mail.archives] == URLS
    assert [one.name for one in mail.archives] == list(KNEE)
    assert [one.section for one in mail.archives] == ["knee"] * 3
    assert mail.num_duplicates == 0


@pytest.mark.parametrize(
    "remains",
    [
        'curl -C - "{html}" --output {name}<br>',
        'curl -C - "{url}"<br/>--output {name}<br/>',
        '<a href="{html}">knee</a>',
        "<A HREF='{html}' target=_blank>knee</A>",
        "<a href={html}>knee</a>",
        "&lt;a href=&quot;{html}&quot;&gt;knee&lt;/a&gt;",
        "curl -C - &ldquo;{html}&rdquo; --output {name}",
        "curl -C - &quot;{twice}&quot; --output {name}",
        "{url}<{url}>",
        "[{url}]({url})",
        '<span>curl</span> "<wbr>{html}" --output <b>{name}</b>',
        'curl -C - "{broken}" --output {name}',
    ],
)
def test_html_remains_do_no_harm(remains):
    html = URLS[0].replace("&", "&amp;")
    forms = {
        "url": URLS[0],
        "html": html,
        "twice": html.replace("&", "&amp;"),
        "broken": html.replace("&amp;", "&a\nmp;"),
    }
    mail = parse_mail(remains.format(name=NAME, **forms))
    assert [(one.link.reveal(), one.name) for one in mail.archives] == [(URLS[0], NAME)]


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "8bit"])
def test_a_whole_message_is_read(encoding):
    assert links(as_eml(make_mail(), encoding=encoding)) == URLS
    assert links(as_eml(html=as_html(URLS), encoding=encoding)) == URLS


def test_of_two_forms_of_a_message_the_whole_one_counts():
    cut = "\n".join(url.partition("&")[0] for url in URLS)
    mail = parse_mail(as_eml(cut, as_html(URLS)))
    assert [one.link.reveal() for one in mail.archives] == URLS
    assert (mail.damaged, mail.num_duplicates) == ((), 0)
    assert links(as_eml(make_mail(), as_html(URLS[:1]))) == URLS


def test_headers_that_were_pasted_do_no_harm():
    text = f"From: fastMRI\nSubject: your data\n\ncurl \u201c{URLS[0]}\u201d --output {NAME}"
    assert links(text) == URLS[:1]


def test_an_attached_text_is_read():
    text = as_eml("see the attachment").replace("text/plain", "application/octet-stream; name=curl.txt")
    body = text.rpartition("\n\n")[0]
    assert links(f"{body}\n\n{base64.encodebytes(make_mail().encode()).decode()}") == URLS
