"""`mrikit data copy`: what it plans, prints and refuses."""

import hashlib
import io
import json
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from rich.console import Console
from transfer.archive_server import CANARY, Faults, running_server
from transfer.copying import BLOCK, NAME, signatures_in, write_archive
from typer.testing import CliRunner

from mrikit.commands.data.copy import copy
from mrikit.commands.data.copy_options import CopyOptions, parse_memory, parse_quantity
from mrikit.commands.data.copy_progress import CopyProgress
from mrikit.commands.data.copy_report import print_results
from mrikit.errors import ConfigError, StorageError
from mrikit.storage import write_bytes
from mrikit.transfer.published import published_digests
from mrikit.transfer.results import CopyEvent, CopyResult
from mrikit.transfer.retry import Patience
from mrikit.transfer.source import FileSource
from mrikit.transfer.unpacking.manifest import read_manifest
from mrikit.transfer.unpacking.result import UnpackSettings
from mrikit.transfer.unpacking.unpack import unpack

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

OTHER = "knee_multicoil_train_batch_0.tar.xz"
SUMS = "fastMRI_SHA256"
OPTIONS = CopyOptions(
    engine="stream",
    keep_archives=None,
    volumes=None,
    connections=None,
    archives_at_once=None,
    max_rate=None,
    memory=None,
)


@pytest.fixture
def app():
    app = typer.Typer()
    app.command()(copy)
    return app


@pytest.fixture
def server(tmp_path):
    data = write_archive(tmp_path / "source")
    write_archive(tmp_path / "source", OTHER, 3 * BLOCK)
    (tmp_path / "source" / SUMS).write_text(f"{hashlib.sha256(data).hexdigest()}  {NAME}\n")
    with running_server(tmp_path / "source", faults=Faults()) as server:
        (tmp_path / "mail.txt").write_text(server.mail(NAME, OTHER, SUMS))
        yield server


def call(app, tmp_path, *options, to="to"):
    place = str(tmp_path / to) if "://" not in to else to
    result = CliRunner().invoke(app, [str(tmp_path / "mail.txt"), "--to", place, *options])
    assert not signatures_in(result.stdout + result.stderr + repr(result.exception))
    return result


def refusal(app, tmp_path, *options, to="to") -> str:
    result = call(app, tmp_path, *options, to=to)
    assert isinstance(result.exception, ConfigError)
    assert "\n" not in str(result.exception)
    return str(result.exception)


def test_archives_are_copied_and_checked_against_the_mail(app, server, tmp_path):
    result = call(app, tmp_path)
    assert result.exit_code == 0, result.exception
    assert (tmp_path / "to" / NAME).read_bytes() == (tmp_path / "source" / NAME).read_bytes()
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if ".tar" in line}
    assert rows[NAME][1:3] == ["copied", "ok"]
    assert rows[OTHER][1:3] == ["copied", "unpublished"]
    assert f"next: mrikit data unpack {tmp_path / 'to'} --to {tmp_path / 'to'}" in result.stdout


def test_the_list_of_digests_is_no_archive(app, server, tmp_path):
    call(app, tmp_path)
    assert not (tmp_path / "to" / SUMS).exists()


def test_a_dry_run_prints_the_plan_and_changes_nothing(app, server, tmp_path):
    result = call(app, tmp_path, "--dry-run")
    assert result.exit_code == 0
    assert "1.5 MB of 1.5 MB to" in result.stdout
    assert "in 59 min" in result.stdout or "in 1 h 0 min" in result.stdout
    assert "of disk are free" in result.stdout
    assert not (tmp_path / "to").exists()


def test_a_dry_run_knows_what_is_there(app, server, tmp_path):
    call(app, tmp_path, "--only", NAME)
    facts = json.loads(call(app, tmp_path, "--dry-run", "--json").stdout)
    missing = {one["name"]: one["missing_bytes"] for one in facts["archives"]}
    assert missing == {NAME: 0, OTHER: 3 * BLOCK}
    assert facts["missing_bytes"] == 3 * BLOCK


def test_json_tells_the_same(app, server, tmp_path):
    facts = json.loads(call(app, tmp_path, "--json").stdout)
    assert [(one["name"], one["state"], one["checksum"]) for one in facts["archives"]] == [
        (NAME, "copied", "ok"),
        (OTHER, "copied", "unpublished"),
    ]
    assert facts["next"].startswith("mrikit data unpack")


def test_an_expired_link_exits_with_1_and_says_so(app, server, tmp_path):
    server.faults.expire_after = {CANARY: 1}
    result = call(app, tmp_path, "--only", NAME)
    assert result.exit_code == 1
    assert "the link expired, its server says, before the time in it" in result.stdout
    assert result.stdout.split(NAME)[1].split()[0] == "expired"


def test_a_mismatch_exits_with_1_also_at_the_second_time(app, server, tmp_path):
    (tmp_path / "source" / SUMS).write_text(f"{'0' * 64}  {NAME}\n")
    for _ in range(2):
        result = call(app, tmp_path, "--only", NAME)
        assert result.exit_code == 1
        assert "mismatch" in result.stdout


def test_without_its_list_of_digests_the_mail_is_copied_with_a_warning(app, server, tmp_path):
    (tmp_path / "source" / SUMS).unlink()
    result = call(app, tmp_path, "--only", NAME)
    assert result.exit_code == 0
    assert f"{SUMS}: does not exist at the source" in result.stderr


@pytest.mark.parametrize("word", ["knee_multicoil_val", "Knee_Multicoil_VAL", "knee_multicoil", "*_val"])
def test_archives_are_chosen_by_words(app, server, tmp_path, word):
    facts = json.loads(call(app, tmp_path, "--only", word, "--dry-run", "--json").stdout)
    assert NAME in [one["name"] for one in facts["archives"]]


def test_an_archive_that_is_not_in_the_mail_is_named_with_the_nearest(app, server, tmp_path):
    message = refusal(app, tmp_path, "--only", "knee_multicoil_vla")
    assert message.startswith("--only knee_multicoil_vla: nothing in the mail has this name; is it knee_multicoil_val")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--engine", "rsync"], "--engine rsync: stream or datafactory is needed"),
        (["--engine", "datafactory"], "--engine datafactory copies into Blob"),
        (["--volumes", "2", "--keep-archives"], "leave out --keep-archives"),
        (["--volumes", "2", "--max-rate", "1MB/s"], "leave out --max-rate"),
        (["--max-rate", "fast"], "--max-rate fast: a number with a unit is needed, such as 50MB/s"),
        (["--max-rate", "50MB"], "such as 50MB/s"),
        (["--memory", "1MB"], "--memory 1MB: at least 8MB is needed"),
        (["--memory", "500TB"], "--memory 500TB: this machine has "),
        (["--max-rate", "0MB/s"], "--max-rate 0MB/s: more than 0 is needed, such as 50MB/s"),
        (["--memory", "192MB/s"], "such as 192MB"),
    ],
    ids=[
        "engine",
        "to",
        "keep",
        "rate-of-volumes",
        "rate",
        "rate-unit",
        "memory",
        "much-memory",
        "no-rate",
        "memory-unit",
    ],
)
def test_options_that_make_no_sense_are_refused(app, server, tmp_path, options, message):
    assert message in refusal(app, tmp_path, *options)


@pytest.mark.parametrize("options", [["--volumes", "2"], ["--connections", "2"], ["--max-rate", "1MB/s"]])
def test_data_factory_takes_none_of_the_bounds_of_a_stream(app, server, tmp_path, options):
    message = refusal(app, tmp_path, "--engine", "datafactory", *options, to="az://container/prefix")
    assert options[0] in message


@pytest.mark.parametrize(
    ("text", "value"), [("50MB/s", 5e7), ("1.5 GiB/s", 1.5 * 2**30), ("100k/s", 1e5), ("7/s", 7.0)]
)
def test_rates_are_read_with_their_units(text, value):
    assert parse_quantity(text, "--max-rate", "50MB/s") == value


def progress(to_come, events, *, is_terminal=False):
    """What is printed if each event comes 10 s after the one before."""
    output, now = io.StringIO(), [0.0]
    console = Console(file=output, force_terminal=is_terminal, width=200)
    shown = CopyProgress(console, to_come, clock=lambda: now[0])
    with shown.progress:
        for event in events:
            shown.show(event)
            now[0] += 10
    return output.getvalue().splitlines()


def test_without_a_terminal_a_line_a_minute_is_printed():
    moved = [CopyEvent(kind="moved", name="a", num_bytes=10**7)] * 12
    begin = CopyEvent(kind="begin", name="a", size_bytes=10**9, num_bytes=10**8)
    assert progress({"a": 9 * 10**8}, [begin, *moved]) == [
        "copy: 60.0 MB of 900.0 MB, 1.0 MB/s, 14 min to go",
        "copy: 120.0 MB of 900.0 MB, 1.0 MB/s, 13 min to go",
    ]


def test_what_is_there_of_an_archive_that_begins_late_is_no_speed():
    moved = [CopyEvent(kind="moved", name="a", num_bytes=10**7)] * 6
    late = CopyEvent(kind="begin", name="b", size_bytes=10**9, num_bytes=9 * 10**8)
    begin = CopyEvent(kind="begin", name="a", size_bytes=10**8)
    first, second = progress({"a": 10**8, "b": 10**8}, [begin, *moved, late, *moved])
    assert first == "copy: 60.0 MB of 200.0 MB, 1.0 MB/s, 2 min to go"
    assert second.startswith("copy: 110.0 MB of 200.0 MB, 916.7 kB/s")


def test_what_a_failed_archive_lacks_is_not_to_come():
    moved = [CopyEvent(kind="moved", name="a", num_bytes=10**7)] * 6
    events = [CopyEvent(kind="end", name="b", message="b: failed"), *moved, CopyEvent(kind="note", name="")]
    assert progress({"a": 10**8, "b": 10**8}, events) == [
        "b: failed",
        "copy: 60.0 MB of 100.0 MB, 1.0 MB/s, 40 s to go",
    ]


def test_what_is_said_is_printed_once_and_moves_are_not():
    assert progress({"a": 10}, [
        CopyEvent(kind="note", name="", message="Azure does not fetch [itself]"),
        CopyEvent(kind="moved", name="a", num_bytes=1, message="a run goes on"),
        CopyEvent(kind="end", name="in-the-plan", message="in-the-plan: the link expired"),
    ]) == ["Azure does not fetch [itself]"]  # fmt: skip


def test_bars_are_shown_on_a_terminal():
    moved = [CopyEvent(kind="moved", name="a.tar", num_bytes=10**7)] * 12
    begin = CopyEvent(kind="begin", name="a.tar", size_bytes=10**9)
    shown = "\n".join(progress({"a.tar": 10**9}, [begin, *moved], is_terminal=True))
    assert "a.tar" in shown
    assert "copy: " not in shown


def write_tar(folder, name: str, num_volumes: int) -> dict[str, bytes]:
    members = {f"volumes/file{number}.h5": bytes([number]) * 300_000 for number in range(num_volumes)}
    with tarfile.open(folder / name, "w") as tar:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return members


def test_archives_that_are_not_kept_are_unpacked_and_deleted(app, server, tmp_path):
    members = write_tar(tmp_path / "source", "prostate.tar", 3)
    (tmp_path / "mail.txt").write_text(server.mail("prostate.tar"))
    result = call(app, tmp_path, "--no-keep-archives")
    assert result.exit_code == 0, result.output
    assert {name: (tmp_path / "to/prostate" / name).read_bytes() for name in members} == members
    assert not (tmp_path / "to" / "prostate.tar").exists()
    sent = server.bytes_sent
    again = call(app, tmp_path, "--no-keep-archives")
    assert (again.exit_code, server.bytes_sent) == (0, sent + 1)  # its size is asked for
    assert "prostate.tar: unpacked and verified before" in again.stderr


@pytest.mark.parametrize("is_cut", [False, True], ids=["deleted", "cut"])
def test_a_member_that_is_not_there_any_more_is_unpacked_again(app, server, tmp_path, is_cut):
    members = write_tar(tmp_path / "source", "prostate.tar", 3)
    (tmp_path / "mail.txt").write_text(server.mail("prostate.tar"))
    call(app, tmp_path, "--no-keep-archives")
    lost = tmp_path / "to/prostate/volumes/file1.h5"
    lost.write_bytes(lost.read_bytes()[:10])
    if not is_cut:
        lost.unlink()
    again = call(app, tmp_path, "--no-keep-archives")
    assert again.exit_code == 0, again.output
    assert "before" not in again.stderr
    assert {name: (tmp_path / "to/prostate" / name).read_bytes() for name in members} == members


def test_a_new_version_of_an_unpacked_archive_is_not_done(app, server, tmp_path):
    write_tar(tmp_path / "source", "prostate.tar", 3)
    (tmp_path / "mail.txt").write_text(server.mail("prostate.tar"))
    call(app, tmp_path, "--no-keep-archives")
    members = write_tar(tmp_path / "source", "prostate.tar", 4)
    server.faults.etag = '"etag-2"'
    again = call(app, tmp_path, "--no-keep-archives")
    assert again.exit_code == 0, again.output
    assert {name: (tmp_path / "to/prostate" / name).read_bytes() for name in members} == members


def test_what_an_earlier_version_unpacked_is_found_where_it_is(app, server, tmp_path):
    members = write_tar(tmp_path / "source", "prostate.tar", 3)
    (tmp_path / "mail.txt").write_text(server.mail("prostate.tar"))
    unpack(FileSource(tmp_path / "source/prostate.tar"), tmp_path / "to", settings=UnpackSettings())
    again = call(app, tmp_path, "--no-keep-archives")
    assert again.exit_code == 0, again.output
    assert "prostate.tar: an earlier version unpacked it into" in again.stderr
    assert "prostate.tar: unpacked and verified before" in again.stderr
    (tmp_path / "to/volumes/file1.h5").unlink()
    assert call(app, tmp_path, "--no-keep-archives").exit_code == 0
    assert {name: (tmp_path / "to" / name).read_bytes() for name in members} == members


def test_what_is_unpacked_needs_no_valid_link(app, server, tmp_path):
    write_tar(tmp_path / "source", "prostate.tar", 3)
    (tmp_path / "mail.txt").write_text(server.mail("prostate.tar"))
    call(app, tmp_path, "--no-keep-archives")
    server.faults.expire_after = {CANARY: 0}
    again = call(app, tmp_path, "--no-keep-archives")
    assert again.exit_code == 0
    assert "prostate.tar: unpacked and verified before" in again.stderr


def test_nothing_is_proposed_where_nothing_came(app, server, tmp_path):
    server.faults.expire_after = {CANARY: 1}
    result = call(app, tmp_path, "--only", NAME)
    assert "next:" not in result.stdout
    assert json.loads(call(app, tmp_path, "--only", NAME, "--json").stdout)["next"] is None


def test_long_names_and_errors_are_not_cut_off_in_a_pipe(app, server, tmp_path):
    name = f"{'knee_' * 35}val.tar"
    (tmp_path / "mail.txt").write_text(server.mail(name))
    result = call(app, tmp_path)
    assert result.stderr.count(f"{name}: does not exist at the source (404") == 1
    assert result.stdout.count(f"{name}: does not exist at the source (404") == 1
    assert "..." not in result.stdout.replace("?...", "")


def test_a_narrow_terminal_folds_names():
    console = Console(file=io.StringIO(), width=60, force_terminal=True)
    print_results(
        [{"name": f"{'knee_' * 12}val.tar", "state": "copied", "checksum": "unpublished", "is_ok": True}],
        OPTIONS, Path("to"), console, console,
    )  # fmt: skip
    text = console.file.getvalue()
    assert "\u2026" not in text
    assert "".join(line.split(" ")[0] for line in text.splitlines()[1:]) == f"{'knee_' * 12}val.tar"


def test_a_failure_is_told_when_it_happens_and_in_the_summary(app, server, tmp_path):
    server.faults.expire_after = {CANARY: 3}  # the size, and the list by two requests
    result = call(app, tmp_path, "--only", NAME)
    assert [text.count("the link expired, its server says") for text in (result.stderr, result.stdout)] == [1, 1]


def test_an_archive_that_cannot_be_unpacked_is_kept(app, server, tmp_path):
    result = call(app, tmp_path, "--no-keep-archives", "--only", NAME)
    assert result.exit_code == 1
    assert (tmp_path / "to" / NAME).exists()


def test_a_few_volumes_do_not_cost_the_archive(app, server, tmp_path):
    write_tar(tmp_path / "source", "prostate.tar", 100)
    (tmp_path / "mail.txt").write_text(server.mail("prostate.tar"))
    server.faults.throttle = 20e6
    result = call(app, tmp_path, "--volumes", "2")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "to").rglob("*.h5")) == ["file0.h5", "file1.h5"]
    assert server.bytes_sent < (tmp_path / "source" / "prostate.tar").stat().st_size / 2
    assert not (tmp_path / "to" / "prostate.tar").exists()


def test_every_bound_reaches_the_copy():
    bounds = replace(OPTIONS, connections=3, archives_at_once=2, max_rate="5MB/s", memory="64MB").settings()
    assert (bounds.num_connections, bounds.archives_at_once) == (3, 2)
    assert (bounds.max_rate, bounds.memory_bytes) == (5e6, 64 * 10**6)


@pytest.mark.parametrize(
    ("options", "memory_bytes"), [((), UnpackSettings().memory_bytes), (("--memory", "64MB"), 64 * 10**6)]
)
def test_the_bound_on_memory_is_that_of_unpacking_too(app, server, tmp_path, monkeypatch, options, memory_bytes):
    bounds = []

    def unpack(*_: object, settings: UnpackSettings, **__: object):
        bounds.append(settings.memory_bytes)
        raise StorageError("stop here")

    monkeypatch.setattr("mrikit.transfer.unpack_as_copied.unpack", unpack)
    call(app, tmp_path, "--no-keep-archives", "--only", NAME, *options)
    assert bounds == [memory_bytes]


@pytest.mark.parametrize(("options", "checksum"), [(["--volumes", "1"], "not checked"), (["--no-keep-archives"], "ok")])
def test_who_unpacks_compares_and_keeps_the_published_digests(app, server, tmp_path, options, checksum):
    write_tar(tmp_path / "source", "prostate.tar", 2)
    digest = hashlib.sha256((tmp_path / "source" / "prostate.tar").read_bytes()).hexdigest()
    (tmp_path / "source" / SUMS).write_text(f"{digest}  prostate.tar\n")
    (tmp_path / "mail.txt").write_text(server.mail("prostate.tar", SUMS))
    result = call(app, tmp_path, *options)
    assert result.exit_code == 0, result.output
    assert published_digests(tmp_path / "to") == {"prostate.tar": digest}
    assert read_manifest(tmp_path / "to/prostate", "prostate.tar").archive.checksum == checksum
    asks = "SHA256 not checked: prostate.tar; a part of an archive has no digest; copying without --volumes compares"
    assert (asks in result.stdout) == (checksum == "not checked")


def test_published_digests_are_kept_for_unpack_and_for_a_mail_without_them(app, server, tmp_path):
    call(app, tmp_path, "--only", OTHER)
    digest = hashlib.sha256((tmp_path / "source" / NAME).read_bytes()).hexdigest()
    assert published_digests(tmp_path / "to") == {NAME: digest}
    (tmp_path / "mail.txt").write_text(server.mail(NAME))
    assert json.loads(call(app, tmp_path, "--json").stdout)["archives"][0]["checksum"] == "ok"


def test_what_cannot_be_checked_while_it_comes_says_what_would(app, server, tmp_path, blob_container):
    data = (tmp_path / "source" / NAME).read_bytes()
    write_bytes(blob_container / "to" / NAME, data)
    place = str(blob_container / "to")
    result = call(app, tmp_path, "--only", NAME, to=place)
    assert result.exit_code == 0, result.output
    line = f"SHA256 not checked: {NAME}; `mrikit data unpack {place} --to {place}` reads all of it and compares"
    assert line in result.stdout.splitlines()
    assert published_digests(blob_container / "to") == {NAME: hashlib.sha256(data).hexdigest()}


def test_where_digests_cannot_be_noted_the_copy_goes_on_with_a_warning(app, server, tmp_path):
    call(app, tmp_path, "--only", NAME)
    (tmp_path / "to/.mrikit/published.json").unlink()
    (tmp_path / "to/.mrikit/published.json").mkdir()
    result = call(app, tmp_path, "--only", NAME)
    assert (result.exit_code, " ok " in result.stdout) == (0, True)
    assert "the published digests are not noted there" in result.stderr


def test_tries_are_told_also_while_the_list_of_digests_is_fetched(app, server, tmp_path):
    call(app, tmp_path, "--only", NAME)  # what is there needs no plan from the server
    server.faults.busy_every, server.faults.etag = 2, None
    server.num_bodies = 1
    result = call(app, tmp_path, "--only", NAME)
    assert result.exit_code == 0
    assert f"{SUMS}: the server is busy (503); next try in" in result.stderr


def test_nothing_is_proposed_unless_all_came(app, server, tmp_path):
    (tmp_path / "mail.txt").write_text(server.mail(NAME, "missing.tar"))
    result = call(app, tmp_path)
    assert (result.exit_code, "next:" in result.stdout) == (1, False)
    assert (tmp_path / "to" / NAME).exists()


def test_a_plan_tells_the_state_of_each_archive_in_a_word(app, server, tmp_path):
    call(app, tmp_path, "--only", NAME)
    (tmp_path / "mail.txt").write_text(server.mail(NAME, OTHER, "missing.tar"))
    rows = {line.split()[0]: line.split()[1] for line in call(app, tmp_path, "--dry-run").stdout.splitlines()[1:4]}
    assert rows == {NAME: "there", OTHER: "new", "missing.tar": "failed"}


def test_where_nothing_can_come_no_sizes_are_told(app, server, tmp_path):
    server.faults.refusal = (403, "AccessDenied", "Request has expired", {})
    result = call(app, tmp_path, "--dry-run", "--only", NAME)
    lines = result.stdout.splitlines()
    assert lines[1].split() == [NAME, "expired", "?", "?", "?"]
    assert lines[-1] == f"1 of 1 archive cannot be copied: {NAME}"
    assert result.exit_code == 1


@pytest.mark.parametrize("options", [("--dry-run",), ("--dry-run", "--json"), ("--volumes", "2"), ()])
def test_a_server_that_is_not_there_is_given_up_within_seconds(app, tmp_path, monkeypatch, options):
    write_archive(tmp_path / "source")
    with running_server(tmp_path / "source", faults=Faults()) as server:
        (tmp_path / "mail.txt").write_text(server.mail(NAME))
    waited = []
    monkeypatch.setattr(Patience, "wait_s", lambda _patience, count, _after=None: waited.append(count) or 0.0)
    result = call(app, tmp_path, *options)
    assert result.exit_code == 1
    assert f"{NAME}: the server cannot be reached, 5 times in a row" in result.stdout + result.stderr
    assert waited == [1, 2, 3, 4]


def test_a_server_that_takes_no_connection_is_given_up_after_some_time():
    patience = Patience(absent_after_s=10)
    so_far = [(1, 60), (2, 9), (2, 10), (5, 1)]
    assert [patience.is_absent(*one) for one in so_far] == [False, False, True, True]


def test_what_is_unpacked_in_part_is_told_below_the_table(app, server, tmp_path):
    write_tar(tmp_path / "source", "a.tar", 1)
    (tmp_path / "to/volumes").mkdir(parents=True)
    (tmp_path / "to/volumes/file0.h5").write_bytes(b"mine")
    (tmp_path / "mail.txt").write_text(server.mail("a.tar"))
    result = call(app, tmp_path, "--no-keep-archives")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].split()[:3] == ["a.tar", "in", "part"]
    assert "a.tar: 0 members, 1 refused; archive whole" in result.stdout


def test_the_least_memory_may_be_given_in_either_unit():
    assert parse_memory("8MB", "--memory", "192MB", 2**23) == 2**23
    assert parse_memory("8MiB", "--memory", "192MB", 2**23) == 2**23
    assert parse_memory("64MB", "--memory", "192MB", 2**23) == 64 * 10**6


def test_data_factory_needs_an_estate_also_for_a_plan(app, server, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "no estate in Azure is linked" in refusal(
        app, tmp_path, "--engine", "datafactory", "--dry-run", to="az://container/prefix"
    )


@pytest.fixture
def factory(monkeypatch):
    """Data Factory, of which one archive is known to be there, one to fail and one to be missing; its calls."""
    from mrikit.transfer import datafactory

    calls = []

    def plan_copies(archives, to, *, settings):
        calls.append(("plan", [one.name for one in archives], to, settings.num_runs))
        findings = [
            datafactory.ArchiveAction(action="present", size_bytes=7, message="there with 7 bytes"),
            datafactory.ArchiveAction(action="copy", size_bytes=100),
            datafactory.ArchiveAction(action="expired", message="c.tar: the link expired"),
        ]
        return findings[: len(archives)]

    def copy_archives(archives, to, *, digests, settings, on_event, on_result):
        calls.append(("copy", [one.name for one in archives], to, digests))
        on_event(CopyEvent(kind="moved", name=NAME, num_bytes=1, message="reading"))
        result = CopyResult(
            name=NAME, target=f"{to}/{NAME}", state="failed", checksum="not checked",
            size_bytes=1, moved_bytes=1, seconds=1.0, message=f"{NAME}: the run failed",
        )  # fmt: skip
        on_result(result)
        return [result]

    monkeypatch.setattr(datafactory, "plan_copies", plan_copies)
    monkeypatch.setattr(datafactory, "copy_archives", copy_archives)
    return calls


def test_data_factory_is_handed_archives_digests_and_their_number(app, server, tmp_path, blob_container, factory):
    options = ["--engine", "datafactory", "--only", NAME, "--archives-at-once", "2"]
    result = call(app, tmp_path, *options, to=str(blob_container))
    digest = hashlib.sha256((tmp_path / "source" / NAME).read_bytes()).hexdigest()
    assert factory == [("plan", [NAME], blob_container, 2), ("copy", [NAME], blob_container, {NAME: digest})]
    assert result.exit_code == 1
    assert f"{NAME}: the run failed" in result.stdout


def test_a_dry_run_of_data_factory_tells_its_own_plan(app, server, tmp_path, blob_container, factory):
    (tmp_path / "mail.txt").write_text(server.mail("a.tar", "b.tar", "c.tar"))
    facts = json.loads(
        call(app, tmp_path, "--engine", "datafactory", "--dry-run", "--json", to=str(blob_container)).stdout
    )
    rows = [(one["size_bytes"], one["missing_bytes"], one["error"], one["note"]) for one in facts["archives"]]
    assert rows == [
        (7, 0, None, "a.tar: there with 7 bytes"),
        (100, 100, None, None),
        (0, 0, "c.tar: the link expired", None),
    ]
    assert [call[0] for call in factory] == ["plan"]


def test_an_archive_that_the_plan_cannot_have_is_told_by_its_reason(app, server, tmp_path, blob_container, factory):
    (tmp_path / "mail.txt").write_text(server.mail("a.tar", "b.tar", "c.tar"))
    lines = call(app, tmp_path, "--engine", "datafactory", "--dry-run", to=str(blob_container)).stdout.splitlines()
    assert lines[3].split()[:4] == ["c.tar", "expired", "?", "?"]
    assert "c.tar: the link expired" in lines
    assert "a.tar: there with 7 bytes" in lines


def test_no_thread_is_left_behind(app, server, tmp_path):
    before = set(threading.enumerate())
    call(app, tmp_path)
    left = {one for one in threading.enumerate() if "process_request" not in one.name} - before  # but the server's
    assert not left
