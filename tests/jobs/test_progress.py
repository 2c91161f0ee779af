"""How far a command is: the same facts as a bar and as lines."""

import io
import threading

import pytest
from rich.console import Console
from waiting import until

from mrikit.commands.progress import Progress


class Shown:
    """A progress whose time and output are the test's."""

    def __init__(self, *arguments, is_terminal=False, **settings):
        self.now, self._output = 0.0, io.StringIO()
        console = Console(file=self._output, width=200, force_terminal=is_terminal)
        self.progress = Progress(*arguments, messages=console, clock=lambda: self.now, **settings)

    def at(self, second, done, **facts):
        self.now = second
        self.progress.show(done, **facts)

    def lines(self):
        return self._output.getvalue().splitlines()


def test_a_log_gets_a_line_a_minute():
    shown = Shown("reading", total=10**9)
    for second in range(0, 121, 10):
        shown.at(second, second * 10**6)
    assert shown.lines() == [
        "reading: 60.0 MB of 1.0 GB, 1.0 MB/s, 15 min to go",
        "reading: 120.0 MB of 1.0 GB, 1.0 MB/s, 14 min to go",
    ]


def test_a_log_gets_a_line_a_minute_also_while_nothing_is_counted():
    shown = Shown("knee", "steps", 500)
    shown.at(60, 120, note="loss 0.1")
    for second in range(70, 240, 10):  # a validation
        shown.now = second
        shown.progress.tick()
    assert shown.lines() == [
        "knee: 120 of 500 steps, 2.0 steps/s, 3 min to go, loss 0.1",
        "knee: 120 of 500 steps, 1.0 steps/s, 6 min to go, loss 0.1",
        "knee: 120 of 500 steps, 40.0 steps/min, 9 min to go, loss 0.1",
    ]


def test_before_anything_is_counted_a_log_says_how_long_that_takes():
    shown = Shown("looking for volumes", "slices")
    shown.now = 120
    shown.progress.tick()
    assert shown.lines() == ["looking for volumes: nothing counted yet, after 2 min"]


def test_lines_come_by_themselves_until_the_end(monkeypatch):
    monkeypatch.setattr("mrikit.commands.progress._SECONDS_BETWEEN_LINES", 0.0)
    shown = Shown("knee", "steps", 500)
    with shown.progress:
        until(lambda: len(shown.lines()) > 1)
    until(lambda: not any(thread.name == "mrikit-progress" for thread in threading.enumerate()))


def test_a_bar_is_alone(monkeypatch):
    monkeypatch.setattr("mrikit.commands.progress._SECONDS_BETWEEN_LINES", 0.0)
    shown = Shown("knee", "steps", 500, is_terminal=True)
    shown.progress.tick()
    assert shown.lines() == []


def test_a_bar_has_the_same_facts_and_where_it_is_and_no_lines():
    shown = Shown("reading", total=10**9, is_terminal=True)
    with shown.progress:
        shown.at(60, 60 * 10**6, at="file[1].h5")
        shown.progress._bars.refresh()
    text = "\n".join(shown.lines())
    assert "reading file[1].h5" in text
    assert "60.0 MB of 1.0 GB, 1.0 MB/s, 15 min to go" in text
    assert "reading: " not in text


@pytest.mark.parametrize(
    ("done", "line"),
    [
        (120, "unet: 120 of 600 slices, 2.0 slices/s, 4 min to go"),
        (30, "unet: 30 of 600 slices, 30.0 slices/min, 19 min to go"),
        (0, "unet: 0 of 600 slices, 0.0 slices/s"),
    ],
)
def test_slow_and_fast_are_told_in_numbers_that_say_something(done, line):
    shown = Shown("unet", "slices", 600)
    shown.at(60, done)
    assert shown.lines() == [line]


def test_without_a_total_no_time_is_guessed():
    shown = Shown("looking at headers", "files")
    shown.at(60, 90)
    assert shown.lines() == ["looking at headers: 90 files, 1.5 files/s"]


def test_what_was_done_before_is_no_rate():
    shown = Shown("knee", "steps")
    shown.now = 1000.0
    shown.progress.begin("knee", "steps", 500, done=380)
    shown.at(1060, 440, note="loss 0.1")
    assert shown.lines() == ["knee: 440 of 500 steps, 1.0 steps/s, 1 min to go, loss 0.1"]


def test_a_total_that_shrinks_counts_at_once():
    shown = Shown("copy", total=2 * 10**8)
    shown.at(60, 60 * 10**6, total=10**8)
    assert shown.lines() == ["copy: 60.0 MB of 100.0 MB, 1.0 MB/s, 40 s to go"]


def test_a_part_has_a_bar_of_its_own_until_it_ends():
    shown = Shown("copy", total=10**9, is_terminal=True)
    with shown.progress:
        shown.progress.show_part("a.tar", 10**8, 4 * 10**8)
        assert [task.description for task in shown.progress._bars.tasks] == ["copy", "a.tar"]
        assert shown.progress._bars.tasks[1].fields["facts"] == "100.0 MB of 400.0 MB"
        shown.progress.end_part("a.tar")
        assert [task.description for task in shown.progress._bars.tasks] == ["copy"]


def test_a_new_beginning_forgets_the_total():
    shown = Shown("reading", "files", 4, is_terminal=True)
    shown.progress.show(4)
    shown.progress.begin("scoring", "volumes")
    (task,) = shown.progress._bars.tasks
    assert (task.description, task.total, task.fields["facts"]) == ("scoring", None, "0 volumes, 0.0 volumes/s")


def test_threads_count_together():
    shown = Shown("reading", "files", 4000)
    threads = [threading.Thread(target=lambda: [shown.progress.advance(1) for _ in range(1000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown.at(60, shown.progress._done)
    assert shown.lines()[0].startswith("reading: 4000 of 4000 files")
