import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from helpers import relative_error
from phantoms import make_volume
from reconstruct.networks import masks, save_classifier, save_unet, unet

from mrikit.data import MaskPlan, center_crop, choose_mask, make_example
from mrikit.errors import CheckpointError, ConfigError, DataError
from mrikit.reconstruct import ReconstructConfig, build_routing, choose_method, reconstruct_folder
from mrikit.volumes import open_volume, write_fastmri
from mrikit.volumes.reconstruction import read_reconstruction

SIZE, WINDOW = (32, 60), (24, 44)
TASKS = {"brain_acc4": 1, "brain_acc8": 2, "knee_acc4": 3, "knee_acc8": 4}
"""Task to the seed of its weights."""


def write(folder, volume_id, anatomy, step=None, num_slices=1, acquisition=None):
    """A volume, undersampled by every `step`-th line and a centre of 8 lines, or full."""
    lines = None
    if step:
        lines = np.zeros(SIZE[1], bool)
        lines[::step] = lines[26:34] = True
    volume = make_volume(num_slices, 2, SIZE, WINDOW, lines, volume_id)
    info = replace(volume.info, anatomy=anatomy, acquisition=acquisition)
    write_fastmri(folder / f"{volume_id}.h5", replace(volume, info=info))


@pytest.fixture
def runs(tmp_path):
    for task, seed in TASKS.items():
        anatomy, acceleration = task.split("_acc")
        path = tmp_path / "runs" / f"{task}-unet-tiny" / "stage-1" / "weights.safetensors"
        save_unet(path, seed, task=task, anatomy=anatomy, masks=masks(acceleration), trained_on=[f"{task}_1"])
    return tmp_path / "runs"


@pytest.fixture
def data(tmp_path):
    for anatomy in ("brain", "knee"):
        for step in (4, 8):
            write(tmp_path / "data", f"{anatomy}{step}", anatomy, step)
    return tmp_path / "data"


def auto(*paths, **settings):
    return ReconstructConfig(**({"weights": tuple(paths), "task": "auto"} | settings))


def chosen(routing, path):
    return choose_method(routing, open_volume(path)).task


@torch.inference_mode()
def by_hand(seed, path, plan=None):
    volume = open_volume(path)
    example = make_example(volume, (0,), choose_mask(volume, plan), has_reference=False)
    image = unet(seed)(example.masked_kspace, example.mask, example.num_center_lines)
    return center_crop(image, example.crop)


def test_every_volume_is_reconstructed_by_the_weights_for_its_anatomy_and_acceleration(runs, data, tmp_path):
    summary = reconstruct_folder(data, tmp_path / "out", auto(runs))
    assert summary.num_volumes == 4
    run = json.loads((tmp_path / "out" / "reconstruct.json").read_text())
    assert (run["task"], run["model"]) == ("auto", "unet")
    assert run["weights_sha256"] == sorted(run["weights"])
    digests = set()
    for anatomy in ("brain", "knee"):
        for step in (4, 8):
            result = read_reconstruction(tmp_path / "out" / f"{anatomy}{step}.h5")
            task = f"{anatomy}_acc{step}"
            image = by_hand(TASKS[task], data / f"{anatomy}{step}.h5")
            assert relative_error(torch.from_numpy(result.image), image) < 1e-6
            path = runs / f"{task}-unet-tiny" / "stage-1" / "weights.safetensors"
            assert result.config["weights"] == str(path) == run["weights"][result.weights_sha256]
            assert result.config["task"] == "auto"
            digests.add(result.weights_sha256)
    assert digests == set(run["weights_sha256"])
    assert len(digests) == 4


def test_the_models_share_nothing_and_each_is_loaded_once(runs):
    routing = build_routing(auto(runs, runs / "knee_acc8-unet-tiny"))
    places = [{weight.data_ptr() for weight in method.model.parameters()} for method in routing.methods]
    assert len(places) == 4
    assert not set.intersection(*places)
    assert sum(map(len, places)) == len(set.union(*places))


def test_a_full_volume_goes_where_the_plan_undersamples_it_to(runs, data, tmp_path):
    write(tmp_path / "full", "file1", "knee")
    plan = MaskPlan(kind="equispaced", acceleration=8, center_fraction=0.1)
    reconstruct_folder(tmp_path / "full", tmp_path / "out", auto(runs, mask=plan))
    result = read_reconstruction(tmp_path / "out" / "file1.h5")
    expected = by_hand(TASKS["knee_acc8"], tmp_path / "full" / "file1.h5", plan)
    assert relative_error(torch.from_numpy(result.image), expected) < 1e-6


@pytest.mark.parametrize(("step", "task"), [(3, "knee_acc4"), (5, "knee_acc4"), (6, "knee_acc8"), (10, "knee_acc8")])
def test_the_nearest_acceleration_counts_on_a_logarithmic_scale(runs, tmp_path, step, task):
    write(tmp_path / "data", "file1", "knee", step)
    assert chosen(build_routing(auto(runs)), tmp_path / "data" / "file1.h5") == task


def test_weights_for_one_anatomy_come_before_those_for_any(runs, tmp_path):
    save_unet(tmp_path / "any.safetensors", task="any", masks=masks(4, 16))
    routing = build_routing(auto(runs, tmp_path / "any.safetensors"))
    write(tmp_path / "data", "a", "knee", 4)
    write(tmp_path / "data", "b", "abdomen", 4)
    write(tmp_path / "data", "c", None, 4)
    write(tmp_path / "data", "d", "knee", 14)
    assert [chosen(routing, tmp_path / "data" / f"{name}.h5") for name in "abcd"] == ["knee_acc4", "any", "any", "any"]


@pytest.mark.parametrize(
    ("volume", "found"),
    [
        (("file1", "abdomen", 4), "it shows abdomen, undersampled 4x"),
        (("file1", "knee", 2), "it shows knee, undersampled 2x"),
        (("file1", "knee", None), r"it shows knee, fully sampled \(give --acceleration\)"),
        (
            ("file1", None, 4),
            r"it is undersampled 4x, and its anatomy is unknown; give the weights of a classifier too \(mrikit train",
        ),
    ],
)
def test_a_volume_that_no_weights_suit_is_named_and_the_rest_goes_on(runs, data, tmp_path, volume, found):
    write(data, *volume)
    reasons = []
    message = rf"^1 of 5 volumes could not be reconstructed: file1.h5: no weights for it; {found}"
    with pytest.raises(DataError, match=message) as caught:
        reconstruct_folder(data, tmp_path / "out", auto(runs), on_failure=reasons.append)
    assert str(caught.value).endswith("; there are weights for brain at 4x, brain at 8x, knee at 4x, knee at 8x")
    assert len(reasons) == 1
    assert reasons[0] in str(caught.value)
    assert len(list((tmp_path / "out").glob("*.h5"))) == 4


def test_a_name_that_contradicts_the_header_is_refused_and_the_rest_goes_on(runs, data, tmp_path):
    write(data, "knee_7", "brain", 4)
    with pytest.raises(DataError, match=r"1 of 5 volumes .*knee_7.h5: the name says knee and the header brain; rename"):
        reconstruct_folder(data, tmp_path / "out", auto(runs))
    assert len(list((tmp_path / "out").glob("*.h5"))) == 4


@pytest.mark.parametrize(("bias", "task"), [([3.0, 0.0], "brain_acc4"), ([0.0, 3.0], "knee_acc4")])
def test_where_header_and_name_are_silent_the_classifier_says_the_anatomy(runs, tmp_path, bias, task):
    save_classifier(tmp_path / "runs" / "anatomy" / "weights.safetensors", bias, task="anatomy")
    routing = build_routing(auto(runs))
    write(tmp_path / "data", "silent", None, 4, num_slices=11)
    write(tmp_path / "data", "brain_1", None, 4)
    write(tmp_path / "data", "file1", "knee", 4)
    assert chosen(routing, tmp_path / "data" / "silent.h5") == task
    assert chosen(routing, tmp_path / "data" / "brain_1.h5") == "brain_acc4"
    assert chosen(routing, tmp_path / "data" / "file1.h5") == "knee_acc4"


def test_the_classifier_sees_eight_slices_that_are_not_read_again(runs, tmp_path, monkeypatch):
    save_classifier(tmp_path / "runs" / "anatomy" / "weights.safetensors", [0.0, 3.0])
    write(tmp_path / "data", "silent", None, 4, num_slices=20)
    from mrikit.volumes.slices import FileSlices

    reads, read = [], FileSlices.__getitem__
    monkeypatch.setattr(FileSlices, "__getitem__", lambda self, index: reads.append(index) or read(self, index))
    seen = []
    monkeypatch.setattr(
        "mrikit.reconstruct.routing.make_example",
        lambda volume, indices, *rest, **more: seen.extend(indices) or make_example(volume, indices, *rest, **more),
    )
    reconstruct_folder(tmp_path / "data", tmp_path / "out", auto(runs))
    assert seen == [1, 3, 6, 8, 11, 13, 16, 18]
    assert sorted(reads) == list(range(20))


def test_a_classifier_that_is_not_sure_is_told_so(runs, tmp_path):
    save_classifier(tmp_path / "runs" / "anatomy" / "weights.safetensors", [1.0, 0.0])
    write(tmp_path / "data", "silent", None, 4)
    message = r"it is undersampled 4x, and its anatomy is unknown: the classifier is not sure \(brain with 0.73, needed"
    with pytest.raises(DataError, match=message):
        chosen(build_routing(auto(runs)), tmp_path / "data" / "silent.h5")


def test_a_task_takes_its_weights_for_all_volumes_but_those_of_another_anatomy(runs, data, tmp_path):
    write(data, "silent", None, 4)
    config = auto(runs, task="knee_acc8")
    message = (
        r"^2 of 5 volumes could not be reconstructed: brain4.h5: shows a brain, and the weights of knee_acc8 are for "
        r"the knee; leave it out, or give --task auto; also brain8.h5$"
    )
    with pytest.raises(DataError, match=message):
        reconstruct_folder(data, tmp_path / "out", config)
    for name in ("knee4", "knee8", "silent"):
        result = read_reconstruction(tmp_path / "out" / f"{name}.h5")
        expected = by_hand(TASKS["knee_acc8"], data / f"{name}.h5")
        assert relative_error(torch.from_numpy(result.image), expected) < 1e-6


def test_a_run_goes_on_with_the_same_weights_only(runs, data, tmp_path):
    reconstruct_folder(data, tmp_path / "out", auto(runs))
    (tmp_path / "out" / "knee4.h5").unlink()
    runs.rename(tmp_path / "moved")
    assert reconstruct_folder(data, tmp_path / "out", auto(tmp_path / "moved")).num_volumes == 1
    save_unet(tmp_path / "moved" / "other.safetensors", 9, anatomy="hip", masks=masks(4))
    with pytest.raises(ConfigError, match=r"is for reconstructions with weights_sha256 \[.*choose another --out$"):
        reconstruct_folder(data, tmp_path / "out", auto(tmp_path / "moved"))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"anatomy": "knee", "masks": masks(2, 8)}, r"both for a knee at 8x; leave one out, or name a task$"),
        ({"task": "knee_acc8", "anatomy": "knee", "masks": masks(8)}, "both for a knee at 8x"),
    ],
)
def test_weights_that_suit_the_same_volumes_are_refused_before_anything_is_done(runs, data, tmp_path, record, message):
    save_unet(runs / "again.safetensors", 9, **record)
    with pytest.raises(ConfigError, match=rf"^.*again.safetensors and .*knee_acc8.*weights.safetensors are {message}"):
        reconstruct_folder(data, tmp_path / "out", auto(runs))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("anatomy", ["knee", None])
def test_a_volume_half_way_between_two_weights_is_refused_by_both_names_and_the_rest_goes_on(tmp_path, anatomy):
    for acceleration in (4, 6.25):
        save_unet(tmp_path / f"{acceleration}.safetensors", anatomy=anatomy or "", masks=masks(acceleration))
    for number, step in enumerate((4, 5, 6), 1):
        write(tmp_path / "data", f"file{number}", anatomy, step)
    message = (
        rf"^1 of 3 volumes could not be reconstructed: file2.h5: \S+4.safetensors and \S+6.25.safetensors are both for "
        rf"{'a knee' if anatomy else 'any anatomy'} at 5x; leave one out, or name a task$"
    )
    with pytest.raises(DataError, match=message):
        reconstruct_folder(tmp_path / "data", tmp_path / "out", auto(tmp_path))
    assert sorted(path.name for path in (tmp_path / "out").glob("*.h5")) == ["file1.h5", "file3.h5"]


@pytest.mark.parametrize(("step", "task"), [(4, "knee_acc4"), (8, "knee_acc8")])
def test_full_kspace_beside_a_mask_goes_where_its_mask_says(runs, tmp_path, step, task):
    lines = np.zeros(SIZE[1], bool)
    lines[::step] = lines[26:34] = True
    (tmp_path / "data").mkdir()
    with h5py.File(tmp_path / "data" / "knee_test1.h5", "w") as file:
        file["kspace"], file["mask"] = make_volume(1, 2, SIZE, WINDOW).kspace, lines
    assert chosen(build_routing(auto(runs)), tmp_path / "data" / "knee_test1.h5") == task
    # A plan goes before it.
    plan = MaskPlan(kind="equispaced", acceleration=8, center_fraction=0.1)
    assert chosen(build_routing(auto(runs, mask=plan)), tmp_path / "data" / "knee_test1.h5") == "knee_acc8"


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("hip", "no weights of the task 'hip'; there are brain_acc4, brain_acc8, knee_acc4, knee_acc8$"),
        ("knee_acc4", "again.safetensors and .*weights.safetensors are both weights of knee_acc4; leave one out"),
    ],
)
def test_a_task_without_weights_or_with_several_is_one_clear_line(runs, task, message):
    save_unet(runs / "again.safetensors", 9, task="knee_acc4")
    with pytest.raises(ConfigError, match=message):
        build_routing(auto(runs, task=task))


def test_two_classifiers_are_one_too_many(runs):
    for name in ("a", "b"):
        save_classifier(runs / f"{name}.safetensors", [0.0, 0.0])
    with pytest.raises(
        ConfigError, match=r"a.safetensors and .*b.safetensors both tell anatomies apart; leave one out"
    ):
        build_routing(auto(runs))


def test_weights_of_no_known_acceleration_are_left_out_with_a_warning(runs):
    save_unet(runs / "published.safetensors")
    with pytest.warns(UserWarning, match=r"^1 weights do not say for which acceleration .* left out: .*published.safe"):
        assert len(build_routing(auto(runs)).methods) == 4
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(ConfigError, match=r"no weights for --task auto in .*published.safetensors; those of a training"),
    ):
        build_routing(auto(runs / "published.safetensors"))


def test_weights_for_any_anatomy_are_listed_as_such(tmp_path):
    save_unet(tmp_path / "any.safetensors", masks=masks(4))
    write(tmp_path / "data", "file1", None, 8)
    with pytest.raises(DataError, match=r"file1: .* it is undersampled 8x; there are weights for any anatomy at 4x$"):
        chosen(build_routing(auto(tmp_path)), tmp_path / "data" / "file1.h5")


@pytest.mark.parametrize("task", ["auto", "anatomy"])
def test_weights_of_a_classifier_alone_are_told_from_none(tmp_path, task):
    save_classifier(tmp_path / "an" / "weights.safetensors", [0.0, 0.0], task="anatomy")
    message = rf"^{tmp_path / 'an'} only tells anatomies apart; add the weights of a network that makes images$"
    with pytest.raises(ConfigError, match=message):
        build_routing(auto(tmp_path / "an", task=task))


def test_a_classifier_makes_no_image(tmp_path):
    save_classifier(tmp_path / "w.safetensors", [0.0, 0.0])
    message = r"w.safetensors holds weights of anatomy_net, which tells anatomies apart and makes no image; give it to"
    with pytest.raises(ConfigError, match=message):
        build_routing(ReconstructConfig(weights=tmp_path / "w.safetensors"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "auto"}, "--task auto chooses among trained networks; name their folders with --weights"),
        (
            {"task": "auto", "weights": ("a",), "model": "unet"},
            "--task auto says which network; leave out --model unet",
        ),
        (
            {"weights": ("a", "b")},
            "several weights need --task auto, or a task's name, to choose among them; found a, b",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_one_clear_line(settings, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        ReconstructConfig(**settings)


def test_weights_of_a_network_that_is_not_known_are_named(tmp_path):
    from mrikit.checkpoint import save_weights

    save_weights(tmp_path / "w.safetensors", "foo", {}, {}, {"masks": masks(4)})
    with pytest.raises(CheckpointError, match="weights for a network that is not known here"):
        build_routing(auto(tmp_path))
