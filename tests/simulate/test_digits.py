"""Digits: MNIST's files, and their k-space."""

import gzip
import struct

import numpy as np
import pytest

from mrikit.errors import DataError
from mrikit.simulate import DigitsStudy, plan_study, simulate_study
from mrikit.simulate.digits import read_digits
from mrikit.volumes import find_volumes, open_volume


def digits(count=23, size=(28, 28)):
    return np.random.default_rng(0).integers(0, 256, (count, *size), dtype=np.uint8)


def idx(images):
    return struct.pack(">4I", 0x803, *images.shape) + images.tobytes()


def test_all_three_kinds_of_file_give_the_same_digits(tmp_path):
    wanted = digits()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(wanted))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(wanted)))
    np.savez(tmp_path / "digits.npz", images=wanted, labels=np.zeros(23, np.uint8))
    for name in ("train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "digits.npz"):
        np.testing.assert_array_equal(read_digits(tmp_path / name), wanted)


def test_no_file_of_digits_is_one_line_that_says_what_would_do(tmp_path):
    image = idx(digits(2))
    files = {
        "labels": (struct.pack(">2I", 0x801, 5) + bytes(5), "no idx file of images, it holds labels; train-images"),
        "text": (b"hello world", "no idx file of images, it begins with 68656c6c; train-images"),
        "empty": (b"", "no idx file of images, it begins with nothing; train-images"),
        "short": (image[:-7], "2 x 28 x 28 pixels take 1584 bytes, found 1577; copy it again"),
        "header": (image[:9], "cut short, 9 bytes; copy it again"),
        "none": (struct.pack(">4I", 0x803, 0, 28, 28), "holds no images; train-images"),
        "cut.gz": (gzip.compress(image)[:-30], "cannot be read ("),
        "cut.npz": (b"PK\x03\x04 nothing", "cannot be read ("),
    }
    for name, (content, message) in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError) as caught:
            read_digits(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: {message}"), name
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="missing: cannot be read"):
        read_digits(tmp_path / "missing")


def test_an_archive_of_other_arrays_or_of_pickles_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", x_train=digits())
    np.savez(tmp_path / "float.npz", images=digits() / 255)
    np.savez(tmp_path / "pickled.npz", images=np.array([{"a": 1}], object))
    found = {
        "other": "no array `images`, found x_train; ",
        "float": r"`images` are float64 of shape \(23, 28, 28\); ",
        "pickled": r"cannot be read \(Object arrays cannot be loaded",
    }
    for name, message in found.items():
        with pytest.raises(DataError, match=rf"{name}\.npz: {message}"):
            read_digits(tmp_path / f"{name}.npz")


def test_volumes_of_one_coil_hold_every_digit_once_and_their_centred_transform(tmp_path):
    wanted, source = digits(), tmp_path / "d"
    source.write_bytes(idx(wanted))
    simulate_study(DigitsStudy(folder=tmp_path / "out", source=source, num_slices=5))
    paths = sorted(find_volumes(tmp_path / "out"), key=lambda path: path.stem)
    assert [path.parent.name.removeprefix("singlecoil_") for path in paths] == ["val", "train", "train", "test"]
    for number, path in enumerate(paths):
        volume = open_volume(path)
        assert volume.is_fully_sampled
        assert volume.kspace.shape == (5, 1, 28, 28)
        image = wanted[5 * number : 5 * number + 5] / 255
        np.testing.assert_allclose(np.stack(list(volume.reference)), image, atol=1e-6)
        kspace = np.stack([volume.kspace[index][0] for index in range(5)])
        shifted = np.fft.fft2(np.fft.ifftshift(image, axes=(1, 2)), norm="ortho")
        np.testing.assert_allclose(kspace, np.fft.fftshift(shifted, axes=(1, 2)), atol=1e-4)


def test_digits_that_do_not_fill_the_volumes_are_counted(tmp_path):
    (tmp_path / "d").write_bytes(idx(digits()))
    assert len(plan_study(DigitsStudy(folder=tmp_path, source=tmp_path / "d", num_slices=4, num_volumes=3))) == 3
    for settings, message in (
        ({"num_slices": 5, "num_volumes": 5}, "its 23 digits fill 4 volumes of 5, 5 are asked for; fewer --volumes"),
        ({}, "its 23 digits fill 0 volumes of 100, 1 are asked for"),
    ):
        with pytest.raises(DataError, match=message):
            plan_study(DigitsStudy(folder=tmp_path, source=tmp_path / "d", **settings))
