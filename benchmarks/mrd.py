"""Read MRD files: mrikit against ismrmrd's own reader and mrpro's KData, slices a second.

    .venv-bench/bin/python benchmarks/mrd.py

One fully sampled 2-D scan with as many coils and lines as a knee of fastMRI. Each reader opens the file and hands out
the k-space of all slices as one complex64 array each; ismrmrd's reader gives one line at a time, which a loop puts into
place. The readers take turns, the page cache is warm, and the best of five counts.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ismrmrd
import numpy as np
import numpy.typing as npt

from mrikit.volumes import ScanInfo, Volume, open_volume, write_ismrmrd
from mrikit.volumes.geometry import Geometry

NUM_TIMES = 5
Array = npt.NDArray[np.complex64]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--num-slices", type=int, default=16)
    parser.add_argument("--num-coils", type=int, default=15)
    parser.add_argument("--matrix", type=int, nargs=2, default=(640, 368))
    options = parser.parse_args()
    matrix = (options.matrix[0], options.matrix[1])
    with tempfile.TemporaryDirectory(prefix="mrikit-mrd-") as place:
        path = Path(place) / "scan.h5"
        kspace = _write(path, options.num_slices, options.num_coils, matrix)
        readers: dict[str, Callable[[], Array]] = {
            "mrikit": lambda: _read_mrikit(path),
            "ismrmrd": lambda: _read_ismrmrd(path, kspace.shape),
        }
        try:
            import mrpro  # noqa: F401 - whether it is there
        except (ImportError, RuntimeError) as error:
            print(f"mrpro cannot be imported, and is left out: {error}")
        else:
            readers["mrpro KData"] = lambda: _read_mrpro(path)
        best = dict.fromkeys(readers, float("inf"))
        for _ in range(NUM_TIMES):
            for name, read in readers.items():
                start = time.perf_counter()
                found = read()
                best[name] = min(best[name], time.perf_counter() - start)
                assert found.shape == kspace.shape
                assert np.array_equal(found, kspace)
    print(f"{options.num_slices} slices of {options.num_coils} coils, {matrix[0]} x {matrix[1]}, best of {NUM_TIMES}")
    print(f"{'reader':14}{'slices/s':>10}{'mrikit is':>12}")
    for name, seconds in best.items():
        print(f"{name:14}{options.num_slices / seconds:10.1f}{seconds / best['mrikit']:11.2f}x")


def _write(path: Path, num_slices: int, num_coils: int, matrix: tuple[int, int]) -> Array:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((num_slices, num_coils, *matrix, 2), dtype=np.float32)
    kspace: Array = values.view(np.complex64)[..., 0]
    # What a scan looks like from afar: most of it in the middle.
    kspace[..., matrix[0] // 2, matrix[1] // 2] = 1000
    # mrpro reads no file without a place in the patient.
    place = Geometry(
        pixel_mm=(1.0, 1.0),
        slice_thickness_mm=3.0,
        slice_spacing_mm=3.0,
        positions_mm=tuple((0.0, 0.0, 3.0 * number) for number in range(num_slices)),
        read_dir=(1.0, 0.0, 0.0),
        phase_dir=(0.0, 1.0, 0.0),
        slice_dir=(0.0, 0.0, 1.0),
    )
    info = ScanInfo(
        volume_id="scan",
        matrix=matrix,
        recon_matrix=matrix,
        padding=(0, matrix[1]),
        acquisition="bench",
        geometry=place,
    )
    write_ismrmrd(path, Volume(kspace=kspace, info=info))
    return kspace


def _read_mrikit(path: Path) -> Array:
    return np.stack(list(open_volume(path).kspace))


def _read_ismrmrd(path: Path, shape: tuple[int, ...]) -> Array:
    kspace = np.zeros(shape, np.complex64)
    dataset = ismrmrd.Dataset(str(path), "dataset", create_if_needed=False)
    for number in range(dataset.number_of_acquisitions()):
        line = dataset.read_acquisition(number)
        kspace[line.idx.slice, :, :, line.idx.kspace_encode_step_1] = line.data
    dataset.close()
    return kspace


def _read_mrpro(path: Path) -> Array:
    from mrpro.data import KData
    from mrpro.data.traj_calculators import KTrajectoryCartesian

    data = KData.from_file(path, KTrajectoryCartesian()).data  # (slice, coil, k2, k1, k0)
    return np.ascontiguousarray(data[:, :, 0].swapaxes(-1, -2).numpy())


if __name__ == "__main__":
    main()
