"""`examples/maskable_ppo.py`: it learns and scores as it stands there, in the least time."""

import runpy
import sys
import warnings
from pathlib import Path

from acquire.scans import make_scans

from mrikit.volumes.write import write_fastmri

EXAMPLE = Path(__file__).parents[2] / "examples" / "maskable_ppo.py"


def test_the_example_of_maskable_ppo_learns_and_prints_both_scores(tmp_path, monkeypatch, capsys):
    for split, volume in zip(("train", "val"), make_scans(2, num_coils=1, num_slices=1), strict=True):
        (tmp_path / f"singlecoil_{split}").mkdir()
        write_fastmri(tmp_path / f"singlecoil_{split}" / f"{volume.info.volume_id}.h5", volume)
    words = ["--budget", "2", "--initial", "6", "--num-steps", "8", "--num-episodes", "2"]
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), str(tmp_path), *words])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in test_checkers
        runpy.run_path(str(EXAMPLE), run_name="__main__")
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if "SSIM" in line]
    assert [line.split(":")[0] for line in lines] == ["MaskablePPO", "random"]
    assert all(0 < float(line.split()[2]) < 1 for line in lines)
