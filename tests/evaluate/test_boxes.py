import json

import h5py
import numpy as np
import pytest
from scored_study import write_volumes
from snu_study import write_leaderboard

from mrikit.errors import DataError
from mrikit.evaluate.boxes import Box, crop_boxes, read_box_table, stored_boxes

HEADER = "file,slice,study_level,x,y,width,height,label"


def box(**how):
    return Box(**{"slice_index": 1, "x": 3.0, "y": 5.0, "width": 4.0, "height": 2.0, "label": "cyst", **how})


def write_table(path, *rows, header=HEADER):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def store(path, value):
    with h5py.File(path, "a") as file:
        file.attrs["annotations"] = value


def test_boxes_of_a_table_are_turned_to_the_upper_left_corner(tmp_path):
    table = read_box_table(write_table(tmp_path / "knee.csv", "file1,1,No,3,5,4,2,cyst", "file2.h5,0,,0,0,1,1,edema"))
    # In an image of 20 rows the box covers rows 5 and 6 from below: 13 and 14 from above.
    assert table.boxes_of("file1", 20) == (box(y=13.0),)
    assert table.boxes_of("file2", 20) == (Box(slice_index=0, x=0, y=19, width=1, height=1, label="edema"),)
    assert table.boxes_of("file3", 20) == ()


def test_rows_about_a_whole_study_are_counted_and_have_no_box(tmp_path):
    table = read_box_table(
        write_table(tmp_path / "t.csv", "file1,0,Yes,,,,,artifact", "file1,0,yes,1,1,1,1,a", "file1,0,,,,,,b")
    )
    assert (table.boxes, table.num_study_level) == ({}, 3)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("file1,1,No,3,five,4,2,cyst", "t.csv, line 2: a box needs a number as 'y'; found 'five'"),
        ("file1,,No,3,5,4,2,cyst", "t.csv, line 2: a box needs a number as 'slice'; found ''"),
        ("file1,1,No,nan,5,4,2,cyst", "t.csv, line 2: a box needs a number as 'x'; found 'nan'"),
        ("file1", "t.csv: cannot be read as a table of boxes"),
    ],
)
def test_a_row_without_a_number_is_named_by_its_line(tmp_path, row, message):
    with pytest.raises(DataError) as error:
        read_box_table(write_table(tmp_path / "t.csv", row))
    assert message in str(error.value)


def test_a_table_without_a_column_is_an_error_that_names_it(tmp_path):
    with pytest.raises(DataError, match=r"no column 'width' as fastMRI\+ has it; found \['file', 'slice'"):
        read_box_table(write_table(tmp_path / "t.csv", header="file,slice,study_level,x,y"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read as a table of boxes: No such file or directory; a fastMRI+ CSV would do"),
        (b"", "is empty; a fastMRI+ CSV would do"),
        (b"\xef\xbb\xbf", "is empty; a fastMRI+ CSV would do"),
        (b"\xff\xfe\x00 no text", "cannot be read as a table of boxes: 'utf-8' codec can't decode"),
    ],
    ids=["missing", "empty", "byte order mark only", "no text"],
)
def test_what_is_no_table_is_an_error(tmp_path, content, message):
    path = tmp_path / "t.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_box_table(path)
    assert str(error.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize(("size", "moved"), [((384, 384), (0, 0)), ((320, 300), (32, 42)), ((400, 385), (-8, 0))])
def test_stored_boxes_move_with_the_centre_of_the_grid(tmp_path, size, moved):
    write_volumes(tmp_path, 1)
    store(tmp_path / "v0.h5", json.dumps([{"slice": 1, "x": 103, "y": 205, "width": 4, "height": 2, "label": "cyst"}]))
    assert stored_boxes(tmp_path / "v0.h5", size) == (box(x=103 - moved[1], y=205 - moved[0]),)


def test_boxes_of_the_snu_format_lie_with_the_image(tmp_path):
    write_leaderboard(tmp_path, 1, (4,))
    store(
        tmp_path / "acc4" / "image" / "knee_test1.h5",
        json.dumps([{"slice": 0, "x": 9, "y": 9, "width": 1, "height": 1}]),
    )
    (found,) = stored_boxes(tmp_path / "acc4" / "kspace" / "knee_test1.h5", (384, 384))
    assert (found.x, found.label) == (9, "unnamed")
    assert stored_boxes(tmp_path / "acc4" / "kspace" / "brain_test1.h5", (384, 384)) == ()


CYST = {"x": 103, "y": 205, "width": 4, "height": 2, "label": "cyst"}


def test_boxes_of_2026_lie_under_the_number_of_their_slice(tmp_path):
    write_volumes(tmp_path, 1)
    store(tmp_path / "v0.h5", json.dumps({"1": [CYST, CYST | {"x": 7}], "12": [CYST], "3": []}))
    first, second, third = stored_boxes(tmp_path / "v0.h5", (384, 384))
    assert first == box(x=103, y=205)
    assert (second.x, second.slice_index, third.slice_index) == (7, 1, 12)


def test_one_volume_has_the_same_boxes_in_the_form_of_either_year(tmp_path):
    write_volumes(tmp_path, 1)
    found = []
    for content in ([{"slice": 2, **CYST}, {"slice": 2, **CYST, "y": 3}], {"2": [CYST, CYST | {"y": 3}]}):
        store(tmp_path / "v0.h5", json.dumps(content))
        found.append(stored_boxes(tmp_path / "v0.h5", (320, 320)))
    assert found[0] == found[1] != ()


@pytest.mark.parametrize("value", ["[]", "{}", '{"3": []}'])
def test_no_box_in_either_form_is_no_box(tmp_path, value):
    write_volumes(tmp_path, 1)
    store(tmp_path / "v0.h5", value)
    assert stored_boxes(tmp_path / "v0.h5", (384, 384)) == ()


def test_bytes_are_read_as_text_is(tmp_path):
    write_volumes(tmp_path, 1)
    store(tmp_path / "v0.h5", np.bytes_(json.dumps({"1": [CYST]})))
    assert stored_boxes(tmp_path / "v0.h5", (384, 384)) == (box(x=103, y=205),)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no json", "is neither a JSON list of boxes nor an object of lists by slice: Expecting value"),
        ("", "is neither a JSON list of boxes nor an object of lists by slice: Expecting value"),
        ('{"slice": 1}', "'slice' is no slice number"),
        ('{"-1": []}', "'-1' is no slice number"),
        ('{"1": {"x": 1}}', "slice 1 has dict instead of a list"),
        ('{"1": [], "1": [{}]}', "it has '1' twice"),
        ('{"1": [{"slice": 2, "x": 1, "y": 1, "width": 4, "height": 4}]}', "a box of slice 1 says slice 2"),
        ('{"1": [[1, 2, 3, 4]]}', "a box is list instead of an object"),
        ("[7]", "a box is int instead of an object"),
        ("7", "it is int"),
        (7, "must be str, bytes or bytearray, not int"),
        (["[]", "[]"], "holds 2 values; one JSON text would do"),
        ('[{"slice": 1, "x": 1, "y": 1, "width": 4}]', "a box needs a number as 'height'; found None"),
        ('{"1": [{"x": 1, "y": NaN, "width": 4, "height": 4}]}', "a box needs a number as 'y'; found nan"),
        ('[{"slice": true, "x": 1, "y": 1, "width": 4, "height": 4}]', "a box needs a number as 'slice'; found True"),
        ('[{"slice": 1.5, "x": 1, "y": 1, "width": 4, "height": 4}]', "a slice has a whole number; found 1.5"),
    ],
)
def test_an_attribute_that_holds_no_boxes_is_named(tmp_path, value, message):
    write_volumes(tmp_path, 1)
    store(tmp_path / "v0.h5", value)
    with pytest.raises(DataError) as error:
        stored_boxes(tmp_path / "v0.h5", (24, 20))
    assert str(error.value).startswith(f"{tmp_path / 'v0.h5'}: attribute 'annotations'")
    assert message in str(error.value)


def test_boxes_are_cropped_as_the_image_is():
    assert crop_boxes([box()], (24, 20), (20, 20)) == [box(y=3.0)]
