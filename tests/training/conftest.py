"""A finished run and an odd study, made once."""

import json

import pytest
from training.small_run import run, write_study


@pytest.fixture(scope="session")
def finished(study, once):
    """The folder and the rows of an undisturbed run; nobody trains there."""

    def make(folder):
        rows = []
        run(study, folder / "run", rows)
        (folder / "rows.json").write_text(json.dumps(rows))

    made = once("finished", make)
    return made / "run", json.loads((made / "rows.json").read_text())


@pytest.fixture(scope="session")
def odd_study(once):
    """The study, with three slices in some of its volumes."""
    return once("odd-study", lambda folder: write_study(folder, num_slices=(3, 2)))
