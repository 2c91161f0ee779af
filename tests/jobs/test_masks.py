import json

import matplotlib.image
import numpy as np
import pytest
from phantoms import make_volume
from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.errors import ConfigError, DataError
from mrikit.masks import MASK_KINDS
from mrikit.volumes import write_fastmri


def run(*words):
    return CliRunner().invoke(app, ["masks", *map(str, words)], catch_exceptions=False)


def test_every_kind_is_listed_in_a_line_with_its_settings():
    lines = {line.split()[0]: line for line in run("list").stdout.splitlines()}
    assert list(lines) == list(MASK_KINDS)
    assert lines["poisson_disc"].endswith("(center=(share), has_corners=false)")
    assert lines["random_tile"].endswith("(acs=none, center=(auto), is_whole=false, seed=0, tile=4,4)")
    settings = {row["kind"]: row["settings"] for row in json.loads(run("list", "--json").stdout)}
    assert settings["variable_density_2d"] == {"power": 2.0, "center": []}


@pytest.mark.parametrize("suffix", [".npy", ".cfl"])
def test_a_mask_is_made_and_shown_from_its_file(tmp_path, suffix):
    file = tmp_path / f"mask{suffix}"
    words = ["--kind", "variable_density_2d", "--shape", "48x40", "--acceleration", 5, "--center", "8x6"]
    made = json.loads(run("make", *words, "--set", "power=3", "--seed", 2, "--out", file, "--json").stdout)
    assert (made["num_samples"], made["center"], made["num_center_samples"]) == (384, [8, 6], 48)
    shown = json.loads(run("show", file, "--out", tmp_path / "mask.png", "--json").stdout)
    assert shown["largest_side_lobe"] == made["largest_side_lobe"]
    assert (shown["shape"], shown["true_acceleration"]) == ([48, 40], 5)


def test_the_same_seed_makes_the_same_file(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run("make", "--kind", "variable_density", "--seed", seed, "--out", tmp_path / f"{name}.json")
    one, same, other = ((tmp_path / f"{name}.json").read_text() for name in "abc")
    assert one == same != other


def test_a_mask_of_an_episode_is_made_and_shown(tmp_path):
    words = ["--shape", "48x40", "--set", "num_given=4", "--set", "budget=8", "--set", "families=low_to_high", "--json"]
    made = json.loads(run("make", "--kind", "episode", *words, "--out", tmp_path / "a.json").stdout)
    assert 4 <= made["num_samples"] <= 12
    assert made["num_center_samples"] == made["num_samples"] == len(json.loads((tmp_path / "a.json").read_text()))
    shown = json.loads(run("show", "episode", *words, "--out", tmp_path / "a.png").stdout)
    assert (shown["true_acceleration"], shown["acceleration"]) == (40 / made["num_samples"], 4)


@pytest.mark.parametrize(("center", "columns"), [("0.1", 37), ("30", 30)])
def test_a_center_is_a_share_or_a_number_of_lines(tmp_path, center, columns):
    made = run("make", "--kind", "variable_density", "--center", center, "--out", tmp_path / "a.npy", "--json")
    assert json.loads(made.stdout)["num_center_samples"] == columns
    assert np.load(tmp_path / "a.npy").sum() == 92


@pytest.mark.parametrize(
    ("kind", "center", "expected"),
    [("uniform", "9", [48, 9]), ("uniform_2d", "9", [9, 9]), ("caipirinha", "0.25", [12, 10])],
)
def test_the_center_of_a_regular_pattern_is_its_acs(tmp_path, kind, center, expected):
    acs = "column" if kind == "uniform" else "square"
    words = ["--kind", kind, "--shape", "48x40", "--center", center, "--set", f"acs={acs}"]
    made = json.loads(run("make", *words, "--out", tmp_path / "a.npy", "--json").stdout)
    assert made["center"] == expected
    assert made["true_acceleration"] == 4


def test_a_regular_pattern_folds_and_says_so(tmp_path):
    words = ["caipirinha", "--shape", "48x40", "--acceleration", 8, "--out", tmp_path / "a.png"]
    shown = json.loads(run("show", *words, "--json").stdout)
    assert shown["largest_side_lobe"] == pytest.approx(1)
    assert shown["side_lobe_energy"] == pytest.approx(7 / 8)
    assert "largest side lobe 1.000, energy of side lobes 0.875" in run("show", *words).stdout


def test_the_true_number_is_said_where_a_kind_adds_its_center(tmp_path):
    said = run("make", "--kind", "equispaced", "--out", tmp_path / "a.npy").stdout
    assert "114 lines, acceleration 3.228 (nominal 4), centre 29 lines, largest side lobe 0." in said


@pytest.mark.parametrize("kind", ["poisson_disc", "equispaced"])
def test_the_picture_shows_something(tmp_path, kind):
    run("show", kind, "--shape", "64x48", "--out", tmp_path / "a.png")
    picture = matplotlib.image.imread(tmp_path / "a.png")
    assert picture.shape[1] > 1000
    assert picture[..., :3].std() > 0.1


def test_the_mask_of_a_volume_is_shown(tmp_path):
    lines = np.arange(60) % 4 == 0
    write_fastmri(tmp_path / "a.h5", make_volume(mask=lines))
    shown = json.loads(run("show", tmp_path / "a.h5", "--out", tmp_path / "a.png", "--json").stdout)
    assert (shown["kind"], shown["num_samples"], shown["acceleration"]) == ("stored", 15, 4)
    write_fastmri(tmp_path / "full.h5", make_volume())
    with pytest.raises(DataError, match=r"full.h5: fully sampled, and stores no mask; name an undersampled volume"):
        run("show", tmp_path / "full.h5", "--out", tmp_path / "a.png")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["make", "--kind", "spiral", "--out", "a.npy"], "no mask is called 'spiral'"),
        (
            ["make", "--kind", "random", "--set", "power=2", "--out", "a.npy"],
            "has no setting 'power'; it has num_center_lines",
        ),
        (["make", "--kind", "center", "--center", "200", "--out", "a.npy"], "the centre alone has 200 samples"),
        (["make", "--kind", "uniform_2d", "--center", "9", "--out", "a.npy"], "center=9,9 is of no ACS; acs=square or"),
        (["make", "--out", "a.txt"], "a mask file is .npy, .json, .cfl, found a.txt"),
        (["show", "fixed", "--out", "a.jpg"], "the picture is a .png file, found --out a.jpg"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        run(*words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["--shape", "640"], ["--center", "a few"]])
def test_a_size_that_is_none_is_wrong_usage(tmp_path, words):
    assert run("make", "--out", tmp_path / "a.npy", *words).exit_code == 2
