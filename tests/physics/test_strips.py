import threading

import pytest
import torch
from waiting import HANG_S

from mrikit.physics.strips import map_strips

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 2])
def num_threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize(("num_rows", "strip_rows"), [(7, 3), (6, 3), (2, 5), (1, 1)])
def test_strips_come_back_in_order_and_cover_every_row_once(num_threads, num_rows, strip_rows):
    rows = torch.arange(num_rows)
    assert torch.equal(torch.cat(map_strips(lambda at: rows[at], num_rows, strip_rows, CPU)), rows)
    assert torch.get_num_threads() == num_threads


def test_strips_are_shared_among_threads(num_threads):
    barrier = threading.Barrier(num_threads, timeout=HANG_S)

    def work(_rows):
        barrier.wait()
        return torch.tensor(torch.get_num_threads())

    assert [int(found) for found in map_strips(work, 2 * num_threads, 1, CPU)] == [1] * 2 * num_threads


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_gradient_mode_of_the_caller_holds_in_every_strip(num_threads, mode):
    weight = torch.ones(4, requires_grad=True)
    with mode():
        strips = map_strips(lambda rows: 2 * weight[rows], 4, 1, CPU)
    assert {strip.requires_grad for strip in strips} == {mode is torch.enable_grad}
    assert {strip.is_inference() for strip in strips} == {mode is torch.inference_mode}


def test_an_error_in_a_strip_reaches_the_caller_and_the_threads_are_given_back(num_threads):
    def work(_rows):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        map_strips(work, 4, 1, CPU)
    assert torch.get_num_threads() == num_threads
