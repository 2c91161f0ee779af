"""Several volumes in one MRD file, slices in space, averages and 3-D scans."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from mrikit.volumes import mrd_stack, open_volume
from mrikit.volumes.index_slices import dump_slices, load_slices
from tests.volumes.mrd import fft1c, header, ifft1c, limit, line, lines, read, rss, samples, scan, write

KSPACE = scan(num_slices=3)
READOUT, PHASE = KSPACE.shape[2:]
XML = header((READOUT, PHASE, 1), center=12)


@pytest.mark.parametrize("counter", ["contrast", "repetition", "set", "phase"])
def test_each_value_of_a_counter_is_a_volume_of_one_study(tmp_path, counter):
    acquisitions = [one for value in (0, 2) for one in lines(KSPACE * (value + 1), **{counter: value})]
    volumes = read(write(tmp_path / "leg.h5", XML, acquisitions))
    assert [volume.info.volume_id for volume in volumes] == [f"leg_{counter}0", f"leg_{counter}2"]
    assert {(volume.info.study_id, volume.info.patient_id) for volume in volumes} == {("leg", None)}
    for volume, scale in zip(volumes, (1, 3), strict=True):
        np.testing.assert_array_equal(samples(volume), KSPACE * scale)


def test_counters_that_vary_together_name_a_volume_together(tmp_path):
    acquisitions = [one for value in (0, 1) for one in lines(KSPACE, contrast=value, repetition=value)]
    volumes = read(write(tmp_path / "leg.h5", XML, acquisitions))
    assert [volume.info.volume_id for volume in volumes] == ["leg_contrast0_repetition0", "leg_contrast1_repetition1"]


def test_a_volume_without_the_centre_is_left_out(tmp_path):
    volumes = read(write(tmp_path / "a.h5", XML, [*lines(KSPACE), line(KSPACE[0, :, :, 3], 3, contrast=1)]))
    assert [volume.info.volume_id for volume in volumes] == ["a"]
    assert volumes[0].info.notes == ("1 volumes are left out, which lack the k-space centre: contrast1",)


def test_slices_come_in_the_order_of_their_positions(tmp_path):
    order = [0, 2, 1]
    acquisitions = [
        line(KSPACE[place, :, :, number], number, count, place=(0, 0, 5 * place - 5))
        for count, place in enumerate(order)
        for number in range(PHASE)
    ]
    (volume,) = read(write(tmp_path / "a.h5", XML, acquisitions))
    np.testing.assert_array_equal(samples(volume), KSPACE)
    assert volume.info.notes == (
        "3 slices are counted in another order than they lie in space; they are sorted by position",
    )
    assert [place[2] for place in volume.info.geometry.positions_mm] == [-5, 0, 5]


@pytest.mark.parametrize("heights", [(0, 0, 0), (7, 7, 7), (5, 0, -5), (0, 5, 5)])
def test_slices_keep_their_order_where_positions_do_not_contradict_it(tmp_path, heights):
    acquisitions = [
        line(KSPACE[place, :, :, number], number, place, place=(0, 0, heights[place]))
        for place in range(3)
        for number in range(PHASE)
    ]
    (volume,) = read(write(tmp_path / "a.h5", XML, acquisitions))
    np.testing.assert_array_equal(samples(volume), KSPACE)
    assert volume.info.notes == ()


def test_the_window_is_cropped_by_millimetres_and_not_interpolated(tmp_path):
    xml = header((32, 24, 1), (32, 48, 1), center=12, mm=(460, 204.5, 7.5), shown_mm=(230, 194, 5))
    (volume,) = read(write(tmp_path / "a.h5", xml, lines(KSPACE)))
    assert (volume.info.recon_matrix, volume.info.interpolated_matrix) == ((16, 23), (32, 48))


def test_a_window_whose_millimetres_are_rounded_is_the_one_to_show(tmp_path):
    xml = header((64, 24, 1), (32, 24, 1), center=12, mm=(280, 162.8, 4), shown_mm=(140, 162.0, 4))
    (volume,) = read(write(tmp_path / "a.h5", xml, lines(scan(readout=64))))
    assert (volume.info.recon_matrix, volume.info.interpolated_matrix) == ((32, 24), None)


@pytest.mark.parametrize("phase", [0.0, 2.6, -1.5])
def test_averages_out_of_phase_keep_their_signal(tmp_path, phase):
    acquisitions = [one for value in (0, 1) for one in lines(KSPACE * np.exp(1j * phase * value), average=value)]
    (volume,) = read(write(tmp_path / "a.h5", XML, acquisitions))
    np.testing.assert_allclose(samples(volume), KSPACE, atol=1e-5)
    assert len(volume.info.notes) == (phase != 0)


def test_averages_with_alternating_lines_are_brought_into_phase(tmp_path):
    acquisitions = [
        *lines(KSPACE, range(0, PHASE, 2), average=0),
        *lines(KSPACE * np.exp(2.1j), range(1, PHASE, 2), average=1),
    ]
    (volume,) = read(write(tmp_path / "a.h5", XML, acquisitions))
    error = np.linalg.norm(rss(samples(volume)) - rss(KSPACE)) / np.linalg.norm(rss(KSPACE))
    assert error < 0.05
    assert volume.info.notes[0].startswith("averages differ in phase, by up to 2.")


def test_repeated_lines_that_no_counter_tells_apart_are_averages(tmp_path):
    acquisitions = [*lines(KSPACE), *lines(KSPACE * np.exp(2j))]
    (volume,) = read(write(tmp_path / "a.h5", XML, acquisitions))
    np.testing.assert_allclose(samples(volume), KSPACE, atol=1e-5)


def make_slab(num_partitions=6):
    """(partition, coil, readout, phase) k-space of a 3-D scan, and its (partition, readout, phase) RSS image."""
    images = scan(num_slices=num_partitions)
    kspace = fft1c(images, 0)
    return kspace, np.sqrt((np.abs(ifft1c(ifft1c(images, -2), -1)) ** 2).sum(1))


SLAB, SLAB_IMAGE = make_slab()
SLAB_XML = header((READOUT, PHASE, 6), center=12, more=limit("kspace_encoding_step_2", 0, 5, 3), mm=(320, 240, 60))


def slab_lines(kspace=SLAB, **facts):
    return [
        line(one[:, :, number], number, kspace_encode_step_2=partition, **facts)
        for partition, one in enumerate(kspace)
        for number in range(PHASE)
    ]


def test_a_3d_scan_is_a_stack_of_slices_across_its_readout(tmp_path):
    (volume,) = read(write(tmp_path / "a.h5", SLAB_XML, slab_lines()))
    assert volume.kspace.shape == (READOUT, 3, 6, PHASE)
    assert (volume.mask, volume.info.matrix, volume.info.fov_mm) == (None, (6, PHASE), (60, 240))
    np.testing.assert_allclose(rss(samples(volume)), SLAB_IMAGE.transpose(1, 0, 2), atol=1e-5)


def test_a_3d_scan_shows_the_middle_of_its_readout(tmp_path):
    xml = SLAB_XML.replace(f"<x>{READOUT}</x>", "<x>16</x>").replace("<x>16</x>", f"<x>{READOUT}</x>", 1)
    xml = "<x>160</x>".join(xml.rsplit("<x>320</x>", 1))
    (volume,) = read(write(tmp_path / "a.h5", xml, slab_lines()))
    np.testing.assert_allclose(rss(samples(volume)), SLAB_IMAGE.transpose(1, 0, 2)[8:24], atol=1e-5)


def test_slices_across_the_readout_know_their_place(tmp_path):
    (volume,) = read(write(tmp_path / "a.h5", SLAB_XML, slab_lines(place=(1, 2, 3))))
    geometry = volume.info.geometry
    assert (geometry.pixel_mm, geometry.slice_spacing_mm) == ((10, 10), 10)
    assert (geometry.read_dir, geometry.phase_dir, geometry.slice_dir) == ((0, 0, 1), (0, 1, 0), (1, 0, 0))
    assert geometry.positions_mm[READOUT // 2] == (1, 2, 3)
    assert geometry.positions_mm[0] == (1 - 10 * READOUT / 2, 2, 3)


def test_a_3d_scan_has_a_mask_of_partitions_and_lines(tmp_path):
    def is_measured(partition, phase):
        return (partition + phase) % 2 == 0

    acquisitions = [
        one for one in slab_lines() if is_measured(one.idx.kspace_encode_step_2, one.idx.kspace_encode_step_1)
    ]
    (volume,) = read(write(tmp_path / "a.h5", SLAB_XML, acquisitions))
    np.testing.assert_array_equal(volume.mask, is_measured(*np.mgrid[:6, :PHASE]))
    assert not volume.kspace[5][:, ~volume.mask].any()


def test_partial_fourier_of_partitions_is_a_whole_scan(tmp_path):
    acquisitions = [one for one in slab_lines() if one.idx.kspace_encode_step_2 >= 1]
    (volume,) = read(write(tmp_path / "a.h5", SLAB_XML, acquisitions))
    assert volume.mask is None
    assert volume.is_fully_sampled
    assert volume.acquired.rows == (1, 6)


def test_a_3d_scan_that_leaves_out_lines_alone_has_a_mask_of_lines(tmp_path):
    acquisitions = [one for one in slab_lines() if one.idx.kspace_encode_step_1 % 2 == 0]
    (volume,) = read(write(tmp_path / "a.h5", SLAB_XML, acquisitions))
    np.testing.assert_array_equal(volume.mask, np.arange(PHASE) % 2 == 0)


def test_averages_of_a_3d_scan_are_brought_into_phase(tmp_path):
    acquisitions = [*slab_lines(average=0), *slab_lines(SLAB * np.exp(2.6j), average=1)]
    (volume,) = read(write(tmp_path / "a.h5", SLAB_XML, acquisitions))
    np.testing.assert_allclose(rss(samples(volume)), SLAB_IMAGE.transpose(1, 0, 2), atol=1e-5)
    assert volume.info.notes[0].startswith("averages differ in phase, by up to 2.6 rad")


def test_each_slab_of_a_3d_scan_is_a_volume(tmp_path):
    acquisitions = [*slab_lines(), *slab_lines(SLAB * 2, slice=1)]
    one, other = read(write(tmp_path / "a.h5", SLAB_XML, acquisitions))
    assert (one.info.volume_id, other.info.volume_id) == ("a_slice0", "a_slice1")
    np.testing.assert_allclose(2 * samples(one), samples(other), rtol=1e-5)


def test_all_slices_of_a_3d_scan_read_its_file_once(tmp_path, monkeypatch):
    (volume,) = read(write(tmp_path / "a.h5", SLAB_XML, slab_lines()))
    counted = []
    read_samples = type(volume.kspace.lines.acquisitions).samples
    monkeypatch.setattr(
        "mrikit.volumes.acquisitions.Hdf5Acquisitions.samples",
        lambda self, rows: counted.extend(rows) or read_samples(self, rows),
    )
    samples(volume)
    assert len(counted) == 6 * PHASE


def test_a_3d_scan_larger_than_memory_is_read_in_parts(tmp_path, monkeypatch):
    (volume,) = read(write(tmp_path / "a.h5", SLAB_XML, slab_lines()))
    whole = samples(volume)
    monkeypatch.setattr(mrd_stack, "_BLOCK_BYTES", 10 * whole[0].nbytes)
    (again,) = read(tmp_path / "a.h5")
    np.testing.assert_array_equal(samples(again), whole)


@pytest.mark.parametrize("is_3d", [False, True])
def test_an_index_keeps_averages_and_slabs(tmp_path, is_3d):
    acquisitions = [
        one for value in (0, 1) for one in (slab_lines(average=value) if is_3d else lines(KSPACE, average=value))
    ]
    path = write(tmp_path / "a.h5", SLAB_XML if is_3d else XML, acquisitions)
    (volume,) = read(path)
    known = json.loads(json.dumps(dump_slices(Path(path), volume.kspace)))
    np.testing.assert_array_equal(np.stack(list(load_slices(Path(path), known))), samples(volume))
    np.testing.assert_array_equal(np.stack(list(pickle.loads(pickle.dumps(volume.kspace)))), samples(volume))


def test_opening_tells_once_what_was_left_out(tmp_path):
    path = write(
        tmp_path / "a.h5", header((READOUT, PHASE, 1)), [*lines(KSPACE), line(KSPACE[0, :, :, 0], 0, flags=[19])]
    )
    with pytest.warns(
        UserWarning, match="a.h5: acquisitions that are no part of an image .* 1 noise; the header names no"
    ):
        open_volume(path)
