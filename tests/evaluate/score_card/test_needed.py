import json

import h5py
import pytest
from card_study import CHOSEN, write_card_study
from scored_study import write_unreferenced, write_volumes

from mrikit.errors import DataError
from mrikit.evaluate.score_card import find_needed, make_card, read_frozen_list, write_card


def names(needed):
    return [file.path.stem for file in needed.files]


def test_the_rule_chooses_and_counts_what_it_leaves_out(tmp_path):
    write_volumes(tmp_path, 6)
    write_unreferenced(tmp_path)
    needed = find_needed(tmp_path)
    assert names(needed) == list(CHOSEN)
    assert needed.left_out == {"not chosen by the rule, which takes one patient in 2": 2, "without a reference": 1}


def test_other_volumes_do_not_change_the_choice(tmp_path):
    write_volumes(tmp_path, 9)
    assert names(find_needed(tmp_path))[: len(CHOSEN)] == list(CHOSEN)


def test_of_few_patients_without_a_chosen_one_all_are_taken(tmp_path):
    write_volumes(tmp_path, 4)
    for number in (0, 1, 2):
        (tmp_path / f"v{number}.h5").unlink()
    assert names(find_needed(tmp_path)) == ["v3"]


def test_two_files_of_one_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        write_volumes(tmp_path / folder, 1)
    with pytest.raises(DataError, match=r"a/v0\.h5 and .*b/v0\.h5 have one name"):
        find_needed(tmp_path)


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path):
    write_volumes(tmp_path, 2)
    (tmp_path / "v1.h5").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"v1\.h5: "):
        find_needed(tmp_path)


def test_a_folder_without_fit_volumes_says_what_there_is(tmp_path):
    write_unreferenced(tmp_path)
    with pytest.raises(DataError, match="no volume for score-card rule 1; found 1 without a reference"):
        find_needed(tmp_path)


@pytest.mark.parametrize("text", ["v1.h5\nv3.h5\n", "v3\n\n v1\n"])
def test_a_list_of_names_stands_instead_of_the_rule(tmp_path, text):
    write_volumes(tmp_path / "data", 5)
    (tmp_path / "list.txt").write_text(text)
    needed = find_needed(tmp_path / "data", read_frozen_list(tmp_path / "list.txt"))
    assert names(needed) == ["v1", "v3"]
    assert needed.left_out == {"not in list.txt": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no file"),
        ("{", "is no score card"),
        ('{"files": []}', "is no score card"),
        ('{"rule": {"name": "score-card rule 9"}, "files": []}', "a card by score-card rule 9; this version"),
    ],
)
def test_what_is_no_list_is_named(tmp_path, text, message):
    (tmp_path / "list").write_text(text)
    with pytest.raises(DataError) as error:
        read_frozen_list(tmp_path / "list")
    assert str(error.value).startswith(f"{tmp_path / 'list'}: {message}")


def test_a_list_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"list: cannot be read: .*No such file"):
        read_frozen_list(tmp_path / "list")


def test_a_volume_of_the_list_without_a_reference_is_refused_by_name(tmp_path):
    write_unreferenced(tmp_path / "data")
    (tmp_path / "list").write_text("test0.h5")
    with pytest.raises(DataError, match=r"test0\.h5: without a reference, and is on the list of .*list"):
        find_needed(tmp_path / "data", read_frozen_list(tmp_path / "list"))


@pytest.fixture
def card(tmp_path):
    data, recon = write_card_study(tmp_path)
    write_card(tmp_path, make_card([recon], find_needed(data)))
    return tmp_path / "score-card.json", data, recon


def test_a_set_that_lacks_a_file_of_a_card_is_refused_by_its_name(card):
    path, data, _ = card
    (data / "v2.h5").unlink()
    with pytest.raises(DataError) as error:
        find_needed(data, read_frozen_list(path))
    assert str(error.value) == f"{data}: lacks v2.h5 of the 4 files of {path}; a card is made for all of them"


def test_files_beyond_those_of_a_card_are_counted_and_left_out(card):
    path, data, recon = card
    needed = find_needed(data, read_frozen_list(path))
    assert (names(needed), needed.left_out) == (list(CHOSEN), {"not in score-card.json": 2})
    again, before = make_card([recon], needed, read_frozen_list(path)), json.loads(path.read_text())
    assert (again["table"], again["list_sha256"]) == (before["table"], before["list_sha256"])


def test_a_file_that_is_another_than_that_of_a_card_is_refused_by_its_name(card):
    path, data, recon = card
    with h5py.File(data / "v1.h5", "a") as file:
        file.attrs["norm"] = 7.0
    frozen = read_frozen_list(path)
    with pytest.raises(DataError, match=r"v1\.h5: another file than that of .*score-card\.json: its SHA-256 begins"):
        make_card([recon], find_needed(data, frozen), frozen)
