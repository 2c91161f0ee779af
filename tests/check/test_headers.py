"""What headers alone show."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from phantoms import make_volume

from mrikit.check.headers import check_headers
from mrikit.volumes import build_index, write_fastmri, write_snu
from tests.volumes.mrd import header, lines, scan
from tests.volumes.mrd import write as write_mrd


def write(folder, name, **facts):
    """A small volume with other facts."""
    volume = make_volume()
    facts = {"patient_id": name, **facts}
    write_fastmri(folder / f"{name}.h5", replace(volume, info=replace(volume.info, **facts)))
    return folder / f"{name}.h5"


def found(folder):
    """Files and words by kind; two findings of a kind would be a surprise."""
    findings = check_headers(build_index(folder))
    by_kind = {finding.kind: (finding.severity, finding.files, finding.what) for finding in findings}
    assert len(by_kind) == len(findings)
    return by_kind


def test_good_volumes_give_no_finding(tmp_path):
    write(tmp_path / "multicoil_train", "file1")
    write(tmp_path / "multicoil_val", "file2")
    assert found(tmp_path) == {}


def test_a_truncated_file_is_an_error(tmp_path):
    path = write(tmp_path, "file1")
    write(tmp_path, "file2")
    with path.open("r+b") as raw:
        raw.truncate(path.stat().st_size // 2)
    assert found(tmp_path) == {"unreadable": ("error", ("file1.h5",), "a truncated HDF5 file; copy it again")}


def test_a_reference_of_another_number_of_slices_is_an_error(tmp_path):
    path = write(tmp_path, "file1")
    with h5py.File(path, "r+") as file:
        del file["reconstruction_rss"]
        file["reconstruction_rss"] = np.ones((3, 40, 44), np.float32)
    severity, files, what = found(tmp_path)["unreadable"]
    assert (severity, files) == ("error", ("file1.h5",))
    assert what.startswith("'reconstruction_rss' has 3 slices but k-space has 2")


def test_padding_without_the_centre_of_kspace_is_an_error(tmp_path):
    path = write(tmp_path, "file1")
    with h5py.File(path, "r+") as file:
        header = file["ismrmrd_header"][()].decode()
        del file["ismrmrd_header"]
        file["ismrmrd_header"] = header.replace("<maximum>59</maximum>", "<maximum>20</maximum>")
    assert found(tmp_path)["padding"] == (
        "error",
        ("file1.h5",),
        "the header has columns [0, 21) of 60 acquired, which leaves out the k-space centre at 30",
    )


def test_a_reference_larger_than_the_field_of_view_is_a_warning(tmp_path):
    path = write(tmp_path, "file1")
    with h5py.File(path, "r+") as file:
        del file["reconstruction_rss"]
        file["reconstruction_rss"] = np.ones((2, 40, 80), np.float32)
    assert found(tmp_path)["reference_too_large"][2] == (
        "the reference is 40 x 80, more than the field of view of 64 x 60"
    )


@pytest.mark.parametrize(
    ("fact", "kind", "what"),
    [
        ("patient_id", "patient_missing", "1 of 2 volumes have no patient id"),
        ("acquisition", "acquisition_missing", "1 of 2 volumes have no protocol"),
    ],
)
def test_a_missing_fact_is_a_warning_with_the_files_that_lack_it(tmp_path, fact, kind, what):
    write(tmp_path, "file1", **{fact: None})
    write(tmp_path, "file2")
    assert found(tmp_path) == {kind: ("warning", ("file1.h5",), what)}


def test_a_missing_anatomy_is_a_warning_only_if_nothing_says_it(tmp_path):
    write(tmp_path, "file1", anatomy=None)
    assert found(tmp_path) == {}, "the protocol says knee"
    write(tmp_path, "file2", anatomy=None, acquisition="other")
    assert found(tmp_path)["anatomy_missing"] == (
        "warning",
        ("file2.h5",),
        "1 of 2 volumes have no anatomy in header, protocol or name",
    )


def test_a_name_that_contradicts_its_header_is_a_warning(tmp_path):
    write(tmp_path, "brain_1")
    assert found(tmp_path) == {
        "anatomy_differs": ("warning", ("brain_1.h5",), "the name says brain and the header knee")
    }


def test_a_missing_maximum_is_a_warning(tmp_path):
    path = write(tmp_path, "file1")
    with h5py.File(path, "r+") as file:
        del file.attrs["max"]
    assert found(tmp_path)["max_missing"][2] == "1 of 1 volumes have a reference, but no attribute 'max'"


def test_a_volume_to_train_on_without_a_reference_is_a_warning(tmp_path):
    volume = replace(make_volume(), planned_mask=np.ones(60, bool))
    for split in ("train", "leaderboard"):
        write_snu(tmp_path / split, f"knee_{split}", volume, image_grappa=volume.reference)
        (tmp_path / split / "image" / f"knee_{split}.h5").unlink()
    assert found(tmp_path)["reference_missing"] == (
        "warning",
        ("train/kspace/knee_train.h5",),
        "1 of 2 volumes have no reference, in a folder to train or validate on",
    )


def test_two_volumes_of_one_name_are_a_warning(tmp_path):
    write(tmp_path / "a", "file1")
    write(tmp_path / "b", "file1")
    assert found(tmp_path)["repeated_name"] == (
        "warning",
        ("a/file1.h5", "b/file1.h5"),
        "more than one volume is called file1",
    )


@pytest.mark.parametrize(("one", "other"), [("singlecoil_val", "multicoil_val"), ("acc4/kspace", "acc8/kspace")])
def test_names_that_the_data_sets_repeat_on_purpose_are_good(tmp_path, one, other):
    write(tmp_path / one, "file1")
    write(tmp_path / other, "file1")
    assert found(tmp_path) == {}


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_patient_in_train_and_elsewhere_is_an_error_that_does_not_name_them(tmp_path, split):
    write(tmp_path / "multicoil_train", "file1", patient_id="Jane Doe")
    write(tmp_path / f"multicoil_{split}", "file2", patient_id="Jane Doe")
    write(tmp_path / f"multicoil_{split}", "file3", patient_id="someone else")
    assert found(tmp_path) == {
        "leakage": (
            "error",
            ("multicoil_train/file1.h5", f"multicoil_{split}/file2.h5"),
            f"1 patient is in train and in {split}, as multicoil_train/file1.h5 and multicoil_{split}/file2.h5 show",
        )
    }


def test_a_patient_in_two_volumes_of_one_split_is_good(tmp_path):
    write(tmp_path / "multicoil_train", "file1", patient_id="p")
    write(tmp_path / "singlecoil_train_batch_0", "file2", patient_id="p")
    assert found(tmp_path) == {}


def test_what_a_reader_inferred_and_left_out_is_a_warning(tmp_path):
    xml = header((32, 24, 1), (32, 48, 1), mm=(460, 204.5, 7.5), shown_mm=(230, 194, 5))
    write_mrd(tmp_path / "a.h5", xml, lines(scan()))
    findings = found(tmp_path)
    assert findings["inferred"] == (
        "warning",
        ("a.h5",),
        "the header names no k-space centre; line 12 is taken, the middle of all lines",
    )
    assert findings["interpolated"][2] == (
        "the scanner shows 32 x 48 pixels, of which 16 x 23 were measured in its field of view"
    )
