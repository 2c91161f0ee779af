import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mrikit.errors import ConfigError, DataError
from mrikit.masks.kinds.tiles import fit_samples
from mrikit.masks.mask import center_size
from mrikit.models.samplers import Sampler, SamplerConfig, score_loss
from mrikit.physics.sampling import keep
from mrikit.randomness import generator

SHAPE = (40, 44)


def make(accelerations=(4.0,), seed=0, **changes):
    torch.manual_seed(seed)
    settings = {"kind": "global", "directions": 2, "shape": SHAPE, **changes}
    return Sampler(SamplerConfig(**settings), accelerations)


def rngs(*keys):
    return [generator(0, key) for key in keys]


def samples(masks):
    return masks.sum((1, 2, 3)).tolist()


@pytest.mark.parametrize("kind", ["global", "tile", "lines"])
@pytest.mark.parametrize("acs", ["none", "column", "square"])
@pytest.mark.parametrize("shape", [(40, 44), (121, 145), (61, 53)])
@pytest.mark.parametrize("num_steps", [1, 3])
def test_every_mask_has_exactly_the_budget_with_the_centre_inside(kind, acs, shape, num_steps):
    num_acs = 0 if min(shape) > 60 and kind != "lines" else 3
    sampler = make(
        (2.0, 4.0, 7.3), kind=kind, acs=acs, num_acs=num_acs if acs != "none" else 0, shape=shape, num_steps=num_steps
    )
    size = shape[1] if kind == "lines" else shape[0] * shape[1]
    budgets = [round(size / acceleration) for acceleration in sampler.accelerations]
    levels = [2, 0, 1, 1]
    for is_training in (True, False):
        masks = sampler.train(is_training)(rngs(*range(4)), levels, 0.3)
        assert masks.shape == (4, 1, 1 if kind == "lines" else shape[0], shape[1])
        assert samples(masks) == [budgets[level] for level in levels]
        assert set(masks.unique().tolist()) == {0.0, 1.0}
        assert not torch.signbit(masks).any()
        assert (masks[:, 0] >= sampler._center[levels]).all()
    for level, acceleration in enumerate(sampler.accelerations):
        mask = sampler.mask(level)
        assert mask.samples.sum() == budgets[level]
        assert mask.acceleration == acceleration
        assert mask.true_acceleration == pytest.approx(size / budgets[level])
        assert mask.samples.ndim == (1 if kind == "lines" else 2)
        assert mask.kind == "learned"


@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(st.integers(4, 30), st.integers(4, 30)),
    tile=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    acceleration=st.floats(1, 12),
    num_acs=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_a_tile_of_any_size_meets_the_budget_to_one_sample(shape, tile, acceleration, num_acs, seed):
    acs = {"acs": "square", "num_acs": num_acs} if num_acs else {}
    budget = max(round(shape[0] * shape[1] / acceleration), 1)
    if budget < num_acs**2:
        with pytest.raises(ConfigError, match="the centre alone has"):
            make((acceleration,), kind="tile", shape=shape, tile=tile, **acs)
        return
    sampler = make((acceleration,), kind="tile", shape=shape, tile=tile, seed=seed, **acs)
    assert samples(sampler(rngs(seed, seed + 1), [0, 0], 0.0)) == [budget, budget]


def test_a_tile_is_repeated_and_cut_at_the_rim_as_a_fixed_one_is():
    sampler = make((4.0,), kind="tile", acs="square", num_acs=5)
    center, mask = sampler._center[0].numpy(), sampler.mask(0).samples
    entries = [(row, column) for row in range(4) for column in range(4)]
    is_chosen = np.zeros((4, 4), bool)
    for row, column in entries:
        is_chosen[row, column] = (mask & ~center)[row::4, column::4].any()
    assert is_chosen.sum() == 4
    whole = np.tile(is_chosen, (SHAPE[0] // 4 + 1, SHAPE[1] // 4 + 1))[: SHAPE[0], : SHAPE[1]]
    assert np.array_equal(mask, fit_samples(whole, center, mask.sum() - center.sum()))


def test_of_places_equally_far_from_the_middle_it_takes_those_of_a_fixed_tile():
    """Rounding decides between them, so both have to round alike."""
    mask = make((6.7,), kind="tile", shape=(320, 320)).mask(0).samples
    whole = np.tile(mask[160:164, 160:164], (80, 80))
    assert whole.sum() > mask.sum()
    assert np.array_equal(mask, fit_samples(whole, np.zeros((320, 320), bool), mask.sum()))


@pytest.mark.parametrize("num_acs", [4, 7])
def test_a_searched_tile_with_a_centre_is_what_a_sampler_begins_with(tmp_path, num_acs):
    tile = np.zeros((4, 4), bool)
    tile[[0, 2, 1, 3], [0, 0, 2, 2]] = True
    np.save(tmp_path / "tile.npy", tile)
    sampler = make(kind="tile", start=str(tmp_path / "tile.npy"), acs="square", num_acs=num_acs)
    center, mask = sampler._center[0].numpy(), sampler.mask(0).samples
    whole = np.tile(tile, (SHAPE[0] // 4 + 1, SHAPE[1] // 4 + 1))[: SHAPE[0], : SHAPE[1]]
    assert np.array_equal(mask, fit_samples(whole, center, mask.sum() - center.sum()))


def test_a_fixed_tile_is_a_point_that_a_learned_one_can_stand_at(tmp_path):
    tile = np.zeros((4, 4), bool)
    tile[[0, 2, 1, 3], [0, 0, 2, 2]] = True
    np.save(tmp_path / "tile.npy", tile)
    np.save(tmp_path / "image.npy", np.tile(tile, (10, 11)))
    for name in ("tile.npy", "image.npy"):
        sampler = make(kind="tile", start=str(tmp_path / name))
        assert np.array_equal(sampler.mask(0).samples, np.tile(tile, (10, 11)))


@pytest.mark.parametrize("acs", ["none", "square"])
def test_a_global_sampler_and_one_of_lines_begin_with_a_mask_of_theirs(tmp_path, acs):
    settings = {"acs": acs, "num_acs": 5 if acs == "square" else 0}
    for kind in ("global", "lines"):
        wanted = make(kind=kind, seed=3, **settings).mask(0).samples
        np.save(tmp_path / "mask.npy", wanted)
        other = make(kind=kind, start=str(tmp_path / "mask.npy"), **settings)
        assert np.array_equal(other.mask(0).samples, wanted)


def test_a_pattern_of_equal_rows_starts_lines_and_another_does_not(tmp_path):
    lines = make(kind="lines", seed=3).mask(0).samples
    np.save(tmp_path / "mask.npy", np.tile(lines, (40, 1)))
    assert np.array_equal(make(kind="lines", start=str(tmp_path / "mask.npy")).mask(0).samples, lines)
    np.save(tmp_path / "mask.npy", np.eye(40, 44, dtype=bool))
    with pytest.raises(DataError, match="a mask of 40 x 44 for a lines sampler of 1 x 44"):
        make(kind="lines", start=str(tmp_path / "mask.npy"))


def test_lines_begin_with_an_order_of_which_each_acceleration_takes_the_first(tmp_path):
    order = np.random.RandomState(0).permutation(44)[:30]
    (tmp_path / "order.json").write_text(str(order.tolist()))
    sampler = make((2.0, 4.0), kind="lines", start=str(tmp_path / "order.json"))
    for level, count in enumerate((22, 11)):
        assert set(np.flatnonzero(sampler.mask(level).samples)) == set(order[:count])


def test_weights_need_no_start_file(tmp_path):
    np.save(tmp_path / "mask.npy", np.arange(44) % 4 == 0)
    first = make(kind="lines", start=str(tmp_path / "mask.npy"))
    (tmp_path / "mask.npy").unlink()
    again = Sampler(first.config, first.accelerations, reads_start=False)
    again.load_state_dict(first.state_dict())
    assert np.array_equal(again.mask(0).samples, first.mask(0).samples)


@pytest.mark.parametrize("kind", ["global", "tile", "lines"])
def test_the_state_dict_is_the_logits_and_gives_the_mask_again(kind):
    first = make((4.0, 8.0), kind=kind)
    again = make((4.0, 8.0), kind=kind, seed=1)
    assert list(first.state_dict()) == ["logits"]
    assert not np.array_equal(first.mask(1).samples, again.mask(1).samples)
    again.load_state_dict(first.state_dict())
    assert all(np.array_equal(first.mask(level).samples, again.mask(level).samples) for level in (0, 1))


@pytest.mark.parametrize("kind", ["global", "tile", "lines"])
@pytest.mark.parametrize("acs", ["none", "column", "square"])
def test_nested_masks_hold_those_of_higher_accelerations(kind, acs):
    sampler = make((2.0, 4.0, 5.0, 8.0), kind=kind, acs=acs, is_nested=True, shape=(121, 145))
    assert sampler.logits.shape[0] == 1
    masks = [sampler.mask(level).samples for level in range(4)]
    assert all((wide >= narrow).all() and wide.sum() > narrow.sum() for wide, narrow in pairwise(masks))


def test_masks_of_accelerations_that_are_not_nested_learn_apart():
    sampler = make((4.0, 8.0))
    sampler(rngs(0), [1], 0.0).mul(torch.rand(SHAPE)).sum().backward()
    assert not sampler.logits.grad[0].any()
    assert sampler.logits.grad[1].any()


@pytest.mark.parametrize("estimator", ["top_k", "bernoulli"])
@pytest.mark.parametrize("kind", ["global", "tile", "lines"])
def test_each_step_holds_the_one_before_and_the_last_has_the_budget(kind, estimator):
    sampler = make((4.0, 8.0), kind=kind, num_steps=4, estimator=estimator, acs="column", num_acs=3)
    for is_training in (True, False):
        steps = sampler.train(is_training).steps(rngs(0, 1), [0, 1], 0.0)
        assert len(steps) == 4
        assert all((after >= before).all() for before, after in pairwise(steps))
        assert (steps[0] >= sampler._center[[0, 1], None]).all()
    sizes = [samples(step) for step in steps]
    size, center = (44, 3) if kind == "lines" else (40 * 44, 40 * 3)
    for sample, whole in enumerate((size // 4, round(size / 8))):
        assert [one[sample] for one in sizes] == [center + (whole - center) * step // 4 for step in (1, 2, 3, 4)]


def test_the_loss_of_the_last_step_reaches_samples_of_all_steps():
    sampler = make(num_steps=2)
    first, last = sampler.steps(rngs(0), [0], 0.0)
    last.mul(torch.rand(SHAPE)).sum().backward()
    assert (sampler.logits.grad[0][first[0, 0] > 0] != 0).float().mean() > 0.95


def test_noise_depends_on_the_generator_of_the_sample_alone():
    sampler = make()
    alone, together = sampler(rngs(7), [0], 0.0), sampler(rngs(3, 7), [0, 0], 0.0)
    assert torch.equal(alone[0], together[1])
    assert not torch.equal(together[0], together[1])


def test_evaluation_has_no_noise_and_needs_no_generator():
    sampler = make().eval()
    masks = sampler([], [0, 0], 0.0)
    assert torch.equal(masks[0], masks[1])
    assert np.array_equal(masks[0, 0].bool().numpy(), sampler.mask(0).samples)
    sampler.train()
    sampler.mask(0)
    assert sampler.training


def test_noise_falls_from_the_first_epoch_to_the_last():
    sampler = make()
    with torch.no_grad():
        sampler.logits.copy_(torch.randn(sampler.logits.shape))
    clean = torch.from_numpy(sampler.mask(0).samples)
    changed = [
        float((sampler(rngs(*range(8)), [0] * 8, progress)[:, 0].bool() != clean).float().mean())
        for progress in (0.0, 0.5, 1.0)
    ]
    assert changed[0] > 1.2 * changed[1] > 1.44 * changed[2] > 0
    assert sampler._schedule(0.0) == (0.2, 10.0)
    assert sampler._schedule(0.5)[0] == pytest.approx(0.125)
    assert sampler._schedule(1.0)[0] == pytest.approx(0.05)


def test_a_steeper_step_gathers_the_gradient_at_the_threshold():
    spread = []
    for slope in (0.0, 10.0, 40.0):
        sampler = make(slope=1.0, slope_end=slope, noise_end=0.0)
        with torch.no_grad():
            sampler.logits.copy_(torch.linspace(-3, 3, sampler.logits.numel()).view_as(sampler.logits))
        sampler(rngs(0), [0], 1.0).mul(torch.rand(SHAPE)).sum().backward()
        gradient = sampler.logits.grad.abs().flatten()
        spread.append(float(gradient.sum() / gradient.max()))
    assert spread[0] > spread[1] > spread[2]


@pytest.mark.parametrize("estimator", ["top_k", "bernoulli"])
@pytest.mark.parametrize("kind", ["global", "tile", "lines"])
def test_samples_that_are_not_taken_learn_as_well(kind, estimator):
    sampler = make(kind=kind, estimator=estimator)
    mask = sampler(rngs(0), [0], 0.0)
    (mask * torch.rand(SHAPE)).sum().backward()
    gradient = sampler.logits.grad[0]
    assert torch.isfinite(gradient).all()
    rows, columns = gradient.shape
    dropped = mask[0, 0, :rows, :columns] == 0
    assert dropped.any()
    assert (gradient[dropped] != 0).float().mean() > 0.95


def test_with_the_study_s_gradient_they_do_not():
    sampler = make(gradient="kept", slope=1.0, slope_end=1.0)
    mask = sampler(rngs(0), [0], 0.0)
    mask.mul(torch.rand(SHAPE)).sum().backward()
    assert not sampler.logits.grad[0][mask[0, 0] == 0].any()


def test_a_gradient_that_is_the_same_everywhere_changes_nothing():
    """The budget is fixed: that every sample would like to be taken says nothing about which."""
    sampler = make(kind="tile", acs="square", num_acs=3)
    sampler(rngs(0, 1), [0, 0], 0.0).sum().backward()
    assert sampler.logits.grad.abs().max() < 1e-4


@pytest.mark.parametrize("estimator", ["top_k", "bernoulli"])
@pytest.mark.parametrize("kind", ["global", "tile", "lines"])
def test_the_most_useful_samples_are_found(kind, estimator):
    """Worth is the energy that a mask leaves out; the best mask is known, a random one has less than half of it."""
    shape = (12, 12)
    worth = torch.from_numpy(np.random.RandomState(1).permutation(144).reshape(shape) / 144).float() ** 2
    if kind == "tile":
        worth = worth[:4, :4].repeat(3, 3)
    if kind == "lines":
        worth = worth[:1].expand(shape)
    sampler = make(kind=kind, estimator=estimator, shape=shape)
    optimizer = torch.optim.Adam(sampler.parameters(), lr=0.1)
    for step in range(150):
        masks = sampler([generator(step, one) for one in range(8)], [0] * 8, step / 150)
        loss = ((1 - masks).square() * worth).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    mask = torch.from_numpy(sampler.mask(0).samples).expand(shape)
    assert (mask * worth).sum() > 0.95 * worth.flatten().topk(36).values.sum()


@pytest.mark.parametrize("kind", ["tile", "lines"])
def test_the_score_finds_samples_that_are_useful_together_alone(kind):
    """A loss of which no mask entry has a gradient: 1 for each pair of neighbours that are both taken."""
    sampler = make(kind=kind, shape=(8, 12), gradient="score", num_draws=4)
    optimizer = torch.optim.Adam(sampler.parameters(), lr=0.1)
    for step in range(200):
        drawn = sampler.draw([generator(step, one) for one in range(8)], [0] * 8, step / 200)
        assert not drawn.steps[-1].requires_grad
        optimizer.zero_grad()
        score_loss(drawn.scores, count_neighbours(drawn.steps[-1]), 4).backward()
        optimizer.step()
    assert sampler.mask(0).samples.sum() == (24 if kind == "tile" else 3)
    assert count_neighbours(sampler.eval()([], [0], 1.0)).item() == 1


def count_neighbours(masks):
    """(batch,) pairs of samples side by side, in a circle, and one."""
    pairs = sum((masks * masks.roll(1, dim)).sum((1, 2, 3)) for dim in (2, 3) if masks.shape[dim] > 1)
    return pairs + 1


def test_the_score_s_gradient_is_that_of_the_average_loss():
    """Against differences of the average over many draws, of two entries of which the larger is taken."""
    sampler = make((2.0,), kind="lines", shape=(4, 2), gradient="score", num_draws=2, noise_std=0.3)
    count = 20_000
    losses = torch.tensor([1.0, 2.0])

    def average(logit):
        with torch.no_grad():
            sampler.logits.copy_(torch.tensor([[[logit, 0.0]]]))
        drawn = sampler.draw([generator(0, "draws")] * count, [0] * count, 0.0)
        return drawn, (drawn.steps[-1][:, 0, 0] * losses).sum(1)

    low, high = (average(logit)[1].mean().item() for logit in (0.1, 0.5))
    drawn, found = average(0.3)
    # The score of each draw times its loss, without the division by the mean loss of the slice.
    ((found - found.mean()) * drawn.scores).mean().backward()
    assert sampler.logits.grad[0, 0, 0].item() == pytest.approx((high - low) / 0.4, rel=0.1)


def test_draws_are_compared_with_others_of_their_slice_relative_to_them():
    scores = torch.ones(4, requires_grad=True)
    score_loss(scores, torch.tensor([1.0, 3.0, 100.0, 300.0]), 2).backward()
    assert scores.grad.tolist() == pytest.approx([-0.25, 0.25, -0.25, 0.25])


def test_the_score_needs_several_draws_and_is_refused_where_there_is_one():
    assert make(gradient="score", num_draws=6).config.draws == 6
    assert make(kind="tile").config.draws == 1
    assert make().draw(rngs(0), [0], 0.0).scores.tolist() == [0]
    sampler = make(gradient="score")
    for masks in (sampler, sampler.steps):
        with pytest.raises(ConfigError, match="learns from several draws, which are not made here; all would do"):
            masks(rngs(0), [0], 0.0)
    assert samples(sampler.eval()([], [0], 0.0)) == [440]


def test_bernoulli_meets_the_budget_on_average_and_draws_with_its_probabilities():
    sampler = make(estimator="bernoulli", acs="square", num_acs=5)
    with torch.no_grad():
        sampler.logits.copy_(torch.randn(sampler.logits.shape))
    probabilities = sampler.probabilities(0)
    assert float(probabilities.sum()) == pytest.approx(440, rel=1e-5)
    masks = sampler(rngs(*range(400)), [0] * 400, 0.0)[:, 0]
    assert masks.sum((1, 2)).mean().item() == pytest.approx(440, abs=4)
    assert (masks.mean(0) - probabilities).abs().mean().item() < 0.025
    assert (masks[:, sampler._center[0]] == 1).all()


@pytest.mark.parametrize("shift", [-4.0, 4.0])
def test_bernoulli_probabilities_are_lowered_or_raised_to_the_budget(shift):
    sampler = make(estimator="bernoulli")
    with torch.no_grad():
        sampler.logits.copy_(torch.randn(sampler.logits.shape) + shift)
    probabilities = sampler.probabilities(0)
    assert float(probabilities.sum()) == pytest.approx(440, rel=1e-4)
    assert float(probabilities.min()) >= 0
    assert float(probabilities.max()) <= 1
    assert (probabilities.flatten()[sampler.logits.flatten().argsort()].diff() >= -1e-6).all()


@pytest.mark.parametrize("kind", ["global", "tile", "lines"])
def test_probabilities_have_the_shape_of_the_mask_and_are_one_in_the_centre(kind):
    sampler = make(kind=kind, acs="column", num_acs=3)
    probabilities = sampler.probabilities(0)
    assert probabilities.shape == sampler.mask(0).samples.shape
    assert (probabilities[..., 21:24] == 1).all()
    assert float(probabilities.max()) == 1
    assert float(probabilities.min()) > 0.2


@pytest.mark.parametrize("shape", [(9, 14), (14, 9), (8, 8), (7, 7)])
def test_the_centre_of_a_mask_is_counted_as_masks_count_it(shape):
    rng = np.random.RandomState(0)
    for kind in ("global", "lines"):
        sampler = make(kind=kind, shape=shape)
        grid = (1, shape[1]) if kind == "lines" else shape
        masks = []
        for share in np.linspace(0.3, 1, 40):
            mask = rng.uniform(size=grid) < share
            size = rng.randint(0, min(shape) + 1)
            block = tuple(slice((n - size + 1) // 2, (n - size + 1) // 2 + size) for n in shape)
            mask[block if kind == "global" else (slice(None), block[1])] = True
            masks.append(mask)
        found = sampler.num_center_lines(torch.from_numpy(np.stack(masks)).float()[:, None]).tolist()
        assert found == [center_size(mask[0] if kind == "lines" else mask) for mask in masks]
        assert len(set(found)) > 4


@pytest.mark.parametrize(("acceleration", "lines"), [(4.0, 11), (8.0, 5)])
def test_the_centre_is_that_of_the_study(acceleration, lines):
    mask = make((acceleration,), acs="square", shape=(121, 145)).mask(0)
    assert mask.num_center_lines >= lines
    assert mask.samples[60 - lines // 2 : 61 + lines // 2, 72 - lines // 2 : 73 + lines // 2].all()
    assert mask.center[0] >= lines


def test_no_minus_zero_tells_the_sign_of_what_was_not_sampled():
    sampler = make()
    kspace = torch.complex(-torch.rand(2, 3, *SHAPE) - 0.1, -torch.rand(2, 3, *SHAPE) - 0.1)
    masks = sampler(rngs(0, 1), [0, 0], 0.0)
    parts = torch.view_as_real(keep(kspace, masks))
    assert not torch.signbit(parts[parts == 0]).any()
    assert (parts == 0).sum() == 2 * 2 * 3 * (40 * 44 - 440)


def test_full_sampling_is_a_budget_too():
    for estimator in ("top_k", "bernoulli"):
        sampler = make((1.0,), estimator=estimator)
        masks = sampler(rngs(0), [0], 0.0)
        assert masks.all()
        masks.mul(torch.rand(SHAPE)).sum().backward()
        assert torch.isfinite(sampler.logits.grad).all()


@pytest.mark.parametrize(
    ("changes", "accelerations", "message"),
    [
        ({"kind": "line"}, [4], "sampler.kind is one of nothing, global, tile, lines; found 'line'"),
        ({"directions": 1}, [4], "--set sampler.directions=2"),
        ({"kind": "tile", "directions": 1}, [4], "saves no time where only one direction is phase-encoded"),
        ({"directions": 3}, [4], "sampler.directions is 1 or 2, found 3"),
        ({"shape": (4,)}, [4], "sampler.shape is rows and columns, such as 4,4; found 4"),
        ({"shape": ()}, [4], "sampler.shape is empty"),
        ({"kind": "tile", "tile": (4, 0)}, [4], "sampler.tile is rows and columns"),
        ({"kind": "tile", "tile": ()}, [4], "found nothing"),
        ({"kind": "tile", "tile": (4, 50)}, [4], "a tile of 4 x 50 is larger than k-space of 40 x 44"),
        ({"acs": "round"}, [4], "sampler.acs is one of none, column, square"),
        ({"num_acs": 4}, [4], "needs a centre: sampler.acs=column or square"),
        ({"acs": "column", "num_acs": -1}, [4], "sampler.num_acs is 0 or more, found -1"),
        ({"acs": "square", "num_acs": 41}, [1], "a centre of 41 lines does not fit into 40 x 44 samples"),
        (
            {"acs": "column", "num_acs": 12},
            [4],
            "the centre alone has 480 samples, but acceleration 4 allows 440 of 1760",
        ),
        ({"estimator": "loupe"}, [4], "sampler.estimator is one of top_k, bernoulli"),
        ({"gradient": "some"}, [4], "sampler.gradient is one of all, score, kept"),
        ({"gradient": "score", "estimator": "bernoulli"}, [4], "are of estimator=top_k; found bernoulli"),
        ({"gradient": "score", "keeps_ties": True}, [4], "sampler.keeps_ties is of gradient=kept or all"),
        ({"gradient": "score", "noise_end": 0.0}, [4], "sampler.gradient=score learns by noise"),
        ({"num_draws": 1}, [4], "sampler.num_draws is 2 or more, found 1"),
        ({"estimator": "bernoulli", "gradient": "kept"}, [4], "are of estimator=top_k; found bernoulli"),
        ({"noise_std": -0.1}, [4], "sampler.noise_std is 0 or more, found -0.1"),
        ({"noise_end": float("inf")}, [4], "sampler.noise_end is 0 or more, found inf"),
        ({"slope": float("nan")}, [4], "sampler.slope is 0 or more, found nan"),
        ({"lr_scale": 0.0}, [4], "sampler.lr_scale is more than 0, found 0"),
        ({"first_epoch": -1}, [4], "sampler.first_epoch is 0 or more"),
        ({"num_steps": 0}, [4], "sampler.num_steps is 1 or more, found 0"),
        ({"num_steps": 441}, [4], "sampler.num_steps=441, but acceleration 4 leaves 440 samples to take and no centre"),
        ({"num_steps": 21, "acs": "column", "num_acs": 10}, [4, 8], "the centre alone has 400 samples"),
        ({"step_loss": "first"}, [4], "sampler.step_loss is one of last, all"),
        ({"start": "mask.png"}, [4], "sampler.start is a mask file: .npy, .cfl or .json; found mask.png"),
        ({"keeps_ties": True, "num_steps": 2}, [4], "sampler.keeps_ties takes one step, found num_steps=2"),
        ({"acs_in_tile": True}, [4], "it needs kind=tile, acs=column or square, and keeps_ties"),
        ({"kind": ""}, [4], "a sampler needs a sampler.kind"),
        ({}, [], "at least one acceleration"),
        ({}, [0.5], "acceleration must be in [1, 1760] for 1760 samples, found 0.5"),
        ({"kind": "lines"}, [45], "acceleration must be in [1, 44] for 44 samples, found 45"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_in_one_line(changes, accelerations, message):
    with pytest.raises(ConfigError) as caught:
        make(accelerations, **changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_start_that_does_not_fit_is_refused(tmp_path):
    np.save(tmp_path / "small.npy", np.ones((5, 5), bool))
    (tmp_path / "order.json").write_text("[1, 2]")
    (tmp_path / "wide.json").write_text("[50]")
    cases = [
        ({"start": "small.npy"}, "a mask of 5 x 5 for a global sampler of 40 x 44"),
        ({"start": "order.json"}, "an order of lines starts sampler.kind=lines, found global"),
        ({"start": "wide.json", "kind": "lines"}, "names column 50, but there are 44"),
        ({"start": "none.npy"}, "not a mask file"),
    ]
    for changes, message in cases:
        with pytest.raises(DataError, match=message):
            make(**{**changes, "start": str(tmp_path / changes["start"])})


def test_the_default_samples_nothing_and_is_a_configuration():
    assert SamplerConfig().kind == ""
    assert dataclasses.replace(SamplerConfig(), kind="lines").directions == 1
