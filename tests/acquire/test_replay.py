import numpy as np
import pytest

from mrikit.acquire.replay import Replay, Transitions
from mrikit.errors import ConfigError, DataError
from mrikit.randomness import generator

FIELDS = ("volume_index", "slice_index", "mask", "line", "num_decisions", "reward", "is_done")


def some(number, width=13, first=0):
    """Transitions that are told apart by their slice, from `first` on."""
    rng = generator(first, "transitions")
    lines = rng.integers(0, width, number).astype(np.int32)
    mask = rng.random((number, width)) < 0.4
    mask[np.arange(number), lines] = False
    return Transitions(
        volume_index=rng.integers(0, 9, number).astype(np.int32),
        slice_index=np.arange(first, first + number, dtype=np.int32),
        mask=mask,
        line=lines,
        num_decisions=rng.integers(0, 5, number).astype(np.int32),
        reward=rng.random(number, np.float32),
        is_done=rng.random(number) < 0.2,
    )


def assert_same(one, other):
    for name in FIELDS:
        first, second = getattr(one, name), getattr(other, name)
        assert first.dtype == second.dtype
        assert np.array_equal(first, second), name


def pick(transitions, rows):
    return Transitions(**{name: getattr(transitions, name)[rows] for name in FIELDS})


@pytest.mark.parametrize("width", [8, 13, 368])
def test_what_is_drawn_is_what_was_added(width):
    replay, added = Replay(50, width), some(30, width)
    replay.add(added)
    drawn = replay.sample(100, generator(0))
    assert len(replay) == 30
    assert_same(drawn, pick(added, drawn.slice_index))


def test_the_next_mask_has_the_chosen_line_too_and_the_mask_stays():
    added = some(30)
    before, after = added.mask.copy(), added.next_mask
    assert np.array_equal(added.mask, before)
    assert (after.sum(-1) == before.sum(-1) + 1).all()
    assert after[np.arange(30), added.line].all()


@pytest.mark.parametrize("parts", [[7, 7, 7], [1] * 21, [21], [3, 18]])
def test_the_newest_take_the_place_of_the_oldest(parts):
    replay, added, first = Replay(10, 13), some(21), 0
    for number in parts:
        replay.add(pick(added, np.arange(first, first + number)))
        first += number
    drawn = replay.sample(500, generator(1))
    assert len(replay) == 10
    assert set(drawn.slice_index) == set(range(11, 21))
    assert_same(drawn, pick(added, drawn.slice_index))


def test_each_is_drawn_as_often():
    replay = Replay(8, 13)
    replay.add(some(8))
    counts = np.bincount(replay.sample(16_000, generator(2)).slice_index, minlength=8)
    assert abs(counts - 2000).max() < 5 * np.sqrt(2000)


@pytest.mark.parametrize("number", [4, 13])
def test_a_resumed_replay_goes_on_as_if_nothing_had_been(number, tmp_path):
    whole, resumed = Replay(10, 13), Replay(10, 13)
    whole.add(some(number))
    np.savez(tmp_path / "state.npz", **whole.state())
    with np.load(tmp_path / "state.npz") as state:
        resumed.restore(state)
    for step in range(4):
        assert_same(whole.sample(20, generator(step)), resumed.sample(20, generator(step)))
        for replay in (whole, resumed):
            replay.add(some(3, first=100 + 3 * step))
    assert len(whole) == len(resumed) == 10


def test_a_state_is_a_copy():
    replay = Replay(10, 13)
    replay.add(some(10))
    state = replay.state()
    replay.add(some(10, first=10))
    assert set(state["slice_index"]) == set(range(10))


def test_20000_transitions_of_640_by_368_take_less_than_a_gigabyte():
    replay = Replay(20_000, 368)
    replay.add(some(20_000, 368))
    assert len(replay) == 20_000
    assert replay.size_bytes / 20_000 <= 70
    assert replay.size_bytes < 1.5e6
    assert sum(array.nbytes for array in replay.state().values()) < replay.size_bytes + 100


def test_sampling_before_anything_was_added_is_refused():
    with pytest.raises(DataError, match="nothing to replay yet"):
        Replay(10, 13).sample(1, generator(0))


def test_masks_of_another_width_are_refused():
    with pytest.raises(DataError, match="a replay of width 13 needs masks"):
        Replay(10, 13).add(some(3, 14))


def test_a_state_of_another_size_is_refused():
    with pytest.raises(DataError, match="capacity 10 and width 13 does not fit one of 10 and 16"):
        Replay(10, 16).restore(Replay(10, 13).state())


def test_a_state_that_lacks_something_is_refused():
    state = Replay(10, 13).state()
    del state["mask"], state["num_added"]
    with pytest.raises(DataError, match="lacks mask, num_added"):
        Replay(10, 13).restore(state)


def test_a_replay_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="capacity >= 1"):
        Replay(0, 13)
