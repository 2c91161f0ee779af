import json
import math

import pytest
from trained_run import train_row, validation_row, write_run

from mrikit.errors import StorageError
from mrikit.report.training import find_training_runs, format_seconds


def only(folder):
    (run,) = find_training_runs(folder)
    return run


def test_a_run_is_told_in_one_line(tmp_path):
    rows = [train_row(step, slices_per_second=speed) for step, speed in zip(range(1, 31), [1, 4, 9] * 10, strict=True)]
    rows += [validation_row(1, 0.8), validation_row(2, 0.91236, seconds=7.0), validation_row(3, 0.9)]
    write_run(tmp_path / "run", rows)
    expected = "knee_multicoil tiny, varnet, 30 steps, 3 epochs, best validation SSIM 0.9124 at epoch 2, "
    assert only(tmp_path).summary == expected + "1 min 07 s, 4 slices/s"


def test_runs_are_found_at_any_depth_in_order(tmp_path):
    for name in ("b", "a/deep", "c"):
        write_run(tmp_path / name, [train_row(1)])
    assert [run.path.relative_to(tmp_path).as_posix() for run in find_training_runs(tmp_path)] == ["a/deep", "b", "c"]
    assert only(tmp_path / "b").path == tmp_path / "b"


def test_metrics_of_something_else_are_not_a_run(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    assert find_training_runs(tmp_path) == []
    (tmp_path / "config.json").write_text('{"task": "x", "size": "y"}')
    assert find_training_runs(tmp_path) == []
    (tmp_path / "config.json").write_text("[]")
    assert find_training_runs(tmp_path) == []


def test_a_damaged_configuration_is_an_error(tmp_path):
    write_run(tmp_path / "run", [])
    (tmp_path / "run" / "config.json").write_text('{"task')
    with pytest.raises(StorageError, match=r"config\.json: not a JSON file"):
        find_training_runs(tmp_path)


def test_an_empty_file_is_a_run_without_steps(tmp_path):
    write_run(tmp_path / "run", [])
    run = only(tmp_path)
    assert run.summary == "knee_multicoil tiny, varnet, no step yet"
    assert run.best is None


def test_a_torn_line_is_left_out_and_said(tmp_path):
    write_run(tmp_path / "run", [train_row(1)], tail='{"kind": "train", "step": 2, "lo')
    run = only(tmp_path)
    assert [row["step"] for row in run.train] == [1]
    assert run.summary.endswith("1 step, 0.1 epochs, no validation yet, 2 s, 4 slices/s, 1 damaged line left out")


@pytest.mark.parametrize("line", ["[1]", "3", "null", '{"kind": "train"}', '{"step": null}', '{"step": "x"}', "\0\0"])
def test_lines_that_are_no_rows_are_counted(tmp_path, line):
    write_run(tmp_path / "run", [train_row(1)], tail=f"{line}\n" + '{"kind": "train", "step": 2, "loss": 0.5}\n')
    run = only(tmp_path)
    assert (len(run.train), run.num_damaged) == (2, 1)


def test_of_a_step_that_was_done_twice_the_later_row_counts(tmp_path):
    rows = [train_row(1), train_row(2, 9.0), train_row(3, 9.0), train_row(2, 0.5), validation_row(1, 0.1)]
    write_run(tmp_path / "run", [*rows, validation_row(1, 0.7)])
    run = only(tmp_path)
    assert run.points("train", "step", "loss") == [(1, 1), (2, 0.5), (3, 9)]
    assert run.points("validation", "epoch", "ssim") == [(1, 0.7)]


def test_rows_without_a_number_are_left_out_of_curves_and_counted(tmp_path):
    tail = '{"kind": "train", "step": 3, "loss": NaN}\n{"kind": "train", "step": 4, "loss": Infinity}\n'
    write_run(tmp_path / "run", [train_row(1), train_row(2) | {"loss": None}], tail=tail)
    run = only(tmp_path)
    assert run.points("train", "step", "loss") == [(1, 1)]
    assert run.summary.endswith("3 steps without a finite loss, the first is 2")


def test_the_first_of_equal_validations_is_the_best_and_nan_never_is(tmp_path):
    rows = [validation_row(epoch, ssim) for epoch, ssim in ((1, math.nan), (2, 0.9), (3, 0.9))]
    write_run(tmp_path / "run", rows)
    assert only(tmp_path).best == (2, 0.9)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.123, "0.12 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.7, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations_are_for_people(seconds, text):
    assert format_seconds(seconds) == text


def test_a_run_says_which_score_is_best(tmp_path):
    rows = [{"kind": "validation", "step": step, "epoch": step, "nmse": nmse} for step, nmse in ((1, 0.3), (2, 0.1))]
    score = {"name": "nmse", "words": "NMSE", "higher_is_better": False}
    config = {"task": "knee", "size": "tiny", "model": "varnet", "score": score}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run,) = find_training_runs(tmp_path)
    assert run.best == (2, 0.1)
    assert run.score.words == "NMSE"
