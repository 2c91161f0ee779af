"""Archives that Data Factory unpacks: found, followed, and given a manifest."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from estates import example_estate
from fake_datafactory import FakeDataFactory, Step, activity, failing
from transfer.archive_server import CANARY, Faults, running_server
from transfer.archives import compressed, files_in, random_members, tar_of

from mrikit.check import check_folder
from mrikit.errors import ConfigError
from mrikit.storage import list_files, remove, write_bytes
from mrikit.storage.estate import save_estate
from mrikit.transfer import Link, MailArchive
from mrikit.transfer.datafactory import DataFactorySettings, copy_archives, plan_copies
from mrikit.transfer.unpack_as_copied import Unpacker, unpacked_before
from mrikit.transfer.unpacking.manifest import read_manifest

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
QUICK = DataFactorySettings(interval_s=0.01, settle_s=0.05, max_failures=3, retry_wait_s=0.001, unpacks=True)
MEMBERS = random_members([1000, 2000, 0], folder="training")
TAR, GZ, XZ = "fastMRI_prostate_T2.tar", "fastMRI_breast_001.tar.gz", "knee_multicoil_test.tar.xz"


class World:
    """A factory, an account, and a source with an archive of each kind."""

    def __init__(self, fake, server, to, estate):
        self.fake, self.server, self.to, self.estate = fake, server, to, estate
        self.told = []

    def archive(self, name):
        return MailArchive(link=Link(self.server.url(name)), name=name)

    def copy(self, *names):
        found = copy_archives(
            [self.archive(name) for name in names],
            self.to,
            estate=self.estate,
            settings=QUICK,
            on_event=lambda event: self.told.append(event.message),
        )
        return found[0] if len(found) == 1 else found

    def started(self):
        return [(run.pipeline, run.parameters) for run in self.fake.runs.values()]


@pytest.fixture
def world(blob_container, tmp_path, monkeypatch):
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / TAR).write_bytes(tar_of(MEMBERS))
    (folder / GZ).write_bytes(compressed(tar_of(MEMBERS), "gz"))
    (folder / XZ).write_bytes(compressed(tar_of(MEMBERS), "xz in one block"))
    certificate = Path(os.environ["REQUESTS_CA_BUNDLE"])
    fake = FakeDataFactory(certificate, certificate.with_name("key.pem"))
    fake.page_size = 10
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
    script = [Step("InProgress"), Step("Succeeded", [activity("Succeeded", read=5000, written=3000)])]
    monkeypatch.setattr("fake_datafactory.going_well", lambda _num_bytes: list(script))
    with running_server(folder, faults=Faults()) as server:
        yield World(fake, server, blob_container / "raw", estate)
    fake.close()


@pytest.mark.parametrize(
    ("name", "form", "folder"),
    [(TAR, "tar", "prostate/fastMRI_prostate_T2"), (GZ, "tar.gz", "breast/fastMRI_breast_001")],
)
def test_members_go_to_a_folder_of_the_archives_own_and_get_a_manifest(world, name, form, folder):
    result = world.copy(name)
    assert (result.state, result.is_unpacked, result.target) == ("copied", True, f"{world.to}/{folder}")
    ((pipeline, parameters),) = world.started()
    assert pipeline == "copy and unpack archive"
    assert {key: parameters[key] for key in ("container", "folder", "format")} == {
        "container": world.to.container,
        "folder": f"raw/{folder}",
        "format": form,
    }
    assert files_in(world.to / folder) == MEMBERS
    data_set, own = folder.split("/")
    manifest = read_manifest(world.to / data_set, name)
    size_bytes = (world.server.folder / name).stat().st_size
    assert (manifest.archive.size_bytes, manifest.archive.state, manifest.is_ok) == (size_bytes, "whole", True)
    known = {member.name: (member.size_bytes, member.sha256) for member in manifest.done}
    assert known == {f"{own}/{member}": (len(data), None) for member, data in MEMBERS.items()}


def test_what_the_factory_cannot_unpack_comes_as_it_is(world):
    result = world.copy(XZ)
    assert (result.is_unpacked, result.target) == (False, f"{world.to}/{XZ}")
    assert [pipeline for pipeline, _ in world.started()] == ["copy archive"]


def test_an_archive_is_known_by_its_bytes_and_not_by_its_name(world):
    (world.server.folder / "fastMRI_breast_002.tar.gz").write_bytes(compressed(tar_of(MEMBERS), "xz in one block"))
    assert not world.copy("fastMRI_breast_002.tar.gz").is_unpacked


def test_the_same_command_again_starts_nothing_and_the_check_agrees(world):
    world.copy(GZ)
    again = world.copy(GZ)
    assert (again.state, len(world.fake.runs)) == ("present", 1)
    size_bytes = (world.server.folder / GZ).stat().st_size
    assert unpacked_before(world.to, {GZ: size_bytes, TAR: 1}) == {GZ}
    report = check_folder(world.to)
    assert {one.kind for one in report.findings} == {"unreadable"}, "noise is no volume, but nothing else is wrong"
    assert report.num_members == len(MEMBERS)


def test_a_command_that_was_killed_before_the_manifest_writes_it_without_another_run(world, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("mrikit.transfer.datafactory.tasks.write_manifest", _interrupt)
        world.copy(GZ)
    assert len(list_files(world.to / "breast")) == len(MEMBERS)
    result = world.copy(GZ)
    assert (result.state, len(world.fake.runs)) == ("copied", 1)
    assert read_manifest(world.to / "breast", GZ).is_ok


def test_a_run_that_somebody_else_has_started_is_followed(world):
    archive = world.archive(GZ)
    given = {"baseUrl": archive.link.base_url, "relativeUrl": archive.link.relative_url_reveal(), "format": "tar.gz"}
    given |= {"container": world.to.container, "folder": "raw/breast/fastMRI_breast_001"}
    script = [Step("InProgress"), Step("Succeeded", [activity("Succeeded", written=3000)])]
    world.fake.add_run("copy and unpack archive", given, script)
    assert world.copy(GZ).state == "copied"
    assert len(world.fake.runs) == 1


def test_what_does_not_add_up_is_no_archive(world):
    write_bytes(world.to / "breast/fastMRI_breast_001/old.h5", b"from another version")
    result = world.copy(GZ)
    assert result.state == "failed"
    assert "holds 3020 bytes, but run run-0001 has written 3000; delete the folder and give the same" in result.message
    remove(world.to / "breast/fastMRI_breast_001/old.h5")
    assert world.copy(GZ).state == "copied"


def test_a_failed_run_is_told_with_the_words_of_the_factory(world, monkeypatch):
    monkeypatch.setattr("fake_datafactory.going_well", lambda _num_bytes: failing("UserErrorInvalidTar", "broken tar"))
    result = world.copy(GZ)
    assert (result.state, list_files(world.to / "breast")) == ("failed", {})
    assert "UserErrorInvalidTar broken tar" in result.message


def test_the_address_of_each_run_in_the_monitor_is_told_and_holds_no_signature(world):
    world.copy(GZ, XZ)
    place = (
        f"factory=/subscriptions/{world.estate.subscription_id}/resourceGroups/{world.estate.resource_group}"
        f"/providers/Microsoft.DataFactory/factories/{world.estate.factory_name}"
    )
    for run_id in world.fake.runs:
        address = f"https://adf.azure.com/en/monitoring/pipelineruns/{run_id}?{place}"
        assert any(message.endswith(f"run {run_id}: {address}") for message in world.told)
    assert not any(CANARY in message for message in world.told)


def test_a_pipeline_that_is_not_the_one_that_unpacks_is_refused(world):
    world.fake.pipelines["copy and unpack archive"].pop("format")
    try:
        with pytest.raises(ConfigError, match=r"'copy and unpack archive'.*lacks the parameters format"):
            world.copy(GZ)
    finally:
        world.fake.pipelines["copy and unpack archive"]["format"] = {"type": "String"}


def test_an_estate_without_that_pipeline_says_which_key_names_it(world):
    world.estate = replace(world.estate, unpack_pipeline="none")
    with pytest.raises(ConfigError, match="has no pipeline 'none'; deploy it, or name another as unpack_pipeline"):
        world.copy(TAR)


def test_a_plan_knows_what_would_be_unpacked_and_starts_nothing(world):
    archives = [world.archive(name) for name in (GZ, XZ)]
    plan = plan_copies(archives, world.to, estate=world.estate, settings=QUICK)
    assert [one.action for one in plan] == ["copy", "copy"]
    assert world.fake.runs == {}


def test_what_came_unpacked_is_not_unpacked_again_here(world):
    said = []
    unpacker = Unpacker(world.to, {}, said.append)
    for result in world.copy(GZ, XZ):
        unpacker.submit(result)
    states = unpacker.finish()
    assert {name: state.state for name, state in states.items()} == {GZ: "unpacked", XZ: "unpacked"}
    assert [line.partition(":")[0] for line in said] == [XZ]
    assert files_in(world.to / "knee_multicoil") == MEMBERS


def _interrupt(*_words):
    raise KeyboardInterrupt
