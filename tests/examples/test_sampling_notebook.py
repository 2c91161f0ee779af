"""`examples/sampling.ipynb`: its cells run as they stand there."""

import json
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt

NOTEBOOK = Path(__file__).parents[2] / "examples" / "sampling.ipynb"
NUM_FIGURES = 5


def cells(kind):
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return [cell for cell in content["cells"] if cell["cell_type"] == kind]


@pytest.fixture
def run_cells(tmp_path, monkeypatch):
    """Runs the first cells, or all, in one namespace and a folder of their own; tells how many figures each drew."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)

    def run(count=None):
        names, figures = {}, []
        for cell in cells("code")[:count]:
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
            figures.append(len(plt.get_fignums()))
            plt.close("all")
        return names, figures

    with mpl.rc_context({"backend": "agg"}):
        yield run


def test_the_notebook_is_kept_without_its_outputs():
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells("code"))
    assert len(cells("markdown")) > 4


def test_digits_are_drawn_where_there_are_no_real_ones(run_cells, monkeypatch):
    monkeypatch.delenv("MRIKIT_REALDATA", raising=False)
    names, figures = run_cells(2)
    assert names["images"].shape == (800, 28, 28)
    assert (names["images"].max((1, 2)) > 200).all()
    assert sum(figures) == 1


def test_real_digits_are_taken_where_they_are(run_cells, monkeypatch, real_data):
    monkeypatch.setenv("MRIKIT_REALDATA", str(real_data))
    names, _ = run_cells(2)
    assert names["images"].shape == (10_000, 28, 28)


@pytest.mark.slow
def test_every_cell_runs_and_learned_masks_come_out(run_cells, monkeypatch):
    monkeypatch.delenv("MRIKIT_REALDATA", raising=False)
    names, figures = run_cells()
    assert sum(figures) == NUM_FIGURES
    assert all(
        set(results) >= {"learned", "gaussian_2d"} for results in (names["digit_results"], names["brain_results"])
    )
    budgets = {
        round(first.mask.true_acceleration, 1)
        for results in (names["digit_results"], names["brain_results"])
        for first, *_ in results.values()
    }
    assert budgets == {4.0}
    digits = {name: recon[0].image.std() for name, recon in names["digit_results"].items()}
    assert min(digits.values()) > 0
    assert names["page"].stat().st_size > 100_000
