"""Whose volumes are, by files, tables and names."""

import pytest

from mrikit.errors import DataError
from mrikit.volumes import ScanInfo
from mrikit.volumes.patients import named_patient, patients_by_name, read_patients, require_known, with_patients

M4RAW = [f"202206100{person}_T10{repetition}" for person in (1, 2, 3) for repetition in (1, 2, 3)]


def infos(names, **facts):
    facts = {"matrix": (16, 16), "recon_matrix": (8, 8), "padding": (0, 16)} | facts
    return [ScanInfo(volume_id=name, **facts) for name in names]


@pytest.mark.parametrize(
    ("names", "people"),
    [
        (M4RAW, [name[:10] for name in M4RAW]),
        (["17_FLAIR01", "17_T201", "18_T101", "18_T102"], ["17", "17", "18", "18"]),
        (["sub-01_ses-1_T1w", "sub-01_ses-2_run-3", "sub-02_T1w"], ["sub01", "sub01", "sub02"]),
        (["T1_subject7", "T2_subject7"], ["subject7", "subject7"]),
        (["P01rep1", "P01rep2", "P02rep1"], ["P01", "P01", "P02"]),
        (["17_T1_echo1", "17_T1_echo2", "17_T2_avg1"], ["17", "17", "17"]),
        (["AnnaK_rep1", "AnnaK_rep2", "BobM_rep1", "BobM_rep2"], ["AnnaK", "AnnaK", "BobM", "BobM"]),
    ],
)
def test_names_that_differ_in_what_was_scanned_are_of_one_person(names, people):
    assert patients_by_name(names) == dict(zip(names, people, strict=True))


@pytest.mark.parametrize(
    "names",
    [
        ["file1000001", "file1000002"],
        ["file_brain_AXT2_200_6002217", "file_brain_AXFLAIR_200_6002218"],
        ["knee_acc4_1", "knee_acc4_2", "knee_acc8_1"],
        ["knee_rep1", "knee_rep2", "knee_rep3"],
        ["knee_acc4_T1", "knee_acc4_T2"],
        ["site_rep1", "site_rep2"],
        ["17_T1", "18_T2"],
        ["v0", "v1"],
    ],
)
def test_names_that_do_not_tell_it_are_left_alone(names):
    assert patients_by_name(names) == {}


def test_it_says_how_patients_were_found_with_an_example():
    known, lines = with_patients(infos(M4RAW))
    assert [info.patient_id for info in known] == [name[:10] for name in M4RAW]
    (line,) = lines
    assert line == (
        "patients: 3 people by the names of 9 files, such as 2022061001_T101, 2022061001_T102, 2022061001_T103; "
        "--patients FILE.csv names others"
    )


def test_it_says_that_patients_are_unknown():
    known, lines = with_patients(infos(["knee_1", "knee_2"]))
    assert [info.patient_id for info in known] == [None, None]
    assert lines == [
        "patients: unknown for 2 of 2 volumes, each counts as another one; name them with --patients FILE.csv"
    ]


def test_what_a_file_says_counts_more_than_its_name_and_a_study_stands_for_a_patient():
    known, lines = with_patients(infos(M4RAW[:1], patient_id="p", study_id="s") + infos(M4RAW[1:2], study_id="s"))
    assert [info.patient_id for info in known] == ["p", "s"]
    assert lines == []


@pytest.mark.parametrize(
    "text",
    [
        "a.h5,p1\nb,p1\nx/c.h5,p2\n",
        "file,patient\na.h5,p1\nb.h5,p1\nc.h5,p2\n",
        "site;Subject;Volume\n1;p1;a\n1;p1;b\n\n2;p2;c\n",
        "\ufeffpatient_id\tfilename\r\np1\tdata/a.h5\r\np1\tdata\\b.mrd\r\np2\tc.h5\r\n",
    ],
)
def test_a_table_may_have_a_header_and_any_of_three_separators(tmp_path, text):
    (tmp_path / "patients.csv").write_text(text, newline="")
    assert read_patients(tmp_path / "patients.csv") == {"a": "p1", "b": "p1", "c": "p2"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.h5\n", "line 1 lacks a file or a patient; found ['a.h5']"),
        ("a.h5,p1\nb.h5, \n", "line 2 lacks a file or a patient"),
        ("a.h5,p1\na,p2\n", "line 2 names a again, of another patient"),
        ("file,patient\n", "names no patient"),
    ],
)
def test_a_table_that_is_wrong_is_refused_by_its_line(tmp_path, text, message):
    (tmp_path / "patients.csv").write_text(text)
    with pytest.raises(DataError, match=r"patients\.csv: ") as caught:
        read_patients(tmp_path / "patients.csv")
    assert message in str(caught.value)


def test_no_table_is_one_line(tmp_path):
    with pytest.raises(DataError, match=r"not a table of patients: .*No such file"):
        read_patients(tmp_path / "none.csv")


def test_a_table_counts_more_than_files_and_names():
    table = {name: f"p{number % 2}" for number, name in enumerate(M4RAW)}
    known, lines = with_patients(infos(M4RAW, patient_id="own"), table)
    assert [info.patient_id for info in known] == [*table.values()]
    assert lines == []


def test_a_volume_that_a_table_lacks_is_refused_by_name():
    with pytest.raises(DataError) as caught:
        with_patients(infos(M4RAW), dict.fromkeys(M4RAW[1:], "p"))
    assert str(caught.value) == "--patients lacks 2022061001_T101 of 9 volumes; add a line for each"


def test_a_name_of_no_volume_is_refused():
    with pytest.raises(DataError, match="--patients names d, which the data do not hold; mend or leave out"):
        require_known({"a": "p", "d": "p"}, {"a", "b"})


def test_a_file_of_several_volumes_has_one_line(tmp_path):
    assert named_patient({"scan": "p"}, "scan_contrast1", tmp_path / "scan.h5") == "p"
