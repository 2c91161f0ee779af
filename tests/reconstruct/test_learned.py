"""Masks that weights have learned: which is used, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from reconstruct.learned_weights import (
    LINES,
    SHAPE,
    SPIRIT,
    network,
    plans,
    sampler_of,
    save_learned,
    write_volumes,
)
from reconstruct.networks import Watch, save_unet, trained

from mrikit.checkpoint import build_trained_sampler, load_weights, save_weights
from mrikit.data import MaskPlan
from mrikit.errors import CheckpointError, ConfigError, DataError
from mrikit.models import build_model
from mrikit.models.output import Output
from mrikit.reconstruct import ReconstructConfig, build_method, reconstruct_folder, reconstruct_volume
from mrikit.storage import read_json
from mrikit.volumes import open_volume
from mrikit.volumes.reconstruction import read_reconstruction

ONE = (3.0,)
UNDERSAMPLED = np.arange(28) % 2 == 0


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_volumes(tmp_path_factory.mktemp("data"))


def learned(acceleration):
    return MaskPlan(kind="learned", acceleration=acceleration)


def reconstruct(data, out, weights, mask=None, **settings):
    summary = reconstruct_folder(data, out, ReconstructConfig(weights=weights, mask=mask, **settings))
    return summary, read_reconstruction(out / "v0.h5")


def kspace_of(data):
    return torch.from_numpy(np.asarray(open_volume(data / "v0.h5").kspace[0]))[None]


def test_without_a_mask_full_volumes_get_the_learned_one(data, tmp_path):
    _, made = reconstruct(data, tmp_path / "out", save_learned(tmp_path / "w.safetensors", accelerations=ONE))
    expected = sampler_of(accelerations=ONE).mask(0)
    assert np.array_equal(made.mask.samples, expected.samples)
    assert (made.mask.kind, made.mask.acceleration) == ("learned", 3)
    assert made.mask.true_acceleration == pytest.approx(32 * 28 / round(32 * 28 / 3))
    mask = torch.from_numpy(expected.samples)[None, None]
    with torch.inference_mode():
        image = network()(kspace_of(data) * mask, mask, torch.tensor([4]))[0, 4:28, 4:24]
    np.testing.assert_allclose(made.image[0], image.numpy(), rtol=1e-5, atol=1e-6)
    assert read_json(tmp_path / "out" / "reconstruct.json")["mask"] == plans(ONE)[0]


def test_of_several_it_is_the_lowest_and_that_is_said(data, tmp_path):
    weights = save_learned(tmp_path / "w.safetensors")
    with pytest.warns(UserWarning, match=r"masks of 3x, 6x were learned; full volumes get that of 3x"):
        _, made = reconstruct(data, tmp_path / "out", weights)
    assert np.array_equal(made.mask.samples, sampler_of().mask(0).samples)


@pytest.mark.parametrize(
    ("mask", "settings"),
    [(learned(6.0), {}), (MaskPlan(acceleration=6.0, center_fraction=0.32 / 6), {"is_usual_kind": True})],
)
def test_an_acceleration_chooses_among_them(data, tmp_path, mask, settings):
    weights = save_learned(tmp_path / "w.safetensors")
    _, made = reconstruct(data, tmp_path / "out", weights, mask, **settings)
    assert np.array_equal(made.mask.samples, sampler_of().mask(1).samples)


def test_another_mask_is_used_with_a_warning(data, tmp_path):
    weights = save_learned(tmp_path / "w.safetensors")
    with pytest.warns(UserWarning, match=r"was trained with masks that were learned for it, and is given random; "):
        _, made = reconstruct(data, tmp_path / "out", weights, MaskPlan(kind="random", acceleration=3))
    assert made.mask.kind == "random"


def test_a_centre_fraction_of_a_learned_mask_has_no_effect(data, tmp_path):
    weights = save_learned(tmp_path / "w.safetensors")
    with pytest.warns(UserWarning, match=r"has a centre of its own; --center-fraction has no effect"):
        reconstruct(data, tmp_path / "out", weights, MaskPlan(kind="learned", acceleration=3, center_fraction=0.5))


def test_an_acceleration_that_was_not_learned_names_those_that_were(data, tmp_path):
    weights = save_learned(tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match=r"no mask of 5x was learned; these weights have 3x, 6x; give --acceleration"):
        reconstruct(data, tmp_path / "out", weights, learned(5.0))
    volume, method = open_volume(data / "v0.h5"), build_method(ReconstructConfig(weights=weights))
    with pytest.raises(ConfigError, match="no mask of 5x was learned"):
        reconstruct_volume(volume, method, learned(5.0))


def test_a_learned_mask_of_what_has_none_is_refused(data, tmp_path):
    save_unet(tmp_path / "w.safetensors", masks=[{"kind": "random", "acceleration": 4.0, "center_fraction": 0.1}])
    with pytest.raises(ConfigError, match=r"--mask learned: .*w\.safetensors learned no mask; name weights of a run"):
        reconstruct(data, tmp_path / "out", tmp_path / "w.safetensors", learned(4.0))
    with pytest.raises(ConfigError, match="--mask learned: zero_filled learned no mask"):
        reconstruct_folder(data, tmp_path / "out", ReconstructConfig(model="zero_filled", mask=learned(4.0)))


def test_volumes_of_another_matrix_are_named(tmp_path):
    other = write_volumes(tmp_path / "data", num_volumes=1, size=(32, 30))
    weights = save_learned(tmp_path / "w.safetensors", accelerations=ONE)
    with pytest.raises(DataError) as caught:
        reconstruct(other, tmp_path / "out", weights)
    assert str(caught.value) == (
        "1 of 1 volumes could not be reconstructed: v0.h5: the learned mask is of 32 x 28, and k-space of 32 x 30; it "
        "suits data of its matrix alone; name such data, or another --mask"
    )


def test_undersampled_volumes_keep_their_mask(tmp_path):
    data = write_volumes(tmp_path / "data", num_volumes=1, mask=UNDERSAMPLED)
    weights = save_learned(tmp_path / "w.safetensors", accelerations=ONE)
    summary, made = reconstruct(data, tmp_path / "out", weights)
    assert summary.num_own_mask == 1
    assert np.array_equal(made.mask.samples, UNDERSAMPLED)
    assert made.kspace_energies is None


def test_lines_come_with_the_number_of_their_centre(data, tmp_path):
    model = Watch()
    mask = sampler_of(LINES, ONE).mask(0)
    method = replace(trained(model, masks=plans(ONE)), learned={3.0: mask})
    made = reconstruct_volume(open_volume(data / "v0.h5"), method, learned(3.0))
    assert made.mask.num_center_lines == mask.num_center_lines >= 4
    assert torch.equal(model.seen[0], kspace_of(data) * torch.from_numpy(mask.samples))


def test_with_auto_the_mask_of_the_chosen_weights_is_used(data, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    save_learned(folder / "learned.safetensors", anatomy="knee")
    save_unet(folder / "drawn.safetensors", anatomy="", masks=[{"kind": "random", "acceleration": 12.0}])
    config = {"weights": (folder,), "task": "auto"}
    reconstruct_folder(data, tmp_path / "out", ReconstructConfig(**config, mask=learned(6.0)))
    assert np.array_equal(read_reconstruction(tmp_path / "out" / "v1.h5").mask.samples, sampler_of().mask(1).samples)
    with pytest.raises(DataError, match=r"v0\.h5: --mask learned: .*drawn\.safetensors learned no mask"):
        reconstruct_folder(data, tmp_path / "other", ReconstructConfig(**config, mask=learned(12.0)))
    with pytest.raises(DataError, match="no mask of 5x was learned"):
        reconstruct_folder(data, tmp_path / "other", ReconstructConfig(**config, mask=learned(5.0)))


def test_a_network_that_fills_kspace_leaves_the_energy_of_its_error(data, tmp_path):
    weights = save_learned(tmp_path / "w.safetensors", accelerations=ONE)
    _, made = reconstruct(data, tmp_path / "out", weights)
    full, mask = kspace_of(data), torch.from_numpy(sampler_of(accelerations=ONE).mask(0).samples)[None, None]
    with torch.inference_mode():
        filled = network().compute(full * mask, mask, torch.tensor([4])).kspace
    expected = [(filled - full).abs().square().sum(), full.abs().square().sum()]
    np.testing.assert_allclose(made.kspace_energies[0], [float(one) for one in expected], rtol=1e-4)
    assert made.kspace_energies.shape == (2, 2)


def test_classical_spirit_fills_kspace_too(data, tmp_path):
    plan = MaskPlan(kind="random", acceleration=2, center_fraction=0.4)
    reconstruct_folder(data, tmp_path, ReconstructConfig(model="spirit", mask=plan))
    made = read_reconstruction(tmp_path / "v0.h5")
    full, mask = kspace_of(data), torch.from_numpy(made.mask.samples)
    found = build_model("spirit").compute(
        full * mask, mask[None, None, None], torch.tensor([made.mask.num_center_lines])
    )
    expected = [(found.kspace - full).abs().square().sum(), full.abs().square().sum()]
    np.testing.assert_allclose(made.kspace_energies[0], [float(one) for one in expected], rtol=1e-3)


def test_kspace_of_compressed_coils_is_not_compared(data, tmp_path):
    settings = SPIRIT | {"num_coils": 1}
    weights = save_learned(tmp_path / "w.safetensors", accelerations=ONE, settings=settings)
    _, made = reconstruct(data, tmp_path / "out", weights)
    assert made.kspace_energies is None


class Echo(Watch):
    """Zero-filled, with k-space."""

    gives_kspace = True

    def compute(self, masked_kspace, mask, num_center_lines):
        return Output(self(masked_kspace, mask, num_center_lines), masked_kspace)


def test_mirror_images_lead_back_to_the_same_kspace(data):
    volume, plan = open_volume(data / "v0.h5"), MaskPlan(kind="random", acceleration=3, center_fraction=0.2)
    plain, flipped = (
        reconstruct_volume(volume, trained(Echo(), flips=flips), plan).kspace_energies for flips in (False, True)
    )
    np.testing.assert_allclose(flipped, plain, rtol=1e-5)
    assert (plain[:, 0] < plain[:, 1]).all()


def test_a_sampler_that_lost_its_tensors_is_refused(tmp_path):
    path = save_learned(tmp_path / "w.safetensors")
    found = load_weights(path)
    save_weights(path, found.model, found.model_config, found.tensors, found.record)
    with pytest.raises(CheckpointError, match=r"its sampler needs logits \(2, 32, 28\), found no tensor"):
        build_trained_sampler(load_weights(path))
    broken = {"sampler/logits": torch.full((2, *SHAPE), torch.nan)}
    save_weights(path, found.model, found.model_config, found.tensors | broken, found.record)
    with pytest.raises(CheckpointError, match="its sampler holds NaN"):
        build_trained_sampler(load_weights(path))


@pytest.mark.parametrize("change", [{"sampler": {"kind": "spiral"}}, {"masks": [{"kind": "learned"}]}])
def test_a_sampler_of_another_version_is_refused(tmp_path, change):
    path = save_learned(Path(tmp_path / "w.safetensors"), **change)
    with pytest.raises(CheckpointError, match=r"w\.safetensors: a sampler that is not known here"):
        build_trained_sampler(load_weights(path))
