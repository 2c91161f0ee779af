"""Pictures of fixed slices, before the first step and at intervals."""

import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from training.small_run import CONFIG, newest_state, run

from mrikit.checkpoint import load_weights
from mrikit.config import change_config
from mrikit.data import SliceKey, center_crop
from mrikit.errors import ConfigError
from mrikit.models.classical import ZeroFilled
from mrikit.models.output import Output
from mrikit.runs.picture import list_pictures, panel
from mrikit.runs.process import Process
from mrikit.training import ExecutionConfig
from mrikit.training.objectives import objective_of
from mrikit.training.objectives.image import validation_examples
from mrikit.training.objectives.pictures import chosen_slices, picture_slices
from mrikit.training.parts import initial_parts
from mrikit.training.volumes import open_study

ALONE = Process(rank=0, world_size=1, device=torch.device("cpu"), store=None)
GAP = 2


def files(folder):
    return {path.name: path.read_bytes() for path in (folder / "pictures").iterdir()}


def steps(folder):
    return [step for step, _, _ in list_pictures(folder / "pictures")]


def newest_step(folder):
    found = sorted((folder / "checkpoints").glob("*.safetensors"))
    return int(found[-1].stem.removeprefix("step-")) if found else 0


def stop(row, _num_steps):
    """Ask to stop after these steps."""
    if row["kind"] == "train" and row["step"] in (3, 17):
        os.kill(os.getpid(), signal.SIGINT)


def pixels(folder, step):
    return np.asarray(Image.open(folder / "pictures" / f"step-{step:08d}-validation.png"))


def columns(picture, count):
    width = (picture.shape[1] + GAP) // count - GAP
    return [picture[:, part * (width + GAP) :][:, :width] for part in range(count)]


def pictures_of(study, tensors=None):
    """What the objective of the small run shows: of these weights, or of those that it begins with."""
    objective, dataset = objective_of(CONFIG), open_study(CONFIG, study).validation
    parts = initial_parts(CONFIG, objective).parts.eval()
    if tensors:
        parts["network"].network.load_state_dict(tensors)
    return panel(objective.pictures(parts, dataset, ALONE))


@pytest.fixture(scope="module")
def shown(study, tmp_path_factory):
    """A run of four epochs with a picture at every third."""
    folder = tmp_path_factory.mktemp("shown")
    run(study, folder, training__num_epochs=4, execution__picture_epochs=3, execution__checkpoint_minutes=9)
    return folder


def test_slices_lie_at_equal_distances_in_the_middle_of_their_parts():
    assert chosen_slices([35] * 40, 8) == [SliceKey(volume, 17) for volume in range(2, 40, 5)]
    assert chosen_slices([10], 2) == [SliceKey(0, 2), SliceKey(0, 7)]


def test_of_few_slices_all_are_shown():
    assert chosen_slices([1, 2], 8) == [SliceKey(0, 0), SliceKey(1, 0), SliceKey(1, 1)]
    assert chosen_slices([3], 0) == []


def test_a_slice_is_shown_in_units_of_its_reference_with_its_error(study):
    dataset = open_study(CONFIG, study).validation
    examples = list(validation_examples(dataset, 1, CONFIG.data, ALONE.device))

    def made(key):
        example = examples[key.slice_index]
        whole = torch.zeros(1, *example.masked_kspace.shape[-2:])
        center_crop(whole, example.crop).copy_(1.5 * example.reference)
        return Output(whole), example

    dataset.volumes = dataset.volumes[1:]
    first, _ = picture_slices(made, dataset, ExecutionConfig(), ALONE)
    example, top = examples[0], float(examples[0].reference.max())
    assert list(first) == ["reference", "zero_filled", "output", "error"]
    reference = example.reference[0].numpy() / top
    np.testing.assert_allclose(first["reference"], reference, atol=1e-3)
    np.testing.assert_allclose(first["output"], 1.5 * reference, atol=2e-3)
    np.testing.assert_allclose(first["error"], 0.5 * reference, atol=1e-3)
    plain = ZeroFilled(None)(example.masked_kspace, example.mask, example.num_center_lines)
    np.testing.assert_allclose(first["zero_filled"], center_crop(plain, example.crop)[0] / top, atol=2e-3)


def test_each_process_makes_its_share_and_all_get_all(study):
    dataset, made_here = open_study(CONFIG, study).validation, []

    class Second(Process):
        def gather(self, value):
            return [{0: "first", 2: "third"}, dict.fromkeys(value, "own")]

    def made(key):
        made_here.append(key)
        (example,) = validation_examples(dataset, key.volume, CONFIG.data, ALONE.device, [key.slice_index])
        return Output(torch.zeros(1, *example.masked_kspace.shape[-2:])), example

    second = Second(rank=1, world_size=2, device=torch.device("cpu"), store=None)
    assert picture_slices(made, dataset, ExecutionConfig(), second) == ["first", "own", "third", "own"]
    assert made_here == [SliceKey(0, 1), SliceKey(1, 1)]


def test_there_is_a_picture_before_the_first_step_at_the_interval_and_after_the_last(shown):
    assert steps(shown) == [0, 15, 20]


def test_each_picture_shows_the_same_slices(shown):
    first, *others = (columns(pixels(shown, step), 4) for step in (0, 15, 20))
    for found in others:
        for column, is_same in enumerate((True, True, False, False)):
            assert (found[column] == first[column]).all() == is_same


def test_the_first_picture_is_of_the_weights_before_the_first_step_and_the_last_of_those_that_are_kept(study, shown):
    np.testing.assert_array_equal(pixels(shown, 0), pictures_of(study))
    kept = load_weights(shown)
    assert kept.record["step"] == 20  # the best are the last
    np.testing.assert_array_equal(pixels(shown, 20), pictures_of(study, kept.tensors))


def test_a_stopped_run_that_goes_on_has_the_same_pictures(study, shown, tmp_path):
    while newest_step(tmp_path) < 20:
        run(study, tmp_path, on_row=stop, training__num_epochs=4, execution__picture_epochs=3)
    assert files(tmp_path) == files(shown)


def test_number_and_columns_are_settings_that_may_change_when_a_run_goes_on(study, tmp_path):
    run(study, tmp_path, on_row=stop, execution__num_pictures=1, execution__shows_zero_filled=False)
    run(study, tmp_path)
    height, width = 20, 24  # the window of the slice in the middle
    assert pixels(tmp_path, 0).shape == (height, 3 * width + 2 * GAP)
    assert pixels(tmp_path, 10).shape == (2 * height + 2 * width + 3 * GAP, 4 * width + 3 * GAP)


def test_without_pictures_nothing_is_shown_and_the_weights_are_the_same(study, shown, tmp_path):
    settings = {"training__num_epochs": 4, "execution__num_pictures": 0, "execution__checkpoint_minutes": 9}
    run(study, tmp_path, **settings)
    assert not (tmp_path / "pictures").exists()
    state, other = newest_state(tmp_path), newest_state(shown)
    assert all(torch.equal(state[name], other[name]) for name in state)


def test_a_stage_begins_with_a_picture_of_the_stage_before(study, tmp_path):
    config = change_config(CONFIG, {"stage": 1, "execution.keep_best": True, "training.num_epochs": 1}, "test")
    run(study, tmp_path / "stage-1", config=config)
    config = change_config(config, {"stage": 2, "training.first_epoch": 1}, "test")
    run(study, tmp_path / "stage-2", config=config, start=tmp_path / "stage-1")
    np.testing.assert_array_equal(pixels(tmp_path / "stage-2", 0), pixels(tmp_path / "stage-1", 5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_pictures": -1}, "execution.num_pictures is 0 or more, found -1"),
        ({"picture_epochs": 0}, "execution.picture_epochs is at least 1, found 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        ExecutionConfig(**changes)
