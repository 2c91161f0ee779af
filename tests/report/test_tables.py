import dataclasses

import pytest
from scored_study import score

from mrikit.evaluate import BoxScore, FolderOrientation, Interval, OrientationAccuracy, Scores
from mrikit.report.collect import ReconFolder
from mrikit.report.tables import format_interval, make_axis, make_sections, run_facts


def folder(tmp_path, rows, speed=None):
    run = {"data": "/data", "slices_per_second": speed}
    return ReconFolder(path=tmp_path, run=run, scores=Scores(rows=tuple(rows), scorer="fastmri", data="/data", run=run))


def test_the_best_model_leads_and_others_follow_by_score(tmp_path):
    rows = [score(0, value, model=model) for model, value in (("a", 0.7), ("b", 0.9), ("c", 0.8))]
    (section,) = make_sections([folder(tmp_path, rows)])
    assert [line.summary.label for line in section.lines] == ["b", "c", "a"]
    assert [line.is_best for line in section.lines] == [True, False, False]
    assert section.lines[2].difference.ssim.mean == pytest.approx(-0.2)


def test_the_time_of_several_folders_is_weighed_by_slices(tmp_path):
    knee = folder(tmp_path, [score(0, 0.9), score(1, 0.9)], speed=1.0)  # 4 slices in 4 s
    brain = folder(tmp_path, [score(2, 0.9)], speed=0.2)  # 2 slices in 10 s
    (section,) = make_sections([knee, brain])
    assert section.lines[0].seconds_per_slice == pytest.approx(14 / 6)


def test_acquisitions_list_every_model(tmp_path):
    rows = [score(n, value, model=model) for n in range(2) for model, value in (("a", 0.9), ("b", 0.8))]
    rows += [score(2, 0.7, model=model, acquisition="AXT2") for model in ("a", "b")]
    (section,) = make_sections([folder(tmp_path, rows)])
    found = [(name, count, [one.ssim.mean for one in summaries]) for name, count, summaries in section.acquisitions]
    assert found == [("AXT2", 1, [0.7, 0.7]), ("CORPD_FBK", 2, [pytest.approx(0.9), pytest.approx(0.8)])]


def test_models_on_other_volumes_stand_in_a_section_of_their_own(tmp_path):
    rows = [score(n, 0.8, model=model) for n in range(3) for model in ("a", "b")]
    rows += [score(n, 0.9, model="net") for n in range(2)] + [score(0, 0.7, acceleration=8.0)]
    first, second, third = make_sections([folder(tmp_path, rows)])
    assert (first.name, first.best, first.absent) == ("4x on 2 volumes", "net", ())
    assert [(line.summary.label, line.summary.num_volumes) for line in first.lines] == [("net", 2), ("a", 2), ("b", 2)]
    assert [line.difference and line.difference.num_volumes for line in first.lines] == [None, 2, 2]
    assert (second.name, second.absent) == ("4x on 3 volumes", ("net",))
    assert [line.summary.label for line in second.lines] == ["a", "b"]
    assert third.name == "8x"


@pytest.mark.parametrize("values", [(0.5, 0.9), (0.91, 0.912), (0.9, 0.9), (-0.2, 1.0)])
def test_the_axis_holds_all_values_between_few_round_ticks(tmp_path, values):
    rows = [score(n, value, model=str(n)) for n, value in enumerate(values)]
    axis = make_axis(make_sections([folder(tmp_path, rows)]))
    assert axis.low <= min(values) <= max(values) <= axis.high
    assert 2 <= len(axis.ticks) <= 7
    assert [float(f"{tick:.{axis.digits}f}") for tick in axis.ticks] == pytest.approx(axis.ticks)
    assert (axis.position(axis.low), axis.position(axis.high)) == (0, 1)


def test_an_interval_reads_as_mean_and_bounds():
    assert format_interval(Interval(mean=0.91234, low=0.9, high=0.95), 3) == ("0.912", "0.900 to 0.950")
    assert format_interval(Interval(mean=-0.5, low=-1, high=1), 1, "+") == (
        "\N{MINUS SIGN}0.5",
        "\N{MINUS SIGN}1.0 to +1.0",
    )
    assert format_interval(Interval(mean=0.9, low=None, high=None), 2) == ("0.90", "")


def test_the_facts_name_the_scorer_and_its_leaderboard(tmp_path):
    rows = [
        dataclasses.replace(score(0, ssim, acceleration=r), scorer="snu-2025") for r, ssim in ((4.0, 0.9), (8.0, 0.8))
    ]
    found = folder(tmp_path, rows)
    found = dataclasses.replace(found, scores=dataclasses.replace(found.scores, scorer="snu-2025"))
    facts = dict(run_facts([found]))
    assert facts["Scored by"].startswith("snu-2025 (SSIM, PSNR and NMSE inside the body mask")
    assert facts["Leaderboard"] == "acc4 0.9000, acc8 0.8000, mean 0.8500"
    assert "Lesions" not in facts
    plain = dict(run_facts([folder(tmp_path, [score(0, 0.9)])]))
    assert plain["Scored by"].startswith("fastmri (")
    assert "Leaderboard" not in plain


def test_the_facts_name_the_ssim_of_lesions(tmp_path):
    box = BoxScore(slice_index=0, x=0, y=0, width=1, height=1, label="cyst", ssim=0.7)
    row = dataclasses.replace(score(0, 0.9), boxes=(box, box), num_boxes=2, num_boxes_found=3, lesion_ssim=0.7)
    assert dict(run_facts([folder(tmp_path, [row])]))["Lesions"] == "cg_sense 4x SSIM 0.7000 in 2 of 3 boxes by fastmri"


def test_scores_of_different_scorers_stand_in_sections_of_their_own(tmp_path):
    rows = [score(0, 0.9), dataclasses.replace(score(0, 0.95), scorer="snu-2025")]
    assert [section.name for section in make_sections([folder(tmp_path, rows)])] == [
        "4x by scorer fastmri",
        "4x by scorer snu-2025",
    ]


def test_the_error_of_k_space_is_shown_where_all_runs_have_it(tmp_path):
    rows = [dataclasses.replace(score(0, 0.9, model=model), kspace_nmse=0.1) for model in ("a", "b")]
    (section,) = make_sections([folder(tmp_path, rows)])
    assert section.has_kspace
    (section,) = make_sections([folder(tmp_path, [*rows, score(0, 0.9, model="c")])])
    assert not section.has_kspace


def test_banding_and_what_a_classifier_tells_stand_beside_the_other_scores(tmp_path):
    """Both orientations of a run have what was told of them together; a run that nobody judged has none."""
    sides = (("net", False), ("net turned", True))
    both = [with_orientation(tmp_path, "net", label, transposed=side) for label, side in sides]
    plain = [score(0, 0.7, model="other")]
    (section,) = make_sections(both)
    assert (section.has_banding, section.has_orientation) == (True, True)
    assert [line.orientation.images.mean for line in section.lines] == [0.25, 0.25]
    assert [line.summary.banding_db.mean for line in section.lines] == [1.5, 1.5]
    (section,) = make_sections([folder(tmp_path, plain)])
    assert (section.has_banding, section.has_orientation) == (False, False)
    assert section.lines[0].orientation is None


def with_orientation(tmp_path, model, label, *, transposed):
    """A folder by the banding scorer, with the same accuracy whatever its orientation."""
    row = dataclasses.replace(
        score(0, 0.9, model=model, label=label), scorer="banding", banding_db=1.5, is_transposed=transposed
    )
    none, quarter = (Interval(mean=mean, low=None, high=None) for mean in (0.0, 0.25))
    accuracy = OrientationAccuracy(images=quarter, floor=none, above_floor=quarter, num_slices=4, num_patients=1)
    found = folder(tmp_path, [row])
    entry = FolderOrientation(acceleration=4.0, accuracy=accuracy)
    return dataclasses.replace(found, scores=dataclasses.replace(found.scores, scorer="banding", orientation=(entry,)))
