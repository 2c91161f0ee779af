"""The evaluator as a policy, alone and from the folder of a run."""

from dataclasses import asdict, replace

import pytest
import torch
from episodes import masks_of, observe
from torch import nn

from mrikit.acquire.policies import LowestScore, load_evaluator
from mrikit.acquire.policies.table import PolicySetting, build_policy
from mrikit.checkpoint import save_weights, write_tensors
from mrikit.errors import CheckpointError, ConfigError, DataError
from mrikit.models import build_model
from mrikit.models.cvpr19_evaluator import Evaluator
from mrikit.training.evaluator_config import EvaluatorTraining

WIDTH = 28
SETTING = PolicySetting(matrix=(32, WIDTH), num_given=4, budget=8)
TRAINING = EvaluatorTraining(width=WIDTH, num_channels=4, num_layers=3)


def write_run(folder, num_embedded=2, training=TRAINING):
    """What a run with an evaluator leaves, untrained: the reconstructor and the evaluator of its folder."""
    torch.manual_seed(0)
    settings = {"num_channels": 2, "num_cascades": 1, "num_embedded": num_embedded, "width": WIDTH}
    model, evaluator = build_model("cvpr19", settings).eval(), Evaluator(training.network(num_embedded)).eval()
    for weight in evaluator.parameters():
        nn.init.normal_(weight, std=0.3)
    record = {"evaluator": asdict(training)}
    save_weights(folder / "weights.safetensors", "cvpr19", settings, model.state_dict(), record)
    write_tensors(folder / "parts" / "evaluator.safetensors", evaluator.state_dict(), record)
    return model, evaluator


def seen_of(mask, seed=0):
    image = torch.rand((len(mask), 1, *SETTING.matrix), generator=torch.Generator().manual_seed(seed))
    return replace(observe(mask), reconstruction=image)


@pytest.mark.parametrize("num_embedded", [0, 2])
def test_the_evaluator_of_a_run_chooses_the_line_that_it_finds_worst(tmp_path, num_embedded):
    model, evaluator = write_run(tmp_path, num_embedded)
    policy = build_policy("evaluator", {"run": str(tmp_path)}, SETTING)
    seen = seen_of(masks_of([range(12, 16), range(10, 18)], WIDTH))
    with torch.no_grad():
        embedded = model.embed(seen.mask[:, None, None]) if num_embedded else None
        scores = evaluator(seen.reconstruction[:, 0], seen.mask, embedded)
    torch.testing.assert_close(policy.scores(seen), scores)
    free = torch.where(seen.is_free, scores, torch.inf)
    assert policy.choose(seen, []).tolist() == free.argmin(-1).tolist()


def test_what_it_chooses_depends_on_the_image_and_not_on_its_scale_or_batch(tmp_path):
    write_run(tmp_path)
    policy = load_evaluator(tmp_path, WIDTH)
    mask = masks_of([range(12, 16)] * 6, WIDTH)
    seen = seen_of(mask)
    lines = policy.choose(seen, [])
    assert len(set(lines.tolist())) > 1
    assert torch.equal(policy.choose(replace(seen, reconstruction=1e-5 * seen.reconstruction), []), lines)
    alone = replace(seen_of(mask[:1]), reconstruction=seen.reconstruction[3:4])
    assert policy.choose(alone, []) == lines[3]


def test_only_free_lines_are_chosen(tmp_path):
    write_run(tmp_path)
    policy, mask = load_evaluator(tmp_path, WIDTH), masks_of([range(12, 16)] * 3, WIDTH)
    free = masks_of([[3], [20, 21], [1, 27]], WIDTH)
    seen = replace(seen_of(mask), is_free=free)
    assert free.gather(-1, policy.choose(seen, [])[:, None]).all()
    with pytest.raises(DataError, match="is free; a smaller budget would do"):
        policy.choose(replace(seen, is_free=free & False), [])


def test_an_evaluator_of_another_width_is_refused(tmp_path):
    write_run(tmp_path)
    with pytest.raises(ConfigError, match=r"an evaluator of 28 lines, and k-space has 32; train one with data of that"):
        build_policy("evaluator", {"run": str(tmp_path)}, replace(SETTING, matrix=(32, 32)))


def test_a_run_without_an_evaluator_is_refused(tmp_path):
    write_run(tmp_path)
    (tmp_path / "parts" / "evaluator.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"trained no evaluator; a run with --set objective=evaluator would do"):
        load_evaluator(tmp_path, WIDTH)


def test_an_evaluator_that_is_not_the_one_of_its_record_is_refused(tmp_path):
    _, evaluator = write_run(tmp_path)
    record = {"evaluator": asdict(replace(TRAINING, num_channels=8))}
    write_tensors(tmp_path / "parts" / "evaluator.safetensors", evaluator.state_dict(), record)
    with pytest.raises(CheckpointError, match=r"no evaluator of the settings that it names; train it again"):
        load_evaluator(tmp_path, WIDTH)


def test_a_policy_without_a_run_is_refused():
    with pytest.raises(ConfigError, match=r"needs the folder of a run that trained one; set run=FOLDER"):
        build_policy("evaluator", {}, SETTING)


def test_images_of_three_channels_are_refused(tmp_path):
    _, evaluator = write_run(tmp_path, num_embedded=0)
    seen = seen_of(masks_of([range(12, 16)], WIDTH))
    with pytest.raises(DataError, match="magnitudes, or real and imaginary parts; found 3 channels"):
        LowestScore(evaluator=evaluator).choose(
            replace(seen, reconstruction=seen.reconstruction.expand(-1, 3, -1, -1)), []
        )
