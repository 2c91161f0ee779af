"""Copies by Data Factory: started once, followed to their end, checked, and silent about signatures."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import traceback
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from estates import example_estate
from fake_datafactory import FakeDataFactory, Step, activity, failing, going_well
from transfer.archive_server import running_server
from waiting import until

from mrikit.errors import ConfigError, TransferError
from mrikit.storage import file_state, list_files, read_bytes, remove, write_bytes, write_stream
from mrikit.storage.blob import container_client
from mrikit.storage.estate import read_estate, save_estate
from mrikit.transfer import Link, MailArchive
from mrikit.transfer.datafactory import client as datafactory_client
from mrikit.transfer.datafactory import engine
from mrikit.transfer.datafactory.engine import PARAMETERS, DataFactorySettings, copy_archives, plan_copies
from mrikit.transfer.redaction import install_log_redaction

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

QUICK = DataFactorySettings(interval_s=0.01, settle_s=0.05, max_failures=3, retry_wait_s=0.001)
SPELLINGS = ("canary+Sig", "canary%2BSig", "canary%2bSig", "canary%252BSig", "AKIACANARYKEY")
OPERATIONS = ("get_pipeline", "create_run", "get_run", "query_activities", "query_runs")


class World:
    """A factory, an account, a source with three archives, and what the copies say."""

    def __init__(self, fake, server, container, estate):
        self.fake, self.server, self.container, self.estate = fake, server, container, estate
        self.to = container / "raw"
        self.events = []

    def archive(self, name="a.tar.xz", **link):
        return MailArchive(link=Link(self.server.url(name, **link)), name=name)

    def copy(self, *archives, settings=QUICK, **options):
        archives = archives or (self.archive(),)
        return copy_archives(
            archives, self.to, estate=self.estate, settings=settings, on_event=self.events.append, **options
        )

    def source(self, name="a.tar.xz"):
        return (self.server.folder / name).read_bytes()

    def told(self, kind):
        return [event.message for event in self.events if event.kind == kind]

    def num_started(self):
        return self.fake.operations().count("create_run")

    def another_run(self, name, script, *, pipeline="copy archive", folder="raw"):
        """A run that somebody else has started."""
        given = {
            "baseUrl": self.archive(name).link.base_url,
            "relativeUrl": self.archive(name).link.relative_url_reveal(),
        }
        given |= {"container": self.container.container, "folder": folder, "fileName": name}
        return self.fake.add_run(pipeline, given, script)


@pytest.fixture
def world(blob_container, tmp_path, monkeypatch):
    folder = tmp_path / "source"
    folder.mkdir()
    for index, name in enumerate(("a.tar.xz", "b.tar.xz", "c.tar.xz", "d.tar.xz", "e.tar.xz")):
        (folder / name).write_bytes(bytes([index]) * (1000 + index))
    certificate = Path(os.environ["REQUESTS_CA_BUNDLE"])
    fake = FakeDataFactory(certificate, certificate.with_name("key.pem"))
    monkeypatch.setenv("MRIKIT_ARM_ENDPOINT", fake.endpoint)
    monkeypatch.setenv("MRIKIT_ESTATE", str(tmp_path / "estate.json"))
    estate = example_estate(
        subscription_id=fake.subscription,
        resource_group=fake.group,
        blob_endpoint=os.environ["MRIKIT_BLOB_ENDPOINT"],
        containers=(blob_container.container,),
        factory_name=fake.factory,
    )
    save_estate(estate)
    with running_server(folder) as server:
        yield World(fake, server, blob_container, estate)
    fake.close()


def canaries_in(*things):
    text = "\n".join(str(thing) + repr(thing) for thing in things)
    return [spelling for spelling in SPELLINGS if spelling in text]


def test_archives_come_through_the_factory_as_they_are(world):
    results = world.copy(world.archive("a.tar.xz"), world.archive("b.tar.xz"))
    assert [(result.name, result.state, result.size_bytes) for result in results] == [
        ("a.tar.xz", "copied", 1000),
        ("b.tar.xz", "copied", 1001),
    ]
    assert all(read_bytes(world.to / name) == world.source(name) for name in ("a.tar.xz", "b.tar.xz"))


def test_a_result_names_its_target_and_leaves_the_checksum_open(world):
    (result,) = world.copy(digests={"a.tar.xz": "0" * 64})
    assert result.target == f"az://{world.container.container}/raw/a.tar.xz"
    assert (result.checksum, result.is_ok, result.moved_bytes) == ("not checked", True, 1000)


def test_a_run_is_started_with_the_link_in_two_parts_and_the_place_in_three(world):
    archive = world.archive()
    world.copy(archive)
    (run,) = world.fake.runs.values()
    assert run.parameters == {
        "baseUrl": f"http://127.0.0.1:{world.server.server_port}/",
        "relativeUrl": archive.link.relative_url_reveal(),
        "container": world.container.container,
        "folder": "raw",
        "fileName": "a.tar.xz",
    }


def test_a_container_without_a_prefix_is_an_empty_folder(world):
    copy_archives([world.archive()], world.container, estate=world.estate, settings=QUICK)
    (run,) = world.fake.runs.values()
    assert run.parameters["folder"] == ""
    assert list(list_files(world.container)) == ["a.tar.xz"]


def test_the_linked_estate_is_used_where_none_is_given(world):
    (result,) = copy_archives([world.archive()], world.to, settings=QUICK)
    assert result.state == "copied"


def test_results_come_in_the_order_of_the_archives(world):
    world.fake.scripts["a.tar.xz"] = [*[Step("InProgress")] * 5, *going_well(1000)]
    names = ["a.tar.xz", "c.tar.xz", "b.tar.xz"]
    assert [result.name for result in world.copy(*map(world.archive, names))] == names


def test_no_more_runs_go_on_at_once_than_allowed(world):
    archives = [world.archive(f"{letter}.tar.xz") for letter in "abcde"]
    assert all(result.is_ok for result in world.copy(*archives, settings=replace(QUICK, num_runs=2)))
    assert world.fake.most_at_once == 2


def test_at_least_one_run_is_needed():
    with pytest.raises(ConfigError, match="num_runs is 0; at least one run is needed"):
        DataFactorySettings(num_runs=0)


def test_what_is_there_at_its_size_is_not_copied_again(world):
    write_bytes(world.to / "a.tar.xz", world.source())
    (result,) = world.copy()
    assert (result.state, result.size_bytes, result.message) == ("present", 1000, "")
    assert world.num_started() == 0


def test_what_is_there_at_another_size_is_copied_again_and_said_so(world):
    write_bytes(world.to / "a.tar.xz", b"short")
    (result,) = world.copy()
    assert result.state == "copied"
    assert "a.tar.xz: there with 5 bytes instead of 1000: copied again" in world.told("note")


def test_an_expired_link_starts_nothing_and_asks_for_a_new_mail(world):
    (result,) = world.copy(world.archive(expires_at=1))
    assert result.state == "expired"
    assert "the link expired on 1970-01-01" in result.message
    assert world.num_started() == 0


def test_what_is_there_under_an_expired_link_is_kept_and_its_size_called_unverified(world):
    write_bytes(world.to / "a.tar.xz", b"short")
    (result,) = world.copy(world.archive(expires_at=1))
    assert (result.state, result.size_bytes) == ("present", 5)
    assert result.message == ("a.tar.xz: there with 5 bytes; its size is not verified, because the link expired")
    assert world.told("end") == [result.message]


def test_a_digest_that_an_earlier_copy_noted_is_compared(world):
    metadata = {"mrikit_size": "1000", "sha256": "1" * 64}
    write_stream(world.to / "a.tar.xz", [world.source()], metadata=metadata)
    (result,) = world.copy(digests={"a.tar.xz": "0" * 64})
    assert (result.state, result.checksum, result.is_ok) == ("present", "mismatch", False)
    assert result.message.startswith("a.tar.xz: SHA256 is 111111111111... but 000000000000... is published")


def test_a_digest_of_another_size_counts_for_nothing(world):
    write_stream(world.to / "a.tar.xz", [world.source()], metadata={"mrikit_size": "999", "sha256": "1" * 64})
    (result,) = world.copy(digests={"a.tar.xz": "0" * 64})
    assert (result.state, result.checksum) == ("present", "not checked")


def test_each_result_is_told_when_it_is_over(world):
    world.fake.scripts["b.tar.xz"] = [Step("InProgress")] * 20 + going_well(1001)
    told = []
    world.copy(
        world.archive("b.tar.xz"),
        world.archive(),
        on_result=lambda result: told.append(
            (result.name, [event.name for event in world.events if event.kind == "end"])
        ),
    )
    assert told == [("a.tar.xz", ["a.tar.xz"]), ("b.tar.xz", ["a.tar.xz", "b.tar.xz"])]


def test_an_archive_that_the_source_lacks_leaves_the_others_alone(world):
    missing, good = world.copy(world.archive("z.tar.xz"), world.archive("b.tar.xz"))
    assert (missing.state, good.state) == ("failed", "copied")
    assert "does not exist at the source" in missing.message


def test_every_look_tells_bytes_rate_and_state_of_all_activities(world):
    look = activity("Succeeded", name="look")
    fetch = activity("InProgress", read=3 * 2**20, written=2 * 2**20, throughput=512)
    world.fake.scripts["a.tar.xz"] = [
        Step("InProgress", [fetch, look]),
        *going_well(1000)[2:],
    ]
    world.copy()
    assert world.told("moved")[0] == "look Succeeded; copy InProgress, 3.1 MB read, 2.1 MB written, 524.3 kB/s"


def test_a_pipeline_with_secure_output_tells_no_progress(world):
    """So the estate's must not have it; the stand-in takes the policy of what the program declares."""
    world.fake.policy = {**world.fake.policy, "secureOutput": True}
    world.fake.scripts["a.tar.xz"] = [Step("InProgress", [activity("InProgress", read=10)]), *going_well(1000)[2:]]
    world.copy()
    assert "10 B read" not in str(world.told("moved"))


def test_a_try_that_failed_within_a_run_is_told_with_its_error(world):
    broken = activity("Failed", error={"errorCode": "2200", "message": "It broke."})
    world.fake.scripts["a.tar.xz"] = [
        Step("InProgress", [broken, activity("InProgress", read=10)]),
        Step("Succeeded", [broken, activity("Succeeded", read=1000, written=1000)]),
    ]
    (result,) = world.copy()
    assert result.state == "copied"
    assert world.told("moved")[0] == "copy Failed, 2200 It broke.; copy InProgress, 10 B read, 0 B written"


def test_bytes_that_moved_add_up_to_the_archive(world):
    world.copy()
    assert sum(event.num_bytes for event in world.events if event.kind == "moved") == 1000
    assert [event.size_bytes for event in world.events if event.kind == "begin"] == [1000]


def test_the_same_state_is_noted_once(world):
    world.fake.scripts["a.tar.xz"] = [Step("InProgress", [activity("InProgress", read=n)]) for n in range(5)]
    world.fake.scripts["a.tar.xz"] += going_well(1000)[2:]
    world.copy()
    assert len([note for note in world.told("note") if "InProgress" in note]) == 1


def test_a_failed_run_says_code_and_message_of_its_activity(world):
    message = f"Failed to read from {world.archive().link.reveal()}; status 503."
    world.fake.scripts["a.tar.xz"] = failing("2200", message)
    (result,) = world.copy()
    assert result.state == "failed"
    assert re.search(
        r"^a\.tar\.xz: run run-0001 failed: copy: 2200 Failed to read from http://127\S*/v2\.0/a\.tar\.xz\?\.\.\.",
        result.message,
    )
    assert canaries_in(result, *world.events) == []


def test_a_signature_that_stands_alone_in_an_error_is_hidden_too(world):
    world.fake.scripts["a.tar.xz"] = failing("2200", "The signature 'canary+Sig/nature0=' does not match")
    (result,) = world.copy()
    assert "The signature '...' does not match" in result.message


def test_the_signature_of_an_older_mail_is_hidden_as_well(world):
    old = "https://host/x.tar.xz?AWSAccessKeyId=OLDKEY&Signature=OLDSIGNATURE%3D&Expires=1"
    world.fake.scripts["a.tar.xz"] = failing("2200", f"403 for {old}, Signature=OLDSIGNATURE%3D")
    (result,) = world.copy()
    assert "OLD" not in str(result)


def test_a_run_that_failed_is_started_anew_by_the_next_command(world):
    world.fake.scripts["a.tar.xz"] = failing("2200", "It broke.")
    world.copy()
    del world.fake.scripts["a.tar.xz"]
    assert world.copy()[0].state == "copied"
    assert world.num_started() == 2


def test_a_link_that_expires_halfway_is_told_as_expired(world):
    archive = world.archive()
    world.fake.scripts["a.tar.xz"] = failing("2200", "The remote server returned (403) Forbidden.")
    world.server.faults.expire_after = {"canary+Sig/nature0=": 1}
    (result,) = world.copy(archive)
    assert result.state == "expired"
    assert "the link expired" in result.message
    assert "(403) Forbidden" in result.message


def test_a_run_that_was_cancelled_is_told_so(world):
    world.fake.scripts["a.tar.xz"] = [Step("InProgress"), Step("Canceling"), Step("Cancelled")]
    (result,) = world.copy()
    assert (result.state, "run run-0001 was cancelled in Data Factory" in result.message) == ("failed", True)


def test_a_run_that_succeeds_without_a_blob_is_a_failure(world):
    world.fake.delivers = lambda _parameters: None
    (result,) = world.copy()
    assert result.state == "failed"
    assert "succeeded, but there is no az://" in result.message


def test_a_blob_of_another_size_than_the_source_is_a_failure(world):
    world.fake.delivers = lambda _parameters: write_bytes(world.to / "a.tar.xz", b"x" * 999)
    (result,) = world.copy()
    assert result.state == "failed"
    assert "a.tar.xz has 999 bytes, 1000 were expected; the same command copies" in result.message


def test_a_container_that_is_not_there_starts_nothing(world):
    world.estate = replace(world.estate, containers=("nowhere",))
    world.to = type(world.to)("nowhere")
    (result,) = world.copy()
    assert (result.state, "there is no container 'nowhere'" in result.message) == ("failed", True)
    assert world.num_started() == 0


def test_a_container_that_is_deleted_halfway_fails_its_archives(world):
    world.fake.delivers = lambda _parameters: container_client(world.to.container).delete_container()
    (result,) = world.copy()
    assert (result.state, "there is no container" in result.message) == ("failed", True)


def test_a_run_of_another_machine_is_followed_and_not_started_twice(world):
    for name in ("b.tar.xz", "c.tar.xz", "d.tar.xz"):
        world.another_run(name, [Step("InProgress")])
    world.another_run("a.tar.xz", going_well(1000))
    (result,) = world.copy()
    assert result.state == "copied"
    assert world.num_started() == 0
    assert any(note.startswith("a.tar.xz: run run-0004: https://adf.azure.com/") for note in world.told("note"))


def test_a_run_into_another_folder_is_not_followed(world):
    world.another_run("a.tar.xz", [Step("InProgress")], folder="elsewhere")
    assert world.copy()[0].state == "copied"
    assert world.num_started() == 1


def test_a_run_of_another_pipeline_is_not_followed(world):
    world.fake.pipelines["other"] = world.fake.pipelines["copy archive"]
    world.another_run("a.tar.xz", [Step("InProgress")], pipeline="other")
    assert world.copy()[0].state == "copied"
    assert world.num_started() == 1


def test_a_run_that_is_followed_needs_no_valid_link(world):
    world.another_run("a.tar.xz", going_well(1000))
    (result,) = world.copy(world.archive(expires_at=1))
    assert result.state == "copied"


def test_a_run_that_is_followed_is_checked_against_the_source(world):
    world.another_run("a.tar.xz", going_well(999))
    world.fake.delivers = lambda _parameters: write_bytes(world.to / "a.tar.xz", b"x" * 999)
    (result,) = world.copy()
    assert (result.state, "has 999 bytes, 1000 were expected" in result.message) == ("failed", True)


def test_a_lost_answer_starts_no_second_run(world):
    world.fake.loses_answers = 1
    (result,) = world.copy()
    assert result.state == "copied"
    assert world.num_started() == len(world.fake.runs) == 1


def test_a_lost_answer_waits_until_the_factory_tells_of_the_run(world):
    world.fake.loses_answers, world.fake.hides = 1, 4
    (result,) = world.copy(settings=replace(QUICK, settle_s=60.0))
    assert result.state == "copied"
    assert world.num_started() == 1
    assert world.fake.operations().count("query_runs") == 5


def test_a_request_that_never_arrived_is_made_again_after_a_while(world):
    world.fake.faults["create_run"] = [(503, {"Retry-After": "0"}, {})]
    (result,) = world.copy()
    assert result.state == "copied"
    assert len(world.fake.runs) == 1


def test_throttling_starts_a_run_later(world):
    busy = (429, {"Retry-After": "0"}, {"error": {"code": "TooManyRequests", "message": "Slow down."}})
    world.fake.faults["create_run"] = [busy, busy]
    (result,) = world.copy(settings=replace(QUICK, settle_s=60.0))
    assert result.state == "copied"
    assert len(world.fake.runs) == 1
    assert "the control plane is busy (429 TooManyRequests)" in world.told("retry")[0]


@pytest.mark.parametrize("operation", ["get_pipeline", "get_run", "query_activities", "query_runs"])
@pytest.mark.parametrize(
    "fault", [(429, {"Retry-After": "0"}, {}), (503, {}, {}), (500, {}, {})], ids=["429", "503", "500"]
)
def test_what_passes_is_asked_again(world, operation, fault):
    world.fake.faults[operation] = [fault, fault]
    assert world.copy()[0].state == "copied"
    assert len(world.fake.runs) == 1


@pytest.mark.parametrize("operation", ["get_run", "query_activities"])
def test_dropped_connections_are_survived(world, operation):
    world.fake.faults[operation] = [(None, {}, {})] * 2
    assert world.copy()[0].state == "copied"


def test_a_service_that_stays_away_leaves_the_run_going_on(world):
    world.fake.faults["get_run"] = [(503, {}, {})] * 100
    (result,) = world.copy()
    assert result.state == "failed"
    assert result.message.endswith("4 times in a row; run run-0001 may go on, and the same command follows it")
    world.fake.faults.clear()
    assert world.copy()[0].state == "copied"
    assert world.num_started() == 1


def test_a_service_that_never_starts_a_run_gives_up(world):
    world.fake.faults["create_run"] = [(503, {}, {})] * 100
    (result,) = world.copy()
    assert result.state == "failed"
    assert "the control plane is busy (503), 4 times in a row; the same command goes on from here" in result.message


def test_a_run_that_the_factory_forgot_is_looked_for_again(world):
    world.fake.scripts["a.tar.xz"] = [Step("InProgress")] * 2
    world.fake.faults["get_run"] = [(404, {}, {"error": {"code": "EntityNotFound", "message": "gone"}})]
    (result,) = world.copy()
    assert (
        "the factory does not know run run-0001 any more" in result.message or "knows nothing of run" in result.message
    )


def test_an_interrupted_command_leaves_its_runs_and_says_so(world):
    world.fake.scripts["a.tar.xz"] = [Step("InProgress")] * 3 + going_well(1000)[2:]

    def interrupt(event):
        world.events.append(event)
        if event.kind == "moved":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_archives([world.archive()], world.to, estate=world.estate, settings=QUICK, on_event=interrupt)
    assert world.told("note")[-1].startswith("a.tar.xz: the runs go on in Data Factory 'mrikit-dev-factory'; the same")
    assert set(world.fake.operations()) <= set(OPERATIONS)
    assert world.copy()[0].state == "copied"
    assert world.num_started() == 1


KILLED = """
import sys
from mrikit.storage import parse_location
from mrikit.transfer import Link, MailArchive
from mrikit.transfer.datafactory.engine import DataFactorySettings, copy_archives
archive = MailArchive(link=Link(sys.stdin.readline().strip()), name="a.tar.xz")
copy_archives([archive], parse_location(sys.argv[1]), settings=DataFactorySettings(interval_s=0.01, settle_s=30.0))
"""


def start_and_kill(world, is_time):
    """Run the copy in a process of its own and kill it as soon as `is_time()`."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(world.to)], stdin=subprocess.PIPE, text=True, stderr=subprocess.PIPE
    )
    process.stdin.write(world.archive().link.reveal() + "\n")
    process.stdin.flush()
    until(is_time, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_after_a_kill_the_next_command_follows_the_same_run(world):
    world.fake.scripts["a.tar.xz"] = [Step("InProgress")] * 10**6
    start_and_kill(world, lambda: "get_run" in world.fake.operations())
    (run,) = world.fake.runs.values()
    run.script, run.position = going_well(1000), -1
    world.fake.hides = 10**6  # the note on this machine is enough
    assert world.copy()[0].state == "copied"
    assert world.num_started() == 1


def test_after_a_kill_before_the_answer_the_next_command_finds_the_run(world):
    world.fake.answers_runs = threading.Event()
    start_and_kill(world, lambda: world.fake.runs)
    world.fake.answers_runs.set()
    world.fake.hides = 3
    (result,) = world.copy(settings=replace(QUICK, settle_s=60.0))
    assert result.state == "copied"
    assert world.num_started() == 1


def test_the_command_line_of_the_copying_process_shows_no_signature(world):
    world.fake.scripts["a.tar.xz"] = [Step("InProgress")] * 10**6
    lines = []

    def is_time():
        if "get_run" not in world.fake.operations():
            return False
        lines.extend(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
        return True

    start_and_kill(world, is_time)
    assert any(b"copy_archives" in line for line in lines)
    assert canaries_in(*lines) == []


def test_two_commands_at_once_start_one_run(world):
    world.fake.scripts["a.tar.xz"] = [Step("InProgress")] * 20 + going_well(1000)[2:]
    results = []
    threads = [threading.Thread(target=lambda: results.extend(world.copy())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert all(result.is_ok for result in results)
    assert world.num_started() == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"target": "x"}',
        '{"target": "", "factory": "", "asked_at": "once"}',
        '{"target": "", "factory": "", "asked_at": "2026-11-20"}',
    ],
)
def test_a_damaged_note_is_not_followed(world, text, tmp_path):
    world.fake.scripts["a.tar.xz"] = [Step("InProgress")] * 10**6
    world.fake.faults["get_run"] = [(503, {}, {})] * 100
    world.copy()
    (note,) = (tmp_path / "cache" / "datafactory").glob("*.json")
    note.write_text(text)
    world.fake.faults.clear()
    (run,) = world.fake.runs.values()
    run.script, run.position = going_well(1000), -1
    assert world.copy()[0].state == "copied"
    assert world.num_started() == 1


def test_no_notes_are_left_of_runs_that_are_over(world, tmp_path):
    world.copy()
    assert list((tmp_path / "cache" / "datafactory").glob("*.json")) == []


def test_a_blob_that_was_deleted_after_a_kill_is_copied_again(world):
    world.copy()
    remove(world.to / "a.tar.xz")
    assert world.copy()[0].state == "copied"
    assert file_state(world.to / "a.tar.xz").size_bytes == 1000


def test_a_plan_tells_what_would_be_done_and_starts_nothing(world, tmp_path):
    write_bytes(world.to / "b.tar.xz", world.source("b.tar.xz"))
    world.another_run("c.tar.xz", [Step("InProgress")])
    archives = [world.archive(f"{letter}.tar.xz") for letter in "abc"] + [world.archive("d.tar.xz", expires_at=1)]
    plan = plan_copies(archives, world.to, estate=world.estate, settings=QUICK)
    assert [(found.action, found.size_bytes) for found in plan] == [
        ("copy", 1000),
        ("present", 1001),
        ("follow", 0),
        ("expired", 0),
    ]
    (lacking,) = plan_copies([world.archive("z.tar.xz")], world.to, estate=world.estate, settings=QUICK)
    assert lacking.action == "failed"
    assert "z.tar.xz: does not exist at the source" in lacking.message
    assert world.num_started() == 0
    assert not (tmp_path / "cache").exists()


def test_nothing_that_is_written_said_or_logged_holds_the_signature(world, tmp_path, caplog, capfd):
    install_log_redaction()
    caplog.set_level(logging.DEBUG)
    world.fake.scripts["b.tar.xz"] = failing("2200", f"could not read {world.archive('b.tar.xz').link.reveal()}")
    world.fake.loses_answers = 1
    results = world.copy(world.archive("a.tar.xz"), world.archive("b.tar.xz"))
    assert [result.state for result in results] == ["copied", "failed"]
    assert "createRun" in caplog.text
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and "source" not in path.parts]
    assert canaries_in(results, world.events, caplog.text, *capfd.readouterr(), *files) == []


def test_a_running_copy_leaves_a_note_without_the_signature(world, tmp_path):
    world.fake.faults["get_run"] = [(503, {}, {})] * 100
    world.copy()
    (note,) = (tmp_path / "cache" / "datafactory").glob("*.json")
    assert "run-0001" in note.read_text()
    assert canaries_in(note.read_text()) == []


def test_the_signature_goes_to_the_factory_once_and_in_the_body_of_a_start_only(world):
    world.copy()
    holding = [path for _, path, headers, body in world.fake.requests if canaries_in(path, headers, body)]
    assert len(holding) == 1
    assert "/createRun" in holding[0]
    assert not any(canaries_in(path, headers) for _, path, headers, _ in world.fake.requests)


def test_a_refusal_that_repeats_the_signature_is_hidden_with_all_its_causes(world):
    world.fake.pipelines["copy archive"] = {**world.fake.pipelines["copy archive"], "more": {"type": "String"}}
    (result,) = world.copy()
    assert result.state == "failed"
    assert "the request was refused (400 BadRequest): The parameters are invalid: ['more']" in result.message
    assert canaries_in(result, *world.events) == []


def test_an_error_carries_no_request_of_the_client(world):
    archive = world.archive()
    factory = datafactory_client.Factory(world.estate, retry_wait_s=0.001)
    with pytest.raises(TransferError) as caught:
        factory.start("copy archive", {"relativeUrl": archive.link.relative_url_reveal()})
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert canaries_in("".join(traceback.format_exception(caught.value))) == []


def test_who_is_not_logged_in_is_told_how(world, monkeypatch):
    from azure.identity import DefaultAzureCredential

    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    monkeypatch.setattr(datafactory_client, "credential", DefaultAzureCredential)
    with pytest.raises(ConfigError, match="not logged in to Azure; run `az login`"):
        world.copy()


def test_a_token_that_is_refused_counts_as_not_logged_in(world):
    world.fake.faults["get_pipeline"] = [(401, {}, {"error": {"code": "ExpiredAuthenticationToken", "message": "old"}})]
    with pytest.raises(ConfigError, match="Data Factory 'mrikit-dev-factory': not logged in to Azure"):
        world.copy()


def test_a_login_that_ends_halfway_leaves_the_runs_and_says_so(world):
    world.fake.faults["get_run"] = [(401, {}, {"error": {"code": "ExpiredAuthenticationToken", "message": "old"}})]
    with pytest.raises(ConfigError, match="not logged in"):
        world.copy()
    assert "the same command follows them" in world.told("note")[-1]
    assert world.copy()[0].state == "copied"
    assert world.num_started() == 1


def test_an_identity_without_the_role_is_told_which(world):
    world.fake.faults["get_pipeline"] = [(403, {}, {"error": {"code": "AuthorizationFailed", "message": "no"}})]
    message = r"access was refused \(AuthorizationFailed\); your identity needs the role Data Factory Contributor on it"
    with pytest.raises(ConfigError, match=message):
        world.copy()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subscription_id": "0a1b2c3d-0000-4000-8000-000000000000"}, "no subscription 0a1b2c3d-.* that you may see"),
        ({"resource_group": "other"}, "no resource group 'other' in .*; is it deployed"),
        ({"factory_name": "other"}, "no Data Factory 'other' in resource group 'mrikit-dev'; is it deployed"),
        ({"copy_pipeline": "other"}, "has no pipeline 'other'; deploy it, or name another as copy_pipeline"),
        ({"containers": ("raw",)}, "the estate's Data Factory writes to .*raw; name one of"),
        (
            {"blob_endpoint": "https://other.blob.core.windows.net"},
            "but the estate's Data Factory writes to https://other",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_estate_that_is_not_so_is_refused_before_anything_starts(world, changes, message):
    world.estate = replace(world.estate, **changes)
    with pytest.raises(ConfigError, match=message):
        world.copy()
    assert world.num_started() == 0


def test_a_trailing_slash_of_the_endpoint_is_the_same_account(world):
    world.estate = replace(world.estate, blob_endpoint=world.estate.blob_endpoint + "/")
    assert world.copy()[0].state == "copied"


def test_a_pipeline_without_the_parameters_names_what_it_lacks(world):
    world.fake.pipelines["copy archive"] = {"baseUrl": {"type": "String"}, "url": {"type": "String"}}
    message = "lacks the parameters relativeUrl, container, folder, fileName; it has baseUrl, url: is it the one"
    with pytest.raises(ConfigError, match=message):
        world.copy()


def test_a_pipeline_that_would_show_the_signature_is_refused(world):
    declared = world.fake.pipelines["copy archive"]
    world.fake.pipelines["copy archive"] = {**declared, "relativeUrl": {"type": "String"}}
    with pytest.raises(ConfigError, match="relativeUrl is String, not SecureString; a signature in a plain parameter"):
        world.copy()


def test_two_archives_of_one_name_are_refused(world):
    with pytest.raises(ConfigError, match=r"a\.tar\.xz: two archives would become one file; leave one out with --only"):
        world.copy(world.archive(), world.archive())


def test_no_estate_says_what_to_write(world, monkeypatch, tmp_path):
    monkeypatch.delenv("MRIKIT_ESTATE")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="no estate in Azure is linked; `mrikit infra link` writes"):
        copy_archives([world.archive()], world.to)


def test_a_control_plane_that_cannot_be_reached_is_named(world):
    world.fake.close()
    with pytest.raises(TransferError, match="Data Factory 'mrikit-dev-factory': the control plane cannot be reached: "):
        world.copy()


def test_tokens_never_travel_in_the_clear(world, monkeypatch):
    monkeypatch.setenv("MRIKIT_ARM_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(ConfigError, match="MRIKIT_ARM_ENDPOINT: tokens travel over https only; found 'http://127"):
        world.copy()


def test_without_an_endpoint_the_client_speaks_to_the_public_cloud(world, monkeypatch):
    monkeypatch.delenv("MRIKIT_ARM_ENDPOINT")
    client = datafactory_client.make_client(world.fake.subscription, 0.8)
    assert client._config.credential_scopes == ["https://management.azure.com/.default"]


def test_the_contract_of_the_pipeline_is_written_where_it_is_looked_for():
    page = (Path(__file__).parents[2] / "docs" / "azure.md").read_text()
    assert dict(re.findall(r"^\| `(\w+)` \| (\w*String) \|", page, re.MULTILINE)) == PARAMETERS
    assert dict(re.findall(r"^    (\w+) +(\w*String) ", engine.__doc__, re.MULTILINE)) == PARAMETERS


def test_the_estate_of_the_page_is_one():
    page = (Path(__file__).parents[2] / "docs" / "azure.md").read_text()
    shown = re.search(r"^    \{.*?^    \}", page, re.MULTILINE | re.DOTALL)[0]
    estate = read_estate(json.loads(shown))
    assert set(re.findall(r"^\| `([a-z_]+)` \| (?!\w*String)", page, re.MULTILINE)) == set(asdict(estate))
