import json
import os
from pathlib import Path

import numpy as np
import pytest

from mrikit.errors import ConfigError, DataError
from mrikit.masks import MaskPlan, sample_mask, setting_options
from mrikit.masks.file import mask_file_bytes

RNG = np.random.RandomState(0)
LINES = np.arange(40) % 4 == 0
LINES[17:23] = True


def pattern():
    return sample_mask(MaskPlan(kind="variable_density_2d", settings={"center": (8, 6)}), (48, 40), RNG)


def write(mask, path, seed=0):
    for name, content in mask_file_bytes(mask, path, np.random.RandomState(seed)).items():
        (path.parent / name).write_bytes(content)
    return str(path)


def from_file(kind, shape=(48, 40), acceleration=1.0):
    return sample_mask(MaskPlan(kind=kind, acceleration=acceleration), shape, RNG)


@pytest.mark.parametrize("suffix", [".npy", ".cfl"])
def test_a_pattern_comes_back_from_its_file(tmp_path, suffix):
    mask = pattern()
    plan = write(mask, tmp_path / f"mask{suffix}")
    found = from_file(plan)
    np.testing.assert_array_equal(found.samples, mask.samples)
    assert found.kind == plan
    assert found.acceleration == pytest.approx(4)
    assert found.center[0] >= 8
    assert MaskPlan(kind=plan).is_2d


@pytest.mark.parametrize("suffix", [".npy", ".cfl", ".json"])
def test_lines_come_back_from_their_file(tmp_path, suffix):
    mask = sample_mask(MaskPlan(kind="variable_density"), (48, 40), RNG)
    plan = write(mask, tmp_path / f"mask{suffix}")
    np.testing.assert_array_equal(from_file(plan).samples, mask.samples)
    assert not MaskPlan(kind=plan).is_2d


def test_an_acceleration_takes_the_first_lines_of_an_order(tmp_path):
    (tmp_path / "order.json").write_text(json.dumps([20, 19, 21, 3, 30, 7, 11, 35]))
    mask = from_file(str(tmp_path / "order.json"), acceleration=8)
    assert np.flatnonzero(mask.samples).tolist() == [3, 19, 20, 21, 30]
    assert (mask.acceleration, mask.true_acceleration, mask.num_center_lines) == (8, 8, 3)
    assert from_file(str(tmp_path / "order.json"), acceleration=2).samples.sum() == 8


def test_a_written_order_begins_with_the_center(tmp_path):
    mask = sample_mask(MaskPlan(kind="equispaced", center_fraction=0.15), (48, 40), RNG)
    order = json.loads((tmp_path / write(mask, tmp_path / "order.json")).read_text())
    assert order[0] == 20
    assert sorted(order[:6]) == list(range(17, 23))
    assert order[7:] != sorted(order[7:])


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "order.json"
    path.write_text("[20]")
    assert from_file(str(path)).samples.sum() == 1
    path.write_text("[20, 21]")
    os.utime(path, ns=(1, 1))
    assert from_file(str(path)).samples.sum() == 2


def test_a_bart_array_of_kspace_says_what_was_measured(tmp_path):
    kspace = np.zeros((48, 40, 1, 2), np.complex64)
    kspace[:, LINES, :, 1] = 1j
    (tmp_path / "kspace.hdr").write_text("# Dimensions\n48 40 1 2\n")
    (tmp_path / "kspace.cfl").write_bytes(kspace.tobytes(order="F"))
    np.testing.assert_array_equal(from_file(str(tmp_path / "kspace.cfl")).samples, np.tile(LINES, (48, 1)))


def test_a_file_of_another_shape_is_one_clear_line(tmp_path):
    plan = write(pattern(), tmp_path / "mask.npy")
    with pytest.raises(DataError, match=r"mask.npy: a mask of 48 x 40 for k-space of 32 x 40; make one for it"):
        from_file(plan, (32, 40))
    (tmp_path / "order.json").write_text("[3, 41]")
    with pytest.raises(DataError, match=r"order.json: its order of lines names column 41, but k-space has 40 columns"):
        from_file(str(tmp_path / "order.json"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", b"not numpy", "not a mask file"),
        ("a.json", b'{"lines": [1]}', "a list of column numbers from 0 is needed"),
        ("a.json", b"[1, 2.5]", "a list of column numbers from 0 is needed"),
        ("a.json", b"[]", "a list of column numbers from 0 is needed"),
        ("a.json", b"[1, 1]", "a column is named twice"),
        ("a.json", b"[1,", "not a mask file"),
        ("a.json", b"[1, 999999999999999999999999]", "not a mask file"),
        ("a.json", b"[" * 100_000, "not a mask file"),
        ("a.cfl", b"12345678", "No such file or directory"),
        ("missing.npy", None, "No such file or directory"),
    ],
)
def test_a_file_that_is_no_mask_is_one_clear_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: not a mask file.*`mrikit masks make` writes one") as raised:
        from_file(str(tmp_path / name))
    assert message in str(raised.value)


@pytest.mark.parametrize("header", ["", "# Dimensions\n", "# Dimensions\n \n"])
def test_a_bart_header_without_sizes_is_one_clear_line(tmp_path, header):
    (tmp_path / "a.cfl").write_bytes(b"12345678")
    (tmp_path / "a.hdr").write_text(header)
    with pytest.raises(DataError, match=r"a.cfl: not a mask file \(its header names no sizes\)"):
        from_file(str(tmp_path / "a.cfl"))


def test_several_arrays_under_the_name_of_one_are_refused(tmp_path):
    with (tmp_path / "a.npy").open("wb") as file:
        np.savez(file, mask=pattern())
    with pytest.raises(DataError, match=r"a.npy: not a mask file \(several arrays are packed in it\)"):
        from_file(str(tmp_path / "a.npy"))


@pytest.mark.parametrize("samples", [np.zeros(40, bool), np.ones(40), np.ones((2, 3, 4), bool)])
def test_an_array_that_is_no_mask_is_refused(tmp_path, samples):
    np.save(tmp_path / "a.npy", samples)
    with pytest.raises(DataError, match=r"it samples nothing|bool of \(phase,\) or \(readout, phase\) is needed"):
        from_file(str(tmp_path / "a.npy"))


def test_a_pattern_has_no_order_of_lines():
    with pytest.raises(ConfigError, match=r"an order of lines cannot hold a 2-D pattern; .npy or .cfl would do"):
        mask_file_bytes(pattern(), Path("a.json"), RNG)
    with pytest.raises(ConfigError, match=r"a mask file is .npy, .json, .cfl, found a.txt"):
        mask_file_bytes(pattern(), Path("a.txt"), RNG)


def test_a_mask_file_has_no_settings():
    with pytest.raises(ConfigError, match=r"a mask file has no settings, found power for a.npy"):
        MaskPlan(kind="a.npy", settings={"power": 2})


def test_a_plan_is_the_same_however_its_settings_were_written():
    words = MaskPlan(kind="poisson_disc", settings={"center": "24,16"})
    assert words == MaskPlan(kind="poisson_disc", settings={"center": (24, 16)})
    assert words.facts["settings"] == {"center": [24, 16]}
    assert MaskPlan().facts == {"kind": "equispaced_fraction", "acceleration": 4.0, "center_fraction": 0.08}


def test_settings_are_said_as_options_that_read_them():
    plan = MaskPlan(kind="poisson_disc", settings={"center": (24, 16), "has_corners": True})
    words = setting_options(plan.facts["settings"])
    assert words == ["--set", "mask.center=24,16", "--set", "mask.has_corners=True"]
    read = dict(word.removeprefix("mask.").split("=") for word in words[1::2])
    assert MaskPlan(kind="poisson_disc", settings=read) == plan
