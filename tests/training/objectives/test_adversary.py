"""A network against discriminators of orientation, trained together."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training.children import start_several, wait
from training.small_run import are_same_bits, largest_difference, newest_state, run
from training.test_train import stop_at

import mrikit.training.objectives.adversary
from mrikit.checkpoint import load_weights, read_record
from mrikit.commands.training_kinds import kind_of
from mrikit.config import build_config, change_config
from mrikit.data import AugmentConfig, BatchShape, SliceDataset, SliceKey, draw_masks, prepare, transpose, undersample
from mrikit.errors import ConfigError, DataError
from mrikit.forecast.footprint import trace_step
from mrikit.models.orientation_discriminators import Discriminators, show_dark
from mrikit.models.orientation_losses import orientation_terms, predictor_targets
from mrikit.models.output import image_of
from mrikit.physics.coils import rss
from mrikit.physics.fft import fft2c, ifft2c
from mrikit.training import DataConfig, ExecutionConfig, RunConfig, TrainingConfig
from mrikit.training.adversary_config import AdversaryTraining
from mrikit.training.objectives import Draw, objective_of
from mrikit.training.objectives.image import output_of
from mrikit.training.objectives.objective import Validated
from mrikit.volumes import ScanInfo, Volume, open_volume, write_fastmri

SHAPE = (64, 64)
AGAINST = RunConfig(
    task="knee_banding",
    size="tiny",
    model="unet",
    objective="adversary",
    model_config={"num_channels": 2, "num_pools": 1},
    adversary=AdversaryTraining(kind="narrow", weight_decay=0.1, lr_scale=2.0),
    data=DataConfig(mask_kind="equispaced", center_fractions=(0.125,), num_validation=1),
    augment=AugmentConfig(transpose_probability=0.5),
    training=TrainingConfig(loss="ssim + 0.01 l1", num_epochs=2, batch_size=2, max_lr=3e-3, ema_decay=0.9, seed=4),
    execution=ExecutionConfig(checkpoint_minutes=0),
)
"""Three steps an epoch: three volumes of two slices to train on, one to validate on."""


def corner_volume(name, window=SHAPE, size=SHAPE, notes=()):
    """A disc in one corner, so that most of the image has little signal, with noise."""
    rng = np.random.default_rng(len(name) + ord(name[-1]))
    y, x = (torch.arange(side) for side in size)
    image = ((y[:, None] - 14) ** 2 + (x - 14) ** 2 < 90).float()
    coils = torch.stack([image, image * (1 + 0.5j)]).to(torch.complex64)
    slices = torch.stack([coils, 0.8 * coils])
    noise = rng.standard_normal((2, *slices.shape)).astype(np.float32)
    kspace = fft2c(slices + 0.01 * torch.from_numpy(noise[0] + 1j * noise[1]))
    reference = rss(ifft2c(kspace))
    top, left = ((full - part) // 2 for full, part in zip(size, window, strict=True))
    reference = reference[:, top : top + window[0], left : left + window[1]].numpy()
    info = ScanInfo(
        volume_id=name,
        patient_id=f"patient of {name}",
        anatomy="knee",
        matrix=size,
        recon_matrix=window,
        padding=(0, size[1]),
        reference_max=float(reference.max()),
        notes=notes,
    )
    return Volume(kspace=kspace.numpy(), reference=reference, info=info)


@pytest.fixture(scope="module")
def corners(once):
    return once("corners", lambda data: [write_fastmri(data / f"v{n}.h5", corner_volume(f"v{n}")) for n in range(4)])


@pytest.fixture(scope="module")
def trained(corners, tmp_path_factory):
    folder, rows = tmp_path_factory.mktemp("against") / "run", []
    run(corners, folder, rows, config=AGAINST)
    return folder, rows


@pytest.fixture(scope="module")
def scan(corners):
    """Two slices, the second transposed."""
    volumes = [open_volume(corners / "v0.h5")] * 2
    batch = SliceDataset(volumes[:1]).read([SliceKey(0, 0), SliceKey(0, 1)])
    return transpose(prepare(batch, volumes, torch.device("cpu")), [False, True])


def changed(**changes):
    return change_config(AGAINST, {key.replace("__", "."): value for key, value in changes.items()}, "")


def built(**changes):
    objective = objective_of(changed(**changes))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return objective, objective.parts()


def gradients(scan, *, of, loss, epoch=0, **changes):
    """Of one part, flat; of the sum of one loss, `total` or a term."""
    objective, parts = built(**changes)
    losses = objective.losses(parts, scan, Draw(0, epoch))
    chosen = losses.total if loss == "total" else losses.terms[loss]
    if not chosen.requires_grad:
        return torch.zeros(1)
    found = torch.autograd.grad(chosen.sum(), list(parts[of].parameters()), allow_unused=True)
    return torch.cat([torch.zeros(1) if one is None else one.flatten() for one in found])


def test_the_discriminators_losses_move_the_discriminators_alone(scan):
    for loss in ("adversary", "regulariser"):
        assert gradients(scan, of="discriminators", loss=loss).abs().max() > 1e-4
        assert not gradients(scan, of="network", loss=loss).any()


def test_the_networks_losses_move_the_network_alone(scan):
    for loss in ("predictor", "ssim", "l1"):
        assert gradients(scan, of="network", loss=loss).abs().max() > 1e-6
        assert not gradients(scan, of="discriminators", loss=loss).any()


def test_discriminators_may_be_shown_dark_places(scan):
    objective, parts = built(adversary__sees_dark=True)
    found = objective.losses(parts, scan, Draw(0, 0))
    plain, other = built()
    of_image = plain.losses(other, scan, Draw(0, 0))
    torch.testing.assert_close(found.terms["ssim"], of_image.terms["ssim"])
    masks = draw_masks(AGAINST.data.plans, scan, Draw(0, 0).generators(scan, "mask"))
    image = image_of(output_of(parts["network"], undersample(scan, masks)))
    labels = torch.tensor([False, True])
    expected = orientation_terms(parts["discriminators"], show_dark(image), labels, predictor_targets(labels))
    for name in ("predictor", "adversary", "regulariser"):
        torch.testing.assert_close(found.terms[name], getattr(expected, name))
        assert not torch.allclose(found.terms[name], of_image.terms[name])


def test_the_whole_loss_is_that_of_both_at_their_weights(scan):
    objective, parts = built(adversary__strength=0.5, adversary__regulariser=0.2)
    losses = objective.losses(parts, scan, Draw(0, 0))
    terms = losses.terms
    expected = terms["ssim"] + 0.01 * terms["l1"] + 0.5 * terms["predictor"] + terms["adversary"]
    torch.testing.assert_close(losses.total, expected + 0.2 * terms["regulariser"])


def test_the_strength_rises_in_equal_steps_from_its_epoch_on():
    settings = AdversaryTraining(strength=2, first_epoch=3, ramp_epochs=3, warmup_epoch=1)
    assert [settings.strength_in(epoch) for epoch in range(8)] == [0, 0, 0, 0.5, 1, 1.5, 2, 2]
    assert AdversaryTraining().strength_in(0) == 1


@pytest.mark.parametrize(("epoch", "share"), [(7, 0), (8, 0.5)])
def test_the_network_hears_of_its_adversary_as_loud_as_the_epoch_of_the_run_has_it(scan, epoch, share):
    settings = {"adversary__first_epoch": 1, "adversary__ramp_epochs": 1, "training__first_epoch": 7}
    of_ssim, of_l1, heard, whole = (
        gradients(scan, of="network", loss=loss, epoch=epoch, **settings)
        for loss in ("ssim", "l1", "predictor", "total")
    )
    torch.testing.assert_close(whole, of_ssim + 0.01 * of_l1 + share * heard, rtol=1e-4, atol=1e-6)


def test_logits_and_accuracy_are_told_apart_by_orientation(scan):
    objective, parts = built()
    numbers = objective.losses(parts, scan, Draw(0, 0)).numbers
    assert numbers["logit_upright"].isnan().tolist() == [False, True]
    assert numbers["logit_transposed"].isnan().tolist() == [True, False]
    right = [numbers["logit_upright"][0] <= 0, numbers["logit_transposed"][1] > 0]
    assert numbers["accuracy"].tolist() == [float(one) for one in right]


def test_discriminators_compute_in_float32_beside_a_network_in_bfloat16(scan):
    objective, parts = built(training__precision="bf16")
    seen = {}
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: seen.update({name: output.dtype}))
        for name, module in parts.named_modules()
        if isinstance(module, torch.nn.Conv2d)
    ]
    losses = objective.losses(parts, scan, Draw(0, 0))
    losses.total.sum().backward()
    assert len(hooks) == len(seen)
    dtypes = {part: {dtype for name, dtype in seen.items() if name.startswith(part)} for part in parts}
    assert torch.bfloat16 in dtypes["network"]
    assert dtypes["discriminators"] == {torch.float32}


def test_gradient_checkpoints_change_nothing(scan):
    settings = {"num_cascades": 1, "num_channels": 2, "num_pools": 1, "num_sens_channels": 0}
    kept, computed_twice = (
        gradients(
            scan,
            of="network",
            loss="total",
            model="soft_varnet",
            model_config={**settings, "use_checkpoint": use_checkpoint},
        )
        for use_checkpoint in (False, True)
    )
    torch.testing.assert_close(computed_twice, kept, rtol=1e-5, atol=1e-7)


def test_discriminators_have_rate_decay_and_beginning_of_their_own():
    objective, parts = built(training__weight_decay=0.3, adversary__warmup_epoch=2, adversary__first_epoch=2)
    found = {group.name: (group.rate_scale, group.weight_decay, group.first_epoch) for group in objective.groups(parts)}
    assert found == {
        "network": (1, 0.3, 0),
        "network biases": (1, 0, 0),
        "discriminators": (2, 0.1, 2),
        "discriminators biases": (2, 0, 2),
    }


def test_a_run_begins_with_a_validation_that_later_ones_are_compared_with(trained):
    folder, rows = trained
    start, *validations = [row for row in rows if row["kind"] in ("start", "validation")]
    assert (start["kind"], start["step"]) == ("start", 0)
    for row in validations:
        lost = [start[name] - row[name] for name in ("ssim", "transposed_ssim")]
        assert row["ssim_loss"] == pytest.approx(max(lost))
        assert 0 <= row["accuracy"] <= 1
        assert row["abs_banding_db"] >= abs(row["banding_db"])
        assert row["bounded_banding"] >= row["abs_banding_db"]
    said = kind_of(AGAINST).validation(start, AGAINST)
    assert said.startswith(f"before the first step: SSIM {start['ssim']:.4f}, ")
    best = min(validations, key=lambda row: row["bounded_banding"])
    assert load_weights(folder).record["step"] == best["step"]


@pytest.mark.parametrize("worse", ["ssim", "transposed_ssim"])
def test_an_epoch_is_within_the_bound_if_neither_orientation_loses_more(worse):
    objective = objective_of(AGAINST)
    start = {"ssim": 0.9, "transposed_ssim": 0.92, "lowest_slice_ssim": 0.8, "contrast": 0.9, "abs_banding_db": 2.0}
    found = Validated(2.0, start | {worse: start[worse] - 0.006})
    assert objective.against_start(Validated(2.0, start), start).score == 2
    assert objective.against_start(found, start).score > 100


def test_the_second_stage_begins_with_the_weights_that_were_best_in_the_first(corners, tmp_path):
    first, second, lines = ([], [], [])
    before = changed(objective="image", stage=1, execution__keep_best=True)
    run(corners, tmp_path / "stage-1", first, config=before)
    run(corners, tmp_path / "stage-2", second, lines, config=AGAINST, start=tmp_path / "stage-1", stage=2)
    best = max(row["ssim"] for row in first if row["kind"] == "validation")
    assert next(row for row in second if row["kind"] == "start")["ssim"] == pytest.approx(best)
    assert any("Adam begins anew, because the discriminators had no moments there" in line for line in lines)


def test_the_second_stage_without_the_first_is_one_clear_line(corners, tmp_path):
    with pytest.raises(
        ConfigError, match="begins with the stage before it; give its folder, or other weights"
    ) as caught:
        run(corners, tmp_path / "stage-2", config=AGAINST, stage=2)
    assert "\n" not in str(caught.value)


def test_a_run_that_has_failed_says_why_in_its_row_and_on_one_line(corners, tmp_path, monkeypatch):
    monkeypatch.setattr(mrikit.training.objectives.adversary, "failure", lambda *_: "an image is constant")
    rows = []
    run(corners, tmp_path / "run", rows, config=AGAINST, training__num_epochs=1)
    (row,) = (row for row in rows if row["kind"] == "validation")
    assert row["failed"] == "an image is constant"
    assert row["bounded_banding"] > 1000
    said = kind_of(AGAINST).validation(row, AGAINST)
    assert said.endswith(" of 1 volumes, the best so far; FAILED: an image is constant")
    assert f"banding {row['abs_banding_db']:.2f} dB, orientation told of " in said
    assert "\n" not in said


def test_both_learn_and_all_terms_are_logged(trained):
    folder, rows = trained
    state = newest_state(folder)
    names = [name for name in state if name.startswith("exp_avg/")]
    assert any("discriminators/" in name for name in names)
    assert any("discriminators/" not in name for name in names)
    assert all(state[name].abs().max() > 0 for name in names if name.endswith("weight"))
    for row in (row for row in rows if row["kind"] == "epoch"):
        weights = {"ssim": 1, "l1": 0.01, "predictor": 1, "adversary": 1, "regulariser": 0.1}
        assert row["loss"] == pytest.approx(sum(weight * row[f"loss_{name}"] for name, weight in weights.items()))
        assert {"accuracy", "logit_upright", "logit_transposed"} <= row.keys()


def test_the_discriminators_lie_beside_the_weights_with_their_settings(trained):
    folder, _ = trained
    file = folder / "parts" / "discriminators.safetensors"
    settings = build_config(AdversaryTraining, read_record(file)["adversary"], "adversary")
    assert settings == AGAINST.adversary
    Discriminators(settings.kind, settings.count).load_state_dict(load_file(file), strict=True)
    assert not any("discriminators" in name for name in load_weights(folder).tensors)


def test_a_run_that_was_stopped_ends_with_the_same_bits(corners, trained, tmp_path):
    folder, rows = tmp_path / "run", []
    run(corners, folder, config=AGAINST, on_row=stop_at(4))
    run(corners, folder, rows, config=AGAINST)
    assert are_same_bits(newest_state(folder), newest_state(trained[0]))
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["kind"] for row in found].count("start") == 1
    assert [row["kind"] for row in rows].count("start") == 0
    scores = [[row["bounded_banding"] for row in some if row["kind"] == "validation"] for some in (found, trained[1])]
    assert scores[0] == scores[1]


@pytest.mark.slow
def test_two_processes_train_the_same_discriminators(corners, trained, tmp_path):
    several = start_several(corners, tmp_path / "run", 2, tmp_path, config=AGAINST, execution__zero_stage=2)
    assert wait(several) == [0, 0]
    assert largest_difference(newest_state(tmp_path / "run"), newest_state(trained[0])) < 1e-4


def test_slices_are_judged_each_by_itself_so_that_micro_batches_add_up(scan):
    objective, parts = built()
    both = objective.losses(parts, scan, Draw(0, 0))
    for place in range(2):
        one = replace(
            scan,
            kspace=scan.kspace[place : place + 1],
            reference=scan.reference[place : place + 1],
            data_range=scan.data_range[place : place + 1],
            facts=scan.facts[place : place + 1],
        )
        alone = objective.losses(parts, one, Draw(0, 0))
        torch.testing.assert_close(alone.total, both.total[place : place + 1], rtol=1e-5, atol=1e-5)


def test_zero_3_is_refused_before_the_start(corners, tmp_path):
    with pytest.raises(ConfigError, match=r"adversary is trained with stages up to 2; set execution\.zero_stage=2"):
        run(corners, tmp_path, config=AGAINST, execution__zero_stage=3)


def test_memory_is_predicted_with_the_discriminators():
    shape = BatchShape(num_slices=2, kspace=(2, *SHAPE), window=SHAPE, reference=None)
    alone, both = (trace_step(config, shape, is_gpu=False) for config in (replace(AGAINST, objective="image"), AGAINST))
    late = trace_step(changed(adversary__first_epoch=5), shape, is_gpu=False)
    _, parts = built()
    own = 4 * sum(weight.numel() for weight in parts["discriminators"].parameters())
    assert both.trained_bytes - alone.trained_bytes == own
    assert both.peak_bytes > alone.peak_bytes
    assert late.peak_bytes == both.peak_bytes


def test_windows_that_are_not_square_are_batched_by_orientation(tmp_path):
    for number in range(2):
        write_fastmri(tmp_path / f"w{number}.h5", corner_volume(f"w{number}", window=(64, 56)))
    rows = []
    run(tmp_path, tmp_path / "run", rows, config=AGAINST, training__micro_batch_size=2, training__num_epochs=4)
    told = {name for row in rows if row["kind"] == "train" for name in row if name.startswith("logit")}
    assert told == {"logit_upright", "logit_transposed"}


def test_both_orientations_of_a_window_that_is_not_square_are_one_clear_line(scan):
    objective, parts = built()
    cropped = replace(scan, crop=(64, 56), reference=scan.reference[..., :56])
    with pytest.raises(DataError, match="a batch of both orientations, of 64 x 56, which are no square") as caught:
        objective.losses(parts, cropped, Draw(0, 0))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("volume", "changes", "message"),
    [
        (
            {"notes": ("the array is 9 x 8: its phase axis may come first; it is taken as it is",)},
            {},
            "an adversary needs to know which axis is phase, and of this volume nobody does; mend the encoded size",
        ),
        ({"window": (64, 28)}, {"adversary__kind": "resnet50"}, "the discriminator resnet50 needs windows of 32 x 32"),
        ({"window": (64, 28)}, {}, "banding needs windows of 32 x 32 or more, found 64 x 28; take larger images"),
    ],
)
def test_volumes_that_will_not_do_are_one_line_before_the_start(volume, changes, message):
    with pytest.raises(DataError) as caught:
        objective_of(changed(**changes)).check([corner_volume("v", **volume)], "data")
    assert str(caught.value).startswith("data, v: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_validation_banding_needs_no_room():
    objective, volume = objective_of(changed(data__num_validation=0)), corner_volume("v", window=(64, 28))
    objective.check([volume], "data")
    with pytest.raises(DataError, match="banding needs windows of 32 x 32"):
        objective.check([volume], "data", is_training=False)


def test_masks_of_points_are_refused():
    with pytest.raises(
        ConfigError, match=r"and poisson_disc has no orientation; set it to 0, or data\.mask_kind to lines"
    ):
        changed(data__mask_kind="poisson_disc")
    config = changed(data__validation_mask_kind="poisson_disc")
    with pytest.raises(
        ConfigError, match="tells the axis of lines, and the poisson_disc mask measures points along both"
    ):
        objective_of(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adversary.kind": "deep"}, "adversary.kind is one of shallow, wide, simple, "),
        ({"adversary.count": 0}, "adversary.count is at least 1, found 0"),
        ({"adversary.strength": -1.0}, "adversary.strength is 0 or more, found -1"),
        ({"adversary.regulariser": "nan"}, "adversary.regulariser is 0 or more, found nan"),
        ({"adversary.weight_decay": "inf"}, "adversary.weight_decay is 0 or more, found inf"),
        ({"adversary.lr_scale": -2.0}, "adversary.lr_scale is 0 or more, found -2"),
        ({"adversary.warmup_epoch": -1}, "adversary.warmup_epoch is 0 or more, found -1"),
        ({"adversary.ramp_epochs": -1}, "adversary.ramp_epochs is 0 or more, found -1"),
        ({"adversary.warmup_epoch": 2}, "adversary.first_epoch is at least adversary.warmup_epoch, found 0 and 2"),
        ({"adversary.max_ssim_loss": -0.1}, "adversary.max_ssim_loss is 0 or more, found -0.1"),
        ({"adversary.failed_ssim_loss": 0.001}, "adversary.failed_ssim_loss is at least adversary.max_ssim_loss"),
        ({"adversary.failed_slice_loss": "nan"}, "adversary.failed_slice_loss is 0 or more, found nan"),
        ({"augment.transpose_probability": 0.0}, "augment.transpose_probability 0 gives one; set it to 0.5"),
        ({"augment.transpose_probability": 1.0}, "augment.transpose_probability 1 gives one; set it to 0.5"),
        (
            {"data.validation_score": "kspace_nmse", "model": "spirit_net", "model_config": {"num_coils": 2}},
            "is bound by the loss of SSIM, found data.validation_score=kspace_nmse",
        ),
        (
            {"sampler.kind": "lines", "data.mask_kind": "learned", "augment.transpose_probability": 0.0},
            "is for masks that are drawn; found unet with learned ones",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_one_line(changes, message):
    with pytest.raises(ConfigError) as caught:
        change_config(AGAINST, changes, "train")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
