"""Words that go to people and to shells."""

import shlex

from mrikit.words import in_shell


def test_a_command_is_read_back_by_a_shell_whatever_its_files_are_called():
    words = ("reconstruct", "--data", "my scans/it's", "--out", "a;b")
    assert shlex.split(in_shell(*words)) == ["mrikit", *words]
    assert in_shell("report", "runs/a") == "mrikit report runs/a"
