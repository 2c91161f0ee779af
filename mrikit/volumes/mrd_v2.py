"""Walk through an MRD v2 stream in its binary form, as mrd-python reads it."""

import contextlib
import hashlib
import importlib.metadata
import io
import mmap
import struct
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.storage import BlobPath, Location
from mrikit.volumes.acquisitions import Walked
from mrikit.volumes.blob_file import Signature
from mrikit.volumes.faults import DamageError, system_fault
from mrikit.volumes.pieces import read_pieces

MAGIC = b"yardl"
BINARY_VERSION = 1
MOST_BYTES = 2**33
"""Of a blob, which mrd-python reads in memory."""
_LONGEST_SCHEMA = 2**22
_NEWER = '"Pulseq'
"""Begins the names of types that mrd-python has since 2.2."""
_DAMAGE = (
    EOFError, BufferError, RuntimeError, ValueError, KeyError, TypeError, IndexError, OverflowError, MemoryError,
    struct.error,
)  # fmt: skip
"""What damage becomes, depending on the byte that mrd-python stumbles over; the second where a stream ends early."""
_COUNTERS = (
    "kspace_encode_step_1", "kspace_encode_step_2", "average", "slice", "contrast", "phase", "repetition", "set",
    "segment",
)  # fmt: skip
_NUMBERS = ("discard_pre", "discard_post", "encoding_space_ref", "scan_counter")
_VECTORS = ("position", "read_dir", "phase_dir", "slice_dir", "patient_table_position")


def is_mrd2(first: bytes) -> bool:
    """Whether a file that begins so is an MRD v2 stream in its binary form."""
    return first.startswith(MAGIC)


def walk_mrd2(path: Location, size_bytes: int, signature: Signature | None) -> Walked:
    """The header and every acquisition header of a stream, and where samples lie.

    mrd-python tells no places in the file. So the samples that it read are looked for from where the ones before end:
    whatever place is found holds these very bytes.

    Args:
        path: The file; a local one is read through once, a blob is in memory meanwhile.
        size_bytes: Its size.
        signature: Of a blob.

    Raises:
        DataError: It has another schema, ends early, is damaged or holds no scan; the message does not name the file.
    """
    import mrd

    heads, starts, left_out, cursor = [], [], Counter[str](), 0
    with _opened(path, size_bytes, signature) as (stream, content):
        _check_schema(content[: _LONGEST_SCHEMA + 16])
        try:
            reader = mrd.BinaryMrdReader(stream)
            header = reader.read_header()
            for item in reader.read_data():
                if not isinstance(item, mrd.StreamItem.Acquisition):
                    left_out.update([type(item).__name__.removeprefix("StreamItem.")])
                    continue
                samples = np.ascontiguousarray(item.value.data, "<c8").tobytes()
                starts.append(content.find(samples, cursor))
                cursor = starts[-1] + len(samples)
                heads.append(_head(item.value))
        except _DAMAGE as error:
            raise DamageError(
                f"the MRD v2 stream ends or is damaged after {len(heads)} whole acquisitions "
                f"({' '.join(str(error).split()) or type(error).__name__}); copy or convert it again"
            ) from error
    if header is None or not heads:
        what = "header" if header is None else "acquisition"
        raise DataError(f"an MRD v2 stream without any {what}; found {len(heads)} acquisitions and {dict(left_out)}")
    notes = tuple(f"{count} {name} items of the stream are left out" for name, count in left_out.items())
    return Walked(_xml(header), np.concatenate(heads), np.array(starts, np.int64), notes)


class _Opened(NamedTuple):
    stream: BinaryIO
    content: Any
    """The bytes of the same file, to be searched."""


@contextlib.contextmanager
def _opened(path: Location, size_bytes: int, signature: Signature | None) -> Iterator[_Opened]:
    if isinstance(path, BlobPath):
        if size_bytes > MOST_BYTES:
            raise DataError(
                f"an MRD v2 stream of {size_bytes / 1e9:.1f} GB; up to {MOST_BYTES / 1e9:.1f} GB are read in az://. "
                "Copy it to a disk first"
            )
        content = bytearray(size_bytes)
        read_pieces(path, [(0, memoryview(content))], "the stream", signature=signature)
        yield _Opened(io.BytesIO(content), content)
        return
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            yield _Opened(stream, mapped)
    except OSError as error:
        raise system_fault("the stream cannot be read", error) from error


def _check_schema(first: bytes) -> None:
    """Refuse what mrd-python cannot read, by the names of both versions."""
    import mrd

    own = f"mrd-python {importlib.metadata.version('mrd-python')}, which reads it here"
    version = int.from_bytes(first[5:9], "little")
    if version != BINARY_VERSION:
        raise DataError(f"an MRD v2 stream in binary format {version}; {own}, knows format {BINARY_VERSION}")
    length, start = 0, 9
    for place, byte in enumerate(first[9:14]):  # a number of seven bits a byte, the lowest first
        length |= (byte & 0x7F) << (7 * place)
        start += 1
        if byte < 0x80:
            break
    if len(first) < start + length <= start + _LONGEST_SCHEMA:
        raise DamageError("the MRD v2 stream ends in its schema, after 0 acquisitions; copy or convert it again")
    schema, expected = first[start : start + length].decode("utf-8", "replace"), mrd.BinaryMrdReader.schema
    if schema == expected:
        return
    if schema.startswith('{"protocol":{"name":"MrdNoiseCovariance"'):
        raise DataError("an MRD v2 stream of a noise covariance; a scan is needed")
    found = "that of mrd-python 2.2 or newer" if _NEWER in schema else f"schema {_digest(schema)}"
    raise DataError(
        f"an MRD v2 stream of another schema: found {found}, but {own}, has schema {_digest(expected)}; convert it to "
        "ISMRMRD HDF5, or write it with that version"
    )


def _digest(schema: str) -> str:
    return hashlib.sha256(schema.encode()).hexdigest()[:8]


def _head(one: Any) -> npt.NDArray[np.void]:  # noqa: ANN401 - mrd-python carries no types
    """(1,) acquisition header with the fields of MRD v1."""
    from ismrmrd.hdf5 import acquisition_header_dtype

    row, known = np.zeros(1, acquisition_header_dtype), one.head
    num_coils, num_samples = one.data.shape
    row["version"], row["flags"], row["measurement_uid"] = 1, int(known.flags), known.measurement_uid
    row["active_channels"] = row["available_channels"] = num_coils
    row["number_of_samples"], row["trajectory_dimensions"] = num_samples, one.trajectory.shape[0]
    row["center_sample"] = num_samples // 2 if known.center_sample is None else known.center_sample
    for name in _NUMBERS:
        row[name] = getattr(known, name) or 0
    for name in _COUNTERS:
        row["idx"][name] = getattr(known.idx, name) or 0
    user = known.idx.user[: row["idx"]["user"].shape[1]]
    row["idx"]["user"][0, : len(user)] = user
    for name in _VECTORS:
        row[name] = getattr(known, name)
    return row


def _xml(header: Any) -> bytes:  # noqa: ANN401
    """The facts of a header that mrikit reads, as ISMRMRD XML."""
    root = ET.Element("ismrmrdHeader", xmlns="http://www.ismrm.org/ISMRMRD")
    subject, study = header.subject_information, header.study_information
    measurement, system = header.measurement_information, header.acquisition_system_information
    if subject is not None:
        _add(root, "subjectInformation", patientID=subject.patient_id)
    if study is not None:
        _add(root, "studyInformation", bodyPartExamined=study.body_part_examined)
    if measurement is not None:
        position = measurement.patient_position.name.replace("_", "")  # H_FS
        _add(root, "measurementInformation", patientPosition=position, protocolName=measurement.protocol_name)
    if system is not None:
        field = system.system_field_strength_t
        _add(root, "acquisitionSystemInformation", systemModel=system.system_model, systemFieldStrength_T=field)
    for one in header.encoding:
        encoding = _add(root, "encoding", trajectory=one.trajectory.name.lower())
        for name, space in {"encodedSpace": one.encoded_space, "reconSpace": one.recon_space}.items():
            element = _add(encoding, name)
            for key, size in {"matrixSize": space.matrix_size, "fieldOfView_mm": space.field_of_view_mm}.items():
                _add(element, key, x=size.x, y=size.y, z=size.z)
        limits = _add(encoding, "encodingLimits")
        for name in ("kspace_encoding_step_1", "kspace_encoding_step_2"):
            limit = getattr(one.encoding_limits, name)
            if limit is not None:
                _add(limits, name, minimum=limit.minimum, maximum=limit.maximum, center=limit.center)
        if one.parallel_imaging is not None and one.parallel_imaging.calibration_mode is not None:
            _add(encoding, "parallelImaging", calibrationMode=one.parallel_imaging.calibration_mode.name.lower())
    return ET.tostring(root)


def _add(parent: ET.Element, name: str, **children: object) -> ET.Element:
    """An element with a child for each value that is known."""
    element = ET.SubElement(parent, name)
    for key, value in children.items():
        if value is not None:
            ET.SubElement(element, key).text = str(value)
    return element
