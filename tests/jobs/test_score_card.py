import json
import shlex

import h5py
import pytest
from card_study import CHOSEN, read_card, write_card_study
from scored_study import write_volumes
from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.errors import ConfigError, DataError


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_what_the_list_says_makes_a_card(tmp_path, monkeypatch):
    write_volumes(tmp_path / "DATA", 5)
    monkeypatch.chdir(tmp_path)
    listed = call("score-card", "DATA", "--list")
    assert listed.exit_code == 0, listed.output
    lines = listed.stdout.splitlines()
    assert lines[0].startswith("score-card rule 1: 4 volumes, 8 slices; 1 left out: not chosen by the rule")
    assert lines[1:5] == [f"{name}.h5  2 slices" for name in CHOSEN]
    commands = [shlex.split(line) for line in lines if line.startswith("  mrikit ")]
    for _mrikit, *words in commands:
        assert call(*words, "--model", "zero_filled", "--device", "cpu").exit_code == 0
    assert lines[-1].startswith("next: mrikit score-card DATA --recon recon/acc4 ")
    done = call(*shlex.split(lines[-1])[2:])
    assert done.exit_code == 0, done.output
    card = read_card(tmp_path / "recon")
    assert [run["acceleration"] for run in card["runs"]] == [4.0, 8.0]
    assert all(run["seconds_per_slice"] > 0 and run["peak_memory_bytes"] > 0 and run["device"] for run in card["runs"])
    assert card["runs"][0]["num_timed_slices"] == 10


def test_the_table_and_the_files_are_printed(tmp_path):
    data, recon = write_card_study(tmp_path)
    done = call("score-card", data, "--recon", recon / "acc4", "--recon", recon / "acc8", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    card = read_card(tmp_path / "out")
    found = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert any(line.startswith(f"4x all 4 {card['table'][0]['ssim']['mean']:.4f} [") for line in found)
    assert "4x cg_sense: 0.125 s a slice, 1.0 kB of memory on H200" in found
    assert found[-2:] == [str(tmp_path / "out" / f"score-card.{end}") for end in ("json", "html")]


def test_json_is_the_card(tmp_path):
    data, recon = write_card_study(tmp_path)
    done = call("score-card", data, "--recon", recon, "--json")
    assert json.loads(done.stdout) == read_card(recon)
    listed = json.loads(call("score-card", data, "--list", "--json").stdout)
    assert listed["files"] == [f"{name}.h5" for name in CHOSEN]


def test_a_card_is_made_for_the_files_of_another(tmp_path):
    data, recon = write_card_study(tmp_path)
    assert call("score-card", data, "--recon", recon, "--out", tmp_path).exit_code == 0
    again = call("score-card", data, "--recon", recon, "--files", tmp_path / "score-card.json", "--out", tmp_path / "b")
    assert again.exit_code == 0, again.output
    assert read_card(tmp_path / "b")["table"] == read_card(tmp_path)["table"]
    (data / "v1.h5").unlink()
    again = call("score-card", data, "--recon", recon, "--files", tmp_path / "score-card.json")
    assert isinstance(again.exception, DataError)
    assert "lacks v1.h5 of the 4 files" in str(again.exception)


def test_nan_is_refused_and_no_card_is_written(tmp_path):
    data, recon = write_card_study(tmp_path)
    with h5py.File(recon / "acc4" / "v1.h5", "a") as file:
        file["reconstruction"][0, 0, 0] = float("nan")
    done = call("score-card", data, "--recon", recon)
    assert isinstance(done.exception, DataError)
    assert "acc4/v1.h5: 1 slices of the reconstruction hold NaN or Inf" in str(done.exception)
    assert not (recon / "score-card.json").exists()


def test_what_weakens_a_card_is_warned_of(tmp_path):
    data, recon = write_card_study(tmp_path, 3, (4.0,))
    done = call("score-card", data, "--recon", recon)
    assert "warning: no reconstruction at 8x; the card has none" in done.stderr


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_card_needs_reconstructions(tmp_path, words):
    write_volumes(tmp_path, 1)
    done = call("score-card", tmp_path, *words)
    assert isinstance(done.exception, ConfigError)
    assert "needs --recon" in str(done.exception)
