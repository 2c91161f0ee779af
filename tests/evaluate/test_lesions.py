import csv
import dataclasses
import json

import h5py
import numpy as np
import pytest
import torch
from scored_study import WINDOW, score, write_recon, write_volumes
from skimage.metrics import structural_similarity

from mrikit.errors import DataError
from mrikit.evaluate import (
    STORED,
    describe_scores,
    evaluate,
    leaderboard,
    read_scores,
    summarise_lesions,
    write_scores,
)
from mrikit.evaluate.boxes import STORED_GRID, Box
from mrikit.evaluate.lesions import score_boxes
from mrikit.evaluate.rows import BoxScore
from mrikit.evaluate.scorers import Compared

HEADER = "file,slice,study_level,x,y,width,height,label"


def box(**how):
    return Box(**{"slice_index": 1, "x": 8.0, "y": 9.0, "width": 6.0, "height": 5.0, "label": "cyst", **how})


def compared(mask=None):
    rng = np.random.default_rng(0)
    reference = rng.random((2, 30, 26))
    image = reference + 0.2 * rng.standard_normal(reference.shape)
    return Compared(image=torch.from_numpy(image), reference=torch.from_numpy(reference), mask=mask, data_range=1.5)


def full_map(pair, slice_index=1, mask=1):
    """SSIM of every pixel by scikit-image."""
    image, reference = (values[slice_index].numpy() * mask for values in (pair.image, pair.reference))
    return structural_similarity(reference, image, data_range=pair.data_range, full=True)[1]


@pytest.fixture
def study(tmp_path):
    data, recon = tmp_path / "data", tmp_path / "recon"
    references = write_volumes(data)
    write_recon(recon, data, references)
    return data, recon


def test_a_box_has_the_mean_of_the_ssim_map_inside_it():
    pair = compared()
    (found,), notes = score_boxes(pair, [box()], "v0")
    assert found.ssim == pytest.approx(full_map(pair)[9:14, 8:14].mean(), abs=1e-9)
    assert (found.label, found.x, found.slice_index, notes) == ("cyst", 8.0, 1, [])


def test_a_box_smaller_than_a_window_is_scored_by_the_windows_around_its_pixels():
    pair = compared()
    (found,), _ = score_boxes(pair, [box(width=1.0, height=1.0)], "v0")
    assert found.ssim == pytest.approx(full_map(pair)[9, 8], abs=1e-9)


def test_a_box_between_pixels_counts_every_pixel_that_it_touches():
    pair = compared()
    (found,), _ = score_boxes(pair, [box(x=8.5, width=1.2)], "v0")
    assert found.ssim == pytest.approx(full_map(pair)[9:14, 8:10].mean(), abs=1e-9)


def test_a_box_that_reaches_beyond_the_image_counts_with_its_part_inside():
    pair = compared()
    (found,), notes = score_boxes(pair, [box(x=20.0, width=50.0, y=-4.0, height=10.0)], "v0")
    assert found.ssim == pytest.approx(full_map(pair)[3:6, 20:23].mean(), abs=1e-9)
    assert notes == []


def test_boxes_are_scored_under_the_mask_of_the_scorer():
    mask = torch.zeros(2, 30, 26, dtype=torch.bool)
    mask[:, 11:20, 3:12] = True
    pair = compared(mask)
    (found,), _ = score_boxes(pair, [box()], "v0")
    assert found.ssim == pytest.approx(full_map(pair, mask=mask[1].numpy())[9:14, 8:14].mean(), abs=1e-9)


def test_boxes_outside_the_image_are_counted_on_one_line():
    outside = [box(x=40.0), box(y=-9.0), box(slice_index=0, x=-30.0)]
    scored, notes = score_boxes(compared(), [box(), *outside], "file1000017")
    assert len(scored) == 1
    covered = "rows 3 to 26 and columns 3 to 22 have an SSIM"
    assert notes == [f"3 boxes of file1000017 lie outside the image, whose {covered}"]


@pytest.mark.parametrize(
    ("size", "words"),
    [({"width": 0.0}, "0 x 5"), ({"height": 0.0, "x": 8.5}, "6 x 0"), ({"width": -2.5, "height": 0.5}, "-2.5 x 0.5")],
)
def test_boxes_without_an_area_are_told_by_their_size(size, words):
    scored, notes = score_boxes(compared(), [box(**size), box(), box(**size, slice_index=0)], "file1000017")
    assert len(scored) == 1
    assert notes == [f"2 boxes of file1000017 have no area, such as one of {words} pixels (width x height)"]


def test_boxes_on_slices_that_are_not_there_are_counted_on_one_line():
    scored, notes = score_boxes(compared(), [box(slice_index=2), box(slice_index=-1), box()], "file1000017")
    assert len(scored) == 1
    assert notes == ["2 boxes of file1000017 lie on slices that it lacks, such as 2; it has 0 to 1"]


def cropped(pair, rows, columns, slice_index=1):
    image, reference = (values[slice_index, rows, columns].numpy() for values in (pair.image, pair.reference))
    return structural_similarity(reference, image, data_range=pair.data_range)


def test_a_box_of_2026_is_cut_out_and_scored_without_the_mask():
    pair = compared(torch.zeros(2, 30, 26, dtype=torch.bool))
    (found,), notes = score_boxes(pair, [box(width=9.0, height=8.0)], "v0", is_crop=True)
    assert found.ssim == pytest.approx(cropped(pair, slice(9, 17), slice(8, 17)), abs=1e-9)
    assert notes == []


def test_a_box_of_2026_is_clipped_to_the_image():
    pair = compared()
    (found,), _ = score_boxes(pair, [box(x=-4.0, width=12.0, y=20.0, height=99.0)], "v0", is_crop=True)
    assert found.ssim == pytest.approx(cropped(pair, slice(20, 30), slice(0, 8)), abs=1e-9)


def test_a_box_of_2026_below_a_window_is_skipped_and_counted():
    small = [box(width=6.0, height=9.0), box(x=20.0, width=30.0, height=9.0), box(y=-30.0, width=9.0)]
    scored, notes = score_boxes(compared(), [*small, box(width=7.0, height=7.0)], "v0", is_crop=True)
    assert len(scored) == 1
    assert notes == ["3 boxes of v0 have a side below 7 pixels inside the image, which the rules skip"]


def test_a_table_gives_every_volume_the_scores_of_its_boxes(study, tmp_path):
    data, recon = study
    table = tmp_path / "knee.csv"
    # The reference has 24 rows, of which the window leaves the outer 2 away on either side.
    table.write_text(
        f"{HEADER}\nv0,1,No,5,8,6,4,cyst\nv0,0,No,9,9,3,3,tear\nv1,0,Yes,,,,,artifact\nv2,7,No,5,8,6,4,cyst\n"
    )
    plain = evaluate(data, recon).rows
    scores = evaluate(data, recon, boxes=table)
    first, second, third = scores.rows
    with h5py.File(recon / "v0.h5") as file, h5py.File(data / "v0.h5") as truth:
        image, reference = file["reconstruction"][()][:, 2:22], truth["reconstruction_rss"][()][:, 2:22]
    top = WINDOW[0] - 8 - 4 - 2
    expected = structural_similarity(reference[1], image[1], data_range=reference.max(), full=True)[1]
    assert first.boxes[0].ssim == pytest.approx(expected[top : top + 4, 5:11].mean(), abs=1e-6)
    assert first.lesion_ssim == pytest.approx((first.boxes[0].ssim + first.boxes[1].ssim) / 2)
    assert [row.num_boxes for row in scores.rows] == [2, 0, 0]
    assert second.lesion_ssim is third.lesion_ssim is None
    assert scores.notes == (
        "1 boxes of v2 lie on slices that it lacks, such as 7; it has 0 to 1",
        f"{table}: 1 rows about whole studies have no box",
        f"2 of 3 scored volumes have no box that could be scored in {table}",
    )
    assert [row.ssim for row in scores.rows] == [row.ssim for row in plain]


def test_files_of_a_table_that_are_no_volume_of_the_study_are_named_on_one_line(study, tmp_path):
    data, recon = study
    (recon / "v2.h5").unlink()  # a volume without a score is one of the study all the same
    table = tmp_path / "knee.csv"
    strange = "".join(f"file{number},1,No,5,8,6,4,cyst\n" * 2 for number in range(9, 0, -1))
    table.write_text(f"{HEADER}\nv0,1,No,5,8,6,4,cyst\nv1,1,No,5,8,6,4,cyst\nv2,1,No,5,8,6,4,cyst\n{strange}")
    named = ", ".join(f"file{number}" for number in range(1, 9))
    assert evaluate(data, recon, boxes=table).notes == (
        f"{table}: 9 files in it are no volume of this study: {named}, ...",
    )


def test_stored_boxes_are_found_in_the_volumes(study):
    data, recon = study
    left, top = ((STORED_GRID - size) // 2 for size in (WINDOW[1], WINDOW[0]))
    with h5py.File(data / "v0.h5", "a") as file:
        stored = {"slice": 1, "x": left + 5, "y": top + 10, "width": 6, "height": 4, "label": "cyst"}
        file.attrs["annotations"] = json.dumps([stored])
    with h5py.File(data / "v1.h5", "a") as file:
        file.attrs["annotations"] = "broken"
    scores = evaluate(data, recon, boxes=STORED)
    (found,) = scores.rows[0].boxes
    assert (found.x, found.y) == (5, 8)
    assert len(scores.rows) == 3
    assert scores.notes[0].startswith(
        f"{data.resolve() / 'v1.h5'}: attribute 'annotations' is neither a JSON list of boxes"
    )
    assert scores.notes[1].startswith("2 of 3 scored volumes have no box that could be scored in attribute")


def test_scores_of_boxes_come_back_from_their_file(study, tmp_path):
    data, recon = study
    table = tmp_path / "knee.csv"
    table.write_text(f"{HEADER}\nv0,1,No,5,8,6,4,cyst\nv1,0,No,9,9,3,3,tear\n")
    scores = evaluate(data, recon, boxes=table)
    json_path, csv_path = write_scores(recon, scores)
    assert read_scores(json_path) == scores
    with csv_path.open() as file:
        first = next(csv.DictReader(file))
    found = {name: first[name] for name in ("scorer", "lesion_ssim", "num_boxes", "num_boxes_found")}
    expected = {"scorer": "fastmri", "lesion_ssim": str(scores.rows[0].lesion_ssim)}
    assert found == expected | {"num_boxes": "1", "num_boxes_found": "1"}
    lesions = describe_scores(scores)["lesions"]
    assert [(entry["lesion"], entry["num_boxes"]) for entry in lesions] == [(None, 2), ("cyst", 1), ("tear", 1)]


def test_boxes_that_nobody_has_are_an_error_that_says_where_they_were_looked_for(study, tmp_path):
    data, recon = study
    with pytest.raises(DataError) as error:
        evaluate(data, recon, boxes=STORED)
    assert str(error.value) == (
        "--boxes: 0 boxes found and none scored in 3 volumes; 3 of 3 scored volumes have no box that could be scored "
        f"in attribute 'annotations' of their files; {data / 'v0.h5'} has acquisition, max, norm, patient_id"
    )
    table = tmp_path / "knee.csv"
    table.write_text(f"{HEADER}\nv0,7,No,5,8,6,4,cyst\nfile9,1,No,5,8,6,4,cyst\n")
    with pytest.raises(DataError) as error:
        evaluate(data, recon, boxes=table)
    assert str(error.value).startswith(
        "--boxes: 1 boxes found and none scored in 3 volumes; 1 boxes of v0 lie on slices that it lacks"
    )
    assert str(error.value).endswith("it has boxes of file9, v0")


def test_a_leaderboard_has_the_mean_over_the_boxes_of_each_acceleration():
    def row(acceleration, *ssims):
        boxes = tuple(BoxScore(slice_index=0, x=0, y=0, width=9, height=9, label="a", ssim=ssim) for ssim in ssims)
        found = score(int(acceleration), 0.9, acceleration=acceleration)
        return dataclasses.replace(found, scorer="snu-2026", boxes=boxes, num_boxes=len(boxes))

    (found,) = leaderboard({"a": [row(4.0, 0.9, 0.7, 0.5), row(8.0, 0.4)]})
    assert found.boxes == ((4.0, pytest.approx(0.7), 3), (8.0, 0.4, 1))
    scores, boxes, time = found.line.split("; ")
    assert (scores, time) == ("acc4 0.9000, acc8 0.9000, mean 0.9000", "not timed (mrikit reconstruct --timed)")
    assert boxes == "boxes acc4 0.7000 of 3, acc8 0.4000 of 1, mean 0.5500"


def test_every_box_counts_the_same_and_patients_are_resampled():
    def row(number, *boxes, patient_id):
        found = tuple(
            BoxScore(slice_index=0, x=0, y=0, width=1, height=1, label=label, ssim=ssim) for label, ssim in boxes
        )
        return dataclasses.replace(score(number, 0.9, patient_id=patient_id), boxes=found, num_boxes=len(found))

    rows = [row(0, ("a", 0.9), ("a", 0.8), ("b", 0.1), patient_id="p"), row(1, ("a", 0.4), patient_id="q")]
    everything, a, b = summarise_lesions([*rows, score(2, 0.9)])
    assert (everything.ssim.mean, everything.num_boxes, everything.num_volumes) == (pytest.approx(0.55), 4, 2)
    assert (a.lesion, a.ssim.mean, a.ssim.low, a.ssim.high) == ("a", pytest.approx(0.7), 0.4, pytest.approx(0.85))
    assert (b.lesion, b.num_volumes, b.ssim.low) == ("b", 1, None)
    assert summarise_lesions([score(2, 0.9)]) == []
