import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrikit.errors import ConfigError
from mrikit.reconstruct import Shard, launched_shard, parse_shard
from mrikit.reconstruct.shard import share


@given(st.lists(st.integers(0, 40), max_size=40), st.integers(1, 6))
def test_every_volume_is_in_one_part_and_parts_differ_by_less_than_a_volume(num_slices, num_shards):
    parts = [share(num_slices, Shard(rank=rank, num_shards=num_shards)) for rank in range(num_shards)]
    assert sorted(position for part in parts for position in part) == list(range(len(num_slices)))
    assert all(part == sorted(part) for part in parts)
    loads = [sum(max(num_slices[position], 1) for position in part) for part in parts]
    assert max(loads) - min(loads) <= max([1, *num_slices])


def test_slices_and_not_volumes_are_balanced():
    assert [share([30, 10, 10, 10], Shard(rank=rank, num_shards=2)) for rank in range(2)] == [[0], [1, 2, 3]]


def test_a_part_is_counted_from_one():
    assert parse_shard("1/4") == Shard(rank=0, num_shards=4)
    assert str(parse_shard("4/4")) == "4/4"


@pytest.mark.parametrize("text", ["4", "a/b", "1/", "1/4/2", ""])
def test_a_part_that_is_not_written_so_is_one_clear_line(text):
    with pytest.raises(ConfigError, match=f"^a shard is written number/shards, such as 1/4, found '{text}'$"):
        parse_shard(text)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0"])
def test_a_part_that_does_not_exist_is_one_clear_line(text):
    found = text.replace("/", " of ")
    with pytest.raises(ConfigError, match=f"^a shard is one of 1 to the number of shards, found {found}; write"):
        parse_shard(text)


def test_a_launcher_says_the_part():
    assert launched_shard({}) == Shard()
    assert launched_shard({"RANK": "2", "WORLD_SIZE": "3"}) == Shard(rank=2, num_shards=3)


@pytest.mark.parametrize("environment", [{"RANK": "1"}, {"WORLD_SIZE": "2"}, {"RANK": "one", "WORLD_SIZE": "2"}])
def test_half_a_launcher_is_one_clear_line(environment):
    with pytest.raises(ConfigError, match=r"^the environment sets RANK=.* and WORLD_SIZE=.*; or give --shard$"):
        launched_shard(environment)
