"""Active acquisition on the page."""

import base64
import io
import shutil

import numpy as np
import pytest
from acquired_study import acquire_into, scored
from matplotlib.image import imread
from reconstruct.learned_weights import write_volumes
from report.test_page import read

from mrikit.evaluate import evaluate, write_scores
from mrikit.report import write_report
from mrikit.report.acquired import acquired_folders, draw_strips
from mrikit.report.collect import collect
from mrikit.report.over_lines import MAX_SLICES, draw_over_lines, slice_steps
from mrikit.volumes.decisions import read_decisions


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    data = write_volumes(folder / "data", num_volumes=2)
    for policy in ("low_to_high", "equispaced"):
        scored(folder / "run" / policy, data, policy)
    return folder


def folders_of(run):
    return acquired_folders(collect(run)[0])


def pixels(uri):
    return np.rint(255 * imread(io.BytesIO(base64.b64decode(uri.split(",")[1])), format="png")).astype(int)


def test_folders_come_with_the_best_first(study):
    folders = folders_of(study / "run")
    areas = [folder.curve.ssim.area.mean for folder in folders]
    assert areas == sorted(areas, reverse=True)
    assert {folder.label for folder in folders} == {"low_to_high", "equispaced"}


def test_the_curves_say_what_they_show_and_of_how_many_volumes(study):
    folders = folders_of(study / "run")
    found = draw_over_lines(folders)
    best = folders[0]
    expected = f"{best.label.replace('_', ' ')} {best.curve.ssim.scores[-1].mean:.4f} after 9"
    assert found.curves_alt.startswith(f"SSIM over lines: {expected}, ")
    assert found.num_volumes == 2
    assert draw_over_lines([]) is None


def test_unequal_volumes_are_not_called_the_same(study, tmp_path):
    shutil.copytree(study / "run", tmp_path / "run")
    (tmp_path / "run" / "equispaced" / "v1.h5").unlink()
    recon = tmp_path / "run" / "equispaced"
    write_scores(recon, evaluate(study / "data", recon))
    assert draw_over_lines(folders_of(tmp_path / "run")).num_volumes == 0


def test_the_order_is_that_of_all_slices_or_evenly_of_many(study, tmp_path):
    folder = folders_of(study / "run")[0]
    expected = np.concatenate([read_decisions(folder.path / row.reconstruction).steps for row in folder.rows])
    assert np.array_equal(slice_steps(folder), expected)
    many = folder.rows * MAX_SLICES
    shown = slice_steps(type(folder)(path=folder.path, label="", rows=many, curve=folder.curve))
    assert shown.shape == (MAX_SLICES, 28)


def test_a_strip_shows_the_slice_and_its_lines_after_some_decisions(study):
    strips = draw_strips(folders_of(study / "run"))
    assert {(strip.volume_id, strip.slice_index) for strip in strips} == {("v1", 1)}
    for strip in strips:
        *frames, reference = strip.frames
        assert [frame.caption for frame in frames] == [f"{number} lines" for number in range(4, 10)]
        assert [pixels(frame.lines).sum() for frame in frames] == [2 * 255 * number for number in range(4, 10)]
        assert (reference.caption, reference.lines) == ("reference", "")
        errors = [np.abs(pixels(frame.image) - pixels(reference.image)).mean() for frame in frames]
        assert errors[-1] < errors[0]


def test_a_score_of_a_strip_is_that_of_its_slice(study):
    folder = folders_of(study / "run")[0]
    (row,) = (row for row in folder.rows if row.volume_id == "v1")
    assert draw_strips([folder])[0].frames[-2].score == f"{row.slice_ssim[1]:.4f}"


def test_a_strip_without_its_reference_says_so(study, tmp_path):
    shutil.copytree(study / "data", tmp_path / "data")
    scored(tmp_path / "run", tmp_path / "data")
    folder = folders_of(tmp_path / "run")[0]
    shutil.rmtree(tmp_path / "data")
    (strip,) = draw_strips([folder])
    assert (strip.frames, "v1.h5" in strip.problem) == ((), True)


def test_the_page_has_all_of_it(study):
    page = read(write_report(study / "run"))
    assert "Active acquisition A policy looked at what was measured so far" in page.text
    assert "the mean SSIM over the same 2 volumes" in page.text
    alts = [image["alt"] for image in page.images]
    assert any(alt.startswith("In which order lines were measured by ") for alt in alts)
    assert sum("v1 slice 1 by low to high, " in alt for alt in alts) == 7


def test_a_folder_without_policies_has_none(study, tmp_path):
    acquire_into(tmp_path / "run", study / "data")
    assert folders_of(tmp_path / "run") == []
    assert "Active acquisition" not in read(write_report(tmp_path / "run")).text
