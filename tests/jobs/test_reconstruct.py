import dataclasses
import json

import numpy as np
import pytest
from opened_files import counted_openings
from phantoms import make_volume
from typer.testing import CliRunner

from mrikit.checkpoint import save_weights
from mrikit.commands.app import app
from mrikit.errors import ConfigError, DataError
from mrikit.models import build_model, model_settings
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from mrikit.volumes import open_volume, write_fastmri
from mrikit.volumes.reconstruction import read_reconstruction


@pytest.fixture
def run(tmp_path):
    write_fastmri(tmp_path / "data" / "file1000001.h5", make_volume())

    def invoke(*arguments):
        words = ["reconstruct", "--data", tmp_path / "data", "--out", tmp_path / "out", *arguments]
        return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)

    return invoke


def read_reference(tmp_path):
    return np.asarray(open_volume(tmp_path / "data" / "file1000001.h5").reference)


def settings_of(tmp_path):
    return json.loads((tmp_path / "out" / "reconstruct.json").read_text())


def test_it_says_what_was_done_where_and_what_comes_next(run, tmp_path):
    done = run("--acceleration", 4)
    assert done.exit_code == 0
    first, following = done.stdout.splitlines()
    assert first.startswith("cg_sense: 1 volumes, 2 slices, ")
    assert first.endswith(f" slices/s; 0 were done before; in {tmp_path / 'out'}")
    assert following == f"next: mrikit evaluate --recon {tmp_path / 'out'}"
    assert "cg_sense: 1 volumes of" in done.stderr


def test_without_an_acceleration_volumes_stay_as_they_are(run, tmp_path):
    run("--model", "zero_filled")
    assert settings_of(tmp_path)["mask"] is None
    assert read_reconstruction(tmp_path / "out" / "file1000001.h5").mask.kind == "full"


@pytest.mark.parametrize(
    ("words", "plan"),
    [
        (["--acceleration", 4], {"kind": "equispaced_fraction", "acceleration": 4.0, "center_fraction": 0.08}),
        (["--acceleration", 8], {"kind": "equispaced_fraction", "acceleration": 8.0, "center_fraction": 0.04}),
        (
            ["--acceleration", 3, "--mask", "random", "--center-fraction", 0.2],
            {"kind": "random", "acceleration": 3.0, "center_fraction": 0.2},
        ),
        (
            ["--acceleration", 4, "--mask", "variable_density", "--set", "mask.power=3"],
            {
                "kind": "variable_density",
                "acceleration": 4.0,
                "center_fraction": 0.08,
                "settings": {"power": 3.0},
            },
        ),
    ],
)
def test_the_mask_is_as_asked_for(run, tmp_path, words, plan):
    run("--model", "zero_filled", *words)
    assert settings_of(tmp_path)["mask"] == plan


@pytest.mark.parametrize("model", ["zero_filled", "cg_sense", "l1_wavelet", "spirit"])
def test_a_pattern_is_reconstructed_by_classical_methods(run, tmp_path, model):
    words = ["--acceleration", 3, "--mask", "poisson_disc", "--set", "mask.center=16,16"]
    assert run("--model", model, *words).exit_code == 0
    found = read_reconstruction(tmp_path / "out" / "file1000001.h5")
    assert (found.mask.center, found.mask.num_center_lines) == ((16, 16), 16)
    assert found.mask.samples.ndim == 2
    assert found.mask.true_acceleration == pytest.approx(3, rel=1e-3)
    truth = read_reference(tmp_path)
    error = [np.linalg.norm(image - truth) for image in (found.image, found.zero_filled)]
    assert error[0] < 0.8 * error[1] if model != "zero_filled" else error[0] == error[1]


def test_grappa_refuses_a_pattern(run):
    with pytest.raises(DataError, match="GRAPPA needs a mask of whole phase lines"):
        run("--model", "grappa", "--acceleration", 3, "--mask", "poisson_disc")


def test_a_mask_file_says_its_own_acceleration(run, tmp_path):
    np.save(tmp_path / "mask.npy", np.isin(np.arange(60), range(0, 60, 5)) | (abs(np.arange(60) - 30) < 5))
    run("--model", "cg_sense", "--mask", tmp_path / "mask.npy")
    mask = read_reconstruction(tmp_path / "out" / "file1000001.h5").mask
    assert (mask.kind, mask.acceleration, mask.num_center_lines) == (str(tmp_path / "mask.npy"), 5, 11)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mask", "random"], "--mask and --center-fraction say how to undersample; give --acceleration too"),
        (["--center-fraction", 0.1], "--mask and --center-fraction say how to undersample; give --acceleration too"),
        (["--acceleration", 0], "an acceleration is a number from 1, found 0"),
        (["--acceleration", 4, "--mask", "foo"], "no mask is called 'foo'"),
        (["--mask", "foo.npy"], "foo.npy: not a mask file"),
        (
            ["--acceleration", 4, "--mask", "poisson_disc", "--set", "mask.centre=8,8"],
            "the poisson_disc mask has no setting 'centre'; did you mean 'center'?",
        ),
    ],
)
def test_a_wrong_mask_is_one_clear_line_and_leaves_no_folder(run, tmp_path, words, message):
    with pytest.raises((ConfigError, DataError)) as caught:
        run(*words)
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "out").exists()


def test_settings_of_the_model_are_used_and_saved(run, tmp_path):
    run(
        "--model",
        "cg_sense",
        "--acceleration",
        3,
        "--center-fraction",
        0.3,
        "--set",
        "num_iterations=3",
        "--set",
        "damping=0.1",
    )
    assert settings_of(tmp_path)["model_config"] == {"num_iterations": 3, "damping": 0.1}
    assert read_reconstruction(tmp_path / "out" / "file1000001.h5").config["model_config"]["num_iterations"] == 3


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["num_iterations=30", "kernel=3", "damping=1e-4"], {"num_iterations": 30, "kernel": 3, "damping": 1e-4}),
        (["solver=pocs", "threshold=2e-3"], {"solver": "pocs", "threshold": 2e-3}),
    ],
)
def test_spirit_undoes_undersampling_with_settings_of_its_own(run, tmp_path, words, expected):
    options = [word for setting in words for word in ("--set", setting)]
    run("--model", "spirit", "--acceleration", 2, "--center-fraction", 0.2, *options)
    assert expected.items() <= settings_of(tmp_path)["model_config"].items()
    found, truth = read_reconstruction(tmp_path / "out" / "file1000001.h5"), read_reference(tmp_path)
    assert np.linalg.norm(found.image - truth) < 0.5 * np.linalg.norm(found.zero_filled - truth)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "solver=cgs"], "spirit.solver is cg or pocs, found 'cgs'"),
        (["--set", "threshold=1e-3"], "spirit has a threshold with solver=pocs alone, found solver=cg"),
        (["--set", "iterations=3"], "spirit has no setting 'iterations'; did you mean 'num_iterations'?"),
    ],
)
def test_a_wrong_setting_of_spirit_is_one_clear_line(run, tmp_path, words, message):
    with pytest.raises(ConfigError) as caught:
        run("--model", "spirit", "--acceleration", 3, *words)
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "out").exists()


def test_spirit_names_a_centre_too_small_for_its_kernels(run):
    with pytest.raises(DataError, match=r"spirit cannot fit kernels of 6 coils; found 2 centre lines; more centre"):
        run("--model", "spirit", "--acceleration", 3, "--center-fraction", 0.03)


def test_a_device_that_is_not_there_is_one_clear_line(run):
    with pytest.raises(ConfigError, match=r"cannot compute on 'cuda:77': .*; try --device cpu") as caught:
        run("--device", "cuda:77")
    assert "\n" not in str(caught.value)


def test_the_cpu_can_be_asked_for(run):
    assert run("--device", "cpu", "--model", "zero_filled").exit_code == 0


def test_volumes_with_their_own_mask_are_counted(run, tmp_path):
    lines = make_volume().kspace[0, 0, 0] != 0
    lines[1::2] = False
    lines[25:35] = True
    write_fastmri(tmp_path / "data" / "file1000002.h5", make_volume(volume_id="file1000002", mask=lines))
    done = run("--model", "zero_filled", "--acceleration", 4)
    assert "1 volumes were acquired undersampled and kept their own mask" in done.stderr


@pytest.fixture
def weights(tmp_path):
    model = build_model("unet", {"num_channels": 2, "num_pools": 1})
    path = tmp_path / "run" / "weights.safetensors"
    save_weights(path, "unet", model_settings(model), model.state_dict(), {"masks": [{"acceleration": 4.0}]})
    return path


@pytest.mark.parametrize("is_run", [False, True], ids=["a file", "a run"])
def test_a_network_comes_from_its_weights(run, tmp_path, weights, is_run):
    done = run("--weights", weights.parent if is_run else weights, "--acceleration", 4)
    assert done.stdout.startswith("unet: 1 volumes, 2 slices, ")
    assert done.stderr == f"unet: 1 volumes of {tmp_path / 'data'} to {tmp_path / 'out'}\n"
    assert settings_of(tmp_path)["model_config"]["num_channels"] == 2
    assert settings_of(tmp_path)["precision"] == "fp32"


def test_a_network_computes_in_the_precision_asked_for(run, tmp_path, weights):
    run("--weights", weights, "--acceleration", 4, "--precision", "bf16")
    assert settings_of(tmp_path)["precision"] == "bf16"


def test_a_network_on_full_volumes_is_warned_of_once(run, weights):
    done = run("--weights", weights)
    (warning,) = done.stderr.splitlines()[1:]
    assert warning.startswith("warning: 1 volumes are fully sampled and stayed so, but unet was trained on ")
    assert warning.endswith("; give --acceleration")


def test_a_model_that_is_not_that_of_the_weights_is_one_clear_line(run, weights):
    with pytest.raises(ConfigError, match="holds weights of unet, not of cg_sense; leave out --model"):
        run("--weights", weights, "--model", "cg_sense")


def test_the_command_opens_a_volume_once_to_look_into_it_and_once_to_read_it(run, tmp_path):
    with counted_openings(tmp_path / "data") as opened:
        run("--model", "zero_filled")
    assert opened.as_hdf5 == opened.for_bytes == {"file1000001.h5": 1}


def test_several_weights_are_routed_and_what_suits_none_is_told_at_once(run, tmp_path):
    model = build_model("unet", {"num_channels": 2, "num_pools": 1})
    for task in ("knee_acc4", "brain_acc4"):
        record = {"task": task, "anatomy": task.partition("_")[0], "masks": [{"acceleration": 4.0}]}
        path = tmp_path / "runs" / task / "weights.safetensors"
        save_weights(path, "unet", model_settings(model), model.state_dict(), record)
    words = ["--task", "auto", "--weights", tmp_path / "runs" / "knee_acc4", "--weights", tmp_path / "runs"]
    done = run(*words, "--acceleration", 4)
    assert done.stderr.startswith("unet (2 weights): 1 volumes of ")
    assert (
        read_reconstruction(tmp_path / "out" / "file1000001.h5")
        .config["weights"]
        .endswith("knee_acc4/weights.safetensors")
    )
    volume = make_volume(volume_id="brain_1")
    write_fastmri(tmp_path / "data" / "brain_1.h5", volume)
    result = CliRunner().invoke(
        app, ["reconstruct", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out2"), *map(str, words)]
    )
    assert isinstance(result.exception, DataError)
    first, *rest = result.stderr.splitlines()[1:]
    assert first.startswith("passed over: ")
    assert "brain_1.h5: the name says brain and the header knee" in first
    assert len(rest) == 1


def test_what_was_done_is_said_although_a_volume_is_passed_over(tmp_path):
    write_fastmri(tmp_path / "data" / "file1000001.h5", make_volume())
    words = ["reconstruct", "--data", tmp_path / "data", "--out", tmp_path / "out", "--model", "zero_filled"]
    (tmp_path / "data" / "file1000002.h5").write_bytes(b"damaged")
    done = CliRunner().invoke(app, list(map(str, words)))
    assert isinstance(done.exception, DataError)
    summary, following = done.stdout.splitlines()
    assert summary.startswith("zero_filled: 1 volumes, 2 slices, ")
    assert summary.endswith(f" slices/s; 0 were done before, 1 were passed over; in {tmp_path / 'out'}")
    assert following == f"next: mrikit evaluate --recon {tmp_path / 'out'}"
    for path in (tmp_path / "data" / "file1000001.h5", tmp_path / "out" / "file1000001.h5"):
        path.unlink()
    nothing = CliRunner().invoke(app, list(map(str, words)))
    assert isinstance(nothing.exception, DataError)
    assert nothing.stdout == (
        f"zero_filled: 0 volumes, 0 slices; 0 were done before, 1 were passed over; in {tmp_path / 'out'}\n"
    )


def test_one_slice_without_neighbours_is_told(run, tmp_path, monkeypatch):
    monkeypatch.setattr("mrikit.reconstruct.method.Method.num_adjacent", property(lambda _method: 3))
    monkeypatch.setattr("mrikit.models.unet.UnetModel.forward", lambda _model, kspace, *_: rss(ifft2c(kspace[:, 1])))
    model = build_model("unet", {"num_channels": 2, "num_pools": 1})
    save_weights(tmp_path / "w.safetensors", "unet", model_settings(model), model.state_dict(), {})
    write_fastmri(tmp_path / "data" / "file1000002.h5", make_volume(num_slices=1, volume_id="file1000002"))
    (warning,) = run("--weights", tmp_path / "w.safetensors").stderr.splitlines()[1:]
    assert warning == "warning: 1 volumes have one slice; its neighbours are the slice itself"


def test_dithering_is_asked_for_and_recorded(run, tmp_path):
    run("--model", "zero_filled", "--dither", 0.015)
    assert settings_of(tmp_path)["dither"] == 0.015
    assert run("--model", "zero_filled", "--dither", 0.015).exit_code == 0
    with pytest.raises(ConfigError, match=r"for reconstructions with dither 0.015, asked for 0.0"):
        run("--model", "zero_filled")


def test_more_noise_than_the_image_is_refused(run):
    with pytest.raises(ConfigError, match=r"--dither is from 0 for none to 1, found 2; 0\.015 is published"):
        run("--model", "zero_filled", "--dither", 2)


def test_flips_are_asked_for_and_recorded(run, tmp_path):
    run("--model", "zero_filled", "--flips")
    assert settings_of(tmp_path)["flips"] is True


def test_volumes_that_were_trained_on_are_warned_of_and_left_out_on_request(run, tmp_path):
    model = build_model("unet", {"num_channels": 2, "num_pools": 1})
    path = tmp_path / "w.safetensors"
    save_weights(path, "unet", model_settings(model), model.state_dict(), {"trained_on": ["file1000001"]})
    for number, patient in ((2, "p2"), (3, "p1")):  # file1000001 is of p1
        volume = make_volume(volume_id=f"file100000{number}")
        info = dataclasses.replace(volume.info, patient_id=patient)
        write_fastmri(tmp_path / "data" / f"file100000{number}.h5", dataclasses.replace(volume, info=info))
    held_out = run("--weights", path, "--held-out")
    assert held_out.stderr.splitlines()[1:] == [
        "left out: 1 of 3 volumes is among those trained on, such as file1000001",
        "left out: 1 of 3 volumes is of patients that were trained on, such as file1000003",
    ]
    assert held_out.stdout.startswith("unet: 1 volumes, 2 slices, ")
    (warning,) = run("--weights", path).stderr.splitlines()[1:]
    assert warning == (
        "warning: 1 of 3 volumes were trained on; their scores say nothing of new ones; --held-out leaves them out"
    )
    made = {name: read_reconstruction(tmp_path / "out" / f"{name}.h5") for name in ("file1000001", "file1000002")}
    assert {name: one.config.get("is_trained_on") for name, one in made.items()} == {
        "file1000001": True,
        "file1000002": None,
    }


def test_a_part_of_the_volumes_is_done_and_named(run, tmp_path):
    write_fastmri(tmp_path / "data" / "file1000002.h5", make_volume(volume_id="file1000002"))
    done = run("--model", "zero_filled", "--shard", "2/2")
    assert done.stdout.startswith("zero_filled (part 2/2): 1 volumes, 2 slices, ")
    assert [path.name for path in (tmp_path / "out").glob("*.h5")] == ["file1000002.h5"]


def test_the_part_that_is_asked_for_counts_more_than_the_launchers(run, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "3")
    first = run("--model", "zero_filled").stderr
    assert first.startswith("zero_filled: 1 volumes of ")
    assert first.endswith(" (part 1/3)\n")
    second = run("--model", "zero_filled", "--shard", "2/2").stderr
    assert second.startswith("zero_filled: 0 volumes of ")
    assert second.endswith(" (part 2/2)\n")


def test_whitening_is_asked_for(run):
    with pytest.raises(DataError, match="no noise scan in the file"):
        run("--model", "zero_filled", "--whiten")


def test_the_time_of_each_slice_alone_is_kept_on_request(run, tmp_path):
    assert run("--model", "zero_filled", "--timed").exit_code == 0
    assert settings_of(tmp_path)["timed"] is True
    timing = read_reconstruction(tmp_path / "out" / "file1000001.h5").timing
    assert (timing.num_slices, timing.total_seconds > 0) == (0, True)  # the first five do not count


def test_time_memory_and_device_are_recorded(run, tmp_path):
    run("--model", "zero_filled")
    found = settings_of(tmp_path)
    assert found["num_slices"] == 2
    assert found["seconds_per_slice"] == pytest.approx(found["seconds"] / 2, abs=1e-3)
    assert found["peak_memory_bytes"] > 2**20
    assert (found["memory_of"], bool(found["device"])) == ("process", True)


def test_a_table_of_patients_without_held_out_is_refused(tmp_path):
    words = ["reconstruct", "--data", tmp_path, "--out", tmp_path / "out", "--patients", tmp_path / "p.csv"]
    refused = CliRunner().invoke(app, list(map(str, words)))
    assert str(refused.exception) == "--patients says whose volumes --held-out leaves out; give that too"
