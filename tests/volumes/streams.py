"""MRD streams of both versions, written by the libraries that define them."""

import ismrmrd
import ismrmrd.xsd
import mrd
import numpy as np
from ismrmrd.serialization import ProtocolSerializer

from tests.volumes.mrd import header, lines, scan

MATRIX = (32, 24, 1)
XML = header(MATRIX, center=12)
KSPACE = scan(num_slices=3, num_coils=2, noise=0.1)


def all_lines():
    """Every line of the scan with its place, slices interleaved and with a time of their own."""
    made = lines(KSPACE)
    for number, one in enumerate(made):
        one.scan_counter = number
        one.position[:] = (1, 2, 5 * one.idx.slice)
        one.read_dir[:], one.phase_dir[:], one.slice_dir[:] = np.eye(3)
    return sorted(made, key=lambda one: (one.idx.kspace_encode_step_1, one.idx.slice))


def write_v1(path, items=None, xml=XML, *, is_closed=True):
    """A stream of the header and of acquisitions and whatever else ismrmrd serialises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        serializer = ProtocolSerializer(file)
        if xml is not None:
            serializer.serialize(ismrmrd.xsd.CreateFromDocument(xml))
        for item in all_lines() if items is None else items:
            serializer.serialize(item)
        if is_closed:
            serializer.close()
    return path


def write_v2(path, items=None, *, made_header="own"):
    """A stream of the header and of acquisitions and other items of mrd-python."""
    path.parent.mkdir(parents=True, exist_ok=True)
    items = all_lines() if items is None else items
    with mrd.BinaryMrdWriter(str(path)) as writer:
        writer.write_header(header_v2() if made_header == "own" else made_header)
        writer.write_data(
            mrd.StreamItem.Acquisition(acquisition_v2(item)) if isinstance(item, ismrmrd.Acquisition) else item
            for item in items
        )
    return path


def header_v2(**facts):
    """The header of the scan."""
    x, y, z = MATRIX
    space = mrd.EncodingSpaceType(
        matrix_size=mrd.MatrixSizeType(x=x, y=y, z=z), field_of_view_mm=mrd.FieldOfViewMm(x=300, y=200, z=5)
    )
    limits = mrd.EncodingLimitsType(kspace_encoding_step_1=mrd.LimitType(minimum=0, maximum=y - 1, center=12))
    encoding = mrd.EncodingType(
        encoded_space=space, recon_space=space, encoding_limits=limits, trajectory=mrd.Trajectory.CARTESIAN
    )
    return mrd.Header(**{"encoding": [encoding], **facts})


def acquisition_v2(one):
    """An acquisition of ismrmrd as one of mrd-python."""
    idx, vectors = one.idx, ("position", "read_dir", "phase_dir", "slice_dir")
    names = ("kspace_encode_step_1", "average", "slice", "contrast", "repetition")
    return mrd.Acquisition(
        head=mrd.AcquisitionHeader(
            flags=mrd.AcquisitionFlags(one.flags),
            idx=mrd.EncodingCounters(**{name: getattr(idx, name) or None for name in names}),
            scan_counter=one.scan_counter,
            channel_order=list(range(one.active_channels)),
            center_sample=one.center_sample,
            **{name: np.array(getattr(one, name), np.float32) for name in vectors},
        ),
        data=np.array(one.data),
        trajectory=np.zeros((0, 0), np.float32),
    )
