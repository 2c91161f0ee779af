import torch

from mrikit.physics.sampling import keep


def scan():
    generator = torch.Generator().manual_seed(0)
    kspace = torch.randn(2, 3, 8, 6, dtype=torch.complex64, generator=generator)
    return kspace, torch.rand(2, 1, 1, 6, generator=generator) < 0.5


def test_what_is_not_measured_is_plus_zero_for_both_kinds_of_masks():
    kspace, mask = scan()
    for found in (keep(kspace, mask), keep(kspace, mask.float())):
        left_out = torch.view_as_real(found)[~mask.expand(kspace.shape)]
        assert (left_out == 0).all()
        assert not torch.signbit(left_out).any()
        assert torch.equal(found[mask.expand(kspace.shape)], kspace[mask.expand(kspace.shape)])


def test_a_float_mask_learns_also_where_nothing_is_measured():
    kspace, mask = scan()
    learned = mask.float().requires_grad_()
    keep(kspace, learned).abs().square().sum().backward()
    assert (learned.grad[mask] > 0).all()
    weight = torch.ones_like(learned, requires_grad=True)
    (keep(kspace, weight) * kspace.conj()).real.sum().backward()
    assert torch.allclose(weight.grad, kspace.abs().square().sum((1, 2), keepdim=True))
