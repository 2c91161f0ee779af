"""All members of a sweep as CSV."""

import csv

from mrikit.report.sweep.runs import SweepRun
from mrikit.report.sweep.table import write_table


def test_each_member_is_a_row_and_what_it_has_not_is_empty(tmp_path):
    tested = {"ssim": 0.75, "psnr": 31.5, "nmse": 0.02}
    runs = [
        SweepRun(
            name="m-1", task="t", settings={"data.mask_kind": "a,b", "training.seed": "3"}, out="runs/m/m-1",
            state="succeeded", is_done=True, best=0.8125, epoch=7.0, seconds=12.5, test=tested,
        ),
        SweepRun(name="m-2", task="t", settings={"training.max_lr": "0.1"}, state="new"),
    ]  # fmt: skip
    write_table(tmp_path / "all.csv", runs)
    first, second = csv.DictReader((tmp_path / "all.csv").read_text().splitlines())
    assert first == {
        "member": "m-1", "task": "t", "data.mask_kind": "a,b", "training.max_lr": "", "seed": "3", "state": "succeeded",
        "score": "ssim", "validation": "0.8125", "test_ssim": "0.75", "test_psnr": "31.5", "test_nmse": "0.02",
        "test_kspace_nmse": "", "epoch": "7", "seconds": "12.5", "out": "runs/m/m-1",
    }  # fmt: skip
    assert (second["state"], second["training.max_lr"]) == ("new", "0.1")
    empty = {"seed", "score", "validation", "test_ssim", "test_psnr", "test_nmse"}
    empty |= {"test_kspace_nmse", "epoch", "seconds", "out"}
    assert {key for key, value in second.items() if not value} == empty | {"data.mask_kind"}
