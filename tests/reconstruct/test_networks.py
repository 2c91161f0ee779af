"""Networks with weights, from a file to the reconstruction of a folder."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import relative_error
from phantoms import make_volume

from mrikit.checkpoint import save_weights
from mrikit.data import MaskPlan, center_crop, choose_mask, make_example
from mrikit.errors import CheckpointError, ConfigError
from mrikit.evaluate import label_reconstructions
from mrikit.models import build_model, model_settings
from mrikit.physics.fft import fft2c, ifft2c
from mrikit.reconstruct import ReconstructConfig, build_method, reconstruct_folder
from mrikit.volumes import open_volume, write_fastmri
from mrikit.volumes.reconstruction import read_reconstruction

PLAN = MaskPlan(kind="equispaced", acceleration=4, center_fraction=0.2)
SETTINGS = {
    "varnet": {"num_cascades": 2, "num_channels": 4, "num_pools": 2, "num_sens_channels": 2, "num_sens_pools": 2},
    "unet": {"num_channels": 4, "num_pools": 2},
}
PROMPTMR = {
    "num_cascades": 1,
    "num_adjacent": 3,
    "stem_width": 4,
    "feature_widths": (4, 4, 4),
    "prompt_widths": (2, 2, 2),
    "sens_stem_width": 0,
    "prompt_sizes": (4, 4, 4),
}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    write_fastmri(folder / "file1000001.h5", make_volume())
    return folder


def build(name, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model(name, SETTINGS[name]).eval()


def save(path, name="varnet", seed=0, **record):
    model = build(name, seed)
    return save_weights(path, name, model_settings(model), model.state_dict(), record)


def config_of(path, **settings):
    return ReconstructConfig(**({"weights": path, "mask": PLAN} | settings))


@torch.inference_mode()
def by_hand(model, path):
    """(slice, y, x) what a model makes of a volume, without the folder machinery."""
    volume = open_volume(path)
    mask = choose_mask(volume, PLAN)
    example = make_example(volume, (0, 1), mask)
    return center_crop(model(example.masked_kspace, example.mask, example.num_center_lines), example.crop)


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_folder_is_reconstructed_as_the_network_does_it(data, tmp_path, name):
    digest = save(tmp_path / "run" / "weights.safetensors", name)
    out = tmp_path / "out"
    reconstruct_folder(data, out, config_of(tmp_path / "run"))
    result = read_reconstruction(out / "file1000001.h5")
    assert relative_error(torch.from_numpy(result.image), by_hand(build(name), data / "file1000001.h5")) < 1e-5
    assert relative_error(torch.from_numpy(result.image), by_hand(build(name, 1), data / "file1000001.h5")) > 1e-3
    assert (result.model, result.weights_sha256) == (name, digest)
    expected = {
        "model": name,
        "model_config": model_settings(build(name)),
        "weights": str(tmp_path / "run" / "weights.safetensors"),
        "weights_sha256": digest,
        "precision": "fp32",
    }
    assert result.config.items() >= expected.items()
    assert json.loads((out / "reconstruct.json").read_text()).items() >= expected.items()


@torch.inference_mode()
def test_a_network_of_adjacent_slices_gets_them_and_the_readout_that_it_was_trained_with(tmp_path):
    write_fastmri(tmp_path / "data" / "file1.h5", make_volume(num_slices=4, num_coils=2))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model("promptmr", PROMPTMR).eval()
    path = tmp_path / "w.safetensors"
    save_weights(path, "promptmr", model_settings(model), model.state_dict(), {"max_readout": 48})
    reconstruct_folder(tmp_path / "data", tmp_path / "out", config_of(path))
    image = torch.from_numpy(read_reconstruction(tmp_path / "out" / "file1.h5").image)
    volume = open_volume(tmp_path / "data" / "file1.h5")
    mask = choose_mask(volume, PLAN)
    masked = torch.stack([torch.from_numpy(one) for one in volume.kspace]) * torch.from_numpy(mask.samples)
    # The 40 scored rows lie in the middle of 64 and of 48.
    cropped = fft2c(ifft2c(masked)[..., 8:56, :]) * torch.from_numpy(mask.samples) + 0.0
    kspace = torch.stack([cropped[[0, 0, 1]], cropped[[0, 1, 2]], cropped[[1, 2, 3]], cropped[[2, 3, 3]]])
    lines = torch.from_numpy(mask.samples).expand(4, 1, 1, 1, -1)
    expected = center_crop(model(kspace, lines, torch.full((4,), mask.num_center_lines)), (40, 44))
    assert relative_error(image, expected) < 1e-4


def test_a_classical_method_carries_no_weights(data, tmp_path):
    reconstruct_folder(data, tmp_path / "out", ReconstructConfig(model="zero_filled"))
    result = read_reconstruction(tmp_path / "out" / "file1000001.h5")
    assert result.weights_sha256 is None
    assert result.config.keys() == {"version", "model", "model_config", "mask", "flips", "transposed", "dither"}


def test_other_weights_are_not_mixed_into_a_folder(data, tmp_path):
    first, second = (save(tmp_path / f"{seed}.safetensors", seed=seed) for seed in (0, 1))
    reconstruct_folder(data, tmp_path / "out", config_of(tmp_path / "0.safetensors"))
    with pytest.raises(ConfigError, match=rf"with weights_sha256 {first}, asked for {second}; choose another --out$"):
        reconstruct_folder(data, tmp_path / "out", config_of(tmp_path / "1.safetensors"))


def test_the_same_weights_from_another_place_go_on(data, tmp_path):
    for name in ("a", "b"):
        save(tmp_path / f"{name}.safetensors")
    reconstruct_folder(data, tmp_path / "out", config_of(tmp_path / "a.safetensors"))
    assert reconstruct_folder(data, tmp_path / "out", config_of(tmp_path / "b.safetensors")).num_skipped == 1


def test_another_precision_is_not_mixed_into_a_folder(data, tmp_path):
    save(tmp_path / "w.safetensors")
    reconstruct_folder(data, tmp_path / "out", config_of(tmp_path / "w.safetensors"))
    with pytest.raises(ConfigError, match="with precision fp32, asked for bf16; choose another --out"):
        reconstruct_folder(data, tmp_path / "out", config_of(tmp_path / "w.safetensors", precision="bf16"))


def test_two_runs_of_one_network_are_told_apart_by_weights_and_precision(data, tmp_path):
    digests = [save(tmp_path / f"{seed}.safetensors", seed=seed) for seed in (0, 1)]
    runs = {"a": (0, "fp32"), "b": (1, "fp32"), "c": (1, "bf16")}
    for out, (seed, precision) in runs.items():
        reconstruct_folder(data, tmp_path / out, config_of(tmp_path / f"{seed}.safetensors", precision=precision))
    members = [read_reconstruction(tmp_path / out / "file1000001.h5") for out in runs]
    first, second = (digest[:8] for digest in digests)
    assert label_reconstructions(members[:1]) == ["varnet"]
    assert label_reconstructions(members[:2]) == [f"varnet weights={first}", f"varnet weights={second}"]
    assert label_reconstructions(members[1:]) == ["varnet precision=fp32", "varnet precision=bf16"]


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_bfloat16_rounds_the_network_a_little_and_nothing_else(data, tmp_path, name):
    save(tmp_path / "w.safetensors", name)
    results = {}
    for precision in ("fp32", "bf16"):
        reconstruct_folder(data, tmp_path / precision, config_of(tmp_path / "w.safetensors", precision=precision))
        results[precision] = read_reconstruction(tmp_path / precision / "file1000001.h5")
    exact, rounded = (torch.from_numpy(results[precision].image) for precision in ("fp32", "bf16"))
    assert results["bf16"].image.dtype == np.float32
    assert 1e-6 < relative_error(rounded, exact) < 0.02
    assert (results["bf16"].zero_filled == results["fp32"].zero_filled).all()


def test_a_unet_of_single_coil_images_reconstructs_several_coils(tmp_path):
    """It sees the root sum of squares, of one coil or of many."""
    save(tmp_path / "w.safetensors", "unet", task="knee_singlecoil")
    for num_coils in (1, 6):
        data = tmp_path / f"data{num_coils}"
        write_fastmri(data / "file1000001.h5", make_volume(num_coils=num_coils))
        reconstruct_folder(data, tmp_path / f"out{num_coils}", config_of(tmp_path / "w.safetensors"))
        image = read_reconstruction(tmp_path / f"out{num_coils}" / "file1000001.h5").image
        assert relative_error(torch.from_numpy(image), by_hand(build("unet"), data / "file1000001.h5")) < 1e-5


@pytest.mark.parametrize(
    ("plan", "record", "num_full"), [(None, {"masks": [{}]}, 1), (None, {}, 0), (PLAN, {"masks": [{}]}, 0)]
)
def test_full_volumes_are_counted_where_the_network_expects_undersampled_ones(data, tmp_path, plan, record, num_full):
    save(tmp_path / "w.safetensors", **record)
    config = config_of(tmp_path / "w.safetensors", mask=plan)
    assert reconstruct_folder(data, tmp_path / "out", config).num_full == num_full


def test_volumes_that_keep_their_own_mask_do_not_count_as_full(tmp_path):
    lines = np.zeros(60, bool)
    lines[::3] = lines[20:40] = True
    write_fastmri(tmp_path / "data" / "file1000001.h5", make_volume(mask=lines))
    save(tmp_path / "w.safetensors", masks=[{}])
    config = config_of(tmp_path / "w.safetensors", mask=None)
    assert reconstruct_folder(tmp_path / "data", tmp_path / "out", config).num_full == 0


def test_a_model_may_be_named_beside_its_weights_if_they_agree(tmp_path):
    save(tmp_path / "w.safetensors")
    assert build_method(config_of(tmp_path / "w.safetensors", model="varnet")).name == "varnet"
    for name in ("unet", "cg_sense"):
        with pytest.raises(
            ConfigError, match=rf"w.safetensors holds weights of varnet, not of {name}; leave out --model"
        ):
            build_method(config_of(tmp_path / "w.safetensors", model=name))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "a network needs --weights of a training run; without: zero_filled, grappa, cg_sense, l1_wavelet, spirit"),
        ({"model": "cg_sense", "precision": "bf16"}, "cg_sense computes in fp32 only; bf16 is for networks"),
        ({"model": "cg_sense", "precision": "fp16"}, "the precision is fp32 or bf16, found 'fp16'"),
    ],
)
def test_a_method_that_cannot_be_is_one_clear_line(settings, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        build_method(ReconstructConfig(**settings))


def test_the_settings_of_a_network_cannot_be_changed(tmp_path):
    save(tmp_path / "w.safetensors")
    with pytest.raises(
        ConfigError, match="the settings of varnet are those of its weights; leave out --set for num_pools"
    ):
        build_method(config_of(tmp_path / "w.safetensors", model_config={"num_pools": "3"}))


def test_weights_that_do_not_fit_leave_no_folder(data, tmp_path):
    model = build("varnet")
    settings = model_settings(model) | {"num_cascades": 3}
    save_weights(tmp_path / "w.safetensors", "varnet", settings, model.state_dict(), {})
    with pytest.raises(CheckpointError, match="weights for another architecture than varnet"):
        reconstruct_folder(data, tmp_path / "out", config_of(tmp_path / "w.safetensors"))
    assert not (tmp_path / "out").exists()


def test_the_start_is_announced_once_with_model_and_number_of_volumes(data, tmp_path):
    write_fastmri(data / "file1000002.h5", make_volume(volume_id="file1000002"))
    save(tmp_path / "w.safetensors")
    said = []
    config = config_of(tmp_path / "w.safetensors")
    reconstruct_folder(
        data,
        tmp_path / "out",
        config,
        on_start=lambda name, work: said.append((name, work.num_volumes, work.num_slices)),
    )
    assert said == [("varnet", 2, 4)]


def test_the_kind_of_mask_can_change_only_with_the_folder(data, tmp_path):
    save(tmp_path / "w.safetensors")
    config = config_of(tmp_path / "w.safetensors")
    reconstruct_folder(data, tmp_path / "out", config)
    with pytest.raises(ConfigError, match="is for reconstructions with mask"):
        reconstruct_folder(data, tmp_path / "out", replace(config, mask=replace(PLAN, acceleration=8)))
