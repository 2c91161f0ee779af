import pytest
import torch
from helpers import complex_normal, relative_error
from phantoms import make_kspace
from torch import nn

from mrikit.errors import ConfigError, DataError
from mrikit.models import build_model
from mrikit.models.adaptive import keyed_draws, scan_of
from mrikit.models.adaptive_varnet_config import AdaptiveVarNetConfig, decision_budgets, decision_places
from mrikit.models.output import compute
from mrikit.models.policies import line_probabilities
from mrikit.models.sensitivity import keep_center
from mrikit.physics.coils import combine, rss
from mrikit.physics.fft import fft2c, ifft2c

SMALL = {"num_cascades": 3, "num_channels": 2, "num_pools": 2, "num_sens_channels": 2, "num_sens_pools": 2}
SMALL = {**SMALL, "budget": 7, "num_policy_channels": 2, "policy_fc_size": 8, "matrix": (32, 36)}
VARIANTS = {
    "as published": {},
    "sigmoid, soft data consistency last, two cascades per policy, odd": {
        "num_cascades": 5,
        "cascades_per_policy": 2,
        "head": "sigmoid",
        "slope": 5.0,
        "hard_dc": False,
        "dc_mode": "last",
        "sparse_dc_gradients": False,
        "matrix": (33, 35),
    },
    "one policy, both at once": {"cascades_per_policy": 3, "dc_mode": "simul", "hard_dc": False},
    "a learned vector": {"policy": "loupe", "hard_dc": False, "clamps_gradient": True},
    "a learned vector, sigmoid, odd": {"policy": "loupe", "head": "sigmoid", "matrix": (35, 33), "dc_mode": "last"},
    "other layers": {"num_policy_fc_layers": 2, "policy_activation": "elu", "sparse_dc_gradients": False},
    "no sensitivity network": {"num_sens_channels": 0},
    "raw images, computed twice": {"gives_raw_images": True, "use_checkpoint": True},
}


def build(**settings):
    torch.manual_seed(0)
    model = build_model("adaptive_varnet", {**SMALL, **settings})
    for cascade in model.cascades:
        if cascade.dc_weight is not None:
            nn.init.constant_(cascade.dc_weight, 0.7)
    return model


def center(width, num_center=6, batch=1):
    lines = torch.zeros(batch, 1, 1, width, dtype=torch.bool)
    begin = (width - num_center + 1) // 2
    lines[..., begin : begin + num_center] = True
    return lines


def draws(num_images=1, name="test"):
    return keyed_draws([(0, name, index) for index in range(num_images)])


def acquire(model, kspace, start=None, name="test"):
    start = center(kspace.shape[-1], batch=len(kspace)) if start is None else start
    return model.acquire(scan_of(kspace), start, draws(len(kspace), name))


def from_the_paper(model, kspace, start):
    """The same with centred k-space and transforms of all coils, step by step as published."""
    config, lines = model.config, start[:, 0, 0].float()
    is_hard = config.hard_dc
    measured = kspace * start
    images = ifft2c(keep_center(measured, start, torch.tensor([0])))
    maps = model.sens_net(images, has_checkpoints=False) if model.sens_net else smooth_maps(measured)
    chance, estimate, left = draws(len(kspace)), measured, config.budget
    places = [0] if config.policy == "loupe" or config.cascades_per_policy == config.num_cascades else [
        place for place in range(1, config.num_cascades)
        if (config.num_cascades - place) % config.cascades_per_policy == 0
    ]  # fmt: skip
    base = config.budget // len(places)
    mask = lines[:, None, None]
    for place, cascade in enumerate(model.cascades):
        if place in places:
            number = left if left < 2 * base else base
            left -= number
            image = torch.view_as_real(combine(ifft2c(estimate), maps)).permute(0, 3, 1, 2)
            if not config.gives_raw_images:
                image = (image - image.mean((1, 2, 3), keepdim=True)) / image.std((1, 2, 3), keepdim=True)
            logits = model.policies[places.index(place)](image)
            chances = line_probabilities(logits, lines, number, head=config.head, slope=config.slope)
            lines = lines + torch.stack([choose(*pair, config) for pair in zip(chances, chance, strict=True)])
            mask = lines[:, None, None]
            measured = kspace * mask
            estimate = estimate if place else measured
        weight = 1.0 if is_hard else cascade.dc_weight

        def mismatch(estimate, mask=mask, measured=measured, weight=weight):
            if config.sparse_dc_gradients:
                return weight * torch.where(mask > 0, estimate - measured, 0.0)
            return weight * (estimate * mask - measured)

        def correction(estimate, cascade=cascade):
            return fft2c(maps * cascade.network(combine(ifft2c(estimate), maps)[:, None]))

        if config.dc_mode == "simul":
            estimate = estimate - mismatch(estimate) - correction(estimate)
        for step in {"first": (mismatch, correction), "last": (correction, mismatch)}.get(config.dc_mode, ()):
            estimate = estimate - step(estimate)
    return rss(ifft2c(estimate)), lines


def smooth_maps(measured):
    """Of 6 lines of the centre, weighted by a squared cosine, 0 four lines off the middle."""
    angle = torch.pi * (torch.arange(measured.shape[-1]) - measured.shape[-1] // 2) / 8
    images = ifft2c(measured * angle.cos().square() * (angle.abs() < torch.pi / 2))
    return images / rss(images).unsqueeze(1)


def choose(chances, draw, config):
    while True:
        uniforms = torch.from_numpy(draw(len(chances)))
        hard = (chances > uniforms).float()
        if hard.sum() == chances.detach().sum().round():
            break
    soft = torch.sigmoid(config.straight_through_slope * (chances - uniforms))
    if config.clamps_gradient and soft.requires_grad:
        soft.register_hook(lambda gradient: gradient.clamp(-1, 1))
    return hard + (soft - soft.detach())


@pytest.mark.parametrize("name", VARIANTS)
def test_lines_images_and_gradients_are_those_of_the_steps_written_out(name):
    model = build(**VARIANTS[name])
    kspace, start = complex_normal((2, 3, *model.config.matrix)), center(model.config.matrix[1], batch=2)
    output, (image, lines) = acquire(model, kspace, start), from_the_paper(model, kspace, start)
    assert torch.equal(output.extras["mask"][:, 0, 0], lines.detach())
    assert relative_error(output.image.detach(), image.detach()) < 1e-5
    parameters = dict(model.named_parameters())
    found, expected = (
        torch.autograd.grad(each.square().sum(), parameters.values(), allow_unused=True, materialize_grads=True)
        for each in (output.image, image)
    )
    largest = max(gradient.norm() for gradient in expected)
    for name, one, other in zip(parameters, found, expected, strict=True):
        # Biases before instance norm have no gradient but rounding.
        assert (one - other).norm() <= 1e-3 * other.norm() + 1e-5 * largest, name


@pytest.mark.parametrize(
    ("settings", "places", "budgets"),
    [
        ({"num_cascades": 5, "budget": 22}, (1, 2, 3, 4), (5, 5, 5, 7)),
        ({"num_cascades": 5, "budget": 12}, (1, 2, 3, 4), (3, 3, 3, 3)),
        ({"num_cascades": 5, "budget": 7}, (1, 2, 3, 4), (1, 1, 1, 4)),
        ({"num_cascades": 5, "budget": 9, "cascades_per_policy": 2}, (1, 3), (4, 5)),
        ({"num_cascades": 6, "budget": 9, "cascades_per_policy": 2}, (2, 4), (4, 5)),
        ({"num_cascades": 5, "budget": 9, "cascades_per_policy": 5}, (0,), (9,)),
        ({"num_cascades": 1, "budget": 9}, (0,), (9,)),
        ({"num_cascades": 5, "budget": 9, "policy": "loupe"}, (0,), (9,)),
        ({"num_cascades": 5, "budget": 9, "policy": "none"}, (), ()),
    ],
)
def test_policies_stand_where_they_were_published_and_spend_the_whole_budget(settings, places, budgets):
    config = AdaptiveVarNetConfig(**settings)
    assert (decision_places(config), decision_budgets(config)) == (places, budgets)


@torch.inference_mode()
@pytest.mark.parametrize("settings", [{}, {"policy": "loupe"}, {"decides": "top_k"}], ids=str)
def test_each_decision_adds_its_share_of_lines_and_takes_none_away(settings):
    kspace, start = complex_normal((3, 2, 32, 36)), center(36, batch=3)
    start[1, ..., 2] = True
    extras = acquire(build(**settings).eval(), kspace, start).extras
    masks = extras["masks"]
    assert torch.equal(masks[0], start[:, 0, 0].float())
    assert torch.equal(extras["mask"][:, 0, 0], masks[-1])
    assert set(masks.unique().tolist()) == {0, 1}
    assert (masks.diff(dim=0) >= 0).all()
    budgets = [7] if "policy" in settings else [3, 4]
    assert masks.diff(dim=0).sum(-1).tolist() == [[budget] * 3 for budget in budgets]
    chances = extras["probabilities"]
    assert not chances[masks[:-1] == 1].any()
    torch.testing.assert_close(chances.sum(-1), torch.tensor([[float(budget)] * 3 for budget in budgets]))


@torch.inference_mode()
def test_the_lines_depend_on_the_draws_of_their_image_alone():
    model, kspace = build().eval(), complex_normal((3, 2, 32, 36))
    masks = acquire(model, kspace).extras["mask"]
    assert torch.equal(acquire(model, kspace).extras["mask"], masks)
    assert not torch.equal(acquire(model, kspace, name="another").extras["mask"], masks)
    alone = model.acquire(scan_of(kspace[1:2]), center(36), draws(3)[1:2]).extras["mask"]
    assert torch.equal(alone, masks[1:2])


@torch.inference_mode()
def test_the_likeliest_lines_need_no_draws_but_training_draws():
    model, kspace = build(decides="top_k").eval(), complex_normal((1, 2, 32, 36))
    masks = [acquire(model, kspace, name=name).extras["mask"] for name in ("one", "two")]
    assert torch.equal(*masks)
    model.train()
    masks = [acquire(model, kspace, name=name).extras["mask"] for name in ("one", "two")]
    assert not torch.equal(*masks)


@torch.inference_mode()
def test_what_was_not_measured_has_no_influence():
    """Not even by the sign of a zero."""
    model, kspace = build().eval(), complex_normal((1, 2, 32, 36))
    output = acquire(model, kspace)
    other = torch.where(output.extras["mask"] > 0, kspace, -3 * kspace)
    again = acquire(model, other)
    assert torch.equal(again.image, output.image)
    assert torch.equal(again.extras["masks"], output.extras["masks"])


@torch.inference_mode()
def test_all_lines_measured_and_kept_are_the_image():
    model, kspace = build(budget=30, hard_dc=True, dc_mode="last").eval(), complex_normal((1, 2, 32, 36))
    output = acquire(model, kspace)
    assert output.extras["mask"].all()
    assert relative_error(output.image, rss(ifft2c(kspace))) < 1e-5


@torch.inference_mode()
@pytest.mark.parametrize("dc_mode", ["first", "simul", "last"])
def test_what_was_measured_already_is_reconstructed_without_a_policy(dc_mode):
    """`forward` of any network with policies is what one of the same weights without them makes of its start."""
    kspace, start = complex_normal((1, 2, 32, 36)), center(36)
    start[..., ::4] = True
    model, bare = build(dc_mode=dc_mode), build(dc_mode=dc_mode, policy="none")
    bare.load_state_dict({name: tensor for name, tensor in model.state_dict().items() if "policies" not in name})
    output = acquire(bare, kspace, start)
    assert output.extras["probabilities"].shape == (0, 1, 36)
    assert torch.equal(output.extras["mask"], start.float())
    image = compute(model, kspace * start, start, torch.tensor([0])).image
    torch.testing.assert_close(image, output.image)


def test_a_first_policy_learns_from_what_later_ones_could_not_choose():
    model = build()
    acquire(model, complex_normal((2, 2, 32, 36))).image.square().sum().backward()
    assert all(policy.linears[-1].bias.grad.abs().sum() > 0 for policy in model.policies)
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters())


class Nothing(nn.Module):
    def forward(self, image):
        return torch.zeros_like(image)


@pytest.mark.parametrize("head", ["softplus", "sigmoid"])
def test_a_vector_learns_the_lines_that_hold_the_signal(head):
    bright = [2, 5, 25]
    model = build(policy="loupe", head=head, budget=3, matrix=(16, 32), num_sens_channels=0, decides="top_k")
    for cascade in model.cascades:
        cascade.network = Nothing()
    optimizer = torch.optim.Adam(model.policies.parameters(), lr=0.1)
    for step in range(30):
        kspace = complex_normal((8, 2, 16, 32), seed=step)
        kspace[..., [line for line in range(32) if line not in (*bright, *range(13, 19))]] *= 0.05
        loss = (acquire(model, kspace, name=str(step)).image - rss(ifft2c(kspace))).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    chosen = acquire(model.eval(), kspace).extras["masks"].diff(dim=0)[0]
    assert chosen.nonzero()[:, 1].tolist() == bright * 8


@torch.inference_mode()
def test_policies_see_the_same_whatever_the_scale_of_the_data():
    """Published ones do not, because instance norm has an epsilon."""
    kspace = make_kspace(2, (32, 36))[None]
    for settings, is_same in (({}, True), ({"gives_raw_images": True}, False)):
        model = build(**settings).eval()
        large, small = (acquire(model, scale * kspace).extras["probabilities"][0] for scale in (1.0, 1e-6))
        assert torch.allclose(large, small, atol=1e-3) == is_same


@torch.inference_mode()
def test_lines_outside_the_centre_are_dropped_where_published_weights_are_used_to_it():
    kspace, start = complex_normal((1, 2, 32, 36)), center(36)
    start[..., 3] = True
    kept, dropped = (acquire(build(drops_outside_center=drops), kspace, start) for drops in (False, True))
    assert kept.extras["masks"][0].sum() == 7
    assert torch.equal(dropped.extras["masks"][0], center(36)[:, 0, 0].float())
    assert torch.equal(dropped.extras["masks"], acquire(build(), kspace).extras["masks"])


@pytest.mark.parametrize(
    ("width", "num_lines", "settings", "acquired", "seen"),
    [
        (33, 6, {}, 4, 4),
        (33, 6, {"counts_center_twice": True}, 4, 2),
        (33, 4, {"counts_center_twice": True}, 2, 1),
        (31, 8, {"counts_center_twice": True}, 6, 4),
        (32, 6, {"counts_center_twice": True}, 6, 6),
        (33, 6, {"counts_center_twice": True, "num_center_lines": 6}, 6, 6),
        (33, 6, {"drops_outside_center": False}, 6, 4),
    ],
)
@torch.inference_mode()
def test_the_centre_of_an_odd_width_is_counted_as_published_or_once(
    width, num_lines, settings, acquired, seen, monkeypatch
):
    model = build(**{"matrix": (32, width), "drops_outside_center": True, **settings})
    counts = []
    monkeypatch.setattr(
        model, "_map_coils", lambda kspace, mask, num: counts.append(num) or torch.ones_like(kspace) / kspace.shape[1]
    )
    masks = acquire(model, complex_normal((1, 2, 32, width)), center(width, num_lines)).extras["masks"]
    assert (int(masks[0].sum()), int(counts[0])) == (acquired, seen)


def test_networks_in_bfloat16_measure_as_many_lines_and_see_a_similar_image():
    model, kspace = build(decides="top_k").eval(), make_kspace(2, (32, 36))[None]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        output = acquire(model, kspace)
    assert output.image.dtype == torch.float32
    assert output.extras["mask"].sum() == 6 + 7


@pytest.mark.parametrize(
    ("size", "start", "message"),
    [
        ((48, 36), center(36), "a policy chooses lines for rows and columns 32 x 36, found 48 x 36; crop the data"),
        ((32, 36), center(36).roll(9, -1), "batch element 0: the mask does not sample the middle of k-space"),
        ((32, 36), center(36, 31), "5 of 36 lines are left to choose from, but the budget is 7; begin with fewer"),
        ((32, 36), center(36).expand(1, 1, 32, 36), "adaptive_varnet measures whole lines, found a pattern of two"),
    ],
)
def test_what_cannot_be_measured_is_one_clear_line(size, start, message):
    with pytest.raises(DataError, match=message):
        acquire(build(), complex_normal((1, 2, *size)), start)


def test_a_vector_is_learned_for_one_number_of_columns():
    model = build(policy="loupe")
    assert acquire(model, complex_normal((1, 2, 20, 36))).image.shape == (1, 20, 36)
    with pytest.raises(DataError, match="a policy chooses lines for columns 36, found 40; crop the data to that"):
        acquire(model, complex_normal((1, 2, 32, 40)))


def test_a_start_without_the_centre_that_it_was_said_to_have_is_refused():
    with pytest.raises(DataError, match="a start without all 8 lines in the middle, which adaptive_varnet was set to"):
        acquire(build(num_center_lines=8), complex_normal((1, 2, 32, 36)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_cascades": 0}, "adaptive_varnet needs at least 1 cascade, channel, pooling and layer, found"),
        ({"num_sens_channels": -1}, "adaptive_varnet needs at least 1 cascade, channel, pooling and layer, found"),
        ({"dc_mode": "never"}, "adaptive_varnet.dc_mode is first, simul or last, found 'never'"),
        ({"policy": "best"}, "adaptive_varnet.policy is policy, loupe or none, found 'best'"),
        ({"head": "relu"}, "adaptive_varnet.head is softplus or sigmoid, found 'relu'"),
        ({"decides": "coin"}, "adaptive_varnet.decides is draw or top_k, found 'coin'"),
        ({"policy_activation": "relu"}, "adaptive_varnet.policy_activation is leaky_relu or elu, found 'relu'"),
        ({"slope": 0.0}, "adaptive_varnet needs slopes above 0, found 0.0 and 10.0"),
        ({"matrix": (32, 8)}, r"adaptive_varnet needs a matrix of two numbers from 16, found \(32, 8\)"),
        ({"cascades_per_policy": 4}, "adaptive_varnet needs cascades_per_policy from 1 to num_cascades, found 4 of 3"),
        ({"budget": 1}, "adaptive_varnet: a budget of 1 lines for 2 decisions; it needs at least one for each"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(settings, message):
    with pytest.raises(ConfigError, match=message):
        build(**settings)


def test_a_policy_has_as_many_parameters_as_published():
    with torch.device("meta"):
        model = build_model("adaptive_varnet")
    assert sum(weight.numel() for weight in model.policies[0].parameters()) == 4_685_712
    assert len(model.policies) == 4
