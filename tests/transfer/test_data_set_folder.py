"""Where the members of an archive go."""

import pytest
from transfer.archives import files_in, random_members, tar_of

from mrikit.storage import remove
from mrikit.transfer.source import FileSource
from mrikit.transfer.unpacking.data_set_folder import in_old_place, member_folders, notes_on_old_places
from mrikit.transfer.unpacking.unpack import UnpackSettings, unpack
from mrikit.transfer.unpacking.unpack_all import UnpackJob, unpack_all

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
KNEE = "knee_multicoil_val.tar"


@pytest.mark.parametrize(
    ("archive", "folder"),
    [
        ("knee_multicoil_train_batch_0.tar.xz", "knee_multicoil"),
        ("multicoil_train.tar.gz", "knee_multicoil"),
        ("brain_multicoil_val_batch_1.tar.xz", "brain_multicoil"),
        ("knee_singlecoil_test_v2.tar.xz", "knee_singlecoil"),
        ("knee_DICOMs_batch1.tar", "knee_dicom"),
        ("brain_fastMRI_DICOM.tar.gz", "brain_dicom"),
        ("fastMRI_prostate_T2_IDS_001_020.tar.gz", "prostate"),
        ("fastMRI_breast_IDS_001_010.tar.gz", "breast"),
        ("snu.tar.xz", ""),
    ],
)
def test_each_archive_has_the_folder_of_its_data_set(tmp_path, archive, folder):
    assert member_folders(tmp_path, [archive]) == {archive: folder}


def test_a_folder_that_is_called_so_already_is_taken_as_it_is(tmp_path, monkeypatch):
    (tmp_path / "knee_multicoil").mkdir()
    assert member_folders(tmp_path / "knee_multicoil", [KNEE]) == {KNEE: ""}
    monkeypatch.chdir(tmp_path / "knee_multicoil")
    assert member_folders(type(tmp_path)("."), [KNEE]) == {KNEE: ""}


def test_knees_and_brains_of_one_split_do_not_meet(tmp_path):
    members = {
        name: random_members([100, 200], seed=seed, folder="multicoil_val") | {"multicoil_val/same.h5": bytes([seed])}
        for seed, name in enumerate([KNEE, "brain_multicoil_val_batch_0.tar"])
    }
    jobs = []
    for name, folder in member_folders(tmp_path / "to", members).items():
        (tmp_path / name).write_bytes(tar_of(members[name]))
        jobs.append(UnpackJob(source=FileSource(tmp_path / name), folder=folder))
    outcomes = unpack_all(jobs, tmp_path / "to", settings=UnpackSettings())
    assert [outcome.is_ok for outcome in outcomes] == [True, True]
    assert files_in(tmp_path / "to/knee_multicoil") == members[KNEE]
    assert files_in(tmp_path / "to/brain_multicoil") == members["brain_multicoil_val_batch_0.tar"]


@pytest.mark.parametrize("place", ["disk", "blob", "blob without a manifest"])
def test_what_was_unpacked_by_an_earlier_version_goes_on_where_it_is(tmp_path, blob_container, place):
    to = tmp_path / "to" if place == "disk" else blob_container / "to"
    members = random_members([10, 20, 30], folder="multicoil_val")
    (tmp_path / KNEE).write_bytes(tar_of(members))
    unpack(FileSource(tmp_path / KNEE), to, settings=UnpackSettings(num_volumes=2))
    if place == "blob without a manifest":
        remove(to / f".mrikit/{KNEE}.jsonl")
    assert in_old_place(to, [KNEE]) == {KNEE}
    (note,) = notes_on_old_places(to, [KNEE])
    assert note.startswith(f"{KNEE}: an earlier version unpacked it into {to} itself, and it goes on there; to have it")
    assert member_folders(to, [KNEE, "brain_multicoil_val_batch_0.tar"]) == {
        KNEE: "",
        "brain_multicoil_val_batch_0.tar": "brain_multicoil",
    }
    result = unpack(FileSource(tmp_path / KNEE), to, settings=UnpackSettings())
    assert (result.num_written, files_in(to)) == (1, members)


def test_what_lies_in_the_new_place_in_blob_is_no_old_one(tmp_path, blob_container):
    (tmp_path / KNEE).write_bytes(tar_of(random_members([10, 20])))
    unpack(FileSource(tmp_path / KNEE), blob_container / "to/knee_multicoil", settings=UnpackSettings())
    assert in_old_place(blob_container / "to", [KNEE]) == set()


def test_members_that_lie_in_a_folder_of_another_name_are_no_old_place(tmp_path, blob_container):
    (tmp_path / KNEE).write_bytes(tar_of(random_members([10, 20], folder="multicoil_val")))
    unpack(FileSource(tmp_path / KNEE), blob_container / "to/mine", settings=UnpackSettings())
    assert member_folders(blob_container / "to", [KNEE]) == {KNEE: "knee_multicoil"}
