"""How the data commands speak."""

import io

import pytest
from rich.console import Console

from mrikit.commands.output import are_one, messages_console, results_console
from mrikit.words import counted, expiry, in_bytes, in_time


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (93_800_000_000, "93.8 GB"), (2 * 10**12, "2.0 TB")],
)
def test_sizes_are_shown_as_links_and_disks_are_sold(count, text):
    assert in_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (240, "4 min"),
        (2 * 3600 + 300, "2 h 5 min"),
        (6 * 86_400 + 3 * 3600, "6 d 3 h"),
        (2 * 86_400, "2 d"),
        (30 * 86_400 + 3600, "30 d"),
    ],
)
def test_times_are_told_in_their_largest_units(seconds, text):
    assert in_time(seconds) == text


@pytest.mark.parametrize("console", [results_console, messages_console])
def test_a_word_between_colons_is_no_picture(console, capsys):
    console().print("other:key: no such key")
    shown = capsys.readouterr()
    assert shown.out + shown.err == "other:key: no such key\n"


@pytest.mark.parametrize(
    ("seconds_left", "text"), [(None, "?"), (3600, "in 1 h 0 min"), (0, "expired 0 s ago"), (-120, "expired 2 min ago")]
)
def test_the_end_of_a_link_is_told_from_now(seconds_left, text):
    assert expiry(seconds_left) == text


def test_nothing_is_cut_off_in_a_pipe(capsys):
    for console in (results_console(), messages_console()):
        console.print("x" * 5000)
    assert [len(text.splitlines()) for text in capsys.readouterr()] == [1, 1]


@pytest.mark.parametrize(("count", "text"), [(0, "0 archives"), (1, "1 archive"), (1200, "1,200 archives")])
def test_one_is_one(count, text):
    assert counted(count, "archive") == text


def test_what_both_write_to_one_file_is_known(tmp_path):
    with (tmp_path / "a").open("w") as one, (tmp_path / "a").open("a") as same, (tmp_path / "b").open("w") as other:
        assert are_one(Console(file=one), Console(file=same))
        assert not are_one(Console(file=one), Console(file=other))
    assert not are_one(Console(file=io.StringIO()), Console(file=io.StringIO()))
