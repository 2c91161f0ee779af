"""The catalogue of archives."""

import pytest

from mrikit.transfer.catalogue import load_catalogue

CATALOGUE = load_catalogue()


def test_29_archives_hold_kspace_as_the_lists_of_members_do():
    assert sum("dicom" not in one.dataset for one in CATALOGUE.archives) == 29
    assert len({one.name for one in CATALOGUE.archives}) == len(CATALOGUE.archives) == 32


@pytest.mark.parametrize(
    ("dataset", "count"),
    [("knee_multicoil", 7), ("knee_singlecoil", 3), ("brain_multicoil", 19), ("knee_dicom", 2), ("brain_dicom", 1)],
)
def test_every_dataset_has_its_archives(dataset, count):
    assert CATALOGUE.num_archives(dataset) == count


@pytest.mark.parametrize(("anatomy", "split"), [("knee", "train"), ("brain", "train"), ("brain", "val")])
def test_the_sizes_of_batches_agree_with_the_total_of_their_split(anatomy, split):
    dataset = f"{anatomy}_multicoil"
    total = CATALOGUE.find(f"{dataset}_{split}")
    sizes = [one.size_gib for one in CATALOGUE.archives if (one.dataset, one.split) == (dataset, split)]
    assert sum(least for least, _ in sizes) <= total.size_gib[0] <= total.size_gib[1] <= sum(most for _, most in sizes)


@pytest.mark.parametrize(
    ("name", "num_volumes"),
    [
        ("knee_multicoil_val.tar.xz", 199),
        ("knee_multicoil_train_batch_0.tar.xz", 197),
        ("brain_multicoil_train_batch_0.tar.gz", 455),
        ("brain_multicoil_train_batch_1.tar.xz", None),
    ],
)
def test_volumes_are_known_where_they_are_public(name, num_volumes):
    assert CATALOGUE.find(name).num_volumes == num_volumes


@pytest.mark.parametrize(
    "name",
    [
        "knee_singlecoil_test",
        "knee_singlecoil_test.tar.xz",
        "knee_singlecoil_test_v2.tar.gz",
        "KNEE_singlecoil_test.tgz",
    ],
)
def test_a_name_is_found_whatever_its_suffix_and_revision(name):
    assert CATALOGUE.find(name).name == "knee_singlecoil_test"


def test_batch_1_is_not_batch_10():
    assert CATALOGUE.find("brain_multicoil_train_batch_10.tar.xz") is None


@pytest.mark.parametrize(
    ("name", "split", "num_volumes", "num_archives"),
    [
        ("multicoil_train.tar.gz", "knee_multicoil_train", 973, 5),
        ("knee_multicoil_train.tar.gz", "knee_multicoil_train", 973, 5),
        ("brain_multicoil_train.tar.gz", "brain_multicoil_train", 4469, 10),
        ("brain_multicoil_test_full.tar.gz", "brain_multicoil_test_full", None, 3),
    ],
)
def test_a_first_release_archive_is_a_whole_split(name, split, num_volumes, num_archives):
    found = CATALOGUE.find(name)
    assert (found.name, found.num_volumes) == (split, num_volumes)
    assert len(CATALOGUE.covered([name])) == num_archives


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("brain_fastMRI_DICOM.tar.gz", "brain_dicom"),
        ("knee_DICOMs_batch1.tar.xz", "knee_dicom"),
        ("fastMRI_prostate_T2.tar.gz", "prostate"),
        ("fastMRI_breast_001.tar.gz", "breast"),
        ("lung.tar.gz", None),
    ],
)
def test_a_file_belongs_to_a_dataset(name, dataset):
    assert CATALOGUE.dataset_of(name) == dataset


def test_nothing_is_missing_from_a_whole_mail():
    assert CATALOGUE.missing([f"{one.name}.tar.xz" for one in CATALOGUE.archives]) == {}


def test_what_is_missing_is_listed_by_dataset_in_order():
    names = [one.name for one in CATALOGUE.archives if one.name not in ("knee_multicoil_test", "knee_multicoil_val")]
    missing = CATALOGUE.missing([*names, "something_else.tar.xz"])
    assert {dataset: [one.name for one in lacking] for dataset, lacking in missing.items()} == {
        "knee_multicoil": ["knee_multicoil_val", "knee_multicoil_test"]
    }


def test_volumes_are_known_by_the_name_of_the_file():
    numbers = [load_catalogue().num_volumes(name) for name in ("knee_multicoil_val.tar.xz", "lung.tar")]
    assert numbers == [199, None]
