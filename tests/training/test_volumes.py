import dataclasses
import shutil
import subprocess

import pytest
from phantoms import make_volume
from training.small_run import CONFIG, write_study

from mrikit.config import change_config
from mrikit.errors import ConfigError, DataError
from mrikit.training.volumes import open_study
from mrikit.volumes import write_fastmri


def write(data, names, patients=None, brightness=1):
    for name, patient in zip(names, patients or names, strict=True):
        volume = make_volume(2, num_coils=2, size=(32, 28), window=(24, 20), volume_id=name)
        reference = brightness * volume.reference
        info = dataclasses.replace(volume.info, patient_id=patient, reference_max=float(reference.max()))
        write_fastmri(data / f"{name}.h5", dataclasses.replace(volume, reference=reference, info=info))
    return data


def names_of(dataset):
    return [volume.info.volume_id for volume in dataset.volumes]


def configured(**settings):
    return change_config(CONFIG, {name.replace("__", "."): value for name, value in settings.items()}, "test")


def test_patients_are_on_one_side_only(tmp_path):
    names = [f"v{number}" for number in range(8)]
    write(tmp_path, names, [f"p{number // 2}" for number in range(8)])
    study = open_study(configured(data__num_validation=2), tmp_path)
    assert len(names_of(study.validation)) == 4
    assert sorted(names_of(study.training) + names_of(study.validation)) == names
    sides = [{volume.info.patient_id for volume in side.volumes} for side in (study.training, study.validation)]
    assert not sides[0] & sides[1]


def test_who_validates_depends_on_the_seed_alone(tmp_path):
    write(tmp_path, [f"v{number}" for number in range(8)])
    first, again, other = (
        names_of(open_study(configured(training__seed=seed), tmp_path).validation) for seed in (4, 4, 9)
    )
    assert first == again
    assert first != other


def test_folders_of_fastmri_are_told_apart(tmp_path):
    write(tmp_path / "multicoil_train", ["a", "b", "c"])
    write(tmp_path / "multicoil_val", ["d"])
    write(tmp_path / "singlecoil_train", ["e"])
    study = open_study(CONFIG, tmp_path)
    assert (names_of(study.training), names_of(study.validation)) == (["a", "b", "c"], ["d"])
    study = open_study(configured(data__challenge="singlecoil", data__num_validation=0), tmp_path)
    assert names_of(study.training) == ["e"]


def test_without_a_folder_to_validate_on_patients_of_the_other_are_held_out(tmp_path):
    write(tmp_path / "multicoil_train", ["a", "b", "c"])
    study = open_study(configured(data__num_validation=1), tmp_path)
    assert len(study.training.volumes) == 2
    assert len(study.validation.volumes) == 1


def test_nothing_is_validated_where_nothing_is_asked_for(tmp_path):
    write(tmp_path / "multicoil_train", ["a", "b"])
    write(tmp_path / "multicoil_val", ["c"])
    study = open_study(configured(data__num_validation=0), tmp_path)
    assert (names_of(study.training), names_of(study.validation)) == (["a", "b"], [])


def test_a_start_of_the_sampler_that_is_no_mask_is_one_clear_line(tmp_path):
    write(tmp_path / "multicoil_train", ["a", "b"])
    start = str(tmp_path / "missing.npy")
    settings = {"sampler__kind": "lines", "sampler__acs": "column", "sampler__num_acs": 2, "sampler__start": start}
    with pytest.raises(DataError, match=r"missing\.npy: not a mask file \(No such file or directory\)"):
        open_study(configured(data__num_validation=0, **settings), tmp_path)


def test_validation_data_may_be_named(tmp_path):
    write(tmp_path / "data" / "multicoil_train", ["a", "b"])
    write(tmp_path / "data" / "multicoil_val", ["c"])
    write(tmp_path / "mine", ["x", "y"])
    study = open_study(CONFIG, tmp_path / "data", tmp_path / "mine")
    assert (names_of(study.training), names_of(study.validation)) == (["a", "b"], ["x", "y"])


@pytest.mark.parametrize(
    ("names", "patients", "message"),
    [
        (["c", "d"], ["p3", "p1"], "d (patient p1) of the validation data is in the training data too; validate on"),
        (["a"], ["p9"], "a (patient p9) of the validation data is in the training data too; validate on other"),
    ],
)
def test_validation_data_of_a_patient_who_is_trained_on_is_refused(tmp_path, names, patients, message):
    write(tmp_path / "train", ["a", "b"], ["p1", "p2"])
    write(tmp_path / "val", names, patients)
    with pytest.raises(DataError) as caught:
        open_study(CONFIG, tmp_path / "train", tmp_path / "val")
    assert str(caught.value).startswith(message)


def test_volumes_whose_patient_is_unknown_are_compared_by_name(tmp_path):
    write(tmp_path / "train", ["a", "b"], [None, None])
    write(tmp_path / "val", ["c"], [None])
    assert names_of(open_study(CONFIG, tmp_path / "train", tmp_path / "val").validation) == ["c"]


def test_some_volumes_are_the_first_of_a_shuffle_that_the_seed_gives(tmp_path):
    names = [f"v{number}" for number in range(9)]
    write(tmp_path, names)
    chosen = {
        count: names_of(open_study(configured(data__num_volumes=count, data__num_validation=0), tmp_path).training)
        for count in (2, 4, 9)
    }
    assert [len(found) for found in chosen.values()] == [2, 4, 9]
    assert set(chosen[2]) < set(chosen[4]) < set(chosen[9])
    assert chosen[4] == sorted(chosen[4]) != names[:4]
    other = open_study(configured(data__num_volumes=4, data__num_validation=0, training__seed=7), tmp_path)
    assert names_of(other.training) != chosen[4]


def test_fewer_volumes_do_not_change_who_validates(tmp_path):
    write(tmp_path, [f"v{number}" for number in range(9)])
    few, all_of_them = (open_study(configured(data__num_volumes=count), tmp_path) for count in (3, 0))
    assert names_of(few.validation) == names_of(all_of_them.validation)


def test_more_volumes_than_there_are_is_an_error(tmp_path):
    write(tmp_path, ["a", "b", "c"])
    with pytest.raises(ConfigError) as caught:
        open_study(configured(data__num_volumes=4, data__num_validation=0), tmp_path)
    assert str(caught.value) == "data.num_volumes is 4, but there are 3 to train on"


def test_the_digest_knows_volumes_shapes_sides_and_brightness(tmp_path):
    def digest(folder, **settings):
        return open_study(configured(**settings), folder).digest

    first = digest(write(tmp_path / "a", ["a", "b", "c", "d"]))
    assert digest(write(tmp_path / "same", ["a", "b", "c", "d"])) == first
    others = {
        digest(write(tmp_path / "fewer", ["a", "b", "c"])),
        digest(write(tmp_path / "bright", ["a", "b", "c", "d"], brightness=2)),
        digest(tmp_path / "a", data__num_validation=1),
        digest(tmp_path / "a", training__seed=5),
    }
    assert len(others) == 4
    assert first not in others


def test_a_folder_that_cannot_be_written_has_the_same_digest_without_an_index(study, full_disk):
    write_study(full_disk)
    subprocess.run(["mount", "-o", "remount,ro", full_disk], check=True)
    assert open_study(CONFIG, full_disk).digest == open_study(CONFIG, study).digest
    assert [path.suffix for path in full_disk.iterdir()] == [".h5"] * 7
    assert any(path.suffix != ".h5" for path in study.iterdir())


def test_the_same_volumes_elsewhere_have_the_same_digest(study, tmp_path):
    shutil.copytree(study, tmp_path / "elsewhere")
    assert open_study(CONFIG, tmp_path / "elsewhere").digest == open_study(CONFIG, study).digest


def test_patients_are_told_apart_by_names_where_files_do_not_name_them(tmp_path):
    names = [f"202206100{person}_T10{repetition}" for person in (1, 2, 3) for repetition in (1, 2, 3)]
    write(tmp_path, names, [None] * 9)
    study = open_study(configured(data__num_validation=1), tmp_path)
    validating = names_of(study.validation)
    assert len(validating) == 3
    assert len({name[:10] for name in validating}) == 1
    assert study.notes[0].startswith("patients: 3 people by the names of 9 files, such as 2022061001_T101, ")


def test_a_table_says_whose_volumes_are(tmp_path):
    names = [f"v{number}" for number in range(6)]
    write(tmp_path / "data", names, [None] * 6)
    (tmp_path / "patients.csv").write_text("".join(f"v{number}.h5,p{number % 2}\n" for number in range(6)))
    study = open_study(configured(data__num_validation=1), tmp_path / "data", patients=tmp_path / "patients.csv")
    assert names_of(study.validation) in (["v0", "v2", "v4"], ["v1", "v3", "v5"])
    assert study.notes == ()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("v0,p\nv1,q\n", "--patients lacks v2 of 3 volumes; add a line for each"),
        ("v0,p\nv1,q\nv2,q\nw,q\n", "--patients names w, which the data do not hold; mend or leave out these lines"),
    ],
)
def test_a_table_that_does_not_fit_the_data_is_refused_by_name(tmp_path, lines, message):
    write(tmp_path / "data", ["v0", "v1", "v2"], [None] * 3)
    (tmp_path / "patients.csv").write_text(lines)
    with pytest.raises(DataError) as caught:
        open_study(CONFIG, tmp_path / "data", patients=tmp_path / "patients.csv")
    assert str(caught.value) == message


def test_a_table_may_name_volumes_that_stay_out(tmp_path):
    write(tmp_path / "data" / "train", ["v0", "v1", "v2"], [None] * 3)
    write(tmp_path / "data" / "test", ["w"], [None])
    (tmp_path / "patients.csv").write_text("v0,p\nv1,q\nv2,r\nw,s\n")
    study = open_study(configured(data__num_validation=1), tmp_path / "data", patients=tmp_path / "patients.csv")
    assert len(names_of(study.training)) == 2


def test_a_person_by_name_is_not_on_both_sides_of_folders_either(tmp_path):
    write(tmp_path / "train", ["17_T101", "18_T101"], [None] * 2)
    write(tmp_path / "val", ["17_T102"], [None])
    with pytest.raises(DataError, match=r"17_T102 \(patient 17\) of the validation data is in the training data too"):
        open_study(CONFIG, tmp_path)
