import csv
import json

import h5py
import pytest
import typer
from scored_study import write_recon, write_unreferenced, write_volumes
from snu_study import write_leaderboard, write_leaderboard_recon
from typer.testing import CliRunner

from mrikit.commands.evaluate import evaluate
from mrikit.errors import DataError


@pytest.fixture
def study(tmp_path):
    data, recon = tmp_path / "data", tmp_path / "run" / "cg_sense"
    references = write_volumes(data)
    write_recon(recon, data, references)
    return data, recon, references


def call(*arguments):
    app = typer.Typer()
    app.command()(evaluate)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def lines(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_it_prints_means_and_worst_slices_and_where_they_are_kept(study):
    _, recon, _ = study
    result = call("--recon", recon)
    assert result.exit_code == 0, result.output
    found = lines(result.stdout)
    with (recon / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    mean = sum(float(row["ssim"]) for row in rows) / len(rows)
    assert any(line.startswith(f"4x cg_sense all 3 {mean:.4f} [") for line in found)
    assert any(line.startswith("4x cg_sense CORPD_FBK 2 ") for line in found)
    assert sum(" slice " in line for line in found) == 5
    assert found[-3:] == [str(recon / "scores.json"), str(recon / "scores.csv"), f"next: mrikit report {recon}"]


def test_several_models_are_compared_on_the_same_volumes(study):
    data, recon, references = study
    other = recon.with_name("zero_filled")
    write_recon(other, data, references, model="zero_filled", noise=0.2)
    result = call("--recon", recon, "--recon", other)
    assert any(line.startswith("zero_filled - cg_sense, 4x: -0.") for line in lines(result.stdout))
    assert result.stdout.splitlines()[-1] == f"next: mrikit report {recon.parent.resolve()}"


def test_json_holds_what_the_files_hold_and_nothing_else_is_printed(study):
    data, recon, references = study
    other = recon.with_name("zero_filled")
    write_recon(other, data, references, model="zero_filled", noise=0.2)
    content = json.loads(call("--recon", recon, "--recon", other, "--json").stdout)
    assert content["folders"][0] == json.loads((recon / "scores.json").read_text())
    assert content["differences"][0]["baseline"] == "cg_sense"


def test_data_may_have_moved(study):
    data, recon, _ = study
    moved = data.rename(data.with_name("moved"))
    assert isinstance(call("--recon", recon).exception, DataError)
    assert call("--recon", recon, "--data", moved).exit_code == 0


def test_volumes_without_a_score_are_counted_and_named_on_stderr(study):
    data, recon, references = study
    write_recon(recon, data, {**references, "test0": write_unreferenced(data)})
    (recon / "v1.h5").unlink()
    result = call("--recon", recon)
    assert result.exit_code == 0
    message = "2 volumes were not scored: the file has no reference image (test0); not reconstructed by cg_sense (v1)"
    assert message in result.stderr
    assert "test0" not in result.stdout


def test_a_folder_where_nothing_has_a_reference_is_an_error_that_points_to_the_report(tmp_path):
    data, recon = tmp_path / "data", tmp_path / "recon"
    write_recon(recon, data, {"test0": write_unreferenced(data)})
    error = call("--recon", recon).exception
    assert isinstance(error, DataError)
    assert "none of 1 volumes could be scored: the file has no reference image (test0)" in str(error)
    assert "\n" not in str(error)
    assert json.loads((recon / "scores.json").read_text())["unscored"][0]["volume_id"] == "test0"


def test_an_unknown_scorer_is_wrong_usage(study):
    _, recon, _ = study
    result = call("--recon", recon, "--scorer", "psnr")
    assert result.exit_code == 2
    found = " ".join(result.stderr.replace("│", " ").split())
    assert "'psnr' is not one of fastmri, snu-2025, snu-2026, banding" in found
    assert not (recon / "scores.json").exists()


def test_an_error_leaves_earlier_scores_as_they_were(study):
    data, recon, _ = study
    call("--recon", recon)
    before = (recon / "scores.json").read_bytes()
    data.rename(data.with_name("moved"))
    assert isinstance(call("--recon", recon).exception, DataError)
    assert (recon / "scores.json").read_bytes() == before


def test_a_damaged_file_is_named_on_stderr_and_the_rest_is_scored(study):
    _, recon, _ = study
    (recon / "v1.h5").write_bytes(b"nothing")
    result = call("--recon", recon)
    assert result.exit_code == 0
    assert f"1 volumes were not scored: {recon / 'v1.h5'}: not a reconstruction of mrikit" in result.stderr
    assert any(line.startswith("4x cg_sense all 2 ") for line in lines(result.stdout))


def test_it_is_an_error_if_every_file_is_damaged(study):
    _, recon, _ = study
    for file in recon.glob("*.h5"):
        file.write_bytes(b"nothing")
    error = call("--recon", recon).exception
    assert isinstance(error, DataError)
    assert "none of 3 volumes could be scored" in str(error)


def test_two_runs_of_one_model_have_a_line_each_and_are_compared(study):
    data, recon, references = study
    for number, noise in ((2, 0.2), (9, 0.02)):
        config = {"model_config": {"num_iterations": number}}
        write_recon(recon.with_name(f"cg{number}"), data, references, noise=noise, config=config)
    found = call("--recon", recon.with_name("cg2"), "--recon", recon.with_name("cg9"))
    assert found.exit_code == 0, found.output
    for number in (2, 9):
        assert any(line.startswith(f"4x cg_sense num_iterations={number} all 3 ") for line in lines(found.stdout))
    assert "cg_sense num_iterations=2 - cg_sense num_iterations=9, 4x: -0." in found.stdout


def test_the_best_model_is_the_best_on_the_volumes_that_all_did(study):
    data, recon, references = study
    other = recon.with_name("net")
    # On the two volumes that it did, the other model is better.
    write_recon(other, data, {name: references[name] for name in ("v0", "v1")}, model="net", noise=0.01)
    found = lines(call("--recon", recon, "--recon", other).stdout)
    assert any(line.startswith("cg_sense - net, 4x: -0.") for line in found)
    assert not any(line.startswith("net - cg_sense") for line in found)
    assert [line.split()[3] for line in found if line.startswith("4x cg_sense all ")] == ["2", "3"]
    assert [line.split()[3] for line in found if line.startswith("4x net all ")] == ["2"]
    worst = [line for line in found if " slice " in line]
    assert all("net 4x" in line for line in worst)
    differences = json.loads(call("--recon", recon, "--recon", other, "--json").stdout)["differences"]
    assert [(entry["label"], entry["num_volumes"]) for entry in differences] == [("cg_sense", 2)]


def test_the_scorer_is_named_first(study):
    _, recon, _ = study
    assert call("--recon", recon).stdout.startswith("scorer fastmri: SSIM, PSNR and NMSE as fastmri.evaluate")


@pytest.fixture
def submission(tmp_path):
    data, recon = tmp_path / "leaderboard", tmp_path / "recon"
    references = write_leaderboard(data)
    write_leaderboard_recon(recon, data, references)
    return data, recon


def test_a_leaderboard_has_a_line_for_its_accelerations_and_their_mean(submission):
    _, recon = submission
    result = call("--recon", recon, "--scorer", "snu-2025", "--expected", 2)
    assert result.exit_code == 0, result.output
    (found,) = json.loads((recon / "scores.snu-2025.json").read_text())["leaderboard"]
    (first, second), mean = [ssim for _, ssim in found["accelerations"]], found["mean"]
    lines_found = result.stdout.splitlines()
    assert lines_found[0].startswith("scorer snu-2025: ")
    assert f"acc4 {first:.4f}, acc8 {second:.4f}, mean {mean:.4f}" in lines_found
    content = json.loads(call("--recon", recon, "--scorer", "snu", "--json").stdout)
    assert content["leaderboard"][0]["mean"] == mean


def test_a_missing_volume_is_one_line_and_nothing_is_written(submission):
    _, recon = submission
    (recon / "acc4" / "brain_test2.h5").unlink()
    result = call("--recon", recon, "--scorer", "snu", "--expected", 2)
    message = str(result.exception)
    assert isinstance(result.exception, DataError)
    assert message.startswith(f"{recon}: brain acc4: 2 expected, 1 found, lacks brain_test2; not scored: brain_test2 (")
    assert "\n" not in message
    assert not (recon / "scores.json").exists()


def test_boxes_have_columns_and_what_is_left_out_a_warning(study, tmp_path):
    _, recon, _ = study
    table = tmp_path / "knee.csv"
    table.write_text("file,slice,study_level,x,y,width,height,label\nv0,1,No,5,8,6,4,cyst\nv1,1,No,90,8,6,4,cyst\n")
    result = call("--recon", recon, "--boxes", table)
    assert result.exit_code == 0, result.output
    found = lines(result.stdout)
    (row,) = [row for row in json.loads((recon / "scores.json").read_text())["rows"] if row["num_boxes"]]
    assert found[1].endswith("NMSE lesion SSIM boxes")
    assert any(line.endswith(f" {row['lesion_ssim']:.4f} 1") for line in found if line.startswith("4x cg_sense all 3"))
    assert "warning: 1 boxes of v1 lie outside the image" in result.stderr
    assert "lesion" not in call("--recon", recon).stdout


def test_boxes_that_are_nowhere_are_an_error_and_nothing_is_written(study):
    _, recon, _ = study
    result = call("--recon", recon, "--boxes", "stored")
    assert isinstance(result.exception, DataError)
    assert "--boxes: 0 boxes found and none scored in 3 volumes" in str(result.exception)
    assert not (recon / "scores.json").exists()


def store_boxes(data, content):
    for folder in ("acc4", "acc8"):
        with h5py.File(data / folder / "image" / "knee_test1.h5", "a") as file:
            file.attrs["annotations"] = json.dumps(content)


def test_boxes_of_2026_are_scored_and_counted_in_every_output(submission):
    data, recon = submission
    boxes = [{"x": x, "y": 180, "width": 9, "height": 8, "label": "tear"} for x in (170, 190)]
    store_boxes(data, {"0": boxes, "2": [boxes[0] | {"width": 2}]})
    result = call("--recon", recon, "--scorer", "snu-2026", "--boxes", "stored")
    assert result.exit_code == 0, result.output
    found = lines(result.stdout)
    assert found[0].startswith("scorer snu-2026: ")
    assert "boxes: 6 found and 4 scored, in 2 of 4 volumes" in found
    (line,) = [line for line in found if "; boxes acc4 " in line]
    content = json.loads((recon / "scores.snu-2026.json").read_text())
    assert (content["scorer"], content["boxes"]) == ("snu-2026", {"found": 6, "scored": 4})
    (entry,) = content["leaderboard"]
    (acc4, acc8), mean = [ssim for _, ssim, _ in entry["boxes"]], entry["box_mean"]
    assert line.partition("; not timed")[0].endswith(
        f"; boxes acc4 {acc4:.4f} of 2, acc8 {acc8:.4f} of 2, mean {mean:.4f}"
    )
    assert "1 boxes of knee_test1 have a side below 7 pixels inside the image" in result.stderr
    with (recon / "scores.snu-2026.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted((row["scorer"], row["num_boxes_found"]) for row in rows) == [("snu-2026", n) for n in "0033"]


def test_an_older_name_of_a_scorer_says_which_it_is(submission):
    _, recon = submission
    result = call("--recon", recon, "--scorer", "snu")
    assert "scorer snu is snu-2025, the rules of that year; name it so" in result.stderr
    assert (recon / "scores.snu-2025.json").exists()


def test_a_second_scorer_leaves_the_files_of_the_first_alone(submission):
    _, recon = submission
    call("--recon", recon)
    before = (recon / "scores.json").read_bytes()
    assert call("--recon", recon, "--scorer", "snu-2026").exit_code == 0
    assert (recon / "scores.json").read_bytes() == before


def test_folders_of_unequal_volumes_are_compared_on_what_both_did(study):
    data, recon, references = study
    (recon / "v0.h5").unlink()
    other = recon.with_name("net")
    write_recon(other, data, {name: references[name] for name in ("v0", "v1")}, model="net", noise=0.01)
    result = call("--recon", recon, "--recon", other)
    found = lines(result.stdout)
    assert "4x: compared on the 1 volume that all models did; left out are 1 of cg_sense, 1 of net" in found
    assert [line.split(" 0.")[0] for line in found if " all " in line and line.startswith("4x ")] == [
        "4x cg_sense all 1 of 2",
        "4x net all 1 of 2",
        "4x net all 2",
        "4x cg_sense all 2",
    ]
    (row,) = [row for row in json.loads((recon / "scores.json").read_text())["rows"] if row["volume_id"] == "v1"]
    assert any(line.startswith(f"4x cg_sense all 1 of 2 {row['ssim']:.4f} ") for line in found)
    content = json.loads(call("--recon", recon, "--recon", other, "--json").stdout)
    assert content["common"] == [
        {"acceleration": 4.0, "scorer": "fastmri", "num_volumes": 1, "left_out": [["cg_sense", 1], ["net", 1]]}
    ]
    assert [entry["num_volumes"] for entry in content["differences"]] == [1]
