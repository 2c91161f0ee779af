"""`mrikit train --test-data`: what follows a training on every back end."""

from pathlib import Path

import pytest
import yaml
from estates import example_estate

from mrikit.config import change_config
from mrikit.errors import ConfigError
from mrikit.launching.backends import open_backend
from mrikit.launching.chain import job_chain
from mrikit.launching.options import Chosen
from mrikit.launching.scoring import mask_words
from mrikit.recipes import recipe
from mrikit.storage import parse_location
from mrikit.storage.estate import save_estate

MASK = ("--acceleration", "8", "--mask", "fixed", "--center-fraction", "0.08")
RUN = "runs/knee_acc8-promptmr-tiny"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MRIKIT_JOBS", str(tmp_path / "jobs"))
    monkeypatch.setenv("MRIKIT_ESTATE", str(tmp_path / "estate.json"))
    save_estate(example_estate())


def chain(on, task="knee_acc8", data="D", test="T", stage=None, settings=(), **chosen):
    words = ["train", "--task", task, "--data", data, "--test-data", test, *(["--stage", str(stage)] if stage else [])]
    params = {"task": task, "size": "tiny", "stage": stage, "out": None, "device": "auto", "settings": list(settings)}
    params |= {"data": parse_location(data), "test_data": parse_location(test)}
    return job_chain(words, params, Chosen(on=on, **chosen))


def test_where_stages_are_jobs_test_data_are_two_more_links(tmp_path):
    one, _, three, made, scored = chain("slurm", settings=["training.batch_size=8"], nodes=2, gpus=4)
    assert "--test-data" not in one.command
    assert three.inputs == (str(tmp_path / "D"),)
    assert made.command == ("reconstruct", "--weights", RUN, "--data", "T", "--out", f"{RUN}-test", *MASK)
    assert made.inputs == (str(tmp_path / RUN), str(tmp_path / "T"))
    assert made.outputs == (str(tmp_path / f"{RUN}-test"),)
    assert (made.nodes, made.gpus_per_node, made.processes_per_node) == (2, 4, 4)
    assert scored.command == ("evaluate", "--recon", f"{RUN}-test", "--data", "T", "--scorer", "snu-2025")
    assert (scored.nodes, scored.num_processes) == (1, 1)
    assert scored.outputs == made.outputs
    assert [name.rpartition("-")[0] for name in (made.name, scored.name)] == ["knee-acc8-test", "knee-acc8-score"]


def test_a_training_that_is_done_is_the_same_job_with_test_data_and_without():
    words, params = ["train", "--task", "knee_multicoil", "--data", "D"], {"task": "knee_multicoil", "size": "tiny"}
    params |= {"stage": None, "out": None, "data": Path("D"), "device": "auto"}
    (without,) = job_chain(words, params, Chosen(on="slurm"))
    trained, *_ = chain("slurm", "knee_multicoil")
    assert trained == without


def test_one_stage_is_scored_by_its_own_weights():
    *_, made, _ = chain("slurm", stage=2, job_name="mine")
    assert made.command[:6] == ("reconstruct", "--weights", f"{RUN}/stage-2", "--data", "T", "--out")
    assert made.command[6] == f"{RUN}-stage-2-test"
    assert made.name == "mine-test"


@pytest.mark.parametrize("on", ["local", "docker"])
def test_where_one_job_trains_all_stages_it_also_scores(on, tmp_path):
    (job,) = chain(on)
    assert job.command[-4:] == ("--test-data", "T", "--out", RUN)
    assert job.inputs == (str(tmp_path / "D"), str(tmp_path / "T"))
    assert job.outputs == (str(tmp_path / RUN), str(tmp_path / f"{RUN}-test"))


def test_a_container_sees_test_data_and_may_write_beside_the_run(tmp_path):
    for name in ("D", "T"):
        (tmp_path / name).mkdir()
    text = open_backend("docker").plan(chain("docker", test=str(tmp_path.parent / "T")))[0].job_file
    assert f"src={tmp_path.parent / 'T'}" in text
    assert f"src={tmp_path}," in text


def test_slurm_is_given_both_commands():
    scripts = [plan.job_file for plan in open_backend("slurm").plan(chain("slurm"))]
    assert len(scripts) == 5
    assert f"mrikit reconstruct --weights {RUN} --data T --out {RUN}-test" in scripts[3]
    assert f"mrikit evaluate --recon {RUN}-test --data T --scorer snu-2025)" in scripts[4]


def test_on_azure_they_are_the_last_steps_of_the_pipeline():
    jobs = chain("azure", data="az://datasets/a", test="az://datasets/b", spot=True)
    text = yaml.safe_load(open_backend("azure").plan(jobs)[0].job_file)
    *_, trained, made, scored = text["jobs"].values()
    run = "az://runs/knee_acc8-promptmr-tiny"
    assert trained["command"].startswith("mrikit train --task knee_acc8 --data az://datasets/a --out ")
    assert made["command"].startswith(f"mrikit reconstruct --weights {run} --data az://datasets/b --out {run}-test ")
    assert scored["command"] == f"mrikit evaluate --recon {run}-test --data az://datasets/b --scorer snu-2025"
    assert "after" in scored["inputs"]


def test_what_makes_no_image_cannot_be_scored():
    with pytest.raises(ConfigError, match="--test-data T: anatomy tells anatomies apart and makes no image to score"):
        chain("local", "anatomy")


def test_the_mask_of_the_validation_is_said_with_its_settings():
    config = change_config(recipe("knee_acc4", "tiny", 1), {"data.mask_kind": "poisson_disc"}, "test")
    config = change_config(config, {"data.validation_mask_kind": "", "data.mask_settings.has_corners": "true"}, "test")
    words = mask_words(config)
    assert words[words.index("--mask") + 1] == "poisson_disc"
    assert words[-2:] == ["--set", "mask.has_corners=True"]


def test_a_learned_mask_is_that_of_the_weights():
    assert mask_words(recipe("knee_sampling", "tiny")) == ["--acceleration", "8", "--mask", "learned"]
