import itertools
import json

import pytest
import torch
from scored_study import write_volumes

from mrikit.errors import ConfigError
from mrikit.evaluate import evaluate
from mrikit.reconstruct import ReconstructConfig, reconstruct_folder
from mrikit.reconstruct.forward_clock import NUM_WARM_UP, ForwardClock
from mrikit.volumes.reconstruction import Timing, read_reconstruction


def test_the_first_slices_of_a_run_are_not_counted_and_every_volume_has_its_own_sum():
    ticks = itertools.chain.from_iterable((100.0 * n, 100.0 * n + n) for n in itertools.count(1))
    clock = ForwardClock("cpu", lambda: next(ticks))
    found = []
    for num_slices in (4, 4, 3):
        for number in range(num_slices):
            assert clock.time(lambda number=number: torch.tensor(number)) == number
        found.append(clock.finish_volume())
    assert NUM_WARM_UP == 5
    assert [(one.num_slices, one.seconds, one.total_seconds) for one in found] == [(0, 0, 10), (3, 21, 26), (3, 30, 30)]


@pytest.fixture
def timed(tmp_path):
    write_volumes(tmp_path / "data", 3)
    config = ReconstructConfig(model="zero_filled")
    reconstruct_folder(tmp_path / "data", tmp_path / "recon", config, is_timed=True)
    return tmp_path / "data", tmp_path / "recon", config


def test_a_timed_run_keeps_the_time_of_each_volume(timed):
    data, recon, _ = timed
    found = [read_reconstruction(recon / f"v{number}.h5").timing for number in range(3)]
    assert [timing.num_slices for timing in found] == [0, 0, 1]
    assert all(0 < timing.total_seconds < 60 for timing in found)
    assert 0 < found[2].seconds < found[2].total_seconds
    rows = evaluate(data, recon).rows
    assert [(row.num_timed, row.forward_seconds) for row in rows] == [(one.num_slices, one.seconds) for one in found]
    assert json.loads((recon / "reconstruct.json").read_text())["timed"] is True


def test_the_images_of_a_timed_run_are_those_of_any_run(timed, tmp_path):
    data, recon, config = timed
    reconstruct_folder(data, tmp_path / "plain", config)
    plain, own = (read_reconstruction(folder / "v1.h5") for folder in (tmp_path / "plain", recon))
    assert (plain.image == own.image).all()
    assert plain.timing is None


def test_timed_and_other_reconstructions_never_share_a_folder(timed):
    data, recon, config = timed
    with pytest.raises(ConfigError, match="is for reconstructions with timed True, asked for False"):
        reconstruct_folder(data, recon, config)


def test_a_volume_above_a_minute_is_named(timed):
    from card_study import change

    data, recon, _ = timed
    change(recon / "v1.h5", timing=Timing(num_slices=2, seconds=61.0, total_seconds=61.0, device="cpu"))
    assert "v1 took 61 s of forward passes, more than 60 s" in evaluate(data, recon).notes
