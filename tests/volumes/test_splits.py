"""Which folders of the layouts in use train, validate and test."""

import pytest

from mrikit.storage import BlobPath
from mrikit.volumes.splits import coils_of, linked_test_folder, split_above, split_folder, split_of


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("multicoil_train/a.h5", "train"),
        ("train/brain/kspace/a.h5", "train"),
        ("brain_multicoil_val_batch_0/a.h5", "val"),
        ("train/multicoil_val/a.h5", "val"),
        ("training/a.h5", "train"),
        ("knee_singlecoil_test_v2/a.h5", "test"),
        ("brain_multicoil_challenge/a.h5", "test"),
        ("leaderboard/acc4/kspace/a.h5", "test"),
        ("ChallengeData/MultiCoil/Cine/TrainingSet/FullSample/P001/cine_sax.h5", "train"),
        ("MultiCoil/Cine/ValidationSet/UnderSample_Task1/P001/cine_sax.h5", "val"),
        ("MultiCoil/Cine/TestSet/UnderSample_Task1/P001/cine_sax.h5", "test"),
        ("Test-R=10/e14089s3_P53248.h5", "test"),
        ("valid/a.h5", "val"),
        ("dev/a.h5", "val"),
        ("hidden/a.h5", "test"),
        ("snu_challenge_2025_train/a.h5", "train"),
        ("train1/a.h5", "train"),
        ("train/knee_test3.h5", "test"),
        ("multicoil_test/train/a.h5", "train"),
        ("a_train.h5", None),
        ("devices/a.h5", None),
        ("snu_challenge/a.h5", None),
        ("train_test/a.h5", None),
        ("test_retest/a.h5", None),
    ],
)
def test_the_innermost_folder_that_names_a_split_tells_it(name, split):
    assert split_of(name) == split


def test_the_folder_that_says_it_is_named_from_the_data_on():
    assert split_folder("knee/leaderboard/acc4/kspace/a.h5") == "knee/leaderboard"
    assert split_folder("knee/a.h5") == ""


@pytest.mark.parametrize(
    ("name", "coils"),
    [
        ("multicoil_train/a.h5", "multicoil"),
        ("MultiCoil/Cine/TrainingSet/a.h5", "multicoil"),
        ("knee_singlecoil_val/a.h5", "singlecoil"),
        ("train/a.h5", None),
    ],
)
def test_folders_tell_the_number_of_coils(name, coils):
    assert coils_of(name) == coils


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("Data/leaderboard/acc4/kspace", "test"),
        ("Data/leaderboard/mine", "test"),
        ("fastmri/knee_multicoil_test_v2/mine", "test"),
        ("Cine/TestSet/UnderSample_Task1/P001", "test"),
        ("study/test", "test"),
        ("study/testing/acc8", "test"),
        ("test/work/train/kspace", "train"),
        ("test/work/data", None),
        ("challenge/work/data", None),
        ("my_test_of_knees", None),
        ("test_leaderboard_files", None),
    ],
)
def test_a_folder_above_the_data_tells_it_if_it_is_one_of_a_data_set(tmp_path, folder, split):
    (tmp_path / folder).mkdir(parents=True)
    found = split_above(tmp_path / folder)
    assert (found and found[0]) == split


def test_a_folder_beside_others_that_train_is_of_a_data_set(tmp_path):
    for name in ("test/patients/one", "train", "knees_test_2024", "knees_train_2024", "other_test_2024"):
        (tmp_path / name).mkdir(parents=True)
    assert split_above(tmp_path / "test" / "patients" / "one") == ("test", tmp_path / "test")
    assert split_above(tmp_path / "knees_test_2024") == ("test", tmp_path / "knees_test_2024")
    assert split_above(tmp_path / "other_test_2024") is None


def test_a_relative_path_is_of_the_folder_that_it_is_in(tmp_path, monkeypatch):
    (tmp_path / "leaderboard" / "acc4").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "leaderboard" / "acc4")
    assert split_above(tmp_path.__class__(".")) == ("test", tmp_path / "leaderboard")


def test_a_link_to_test_data_is_test_data(tmp_path):
    (tmp_path / "leaderboard" / "acc4").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "train").symlink_to(tmp_path / "leaderboard")
    assert split_above(tmp_path / "train" / "acc4") == ("test", tmp_path / "leaderboard")
    (tmp_path / "mine" / "a.h5").symlink_to(tmp_path / "leaderboard" / "acc4" / "a.h5")
    assert linked_test_folder(tmp_path / "mine" / "a.h5") == tmp_path / "leaderboard"
    assert linked_test_folder(tmp_path / "leaderboard" / "acc4" / "a.h5") is None


def test_prefixes_of_blobs_tell_it_too():
    assert split_above(BlobPath("datasets", "snu/leaderboard/acc8/kspace")) == (
        "test",
        BlobPath("datasets", "snu/leaderboard"),
    )
    assert split_above(BlobPath("datasets", "snu/knees")) is None
