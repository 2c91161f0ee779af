"""A run at a smaller matrix and with virtual coils, to its scores."""

import numpy as np
import pytest
import torch
from card_study import change, write_card_study
from training.small_run import run, write_study

from mrikit.checkpoint import load_weights
from mrikit.data import MaskPlan, scored_window
from mrikit.data.at_matrix import crop_to_matrix
from mrikit.errors import DataError
from mrikit.evaluate import evaluate, read_pair
from mrikit.evaluate.score_card import find_needed, make_card
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from mrikit.reconstruct import ReconstructConfig, reconstruct_folder
from mrikit.run_files import WEIGHTS_FILE
from mrikit.volumes import open_volume


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smaller")
    data, rows = write_study(folder / "data"), []
    run(data, folder / "run", rows, data__matrix="16,18", data__num_coils=1, training__num_epochs=1)
    return data, folder / "run", rows


def test_volumes_of_all_shapes_become_one_and_the_weights_say_how(trained):
    _, folder, rows = trained
    assert np.isfinite([row["loss"] for row in rows if row["kind"] == "train"]).all()
    record = load_weights(folder / WEIGHTS_FILE).record
    assert (record["matrix"], record["num_coils"]) == ([16, 18], 1)


def test_reconstruction_does_the_same_and_is_scored_against_the_same_matrix(trained, tmp_path):
    data, folder, _ = trained
    config = ReconstructConfig(weights=folder, mask=MaskPlan(acceleration=4, center_fraction=0.16))
    reconstruct_folder(data, tmp_path, config)
    scores = evaluate(data, tmp_path)
    assert len(scores.rows) == 7
    assert {"matrix=16x18", "num_coils=1"} <= set(scores.rows[0].settings)
    for row in scores.rows:
        pair = read_pair(data / f"{row.volume_id}.h5", tmp_path / f"{row.volume_id}.h5")
        volume = open_volume(data / f"{row.volume_id}.h5")
        whole = torch.from_numpy(np.stack(list(volume.kspace)))
        expected = rss(ifft2c(crop_to_matrix(whole, scored_window(volume.info), (16, 18))))
        assert pair.image.shape == (2, 16, 18)
        np.testing.assert_allclose(pair.reference, expected.numpy(), rtol=1e-4, atol=1e-6)
        assert 0 < row.ssim < 1


def test_a_card_is_for_the_whole_matrix(tmp_path):
    data, recon = write_card_study(tmp_path)
    change(recon / "acc4" / "v0.h5", config={"matrix": [64, 60]})
    with pytest.raises(DataError, match=r"v0\.h5: made of k-space that was cropped to 64 x 60; "):
        make_card([recon], find_needed(data))
