import numpy as np
from trained_run import train_row, validation_row, write_run

from mrikit.report import write_report
from mrikit.report.curves import draw_curves
from mrikit.report.stages import join_stages
from mrikit.report.training import find_training_runs
from mrikit.runs.picture import save_picture


def stage(folder, number, **config):
    """Ten steps and one validation, in epochs that go on."""
    rows = [train_row(step, epoch=number - 1 + step / 10) for step in range(1, 11)]
    rows.append(validation_row(1, 0.5 + number / 10) | {"epoch": number})
    return write_run(folder / f"stage-{number}", rows, task="knee_acc8", **config)


def joined(folder):
    return join_stages(find_training_runs(folder))


def test_stages_of_a_folder_are_one_run_whose_steps_go_on(tmp_path):
    for number in (1, 2, 3):
        stage(tmp_path / "run", number)
    (run,) = joined(tmp_path)
    assert run.path == tmp_path / "run"
    assert [row["step"] for row in run.train] == list(range(1, 31))
    assert run.points("validation", "epoch", "ssim") == [(1, 0.6), (2, 0.7), (3, 0.8)]
    assert [(start.number, start.step, start.epoch) for start in run.stages] == [
        (1, 0, 0.1),
        (2, 10, 1.1),
        (3, 20, 2.1),
    ]
    assert run.summary.startswith("knee_acc8 tiny, varnet, stages 1 to 3, 30 steps, 3 epochs, best validation SSIM 0.8")
    assert run.config["stage 2"]["task"] == "knee_acc8"


def test_the_pictures_of_joined_stages_go_from_the_first_to_the_last(tmp_path):
    for number in (1, 2, 3):
        folder = stage(tmp_path / "run", number)
        for step in (0, 5, 10) if number < 3 else ():
            save_picture(folder / "pictures", "validation", np.zeros((1, 1), np.uint8), step)
    (run,) = joined(tmp_path)
    assert [shown.caption for shown in run.snapshots] == [
        "stage 1, validation, before the first step",
        "stage 1, validation, step 10",
        "stage 2, validation, before the first step",
        "stage 2, validation, step 10",
    ]
    assert run.snapshots[-1].path == tmp_path / "run" / "stage-2" / "pictures" / "step-00000010-validation.png"


def test_a_single_stage_stays_what_it_is(tmp_path):
    folder = stage(tmp_path, 2)
    (run,) = joined(folder)
    assert run.path == folder
    assert "stage 2, 10 steps" in run.summary


def test_runs_without_stages_are_left_alone(tmp_path):
    for name in ("a", "b"):
        write_run(tmp_path / name, [train_row(1)])
    assert joined(tmp_path) == find_training_runs(tmp_path)


def test_stages_of_other_networks_are_not_mixed(tmp_path):
    stage(tmp_path, 1)
    stage(tmp_path, 2, model="promptmr")
    assert len(joined(tmp_path)) == 2


def test_a_stage_without_a_step_yet_is_named(tmp_path):
    stage(tmp_path, 1)
    write_run(tmp_path / "stage-2", [], task="knee_acc8")
    (run,) = joined(tmp_path)
    assert "stages 1 to 2, 10 steps" in run.summary


def test_the_pictures_have_a_line_where_a_stage_begins(tmp_path):
    for number in (1, 2):
        stage(tmp_path / "two", number)
    rows = [row for run in find_training_runs(tmp_path / "two") for row in run.train]
    write_run(tmp_path / "one", [row | {"step": step} for step, row in enumerate(rows, 1)])
    (two,), (one,) = joined(tmp_path / "two"), joined(tmp_path / "one")
    assert one.points("train", "step", "loss") == two.points("train", "step", "loss")
    assert draw_curves(one)[0].image != draw_curves(two)[0].image


def test_a_classifier_is_told_by_its_accuracy(tmp_path):
    rows = [train_row(1), {"kind": "validation", "step": 10, "epoch": 1, "accuracy": 0.75}]
    write_run(tmp_path / "run", rows, model="anatomy")
    (run,) = joined(tmp_path)
    assert "best validation accuracy 0.7500 at epoch 1" in run.summary
    assert "Validation accuracy after each of 1 validations" in draw_curves(run)[1].alt


def test_a_score_inside_the_body_decides_where_there_is_one(tmp_path):
    rows = [train_row(1), *(validation_row(n, ssim) | {"body_ssim": 1 - ssim} for n, ssim in ((1, 0.1), (2, 0.3)))]
    write_run(tmp_path / "run", rows)
    (run,) = joined(tmp_path)
    assert "best validation SSIM inside the body 0.9000 at epoch 1" in run.summary


def test_the_next_command_undersamples_as_the_run_was_validated(tmp_path):
    data = {"mask_kind": "random", "validation_mask_kind": "fixed", "accelerations": [8.0], "center_fractions": [0.08]}
    for number in (1, 2):
        stage(tmp_path / "run", number, config={"data": data})
    page = write_report(tmp_path / "run").read_text()
    assert "--data DATA --out" in page
    assert "/recon --acceleration 8 --mask fixed --center-fraction 0.08</code>" in page
