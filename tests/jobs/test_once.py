"""Options that are given twice."""

import pytest
from typer.testing import CliRunner

from mrikit.commands.app import app


@pytest.mark.parametrize(
    "words",
    [
        ["reconstruct", "--data", "a", "--data", "b", "--out", "c"],
        ["evaluate", "--recon", "r", "--data", "a", "--data", "b"],
        ["data", "copy", "curl.txt", "--to", "a", "--to", "b"],
        ["train", "--task", "knee_acc8", "--size", "tiny", "--size", "small"],
    ],
)
def test_an_option_of_one_value_that_is_given_twice_is_refused(words):
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    option = next(word for word in words if words.count(word) == 2)
    assert f"Invalid value for {option}: given 2 times; it takes one value" in done.output


def test_repeatable_options_and_switches_are_not(tmp_path):
    done = CliRunner().invoke(
        app, ["evaluate", "--recon", tmp_path / "a", "--recon", tmp_path / "b", "--json", "--json"]
    )
    assert "given 2 times" not in done.output
