"""The rules hold for every stack, and each of them notices when what it is about is switched off."""

import ast
import copy
import shutil
import sys
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import pytest

from mrikit.errors import ConfigError
from mrikit.estate.azure_types import AZURE_TYPES
from mrikit.estate.declared import record_program
from mrikit.estate.policies import broken_rules, load_rules
from mrikit.estate.stack_file import read_stack

ROOT = Path(__file__).parents[2]


def test_every_rule_holds_for_every_stack(record):
    assert broken_rules(record) == {}


def test_policies_and_plan_know_the_same_types_by_the_same_names():
    package = load_rules()[0].__module__.rpartition(".")[0]
    types = sys.modules[f"{package}.azure_types"]._TYPES
    names = {kind: own for kind, (own, *_) in types.items()}
    assert names == {kind: path[-1] for kind, (_, path) in AZURE_TYPES.items()}


def changed(record, kind, name, path, value):
    """The record with one input of one resource changed; an absent value takes the input away."""
    resources = []
    for one in record.resources:
        if one.type == kind and fnmatch(one.name, name):
            inputs = copy.deepcopy(dict(one.inputs))
            *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
            place = inputs
            for key in parents:
                place = place[key]
            assert isinstance(place, list) or value is not None or last in place, path
            if value is None:
                del place[last]
            else:
                place[last] = value
            one = replace(one, inputs=inputs)
        resources.append(one)
    assert resources != list(record.resources), f"no {kind} {name}"
    return replace(record, resources=tuple(resources))


ACCOUNT, CLUSTER = "storage:StorageAccount", "machinelearningservices:Compute"
VAULT, PIPELINE, ROLE = "keyvault:Vault", "datafactory:Pipeline", "authorization:RoleAssignment"
WORKSPACE, SERVICE = "machinelearningservices:Workspace", "datafactory:LinkedService"
SCALE = "properties.properties.scaleSettings"
TESTED_IN_FILES_OF_THEIR_OWN = {
    "nodes have no security group of ours",
    "endpoints come one after the other",
    "a managed network lets out to what is approved",
    "endpoints have a registry that knows them",
    "what cannot be made again is protected",
    "a lock goes before what it holds",
    "a spent budget stops every cluster",
}
"""test_networks.py, test_keeping.py and test_spending.py."""
CHANGES = [
    ("accounts have no keys", ACCOUNT, "data", "allowSharedKeyAccess", True),
    ("accounts have no keys", ACCOUNT, "work", "allowSharedKeyAccess", None),
    ("accounts have no keys", ACCOUNT, "data", "allowBlobPublicAccess", True),
    ("accounts have no keys", ACCOUNT, "data", "allowCrossTenantReplication", True),
    ("accounts have no keys", "storage:BlobContainer", "runs", "publicAccess", "Blob"),
    ("traffic is encrypted", ACCOUNT, "data", "enableHttpsTrafficOnly", False),
    ("traffic is encrypted", ACCOUNT, "data", "minimumTlsVersion", "TLS1_0"),
    ("networks are closed", ACCOUNT, "data", "networkRuleSet.defaultAction", "Allow"),
    ("networks are closed", ACCOUNT, "work", "networkRuleSet", None),
    ("networks are closed", ACCOUNT, "data", "networkRuleSet.bypass", "Logging"),
    ("networks are closed", ACCOUNT, "data", "networkRuleSet.ipRules.0.iPAddressOrRange", "0.0.0.0/0"),
    ("networks are closed", VAULT, "vault", "properties.networkAcls.defaultAction", "Allow"),
    ("networks are closed", VAULT, "vault", "properties.networkAcls", None),
    ("networks are closed", VAULT, "vault", "properties.networkAcls.ipRules.0.value", "0.0.0.0/0"),
    ("nodes and people reach the vault", VAULT, "vault", "properties.networkAcls.bypass", "None"),
    ("deleted data can be had back", "storage:BlobServiceProperties", "data-blobs", "deleteRetentionPolicy", None),
    ("deleted data can be had back", "storage:BlobServiceProperties", "runs-blobs", "deleteRetentionPolicy.days", 0),
    (
        "rewritten data is not kept for long",
        "storage:BlobServiceProperties",
        "runs-blobs",
        "deleteRetentionPolicy.days",
        7,
    ),
    ("azure ml keeps its studio", "storage:BlobServiceProperties", "data-blobs", "accountName", "mridevwork5fdd2980"),
    ("services come as themselves", "datafactory:Factory", "factory", "identity.type", "UserAssigned"),
    ("services come as themselves", WORKSPACE, "workspace", "identity.type", "UserAssigned"),
    ("services come as themselves", ACCOUNT, "data", "networkRuleSet.resourceAccessRules", None),
    ("services come as themselves", ACCOUNT, "data", "networkRuleSet.resourceAccessRules.0.resourceId", "/other"),
    ("services come as themselves", ACCOUNT, "data", "networkRuleSet.resourceAccessRules.1.resourceId", "/other"),
    ("services come as themselves", ACCOUNT, "runs", "networkRuleSet.resourceAccessRules", []),
    ("services come as themselves", ACCOUNT, "work", "networkRuleSet.resourceAccessRules", []),
    (
        "deleted data can be had back",
        "storage:BlobServiceProperties",
        "data-blobs",
        "containerDeleteRetentionPolicy.enabled",
        False,
    ),
    ("deleted data can be had back", VAULT, "vault", "properties.enableSoftDelete", False),
    ("deleted data can be had back", VAULT, "vault", "properties.enablePurgeProtection", None),
    ("nobody has a password", "containerregistry:Registry", "registry", "adminUserEnabled", True),
    ("nobody has a password", "containerregistry:Registry", "registry", "anonymousPullEnabled", True),
    ("nobody has a password", VAULT, "vault", "properties.enableRbacAuthorization", False),
    ("nobody has a password", CLUSTER, "cluster-gpu", "properties.disableLocalAuth", False),
    (
        "nobody has a password",
        CLUSTER,
        "cluster-gpu",
        "properties.properties.remoteLoginPortPublicAccess",
        "NotSpecified",
    ),
    (
        "nobody has a password",
        CLUSTER,
        "cluster-cpu",
        "properties.properties.userAccountCredentials",
        {"adminUserName": "me"},
    ),
    ("nobody has a password", "applicationinsights:Component", "insights", "disableLocalAuth", False),
    (
        "nobody has a password",
        "machinelearningservices:Workspace",
        "workspace",
        "systemDatastoresAuthMode",
        "AccessKey",
    ),
    (
        "nobody has a password",
        "machinelearningservices:Datastore",
        "runs-store",
        "properties.credentials.credentialsType",
        "Sas",
    ),
    ("idle clusters cost nothing", CLUSTER, "cluster-gpu", f"{SCALE}.minNodeCount", 1),
    ("idle clusters cost nothing", CLUSTER, "cluster-gpu", f"{SCALE}.nodeIdleTimeBeforeScaleDown", None),
    ("idle clusters cost nothing", CLUSTER, "cluster-gpu", f"{SCALE}.maxNodeCount", 0),
    ("rights are narrow", ROLE, "compute-acrpull-registry", "scope", "/subscriptions/a"),
    ("rights are narrow", ROLE, "compute-acrpull-registry", "scope", "/subscriptions/a/resourceGroups/b"),
    ("rights are narrow", ROLE, "compute-acrpull-registry", "principalType", None),
    ("rights are narrow", ROLE, "compute-acrpull-registry", "roleAssignmentName", "pull"),
    ("everything is tagged", ACCOUNT, "data", "tags.stack", None),
    ("everything is tagged", CLUSTER, "cluster-gpu", "tags", None),
    ("nothing is secret", SERVICE, "data_account", "properties.connectionString", "x"),
    ("nothing is secret", SERVICE, "download_link", "properties.url", "https://a/b?sig=x"),
    ("the factory is whole", PIPELINE, "copy-archive", "activities.0.inputs.0.referenceName", "nowhere"),
    ("the factory is whole", PIPELINE, "copy-archive", "activities.0.inputs.0.parameters.baseUrl", None),
    ("the factory is whole", PIPELINE, "copy-archive", "activities.0.outputs.0.parameters.more", "x"),
    ("the factory is whole", PIPELINE, "copy-archive", "activities.0.dependsOn", [{"activity": "nothing"}]),
    ("the factory is whole", PIPELINE, "copy-archive", "activities.0.policy.secureInput", False),
    ("the factory is whole", PIPELINE, "copy-archive", "activities.0.policy.secureOutput", True),
    ("the factory is whole", PIPELINE, "copy-archive", "activities.0.policy.retry", 0),
    ("the factory is whole", PIPELINE, "copy-archive", "activities.0.policy.retryIntervalInSeconds", 5),
    ("the factory is whole", PIPELINE, "copy-archive", "activities.0.policy.timeout", None),
    ("the factory is whole", PIPELINE, "copy-archive", "activities.0.dataIntegrationUnits", 32),
    ("the factory is whole", PIPELINE, "copy-archive", "concurrency", None),
    ("the factory is whole", PIPELINE, "copy-archive", "parameters.relativeUrl.type", "String"),
    ("the factory is whole", PIPELINE, "copy-archive", "parameters.folder", None),
    (
        "the factory is whole",
        PIPELINE,
        "copy-and-unpack-archive",
        "activities.0.cases.1.activities.0.policy.secureInput",
        False,
    ),
    (
        "the factory is whole",
        PIPELINE,
        "copy-and-unpack-archive",
        "activities.0.cases.1.activities.0.name",
        "unpack tar",
    ),
    ("the factory is whole", "datafactory:Dataset", "store_blob", "properties.linkedServiceName.referenceName", "gone"),
    ("the factory is whole", "datafactory:Dataset", "link_tar", "properties.parameters.relativeUrl", None),
    ("the factory is whole", SERVICE, "data_account", "properties.credential", {"type": "CredentialReference"}),
    ("the factory is whole", SERVICE, "data_account", "properties.serviceEndpoint", None),
    ("the factory is whole", SERVICE, "download_link", "properties.parameters", None),
    (
        "the factory is whole",
        SERVICE,
        "download_link",
        "properties.enableServerCertificateValidation",
        False,
    ),
    ("a budget warns", "consumption:Budget", "budget-*", "amount", 0),
    ("a budget warns", "consumption:Budget", "budget-*", "notifications.spent-80", None),
    ("a budget warns", "consumption:Budget", "budget-*", "notifications.forecast-100.enabled", False),
    ("a budget warns", "consumption:Budget", "budget-*", "notifications.spent-100.contactEmails", []),
    ("a budget warns", "consumption:Budget", "budget-*", "timePeriod.startDate", "2026-12-15T00:00:00Z"),
    ("names are valid", ACCOUNT, "data", "accountName", "Has-Hyphens"),
    ("names are valid", VAULT, "vault", "vaultName", "a" * 25),
    ("names are valid", CLUSTER, "cluster-gpu", "computeName", "gpu-4"),
    ("names are valid", "storage:BlobContainer", "raw", "containerName", "r"),
]


@pytest.mark.parametrize(
    ("rule", "kind", "name", "path", "value"),
    CHANGES,
    ids=[f"{name}.{path}={value}" for _, _, name, path, value in CHANGES],
)
def test_a_rule_notices_what_it_is_about(records, rule, kind, name, path, value):
    broken = broken_rules(changed(records["dev"], kind, name, path, value))
    assert rule in broken


@pytest.mark.parametrize(
    ("kind", "name", "path", "value"),
    [
        (ACCOUNT, "data", "publicNetworkAccess", "Enabled"),
        (VAULT, "vault", "properties.publicNetworkAccess", "Enabled"),
        ("containerregistry:Registry", "registry", "publicNetworkAccess", "Enabled"),
        ("machinelearningservices:Workspace", "workspace", "publicNetworkAccess", "Enabled"),
        (CLUSTER, "cluster-gpu", "properties.properties.enableNodePublicIp", True),
    ],
)
def test_where_there_are_private_endpoints_nothing_is_public(records, kind, name, path, value):
    broken = broken_rules(changed(records["private"], kind, name, path, value))
    assert list(broken) == ["private means private"]
    assert broken["private means private"] == [
        f"{name}: {path} is {value}, not {not value if value is True else 'Disabled'}"
    ]


@pytest.mark.parametrize("kind", ["consumption:Budget", "storage:ManagementPolicy", "storage:BlobServiceProperties"])
def test_what_is_not_there_at_all_is_noticed(records, kind):
    without = tuple(one for one in records["dev"].resources if one.type != kind)
    assert broken_rules(replace(records["dev"], resources=without))


def test_two_resources_of_one_name_are_noticed(records):
    record = records["dev"]
    twice = replace(record, resources=(*record.resources, record.of(ACCOUNT)[0]))
    assert any("2 resources would be " in line for line in broken_rules(twice)["names are unique"])


def test_secrets_are_noticed_by_their_mark_and_in_outputs(records):
    record = records["dev"]
    marked = replace(record, resources=(replace(record.resources[0], has_secrets=True), *record.resources[1:]))
    assert "nothing is secret" in broken_rules(marked)
    leaking = replace(record, outputs={**record.outputs, "url": "https://a/b?X-Amz-Signature=c"})
    assert broken_rules(leaking) == {"nothing is secret": ["output url looks like a secret"]}


@pytest.mark.parametrize("role", ["storage-blob-data-contributor", "storage-file-data-privileged-contributor"])
def test_a_team_that_submits_jobs_without_seeing_logs_is_noticed(records, role):
    record = records["prod"]
    name = f"team-{role}-work-account"
    kept = tuple(one for one in record.resources if one.name != name)
    assert len(kept) == len(record.resources) - 1
    broken = broken_rules(replace(record, resources=kept))
    assert list(broken) == ["people see logs"]
    assert "submits jobs, and is no Storage" in broken["people see logs"][0]


def test_every_rule_has_a_change_that_breaks_it():
    elsewhere = {"private means private", "names are unique", "people see logs", *TESTED_IN_FILES_OF_THEIR_OWN}
    tested = {rule for rule, *_ in CHANGES} | elsewhere
    assert tested == {rule.__name__.replace("_", " ") for rule in load_rules()}


def test_rules_import_nothing_of_ours_and_nothing_that_has_to_be_installed():
    """So a program's own rules run in the plan, and in the pack's environment, which has neither mrikit nor Pulumi."""
    for file in (ROOT / "infra" / "policies").glob("[!_]*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            assert not {name.partition(".")[0] for name in names} - sys.stdlib_module_names, file


def test_a_program_without_rules_is_refused_in_one_line(tmp_path):
    with pytest.raises(ConfigError, match="policies: no such folder"):
        load_rules(tmp_path)


# A line of the program, what it is turned into, and the rule that must notice.
EDITS = [
    ("storage.py", "allow_shared_key_access=False", "allow_shared_key_access=True", "accounts have no keys"),
    ("storage.py", "allow_blob_public_access=False", "allow_blob_public_access=True", "accounts have no keys"),
    ("storage.py", "public_access=storage.PublicAccess.NONE", "public_access='Blob'", "accounts have no keys"),
    ("storage.py", "enable_https_traffic_only=True", "enable_https_traffic_only=False", "traffic is encrypted"),
    ("storage.py", "MinimumTlsVersion.TLS1_2", "MinimumTlsVersion.TLS1_1", "traffic is encrypted"),
    ("storage.py", "default_action=storage.DefaultAction.DENY", "default_action='Allow'", "networks are closed"),
    ("vault.py", "default_action=keyvault.NetworkRuleAction.DENY", "default_action='Allow'", "networks are closed"),
    (
        "vault.py", "NetworkRuleBypassOptions.AZURE_SERVICES", "NetworkRuleBypassOptions.NONE",
        "nodes and people reach the vault",
    ),
    ("storage.py", "_RUNS_DAYS = 1", "_RUNS_DAYS = 7", "rewritten data is not kept for long"),
    ("storage.py", "resource_id=one,", "resource_id=args.site.name(),", "services come as themselves"),
    ("storage.py", "PolicyArgs(enabled=True", "PolicyArgs(enabled=False", "deleted data can be had back"),
    ("storage.py", "        self._lifecycle()\n", "", "deleted data can be had back"),
    ("vault.py", "enable_purge_protection=True", "enable_purge_protection=None", "deleted data can be had back"),
    ("vault.py", "enable_rbac_authorization=True", "enable_rbac_authorization=False", "nobody has a password"),
    ("registry.py", "admin_user_enabled=False", "admin_user_enabled=True", "nobody has a password"),
    ("compute.py", "disable_local_auth=True", "disable_local_auth=False", "nobody has a password"),
    ("compute.py", "PublicAccess.DISABLED", "PublicAccess.ENABLED", "nobody has a password"),
    ("workspace.py", "AuthMode.IDENTITY", "AuthMode.ACCESS_KEY", "nobody has a password"),
    ("compute.py", "min_node_count=0", "min_node_count=1", "idle clusters cost nothing"),
    ("compute.py", 'f"PT{cluster.idle_minutes}M"', "None", "idle clusters cost nothing"),
    ("rights.py", "scope=right.scope", "scope=definitions.split('/providers')[0]", "rights are narrow"),
    ("rights.py", "kinds.GROUP if right.is_group else kinds.SERVICE_PRINCIPAL", "None", "rights are narrow"),
    ("place.py", '"project": PROJECT, ', "", "everything is tagged"),
    ("pipelines.py", "secure_input=True", "secure_input=False", "the factory is whole"),
    ("pipelines.py", "secure_output=False", "secure_output=True", "the factory is whole"),
    ("pipelines.py", '"relativeUrl": "SecureString"', '"relativeUrl": "String"', "the factory is whole"),
    ("datafactory.py", "concurrency=self._args.copies_at_once,", "", "the factory is whole"),
    ("budget.py", "_SHARES = (50, 80, 100)", "_SHARES = (50, 100)", "a budget warns"),
    (
        "compute.py", "enable_node_public_ip=args.network == PUBLIC", "enable_node_public_ip=True",
        "private means private",
    ),
]  # fmt: skip


def rounds():
    """The edits in turns, each with at most one of a rule: what a rule notices is then the edit that is about it."""
    turns = []
    for edit in EDITS:
        turn = next((turn for turn in turns if edit[3] not in [other[3] for other in turn]), None)
        if turn is None:
            turns.append([edit])
        else:
            turn.append(edit)
    return turns


FIRST, *OTHERS = rounds()


@pytest.mark.parametrize(
    "turn",
    [FIRST, *(pytest.param(turn, marks=pytest.mark.slow) for turn in OTHERS)],
    ids=lambda turn: f"{len(turn)} edits",
)
def test_a_program_without_its_safeties_breaks_their_rules(tmp_path, turn):
    shutil.copytree(ROOT / "infra", tmp_path / "infra", ignore=shutil.ignore_patterns("__pycache__"))
    for file, before, after, _ in turn:
        path = tmp_path / "infra" / file
        text = path.read_text()
        assert before in text, f"{file} has no {before!r} any more"
        path.write_text(text.replace(before, after))
    rules = [rule for *_, rule in turn]
    private = str(Path(__file__).parent / "stacks" / "Pulumi.private.yaml")
    chosen = read_stack(private if "private means private" in rules else "example", ROOT)
    broken = broken_rules(record_program(chosen.config, chosen.stack, tmp_path / "infra"))
    assert sorted(broken) == sorted(rules), broken
