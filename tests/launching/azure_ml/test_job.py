"""The job file of Azure ML: as text, through the vendor's schema, and all that neither of them would refuse."""

from dataclasses import replace

import pytest
import yaml
from estates import example_estate

from mrikit import __version__
from mrikit.errors import ConfigError, JobError
from mrikit.estate.prices import load_prices
from mrikit.launching.azure_ml.backend import AzureBackend
from mrikit.launching.azure_ml.cluster import choose_cluster, default_gpus
from mrikit.launching.azure_ml.errors import quiet
from mrikit.launching.azure_ml.job import job_text, read_job, root_name
from mrikit.launching.azure_ml.tags import MAX_TAG_LETTERS, Starts, chain_of, starts_of, tags_of
from mrikit.launching.job import JobSpec
from mrikit.storage.estate import EstateCluster, save_estate

PRICES = load_prices()
CLUSTERS = (
    EstateCluster(
        name="spot1", compute_name="spot1-abcde", sku="Standard_NC24ads_A100_v4", priority="LowPriority", max_nodes=4
    ),
    EstateCluster(
        name="spot8", compute_name="spot8-abcde", sku="Standard_ND96asr_v4", priority="LowPriority", max_nodes=2
    ),
    EstateCluster(
        name="gpu", compute_name="gpu-abcde", sku="Standard_NC24ads_A100_v4", priority="Dedicated", max_nodes=2
    ),
    EstateCluster(name="cpu", compute_name="cpu-abcde", sku="Standard_D16s_v3", priority="Dedicated", max_nodes=1),
)
ESTATE = example_estate(clusters=CLUSTERS)
SPEC = JobSpec(
    name="knee-acc8-stage-2-0a1b2c3d",
    command=("train", "--task", "knee_acc8", "--data", "az://datasets/fastmri", "--out", "az://runs/knee"),
    folder="/home/me",
    nodes=4,
    gpus_per_node=1,
    inputs=("az://datasets/fastmri",),
    outputs=("az://runs/knee",),
    max_hours=1.5,
    spot=True,
)
GOLDEN = """\
$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json
type: command
name: knee-acc8-stage-2-0a1b2c3d
display_name: knee-acc8-stage-2-0a1b2c3d
experiment_name: mrikit
command: mrikit train --task knee_acc8 --data az://datasets/fastmri --out az://runs/knee
environment: azureml:mrikit@latest
compute: azureml:spot1-abcde
resources:
  instance_count: 4
  shm_size: 110g
limits:
  timeout: 5400
environment_variables:
  AZURE_TOKEN_CREDENTIALS: ManagedIdentityCredential
  DEFAULT_IDENTITY_CLIENT_ID: 0a1b2c3d-0000-4000-8000-00000000000e
  MRIKIT_BLOB_ENDPOINT: https://mrikitdev.blob.core.windows.net
  MRIKIT_RUNS_ENDPOINT: https://mrikitdevruns.blob.core.windows.net
distribution:
  type: pytorch
  process_count_per_instance: 1
tags:
  mrikit: VERSION
  mrikit_preemptions: '1'
  mrikit_errors: '0'
  mrikit_spec_00: '[{"command":["train","--task","knee_acc8","--data","az://datasets/fastmri","--out","az://runs/knee"],"folder":"/home/me","gpus_per_node":1,"inputs":["az://datasets/fastmri"],"max_hours":1.5,"name":"knee-acc8-stage-2-0a1b2c3d","nodes":4,"outputs":["az://run'
  mrikit_spec_01: s/knee"],"spot":true}]
""".replace("VERSION", __version__)


def text_of(*chain, starts=Starts(), estate=ESTATE):  # noqa: B008 - it is frozen
    return job_text(chain, estate, PRICES, root_name(chain), starts)


def job_of(*chain, **more):
    return yaml.safe_load(text_of(*chain, **more))


def changed(**changes):
    return replace(SPEC, **changes)


def refusal(*chain, **more):
    with pytest.raises(ConfigError) as caught:
        read_job(text_of(*chain, **more))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_training_on_four_spot_nodes_is_this_job_file():
    assert text_of(SPEC, starts=Starts(preemptions=1)) == GOLDEN


def test_the_vendors_schema_reads_the_job_file_as_it_is_meant():
    job = read_job(GOLDEN)
    assert (job.type, job.name, job.compute, job.environment) == ("command", SPEC.name, "spot1-abcde", "mrikit@latest")
    assert job.limits.timeout == 5400
    assert job.resources.instance_count == 4
    assert job.distribution.process_count_per_instance == 1
    assert job.code is None


def test_a_chain_is_one_pipeline_whose_steps_wait_for_each_other():
    chain = [changed(name=f"knee-stage-{stage}", command=(*SPEC.command, "--stage", stage)) for stage in "123"]
    job = job_of(*chain)
    steps = list(job["jobs"].values())
    assert [step["display_name"] for step in steps] == [spec.name for spec in chain]
    assert [step["command"].partition(" && ")[2] for step in steps] == [
        "echo done > ${{outputs.done}}/mrikit.txt",
        "echo done > ${{outputs.done}}/mrikit.txt",
        "",
    ]
    assert [step.get("inputs", {}).get("after", {}).get("path") for step in steps] == [
        None,
        "${{parent.jobs.job_knee_stage_1.outputs.done}}",
        "${{parent.jobs.job_knee_stage_2.outputs.done}}",
    ]
    assert all(step["limits"] == {"timeout": 5400} for step in steps)
    read = read_job(text_of(*chain))
    assert read.type == "pipeline"
    with quiet():
        assert read._validate().passed
    assert read.settings.force_rerun


def test_the_same_chain_has_the_same_name_and_another_one_another():
    chain = [changed(name="a"), changed(name="b")]
    assert root_name(chain) == root_name(list(chain)) != root_name([*chain, changed(name="c")])
    assert root_name(chain[:1]) == "a"


def test_one_process_has_no_distribution_and_eight_gpus_have_eight_processes():
    assert "distribution" not in job_of(changed(nodes=1))
    eight = job_of(changed(nodes=1, gpus_per_node=8, processes_per_node=8))
    assert eight["distribution"] == {"type": "pytorch", "process_count_per_instance": 8}
    assert eight["compute"] == "azureml:spot8-abcde"


def test_a_job_without_gpus_runs_the_image_for_cpus_on_a_machine_without_gpus():
    job = job_of(changed(nodes=1, gpus_per_node=0, spot=False))
    assert (job["environment"], job["compute"]) == ("azureml:mrikit-cpu@latest", "azureml:cpu-abcde")


def test_the_cheapest_cluster_that_fits_is_chosen():
    assert choose_cluster(changed(nodes=1), CLUSTERS, PRICES).name == "spot1"
    assert choose_cluster(changed(nodes=1, spot=False), CLUSTERS, PRICES).name == "gpu"
    assert choose_cluster(changed(nodes=2, gpus_per_node=4), CLUSTERS, PRICES).name == "spot8"
    assert choose_cluster(changed(resources={"cluster": "spot8"}, nodes=2), CLUSTERS, PRICES).name == "spot8"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"nodes": 5}, "no LowPriority cluster of the estate has 5 nodes with 1 GPUs or more; it has spot1 (4 x"),
        ({"gpus_per_node": 16}, "with 16 GPUs or more"),
        ({"gpus_per_node": 0}, "no LowPriority cluster of the estate has 4 nodes without GPUs"),
        ({"resources": {"cluster": "big"}}, "--resource cluster=big: the estate has no such cluster; it has spot1"),
        ({"resources": {"cluster": "spot8"}}, "--nodes 4: cluster spot8 (2 x Standard_ND96asr_v4 with 8 GPUs"),
        ({"resources": {"cluster": "spot1"}, "gpus_per_node": 2}, "--gpus 2: cluster spot1 (4 x"),
        ({"resources": {"cluster": "gpu"}, "nodes": 1}, "--spot: cluster gpu (2 x"),
        ({"resources": {"partition": "gpu"}}, "--resource partition=gpu: --on azure takes cluster, data_mode"),
        ({"resources": {"shm_size": "lots"}}, "--resource shm_size=lots: a whole number and b, k, m or g"),
        ({"resources": {"shm_size": "0g"}}, "--resource shm_size=0g: a whole number"),
        ({"resources": {"environment": "mrikit"}}, "--resource environment=mrikit: name:version"),
        ({"resources": {"experiment": "my runs"}}, "--resource experiment=my runs: up to 255 letters"),
        ({"resources": {"data_mode": "copy"}}, "--resource data_mode=copy: mount or download"),
        ({"simulates_preemption": True}, "--simulate-preemption: --on azure cannot do that"),
        (
            {"inputs": ("/data/knee",)},
            "/data/knee is on this machine, where a job in Azure does not see it; `mrikit data copy /data/knee --to az://",
        ),
        ({"outputs": ("/runs/knee",)}, "/runs/knee is on this machine, where a job in Azure does not see it; name az:"),
        (
            {"inputs": ("az://secrets/x",)},
            "az://secrets/x: the estate has no datastore 'secrets'; it has raw, datasets",
        ),
        ({"command": (*SPEC.command, "--track", "mlflow")}, "--track mlflow: in Azure ML that needs azureml-mlflow"),
        (
            {"command": (*SPEC.command, "--track=mlflow")},
            "name an environment that has it: --resource environment",
        ),
        ({"max_hours": 169}, "--max-hours 169: Azure ML ends a job on a LowPriority cluster after 168 h; give"),
        (
            {"max_hours": 505, "spot": False, "nodes": 1},
            "--max-hours 505: Azure ML ends a job on a Dedicated cluster after 504 h",
        ),
        ({"command": ("train", "${{inputs.x}}")}, "'${{inputs.x}}': Azure ML would replace what stands in it"),
        ({"env": {"A B": "1"}}, "environment A B: letters, digits and underscores"),
        ({"command": ("evaluate", *["az://runs/a-long-name"] * 900)}, "Azure ML's tags hold 10240; give fewer files"),
    ],
)
def test_what_cannot_run_in_azure_is_one_line(changes, told):
    assert told in refusal(changed(**changes))


def test_a_field_that_the_vendor_does_not_know_is_one_line():
    with pytest.raises(ConfigError, match=r"schema refuses the job file: .*Unknown field") as caught:
        read_job(f"{GOLDEN}frob: 1\n")
    assert "\n" not in str(caught.value)


def test_words_reach_the_command_as_they_are():
    job = job_of(changed(command=("train", "--set", 'a=it\'s $HOME; `x` "y"')))
    assert job["command"] == "mrikit train --set 'a=it'\"'\"'s $HOME; `x` \"y\"'"


def test_the_identity_of_the_estate_cannot_be_replaced_by_the_jobs_environment():
    job = job_of(changed(env={"DEFAULT_IDENTITY_CLIENT_ID": "me", "NCCL_DEBUG": "WARN"}))
    assert job["environment_variables"]["DEFAULT_IDENTITY_CLIENT_ID"] == ESTATE.compute_client_id
    assert job["environment_variables"]["NCCL_DEBUG"] == "WARN"


def test_a_job_may_take_all_the_hours_that_azure_allows():
    assert job_of(changed(max_hours=168))["limits"] == {"timeout": 604_800}
    assert job_of(changed(max_hours=504, spot=False, nodes=1))["limits"] == {"timeout": 1_814_400}


def test_mlflow_may_be_tracked_in_an_environment_of_ones_own():
    spec = changed(command=(*SPEC.command, "--track", "mlflow"), resources={"environment": "mine:3"})
    assert job_of(spec)["environment"] == "azureml:mine:3"
    assert job_of(changed(command=(*SPEC.command, "--track", "tensorboard")))


def test_machines_with_infiniband_tell_nccl_how_they_are_wired_unless_the_job_does():
    eight = changed(nodes=2, gpus_per_node=8, processes_per_node=8)
    told = job_of(eight)["environment_variables"]
    assert told["NCCL_TOPO_FILE"] == "/opt/mrikit/nccl/ndv4.xml"
    assert told["NCCL_IB_PCI_RELAXED_ORDERING"] == "1"
    own = job_of(replace(eight, env={"NCCL_TOPO_FILE": "/mine.xml"}))
    assert own["environment_variables"]["NCCL_TOPO_FILE"] == "/mine.xml"
    assert not any(name.startswith("NCCL") for name in job_of(SPEC)["environment_variables"])


@pytest.mark.parametrize(("mode", "theirs"), [("mount", "ro_mount"), ("download", "download")])
def test_data_can_be_mounted_or_downloaded_by_azure_instead(mode, theirs):
    spec = changed(
        command=(*SPEC.command, "--init", "az://runs/a.b/weights.safetensors", "az://datasets/more"),
        inputs=("az://datasets/fastmri", "az://runs/a.b/weights.safetensors", "az://datasets/more"),
        resources={"data_mode": mode},
    )
    job = job_of(spec)
    assert job["command"] == (
        "mrikit train --task knee_acc8 --data ${{inputs.data}} --out az://runs/knee "
        "--init ${{inputs.init}} ${{inputs.place}}"
    )
    assert job["inputs"] == {
        "data": {"type": "uri_folder", "path": "azureml://datastores/datasets/paths/fastmri", "mode": theirs},
        "init": {
            "type": "uri_file",
            "path": "azureml://datastores/runs/paths/a.b/weights.safetensors",
            "mode": theirs,
        },
        "place": {"type": "uri_folder", "path": "azureml://datastores/datasets/paths/more", "mode": theirs},
    }
    assert set(read_job(text_of(spec)).inputs) == {"data", "init", "place"}


def test_two_inputs_of_one_option_have_names_of_their_own():
    spec = changed(
        command=("evaluate", "--recon-dir", "az://runs/a", "--recon-dir", "az://runs/b"),
        inputs=("az://runs/a", "az://runs/b"),
        resources={"data_mode": "mount"},
    )
    assert (
        job_of(spec)["command"]
        == "mrikit evaluate --recon-dir ${{inputs.recon_dir}} --recon-dir ${{inputs.recon_dir_2}}"
    )


def test_tags_hold_the_whole_chain_in_pieces_that_azure_takes():
    chain = [changed(name="a", env={"A": "ä" * 300}), changed(name="b", resources={"cluster": "gpu"}, max_errors=3)]
    tags = tags_of(chain, Starts(preemptions=3, errors=1))
    assert max(map(len, tags.values())) <= MAX_TAG_LETTERS
    assert len(tags) > 5
    assert chain_of(dict(reversed(tags.items()))) == chain
    assert starts_of(tags) == Starts(preemptions=3, errors=1)


@pytest.mark.parametrize("tags", [{}, {"mrikit": "1"}, {"mrikit_spec_00": '[{"name":'}, {"mrikit_spec_00": "[]"}])
def test_tags_of_others_are_told_apart(tags):
    with pytest.raises(JobError, match="not those of a job of mrikit"):
        chain_of(tags)
    assert starts_of(tags) == Starts()


def test_what_is_written_too_is_not_mounted():
    words = ("evaluate", "--recon", "az://runs/knee")
    written = replace(
        SPEC, command=words, inputs=(), outputs=("az://runs/knee",), resources={"data_mode": "mount"}, gpus_per_node=0,
        spot=False, nodes=1,
    )  # fmt: skip
    with pytest.raises(ConfigError, match="data_mode: az://runs/knee is written, too; leave data_mode out"):
        text_of(written)
    with pytest.raises(ConfigError, match="data_mode: az://runs/knee/ is written, too; leave data_mode out"):
        text_of(replace(written, command=("evaluate", "--recon", "az://runs/knee/")))


def test_what_computes_gets_the_gpus_of_the_cluster_that_it_runs_on():
    def gpus(clusters=CLUSTERS, **changes):
        return default_gpus(changed(gpus_per_node=0, **changes), clusters, PRICES)

    assert gpus(nodes=1) == 1
    assert gpus(nodes=1, resources={"cluster": "spot8"}) == 8
    assert gpus(nodes=1, resources={"cluster": "cpu"}, spot=False) == 0
    assert gpus([one for one in CLUSTERS if one.name == "cpu"]) == 0
    with pytest.raises(ConfigError, match=r"no LowPriority cluster of the estate has 99 nodes with 1 GPUs or more"):
        gpus(nodes=99)


def test_the_gpu_of_a_training_is_known(monkeypatch, tmp_path):
    monkeypatch.setenv("MRIKIT_ESTATE", str(tmp_path / "estate.json"))
    save_estate(ESTATE)
    (plan,) = AzureBackend().plan([SPEC])
    assert plan.runs_on == "a100"
    (plan,) = AzureBackend().plan([replace(SPEC, gpus_per_node=0, spot=False, nodes=1)])
    assert plan.runs_on == ""
