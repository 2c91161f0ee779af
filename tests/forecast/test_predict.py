"""Time and cost of a run, and the words for them."""

import dataclasses

import numpy as np
import pytest
from forecast.test_memory import SHAPE, make_config

from mrikit.data import AugmentConfig, BatchShape
from mrikit.errors import ConfigError
from mrikit.forecast import predict as predict_module
from mrikit.forecast import throughput
from mrikit.forecast.footprint import Footprint
from mrikit.forecast.memory import Memory
from mrikit.forecast.predict import Prediction, describe_prediction, predict_run
from mrikit.forecast.throughput import GPUS, StepTime, estimate_time, predict_time
from mrikit.training.extent import count_weights

MEMORY = Memory(
    weights=200_000_000,
    gradients=100_000_000,
    moments_on_device=0,
    moments_on_host=400_000_000,
    activations=3_900_000_000,
    batch=1_000_000,
    overhead=900_000_000,
    total_bytes=5_101_000_000,
    host_bytes=3_200_000_000,
)
PREDICTION = Prediction(
    memory=MEMORY,
    num_steps=1830,
    seconds_per_step=1.3,
    hours=0.75,
    cost=4.5,
    device="cuda",
    is_measured=True,
)


def test_lines_say_memory_time_and_cost_with_their_uncertainty():
    memory, time, cost = describe_prediction(PREDICTION)
    assert memory.startswith("memory: 5.1 GB at the peak on cuda (weights 0.20, gradients 0.10, activations 3.90, ")
    assert "overhead 0.90), and 3.2 GB of the machine; " in memory
    assert "batch" not in memory  # too little to tell
    assert time.startswith("time: 1.3 s a step, 45.0 min for 1,830 steps and validation; ")
    assert cost.startswith("cost: 4.50 ")
    assert all("\n" not in line for line in (memory, time, cost))


def test_offloaded_moments_are_shown_on_a_cpu_and_no_cost_without_a_price():
    lines = describe_prediction(dataclasses.replace(PREDICTION, device="cpu", cost=None))
    assert len(lines) == 2
    assert "moments 0.40" in lines[0]
    assert "of the machine" not in lines[0]
    elsewhere = describe_prediction(dataclasses.replace(PREDICTION, device="a100", is_measured=False))
    assert "within a factor of 2" in elsewhere[1]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "250 ms"), (1, "1.0 s"), (600, "10.0 min"), (7200, "2.0 h"), (5 * 86400, "5.0 days")]
)
def test_durations_have_units_that_people_read(seconds, text):
    line = describe_prediction(dataclasses.replace(PREDICTION, hours=seconds / 3600))[1]
    assert f" a step, {text} for" in line


def test_hours_are_steps_and_validation_and_cost_is_their_price(monkeypatch):
    monkeypatch.setattr(predict_module, "predict_memory", lambda *_, **__: MEMORY)
    monkeypatch.setattr(predict_module, "predict_time", lambda *_, **__: StepTime(step=2.0, slice_forward=0.5))
    config = make_config(training__num_epochs=3, training__batch_size=2)
    found = predict_run(config, [SHAPE, SHAPE], [SHAPE], device="cpu", world_size=2, price_per_hour=1.5)
    assert found.num_steps == 3 * 3  # 6 slices, 2 a step
    # Two processes share the 3 slices that are validated after each epoch.
    assert found.hours == pytest.approx((9 * 2.0 + 3 * 3 * 0.5 / 2) / 3600)
    assert found.cost == pytest.approx(2 * 1.5 * found.hours)
    assert predict_run(config, [SHAPE], device="cpu").cost is None


def test_an_adversary_has_slices_validated_in_both_orientations_and_before_the_first_step(monkeypatch):
    monkeypatch.setattr(predict_module, "predict_memory", lambda *_, **__: MEMORY)
    monkeypatch.setattr(predict_module, "predict_time", lambda *_, **__: StepTime(step=2.0, slice_forward=0.5))
    config = dataclasses.replace(
        make_config(training__num_epochs=3), objective="adversary", augment=AugmentConfig(transpose_probability=0.5)
    )
    found = predict_run(config, [SHAPE], [SHAPE], device="cpu")
    assert found.hours == pytest.approx((found.num_steps * 2.0 + 2 * 4 * 3 * 0.5) / 3600)


def test_slices_of_other_shapes_take_time_by_their_size(monkeypatch):
    monkeypatch.setattr(predict_module, "predict_memory", lambda *_, **__: MEMORY)
    monkeypatch.setattr(predict_module, "predict_time", lambda *_, **__: StepTime(step=1.0, slice_forward=0.0))
    twice = BatchShape(num_slices=1, kspace=(8, 96, 64), window=(64, 48), reference=(64, 48))
    config = make_config(training__num_epochs=1, training__batch_size=1)
    found = predict_run(config, [SHAPE, twice], device="cpu")  # 3 slices and 1 of twice the size
    assert found.hours * 3600 == pytest.approx(3 + 2)


def test_a_timed_part_predicts_the_whole(monkeypatch):
    """The clock is a model: what it tells grows with what is computed, and updates with the number of weights."""
    config = make_config(
        model_config__num_cascades=4, training__batch_size=4, training__micro_batch_size=2, training__max_lr=1e-3
    )
    shape = dataclasses.replace(SHAPE, kspace=(4, 256, 64))

    first = throughput._work(*throughput._part(config, shape, 64), "cpu", has_backward=True)
    seconds = 0.64 / first  # 64 rows take 0.64 s, so that 2 s are enough for nearly 200

    def clocked(part, part_shape, device):
        work = throughput._work(part, part_shape, "cpu", has_backward=True)
        forward = throughput._work(part, part_shape, "cpu", has_backward=False)
        calls.append((part.model_config["num_cascades"], part_shape.kspace[1]))
        return throughput._Timed(
            prepare=part_shape.kspace[1] * 1e-6,
            micro=work * seconds,
            forward=forward * seconds,
            update=count_weights(part) * 1e-7,
        )

    calls = []
    monkeypatch.setattr(throughput, "_time_part", clocked)
    found = predict_time(config, shape, device="cpu")
    whole = clocked(config, shape, "cpu")
    assert found.step == pytest.approx(2 * (whole.micro + whole.prepare) + whole.update)
    assert found.slice_forward == pytest.approx((whole.forward + whole.prepare) / 2)
    assert calls[:2] == [(2, 64), (2, 192)]


def test_a_real_step_is_timed():
    config = make_config(model_config__num_cascades=1, model_config__num_channels=2)
    found = predict_time(config, SHAPE, device="cpu")
    assert 0 < found.slice_forward < found.step < 20


def test_what_is_timed_is_augmented_as_often_as_it_will_ever_be():
    config = make_config()
    late = AugmentConfig(strength=1.0, schedule="ramp", delay_epochs=5, num_epochs=9)
    batch = throughput._noise(config, SHAPE)
    plain, changed = (
        throughput._prepare(batch, dataclasses.replace(config, augment=augment), SHAPE, "cpu").kspace
        for augment in (AugmentConfig(), late)
    )
    assert plain.shape == changed.shape == (1, 1, *SHAPE.kspace)
    assert plain.any()
    assert not plain.equal(changed)


def test_faster_gpus_take_less_time_and_bf16_needs_its_hardware():
    shape = dataclasses.replace(SHAPE, kspace=(16, 640, 368))
    config = make_config()
    times = [estimate_time(config, shape, gpu=gpu).step for gpu in ("t4", "v100", "a100")]
    assert times[0] > times[1] > times[2]
    footprint = Footprint(
        peak_bytes=0,
        batch_bytes=0,
        weights_bytes=0,
        trained_bytes=0,
        product_flops=78e12,
        fourier_flops=1e12,
        moved_bytes=2039e9,
        num_kernels=1000,
    )
    # Half of 19.5 TFLOP/s, a quarter of 312, and 0.6 of 2039 GB/s.
    assert throughput._roofline(footprint, GPUS["a100"], config) == pytest.approx(8 + 1 / 0.6)
    rounded = make_config(training__precision="bf16")
    assert throughput._roofline(footprint, GPUS["a100"], rounded) == pytest.approx(1 + 1 / 0.6)
    assert throughput._roofline(footprint, GPUS["t4"], rounded) == throughput._roofline(footprint, GPUS["t4"], config)
    many = dataclasses.replace(footprint, num_kernels=10**7)
    assert throughput._roofline(many, GPUS["a100"], config) == pytest.approx(80)


def test_an_unknown_gpu_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"no throughput is known of a GPU called 'h900'; there are gtx1080, t4"):
        estimate_time(make_config(), SHAPE, gpu="h900")


def test_what_is_timed_has_room_for_a_pattern_of_two_dimensions(tmp_path):
    np.save(tmp_path / "mask.npy", np.ones((SHAPE.kspace[1], SHAPE.kspace[2]), bool))
    for settings in ({"data__mask_kind": str(tmp_path / "mask.npy")}, {"data__mask_kind": "variable_density_2d"}):
        config = make_config(model_config__num_cascades=1, model_config__num_channels=2, **settings)
        assert predict_time(config, SHAPE, device="cpu").step > 0


class Clock:
    """Work whose calls take given seconds, the last one for ever."""

    def __init__(self, *seconds):
        self.now, self.seconds, self.calls = 0.0, list(seconds), 0

    def work(self):
        self.calls += 1
        self.now += self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]
        return self.calls

    def timed(self):
        return throughput._time(self.work, "cpu", lambda: self.now)[1]


def test_cold_calls_do_not_count():
    assert Clock(9.0, 5.0, 2.0, 0.5).timed() == 0.5


def test_one_slow_call_of_several_does_not_count():
    assert Clock(1.0, 1.0, 20.0, 1.0).timed() == 1.0


def test_what_takes_long_is_called_a_few_times_only():
    slow = Clock(30.0)
    assert slow.timed() == 30.0
    assert slow.calls == 4


def test_what_never_gets_steady_ends():
    falling = Clock(*(2.0**-number for number in range(30)))
    assert falling.timed() > 0
    assert falling.calls < 20


def test_stages_of_one_network_are_timed_once_whatever_their_loss(monkeypatch):
    timed = []
    measure = throughput.initial_parts
    monkeypatch.setattr(throughput, "initial_parts", lambda *given: timed.append(given) or measure(*given))
    first = make_config(model_config__num_cascades=1, model_config__num_channels=3, training__loss="ssim")
    others = [
        dataclasses.replace(first, training=dataclasses.replace(first.training, loss="ssim + 0.1 l1", seed=9)),
        first,
    ]
    steps = [predict_time(config, SHAPE, device="cpu").step for config in (first, *others)]
    assert len(timed) == 1
    assert max(steps) < 1.5 * min(steps)


def test_it_says_what_takes_a_while():
    lines = []
    config = make_config(model_config__num_cascades=1, model_config__num_channels=2)
    predict_run(config, [SHAPE], device="cpu", say=lines.append)
    first, *timings = lines
    assert first == f"tracing a step of {config.name}"
    assert timings[0] == "timing 64 of 96 rows of varnet on cpu"


def test_a_busy_machine_is_told():
    busy = dataclasses.replace(PREDICTION, device="cpu", busy=4.0)
    line = describe_prediction(busy)[1]
    assert line.endswith("; it is too long, because 4 processes share each processor here")
    assert "share each" not in describe_prediction(dataclasses.replace(busy, busy=1.0))[1]
