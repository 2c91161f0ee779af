from dataclasses import replace

import torch

from mrikit.data import AugmentConfig, Augmented, SliceKey, center_crop, make_augment
from mrikit.physics.coils import rss
from mrikit.physics.fft import fft2c, ifft2c
from tests.data.batches import make_batch, two_volumes


def test_an_augmentation_changes_full_kspace_and_with_it_the_reference():
    volumes, keys = two_volumes(), [SliceKey(0, 1), SliceKey(1, 0)]
    seen = []

    def flip_rows(kspace, samples):
        seen.append((kspace, list(samples)))
        return Augmented(fft2c(ifft2c(kspace).flip(-2)), (True, True))

    plain = make_batch(volumes, keys, 3, plan=None)
    flipped = make_batch(volumes, keys, 3, augment=flip_rows)
    ((kspace, samples),) = seen
    assert kspace.shape == (2, 3, 6, 64, 60)
    assert torch.equal(kspace[0], torch.from_numpy(volumes[0].kspace))
    assert samples == [("file1000001", 1), ("file1000004", 0)]
    # The second volume has twice the signal that its reference shows. The window lies evenly about the middle.
    scale = torch.tensor([1.0, 2.0])[:, None, None]
    assert torch.allclose(flipped.reference, scale * plain.reference.flip(-2), atol=1e-5)
    kept = flipped.mask.expand_as(flipped.masked_kspace)
    assert torch.equal(flipped.masked_kspace[kept], fft2c(ifft2c(kspace).flip(-2))[kept])
    assert (flipped.masked_kspace[~kept] == 0).all()


def flip_second(uses_slice_max=False):
    """An augmentation that turns the second batch element upside down."""

    def augment(kspace, samples):
        flipped = fft2c(ifft2c(kspace[1:]).flip(-2))
        return Augmented(torch.cat([kspace[:1], flipped]), (False, True), uses_slice_max)

    return augment


def test_only_what_was_changed_gets_a_new_reference():
    volumes, keys = two_volumes(), [SliceKey(0, 1), SliceKey(1, 0)]
    stored = replace(volumes[0], reference=volumes[0].reference + 5)
    plain = make_batch([stored, volumes[1]], keys, 3)
    augmented = make_batch([stored, volumes[1]], keys, 3, augment=flip_second())
    for name in ("masked_kspace", "reference"):
        assert torch.equal(getattr(augmented, name)[0], getattr(plain, name)[0])
        assert not torch.equal(getattr(augmented, name)[1], getattr(plain, name)[1])
    assert torch.allclose(augmented.reference[1], 2 * plain.reference[1].flip(-2), atol=1e-5)
    assert torch.equal(augmented.data_range, plain.data_range)


def test_the_range_of_the_slice_is_taken_for_changed_examples_where_the_augmentation_asks_for_it():
    volumes, keys = two_volumes(), [SliceKey(0, 1), SliceKey(1, 0)]
    plain = make_batch(volumes, keys)
    augmented = make_batch(volumes, keys, augment=flip_second(uses_slice_max=True))
    assert augmented.data_range[0] == plain.data_range[0]
    assert augmented.data_range[1] == augmented.reference[1].max() != plain.data_range[1]


def test_a_file_without_reference_gets_one_from_the_new_kspace_when_it_was_changed():
    volumes = [replace(volume, reference=None) for volume in two_volumes()]
    keys = [SliceKey(0, 1), SliceKey(1, 0)]
    plain, augmented = make_batch(volumes, keys), make_batch(volumes, keys, augment=flip_second())
    assert torch.equal(augmented.reference[0], plain.reference[0])
    assert torch.allclose(augmented.reference[1], plain.reference[1].flip(-2), atol=1e-5)


def test_augmented_and_full_kspace_gives_the_reference_it_is_compared_with():
    volumes, keys = two_volumes(), [SliceKey(0, 1), SliceKey(1, 0)]
    augment = make_augment(AugmentConfig(schedule="constant", strength=1), seed=0, epoch=0)
    volumes[1] = replace(volumes[1], info=replace(volumes[1].info, padding=(0, 60)))
    example = make_batch(volumes, keys, plan=None, augment=augment)
    image = center_crop(rss(ifft2c(example.masked_kspace)), example.crop)
    assert torch.allclose(image, example.reference, atol=1e-5)
    stored = make_batch(volumes, keys, plan=None).reference
    assert all((image[row] - stored[row]).abs().max() > 0.5 for row in (0, 1))
