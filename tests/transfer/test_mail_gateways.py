"""Links that a mail gateway rewrote on their way."""

import base64
import re
from urllib.parse import quote

import pytest

from mrikit.errors import ConfigError
from mrikit.transfer.mail import parse_mail, read_mail
from mrikit.transfer.mail_gateways import undo_gateways
from tests.transfer.mails import CANARY, KNEE, as_eml, as_html, as_quoted_printable, make_line, make_url, wrap

LENGTHS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def urldefense_v3(url, odd="%+"):
    """URL Defense v3: odd characters are taken out and follow as base64, runs of them by their length."""
    taken = "".join(character for character in url if character in odd)

    def mark(found):
        return "*" if len(found[0]) == 1 else f"**{LENGTHS[len(found[0]) - 2]}"

    kept = re.sub(f"[{re.escape(odd)}]+", mark, url)
    code = base64.urlsafe_b64encode(taken.encode()).decode().rstrip("=")
    return f"https://urldefense.com/v3/__{kept}__;{code}!!Dc8iu7o!AbCd-Ef_GhIjK$"


def urldefense_v2(url):
    # A hyphen stands for a percent sign and an underscore for a slash, so both are escaped themselves.
    escaped = quote(url, safe="").replace("-", "%2D").replace("_", "%5F").replace("%2F", "_")
    return f"https://urldefense.proofpoint.com/v2/url?u={escaped.replace('%', '-')}&d=DwMFaQ&c=abc&r=def&m=ghi&s=jkl&e="


def urldefense_v1(url):
    return f"https://urldefense.proofpoint.com/v1/url?u={quote(url, safe='')}&k=abc%3D%3D&r=def&m=ghi&s=jkl"


def safelinks(url, region="eur02"):
    more = "data=05%7C02%7Cme%40example.org%7C0%7C0%7CTWFpbGZsb3c%3D%7C0&sdata=abc%2Bdef%3D&reserved=0"
    return f"https://{region}.safelinks.protection.outlook.com/?url={quote(url, safe='')}&{more}"


def barracuda(url):
    return f"https://linkprotect.cudasvc.com/url?a={quote(url, safe='')}&c=E,1,abc-_&typo=1"


def google(url):
    return f"https://www.google.com/url?q={quote(url, safe='')}&source=gmail&ust=1700000000000&usg=AOvVaw0"


def cisco(url):
    return f"https://secure-web.cisco.com/1aBc-dEf_/{quote(url, safe='')}"


GATEWAYS = [urldefense_v3, urldefense_v2, urldefense_v1, safelinks, barracuda, google, cisco]


def links(text):
    """Whole URLs that a mail offers."""
    return [archive.link.reveal() for archive in read_mail(text)]


@pytest.mark.parametrize("kind", ["v2", "v4", "sas"])
@pytest.mark.parametrize("quotes", ['""', "''", ""])
@pytest.mark.parametrize("gateway", GATEWAYS)
def test_each_link_is_the_one_that_was_sent(gateway, quotes, kind):
    urls = [make_url(name, kind=kind) for name in KNEE]
    lines = [make_line(gateway(url), name, quotes) for url, name in zip(urls, KNEE, strict=True)]
    mail = parse_mail("\n\n".join(lines))
    assert [archive.link.reveal() for archive in mail.archives] == urls
    assert [archive.name for archive in mail.archives] == list(KNEE)
    assert mail.damaged == ()


@pytest.mark.parametrize("width", [200, 76, 60])
@pytest.mark.parametrize("quotes", ['""', ""])
@pytest.mark.parametrize("gateway", [urldefense_v3, urldefense_v2, urldefense_v1, safelinks])
def test_a_rewritten_link_may_be_cut_into_lines(gateway, quotes, width):
    urls = [make_url(name) for name in KNEE]
    lines = [make_line(gateway(url), name, quotes) for url, name in zip(urls, KNEE, strict=True)]
    text = "\n".join(part for line in lines for part in wrap(line, width))
    assert links(text) == urls
    assert [archive.name for archive in read_mail(text)] == list(KNEE)


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_rewritten_link_comes_in_all_forms_of_a_mail(gateway):
    urls = [make_url(name) for name in KNEE]
    rewritten = [gateway(url) for url in urls]
    plain = "\n\n".join(make_line(one, name) for one, name in zip(rewritten, KNEE, strict=True))
    if gateway is not cisco:  # without a message around it, quoted-printable is known by the = of a parameter
        assert links(as_quoted_printable(plain)) == urls
    assert links(as_html(rewritten)) == urls
    assert links(as_eml(plain, as_html(rewritten))) == urls
    assert links(as_eml(plain, encoding="quoted-printable")) == urls
    assert links("".join(f"> {line}\n" for line in plain.splitlines())) == urls


def test_the_text_of_an_anchor_may_be_what_the_gateway_left():
    url = make_url(KNEE[0])
    mail = parse_mail(f'curl -C - "{url}<{safelinks(url)}>" --output {KNEE[0]}')
    assert [archive.link.reveal() for archive in mail.archives] == [url]
    assert mail.num_duplicates <= 1


def test_runs_of_characters_that_were_taken_out_come_back():
    url = make_url(KNEE[0]).replace("CANARY%2F", "CAN%%%2F", 1)
    rewritten = urldefense_v3(url, odd="%23F=&")
    assert "**" in rewritten
    assert undo_gateways(f'"{rewritten}"') == f'"{url}"'


def test_one_gateway_may_stand_behind_another():
    url = make_url(KNEE[0])
    assert links(make_line(safelinks(urldefense_v3(url), region="nam12"))) == [url]
    assert links(make_line(safelinks(urldefense_v2(url)))) == [url]


def test_a_client_that_took_two_slashes_for_a_comment_does_no_harm():
    url = make_url(KNEE[0])
    assert links(make_line(urldefense_v3(url.replace("https://", "https:/", 1)))) == [url]


def test_rewritten_and_plain_links_may_stand_below_each_other():
    urls = [make_url(name) for name in KNEE]
    text = "\n".join([make_line(urls[0]), make_line(safelinks(urls[1])), make_line(urldefense_v3(urls[2]), quotes="")])
    assert links(text) == urls


def test_a_link_that_lost_what_was_taken_out_is_damaged_and_stays_secret():
    rewritten = urldefense_v3(make_url(KNEE[0])).partition("__;")[0]
    mail = parse_mail("\n\n".join([make_line(rewritten, KNEE[0]), make_line(urldefense_v3(make_url(KNEE[1])))]))
    assert mail.damaged == (KNEE[0],)
    assert CANARY not in repr(mail)


def test_links_that_only_the_gateway_can_read_are_named_as_such():
    with pytest.raises(ConfigError, match="a mail gateway has rewritten the links") as caught:
        read_mail(f'curl -C - "https://protect-eu.mimecast.com/s/{CANARY}?domain=example.org" --output {KNEE[0]}')
    assert CANARY not in str(caught.value)
