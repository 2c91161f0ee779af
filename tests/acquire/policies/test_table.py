"""Policies by name."""

import json
from dataclasses import replace

import pytest
import torch
from acquire.scans import SIZE, make_scans
from episodes import choose
from reconstruct.learned_weights import LINES, POINTS, sampler_of, save_learned

from mrikit.acquire.data import FullSlices
from mrikit.acquire.looking import full_scan
from mrikit.acquire.policies import FixedOrder, greedy_order
from mrikit.acquire.policies.table import POLICIES, PolicySetting, build_policy
from mrikit.acquire.reconstructors import as_reconstructor
from mrikit.config import build_config
from mrikit.errors import ConfigError
from mrikit.masks.kinds.center import center_block
from mrikit.volumes import write_fastmri

SETTING = PolicySetting(matrix=SIZE, num_given=6, budget=4)


def truth(reconstructor="zero_filled"):
    ready = as_reconstructor(reconstructor)
    slices = FullSlices(make_scans(), ready)
    return full_scan([slices.read(place) for place in range(len(slices))], ready)


def test_policies_without_settings_are_made_by_name():
    for name in ("random", "random_low_biased", "low_to_high", "equispaced"):
        assert 0 <= choose(build_policy(name, {}, SETTING), [[12, 13]], 28)[0] < 28


def test_a_setting_of_text_is_read():
    assert not build_policy("low_to_high", {"alternates_sides": "False"}, SETTING).alternates_sides


def test_a_wrong_name_or_setting_is_one_line():
    with pytest.raises(ConfigError, match="no policy is called 'foo'; there are random, "):
        build_policy("foo", {}, SETTING)
    with pytest.raises(ConfigError, match="policy oracle has no setting 'num_sample'; did you mean 'num_samples'"):
        build_policy("oracle", {"num_sample": 3}, SETTING)


def test_a_fixed_order_comes_from_a_file(tmp_path):
    (tmp_path / "order.json").write_text(json.dumps([3, 1, 2]))
    assert build_policy("fixed_order", {"file": str(tmp_path / "order.json")}, SETTING) == FixedOrder(order=(3, 1, 2))


def test_a_fixed_order_comes_from_a_learned_mask_the_likeliest_line_first(tmp_path):
    run = save_learned(tmp_path / "w.safetensors", LINES, accelerations=(2.0, 4.0))
    policy = build_policy("fixed_order", {"weights": str(run), "acceleration": "4"}, SETTING)
    chances = sampler_of(LINES, (2.0, 4.0)).probabilities(1).tolist()
    assert sorted(policy.order) == list(range(28))
    falling = [chances[column] for column in policy.order]
    assert falling == sorted(falling, reverse=True)
    other = build_policy("fixed_order", {"weights": str(run)}, SETTING)
    assert other != policy


def test_an_order_needs_one_place(tmp_path):
    for settings in ({}, {"file": "a.json", "weights": "b"}):
        with pytest.raises(ConfigError, match=r"needs file=ORDER\.json or weights=RUN, found"):
            build_policy("fixed_order", settings, SETTING)
    with pytest.raises(ConfigError, match="acceleration chooses a mask of weights"):
        build_policy("fixed_order", {"file": "a.json", "acceleration": 4}, SETTING)


def test_weights_have_to_have_learned_lines_of_this_width(tmp_path):
    pattern = save_learned(tmp_path / "w.safetensors", POINTS)
    with pytest.raises(ConfigError, match="its mask is a pattern of 32 x 28, not of lines"):
        build_policy("fixed_order", {"weights": str(pattern)}, SETTING)
    lines = save_learned(tmp_path / "l.safetensors", LINES)
    wide = PolicySetting(matrix=(32, 30), num_given=6, budget=4)
    with pytest.raises(ConfigError, match="its mask has 28 columns, and k-space 30"):
        build_policy("fixed_order", {"weights": str(lines)}, wide)


def test_the_oracle_takes_the_line_that_is_best_for_each_slice():
    full = truth()
    setting = PolicySetting(matrix=SIZE, num_given=6, budget=4, truth=full)
    start = torch.from_numpy(center_block(28, 6)).nonzero()[:, 0].tolist()
    (chosen,) = choose(build_policy("oracle", {"score": "nmse"}, setting), [start], 28)
    masks = torch.zeros(28, 28, dtype=torch.bool)
    masks[:, start] = True
    masks |= torch.eye(28, dtype=torch.bool)
    errors = full.measure_lines(torch.zeros(28, dtype=torch.int64), masks, ("nmse",))["nmse"]
    assert chosen == errors.argmin()
    assert POLICIES["oracle"].needs_truth


def test_the_oracle_needs_the_truth():
    with pytest.raises(ConfigError, match="policy oracle needs the fully sampled images"):
        build_policy("oracle", {}, SETTING)


def test_the_nonadaptive_oracle_finds_its_order_on_training_volumes(tmp_path):
    for number, volume in enumerate(make_scans()):
        write_fastmri(tmp_path / "train" / f"file{number}.h5", volume)
    ready = as_reconstructor("zero_filled")
    setting = PolicySetting(matrix=SIZE, num_given=6, budget=3, reconstructor=ready)
    settings = {"data": str(tmp_path), "score": "mse", "num_images": 4}
    start = torch.from_numpy(center_block(28, 6))
    expected = greedy_order(truth().score("mse"), start, ~start, num_images=4, budget=3)
    assert build_policy("nonadaptive_oracle", settings, setting) == expected


def test_training_volumes_of_another_width_give_no_order(tmp_path):
    write_fastmri(tmp_path / "file.h5", make_scans(1)[0])
    setting = replace(SETTING, matrix=(32, 40), reconstructor=as_reconstructor("zero_filled"))
    with pytest.raises(ConfigError, match="k-space of 28 columns, and the volumes to acquire have 40; an order needs"):
        build_policy("nonadaptive_oracle", {"data": str(tmp_path), "split": "all", "num_images": 1}, setting)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("oracle", {"num_samples": -1}, "policy oracle needs num_samples of at least 1, or 0 for all; found -1"),
        ("oracle", {"batch_size": 0}, "policy oracle needs batch_size of at least 1, found 0"),
        ("oracle", {"score": "kspace_nmse"}, "policy oracle scores by ssim, psnr, nmse, mse, found 'kspace_nmse'"),
        ("nonadaptive_oracle", {"data": "DATA", "batch_size": 0}, "needs batch_size of at least 1, found 0"),
        ("nonadaptive_oracle", {"data": "DATA", "score": "sim"}, "scores by ssim, psnr, nmse, mse, found 'sim'"),
    ],
)
def test_settings_of_an_oracle_are_refused_before_there_are_images(name, settings, message):
    with pytest.raises(ConfigError, match=message):
        build_config(POLICIES[name].config, settings, f"policy {name}")


def test_the_nonadaptive_oracle_names_what_it_needs():
    with pytest.raises(ConfigError, match="needs data=FOLDER of training volumes, found nothing"):
        build_policy("nonadaptive_oracle", {}, SETTING)
    with pytest.raises(ConfigError, match="needs a reconstructor"):
        build_policy("nonadaptive_oracle", {"data": "DATA"}, SETTING)
    with pytest.raises(ConfigError, match="num_images of at least 1, found 0"):
        build_policy("nonadaptive_oracle", {"data": "DATA", "num_images": 0}, SETTING)
