"""Download mails of every version and in every state of repair."""

import pytest

from mrikit.errors import ConfigError
from mrikit.transfer.mail import parse_mail, read_mail
from tests.transfer.mails import (
    CANARY,
    EXPIRES,
    HOST,
    KNEE,
    cut_anywhere,
    make_line,
    make_mail,
    make_query,
    make_url,
    wrap,
)

URLS = [make_url(name) for name in KNEE]
NAME = KNEE[0]
QUOTES = ['""', "''", "\u201c\u201d", "\u201e\u201c", "\u2018\u2019", "\u00ab\u00bb", "``", ""]


def links(text):
    """Whole URLs that a mail offers."""
    return [archive.link.reveal() for archive in read_mail(text)]


def names(text):
    return [archive.name for archive in read_mail(text)]


@pytest.mark.parametrize("kind", ["v2", "v4", "sas"])
@pytest.mark.parametrize("quotes", QUOTES)
@pytest.mark.parametrize("width", [None, 200, 76, 60, 33, 20])
def test_a_wrapped_line_is_put_together_again(width, quotes, kind):
    url = make_url(NAME, kind=kind)
    text = "\n".join(wrap(make_line(url, quotes=quotes), width) + wrap(make_line(URLS[1], quotes=quotes), width))
    assert links(text) == [url, URLS[1]]
    assert names(text) == list(KNEE[:2])


@pytest.mark.parametrize(
    "joint", ["\n", "\r\n", "\n    ", " \n> ", "\n>", "\n&gt; ", "\n> > ", "\u00a0\n", "\n\n", " ", "<br>\n"]
)
@pytest.mark.parametrize("quotes", ['""', ""])
@pytest.mark.parametrize("width", [76, 30])
def test_a_line_break_may_bring_other_things_with_it(width, quotes, joint):
    line = make_line(URLS[0], quotes=quotes)
    text = joint.join(line[start : start + width] for start in range(0, len(line), width))
    assert links(f"{text}\n{make_line(URLS[1])}") == URLS[:2]
    assert names(text) == [NAME]


@pytest.mark.parametrize("quotes", ['""', ""])
@pytest.mark.parametrize("kind", ["v2", "v4", "sas"])
def test_a_line_may_be_cut_at_any_one_place(kind, quotes):
    url = make_url(NAME, kind=kind)
    line = make_line(url, quotes=quotes)
    # Not within `curl -C - `, which is not needed, and not where no character is left.
    for position in range(len("curl -C - "), len(line)):
        text = f"{cut_anywhere(line, [position])}\n{make_line(URLS[1])}\n"
        assert links(text) == [url, URLS[1]], position
        assert names(text) == list(KNEE[:2]), position


@pytest.mark.parametrize("last", ["AWSAccessKeyId", "Signature", "Expires"])
def test_a_bare_link_may_end_with_any_parameter(last):
    parameters = sorted(make_query().split("&"), key=lambda one: one.startswith(last))
    url = f"https://{HOST}/v2.0/{NAME}?{'&'.join(parameters)}"
    for position in range(len("https://"), len(url)):
        assert links(f"{cut_anywhere(url, [position])}\nBrain\n\n{URLS[1]}") == [url, URLS[1]], position


@pytest.mark.parametrize(
    "last", ["X-Amz-SignedHeaders=host", "X-Amz-Expires=604800", "X-Amz-Security-Token=IQoJb3%2Fw8"]
)
def test_a_bare_link_may_end_with_a_parameter_of_any_length(last):
    others = [one for one in make_query("v4").split("&") if one.partition("=")[0] != last.partition("=")[0]]
    url = f"https://{HOST}/v2.0/{NAME}?{'&'.join([*others, last])}"
    for position in range(len("https://"), len(url)):
        assert links(f"{cut_anywhere(url, [position])} --output {NAME}\n{URLS[1]}") == [url, URLS[1]], position


def test_the_validity_of_a_link_does_not_swallow_the_next_number():
    url = f"https://{HOST}/{NAME}?{make_query('v4').replace('&X-Amz-Expires=604800', '')}&X-Amz-Expires=604800"
    assert links(f"{url}\n2 archives follow\n{URLS[1]}") == [url, URLS[1]]


def test_a_plain_list_of_links_is_a_mail():
    assert links("\n".join(URLS)) == URLS
    assert names("\n".join(URLS)) == list(KNEE)


def test_links_in_prose_end_where_they_end():
    assert links(f"Get it ({URLS[0]}), or <{URLS[1]}>. Else: {URLS[2]}.") == URLS


@pytest.mark.parametrize("query", ["", "?", "?s", "?a=1", "?e=2", "?se=1", "?expires=1&sig=CANARY", "?id=1&amp;x="])
def test_web_pages_are_no_archives(query):
    page = f"https://fastmri.org/dataset{query}"
    assert links(f"See {page} or\n{page} for details.\n{make_line(URLS[0])}\n{page}") == URLS[:1]


def test_a_mail_may_end_within_a_command():
    assert names(f'curl -C - "{URLS[0]}" --output ') == [NAME]


def test_a_public_list_of_archives_needs_no_signature():
    urls = [f"http://127.0.0.1:8000/{name}" for name in KNEE]
    assert links("\n".join(urls) + "\nSee you") == urls


def test_a_query_of_another_kind_is_kept():
    url = f"http://127.0.0.1:8000/{NAME}?token=abc"
    assert links(make_line(url)) == [url]


@pytest.mark.parametrize(
    "command",
    [
        'curl -C - "{url}" --output {name}',
        'curl -C - "{url}" --output={name}',
        'curl -C - "{url}" -o {name}',
        'curl -C - "{url}" --retry 9 --output "{name}"',
        "curl -C - '{url}' --output '{name}'",
        'curl -C - "{url}" \\\n    --output {name}',
        "curl --output {name} -C - {url}",
        "curl -o '{name}' \"{url}\"",
        'curl -C - "{url}" \u2014output {name}',
        'curl -C - "{url}" --out\nput {name}',
        'curl -C - "{url}" --output {name}; echo done',
    ],
)
def test_the_file_is_called_as_the_command_says(command):
    text = command.format(url=make_url("knee_singlecoil_test.tar.xz"), name="knee_singlecoil_test_v2.tar.xz")
    (archive,) = read_mail(text)
    assert (archive.name, archive.link.name) == ("knee_singlecoil_test_v2.tar.xz", "knee_singlecoil_test.tar.xz")


def test_the_name_of_the_output_may_be_cut_anywhere():
    name = "knee_singlecoil_test_v2.tar.xz"
    for position in range(1, len(name)):
        text = f'curl "{URLS[2]}" --output {cut_anywhere(name, [position])}\n{make_line(URLS[0])}'
        assert names(text) == [name, NAME], position


@pytest.mark.parametrize(
    "output", ["../../.bashrc", "data/x.tar.xz", "-rf", "$(id).tar", "CANARY", "a b", "a\u00e9.tar", ""]
)
def test_an_output_that_is_no_plain_name_of_an_archive_gives_way_to_the_name_of_the_link(output):
    assert names(f'curl -C - "{URLS[0]}" --output "{output}"') == [NAME]


def test_a_command_does_not_take_the_output_of_its_neighbour():
    text = f'curl -C - "{URLS[0]}"\ncurl -o other.tar.xz "{URLS[1]}"\ncurl -C - "{URLS[2]}"'
    assert names(text) == [NAME, "other.tar.xz", KNEE[2]]


def test_two_files_that_would_share_a_name_keep_their_own():
    text = "\n".join(make_line(url, output="knee.tar.xz") for url in URLS[:2])
    assert names(text) == list(KNEE[:2])


def test_two_files_of_one_name_are_told_apart_by_their_folders():
    text = "\n".join(make_line(make_url("SHA256", folder=folder)) for folder in ("v2.0", "v3.0"))
    archives = read_mail(text)
    assert [one.name for one in archives] == ["v2.0_SHA256", "v3.0_SHA256"]
    assert all(one.is_checksums for one in archives)


def test_the_last_of_several_signatures_wins_at_the_first_place():
    later = make_url(NAME, expires=EXPIRES + 60)
    mail = parse_mail("\n".join(make_line(url) for url in (*URLS, later, URLS[0])))
    assert [one.link.reveal() for one in mail.archives] == [later, *URLS[1:]]
    assert mail.num_duplicates == 2


def test_a_link_that_says_when_it_ends_wins_over_one_that_does_not():
    text = f"{URLS[0]}\nhttps://{HOST}/v2.0/{NAME}?token=1"
    assert links(text) == URLS[:1]


@pytest.mark.parametrize("name", ["SHA256", "SHA256.txt", "fastMRI_SHA256", "knee_multicoil_val.tar.xz.sha256"])
def test_the_list_of_digests_is_known(name):
    assert [one.is_checksums for one in read_mail(make_mail([NAME, name]))] == [False, True]


def test_archives_stand_under_their_headings():
    lines = [make_line(make_url(f"{letter}.tar.xz")) for letter in "abcdef"]
    text = f"""Dear user, thank you for your interest in the fastMRI data of the knee and the brain, and more.
{lines[0]}
**Knee MRI:**
{lines[1]}
{lines[2]}

# Brain DICOMs
{lines[3]}
knee and brain
{lines[4]}
Breast
{lines[5]}"""
    assert [one.section for one in read_mail(text)] == [None, "knee", "knee", "brain dicom", "brain dicom", "breast"]


def test_v1_mails_without_a_folder_are_read():
    url = make_url("multicoil_train.tar.gz", folder="")
    assert links(make_line(url)) == [url]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no download link in 0 lines, 0 of them with curl; paste the whole mail"),
        ("Dear user,\n\nhello", "no download link in 2 lines, 0 of them with curl; paste the whole mail"),
        ("curl -C - <URL> --output a.tar.xz", "place holders such as <...>; paste the mail that came to you"),
        (f"curl -C - https://{HOST}/ --output multicoil_train.tar.gz", "names of the first release stand there"),
        (
            f'curl -C - "https://{HOST}/v2.0/{NAME}?AWSAccessKeyId=...&Signature=...&Expires=<epoch>"',
            f"no download link is whole; links without their whole signature are left out: {NAME}",
        ),
        (f"{URLS[0][:-4]}", f"links without their whole signature are left out: {NAME}"),
        (f"curl https://{HOST}?{make_query()}", "left out: link 1 of the mail;"),
        (f"https://{HOST}/v2.0/../{NAME}?{make_query()}", f"left out: {NAME}"),
        (f"https://{HOST}/v2.0/AKIACANARY?{make_query()[:30]}", "left out: link 1 of the mail;"),
    ],
)
def test_a_mail_without_a_usable_link_is_refused_with_what_is_in_it(text, message):
    with pytest.raises(ConfigError) as caught:
        read_mail(text)
    assert message in str(caught.value)
    assert CANARY not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "cut",
    [
        lambda url: url.partition("?")[0],
        lambda url: url.partition("?")[0] + "?",
        lambda url: url.partition("?")[0] + "?AWSAcc",
        lambda url: url.partition("&")[0],
        lambda url: url.partition("&Expires")[0],
        lambda url: url[:-4],
        lambda url: url.replace("CANARY%3D", ""),
    ],
)
@pytest.mark.parametrize("quotes", ['""', ""])
def test_a_link_that_lost_its_signature_is_left_out_by_name(cut, quotes):
    text = f"{make_line(cut(URLS[0]), quotes=quotes)}\n{make_line(URLS[1], quotes=quotes)}"
    with pytest.warns(UserWarning, match=f"left out: {NAME}; copy them from the mail again") as caught:
        assert links(text) == URLS[1:2]
    assert CANARY not in str(caught[0].message)


def test_a_damaged_link_is_no_loss_where_another_one_is_whole():
    assert links(f"{URLS[0][:-5]}\n\n{URLS[0]}") == URLS[:1]


def test_of_many_damaged_links_some_are_named():
    text = "\n".join(f"https://{HOST}/a{index}.tar.xz?Signature=CANARY" for index in range(20))
    with pytest.raises(ConfigError, match=r"a0.tar.xz, .*a7.tar.xz and 12 more; copy"):
        read_mail(text)


def test_a_lost_quotation_mark_does_not_lose_the_links():
    text = "\n".join(make_line(url).replace('" --output', " --output") for url in URLS)
    assert links(text) == URLS


def test_one_path_on_two_hosts_is_two_files():
    urls = [make_url(NAME), make_url(NAME, base_url="https://mirror.example.org/")]
    mail = parse_mail("\n".join(make_line(url) for url in urls))
    assert [one.link.reveal() for one in mail.archives] == urls
    assert [one.name for one in mail.archives] == [f"{HOST}_v2.0_{NAME}", f"mirror.example.org_v2.0_{NAME}"]
    assert mail.num_duplicates == 0


@pytest.mark.parametrize(
    "lines",
    [
        [("a/x.tar", "y.tar"), ("b/y.tar", None), ("c/y.tar", "c_y.tar")],
        [("a/b/x.tar", None), ("a_b/x.tar", None), ("a/b_x.tar", "x.tar")],
        [("a/x.tar", "x.tar"), ("b/x.tar", "x.tar"), ("c/b_x.tar", None)],
    ],
    ids=["output-of-another", "joined-folders", "folders-of-another"],
)
def test_every_file_has_a_name_of_its_own(lines):
    text = "\n".join(make_line(make_url(path, folder=""), output) for path, output in lines)
    names = [one.name for one in read_mail(text)]
    assert len(set(names)) == len(names) == 3


def test_a_repeated_mail_offers_the_same():
    mail = parse_mail(make_mail() * 3)
    assert [one.link.reveal() for one in mail.archives] == URLS
    assert mail.num_duplicates == 6


def test_what_is_left_of_a_signature_is_no_heading():
    text = f"{make_line(URLS[0])}\nCANARYxCANARY%2F Knee\n{make_line(URLS[1])}"
    assert [one.section for one in read_mail(text)] == [None, "knee"]
