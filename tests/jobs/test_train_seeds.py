"""`mrikit train --seeds N`: what came of each seed, and which is chosen."""

import json
import re

import pytest
from trained_run import train_row, validation_row, write_run
from training.small_run import CONFIG, command_line
from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.commands.places import weights_of
from mrikit.commands.training_seeds import OneRun, planned_runs, seed_configs, train_runs
from mrikit.config import change_config
from mrikit.errors import CheckpointError, ConfigError, DataError, JobError
from mrikit.recipes import recipe
from mrikit.reconstruct import find_weights
from mrikit.storage import Place
from mrikit.training import load_run_config
from mrikit.training.volumes import open_study

QUICK = change_config(CONFIG, {"training.num_epochs": 1}, "test")


def words(config=QUICK):
    """The words of a small run but for its seed."""
    found = command_line(config)
    at = found.index("training.seed=4")
    return [*found[: at - 1], *found[at + 1 :]]


def invoke(study, out, *more, config=QUICK):
    return CliRunner().invoke(app, ["train", *words(config), "--data", str(study), "--out", str(out), *map(str, more)])


def seeds_of(folder, count=3, **settings):
    config = change_config(recipe("knee_multicoil", "tiny"), settings, "test")
    return planned_runs([[config]] * count, folder, Place(folder=folder))


def fake(rows, errors=()):
    """Trains a seed by writing rows: its validations, and the error that it ends with."""

    def train(one: OneRun) -> None:
        seed = int(one.out.name.removeprefix("seed-"))
        if not one.place.folder.exists():
            write_run(one.place.folder, [train_row(1), *rows[seed]])
        if seed in dict(errors):
            raise dict(errors)[seed]

    return train


def written(folder):
    return json.loads((folder / "seeds.json").read_text())


def test_the_best_validation_is_chosen_and_all_are_shown(tmp_path, capsys):
    rows = [[validation_row(1, 0.7), validation_row(2, 0.6)], [validation_row(1, 0.8)], [validation_row(1, 0.75)]]
    chosen = train_runs(seeds_of(tmp_path), tmp_path, fake(rows))
    assert chosen.out == tmp_path / "seed-1"
    table = [re.split(r"\s{2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert table[:4] == [
        ["seed", "SSIM", "epoch"],
        ["0", "0.7000", "1"],
        ["1", "0.8000", "1", "chosen"],
        ["2", "0.7500", "1"],
    ]
    assert table[4] == [f"chosen: seed 1; weights in {tmp_path}/seed-1/weights.safetensors"]
    found = written(tmp_path)
    assert (found["chosen"], found["score"]["name"]) == ("seed-1", "ssim")
    assert found["seeds"][0] == {"seed": 0, "folder": "seed-0", "best": 0.7, "epoch": 1, "failed": None}


def test_of_a_score_of_which_less_is_better_the_lowest_is_chosen(tmp_path):
    rows = [
        [validation_row(1, 0.7, banding=2.0)],
        [validation_row(1, 0.6, banding=1.0)],
        [validation_row(1, 0.8, banding=3.0)],
    ]
    plain = fake(rows)

    def train(one):
        plain(one)
        path = one.place.folder / "config.json"
        score = {"name": "banding", "words": "banding", "higher_is_better": False}
        path.write_text(json.dumps({**json.loads(path.read_text()), "score": score}))

    assert train_runs(seeds_of(tmp_path), tmp_path, train).out.name == "seed-1"


def test_a_seed_that_ends_with_an_error_is_named_and_the_next_has_its_turn(tmp_path, capsys):
    rows = [[validation_row(1, 0.7)], [validation_row(1, 0.9)], [validation_row(1, 0.8)]]
    error = DataError("the loss is nan at step 12: v3, slice 1")
    chosen = train_runs(seeds_of(tmp_path), tmp_path, fake(rows, [(1, error)]))
    assert chosen.out.name == "seed-2"
    assert written(tmp_path)["seeds"][1]["failed"] == str(error)
    told = capsys.readouterr()
    assert f"failed: {error}" in told.out
    assert f"seed 1 failed: {error}" in told.err


def test_a_seed_that_a_validation_found_failed_is_not_chosen(tmp_path):
    collapsed = [validation_row(1, 0.9), validation_row(2, 0.5, failed="SSIM fell by 0.4"), validation_row(3, 0.95)]
    chosen = train_runs(seeds_of(tmp_path, 2), tmp_path, fake([collapsed, [validation_row(1, 0.7)]]))
    assert chosen.out.name == "seed-1"
    assert written(tmp_path)["seeds"][0]["failed"] == "epoch 2: SSIM fell by 0.4"


def test_where_all_fail_none_is_chosen_and_it_is_an_error(tmp_path):
    rows = [[validation_row(1, 0.5, failed="collapse")]] * 2
    with pytest.raises(JobError, match="all 2 seeds failed, and none is chosen"):
        train_runs(seeds_of(tmp_path, 2), tmp_path, fake(rows))
    assert written(tmp_path)["chosen"] is None
    with pytest.raises(CheckpointError, match="no weights in this folder"):
        find_weights([tmp_path])


@pytest.mark.parametrize("error", [ConfigError("settings"), DataError("no data")])
def test_what_none_could_begin_with_is_told_at_once(tmp_path, error):
    tried = []

    def train(one):
        tried.append(one)
        raise error

    with pytest.raises(type(error), match=str(error)):
        train_runs(seeds_of(tmp_path), tmp_path, train)
    assert len(tried) == 1
    assert not (tmp_path / "seeds.json").exists()


def test_of_stages_the_last_decides(tmp_path):
    stages = [change_config(recipe("knee_acc8", "tiny", stage), {}, "test") for stage in (1, 2)]
    runs = planned_runs([stages, stages], tmp_path, Place(folder=tmp_path))

    def train(one):
        seed = int(one.out.name.removeprefix("seed-"))
        for place, score in zip(one.places, (0.9 - 0.1 * seed, 0.5 + 0.1 * seed), strict=True):
            write_run(place.folder, [train_row(1), validation_row(1, score)])

    assert train_runs(runs, tmp_path, train).places[-1].folder == tmp_path / "seed-1" / "stage-2"


def test_seeds_differ_in_all_that_is_drawn_but_not_in_who_is_held_out(study):
    asked = ("knee_multicoil", "tiny", None, ["data.num_validation=2"], {})
    variants = seed_configs(*asked, 3)
    assert [configs[0].training.seed for configs in variants] == [0, 1, 2]
    held_out = [
        {volume.info.volume_id for volume in open_study(configs[0], study).validation.volumes} for configs in variants
    ]
    assert held_out[0] == held_out[1] == held_out[2]
    plain = change_config(variants[1][0], {"data.split_seed": -1}, "test")
    assert held_out[0] != {volume.info.volume_id for volume in open_study(plain, study).validation.volumes}


def test_two_seeds_are_trained_the_same_command_goes_on_and_the_chosen_is_what_the_folder_means(study, tmp_path):
    done = invoke(study, tmp_path / "run", "--seeds", 2)
    assert done.exit_code == 0, done.output
    found = written(tmp_path / "run")
    assert [load_run_config(tmp_path / "run" / f"seed-{seed}").training.seed for seed in (0, 1)] == [0, 1]
    assert found["chosen"] == max(found["seeds"], key=lambda seed: seed["best"])["folder"]
    chosen = tmp_path / "run" / found["chosen"]
    assert f"next: mrikit reconstruct --weights {chosen} " in done.stdout
    assert find_weights([tmp_path]) == find_weights([tmp_path / "run"]) == [chosen / "weights.safetensors"]
    again = invoke(study, tmp_path / "run", "--seeds", 2)
    assert again.stdout.count("all 5 steps of this run were done before") == 2
    assert written(tmp_path / "run") == found
    made = CliRunner().invoke(
        app,
        ["reconstruct", "--weights", str(tmp_path / "run"), "--data", str(study), "--out", str(tmp_path / "recon")],
    )
    assert made.exit_code == 0, made.output
    record = json.loads((tmp_path / "recon" / "reconstruct.json").read_text())
    assert str(chosen) in json.dumps(record)
    alone = invoke(study, tmp_path / "run")
    assert f"{tmp_path}/run holds runs of several seeds; give --seeds" in str(alone.exception)


def test_a_dry_run_tells_one_of_them_and_how_many_there_are(study, tmp_path):
    done = invoke(study, tmp_path / "run", "--seeds", 5, "--dry-run")
    assert done.exit_code == 0, done.output
    assert f" into {tmp_path}/run/seed-0" in done.stdout
    assert done.stdout.splitlines()[-1] == "seeds: 5 times this, one after the other"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("task", "more", "message"),
    [
        (
            "knee_multicoil",
            ["--set", "training.seed=3"],
            "--seeds sets training.seed to 0, 1, ...; leave out one of the two",
        ),
        ("knee_multicoil", ["--set", "data.num_validation=0"], "data.num_validation=0 holds nobody out"),
        ("knee_acquire", [], "--seeds is for networks, and knee_acquire-"),
        ("knee_multicoil", ["--on", "local"], "--seeds trains here, one seed after the other; `mrikit sweep` trains"),
    ],
)
def test_what_does_not_go_with_seeds_is_one_line(tmp_path, task, more, message):
    command = ["train", "--task", task, "--data", str(tmp_path), "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(app, [*command, "--seeds", "2", *more])
    assert isinstance(done.exception, ConfigError)
    assert message in str(done.exception)


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="in one process, found 2; `mrikit sweep`"):
        seed_configs("knee_multicoil", "tiny", None, [], {}, 2)


def test_a_folder_with_one_run_takes_no_seeds(study, tmp_path):
    write_run(tmp_path / "run", [train_row(1)])
    done = invoke(study, tmp_path / "run", "--seeds", 2)
    assert str(done.exception) == f"{tmp_path}/run holds one run, and --seeds trains several; choose another --out"


def test_one_seed_is_a_usage_error(study, tmp_path):
    assert invoke(study, tmp_path / "run", "--seeds", 1).exit_code == 2


def test_weights_elsewhere_are_pulled_with_what_says_which_seed_is_chosen():
    names = [f"seed-{seed}/{name}" for seed in (0, 1) for name in ("weights.safetensors", "metrics.jsonl")]
    assert weights_of([*names, "seeds.json"]) == {"seeds.json", names[0], names[2]}


def test_a_split_seed_below_none_is_refused():
    with pytest.raises(ConfigError, match=r"data.split_seed is 0 or more, or -1 for training.seed, found -2"):
        change_config(CONFIG, {"data.split_seed": -2}, "test")
