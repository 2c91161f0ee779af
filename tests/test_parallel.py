import threading

import pytest
import torch
from waiting import HANG_S

from mrikit.parallel import map_on_cores


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def threads_of_a_new_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.usefixtures("two_threads")
def test_results_come_in_order_and_each_is_made_by_one_thread_of_torch():
    barrier = threading.Barrier(2, timeout=HANG_S)

    def work(number):
        barrier.wait()
        return number, torch.get_num_threads()

    assert list(map_on_cores(work, range(6))) == [(number, 1) for number in range(6)]


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("is_broken", [False, True])
def test_torch_has_its_threads_again_afterwards_also_in_threads_that_start_later(is_broken):
    def work(_number):
        if is_broken:
            raise ValueError("no")

    if is_broken:
        with pytest.raises(ValueError, match="no"):
            list(map_on_cores(work, range(4)))
    else:
        list(map_on_cores(work, range(4)))
    assert torch.get_num_threads() == 2
    assert threads_of_a_new_thread() == 2
