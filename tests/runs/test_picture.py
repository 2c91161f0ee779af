import numpy as np
import pytest
from matplotlib.image import imread

from mrikit.errors import StorageError
from mrikit.runs import picture
from mrikit.runs.picture import first_to_last, list_pictures, panel, save_picture


def slice_row(reference, **others):
    return {"reference": np.array(reference, np.float32)} | {
        name: np.array(image, np.float32) for name, image in others.items()
    }


def test_a_panel_has_a_row_for_each_slice_on_the_scale_of_its_reference():
    bright = slice_row([[0.0, 1.0], [2.0, 4.0]], output=[[4.0, 4.0], [2.0, 9.0]])
    dark = slice_row([[0.0, 0.0], [0.0, 0.1]], output=[[0.1, 0.0], [0.0, -0.1]])
    found = panel([bright, dark])
    assert (found.shape, found.dtype) == ((6, 6), np.uint8)
    assert found[:2].tolist() == [[0, 64, 255, 255, 255, 255], [128, 255, 255, 255, 128, 255]]
    assert found[2:4].min() == 255  # the gap
    assert found[4:].tolist() == [[0, 0, 255, 255, 255, 0], [0, 255, 255, 255, 0, 0]]


def test_errors_are_five_times_brighter_whatever_their_sign():
    found = panel([slice_row([[0.0, 1.0]], error=[[-0.1, 0.3]])])
    assert found.tolist() == [[0, 255, 255, 255, 128, 255]]


def test_smaller_slices_have_black_around_them():
    found = panel([slice_row([[1.0]]), slice_row([[1.0, 1.0], [1.0, 1.0]])])
    assert found.tolist() == [[255, 0], [255, 255], [255, 255], [255, 255], [255, 255]]


def test_what_is_not_finite_is_black_and_so_is_an_empty_reference():
    assert panel([slice_row([[np.nan, 1.0]])]).tolist() == [[0, 255]]
    assert panel([slice_row([[0.0]], output=[[1.0]])]).tolist() == [[0, 255, 255, 0]]


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 3)])
def test_a_picture_is_kept_pixel_by_pixel(tmp_path, shape):
    image = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    path = save_picture(tmp_path / "pictures", "validation", image, 120)
    assert path.name == "step-00000120-validation.png"
    np.testing.assert_array_equal(np.rint(255 * imread(path)), image)


def test_a_name_that_is_no_file_name_becomes_one(tmp_path):
    assert save_picture(tmp_path, "mask/of ../it", np.zeros((1, 1), np.uint8), 7).parent == tmp_path


def test_the_first_and_the_newest_pictures_of_a_name_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(picture, "MAX_PICTURES", 3)
    save_picture(tmp_path, "mask", np.zeros((1, 1), np.uint8), 1)
    for step in (0, 1, 2, 3, 4):
        save_picture(tmp_path, "validation", np.zeros((1, 1), np.uint8), step)
    found = [(step, name) for step, name, _ in list_pictures(tmp_path)]
    assert found == [(0, "validation"), (1, "mask"), (3, "validation"), (4, "validation")]


@pytest.mark.parametrize(
    ("number", "expected"), [(0, []), (1, [0]), (4, [0, 1, 2, 3]), (5, [0, 1, 3, 4]), (50, [0, 16, 33, 49])]
)
def test_of_many_pictures_the_first_the_last_and_some_between_are_shown(number, expected):
    assert first_to_last(range(number)) == expected


def test_a_folder_of_pictures_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"step-00000001-validation\.png"):
        save_picture(tmp_path / "file", "validation", np.zeros((1, 1), np.uint8), 1)
