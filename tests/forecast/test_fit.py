"""Fitting a run into memory: in order, no further than needed, and never at the cost of the result."""

import dataclasses

import pytest
from forecast.test_memory import SHAPE, make_config

from mrikit.errors import ConfigError
from mrikit.forecast import fitting
from mrikit.forecast.fitting import fit
from mrikit.forecast.footprint import Footprint
from mrikit.forecast.memory import predict_memory

GB = 10**9


def footprint(peak_bytes):
    return Footprint(
        peak_bytes=peak_bytes,
        batch_bytes=0,
        weights_bytes=GB,
        trained_bytes=GB,
        product_flops=0,
        fourier_flops=0,
        moved_bytes=0,
        num_kernels=0,
    )


@pytest.fixture
def activations(monkeypatch):
    """Activations by settings, in the place of traces: a slice takes 20 GB, 8 with checkpoints, 6 with small ones."""

    def trace(config, shape, *, is_gpu):
        settings = config.model_config
        size = 20 if not settings["use_checkpoint"] else 6 if settings.get("checkpoint_every") == 0 else 8
        size -= {1: 1, 2: 0.5}.get(settings.get("coils_at_a_time"), 0) if size < 20 else 0
        return footprint(int(size * GB) * config.training.micro_batch_size)

    monkeypatch.setattr(fitting, "trace_step", trace)


def test_a_run_that_fits_is_left_alone():
    config = make_config()
    assert fit(config, [SHAPE], 10**12, device="cpu") == (config, [])


def test_checkpoints_come_first_and_suffice_where_they_do(activations):
    config = make_config(training__micro_batch_size=2, training__batch_size=4)
    fitted, lines = fit(config, [SHAPE], 30 * GB, device="cuda")
    assert fitted.model_config == {**config.model_config, "use_checkpoint": True}
    assert dataclasses.replace(fitted, model_config=config.model_config) == config
    (line,) = lines
    assert line.startswith("model_config.use_checkpoint=True: ")
    assert line.endswith(" GB")


def test_savings_are_taken_in_order_until_the_run_fits(activations):
    config = make_config("promptmr", {}, training__micro_batch_size=4, training__batch_size=4)
    taken = [fit(config, [SHAPE], limit * GB, device="cuda")[1] for limit in (200, 42, 35, 31, 28, 26)]
    names = [[line.partition(":")[0] for line in lines] for lines in taken]
    order = [
        "model_config.use_checkpoint=True",
        "model_config.checkpoint_every=0",
        "model_config.coils_at_a_time=2",
        "model_config.coils_at_a_time=1",
        "execution.zero_stage=1 and execution.offload_optimizer=True",
    ]
    assert names[0] == []
    for lines in names[1:]:
        assert lines == order[: len(lines)]
    assert [len(lines) for lines in names] == sorted({len(lines) for lines in names})
    fitted, _ = fit(config, [SHAPE], 26 * GB, device="cuda")
    assert fitted.training.batch_size == 4
    assert fitted.training.precision == config.training.precision


def test_offloading_is_taken_where_it_saves_more_than_its_bucket_takes(monkeypatch):
    """The bucket of 0.2 GB costs more than the moments of a small network."""
    config = make_config(model_config__use_checkpoint=True)
    offloading = "execution.zero_stage=1 and execution.offload_optimizer=True"
    # Moments of 6 GB less and a bucket of 0.2 GB more.
    large = dataclasses.replace(footprint(8 * GB), weights_bytes=3 * GB, trained_bytes=3 * GB)
    monkeypatch.setattr(fitting, "trace_step", lambda *_, **__: large)
    fitted, lines = fit(config, [SHAPE], 22 * GB, device="cuda")
    assert [line.partition(":")[0] for line in lines] == [offloading]
    assert fitted.execution == dataclasses.replace(config.execution, zero_stage=1, offload_optimizer=True)
    small = dataclasses.replace(footprint(8 * GB), weights_bytes=GB // 100, trained_bytes=GB // 100)
    monkeypatch.setattr(fitting, "trace_step", lambda *_, **__: small)
    with pytest.raises(ConfigError, match=r"needs 9\.\d+ GB at least"):
        fit(config, [SHAPE], 4 * GB, device="cuda")


def test_what_cannot_fit_says_the_least_that_is_needed_and_what_would_do(activations):
    with pytest.raises(ConfigError) as caught:
        fit(make_config(), [SHAPE], GB, device="cpu")
    message = str(caught.value)
    assert "\n" not in message
    assert "at least" in message
    assert "found 1.00 GB" in message
    assert "a smaller --size" in message
    assert "training.precision=bf16" in message
    with pytest.raises(ConfigError) as caught:
        fit(make_config(training__precision="bf16"), [SHAPE], GB, device="cpu")
    assert "bf16" not in str(caught.value)


def test_real_traces_lead_to_checkpoints():
    config = make_config()
    peak = predict_memory(config, SHAPE, device="cpu").total_bytes
    fitted, lines = fit(config, [SHAPE], peak - 1, device="cpu")
    assert fitted.model_config["use_checkpoint"]
    assert len(lines) == 1
    assert predict_memory(fitted, SHAPE, device="cpu").total_bytes < peak
