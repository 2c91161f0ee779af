import dataclasses

import pytest
from acquire.learning.small_policy import CONFIG

from mrikit.acquire.replay import Replay
from mrikit.config import change_config
from mrikit.data import BatchShape
from mrikit.forecast.policy import describe_policy_prediction, predict_policy
from mrikit.models import build_model

SHAPE = BatchShape(num_slices=3, kspace=(2, 16, 16), window=(16, 16), reference=None)
KSPACE = 2 * 16 * 16 * 8


def predict(sides=((SHAPE, SHAPE), (SHAPE,)), reconstructor="zero_filled", price_per_hour=None, **settings):
    changes = {name.replace("__", "."): value for name, value in settings.items()}
    config = change_config(CONFIG, changes, "test")
    return predict_policy(config, *sides, reconstructor, device="cpu", price_per_hour=price_per_hour)


def test_memory_has_what_the_settings_say():
    found = predict(policy_config__cache_mb=0.01).memory
    assert found["held k-space"] == 9 * KSPACE
    assert found["replay"] == Replay(24, 16).size_bytes
    assert found["kept images"] == 10_000
    assert predict().memory["kept images"] == 2 * 24 * 16 * 16 * 4  # a replay full of images fits
    assert found["rows"] == 4 * (KSPACE + 16 * 16 * 4)


def test_the_reconstructor_counts_with_its_weights():
    network = build_model("unet", {"num_channels": 2, "num_pools": 1})
    with_it, without = predict(reconstructor=network), predict()
    weights = sum(weight.nbytes for weight in network.parameters())
    assert with_it.memory["networks"] - without.memory["networks"] == weights
    assert with_it.total_bytes == sum(with_it.memory.values())


def test_time_and_cost_grow_with_the_lines():
    found = predict(price_per_hour=2.0)
    # 60 lines, and three validations of three slices with five lines each.
    assert found.hours * 3600 == pytest.approx((60 + 3 * 3 * 5) * found.seconds_per_step)
    assert found.cost == pytest.approx(2 * found.hours)
    assert found.num_steps == 60


def test_it_is_told_in_lines():
    found = dataclasses.replace(predict(), memory={"process": 700_000_000, "replay": 1_400_000}, hours=2.0, cost=3.0)
    assert describe_policy_prediction(found) == [
        "memory: 0.7 GB at the peak on cpu (process 0.700, replay 0.001)",
        "time: 2 h 0 min for 60 lines and validation; rounds were timed, within a factor of 2",
        "cost: 3.00 in the currency of the price; as uncertain as the time",
    ]
