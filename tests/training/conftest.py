"""A study and a finished run, made once."""

import pytest
from training.small_run import run, write_study


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def finished(study, tmp_path_factory):
    """The folder and the rows of an undisturbed run."""
    folder, rows = tmp_path_factory.mktemp("finished"), []
    run(study, folder, rows)
    return folder, rows


@pytest.fixture(scope="session")
def odd_study(tmp_path_factory):
    """The study, with three slices in some of its volumes."""
    return write_study(tmp_path_factory.mktemp("odd"), num_slices=(3, 2))
