import io

import numpy as np
import pytest
from trained_run import train_row, validation_row, write_run

from mrikit.errors import DataError
from mrikit.report.learned import learned_patterns
from mrikit.report.stages import join_stages
from mrikit.report.training import find_training_runs

LINES = {
    0: [1, 1, 0, 0, 0, 0, 0, 0],
    1: [1, 0, 1, 0, 0, 0, 0, 0],
    2: [0, 0, 1, 1, 0, 0, 0, 0],
}
"""A start, and two epochs that move one line each."""


def write_masks(folder, epochs):
    """`masks/epoch-0000.npz` and on: of each epoch arrays by name."""
    (folder / "masks").mkdir()
    for epoch, arrays in epochs.items():
        arrays = {name: np.array(array, np.float32) for name, array in arrays.items()}
        np.savez_compressed(folder / "masks" / f"epoch-{epoch:04d}.npz", **arrays)


def run_of(folder, epochs, best=None):
    rows = [train_row(1), *(validation_row(epoch, 0.9 if epoch == best else 0.5) for epoch in epochs if epoch)]
    write_masks(write_run(folder / "run", rows), epochs)
    (run,) = find_training_runs(folder)
    return run


def test_a_run_that_learned_no_mask_has_none(tmp_path):
    write_run(tmp_path / "run", [train_row(1)])
    (run,) = find_training_runs(tmp_path)
    assert learned_patterns(run) == []


def test_masks_of_each_acceleration_are_in_the_order_of_epochs(tmp_path):
    (four, eight) = learned_patterns(
        run_of(tmp_path, {epoch: {"4x": lines, "8x": lines[::-1]} for epoch, lines in LINES.items()})
    )
    assert (four.name, eight.name) == ("4x", "8x")
    assert four.epochs == eight.epochs == (0, 1, 2)
    assert np.array_equal(four.patterns, [LINES[epoch] for epoch in (0, 1, 2)])
    assert four.is_mask
    assert four.probabilities is None


def test_the_share_of_samples_that_moved_is_counted_from_the_epoch_before_and_from_the_start(tmp_path):
    (found,) = learned_patterns(run_of(tmp_path, {epoch: {"4x": lines} for epoch, lines in LINES.items()}))
    assert found.changes(since_start=False) == [(1, 0.5), (2, 0.5)]
    assert found.changes(since_start=True) == [(1, 0.5), (2, 1.0)]


def test_of_shares_the_mean_difference_counts(tmp_path):
    shares = {1: {"acquired": [1, 0.5, 0.5, 0]}, 2: {"acquired": [1, 0.25, 0.5, 0.25]}}
    (found,) = learned_patterns(run_of(tmp_path, shares))
    assert not found.is_mask
    assert found.changes(since_start=True) == [(2, 0.125)]


def test_the_kept_mask_is_that_of_the_best_validation_with_its_probabilities(tmp_path):
    epochs = {epoch: {"4x": lines, "4x probabilities": np.full(8, epoch / 10)} for epoch, lines in LINES.items()}
    (found,) = learned_patterns(run_of(tmp_path, epochs, best=1))
    assert found.epochs[found.kept] == 1
    assert found.probabilities == pytest.approx(np.full(8, 0.1))
    assert found.name == "4x"


def test_masks_of_stages_follow_each_other(tmp_path):
    for number, epochs in ((1, (0, 1)), (2, (1, 2))):
        rows = [train_row(1, epoch=number - 1), validation_row(number, number / 10)]
        folder = write_run(tmp_path / f"stage-{number}", rows)
        write_masks(folder, {epoch: {"4x": LINES[epoch]} for epoch in epochs})
    (run,) = join_stages(find_training_runs(tmp_path))
    (found,) = learned_patterns(run)
    assert found.epochs == (0, 1, 2)
    assert found.changes(since_start=True) == [(1, 0.5), (2, 1.0)]


def test_a_stage_of_another_matrix_begins_anew(tmp_path):
    epochs = {0: {"4x": [1, 0]}, 1: {"4x": LINES[1]}, 2: {"4x": LINES[2], "8x": LINES[0]}}
    four, eight = learned_patterns(run_of(tmp_path, epochs))
    assert four.epochs == (1, 2)
    assert eight.epochs == (2,)
    assert eight.changes(since_start=True) == []


def _npy_bytes():
    buffer = io.BytesIO()
    np.save(buffer, LINES[0])
    return buffer.getvalue()


def _packed_with_damage():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{"4x": np.arange(64.0).reshape(8, 8)})
    content = bytearray(buffer.getvalue())
    begin = content.find(b".npy") + 30
    content[begin : begin + 40] = b"\xff" * 40
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [b"", b"nothing", b"PK\x03\x04 cut short", _npy_bytes(), _packed_with_damage()],
    ids=["empty", "text", "cut short", "one array", "overwritten"],
)
def test_a_damaged_file_is_an_error_on_one_line(tmp_path, content):
    run = run_of(tmp_path, {0: {"4x": LINES[0]}})
    run.masks[0].write_bytes(content)
    with pytest.raises(DataError, match=r"epoch-0000\.npz: not the masks of an epoch \(") as caught:
        learned_patterns(run)
    assert "\n" not in str(caught.value)


def test_a_file_without_an_epoch_in_its_name_is_none_of_the_run_s(tmp_path):
    run_of(tmp_path, {0: {"4x": LINES[0]}})
    (tmp_path / "run" / "masks" / "epoch-last.npz").write_bytes(b"")
    (run,) = find_training_runs(tmp_path)
    assert [path.name for path in run.masks] == ["epoch-0000.npz"]


def test_a_mask_of_three_axes_is_an_error(tmp_path):
    run = run_of(tmp_path, {0: {"4x": np.zeros((2, 2, 2))}})
    with pytest.raises(DataError, match=r"masks have 1 or 2 axes, 4x has 3"):
        learned_patterns(run)
