"""`mrikit data copy`: what it plans, prints and refuses."""

import hashlib
import io
import json
import tarfile
import threading

import pytest
import typer
from rich.console import Console
from transfer.archive_server import CANARY, Faults, running_server
from transfer.copying import BLOCK, NAME, signatures_in, write_archive
from typer.testing import CliRunner

from jobs.copy_options import choose_archives, parse_quantity
from jobs.copy_progress import CopyProgress
from jobs.copy_report import in_bytes
from jobs.data_copy import copy
from mrikit.errors import ConfigError
from mrikit.transfer.mail import read_mail
from mrikit.transfer.results import CopyEvent, CopyResult

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

OTHER = "knee_multicoil_train_batch_0.tar.xz"
SUMS = "fastMRI_SHA256"


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
    assert "left" in result.stdout
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
    assert "the link expired on" in result.stdout
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


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ([], [NAME, OTHER]),
        ([NAME], [NAME]),
        (["knee_multicoil_val"], [NAME]),
        (["knee_multicoil_train"], [OTHER]),
        (["knee_*"], [NAME, OTHER]),
    ],
    ids=["all", "file", "stem", "batches", "pattern"],
)
def test_archives_are_chosen_by_name(server, only, names):
    offered = read_mail(server.mail(NAME, OTHER, SUMS))
    assert [one.name for one in choose_archives(offered, only)] == names


def test_an_archive_that_is_not_in_the_mail_is_named_with_the_nearest(app, server, tmp_path):
    message = refusal(app, tmp_path, "--only", "knee_multicoil_vla")
    assert message == f"--only knee_multicoil_vla: not in the mail; did you mean {NAME}?"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--engine", "rsync"], "--engine rsync: stream or datafactory is needed"),
        (["--engine", "datafactory"], "--engine datafactory copies into Blob"),
        (["--volumes", "2", "--keep-archives"], "leave out --keep-archives"),
        (["--volumes", "2", "--max-rate", "1MB/s"], "leave out --max-rate"),
        (["--max-rate", "fast"], "--max-rate fast: a number with a unit is needed, such as 50MB/s"),
        (["--max-rate", "50MB"], "such as 50MB/s"),
        (["--memory", "1MB"], "one block of 8388608 has to fit"),
        (["--memory", "192MB/s"], "such as 192MB"),
    ],
    ids=["engine", "to", "keep", "rate-of-volumes", "rate", "rate-unit", "memory", "memory-unit"],
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


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (93_800_000_000, "93.8 GB"), (2 * 10**12, "2.0 TB")],
)
def test_sizes_are_shown_as_links_and_disks_are_sold(count, text):
    assert in_bytes(count) == text


def test_without_a_terminal_a_line_a_minute_is_printed():
    now = [0.0]
    output = io.StringIO()
    with CopyProgress(Console(file=output), 10**9, clock=lambda: now[0]) as progress:
        progress.show(CopyEvent(kind="begin", name="a", size_bytes=10**9, num_bytes=10**8))
        for second in range(0, 121, 10):
            now[0] = second
            progress.show(CopyEvent(kind="moved", name="a", num_bytes=10**7))
    assert output.getvalue().splitlines() == [
        "0.2 of 1.0 GB, 1.2 MB/s, 12 min to go",
        "0.2 of 1.0 GB, 1.1 MB/s, 12 min to go",
    ]


def test_what_is_said_is_printed_once_and_moves_are_not():
    output = io.StringIO()
    with CopyProgress(Console(file=output), 10) as progress:
        progress.show(CopyEvent(kind="note", name="", message="Azure does not fetch [itself]"))
        progress.show(CopyEvent(kind="moved", name="a", num_bytes=1, message="a run goes on"))
    assert output.getvalue() == "Azure does not fetch [itself]\n"


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
    assert {name: (tmp_path / "to" / name).read_bytes() for name in members} == members
    assert not (tmp_path / "to" / "prostate.tar").exists()
    sent = server.bytes_sent
    again = call(app, tmp_path, "--no-keep-archives")
    assert (again.exit_code, server.bytes_sent) == (0, sent)
    assert "prostate.tar: unpacked and verified before" in again.stderr


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


def test_data_factory_is_handed_the_archives_and_their_number(app, server, tmp_path, blob_container, monkeypatch):
    from mrikit.transfer import datafactory

    calls = []

    def copy_archives(archives, to, *, settings, on_event):
        calls.append(([one.name for one in archives], to, settings.num_runs))
        on_event(CopyEvent(kind="moved", name=NAME, num_bytes=1, message="reading"))
        return [
            CopyResult(
                name=NAME, target=f"{to}/{NAME}", state="failed", checksum="not checked",
                size_bytes=1, moved_bytes=1, seconds=1.0, message=f"{NAME}: the run failed",
            )
        ]  # fmt: skip

    monkeypatch.setattr(datafactory, "copy_archives", copy_archives)
    options = ["--engine", "datafactory", "--only", NAME, "--archives-at-once", "2"]
    result = call(app, tmp_path, *options, to=str(blob_container))
    assert calls == [([NAME], blob_container, 2)]
    assert result.exit_code == 1
    assert f"{NAME}: the run failed" in result.stdout


def test_no_thread_is_left_behind(app, server, tmp_path):
    before = threading.active_count()
    call(app, tmp_path)
    assert len([one for one in threading.enumerate() if one.name.startswith("copy-")]) == 0
    assert threading.active_count() <= before + 8  # the server's
