"""Pictures of a sweep: which there are, and what their boxes hold."""

from dataclasses import replace

import pytest
from PIL import Image

from mrikit.report.sweep.boxes import by_values, draw_boxes
from mrikit.report.sweep.runs import SweepRun


def member(best, task="brain_sampling", is_done=True, **settings):
    named = {f"data.{key}": value for key, value in settings.items()}
    state = "succeeded" if is_done else "failed"
    return SweepRun(name=str(best), task=task, settings=named, state=state, is_done=is_done, best=best)


RUNS = [
    member(0.10, kind="tile", blocks="10", seed="3"),
    member(0.20, kind="tile", blocks="5", seed="4"),
    member(0.30, kind="columns", blocks="10"),
    member(0.40, kind="columns", blocks="5"),
]


def test_numbers_stand_in_their_order_and_texts_in_that_of_the_file():
    assert by_values(RUNS, ["data.blocks"]) == {("5",): [0.2, 0.4], ("10",): [0.1, 0.3]}
    assert list(by_values(RUNS, ["data.blocks"])) == [("5",), ("10",)]
    assert list(by_values(RUNS, ["data.kind"])) == [("tile",), ("columns",)]
    assert by_values(RUNS, ["data.seed"]) == {("3",): [0.1], ("4",): [0.2], ("-",): [0.3, 0.4]}
    assert list(by_values(RUNS, ["data.kind", "data.blocks"])) == [
        ("tile", "5"), ("tile", "10"), ("columns", "5"), ("columns", "10"),
    ]  # fmt: skip


def test_there_is_a_picture_of_each_setting_and_of_each_pair(tmp_path):
    kinds = [replace(run, settings={key: run.settings[key] for key in ("data.kind", "data.blocks")}) for run in RUNS]
    paths = draw_boxes(kinds, tmp_path / "out")
    assert [path.name for path in paths] == [
        "ssim-by-data.kind.png",
        "ssim-by-data.blocks.png",
        "ssim-by-data.kind-data.blocks.png",
    ]
    for path in paths:
        with Image.open(path) as image:
            assert image.height == 540
            assert len(image.getcolors(2**20)) > 20


def test_a_setting_in_which_no_member_differs_has_no_picture(tmp_path):
    runs = [member(0.1, kind="tile", blocks="5"), member(0.2, kind="tile", blocks="10")]
    assert [path.name for path in draw_boxes(runs, tmp_path)] == ["ssim-by-data.blocks.png"]
    assert draw_boxes(runs[:1], tmp_path) == []


def test_members_that_are_not_done_are_in_no_picture(tmp_path):
    runs = [member(0.1, kind="tile"), member(0.2, kind="columns", is_done=False)]
    assert draw_boxes(runs, tmp_path) == []


def test_each_task_has_pictures_of_its_own(tmp_path):
    runs = [member(best, task=task, kind=kind) for task in ("a", "b") for kind, best in (("x", 1e-4), ("y", 0.2))]
    names = [path.name for path in draw_boxes(runs, tmp_path)]
    assert names == ["a-ssim-by-data.kind.png", "b-ssim-by-data.kind.png"]


@pytest.mark.parametrize("number", [1, 60])
def test_a_picture_is_as_wide_as_its_boxes_need_up_to_20_inches(tmp_path, number):
    runs = [member(0.1 * index, a=str(index)) for index in range(1, number + 2)]
    (path,) = draw_boxes(runs, tmp_path)
    with Image.open(path) as image:
        assert image.width == {1: 528, 60: 3000}[number]
