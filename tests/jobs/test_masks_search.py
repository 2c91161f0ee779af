"""`mrikit masks search` on a tiny simulated study."""

import json
import re
import shutil

import numpy as np
import pytest
from phantoms import make_volume
from typer.testing import CliRunner

from mrikit.commands import masks_search
from mrikit.commands.app import app
from mrikit.commands.masks_search import SearchConfig, open_problem
from mrikit.errors import ConfigError, DataError
from mrikit.simulate import StudyConfig, simulate_study
from mrikit.volumes import find_volumes, open_volume, write_fastmri

LINES = ["--acceleration", 4, "--center", 4, "--slices", 2]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    config = StudyConfig(
        anatomy="knee", folder=folder, num_volumes=4, num_coils=(3,), num_slices=1, layout="fastmri", matrix=(48, 40)
    )
    simulate_study(config, num_workers=1)
    return folder


def run(*words):
    return CliRunner().invoke(app, ["masks", "search", *map(str, words)], catch_exceptions=False)


def config(**change):
    given = {"kind": "lines", "acceleration": 4.0, "num_center_lines": 4, "model": "zero_filled"}
    numbers = {"num_slices": 2, "num_passes": 1, "num_candidates": 3, "seed": 0}
    return SearchConfig(**given | numbers | change)


def test_lines_are_found_that_err_less_and_any_command_takes_their_file(study, tmp_path):
    done = run("--data", study, *LINES, "--out", tmp_path / "a.json", "--json")
    facts = json.loads(done.stdout)
    assert facts["errors"][-1] < 0.95 * facts["errors"][0]
    assert (facts["num_samples"], facts["num_center_samples"], facts["true_acceleration"]) == (10, 4, 4)
    order = json.loads((tmp_path / "a.json").read_text())
    assert sorted(order[:4]) == [18, 19, 20, 21]
    assert len(set(order)) == 10
    words = ["masks", "show", tmp_path / "a.json", "--shape", "48x40", "--json", "--out", tmp_path / "a.png"]
    shown = CliRunner().invoke(app, list(map(str, words)))
    assert json.loads(shown.stdout)["num_samples"] == 10


def test_the_error_is_that_of_a_reconstruction_of_the_training_slices(study):
    problem = open_problem(config(num_slices=9), study)
    errors = []
    for file in sorted(find_volumes(study / "multicoil_train")):
        kspace = np.asarray(open_volume(file).kspace[0])

        def image(kspace):
            shifted = np.fft.ifft2(np.fft.ifftshift(kspace, (-2, -1)), norm="ortho")
            whole = np.sqrt((np.abs(np.fft.fftshift(shifted, (-2, -1))) ** 2).sum(0))
            rows, columns = open_volume(file).info.recon_matrix  # noqa: B023 - called at once
            rows, columns = min(rows, whole.shape[0]), min(columns, whole.shape[1])
            top, left = (whole.shape[0] - rows) // 2, (whole.shape[1] - columns) // 2
            return whole[top : top + rows, left : left + columns]

        full, masked = image(kspace), image(kspace * problem.starts[0])
        errors.append(np.sum((full - masked) ** 2) / np.sum(full**2))
    assert len(errors) == 2  # those to validate on have no part in it
    assert problem.error(problem.starts[0]) == pytest.approx(np.mean(errors), rel=1e-4)


def test_a_tile_is_found_with_a_center_inside_the_budget(study, tmp_path):
    words = ["--kind", "tile", "--acceleration", 4, "--center", 5, "--slices", 1, "--model", "cg_sense"]
    words += ["--set", "num_iterations=3", "--candidates", 4]
    facts = json.loads(run("--data", study, *words, "--out", tmp_path / "a.npy", "--json").stdout)
    assert facts["errors"][-1] <= facts["errors"][0]
    samples = np.load(tmp_path / "a.npy")
    assert samples.shape == (48, 40)
    assert samples.sum() == 480
    assert samples[22:27, 18:23].all()


def test_a_tile_is_found_by_what_kernels_predict(study, tmp_path):
    words = ["--kind", "tile", "--acceleration", 4, "--slices", 2, "--model", "prediction", "--set", "kernel=3"]
    facts = json.loads(run("--data", study, *words, "--candidates", 0, "--out", tmp_path / "a.npy", "--json").stdout)
    assert facts["errors"][-1] < facts["errors"][0] < 1
    problem = open_problem(config(kind="tile", num_center_lines=0, model="prediction", settings={"kernel": "3"}), study)
    clumps = np.zeros((4, 4), bool)
    clumps[:2, :2] = True
    assert facts["errors"][-1] < problem.error(clumps)


def test_more_starts_find_no_worse_a_tile(study):
    words = {"kind": "tile", "num_center_lines": 0, "model": "prediction", "settings": {"kernel": "3"}}
    found = []
    for num_starts in (1, 3):
        problem = open_problem(config(num_starts=num_starts, **words), study)
        found.append(masks_search.search(config(num_starts=num_starts, **words), problem, lambda _: None))
    assert len(problem.starts) == 3
    assert found[1].errors[-1] <= found[0].errors[-1]


def test_the_same_seed_finds_the_same_mask(study, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run("--data", study, *LINES, "--candidates", 2, "--seed", seed, "--out", tmp_path / f"{name}.npy")
    one, same, other = (np.load(tmp_path / f"{name}.npy") for name in "abc")
    assert (one == same).all()
    assert (one != other).any()


def test_what_it_takes_and_what_came_of_it_is_said(study, tmp_path):
    done = run("--data", study, *LINES, "--candidates", 2, "--out", tmp_path / "a.npy")
    assert "folders: train on multicoil_train (2 files)" in done.stderr
    assert "search: up to 12 masks, about " in done.stderr
    assert re.match(r"mean NMSE 0\.\d+ at the start, 0\.\d+ in the end\nstored, 48 x 40: 10 lines", done.stdout)


def test_a_dry_run_writes_nothing(study, tmp_path):
    done = run("--data", study, *LINES, "--out", tmp_path / "a.json", "--dry-run")
    assert "search: up to 48 masks" in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_interrupted_search_writes_nothing(study, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(masks_search, "coordinate_descent", interrupted)
    done = CliRunner().invoke(app, ["masks", "search", "--data", str(study), "--out", str(tmp_path / "a.npy")])
    assert done.exit_code == 130
    assert not list(tmp_path.iterdir())


def test_volumes_of_another_shape_are_left_out_and_counted(study, tmp_path):
    data = shutil.copytree(study, tmp_path / "data")
    write_fastmri(data / "multicoil_train" / "other.h5", make_volume(size=(48, 38), window=(24, 24)))
    problem = open_problem(config(), data)
    assert problem.notes[-1] == "1 of 3 volumes are left out: k-space of another shape"
    assert problem.starts[0].shape == (40,)


def test_a_slice_of_zeros_is_named(study, tmp_path):
    data = shutil.copytree(study, tmp_path / "data")
    shutil.rmtree(data / "multicoil_train")
    (data / "multicoil_train").mkdir()
    volume = make_volume(num_coils=3, size=(48, 40), window=(24, 24))
    empty = volume.replaced(kspace=volume.kspace * np.array([1, 0], np.complex64)[:, None, None, None])
    write_fastmri(data / "multicoil_train" / "a.h5", empty)
    with pytest.raises(DataError, match="a, slice 1: all of it is zero; leave the volume out"):
        open_problem(config(num_slices=4), data)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--center", 11], "the centre alone has 11 samples, but acceleration 4 allows 10 of 40; a smaller centre"),
        (["--center", 10], "nothing can move: the centre has all of 10 samples, or all there are; a smaller centre or"),
        (["--acceleration", 1], "nothing can move: the centre has all of 40 samples, or all there are"),
        (["--kind", "tile", "--center", 23], "the centre alone has 529 samples, but acceleration 4 allows 480 of 1920"),
        (["--kind", "ring"], "a search is for lines or tile, found 'ring'"),
        (["--kind", "tile"], "a.json: an order of lines cannot hold a 2-D pattern; .npy or .cfl would do"),
        (["--model", "varnet"], "a mask is sought with one of zero_filled, .*, found 'varnet'; a network that learns"),
        (["--model", "cg_sense", "--set", "steps=3"], "cg_sense has no setting 'steps'"),
        (["--model", "prediction", "--set", "kernel=4"], "prediction.kernel is odd rows and columns"),
        (["--acceleration", 0.5], "an acceleration is a number from 1, found 0.5"),
    ],
)
def test_bad_input_is_one_clear_line(study, tmp_path, words, message):
    with pytest.raises(ConfigError, match=message) as raised:
        run("--data", study, "--out", tmp_path / "a.json", *words)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_more_starts_than_can_be_drawn_are_wrong_usage(study, tmp_path):
    result = run("--data", study, "--out", tmp_path / "mask.npy", "--starts", 100_000_000)
    assert result.exit_code == 2
    assert "less than or equal to 1000" in result.output
