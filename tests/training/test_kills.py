"""kill -9 at any moment, and the same command again."""

import json
import time

import numpy as np
import pytest
from training.children import newest_step, start, wait
from training.small_run import are_same_bits, newest_state, run

from mrikit.checkpoint import load_weights


def rows_of(folder):
    keys = ("kind", "step", "epoch", "loss", "lr", "ssim", "psnr", "nmse", "is_best")
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [[row.get(key) for key in keys] for row in map(json.loads, lines)]


def assert_as_if_nothing_had_happened(folder, finished):
    assert are_same_bits(newest_state(folder), newest_state(finished))
    assert load_weights(folder).sha256 == load_weights(finished).sha256
    assert rows_of(folder) == rows_of(finished)
    found, wanted = (sorted(str(path.relative_to(part)) for path in part.rglob("*")) for part in (folder, finished))
    assert found == wanted


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_is_killed_at_random_until_it_is_done_ends_with_the_same_bits(study, finished, tmp_path, seed):
    rng = np.random.default_rng(seed)
    num_kills = 0
    while newest_step(tmp_path) < 10:
        process = start(study, tmp_path)
        target = min(10, newest_step(tmp_path) + rng.integers(1, 4))
        while newest_step(tmp_path) < target and process.is_alive():
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))
        process.kill()
        num_kills += wait([process]) == [-9]
    run(study, tmp_path)
    assert num_kills >= 3
    assert_as_if_nothing_had_happened(tmp_path, finished[0])


@pytest.mark.parametrize("step", [1, 3, 5, 10])
def test_steps_after_the_last_checkpoint_are_done_again(study, finished, tmp_path, step):
    assert wait([start(study, tmp_path, dies=("after a step", step), execution__checkpoint_minutes=9)]) == [-9]
    assert newest_step(tmp_path) == (5 if step == 10 else 0)
    run(study, tmp_path, execution__checkpoint_minutes=9)
    assert are_same_bits(newest_state(tmp_path), newest_state(finished[0]))
    assert load_weights(tmp_path).sha256 == load_weights(finished[0]).sha256
    assert rows_of(tmp_path) == rows_of(finished[0])


@pytest.mark.parametrize(
    ("place", "number"),
    [
        ("between two tensors of a file", 2),
        ("between two tensors of a file", 500),
        ("before a file gets its name", 1),
        ("before a file gets its name", 4),
        ("before a file gets its name", 7),
        ("before a file gets its name", 8),
        ("before a file gets its name", 9),
        ("before old checkpoints go", 3),
        ("while a volume is scored", 1),
        ("while a volume is scored", 4),
    ],
)
def test_a_run_that_is_killed_while_it_writes_or_validates_ends_with_the_same_bits(
    study, finished, tmp_path, place, number
):
    assert wait([start(study, tmp_path, dies=(place, number))]) == [-9]
    run(study, tmp_path)
    assert_as_if_nothing_had_happened(tmp_path, finished[0])


def test_what_a_killed_process_was_writing_goes_even_if_it_is_never_written_again(study, tmp_path):
    assert wait([start(study, tmp_path, dies=("before a file gets its name", 4))]) == [-9]
    (leftover,) = (tmp_path / "checkpoints").glob(".*")
    leftover.rename(leftover.with_name(".step-00000003.another-host.12.tmp.safetensors"))
    run(study, tmp_path, execution__checkpoint_minutes=9)
    assert not list(tmp_path.rglob(".*"))
