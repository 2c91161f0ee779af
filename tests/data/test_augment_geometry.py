import numpy as np
import pytest
import scipy.ndimage
import torch
from helpers import assert_linear, complex_normal

from mrikit.data.geometry import Geometry, transform
from mrikit.physics.fft import fft2c, ifft2c

SIZES = [(16, 16), (18, 12), (12, 18), (15, 12), (11, 19), (24, 7)]
EXACT = [
    Geometry(is_flipped_h=True),
    Geometry(is_flipped_v=True),
    Geometry(num_quarter_turns=1),
    Geometry(num_quarter_turns=2),
    Geometry(num_quarter_turns=3),
    Geometry(shift=(3, -2)),
    Geometry(shift=(-6, 6)),
    Geometry(is_flipped_h=True, is_flipped_v=True, num_quarter_turns=1, shift=(2, 5)),
    Geometry(is_flipped_v=True, num_quarter_turns=3, shift=(-4, -1)),
]
AFFINE = [
    Geometry(rotation_deg=37),
    Geometry(rotation_deg=-170),
    Geometry(shearing_deg=(12, 0)),
    Geometry(shearing_deg=(0, -12)),
    Geometry(scale=0.75),
    Geometry(scale=1.25),
    Geometry(rotation_deg=20, shearing_deg=(10, 5), scale=0.8),
]


def apply(image, *geometries, interpolation="linear", upsample=False):
    """`transform` for images of any number of axes."""
    many = image.reshape(len(geometries), -1, 1, *image.shape[-2:])
    return transform(many, geometries, interpolation=interpolation, upsample=upsample).reshape(image.shape)


def fit(image, axis, length):
    """Crop about the centre, or fill by reflection, with numpy's own."""
    have = image.shape[axis]
    if have >= length:
        return np.take(image, np.arange(length) + (have - length) // 2, axis)
    before = -((have - length) // 2)
    padding = [(0, 0)] * image.ndim
    padding[axis] = (before, length - have - before)
    return np.pad(image, padding, mode="reflect")


def shift(image, axis, pixels):
    padding = [(0, 0)] * image.ndim
    padding[axis] = (max(pixels, 0), max(-pixels, 0))
    padded, length = np.pad(image, padding, mode="reflect"), image.shape[axis]
    return np.take(padded, np.arange(length) + max(-pixels, 0), axis)


def second_implementation(image, geometry):
    """The same transforms by numpy and scipy, one (y, x) image at a time."""
    size = image.shape
    if geometry.is_flipped_h:
        image = image[:, ::-1]
    if geometry.is_flipped_v:
        image = image[::-1]
    if geometry.num_quarter_turns:
        image = np.rot90(image, geometry.num_quarter_turns)
        image = fit(fit(image, 0, size[0]), 1, size[1])
    image = shift(shift(image, 0, geometry.shift[0]), 1, geometry.shift[1])
    if not geometry.is_resampled:
        return image
    # scipy maps (y, x) of the result to (y, x) of the source.
    angle = np.radians(geometry.rotation_deg)
    tan_x, tan_y = np.tan(np.radians(geometry.shearing_deg))
    shear_x, shear_y = np.array([[1, 0], [tan_x, 1]]), np.array([[1, tan_y], [0, 1]])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    backward = np.linalg.inv(geometry.scale * turn @ shear_y @ shear_x)
    centre = (np.array(size) - 1) / 2
    parts = [
        scipy.ndimage.affine_transform(part, backward, centre - backward @ centre, order=1, mode="mirror")
        for part in (image.real.astype(float), image.imag.astype(float))
    ]
    return parts[0] + 1j * parts[1]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("geometry", EXACT)
def test_flips_quarter_turns_and_shifts_are_numpys_bit_for_bit(size, geometry):
    image = complex_normal((2, *size))
    moved = apply(image[None], geometry)[0]
    for one, before in zip(moved, image, strict=True):
        assert np.array_equal(one.numpy(), second_implementation(before.numpy(), geometry))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("geometry", AFFINE)
def test_rotation_shear_and_scale_are_scipys_up_to_the_border(size, geometry):
    image = complex_normal((1, *size))
    expected = second_implementation(image[0].numpy(), geometry)
    np.testing.assert_allclose(apply(image, geometry)[0].numpy(), expected, atol=2e-5)


def test_all_transforms_together_come_in_the_order_of_the_reference():
    geometry = Geometry(
        is_flipped_h=True,
        num_quarter_turns=1,
        shift=(3, -4),
        rotation_deg=-8,
        shearing_deg=(4, -7),
        scale=1.1,
    )
    image = complex_normal((1, 20, 27))
    expected = second_implementation(image[0].numpy(), geometry)
    np.testing.assert_allclose(apply(image, geometry)[0].numpy(), expected, atol=2e-5)


def test_rotation_is_counterclockwise_as_a_quarter_turn_is():
    image = complex_normal((1, 17, 17))
    turned = apply(image, Geometry(rotation_deg=90))
    assert torch.allclose(turned, torch.rot90(image, 1, (-2, -1)), atol=2e-5)


def test_every_batch_element_has_its_own_transforms_and_its_slices_and_coils_share_them():
    geometries = [EXACT[0], AFFINE[0], EXACT[2], AFFINE[6]]
    image = complex_normal((4, 3, 2, 14, 10))
    moved = transform(image, geometries, interpolation="linear", upsample=False)
    for row, geometry in enumerate(geometries):
        for slice_index in range(3):
            for coil in range(2):
                alone = apply(image[row, slice_index, coil][None], geometry)[0]
                assert torch.allclose(moved[row, slice_index, coil], alone, atol=1e-6)


def waves(y, x):
    """A complex image of known values between the pixels, periodic over 48 and 40 of them."""
    y, x = 2 * np.pi * y / 48, 2 * np.pi * x / 40
    return np.cos(5 * y + 0.3) * np.sin(4 * x) + 0.5j * np.cos(3 * y - 7 * x) + 1


def waves_error(geometry, **options):
    """Largest distance of transformed waves from the truth, in the interior."""
    size = (48, 40)
    y, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in size), indexing="ij")
    angle = np.radians(geometry.rotation_deg)
    source_y, source_x = np.cos(angle) * y + np.sin(angle) * x, np.cos(angle) * x - np.sin(angle) * y
    image = torch.from_numpy(waves(y, x)).to(torch.complex64)[None]
    moved = apply(image, geometry, **options)[0].numpy()
    return np.abs(moved - waves(source_y, source_x))[8:-8, 8:-8].max()


def test_upsampling_makes_the_affine_more_exact():
    geometry = Geometry(rotation_deg=11)
    plain = {name: waves_error(geometry, interpolation=name) for name in ("linear", "cubic")}
    doubled = {name: waves_error(geometry, interpolation=name, upsample=True) for name in ("linear", "cubic")}
    assert 0.1 < plain["linear"] < 0.13
    assert doubled["linear"] < 0.3 * plain["linear"]
    assert doubled["cubic"] < 0.55 * plain["cubic"]
    assert plain["cubic"] < 0.4 * plain["linear"]


@pytest.mark.parametrize("size", SIZES)
def test_upsampled_pixels_lie_where_the_pixels_lay(size):
    image = complex_normal((1, *size))
    # So small a turn that no pixel leaves its place: what is left is the interpolation.
    moved = apply(image, Geometry(rotation_deg=1e-5), upsample=True)
    assert torch.allclose(moved, image, atol=2e-5)


@pytest.mark.parametrize("geometry", [*EXACT[:4], Geometry(num_quarter_turns=3)])
def test_white_noise_stays_as_it_is_under_flips_and_quarter_turns(geometry):
    noise = complex_normal((1, 16, 16))
    moved = apply(noise, geometry)
    order = torch.view_as_real(noise).flatten(0, -2).numpy()
    found = torch.view_as_real(moved).flatten(0, -2).numpy()
    assert np.array_equal(order[np.lexsort(order.T)], found[np.lexsort(found.T)])


def test_white_noise_keeps_its_level_when_it_is_shifted():
    noise = complex_normal((1, 64, 64))
    moved = apply(noise, Geometry(shift=(8, -5)))
    assert torch.equal(moved[:, 8:, :-5], noise[:, :-8, 5:])
    assert torch.isin(moved[:, :8].abs(), noise.abs()).all()


def cubic_kernel(distance, a=-0.75):
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


def noise_share(interpolation, upsample):
    """Standard deviation that interpolation leaves of white noise, averaged over all positions between pixels."""
    between = (np.arange(1000) + 0.5) / 1000
    taps = np.arange(-1, 3)
    distance = np.abs(between[:, None] - taps)
    weights = np.maximum(1 - distance, 0) if interpolation == "linear" else cubic_kernel(distance)
    # Pixels and half pixels of band-limited noise correlate as sinc of their distance.
    correlation = np.sinc((taps[:, None] - taps) / 2) if upsample else np.eye(4)
    # The share of the variance along one axis is that of the standard deviation along both.
    return np.einsum("ni,ij,nj->n", weights, correlation, weights).mean()


@pytest.mark.parametrize(
    ("interpolation", "upsample", "share"),
    [("linear", False, 0.667), ("linear", True, 0.879), ("cubic", False, 0.857), ("cubic", True, 1.01)],
)
def test_an_affine_lowers_white_noise_by_the_share_of_its_interpolation(interpolation, upsample, share):
    noise = complex_normal((8, 96, 96))
    moved = apply(noise[None], Geometry(rotation_deg=27), interpolation=interpolation, upsample=upsample)
    interior = moved[..., 16:-16, 16:-16]
    assert noise_share(interpolation, upsample) == pytest.approx(share, abs=0.02)
    assert float(interior.abs().square().mean().sqrt()) == pytest.approx(noise_share(interpolation, upsample), rel=0.02)
    assert abs(complex(interior.mean())) < 0.02


def test_a_flip_of_the_image_is_a_flip_of_kspace_up_to_a_ramp_of_phase():
    kspace = complex_normal((1, 15, 12))
    moved = fft2c(apply(ifft2c(kspace), Geometry(is_flipped_h=True)))
    frequency = torch.arange(12) - 6
    # The flip is about the middle between the pixels 5 and 6, the centre of the transform is pixel 6.
    ramp = torch.polar(torch.ones(12), 2 * torch.pi * frequency / 12)
    assert torch.allclose(moved, kspace[..., (-frequency + 6) % 12] * ramp, atol=1e-5)
    # An odd size has its centre in the middle: no ramp.
    moved = fft2c(apply(ifft2c(kspace), Geometry(is_flipped_v=True)))
    assert torch.allclose(moved, kspace.flip(-2), atol=1e-5)


@pytest.mark.parametrize("geometry", [EXACT[7], AFFINE[6]])
@pytest.mark.parametrize("options", [{}, {"interpolation": "cubic"}, {"upsample": True}])
def test_transforms_are_linear_and_gradients_flow_through_them(geometry, options):
    def function(image):
        return apply(image, geometry, **options)

    assert_linear(function, (1, 12, 15))
    x, y = complex_normal((1, 12, 15), 1).requires_grad_(), complex_normal((1, 12, 15), 2)
    moved = function(x)
    (gradient,) = torch.autograd.grad(torch.linalg.vecdot(y.flatten(), moved.flatten()).real, x)
    # The gradient of Re<y, A x> is A^H y, so that <A^H y, z> = <y, A z> for every z.
    z = complex_normal((1, 12, 15), 3)
    left, right = torch.vdot(gradient.flatten(), z.flatten()), torch.vdot(y.flatten(), function(z).flatten())
    assert abs(left - right) < 1e-4 * float(y.norm() * z.norm())
    assert abs(right) > 0.01 * float(y.norm())
