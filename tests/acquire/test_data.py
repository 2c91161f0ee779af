import numpy as np
import pytest
from acquire.scans import SIZE, make_env, make_scans, make_vector
from phantoms import make_volume

from mrikit.acquire.config import AcquireConfig
from mrikit.acquire.data import FullSlices, open_slices
from mrikit.acquire.reconstructors import as_reconstructor
from mrikit.errors import ConfigError, DataError
from mrikit.volumes.write import write_fastmri

ZERO_FILLED = as_reconstructor("zero_filled")


def names(data, **settings):
    return set(open_slices(data, ZERO_FILLED, AcquireConfig(**settings)).volume_ids)


def of_patients(count):
    scans = make_scans(count, num_coils=1, num_slices=1)
    return [
        scan.replaced(info=type(scan.info)(**{**fields(scan.info), "patient_id": f"p{number}"}))
        for number, scan in enumerate(scans)
    ]


def fields(info):
    return {name: getattr(info, name) for name in info.__dataclass_fields__}


def test_splits_share_no_patient_and_leave_none_out():
    scans = of_patients(10)
    train, val, test = (names(scans, split=split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (6, 2, 2)
    assert train | val | test == names(scans) == {f"file{number}" for number in range(10)}


def test_the_choice_of_patients_has_a_seed_of_its_own():
    scans = of_patients(10)
    assert names(scans, split="test") == names(scans, split="test")
    assert len({frozenset(names(scans, split="test", split_seed=seed)) for seed in range(4)}) > 1


def test_all_slices_of_one_patient_are_in_one_split():
    with pytest.raises(ConfigError, match="1 patient in the data; 1 for validation leaves none to train on"):
        names(make_scans(3), split="train")  # all of patient p1


def test_folders_say_what_a_volume_is_for(tmp_path):
    for folder, volume in (("multicoil_train", "file1"), ("multicoil_val", "file2")):
        (tmp_path / folder).mkdir()
        write_fastmri(tmp_path / folder / f"{volume}.h5", make_volume(num_slices=1, volume_id=volume))
    assert names(str(tmp_path), split="train") == {"file1"}
    assert names(tmp_path, split="val") == {"file2"}
    assert names(tmp_path) == {"file1", "file2"}
    with pytest.raises(DataError, match="the split 'test' has no volumes; found 1 in train, 1 in val; name another"):
        names(tmp_path, split="test")


def test_only_volumes_of_the_asked_width_are_used():
    scans = [*make_scans(2), *make_scans(1, size=(32, 30))]
    scans[2] = scans[2].replaced(info=type(scans[2].info)(**{**fields(scans[2].info), "volume_id": "wide"}))
    assert names(scans, width=30) == {"wide"}
    with pytest.raises(DataError, match="no volume has 40 columns; found 2 of 28, 1 of 30"):
        names(scans, width=40)
    with pytest.raises(
        DataError, match="one matrix, window and number of coils; found 2 of 32 x 28 with 3 coils; 1 of"
    ):
        names(scans)


def test_undersampled_volumes_are_refused():
    mask = np.arange(60) % 2 == 0
    with pytest.raises(DataError, match="file1000001: acquired undersampled; lines can only be chosen of full k-space"):
        names([make_volume(mask=mask)])


def test_no_volumes_are_refused():
    with pytest.raises(DataError, match="at least one volume, found none"):
        open_slices([], ZERO_FILLED, AcquireConfig())


@pytest.mark.parametrize("held_bytes", [0, 2**30])
def test_slices_are_read_once_while_there_is_room(held_bytes):
    scans = make_scans(1)
    slices = FullSlices(scans, ZERO_FILLED, held_bytes=held_bytes)
    first = slices.read(0)
    slices.read(1)
    assert (slices.read(0) is first) == (held_bytes > 0)


def test_opened_slices_serve_several_environments():
    slices = FullSlices(make_scans(), ZERO_FILLED)
    one, several = make_env(slices), make_vector(slices)
    assert one.episodes.slices is several.episodes.slices is slices
    assert one.reset(seed=1)[0]["mask"].shape == (SIZE[1],)


@pytest.mark.parametrize("data", [None, 3, ["folder"]])
def test_what_are_no_volumes_is_named(data):
    with pytest.raises(DataError, match=r"needs a folder, a file or a list of volumes, found (NoneType|int|str)"):
        open_slices(data, ZERO_FILLED, AcquireConfig())
