import typer
from scored_study import write_recon, write_volumes
from trained_run import train_row, write_run
from typer.testing import CliRunner

from mrikit.commands.report import report
from mrikit.errors import DataError


def call(*arguments):
    app = typer.Typer()
    app.command()(report)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_it_prints_the_path_of_the_report(tmp_path):
    write_recon(tmp_path / "run" / "cg", tmp_path / "data", write_volumes(tmp_path / "data", 1))
    result = call(tmp_path / "run")
    assert result.stdout.splitlines() == [str(tmp_path / "run" / "report.html")]
    assert (tmp_path / "run" / "report.html").exists()


def test_it_writes_where_it_is_told(tmp_path):
    write_recon(tmp_path / "run" / "cg", tmp_path / "data", write_volumes(tmp_path / "data", 1))
    result = call(tmp_path / "run", "--out", tmp_path / "page.html")
    assert result.stdout.splitlines() == [str(tmp_path / "page.html")]


def test_a_training_run_alone_gives_a_report(tmp_path):
    run = write_run(tmp_path / "run", [train_row(1)])
    assert call(run).stdout.splitlines() == [str(run / "report.html")]
    assert "knee_multicoil tiny, varnet, 1 step" in (run / "report.html").read_text()


def test_a_folder_without_results_is_an_error(tmp_path):
    assert isinstance(call(tmp_path).exception, DataError)
