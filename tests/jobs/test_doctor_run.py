"""`mrikit doctor --run`: the whole way of an estate, and each fault of it planted and found."""

import json

import pytest
from fake_datafactory import Step, failing, going_well
from fake_vault import vault_for
from first_day import CLUSTERS, CONTAINERS, World
from typer.testing import CliRunner

import mrikit.estate.container as own_container
from mrikit.commands import doctor_run
from mrikit.commands.app import app
from mrikit.errors import StorageError
from mrikit.estate.arm import Arm
from mrikit.estate.first_day import report as own_report
from mrikit.estate.first_day import secret as own_secret
from mrikit.estate.first_day.first_day import try_estate
from mrikit.runs.transport import Fabric
from mrikit.storage import blob
from mrikit.storage.blob import container_client
from mrikit.storage.estate import require_estate
from mrikit.transfer.vault import put_links

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

BEFORE = ["blob in datasets", "blob in runs", "secret", "workspace", "Data Factory", "copy", "progress of the copy"]
JOB = ["submission to {0}", "job on {0}", "blob from {0}", "vault from {0}", "MLflow from {0}", "log of {0}"]
GPU = ["GPU of {0}", "InfiniBand of {0}"]
AFTER = [
    *("nothing left behind", "cluster gpu", "cluster cpu", "CORS of the workspace's account", "datastores", "budget"),
    *("a cluster of another size", "a second `pulumi up`", "another budget", "more nodes", "destroy, and deploy again"),
]
NOT_FOR_ALL = "Storage request failed with status 403: This request is not authorized to perform this operation."


@pytest.fixture
def vault(azurite_env, monkeypatch):
    for name, value in azurite_env.items():
        monkeypatch.setenv(name, value)
    for name in ("AZURE_SUBSCRIPTION_ID", "MRIKIT_RUNS_ENDPOINT", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    yield from vault_for(monkeypatch)


@pytest.fixture
def world(vault, monkeypatch, tmp_path):
    """An estate in which everything works."""
    blob._credential.cache_clear()
    world = World(tmp_path, monkeypatch, vault)
    for name in CONTAINERS:
        container_client(name).create_container()
    yield world
    world.gate.refuses.clear()
    for name in CONTAINERS:
        container_client(name).delete_container()
    world.close()
    blob._credential.cache_clear()


def named(parts, cluster):
    return [part.format(cluster) for part in parts]


def run(world, *words):
    return CliRunner().invoke(app, ["doctor", "--run", "--source", world.source, *words])


def try_all(world, *, has_gpu=False, say=lambda line: None):
    """The steps without the command around them, by name."""
    day = doctor_run._day(require_estate(), has_gpu=has_gpu, source=world.source)
    return {one.name: one for one in try_estate(day, Arm(retry_wait_s=0.001), doctor_run._start, say)}


def states(outcomes, state):
    return [name for name, one in outcomes.items() if one.state == state]


def no_traces(world):
    return (world.blobs(), world.vault.secrets) == ([], {})


def test_an_estate_in_which_everything_works_is_tried_from_end_to_end(world, tmp_path):
    done = run(world, "--gpu", "--report", str(tmp_path / "report.json"))
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (
        0,
        f"every way of the estate works; the report is {tmp_path}/report.json",
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert [one["name"] for one in report["steps"]] == [
        *BEFORE, *named(JOB, "cpu"), *named([*JOB, *GPU], "gpu"), *AFTER,
    ]  # fmt: skip
    assert {one["state"] for one in report["steps"]} == {"ok", "to try"}
    assert (report["num_failed"], report["next"], report["network"]) == (0, None, "public")
    assert [one for one in report["findings"] if one["state"] == "missing"] == []
    assert no_traces(world)


def test_no_secret_reaches_the_report_the_screen_or_the_job(world, tmp_path, monkeypatch):
    made = []
    world.before_job = lambda: made.extend(one["value"] for one in world.vault.secrets.values())
    done = run(world, "--report", str(tmp_path / "report.txt"))
    told = (tmp_path / "report.txt").read_text() + done.output + json.dumps(world.azureml.bodies)
    (link,) = [url for value in made for _, url in json.loads(value)]
    assert "copy" in told
    for secret in (link, link.rpartition("/")[2], "eyJ", "Bearer", "SECRETOFLOG"):
        assert secret not in told
    assert "0a1b2c3d-0000-4000-8000-00000000000f" not in (tmp_path / "report.txt").read_text()


@pytest.mark.parametrize(
    ("plant", "failed", "remedy", "page"),
    [
        pytest.param(
            lambda world: setattr(
                world.factory, "script", failing("2200", f"ErrorCode=AuthorizationFailure {NOT_FOR_ALL}")
            ),
            ["copy"],
            "resource access rule",
            "data-factory-service-identity",
            id="A1: the factory does not pass the firewall",
        ),
        pytest.param(
            lambda world: setattr(world, "factory_identity", "UserAssigned"),
            ["Data Factory"],
            "SystemAssigned",
            "data-factory-service-identity",
            id="A1: the factory has another identity",
        ),
        pytest.param(
            lambda world: world.rules.remove("factories/mrikit-dev-factory"),
            ["Data Factory"],
            "resource access rule",
            "data-factory-service-identity",
            id="A1: the account has no rule for the factory",
        ),
        pytest.param(
            lambda world: world.azureml.__dict__.update(signs_logs=False, refuses_own_login=403),
            ["log of cpu"],
            "Storage File Data Privileged Contributor",
            "how-to-disable-local-auth-storage",
            id="A2: the log cannot be read",
        ),
        pytest.param(
            lambda world: setattr(world.azureml, "identity", "UserAssigned"),
            ["workspace"],
            "SystemAssigned",
            "how-to-identity-based-service-authentication",
            id="A3: the workspace has an identity without all roles",
        ),
        pytest.param(
            lambda world: setattr(world, "failure", ("UserError", f"AuthorizationFailure: {NOT_FOR_ALL}")),
            ["job on cpu"],
            "resource access rule",
            "how-to-secure-workspace-vnet",
            id="A4: the workspace does not pass the firewall",
        ),
        pytest.param(
            lambda world: world.rules.remove("workspaces/mrikit-dev-workspace"),
            ["workspace"],
            "resource access rule",
            "how-to-secure-workspace-vnet",
            id="A4: the account has no rule for the workspace",
        ),
        pytest.param(
            lambda world: world.azureml.cluster.update(nodeStateCounts={"unusableNodeCount": 1}),
            ["job on cpu"],
            "44224",
            "how-to-secure-training-vnet",
            id="A5: nodes are unusable",
        ),
        pytest.param(
            lambda world: setattr(
                world,
                "before_job",
                lambda: world.vault.refuses["GET"].append((403, "Forbidden", "ForbiddenByFirewall")),
            ),
            ["vault from cpu"],
            "Microsoft.KeyVault",
            "how-to-secure-workspace-vnet",
            id="A6: the vault does not admit the nodes",
        ),
        pytest.param(
            lambda world: setattr(world, "mlflow_server", "azuremlx://westeurope.api.azureml.ms"),
            ["MLflow from cpu"],
            "azureml-mlflow",
            "how-to-use-mlflow-configure-tracking",
            id="A7: MLflow lacks its plug-in",
        ),
        pytest.param(
            lambda world: world.factory.policy.update(secureOutput=True),
            ["progress of the copy"],
            "secureOutput",
            "concepts-pipelines-activities",
            id="A9: copies tell of no progress",
        ),
        pytest.param(
            lambda world: setattr(world.azureml, "workspace_state", "Failed"),
            ["workspace"],
            "--permanently-delete",
            "concept-soft-delete",
            id="B1: the workspace was not made whole",
        ),
        pytest.param(
            lambda world: setattr(world, "failure", ("UserError", "containerSetup: permission denied, exit code 126")),
            ["job on cpu"],
            "root",
            "AzureML-Containers",
            id="B2: the container has another user",
        ),
        pytest.param(
            lambda world: world.azureml.environments.clear(),
            ["submission to cpu"],
            "mrikit image push",
            "how-to-manage-environments-v2",
            id="no image was pushed",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda world: world.azureml.cluster.update(errors=[{"error": {"code": "ClusterCoreQuotaReached"}}]),
            ["job on cpu"],
            "Quota",
            "how-to-manage-quotas",
            id="no quota",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda world: world.gate.refuses.append(["datasets", "AuthorizationFailure", 99]),
            ["blob in datasets"],
            "allowedIps",
            "storage-network-security",
            id="the data account does not know this address",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda world: world.gate.refuses.append(["datasets", "AuthorizationPermissionMismatch", 99]),
            ["blob in datasets"],
            "teamGroupId",
            "role-based-access-control",
            id="no role on a container",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda world: world.vault.refuses["PUT"].append((403, "Forbidden", "ForbiddenByRbac")),
            ["secret"],
            "Key Vault Secrets Officer",
            "rbac-guide",
            id="no role on the vault",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_fault_is_found_with_what_mends_it_and_nothing_is_left(world, plant, failed, remedy, page):
    plant(world)
    outcomes = try_all(world)
    assert states(outcomes, "failed") == failed
    found = outcomes[failed[0]]
    assert remedy in found.remedy
    assert page in found.page
    assert no_traces(world)


@pytest.mark.parametrize(
    ("found", "step", "remedy"),
    [
        ("driver", "GPU of gpu", "--cuda"),  # B3
        ("fabric", "InfiniBand of gpu", "libibverbs"),  # A8
    ],
)
def test_what_a_gpu_node_lacks_is_told_by_the_job_on_it(world, monkeypatch, found, step, remedy):
    gpu = own_container.gpu_diagnosis
    if found == "driver":
        monkeypatch.setattr(own_container, "gpu_diagnosis", lambda *_: gpu("535.183", "13.0", []))
    else:
        lacking = Fabric(machine="node", adapters=("ib0",), lacks="there is no libibverbs.so.1")
        monkeypatch.setattr(own_container, "find_fabric", lambda _: lacking)
    outcomes = try_all(world, has_gpu=True)
    assert states(outcomes, "failed") == [step]
    assert remedy in outcomes[step].remedy


def test_what_comes_after_a_failure_is_skipped_and_said_so(world):
    world.failure = ("UserError", "no such thing as a known reason")
    outcomes = try_all(world)
    skipped = ["blob from cpu", "vault from cpu", "MLflow from cpu", "log of cpu"]
    assert states(outcomes, "skipped") == skipped
    assert outcomes["log of cpu"].what == "job on cpu comes first"
    assert (outcomes["job on cpu"].state, outcomes["job on cpu"].remedy) == ("failed", "")
    assert "no such thing as a known reason" in outcomes["job on cpu"].what


def test_the_log_of_a_job_that_failed_says_why(world):
    world.before_job = lambda: world.gate.refuses.append(["runs", "AuthorizationFailure", 99])
    world.gate.refuses.clear()
    outcomes = try_all(world)
    assert "AuthorizationFailure" in outcomes["job on cpu"].what
    assert "Microsoft.Storage" in outcomes["job on cpu"].remedy


def test_roles_that_are_minutes_old_are_waited_for(world):
    world.patience["roles_wait_s"] = 600.0
    world.gate.refuses.append(["datasets", "AuthorizationPermissionMismatch", 2])
    world.vault.refuses["PUT"].append((403, "Forbidden", "ForbiddenByRbac"))
    said = []
    outcomes = try_all(world, say=said.append)
    assert states(outcomes, "failed") == []
    assert [line.partition(":")[0] for line in said if "minutes old" in line] == ["blob in datasets", "secret"]


def test_a_job_that_is_interrupted_is_ended_and_leaves_nothing(world):
    world.azureml.starts = lambda name, body: None

    def interrupt(line):
        if "is queued" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        try_all(world, say=interrupt)
    assert no_traces(world)
    assert [job["properties"]["status"] for job in world.azureml.jobs.values()] == ["Canceled"]


def test_what_is_interrupted_between_two_steps_leaves_no_job(world, monkeypatch):
    world.azureml.starts = lambda name, body: None
    in_lines = own_report.in_lines

    def interrupt(outcome, width):
        if outcome.name == "submission to cpu":
            raise KeyboardInterrupt
        return in_lines(outcome, width)

    monkeypatch.setattr(own_report, "in_lines", interrupt)
    assert run(world).exit_code == 130
    assert no_traces(world)
    assert [job["properties"]["status"] for job in world.azureml.jobs.values()] == ["Canceled"]


def test_a_copy_that_is_interrupted_ends_its_run_before_it_writes(world, tmp_path):
    world.factory.script = [Step("Queued"), *going_well(1000)]

    def interrupt(line):
        if "Queued" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        try_all(world, say=interrupt)
    assert no_traces(world)
    assert [one.step.status for one in world.factory.runs.values()] == ["Cancelled"]
    assert list((tmp_path / "cache" / "datafactory").glob("*.json")) == []


def test_a_run_that_does_not_end_is_told_and_everything_else_is_deleted(world):
    world.factory.script = [Step("Queued")]
    world.factory.faults["cancel_run"] += [(200, {}, {})]

    def interrupt(line):
        if "Queued" in line:
            raise KeyboardInterrupt

    with pytest.raises(StorageError, match=r"not deleted: az://raw/mrikit-doctor-.* \(run run-0001 was cancelled"):
        try_all(world, say=interrupt)
    assert no_traces(world)


def test_a_secret_that_is_interrupted_while_it_is_written_is_deleted(world, monkeypatch):
    def interrupt(*given):
        put_links(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(own_secret, "put_links", interrupt)
    with pytest.raises(KeyboardInterrupt):
        try_all(world)
    assert no_traces(world)


def test_what_readers_alone_may_ask_is_no_failure(world):
    world.refuses_readers = True
    outcomes = try_all(world)
    assert states(outcomes, "failed") == []
    assert states(outcomes, "not asked") == ["CORS of the workspace's account", "budget"]


def test_what_azure_has_made_otherwise_is_told(world):
    world.azureml.cluster["scaleSettings"] = {"maxNodeCount": 2}
    world.origins, world.credentials, world.budgets = [], "AccountKey", []
    outcomes = try_all(world)
    assert states(outcomes, "failed") == AFTER[1:6]
    assert outcomes["cluster cpu"].what == "cluster cpu has most nodes 2 instead of 4"
    assert outcomes["datastores"].what.endswith("raw (AccountKey), datasets (AccountKey), runs (AccountKey)")


def test_a_private_stack_has_more_to_try(world):
    world.link(network="private")
    assert states(try_all(world), "to try")[-2:] == ["a private stack, twice", "from private to public"]


def test_a_failure_ends_the_command_with_one_and_names_what_to_do_first(world):
    world.azureml.workspace_state = "Failed"
    done = run(world)
    last = done.stdout.splitlines()[-1]
    assert (done.exit_code, last.partition("; next: ")[0]) == (1, "1 failed, 0 skipped, 0 not asked, 18 ok")
    assert last.partition("; next: ")[2].startswith("the workspace was not made whole")


def test_a_plan_tries_nothing(world):
    done = run(world, "--dry-run")
    assert done.exit_code == 0
    assert "blob in datasets, blob in runs, secret, workspace, Data Factory, copy, job on cpu" in done.stderr
    assert (world.factory.runs, world.azureml.jobs, world.vault.requests) == ({}, {}, [])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gpu"], "--gpu is for --run"),
        (["--report", "r.json"], "--report is for --run"),
        (["--dry-run"], "--dry-run is for --run"),
        (["--source", "https://a/b"], "--source is for --run"),
        (["--out", "az://runs/a"], "--out is for --container"),
        (["--secret", "https://a.vault.azure.net/secrets/b"], "--secret is for --container"),
        (["--run", "--stack", "dev"], "leave out --stack"),
        (["--run", "--container"], "leave out --stack and --container"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(words, message):
    done = CliRunner().invoke(app, ["doctor", *words])
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_without_an_estate_nothing_is_tried(fake_arm):
    done = CliRunner().invoke(app, ["doctor", "--run"])
    assert done.exit_code == 1
    assert "mrikit infra link" in str(done.exception)


def test_without_a_login_nothing_is_tried(world, monkeypatch):
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    blob._credential.cache_clear()
    done = run(world)
    assert done.exit_code == 1
    assert "nothing was tried: login comes first" in str(done.exception)


def test_an_estate_without_gpus_cannot_be_asked_for_one(world):
    world.link(clusters=CLUSTERS[1:])
    done = run(world, "--gpu")
    assert done.exit_code == 1
    assert str(done.exception) == "--gpu: the estate has cpu, none with GPUs"


def test_a_source_with_a_signature_is_refused(world):
    done = CliRunner().invoke(app, ["doctor", "--run", "--source", "https://host/file.bin?sig=abc"])
    assert done.exit_code == 1
    assert "abc" not in done.output
    assert str(done.exception) == "--source: a file that anybody may read has no query; found one of host"
