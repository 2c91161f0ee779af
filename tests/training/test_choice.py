import dataclasses

import numpy as np
import pytest
from phantoms import make_volume
from training.small_run import CONFIG

from mrikit.config import change_config
from mrikit.errors import DataError
from mrikit.training import DataConfig, plan_run
from mrikit.training.choice import choose_volumes
from mrikit.training.volumes import open_study
from mrikit.volumes import write_fastmri


def volume(name, num_coils=2, size=(32, 28), window=(24, 20), **facts):
    made = make_volume(2, num_coils=num_coils, size=size, window=window, volume_id=name)
    facts = {"field_strength_t": 1.494, "system": "Aera", "patient_id": name, **facts}
    return dataclasses.replace(made, info=dataclasses.replace(made.info, **facts))


VOLUMES = [
    volume("usual"),
    volume("high", field_strength_t=2.8936, system="Skyra"),
    volume("low", field_strength_t=0.55),
    volume("silent", field_strength_t=None, system=None, acquisition=None),
    volume("fat_saturated", acquisition="CORPDFS_FBK"),
    volume("coils", num_coils=4),
    volume("wide", size=(32, 36)),
    volume("square", window=(24, 24)),
]


@pytest.mark.parametrize(
    ("asked", "left", "reason"),
    [
        ({"field_strength_t": 1.5}, ["high", "low", "silent"], "not known to be at 1.5 T"),
        ({"acquisitions": ("corpd_fbk",)}, ["silent", "fat_saturated"], "not known to be of protocol corpd_fbk"),
        ({"systems": ("Skyra", "Aera")}, ["silent"], "not known to be of scanner Skyra or Aera"),
        ({"max_coils": 3}, ["coils"], "of more than 3 coils"),
        ({"max_phase": 28}, ["wide"], "of more than 28 phase columns"),
        ({}, None, None),
    ],
)
def test_volumes_that_do_not_fit_are_left_out_for_a_reason(asked, left, reason):
    fitting, found = choose_volumes(VOLUMES, DataConfig(**asked), "data")
    assert [(one.names, one.reason) for one in found] == ([(left, reason)] if left else [])
    assert [one.info.volume_id for one in fitting] == [
        one.info.volume_id for one in VOLUMES if one.info.volume_id not in (left or [])
    ]


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"field_strength_t": 3.0}, "high"),
        ({"min_coils": 3}, "coils"),
        ({"min_phase": 29}, "wide"),
        ({"square_only": True}, "square"),
    ],
)
def test_what_alone_fits_is_taken(asked, name):
    fitting, (left,) = choose_volumes(VOLUMES, DataConfig(**asked), "data")
    assert [one.info.volume_id for one in fitting] == [name]
    assert len(left.names) == len(VOLUMES) - 1


def test_each_volume_counts_for_the_first_reason_against_it():
    fitting, left = choose_volumes(VOLUMES, DataConfig(field_strength_t=1.5, systems=("Aera",), max_coils=3), "data")
    assert [one.names for one in left] == [["high", "low", "silent"], ["coils"]]
    assert [one.info.volume_id for one in fitting] == ["usual", "fat_saturated", "wide", "square"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"field_strength_t": 7.0}, "data: data.field_strength_t=7 leaves no volume; found 1.494, 2.8936, 0.55, such"),
        ({"acquisitions": ("AXT2",)}, "data.acquisitions=AXT2 leaves no volume; found CORPD_FBK, such as of usual"),
        ({"systems": ("Avanto",), "min_coils": 4}, "data.systems=Avanto leaves no volume; found Aera, Skyra, such"),
        ({"max_phase": 20}, "data.max_phase=20 leaves no volume; found 28, such as of usual; ask for what is there"),
        (
            {"min_coils": 3, "square_only": True},
            "data.square_only=true leaves no volume; found 24 x 20, such as of coils",
        ),
    ],
)
def test_a_choice_that_leaves_nothing_says_what_is_there(asked, message):
    with pytest.raises(DataError) as raised:
        choose_volumes(VOLUMES, DataConfig(**asked), "data")
    assert message in str(raised.value)


def test_the_plan_counts_what_is_left_out_on_both_sides(tmp_path):
    for number, one in enumerate(VOLUMES):
        side = "multicoil_val" if number in (0, 3) else "multicoil_train"
        write_fastmri(tmp_path / side / f"{one.info.volume_id}.h5", one)
    asked = {"data.field_strength_t": "1.5", "data.max_coils": "3", "data.max_phase": "30"}
    study = open_study(change_config(CONFIG, asked, "test"), tmp_path)
    assert [one.info.volume_id for one in study.training.volumes] == ["fat_saturated", "square"]
    assert [one.info.volume_id for one in study.validation.volumes] == ["usual"]
    assert [note for note in study.notes if note.startswith("left out: ")] == [
        "left out: 2 of 6 volumes are not known to be at 1.5 T, such as high",
        "left out: 1 of 6 volumes is of more than 3 coils, such as coils",
        "left out: 1 of 6 volumes is of more than 30 phase columns, such as wide",
        "left out: 1 of 2 volumes is not known to be at 1.5 T, such as silent (to validate on)",
    ]


def test_a_file_of_lines_has_to_fit_slices_that_are_transposed_too(tmp_path):
    for name in ("a", "b", "c"):
        write_fastmri(tmp_path / "data" / f"{name}.h5", volume(name))
    np.save(tmp_path / "lines.npy", np.arange(28) % 2 == 0)
    asked = {"data.mask_kind": str(tmp_path / "lines.npy"), "data.num_validation": "1"}
    open_study(change_config(CONFIG, asked, "test"), tmp_path / "data")
    with pytest.raises(DataError, match="a mask of 28 for k-space of 28 x 32"):
        open_study(change_config(CONFIG, asked | {"augment.transpose_probability": "0.5"}, "test"), tmp_path / "data")


def test_the_plan_counts_steps_of_shorter_epochs(study):
    whole, short = (
        plan_run(change_config(CONFIG, {"data.epoch_share": share}, "test"), study) for share in ("1", "0.4")
    )
    assert (whole.steps_per_epoch, whole.num_steps) == (5, 10)
    assert (short.steps_per_epoch, short.num_steps) == (2, 4)
