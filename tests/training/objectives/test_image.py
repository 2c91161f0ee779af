import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from scored_study import write_volumes
from training.small_run import CONFIG, run

from mrikit.checkpoint import build_trained_model, find_checkpoints, load_weights, read_record
from mrikit.config import change_config
from mrikit.data import SliceDataset, load_training_volumes
from mrikit.errors import DataError
from mrikit.evaluate import evaluate
from mrikit.models.classical import ZeroFilled
from mrikit.models.output import Output
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from mrikit.reconstruct import ReconstructConfig, reconstruct_folder
from mrikit.runs.interrupts import StopRequest
from mrikit.runs.process import Process
from mrikit.training import DataConfig
from mrikit.training.network import InPrecision
from mrikit.training.objectives.image import output_of, validate_images, validation_examples
from mrikit.training.volumes import open_study

UNET = {"num_channels": 2, "num_pools": 1}
ALONE = Process(rank=0, world_size=1, device=torch.device("cpu"), store=None)


def validate(network, dataset, data, process, stop):
    whole = InPrecision(network, "fp32")

    def slices(position):
        for example in validation_examples(dataset, position, data, process.device):
            yield output_of(whole, example), example

    return validate_images(slices, dataset, data, process, stop)


def held_out(config, study, folder):
    """Only the volumes that validate."""
    folder.mkdir()
    for volume in open_study(config, study).validation.volumes:
        shutil.copy(study / f"{volume.info.volume_id}.h5", folder)
    return folder


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_score_is_that_of_reconstructing_and_evaluating_the_held_out_volumes(study, tmp_path, precision):
    changes = {"training.precision": precision, "training.num_epochs": 1, "data.mask_kind": "random"}
    config, rows = change_config(CONFIG, changes, "test"), []
    run(study, tmp_path / "run", rows, config=config)
    (validated,) = (row for row in rows if row["kind"] == "validation")
    data = held_out(config, study, tmp_path / "data")
    (plan,) = config.data.plans
    settings = ReconstructConfig(weights=tmp_path / "run", mask=plan, precision=precision)
    reconstruct_folder(data, tmp_path / "recon", settings)
    scored = evaluate(data, tmp_path / "recon").rows
    assert len(scored) == validated["num_volumes"] == 2
    for name in ("ssim", "psnr", "nmse"):
        mean = sum(getattr(row, name) for row in scored) / 2
        assert validated[name] == pytest.approx(mean, abs=1e-6), name


def test_a_network_that_crops_before_is_trained_and_validated_on_the_window(study, tmp_path):
    changes = {"model": "unet", "model_config": {**UNET, "crops_before": True, "clamps_input": True}}
    config, rows = replace(CONFIG, **changes), []
    config = change_config(config, {"training.num_epochs": 1, "data.mask_kind": "random"}, "test")
    run(study, tmp_path / "run", rows, config=config)
    (validated,) = (row for row in rows if row["kind"] == "validation")
    data = held_out(config, study, tmp_path / "data")
    (plan,) = config.data.plans
    reconstruct_folder(data, tmp_path / "recon", ReconstructConfig(weights=tmp_path / "run", mask=plan))
    scored = evaluate(data, tmp_path / "recon").rows
    assert validated["ssim"] == pytest.approx(sum(row.ssim for row in scored) / 2, abs=1e-6)
    assert load_weights(tmp_path / "run").model_config["crops_before"] is True


def test_the_score_inside_the_body_is_that_of_the_leaderboard(study, tmp_path):
    changes = {"training.num_epochs": 1, "data.validation_score": "body_ssim", "data.anatomy": "knee"}
    changes |= {"data.validation_mask_kind": "random", "data.max_readout": 26}
    config, rows = change_config(CONFIG, changes, "test"), []
    run(study, tmp_path / "run", rows, config=config)
    (validated,) = (row for row in rows if row["kind"] == "validation")
    data = held_out(config, study, tmp_path / "data")
    (plan,) = config.data.validation_plans
    reconstruct_folder(data, tmp_path / "recon", ReconstructConfig(weights=tmp_path / "run", mask=plan))
    scored = evaluate(data, tmp_path / "recon", scorer="snu-2025").rows
    assert validated["body_ssim"] == pytest.approx(sum(row.ssim for row in scored) / 2, abs=1e-6)
    assert load_weights(tmp_path / "run").record["body_ssim"] == validated["body_ssim"]
    assert read_record(find_checkpoints(tmp_path / "run")[-1])["position"]["best_score"] == validated["body_ssim"]


def test_of_several_accelerations_each_volume_keeps_one(study, tmp_path):
    data = DataConfig(accelerations=(2, 4, 8), center_fractions=(0.16, 0.16, 0.16))
    dataset = SliceDataset(load_training_volumes(study).volumes)
    chosen = []

    class Watch(ZeroFilled):
        def forward(self, masked_kspace, mask, num_center_lines):
            chosen.append(mask.numel() / mask.sum().item())
            return super().forward(masked_kspace, mask, num_center_lines)

    network = Watch(None)
    first, again = (validate(network, dataset, data, ALONE, StopRequest()) for _ in range(2))
    assert first[:2] == again[:2]
    assert chosen[:14] == chosen[14:]
    assert chosen[0:14:2] == chosen[1:14:2]
    assert len({round(factor) for factor in chosen}) > 1


def test_a_validation_is_given_up_when_somebody_asks_to_stop(study):
    stop, dataset = StopRequest(), SliceDataset(load_training_volumes(study).volumes)
    seen = []

    class Watch(ZeroFilled):
        def forward(self, masked_kspace, mask, num_center_lines):
            seen.append(1)
            stop.signal = 2 if len(seen) == 4 else None
            return super().forward(masked_kspace, mask, num_center_lines)

    assert validate(Watch(None), dataset, DataConfig(), ALONE, stop) is None
    assert len(seen) == 4


def test_a_volume_without_a_score_is_named(tmp_path):
    write_volumes(tmp_path, num_volumes=1)
    import h5py

    with h5py.File(tmp_path / "v0.h5", "r+") as file:
        file["reconstruction_rss"][:] = 0
        file.attrs["max"] = 0.0
    dataset = SliceDataset(load_training_volumes(tmp_path).volumes)
    with pytest.raises(DataError, match=r"validation of v0 gave SSIM .*; is its reference all zeros\?"):
        validate(ZeroFilled(None), dataset, DataConfig(), ALONE, StopRequest())


def test_validation_changes_nothing_in_the_network(study, finished):
    network = build_trained_model(load_weights(finished[0]))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    dataset = SliceDataset(load_training_volumes(study).volumes)
    validate(network, dataset, DataConfig(center_fractions=(0.16,)), ALONE, StopRequest())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())


def test_the_error_of_kspace_is_that_of_all_slices_of_a_volume_together(study):
    config = replace(CONFIG, data=replace(CONFIG.data, num_validation=2))
    dataset = open_study(config, study).validation
    data = replace(config.data, validation_score="kspace_nmse")

    def slices(position):
        for number, example in enumerate(validation_examples(dataset, position, data, ALONE.device)):
            full = example.full_kspace
            # The first slice is a tenth off, the others are right.
            yield Output(rss(ifft2c(full)), full * (0.9 if number == 0 else 1.0)), example

    found = validate_images(slices, dataset, data, ALONE, StopRequest())
    energies = [
        [float(np.square(np.abs(np.asarray(volume.kspace[index]))).sum()) for index in range(len(volume.kspace))]
        for volume in dataset.volumes
    ]
    expected = np.mean([0.01 * first / (first + sum(rest)) for first, *rest in energies])
    assert found.numbers["kspace_nmse"] == pytest.approx(expected, rel=1e-4)
