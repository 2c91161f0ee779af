"""What folders of the layouts in use are trained on, validated on and left out."""

import pytest
from safetensors import safe_open
from training.small_run import CONFIG, run
from training.test_volumes import configured, names_of, write

from mrikit.errors import DataError
from mrikit.run_files import WEIGHTS_FILE
from mrikit.training.volumes import open_study

LAYOUTS = {
    "fastmri": ("multicoil_train", "multicoil_val", "multicoil_test"),
    "fastmri_knee": ("knee_multicoil_train", "knee_multicoil_val", "knee_multicoil_test_v2"),
    "fastmri_challenge": ("multicoil_train", "multicoil_val", "multicoil_challenge"),
    "snu": ("train/knee/kspace", "val/knee/kspace", "leaderboard/acc4/kspace"),
    "cmrxrecon": (
        "MultiCoil/Cine/TrainingSet/FullSample/P001",
        "MultiCoil/Cine/ValidationSet/FullSample/P001",
        "MultiCoil/Cine/TestSet/FullSample/P001",
    ),
    "generic": ("training", "validation", "testing"),
    "short": ("study/train", "study/dev", "study/hidden"),
    "calgary": ("Train", "Val", "Test-R=5"),
}


@pytest.fixture(params=LAYOUTS)
def layout(request, tmp_path):
    folders = [tmp_path / "Data" / folder for folder in LAYOUTS[request.param]]
    for folder, names in zip(folders, (["t1", "t2", "t3"], ["v1"], ["x1", "x2"]), strict=True):
        write(folder, names)
    return tmp_path / "Data", *folders


def sides(study):
    return names_of(study.training), names_of(study.validation)


def everybody(study):
    return [*names_of(study.training), *names_of(study.validation)]


def test_the_split_that_a_layout_declares_is_the_split(layout):
    data, *folders = layout
    study = open_study(CONFIG, data)
    assert sides(study) == (["t1", "t2", "t3"], ["v1"])
    (note,) = study.notes
    train, validate, leave = note.split("; ")
    for words, said, folder, count in zip(
        ("folders: train on ", "validate on ", "leave out "),
        (train, validate, leave),
        folders,
        ("3 files", "1 file", "2 files"),
        strict=True,
    ):
        name = said.removeprefix(words).removesuffix(f" ({count})")
        assert str(folder).startswith(f"{data}/{name}")


def test_without_a_folder_to_validate_on_patients_are_held_out_of_training(layout):
    data, _, validation, _ = layout
    for path in validation.iterdir():
        path.unlink()
    study = open_study(configured(data__num_validation=1), data)
    assert sorted(everybody(study)) == ["t1", "t2", "t3"]
    assert "; validate on patients held out of these; leave out " in study.notes[0]


@pytest.mark.parametrize("named", ["folder", "parent", "file", "link", "linked files"])
def test_test_data_are_never_trained_on_by_any_path(layout, tmp_path, named):
    _, _, _, test = layout
    place = {"folder": test, "parent": test.parent, "file": test / "x1.h5"}.get(named, tmp_path / "mine")
    if named == "parent":
        for other in layout[1:3]:
            for path in other.iterdir():
                path.unlink()
    if named == "link":
        place.symlink_to(test)
    if named == "linked files":
        place.mkdir()
        for path in test.iterdir():
            (place / path.name).symlink_to(path)
    with pytest.raises(DataError) as caught:
        open_study(configured(data__num_validation=0), place)
    assert str(caught.value).startswith(f"{place}: holds test data, as ")
    assert "\n" not in str(caught.value)


def test_the_record_of_a_run_names_what_it_was_trained_on_and_no_test_data(tmp_path):
    for folder, names in (("train", ["t1", "t2"]), ("val", ["v1"]), ("leaderboard/acc4", ["x1"])):
        write(tmp_path / "Data" / folder / "kspace", names)
    write(tmp_path / "Data" / "leaderboard" / "acc8" / "kspace", ["x1"])
    lines = []
    run(tmp_path / "Data", tmp_path / "run", lines=lines, training__num_epochs=1)
    with safe_open(tmp_path / "run" / WEIGHTS_FILE, "pt") as file:
        record = "".join(file.metadata().values())
    assert '"trained_on": ["t1", "t2"]' in record.replace('\\"', '"')
    assert "x1" not in record
    assert lines[0] == ("folders: train on train (2 files); validate on val (1 file); leave out leaderboard (2 files)")


def test_validation_data_that_are_named_count_more_than_folders(tmp_path):
    write(tmp_path / "train", ["t1", "t2"])
    write(tmp_path / "val", ["v1"])
    write(tmp_path / "test", ["x1"])
    study = open_study(CONFIG, tmp_path, tmp_path / "test")
    assert sides(study) == (["t1", "t2"], ["x1"])
    assert study.notes == (f"folders: train on train (2 files); validate on {tmp_path}/test; leave out val (1 file)",)


def test_a_folder_to_validate_on_may_lie_among_the_data(tmp_path):
    write(tmp_path / "mine", ["v1"])
    write(tmp_path / "others", ["t1", "t2"])
    assert sides(open_study(CONFIG, tmp_path, tmp_path / "mine")) == (["t1", "t2"], ["v1"])


def test_files_of_folders_that_say_nothing_stay_out_where_another_trains(tmp_path):
    write(tmp_path / "train", ["t1", "t2"])
    write(tmp_path / "old", ["o1"])
    study = open_study(configured(data__num_validation=0), tmp_path)
    assert sides(study) == (["t1", "t2"], [])
    assert study.notes == (f"folders: train on train (2 files); leave out {tmp_path} (1 file)",)


def test_files_of_folders_that_say_nothing_are_trained_on_where_none_does(tmp_path):
    write(tmp_path / "knees", ["t1", "t2"])
    write(tmp_path / "val", ["v1"])
    assert sides(open_study(CONFIG, tmp_path)) == (["t1", "t2"], ["v1"])


def test_data_to_validate_on_may_be_trained_on_if_there_are_no_others(tmp_path):
    write(tmp_path / "multicoil_val", ["v1", "v2", "v3"])
    write(tmp_path / "multicoil_test", ["x1"])
    study = open_study(configured(data__num_validation=1), tmp_path)
    assert sorted(everybody(study)) == ["v1", "v2", "v3"]


def test_several_folders_are_read_together(tmp_path):
    write(tmp_path / "a" / "train", ["t1", "t2"])
    write(tmp_path / "b" / "train", ["t3"])
    write(tmp_path / "b" / "val", ["v1"])
    assert sides(open_study(CONFIG, [tmp_path / "a", tmp_path / "b"])) == (["t1", "t2", "t3"], ["v1"])


def test_a_folder_named_twice_is_read_once(tmp_path):
    write(tmp_path / "a", ["t1", "t2", "t3"])
    study = open_study(configured(data__num_validation=1), [tmp_path, tmp_path / "a"])
    assert sorted(everybody(study)) == ["t1", "t2", "t3"]
