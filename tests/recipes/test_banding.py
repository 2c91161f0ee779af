import pytest
import torch

from mrikit.models import build_model
from mrikit.recipes import recipe, recipes


def test_the_full_network_and_both_stages_are_the_published_ones():
    first, second = recipes("knee_banding", "full")
    with torch.device("meta"):
        network = build_model(first.model, first.model_config)
    assert sum(weight.numel() for weight in network.parameters()) == 12_931_532
    for config in (first, second):
        (plan,) = config.data.plans
        assert (plan.kind, plan.acceleration) == ("magic", 4)
        assert plan.settings == {"rule": "banding", "num_center_lines": 16, "offset": "acquired"}
        data = config.data
        assert (data.field_strength_t, data.max_phase, data.square_only, data.anatomy) == (1.5, 740, True, "knee")
        assert config.augment.transpose_probability == 0.5
        training = config.training
        assert (training.loss, training.schedule, training.step_epochs) == ("ssim + 0.01 l1", "step", 40)
        assert (training.step_factor, training.batch_size, training.beta1, training.beta2) == (0.1, 1, 0.9, 0.999)
    assert (first.training.max_lr, second.training.max_lr) == (3e-4, 1e-4)
    assert (first.training.num_epochs, first.data.epoch_share, second.data.epoch_share) == (100, 1, 0.2)
    adversary = second.adversary
    assert (first.objective, second.objective) == ("image", "adversary")
    assert (adversary.kind, adversary.count, adversary.strength, adversary.regulariser) == ("shallow", 1, 1, 0.1)
    assert (adversary.weight_decay, adversary.lr_scale) == (0, 1)
    assert (adversary.warmup_epoch, adversary.first_epoch, adversary.ramp_epochs) == (0, 0, 0)


@pytest.mark.parametrize("size", ["tiny", "small", "full"])
def test_the_second_stage_goes_on_where_the_first_ends(size):
    first, second = recipes("knee_banding", size)
    assert second.model_config == first.model_config
    assert second.training.first_epoch == first.training.num_epochs
    assert second.training.max_lr == pytest.approx(first.training.max_lr / 3, rel=1e-5)
    assert second.execution.zero_stage <= 2


def test_epochs_and_rate_that_are_asked_for_move_both_stages():
    first, second = recipes("knee_banding", "full", num_epochs=20, max_lr=6e-4)
    training = [config.training for config in (first, second)]
    assert [(part.first_epoch, part.num_epochs, part.step_epochs) for part in training] == [(0, 20, 8), (20, 20, 5)]
    assert [part.max_lr for part in training] == [6e-4, 2e-4]
    assert recipe("knee_banding", "full", 2, num_epochs=20, max_lr=6e-4) == second
