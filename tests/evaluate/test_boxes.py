import json

import h5py
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


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no json", "is not a JSON list of boxes"),
        ('{"slice": 1}', "is not a JSON list of boxes"),
        ("7", "is not a JSON list of boxes"),
        (7, "is not a JSON list of boxes"),
        ('[{"slice": 1, "x": 1, "y": 1, "width": 4}]', "a box needs a number as 'height'; found None"),
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
