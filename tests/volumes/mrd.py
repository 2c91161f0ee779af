"""MRD files of a known scan, in the forms that scanners' converters give them."""

import h5py
import ismrmrd
import numpy as np

from mrikit.volumes.ismrmrd import read_ismrmrd


def fft1c(samples, axis):
    shifted = np.fft.fft(np.fft.ifftshift(samples, axes=axis), axis=axis, norm="ortho")
    return np.fft.fftshift(shifted, axes=axis)


def ifft1c(samples, axis):
    shifted = np.fft.ifft(np.fft.ifftshift(samples, axes=axis), axis=axis, norm="ortho")
    return np.fft.fftshift(shifted, axes=axis)


def rss(kspace):
    return np.sqrt((np.abs(ifft1c(ifft1c(kspace, -2), -1)) ** 2).sum(-3))


def scan(num_slices=2, num_coils=3, readout=32, phase=24, noise=0.0, seed=0):
    """(slice, coil, readout, phase) k-space of a lopsided body, another one in each slice."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : readout * 1j, -1 : 1 : phase * 1j]
    images = []
    for number in range(num_slices):
        body = ((x / 0.7) ** 2 + (y / 0.8) ** 2 < 1) * 1.0
        body[(x > 0.1) & (x < 0.3 + 0.05 * number) & (y > -0.5) & (y < 0.1 * number)] += 1
        centers = np.exp(2j * np.pi * np.arange(num_coils) / num_coils)
        images.append([np.exp(-(np.abs(x + 1j * y - center) ** 2)) * body * center for center in centers])
    kspace = fft1c(fft1c(np.array(images), -2), -1)
    kspace += noise * (rng.standard_normal(kspace.shape) + 1j * rng.standard_normal(kspace.shape))
    return kspace.astype(np.complex64)


def header(
    encoded, shown=None, *, center=None, first=0, last=None, mm=(300, 200, 5), shown_mm=None, mode=None, more=""
):
    """An ISMRMRD header; matrices are (readout, phase, partition), limits those of the lines; None leaves them out."""

    def space(name, size, size_mm):
        axes = [
            "".join(f"<{axis}>{value}</{axis}>" for axis, value in zip("xyz", of, strict=True))
            for of in (size, size_mm)
        ]
        return f"<{name}><matrixSize>{axes[0]}</matrixSize><fieldOfView_mm>{axes[1]}</fieldOfView_mm></{name}>"

    limits = ""
    if center is not None:
        last = encoded[1] - 1 if last is None else last
        limits = limit("kspace_encoding_step_1", first, last, center)
    parallel = (
        "<parallelImaging><accelerationFactor><kspace_encoding_step_1>2</kspace_encoding_step_1>"
        f"<kspace_encoding_step_2>1</kspace_encoding_step_2></accelerationFactor><calibrationMode>{mode}"
        "</calibrationMode></parallelImaging>"
    )
    return (
        '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><experimentalConditions><H1resonanceFrequency_Hz>1'
        "</H1resonanceFrequency_Hz></experimentalConditions><encoding>"
        + space("encodedSpace", encoded, mm)
        + space("reconSpace", shown or encoded, shown_mm or mm)
        + f"<encodingLimits>{limits}{more}</encodingLimits><trajectory>cartesian</trajectory>"
        + parallel * (mode is not None)
        + "</encoding></ismrmrdHeader>"
    )


def limit(name, first, last, center):
    return f"<{name}><minimum>{first}</minimum><maximum>{last}</maximum><center>{center}</center></{name}>"


def line(samples, number, slice_index=0, *, flags=(), user=None, place=None, **facts):
    """One acquisition of (coil, sample) k-space; other facts are counters of `idx`, or of the head itself."""
    one = ismrmrd.Acquisition.from_array(np.ascontiguousarray(samples, np.complex64))
    one.center_sample = samples.shape[1] // 2
    one.idx.kspace_encode_step_1, one.idx.slice = number, slice_index
    for flag in flags:
        one.set_flag(flag)
    for place_in_user, value in (user or {}).items():
        one.idx.user[place_in_user] = value
    if place is not None:
        one.position[:], one.slice_dir[:] = place, (0, 0, 1)
        one.read_dir[:], one.phase_dir[:] = (1, 0, 0), (0, 1, 0)
    for name, value in facts.items():
        setattr(one.idx if hasattr(one.idx, name) else one, name, value)
    return one


def lines(kspace, numbers=None, **facts):
    """All lines of (slice, coil, readout, phase) k-space, or the numbered ones, slice by slice."""
    numbers = range(kspace.shape[-1]) if numbers is None else numbers
    return [line(one[:, :, number], number, place, **facts) for place, one in enumerate(kspace) for number in numbers]


def write(path, xml, acquisitions, group="dataset"):
    path.parent.mkdir(exist_ok=True)
    with ismrmrd.Dataset(str(path), group) as dataset:
        dataset.write_xml_header(xml.encode())
        for one in acquisitions:
            dataset.append_acquisition(one)
    return path


def read(path, group=None):
    """The volumes in a file, without warnings."""
    with h5py.File(path) as file:
        return read_ismrmrd(path, file, group)


def samples(volume):
    return np.stack(list(volume.kspace))
