"""`mrikit data mail`."""

import json
import logging
import shlex
import time

import pytest
import typer
from typer.testing import CliRunner

from mrikit.commands.data.mail import mail
from mrikit.errors import ConfigError, StorageError
from mrikit.transfer.catalogue import load_catalogue
from tests.transfer.mails import CANARY, KNEE, make_line, make_mail, make_url

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(mail)
runner = CliRunner()
ALL = [f"{one.name}.tar.xz" for one in load_catalogue().archives]
HOUR, DAY = 3600, 86_400


@pytest.fixture
def save(tmp_path):
    def write(text, name="curl.txt"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def run(*words, text=None):
    """What a command that must succeed prints."""
    result = runner.invoke(app, [str(word) for word in words], input=text, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert CANARY not in result.output
    return result.stdout


def soon(seconds):
    """An expiry in so many seconds and some."""
    return int(time.time() + seconds + 30)


def test_the_table_tells_dataset_size_volumes_and_time_left(save):
    text = make_mail([KNEE[0]], expires=soon(6 * DAY + 3 * HOUR)) + make_mail(KNEE[1:2], expires=soon(-3 * DAY - HOUR))
    lines = [line.split() for line in run(save(text)).splitlines()[:3]]
    assert lines == [
        ["dataset", "archive", "GiB", "volumes", "expires"],
        ["knee_multicoil", KNEE[0], "93.8", "199", *["in", "6", "d", "3", "h"]],
        ["knee_multicoil", KNEE[1], "90.4-92.1", "197", *["expired", "3", "d", "ago"]],
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (30 * DAY + HOUR, "in 30 d"),
        (2 * DAY, "in 2 d"),
        (5 * HOUR + 240, "in 5 h 4 min"),
        (240, "in 4 min"),
        (-300, "expired 4 min ago"),
        (-40 * DAY, "expired 39 d ago"),
    ],
)
def test_time_left_is_told_in_its_largest_units(save, seconds, words):
    assert run(save(make_mail([KNEE[0]], expires=soon(seconds)))).splitlines()[1].rstrip().endswith(f"199  {words}")


def test_what_is_not_public_is_a_question_mark(save):
    line = run(save(f"http://localhost/lung.tar\nhttp://localhost/{KNEE[2]}\n")).splitlines()
    assert line[1].split() == ["?", "lung.tar", "?", "?", "?"]
    assert line[2].split() == ["knee_singlecoil", KNEE[2], "?", "?", "?"]


def test_what_the_mail_lacks_is_told_by_dataset(save):
    lacking = ("brain_multicoil_val_batch_1", "brain_multicoil_test_batch_0", "brain_fastMRI_DICOM")
    names = [name for name in ALL if not name.startswith(lacking)]
    lines = run(save(make_mail([*names, "SHA256"]))).splitlines()[len(names) + 1 :]
    assert lines[:-1] == [
        "SHA256: the published digests, fetched and checked by copy",
        "brain_multicoil: 2 of 19 archives missing: brain_multicoil_val_batch_1, brain_multicoil_test_batch_0",
        "brain_dicom: not in this mail (1 archive)",
    ]


def test_many_missing_archives_are_told_by_the_first_of_them(save):
    text = run(save(make_mail(["brain_multicoil_val_batch_0.tar.xz"])))
    assert "brain_multicoil: 18 of 19 archives missing: brain_multicoil_train_batch_0, " in text
    assert "batch_3, ...\n" in text


def test_duplicates_and_damaged_links_are_told(save):
    damaged = make_line(make_url("knee_multicoil_test.tar.xz").partition("&")[0])
    text = run(save(make_mail() + make_mail() + damaged))
    assert "duplicate links dropped: 3; of each file the one that lasts longest is kept\n" in text
    assert "links without their whole signature are left out: knee_multicoil_test.tar.xz; copy them" in text


def test_the_next_command_stands_last(save):
    path = save(make_mail(), "my mail.txt")
    assert run(path).splitlines()[-1] == f"next: mrikit data copy {shlex.quote(str(path))} --to DIR"


def test_the_mail_may_come_from_standard_input():
    text = run("-", text=make_mail())
    assert text.count("knee_multicoil_val.tar.xz") == 1
    assert text.splitlines()[-1] == "next: mrikit data copy FILE --to DIR"


def test_json_tells_the_same(save):
    path = save("Knee\n" + make_mail([*KNEE[:2], "SHA256", KNEE[0]], expires=1_800_000_000))
    facts = json.loads(run(path, "--json"))
    assert facts["archives"][0].pop("seconds_left") == pytest.approx(1_800_000_000 - time.time(), abs=60)
    assert facts["archives"][0] == {
        "name": KNEE[0],
        "section": "knee",
        "dataset": "knee_multicoil",
        "split": "val",
        "size_gib": [93.8, 93.8],
        "num_volumes": 199,
        "link": f"https://fastmri-dataset.s3.amazonaws.com/v2.0/{KNEE[0]}?...",
        "expires_at": "2027-01-15T08:00:00+00:00",
    }
    assert [one["name"] for one in facts["archives"]] == list(KNEE[:2])
    assert facts["checksums"] == ["SHA256"]
    assert facts["missing"]["knee_dicom"] == {"num_archives": 2, "names": ["knee_DICOMs_batch1", "knee_DICOMs_batch2"]}
    assert (facts["num_duplicates"], facts["damaged"]) == (1, [])
    assert facts["next"] == f"mrikit data copy {path} --to DIR"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_a_mail_that_an_editor_saved_as_unicode_is_read(save, encoding):
    text = run(save(make_mail().encode(encoding)))
    assert all(name in text for name in KNEE)
    assert text == run(save(make_mail(), "curl.txt"))


@pytest.mark.parametrize("is_json", [False, True])
def test_links_that_have_all_expired_are_not_proposed(save, is_json):
    old, new = make_mail(KNEE[:2], expires=soon(-DAY)), make_mail(KNEE[2:], expires=soon(DAY))
    text = run(save(old), *["--json"] * is_json)
    assert json.loads(text)["next"] is None if is_json else "ask for a new mail" in text.splitlines()[-1]
    assert "mrikit data copy" in run(save(old + new), *["--json"] * is_json)


def test_octets_that_are_no_text_do_no_harm(save):
    assert KNEE[0] in run(save(b"Gr\xfc\xdfe\n" + make_mail().encode()))


def test_a_long_table_is_not_cut_off_in_a_pipe(save):
    name = f"{'knee_' * 12}val.tar.xz"
    assert name in run(save(make_mail([name])))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StorageError, match="No such file or directory; save the download mail as text there"):
        runner.invoke(app, [str(tmp_path / "no.txt")], catch_exceptions=False)


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("cut", ["&", "?", "%"])
def test_an_error_tells_no_part_of_a_signature(save, cut, options):
    url = make_url(KNEE[0]).replace(cut, "\u00a7")
    result = runner.invoke(app, [str(save(make_line(url))), *options])
    assert isinstance(result.exception, ConfigError)
    error = result.exception
    assert CANARY not in f"{error}{error.__cause__}{error.__context__}{result.output}"


@pytest.mark.parametrize("kind", ["v2", "v4", "sas"])
@pytest.mark.parametrize("options", [[], ["--json"], ["--help"]])
def test_nothing_is_logged_of_a_signature(save, caplog, kind, options):
    caplog.set_level(logging.DEBUG)
    run(save(make_mail(width=60, kind=kind)), *options)
    assert CANARY not in caplog.text
