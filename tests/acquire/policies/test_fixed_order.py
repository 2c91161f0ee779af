from dataclasses import replace

import numpy as np
import pytest
import torch
from episodes import choose, follow
from reconstruct.learned_weights import LINES, save_learned

from mrikit.acquire.policies import FixedOrder, order_of_probabilities, read_order
from mrikit.checkpoint import build_trained_sampler, load_weights
from mrikit.errors import ConfigError, DataError
from mrikit.masks.file import mask_file_bytes
from mrikit.masks.mask import Mask
from mrikit.models.samplers import Sampler, SamplerConfig
from mrikit.reconstruct import ReconstructConfig, build_method
from mrikit.reconstruct.find_weights import find_one


def test_measured_lines_are_passed_over():
    assert follow(FixedOrder(order=(3, 1, 4, 0)), [[], [1, 3]], 5, 2) == [[3, 4], [1, 0]]


def test_an_order_is_read_from_the_file_that_masks_are_written_to(tmp_path):
    samples = np.zeros(12, bool)
    samples[[1, 5, 6, 7, 10]] = True
    mask = Mask(samples=samples, kind="test", acceleration=2, true_acceleration=2.4, num_center_lines=3)
    path = tmp_path / "lines.json"
    path.write_bytes(mask_file_bytes(mask, path, np.random.RandomState(0))["lines.json"])
    lines = [line for (line,) in follow(read_order(path), [[]], 12, 5)]
    assert lines[0] == 6
    assert sorted(lines[1:3]) == [5, 7]
    assert sorted(lines) == [1, 5, 6, 7, 10]


def test_the_likeliest_line_is_first_and_of_equals_the_lowest_frequency():
    policy = order_of_probabilities(torch.tensor([0.2, 0.9, 0.1, 1.0, 1.0, 1.0, 0.2]))
    assert policy.order == (3, 4, 5, 1, 6, 0, 2)


def test_a_learned_sampler_of_lines_gives_an_order_whose_beginning_is_its_mask():
    config = SamplerConfig(kind="lines", shape=(8, 20))
    sampler = Sampler(config, [4.0])
    with torch.no_grad():
        sampler.logits.copy_(torch.linspace(-2, 2, 20))
    policy = order_of_probabilities(sampler.probabilities(0))
    mask = sampler.mask(0).samples
    assert set(policy.order[: mask.sum()]) == set(np.flatnonzero(mask))


@pytest.mark.parametrize("estimator", ["top_k", "bernoulli"])
def test_the_run_folder_of_a_learned_sampler_gives_an_order_whose_beginning_is_the_mask_of_its_method(
    tmp_path, estimator
):
    (tmp_path / "stage-1").mkdir()
    save_learned(tmp_path / "stage-1" / "weights.safetensors", replace(LINES, estimator=estimator))
    sampler = build_trained_sampler(load_weights(find_one(tmp_path)))
    method = build_method(ReconstructConfig(weights=tmp_path))
    for level, mask in enumerate(method.learned.values()):
        order = order_of_probabilities(sampler.probabilities(level)).order
        assert len(order) == LINES.shape[1]
        num_lines = int(mask.samples.sum())
        assert sorted(order[:num_lines]) == np.flatnonzero(mask.samples).tolist()
        assert set(order[: LINES.num_acs]) == set(range(12, 16))


@pytest.mark.parametrize("order", [(), (1, 1), (-1, 0)])
def test_what_is_no_order_is_refused(order):
    with pytest.raises(ConfigError, match="columns from 0, each once, found"):
        FixedOrder(order=order)


def test_an_order_of_wider_k_space_is_refused():
    with pytest.raises(DataError, match="names column 9, but k-space has 8 columns"):
        choose(FixedOrder(order=(9, 2)), [[]], 8)


def test_an_order_that_was_made_for_another_width_is_refused_also_where_its_columns_are_there():
    policy = order_of_probabilities(torch.tensor([0.2, 0.9, 0.1, 1.0]))
    with pytest.raises(DataError, match="was made for 4 columns, but k-space has 8; an order of this width"):
        choose(policy, [[]], 8)


def test_an_order_that_has_come_to_its_end_is_refused():
    with pytest.raises(DataError, match="no line is free in an order of 2 lines; a smaller budget or a longer order"):
        choose(FixedOrder(order=(1, 2)), [[1, 2]], 8)


def test_a_pattern_is_no_order(tmp_path):
    path = tmp_path / "lines.npy"
    np.save(path, np.ones(4, bool))
    with pytest.raises(DataError, match=r"lines.npy: no order of lines; a .json list"):
        read_order(path)


@pytest.mark.parametrize("probabilities", [torch.ones(2, 3), torch.tensor([0.1, float("nan")])])
def test_probabilities_that_give_no_order_are_refused(probabilities):
    with pytest.raises(DataError, match="needs a probability"):
        order_of_probabilities(probabilities)
