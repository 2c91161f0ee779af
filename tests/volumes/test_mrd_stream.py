"""MRD streams: what is read from them, at which bytes, and what is said of those that end early."""

import pickle
from dataclasses import replace

import ismrmrd
import mrd
import numpy as np
import pytest
from ismrmrd.serialization import ConfigFile, ConfigText

from mrikit.errors import DataError
from mrikit.volumes import build_index, mrd_stream, open_volume
from mrikit.volumes.files import held_open
from mrikit.volumes.mrd_stream import stream_version
from tests.volumes.mrd import write
from tests.volumes.streams import KSPACE, XML, all_lines, header_v2, write_v1, write_v2

WRITERS = {"v1": write_v1, "v2": write_v2}


@pytest.fixture(params=WRITERS)
def write_stream(request):
    return WRITERS[request.param]


def samples(volume):
    return np.stack(list(volume.kspace))


def refusal(path) -> str:
    with pytest.raises(DataError) as caught:
        open_volume(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", ["a.mrd", "a.h5", "a.bin"])
def test_a_stream_is_read_as_the_same_acquisitions_in_hdf5(tmp_path, write_stream, name):
    found = open_volume(write_stream(tmp_path / name))
    expected = open_volume(write(tmp_path / "hdf5" / "a.h5", XML, all_lines()))
    assert found.info == replace(expected.info, source=tmp_path / name)
    assert found.info.geometry.is_placed
    assert found.mask is None
    np.testing.assert_array_equal(samples(found), samples(expected))
    np.testing.assert_array_equal(samples(found), KSPACE)


def test_the_index_keeps_where_samples_lie(tmp_path, write_stream):
    write_stream(tmp_path / "a.mrd")
    index = build_index(tmp_path)
    assert index.bad_files == []
    found = pickle.loads(pickle.dumps(index)).open("a")
    np.testing.assert_array_equal(samples(found), KSPACE)
    assert found.info == open_volume(tmp_path / "a.mrd").info


def test_a_volume_that_is_held_reads_the_stream_that_was_there_at_first(tmp_path, write_stream):
    path = write_stream(tmp_path / "a.mrd")
    with held_open(open_volume(path)) as volume:
        np.testing.assert_array_equal(volume.kspace[0], KSPACE[0])
        (tmp_path / "b.mrd").write_bytes(bytes(path.stat().st_size))
        (tmp_path / "b.mrd").replace(path)
        np.testing.assert_array_equal(volume.kspace[2], KSPACE[2])


def test_header_and_acquisitions_can_be_asked_for_again(tmp_path, write_stream):
    acquisitions = open_volume(write_stream(tmp_path / "a.mrd")).kspace.acquisitions
    assert acquisitions.walked is None
    assert sorted(acquisitions.head["scan_counter"].tolist()) == list(range(72))
    assert b"encodedSpace" in acquisitions.xml


def test_a_slice_is_read_at_its_own_bytes(tmp_path, write_stream, monkeypatch):
    path = write_stream(tmp_path / "a.mrd", sorted(all_lines(), key=lambda one: one.idx.slice))
    volume = open_volume(path)
    read, original = [], mrd_stream.read_pieces

    def read_and_note(path, pieces, what, **options):
        read.extend((start, len(piece)) for start, piece in pieces)
        return original(path, pieces, what, **options)

    monkeypatch.setattr(mrd_stream, "read_pieces", read_and_note)
    np.testing.assert_array_equal(volume.kspace[1], KSPACE[1])
    places = volume.kspace.acquisitions
    first, last = places.starts[[24, 47]]  # 24 lines a slice, and these lie one after the other
    assert read == [(first, last - first + places.channels[47] * places.counts[47] * 8)]


def test_messages_that_are_no_raw_data_are_passed_over_and_counted(tmp_path):
    image = ismrmrd.Image.from_array(np.ones((4, 3), np.complex64))
    wave = ismrmrd.Waveform.from_array(np.ones((2, 5), np.uint32))
    others = ["text", image, wave, wave, np.ones((2, 3), np.float32), ConfigText("<a/>")]
    items = [ConfigFile("default.xml"), *all_lines()[:36], *others, *all_lines()[36:], image]
    with pytest.warns(UserWarning, match="2 images .*; 2 waveforms .*; 1 arrays of the stream are left out"):
        found = open_volume(write_v1(tmp_path / "a.mrd", items))
    np.testing.assert_array_equal(samples(found), KSPACE)


@pytest.mark.parametrize("first", [ConfigFile("default.xml"), ConfigText("<a/>"), "a text"])
def test_a_stream_may_begin_with_its_configuration(tmp_path, first):
    path = write_v1(tmp_path / "body.mrd")
    (tmp_path / "a.mrd").write_bytes(write_v1(tmp_path / "c", [first], None, is_closed=False).read_bytes())
    with (tmp_path / "a.mrd").open("ab") as file:
        file.write(path.read_bytes())
    np.testing.assert_array_equal(samples(open_volume(tmp_path / "a.mrd")), KSPACE)


def test_a_trajectory_lies_before_the_samples(tmp_path):
    made = all_lines()
    for one in made:
        values = np.array(one.data)
        one.resize(32, 2, 3)
        one.traj[:], one.data[:] = 7, values
    np.testing.assert_array_equal(samples(open_volume(write_v1(tmp_path / "a.mrd", made))), KSPACE)


def test_other_items_of_an_mrd2_stream_are_counted(tmp_path):
    wave = mrd.StreamItem.WaveformUint32(mrd.WaveformUint32(data=np.ones((1, 4), np.uint32)))
    with pytest.warns(UserWarning, match="2 WaveformUint32 items of the stream are left out"):
        found = open_volume(write_v2(tmp_path / "a.mrd", [wave, *all_lines(), wave]))
    np.testing.assert_array_equal(samples(found), KSPACE)


def test_facts_come_from_the_header_of_an_mrd2_stream(tmp_path):
    made = header_v2(
        subject_information=mrd.SubjectInformationType(patient_id="p<17>&"),
        study_information=mrd.StudyInformationType(body_part_examined="KNEE"),
        measurement_information=mrd.MeasurementInformationType(
            protocol_name="COR<PD>", patient_position=mrd.PatientPosition.F_FS
        ),
        acquisition_system_information=mrd.AcquisitionSystemInformationType(
            system_field_strength_t=1.5, system_model="Aera"
        ),
    )
    info = open_volume(write_v2(tmp_path / "a.mrd", made_header=made)).info
    assert (info.patient_id, info.anatomy, info.acquisition) == ("p<17>&", "knee", "COR<PD>")
    assert (info.field_strength_t, info.system, info.geometry.patient_position) == (1.5, "Aera", "FFS")


def test_flags_of_an_mrd2_stream_count(tmp_path):
    made = all_lines()
    noise = all_lines()[0]
    noise.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    with pytest.warns(UserWarning, match="1 noise"):
        np.testing.assert_array_equal(samples(open_volume(write_v2(tmp_path / "a.mrd", [noise, *made]))), KSPACE)


@pytest.mark.parametrize("number", [0, 1, 40, 71])
def test_a_stream_that_ends_early_is_one_line_with_the_number_of_acquisitions(tmp_path, write_stream, number):
    path = write_stream(tmp_path / "a.mrd")
    middle = int(open_volume(path).kspace.acquisitions.starts[number]) + 100
    path.write_bytes(path.read_bytes()[:middle])
    message = refusal(path)
    assert message.startswith(
        (f"the MRD stream ends after {number} whole", f"the MRD v2 stream ends or is damaged after {number} whole")
    )
    assert message.endswith("opy or convert it again")


def test_a_stream_that_ends_between_two_acquisitions_is_refused_too(tmp_path):
    path = write_v1(tmp_path / "a.mrd", is_closed=False)
    assert refusal(path) == (
        "the MRD stream ends after 72 whole acquisitions without its closing message; is it truncated? Copy or convert "
        "it again"
    )


def test_what_follows_the_closing_message_is_counted(tmp_path):
    path = write_v1(tmp_path / "a.mrd")
    path.write_bytes(path.read_bytes() + b"12345")
    with pytest.warns(UserWarning, match="5 bytes after the closing message are ignored"):
        np.testing.assert_array_equal(samples(open_volume(path)), KSPACE)


def test_an_unknown_message_is_named(tmp_path):
    path = write_v1(tmp_path / "a.mrd", all_lines()[:2], is_closed=False)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + (4711).to_bytes(2, "little"))
    assert refusal(path).startswith(f"the MRD stream has an unknown message 4711 at byte {size}, after 2 acquisitions")


def test_a_stream_without_a_scan_is_refused(tmp_path):
    assert refusal(write_v1(tmp_path / "a.mrd", [])).startswith("an MRD stream without any acquisition")
    path = write_v1(tmp_path / "b.mrd", ["a text", *all_lines()], None)
    assert refusal(path).startswith("an MRD stream without any header; found 72 acquisitions")
    assert refusal(write_v2(tmp_path / "c.mrd", [])).startswith("an MRD v2 stream without any acquisition")
    path = write_v2(tmp_path / "d.mrd", made_header=None)
    assert refusal(path).startswith("an MRD v2 stream without any header; found 72 acquisitions")


def with_schema(path, schema):
    """An MRD v2 stream that claims another schema."""
    content = path.read_bytes()
    own = mrd.BinaryMrdReader.schema.encode()
    place = content.index(own)
    length, number = len(schema), bytearray()
    while length >= 0x80:
        number.append(length & 0x7F | 0x80)
        length >>= 7
    path.write_bytes(content[:9] + bytes([*number, length]) + schema + content[place + len(own) :])
    return path


def test_a_newer_schema_is_refused_by_both_versions(tmp_path):
    newer = mrd.BinaryMrdReader.schema.encode()[:-2] + b',{"name":"PulseqDefinitions","fields":[]}]}'
    message = refusal(with_schema(write_v2(tmp_path / "a.mrd"), newer))
    assert message.startswith(
        "an MRD v2 stream of another schema: found that of mrd-python 2.2 or newer, but mrd-python 2.1.1, which reads "
        "it here, has schema "
    )
    assert message.endswith("convert it to ISMRMRD HDF5, or write it with that version")


def test_any_other_schema_is_refused_too(tmp_path):
    message = refusal(with_schema(write_v2(tmp_path / "a.mrd"), b'{"protocol":{"name":"Other"}}'))
    assert message.startswith("an MRD v2 stream of another schema: found schema ")
    noise = mrd.BinaryMrdNoiseCovarianceWriter.schema.encode()
    assert refusal(with_schema(write_v2(tmp_path / "b.mrd"), noise)) == (
        "an MRD v2 stream of a noise covariance; a scan is needed"
    )


def test_another_binary_format_and_a_cut_schema_are_refused(tmp_path):
    content = write_v2(tmp_path / "a.mrd").read_bytes()
    (tmp_path / "a.mrd").write_bytes(content[:5] + (7).to_bytes(4, "little") + content[9:])
    assert refusal(tmp_path / "a.mrd").startswith("an MRD v2 stream in binary format 7; mrd-python 2.1.1")
    (tmp_path / "b.mrd").write_bytes(content[:400])
    assert refusal(tmp_path / "b.mrd").startswith("the MRD v2 stream ends in its schema, after 0 acquisitions")


@pytest.mark.slow
def test_damage_is_an_error_of_one_line(tmp_path, write_stream):
    """Bytes changed at random: what is read is refused in one line, or is still a scan."""
    content = write_stream(tmp_path / "whole.mrd").read_bytes()
    rng, said = np.random.default_rng(5), []
    (tmp_path / "damaged").mkdir()
    start = content.index(b"</ismrmrdHeader>") if write_stream is write_v1 else 9 + len(mrd.BinaryMrdReader.schema)
    for number in range(60):
        damaged = bytearray(content)
        for place in rng.integers(start, len(content), 5):
            damaged[place] = rng.integers(256)
        path = tmp_path / "damaged" / f"{number}.mrd"
        path.write_bytes(damaged)
        try:
            open_volume(path)
        except DataError as error:
            said.append(str(error).removeprefix(f"{path}: "))
        except UserWarning:
            pass  # told, and an error in tests alone
    assert len(said) > 2
    assert [one for one in said if "\n" in one or "damaged/" in one] == []


@pytest.mark.parametrize(
    "first", [b"", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x03\x00\x00\x00\x00\x00", b"\x01\x00\x00", b"{\n"]
)
def test_what_is_no_stream_is_not_taken_for_one(first):
    assert stream_version(first) is None


def test_a_foreign_file_of_that_name_is_no_hdf5(tmp_path):
    (tmp_path / "a.mrd").write_text("text")
    assert refusal(tmp_path / "a.mrd").startswith("not an HDF5 file")


@pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
def test_a_stream_in_blob_storage_is_read_there(tmp_path, blob_container, write_stream):
    from mrikit.storage import write_bytes

    write_bytes(blob_container / "data" / "a.mrd", write_stream(tmp_path / "a.mrd").read_bytes())
    np.testing.assert_array_equal(samples(open_volume(blob_container / "data" / "a.mrd")), KSPACE)
    found = build_index(blob_container / "data").open("a")
    np.testing.assert_array_equal(samples(found), KSPACE)
