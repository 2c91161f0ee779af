import pytest
import torch

from mrikit.training.losses import Losses
from mrikit.training.step_sums import means_of, named_sums, sums_of


def losses(total, ssim, l1, told):
    terms = {"ssim": torch.tensor(ssim), "l1": torch.tensor(l1)}
    return Losses(torch.tensor(total), terms, {"told": torch.tensor(told)})


def test_means_are_over_the_slices_of_all_micro_batches_and_processes():
    mine = [losses([1.0, 2.0], [0.5, 1.0], [0.1, 0.2], [1.0, 0.0])]
    other = [losses([6.0], [3.0], [0.9], [1.0])]
    sums = named_sums((sums_of(mine) + sums_of(other)).tolist(), mine[0])
    assert sums["slices"] == 3
    assert means_of(sums) == pytest.approx({"loss": 3, "loss_ssim": 1.5, "loss_l1": 0.4, "told": 2 / 3})


def test_a_slice_that_a_number_does_not_concern_does_not_count_in_its_mean():
    nan = float("nan")
    sums = named_sums(sums_of([losses([1.0, 3.0], [1.0, 1.0], [0.0, 0.0], [nan, 5.0])]).tolist(), losses(*[[0.0]] * 4))
    assert means_of(sums)["told"] == 5
    assert means_of(sums)["loss"] == 2


def test_a_number_that_concerns_no_slice_is_left_out():
    sums = named_sums(sums_of([losses([1.0], [1.0], [0.0], [float("nan")])]).tolist(), losses(*[[0.0]] * 4))
    assert "told" not in means_of(sums)


def test_a_single_term_is_the_loss_itself():
    single = Losses(torch.tensor([2.0]), {"ssim": torch.tensor([2.0])})
    assert means_of(named_sums(sums_of([single]).tolist(), single)) == {"loss": 2}
