"""Several processes on one folder, volumes that were trained on, and folders of older versions."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
from phantoms import make_volume
from reconstruct.networks import masks, save_unet

from mrikit.data import MaskPlan
from mrikit.errors import ConfigError, DataError
from mrikit.reconstruct import ReconstructConfig, Shard, reconstruct_folder
from mrikit.volumes import write_fastmri
from mrikit.volumes.reconstruction import read_reconstruction

PLAN = MaskPlan(kind="equispaced", acceleration=4, center_fraction=0.2)
CONFIG = ReconstructConfig(model="zero_filled", mask=PLAN)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    for number, num_slices in enumerate((4, 1, 1, 2)):
        write_volume(folder, f"v{number}", f"p{number}", num_slices)
    return folder


def write_volume(folder, name, patient, num_slices=1):
    volume = make_volume(num_slices, 2, (32, 28), (24, 20), volume_id=name)
    write_fastmri(folder / f"{name}.h5", replace(volume, info=replace(volume.info, patient_id=patient)))


def test_parts_together_are_the_whole_and_have_as_many_slices(data, tmp_path):
    parts = [
        reconstruct_folder(data, tmp_path / "out", CONFIG, shard=Shard(rank=rank, num_shards=2)) for rank in range(2)
    ]
    assert [(part.num_volumes, part.num_slices) for part in parts] == [(1, 4), (3, 4)]
    reconstruct_folder(data, tmp_path / "whole", CONFIG)
    for number in range(4):
        found, expected = (read_reconstruction(tmp_path / out / f"v{number}.h5").image for out in ("out", "whole"))
        assert (found == expected).all()


def test_a_part_is_the_same_whatever_is_done_already(data, tmp_path):
    reconstruct_folder(data / "v0.h5", tmp_path / "first", CONFIG)
    first, second = Shard(rank=0, num_shards=2), Shard(rank=1, num_shards=2)
    reconstruct_folder(data, tmp_path / "out", CONFIG, shard=second)
    (tmp_path / "out" / "v1.h5").unlink()
    again = reconstruct_folder(data, tmp_path / "out", CONFIG, shard=second)
    assert (again.num_volumes, again.num_skipped) == (1, 2)
    assert reconstruct_folder(data, tmp_path / "out", CONFIG, shard=first).num_volumes == 1


def test_processes_at_the_same_time_share_a_folder(data, tmp_path):
    code = (
        "import pathlib, sys\n"
        "from mrikit.commands.app import app\n"
        "app(['reconstruct', '--data', sys.argv[1], '--out', sys.argv[2], '--model', 'zero_filled', '--device', 'cpu'])"
    )
    environment = {**os.environ, "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, data, tmp_path / "out"],
            env=environment | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = sorted(process.communicate()[0].splitlines()[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert said[0].startswith("zero_filled (part 1/2): 1 volumes, 4 slices, ")
    assert said[1].startswith("zero_filled (part 2/2): 3 volumes, 4 slices, ")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "reconstruct.json",
        *(f"v{n}.h5" for n in range(4)),
    ]


def test_a_part_that_has_nothing_to_do_leaves_the_folder_to_the_others(data, tmp_path):
    shard = Shard(rank=7, num_shards=8)
    summary = reconstruct_folder(data, tmp_path / "out", CONFIG, shard=shard)
    assert (summary.num_volumes, summary.num_skipped) == (0, 0)
    with pytest.raises(ConfigError, match="is for reconstructions with model zero_filled, asked for grappa"):
        reconstruct_folder(data, tmp_path / "out", replace(CONFIG, model="grappa"), shard=Shard(rank=0, num_shards=8))


def test_a_damaged_volume_belongs_to_one_part(data, tmp_path):
    (data / "v2.h5").write_bytes(b"damaged")
    outcomes = []
    for rank in range(2):
        try:
            shard = Shard(rank=rank, num_shards=2)
            outcomes.append(reconstruct_folder(data, tmp_path / "out", CONFIG, shard=shard).num_volumes)
        except DataError as error:
            outcomes.append(str(error))
    assert sorted(map(type, outcomes), key=str) == [int, str]
    assert len(list((tmp_path / "out").glob("*.h5"))) == 3


def network(tmp_path, **record):
    save_unet(tmp_path / "w.safetensors", **record)
    return ReconstructConfig(weights=tmp_path / "w.safetensors", mask=PLAN)


def test_volumes_that_were_trained_on_are_counted_and_can_be_left_out(data, tmp_path):
    config, works = network(tmp_path, trained_on=["v0", "v3", "elsewhere"]), []

    def reconstruct(out, **settings):
        return reconstruct_folder(data, out, config, on_start=lambda _, work: works.append(work), **settings)

    assert reconstruct(tmp_path / "out", is_held_out=True).num_volumes == 2
    assert {path.stem for path in (tmp_path / "out").glob("*.h5")} == {"v1", "v2"}
    assert reconstruct(tmp_path / "out").num_volumes == 2
    facts = [(work.num_volumes, work.num_trained_on, work.left_out, work.num_slices) for work in works]
    assert facts == [(2, 0, ["v0", "v3"], 2), (4, 2, [], 6)]


def left_after(data, out, config, **settings):
    works = []
    reconstruct_folder(data, out, config, is_held_out=True, on_start=lambda _, work: works.append(work), **settings)
    return {path.stem for path in out.glob("*.h5")}, len(works[0].left_out), len(works[0].related)


def test_other_volumes_of_a_patient_who_was_trained_on_are_left_out_too(data, tmp_path):
    write_volume(data, "second", "p0")
    config = network(tmp_path, trained_on=["v0", "v3"])
    assert left_after(data, tmp_path / "out", config) == ({"v1", "v2"}, 2, 1)
    assert left_after(data, tmp_path / "out", config) == ({"v1", "v2"}, 2, 1)


def test_a_person_by_name_who_was_trained_on_elsewhere_is_left_out_too(tmp_path):
    for name in ("17_T102", "17_T201", "18_T101"):
        write_volume(tmp_path / "data", name, None)
    config = network(tmp_path, trained_on=["17_T101"])
    assert left_after(tmp_path / "data", tmp_path / "out", config) == ({"18_T101"}, 0, 2)


def test_a_table_says_whose_volumes_are_left_out(data, tmp_path):
    (tmp_path / "patients.csv").write_text("v0,a\nv1,b\nv2.h5,c\nv3,c\nelsewhere,b\n")
    config = network(tmp_path, trained_on=["v0", "elsewhere"])
    left = left_after(data, tmp_path / "out", config, patients=tmp_path / "patients.csv")
    assert left == ({"v2", "v3"}, 1, 1)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            "v0,a\nv1,b\nv2,c\nv3,c\n",
            "--patients lacks elsewhere and 0 other volumes of the data or of what was trained",
        ),
        ("v0,a\nv1,b\nv2,c\nv3,c\nelsewhere,b\nw,d\n", "--patients names w, which the data do not hold"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_name(data, tmp_path, table, message):
    (tmp_path / "patients.csv").write_text(table)
    config = network(tmp_path, trained_on=["v0", "elsewhere"])
    with pytest.raises(DataError, match=message):
        left_after(data, tmp_path / "out", config, patients=tmp_path / "patients.csv")


def test_weights_of_a_routed_run_count_their_training_volumes_together(data, tmp_path):
    for acceleration, volume_id in ((4, "v0"), (8, "v1")):
        path = tmp_path / "runs" / f"{acceleration}.safetensors"
        save_unet(path, masks=masks(acceleration), trained_on=[volume_id])
    config = ReconstructConfig(weights=(tmp_path / "runs",), task="auto", mask=PLAN)
    works = []
    reconstruct_folder(data, tmp_path / "out", config, on_start=lambda _, work: works.append(work))
    assert works[0].num_trained_on == 2


def test_a_folder_of_nothing_but_training_volumes_is_one_clear_line(data, tmp_path):
    config = network(tmp_path, trained_on=[f"v{number}" for number in range(4)])
    with pytest.raises(DataError, match="all 4 volumes were trained on; leave out --held-out, or name other data"):
        reconstruct_folder(data, tmp_path / "out", config, is_held_out=True)


def test_leaving_out_what_was_trained_on_needs_to_know_it(data, tmp_path):
    with pytest.raises(ConfigError, match="--held-out is for networks, and zero_filled was not trained on anything"):
        reconstruct_folder(data, tmp_path / "out", ReconstructConfig(model="zero_filled"), is_held_out=True)
    with pytest.raises(ConfigError, match="--held-out leaves out what a network was trained on, which these weights"):
        reconstruct_folder(data, tmp_path / "out", network(tmp_path), is_held_out=True)
    assert not (tmp_path / "out").exists()


def test_images_with_and_without_flips_are_not_mixed(data, tmp_path):
    out = tmp_path / "out"
    reconstruct_folder(data, out, CONFIG)
    with pytest.raises(ConfigError, match="is for reconstructions with flips False, asked for True; choose another"):
        reconstruct_folder(data, out, replace(CONFIG, flips=True))
    run = json.loads((out / "reconstruct.json").read_text())
    del run["flips"]  # as an older version wrote it
    (out / "reconstruct.json").write_text(json.dumps(run))
    assert reconstruct_folder(data, out, CONFIG).num_skipped == 4


def test_lines_outside_a_stored_mask_never_reach_the_network(tmp_path):
    lines = np.zeros(28, bool)
    lines[::4] = lines[10:18] = True
    volume = make_volume(2, 2, (32, 28), (24, 20), lines)
    for name in ("masked", "leaking"):
        write_fastmri(tmp_path / name / "file1.h5", volume)
    with h5py.File(tmp_path / "leaking" / "file1.h5", "r+") as file:
        file["kspace"][..., ~lines] = make_volume(2, 2, (32, 28)).kspace[..., ~lines]
    config = replace(network(tmp_path), mask=None)
    images = {}
    for name in ("masked", "leaking"):
        reconstruct_folder(tmp_path / name, tmp_path / f"out-{name}", config)
        images[name] = read_reconstruction(tmp_path / f"out-{name}" / "file1.h5").image
    assert (images["masked"] == images["leaking"]).all()
