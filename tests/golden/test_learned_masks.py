"""The study's learned masks and a reconstruction by one SPIRiT block (golden/learned_masks.npz, made with its code)."""

import json

import numpy as np
import pytest
import torch
from helpers import relative_error
from torch.nn.functional import conv2d, pad

from mrikit.models.samplers import Sampler, SamplerConfig
from mrikit.physics.sampling import keep

PARITY, GRADIENT_PARITY = 1e-5, 1e-4
CASES = [
    *("global", "global_eval", "global_square", "global_column", "tile", "tile_square_125", "tile_square_25"),
    *("columns", "columns_ties"),
]
KINDS = {"global": "global", "tile": "tile", "columns": "lines"}


class Given:
    """A generator whose normal numbers are those of the file."""

    def __init__(self, numbers):
        self.numbers = numbers

    def standard_normal(self, shape, dtype):
        assert self.numbers.dtype == dtype
        return self.numbers.reshape(shape)


class Case:
    def __init__(self, file, name):
        self.config = json.loads(str(file["config"]))[name]
        prefix = f"{name}::"
        self.arrays = {key[len(prefix) :]: file[key] for key in file if key.startswith(prefix)}
        self.sampler = self.make_sampler()

    def __getitem__(self, key):
        return torch.from_numpy(self.arrays[key])

    def make_sampler(self):
        config = self.config
        is_tile = config["kind"] == "tile"
        acs = {"no": "none"}.get(config["acs"], config["acs"])
        study = SamplerConfig(
            kind=KINDS[config["kind"]],
            directions=2,
            shape=tuple(config["shape"]),
            tile=tuple(config["logits_shape"]) if is_tile else (4, 4),
            acs=acs,
            gradient="kept",
            noise_std=config["noise_std"],
            noise_end=config["noise_std"],
            slope=float(config["slope"]),
            slope_end=float(config["slope"]),
            keeps_ties=True,
            acs_in_tile=is_tile and acs != "none",
        )
        sampler = Sampler(study, [1 / config["fraction"]]).train(config["training"])
        with torch.no_grad():
            sampler.logits.copy_(self["logits"][None])
        return sampler

    def masks(self):
        numbers = self.arrays["standard_normal"]
        return self.sampler([Given(one) for one in numbers], [0] * len(numbers), 0.0)

    def reconstruct(self, masked_kspace, masks):
        """x = conv(y) (1 - M) + y M, all pairs of coils without their centre tap."""
        real, imaginary = (self[f"w::body.0.model.conv1.conv_{part}.weight"].clone() for part in "ri")
        rows, columns = real.shape[-2:]
        for kernel in (real, imaginary):
            kernel[:, :, rows // 2, columns // 2] = 0
        mode = {"zero": "constant"}.get(self.config["network"]["padding"], self.config["network"]["padding"])
        border = (columns // 2, columns // 2, rows // 2, rows // 2)
        x_real, x_imag = (pad(part, border, mode=mode) for part in (masked_kspace.real, masked_kspace.imag))
        found = torch.complex(
            conv2d(x_real, real) - conv2d(x_imag, imaginary), conv2d(x_imag, real) + conv2d(x_real, imaginary)
        )
        return found * (1 - masks) + masked_kspace * masks


@pytest.fixture(params=CASES)
def case(request, golden):
    with np.load(golden / "learned_masks.npz") as file:
        return Case(file, request.param)


def test_masks_equal_those_of_the_study_bit_for_bit(case):
    masks = case.masks().expand(-1, -1, *case.config["shape"])
    assert torch.equal(masks[:, 0].bool(), case["mask"])
    assert masks.sum((1, 2, 3)).tolist() == case.config["kept"]


def test_gradients_equal_those_of_the_study(case):
    (case.masks()[:, 0] * case["upstream"]).sum().backward()
    expected = case["grad_logits"][None]
    assert case.sampler.logits.grad.shape == expected.shape
    assert float((case.sampler.logits.grad - expected).norm()) <= GRADIENT_PARITY * float(expected.norm())


def test_a_spirit_block_through_the_mask_gives_the_study_s_loss_and_gradient(case):
    masks, kspace = case.masks(), case["kspace"]
    found = case.reconstruct(keep(kspace, masks), masks)
    assert relative_error(found.detach(), case["reconstruction"]) < PARITY
    loss = (found - kspace).abs().square().sum() / kspace.abs().square().sum()
    assert loss.item() == pytest.approx(case.config["loss"], rel=PARITY)
    loss.backward()
    expected = case["grad_logits_loss"][None]
    assert float((case.sampler.logits.grad - expected).norm()) <= GRADIENT_PARITY * float(expected.norm())


def test_all_cases_of_the_file_are_tested(golden):
    with np.load(golden / "learned_masks.npz") as file:
        assert sorted(json.loads(str(file["config"]))) == sorted(CASES)
