from dataclasses import replace

import pytest
from report.test_page import read
from scored_study import line_mask, score, write_recon, write_volumes

from mrikit.evaluate import Scores, evaluate, write_scores
from mrikit.report import write_report
from mrikit.report.collect import ReconFolder
from mrikit.report.over_acceleration import draw_over_acceleration, make_lines


def folder_of(rows):
    scores = Scores(rows=tuple(rows), scorer="fastmri", data="/data", run={})
    return ReconFolder(path="/recon", run={}, scores=scores)


def at(number, ssim, nominal, true, mask="random"):
    return replace(score(number, ssim, acceleration=nominal), true_acceleration=true, mask=mask, label=f"of {mask}")


def test_a_line_is_at_the_acceleration_that_was_measured():
    rows = [at(0, 0.9, 4, 3.5), at(1, 0.8, 4, 3.7), at(0, 0.7, 8, 6.0), at(0, 0.6, 4, 4.0, "learned")]
    learned, random = make_lines(rows)
    assert (learned.name, random.name) == ("cg_sense, learned", "cg_sense, random")
    assert [place for place, _ in random.points] == [pytest.approx(3.6), 6.0]
    assert [interval.mean for _, interval in random.points] == [pytest.approx(0.85), pytest.approx(0.7)]
    assert random.points[0][1].low <= 0.85 <= random.points[0][1].high
    assert random.points[1][1].low is None


def test_runs_of_one_kind_are_averaged():
    rows = [replace(at(0, ssim, 4, 4), label=label) for ssim, label in ((0.8, "seed 0"), (0.6, "seed 1"))]
    (line,) = make_lines(rows)
    assert line.points[0][1].mean == pytest.approx(0.7)


def test_one_acceleration_needs_no_figure():
    assert draw_over_acceleration([folder_of([at(0, 0.9, 4, 3.9), at(0, 0.8, 4, 4.0, "learned")])]) == []
    assert draw_over_acceleration([]) == []


def test_kinds_are_compared_on_the_volumes_that_all_did():
    rows = [at(0, 0.9, 4, 4), at(1, 0.1, 4, 4), at(0, 0.7, 8, 8)]
    (figure,) = draw_over_acceleration([folder_of(rows)])
    assert figure.num_volumes == 1
    assert figure.image == draw_over_acceleration([folder_of([rows[0], rows[2]])])[0].image
    (apart,) = draw_over_acceleration([folder_of([rows[1], rows[2]])])
    assert apart.num_volumes == 0


def test_the_page_says_that_the_centre_counts(tmp_path):
    references = write_volumes(tmp_path / "data")
    for acceleration in (4.0, 8.0):
        folder = tmp_path / "run" / f"{acceleration:g}"
        write_recon(folder, tmp_path / "data", references, mask=line_mask(acceleration))
        write_scores(folder, evaluate(tmp_path / "data", folder))
    page = read(write_report(tmp_path / "run"))
    assert "SSIM over acceleration scored by fastmri, on 3 volumes The acceleration is the true one" in page.text
    assert "with the centre among them" in page.text
    alt = "SSIM at true accelerations of 3.5 to 7.5 of cg sense, equispaced fraction"
    assert [image["alt"] for image in page.images if image["alt"].startswith("SSIM at")] == [alt]
    assert "SSIM over acceleration" not in read(write_report(tmp_path / "run" / "4")).text
