"""What is asked in which order, and what is not asked any more."""

import json
import socket
import time

import pytest
from azurite import TENANT
from estates import example_estate
from fake_arm import SUBSCRIPTION

from mrikit.estate.diagnosis import Diagnosis
from mrikit.estate.examine import Examination, examine
from mrikit.estate.machine import EXTRAS
from mrikit.estate.subscription import PROVIDERS
from mrikit.storage.estate import estate_file, save_estate

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

AZURE = ["extra azure", "extra infra", "pulumi", "az", "login", "estate", "subscription", "providers"]
ROLES = [
    *("role on datasets", "role on runs", "role on raw", "role on mrikit-dev-factory", "role on mrikit-dev-workspace"),
    *("role on mrikitdevwork", "role on mrikitdevwork", "role on mrikit-dev"),
]
QUOTA = ["quota low-priority", "quota standardDSv3Family"]
SINGLE = ["subscription", "providers", "quota", "roles"]
ASKED = ["subscription"] + ["provider"] * 10 + ["sizes"] * 2 + ["usages"] * 2 + ["permissions"] * 8


@pytest.fixture
def linked(fake_arm):
    """A linked estate with all that it needs."""
    save_estate(example_estate())
    return fake_arm


@pytest.fixture
def stack_file(tmp_path):
    """Writes a stack with some clusters; its path."""

    def write(clusters, **config):
        given = {"adminEmail": "you@example.org", "clusters": clusters, **config}
        config = {f"mrikit:{key}": value for key, value in given.items() if value is not None}
        path = tmp_path / "Pulumi.mine.yaml"
        path.write_text(json.dumps({"config": config}))
        return str(path)

    return write


def look(stack=None):
    return examine(stack, retry_wait_s=0.001)


def states(found):
    return {one.subject: one.state for one in found.azure}


def one_of(found, subject):
    (one,) = [one for one in found.azure if one.subject == subject]
    return one


def not_asked(found):
    return {one.subject: one.what for one in found.azure if one.what.startswith("not asked: ")}


def test_an_estate_that_lacks_nothing_is_asked_for_everything_in_order(linked):
    found = look()
    assert [one.subject for one in found.azure] == [*AZURE, *QUOTA, *ROLES]
    assert {one.subject for one in found.azure if one.state != "ok"} == {"pulumi", "az"}
    assert linked.asked() == ASKED


def test_the_login_says_who_it_is(linked):
    found = one_of(look(), "login")
    assert found == Diagnosis("login", "ok", f"as 22222222-2222-2222-2222-222222222222 of tenant {TENANT}")


def test_who_has_nothing_to_do_with_azure_is_not_asked_about_it(fake_arm):
    assert look().azure == ()
    assert fake_arm.requests == []


@pytest.mark.parametrize("is_linked", [True, False])
def test_who_works_with_a_deployed_estate_needs_no_pulumi(fake_arm, monkeypatch, is_linked):
    monkeypatch.setitem(EXTRAS, "infra", ("pulumi-no-such-package",))
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    if is_linked:
        save_estate(example_estate())
    assert states(look())["extra infra"] == ("warning" if is_linked else "missing")


def test_without_packages_nothing_is_asked(linked, monkeypatch):
    monkeypatch.setitem(EXTRAS, "azure", ("azure-no-such-package",))
    found = look()
    assert (states(found)["extra azure"], states(found)["estate"]) == ("missing", "ok")
    assert not_asked(found) == {
        "login": "not asked: extra azure comes first",
        **dict.fromkeys(SINGLE, "not asked: login comes first"),
    }
    assert linked.requests == []
    assert found.next == "pip install -e '.[azure]'"


def test_without_a_login_nothing_is_asked(linked, monkeypatch):
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    found = look()
    assert one_of(found, "login") == Diagnosis("login", "missing", "not logged in to Azure", "az login")
    assert list(not_asked(found)) == SINGLE
    assert states(found)["estate"] == "ok"
    assert (linked.requests, found.next) == ([], "az login")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("MRIKIT_ARM_ENDPOINT", "http://localhost", "tokens travel over https only"),
        ("AZURE_TOKEN_CREDENTIALS", "Nobody", "Invalid value for AZURE_TOKEN_CREDENTIALS"),
    ],
)
def test_a_variable_that_makes_asking_impossible_is_named(linked, monkeypatch, variable, value, words):
    monkeypatch.setenv(variable, value)
    login = one_of(look(), "login")
    assert (login.state, login.remedy) == ("missing", "mend or unset this variable")
    assert variable in login.what
    assert words in login.what


def test_without_a_network_one_line_says_so_and_the_rest_is_skipped(linked, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("MRIKIT_ARM_ENDPOINT", f"https://localhost:{port}")
    found = look()
    assert [one.subject for one in found.azure] == [*AZURE[:6], "control plane"]
    last = found.azure[-1]
    assert (last.state, last.remedy) == ("unknown", "")
    assert last.what == (
        f"https://localhost:{port} cannot be reached: the connection was refused; is the network up? Nothing after "
        "this was asked"
    )


def test_a_network_that_fails_on_the_way_ends_the_questions(linked):
    answer = linked.answer
    linked.server.answer = lambda *request: (None, {}, None) if "vmSizes" in request[1] else answer(*request)
    found = look()
    assert [one.subject for one in found.azure] == [*AZURE, "control plane"]
    assert "permissions" not in linked.asked()


def test_a_login_service_that_is_down_skips_the_rest(linked, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{probe.getsockname()[1]}/token")
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the vendor's client waits between its tries
    found = look()
    assert [one.subject for one in found.azure] == AZURE[:6]
    assert (states(found)["login"], states(found)["estate"]) == ("unknown", "ok")
    assert linked.requests == []


def test_a_damaged_estate_is_missing_and_says_why(fake_arm):
    estate_file().parent.mkdir(parents=True)
    estate_file().write_text('{"subscription_id": "x"}')
    estate = one_of(look(), "estate")
    assert (estate.state, estate.remedy) == ("missing", "mrikit infra link")
    assert str(estate_file()) in estate.what


def test_before_the_first_deployment_a_named_subscription_is_looked_at(fake_arm, monkeypatch):
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    found = look()
    assert one_of(found, "estate") == Diagnosis(
        "estate", "warning", "none is linked", "`pulumi up`, then `mrikit infra link`"
    )
    assert (states(found)["subscription"], states(found)["providers"]) == ("ok", "ok")
    assert one_of(found, "quota").what == "not asked: no cluster is known; `mrikit doctor --stack NAME` names some"
    assert not_asked(found)["roles"] == "not asked: estate comes first"
    assert fake_arm.asked() == ASKED[:11]


@pytest.mark.parametrize("is_linked", [True, False])
def test_the_clusters_of_a_stack_count_where_one_is_named(fake_arm, monkeypatch, stack_file, is_linked):
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    if is_linked:
        save_estate(example_estate())
    found = look(stack_file([{"name": "big", "sku": "Standard_NC24ads_A100_v4", "maxNodes": 3}]))
    assert one_of(found, "stack").what.endswith("Pulumi.mine.yaml: big in westeurope")
    (quota,) = [one for one in found.azure if one.subject.startswith("quota")]
    assert quota.what.startswith("big (3 x 24) need 72 vCPUs; ")


def test_a_stack_of_the_project_is_known_by_its_name(fake_arm, monkeypatch):
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    found = look("example")
    assert one_of(found, "stack") == Diagnosis("stack", "ok", "example: gpu, cpu in westeurope")
    assert [subject for subject in states(found) if "quota" in subject] == QUOTA


def test_the_region_of_a_stack_is_asked(fake_arm, monkeypatch, stack_file):
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    found = look(stack_file([{"name": "big", "sku": "Standard_D16s_v3", "maxNodes": 1}], location="northeurope"))
    assert one_of(found, "quota").state == "unknown"
    assert "Nothing is at northeurope." in one_of(found, "quota").what


def test_a_stack_without_a_table_has_the_clusters_of_the_program(fake_arm, monkeypatch, stack_file):
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    found = one_of(look(stack_file(None)), "stack")
    assert (found.state, found.what.rpartition(": ")[2]) == ("ok", "gpu, cpu in westeurope")


def test_a_stack_that_its_program_refuses_is_missing_and_quota_is_not_asked(fake_arm, monkeypatch, stack_file):
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    found = look(stack_file([{"name": "gpu", "sku": "Standard_D16s_v3"}]))
    assert states(found)["stack"] == "missing"
    assert one_of(found, "stack").what == "clusters[0].maxNodes: missing; every cluster has one"
    assert "quota" in not_asked(found)


def test_a_stack_that_is_not_there_is_missing(fake_arm):
    found = one_of(look("nowhere"), "stack")
    assert found.state == "missing"
    assert "there are the stacks example, example-group" in found.what


def test_a_stack_without_a_subscription_says_how_to_name_one(fake_arm):
    found = look("example")
    assert one_of(found, "subscription").remedy == (
        "export AZURE_SUBSCRIPTION_ID=$(az account show --query id --output tsv)"
    )
    assert states(found)["subscription"] == "unknown"
    assert not_asked(found) == dict.fromkeys(SINGLE[1:], "not asked: subscription comes first")
    assert fake_arm.requests == []


@pytest.mark.parametrize(
    ("state", "expected"),
    [("Enabled", "ok"), ("Warned", "warning"), ("PastDue", "warning"), ("Disabled", "missing"), ("Deleted", "missing")],
)
def test_a_subscription_has_to_be_enabled(linked, state, expected):
    linked.state = state
    found = look()
    assert one_of(found, "subscription").what == f"MRI group ({SUBSCRIPTION}) is {state}"
    assert states(found)["subscription"] == expected
    assert bool(one_of(found, "subscription").remedy) == (expected != "ok")
    assert ("providers" in not_asked(found)) == (expected == "missing")


def test_a_subscription_that_is_not_seen_is_missing(fake_arm, monkeypatch):
    other = SUBSCRIPTION.replace("f", "e")
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", other)
    found = one_of(look(), "subscription")
    assert (found.state, found.what) == ("missing", f"you see no subscription {other} (SubscriptionNotFound)")
    assert found.remedy.startswith(f"az account set --subscription {other}, or ")


@pytest.mark.parametrize(
    ("status", "code", "state", "remedy"),
    [
        (403, "AuthorizationFailed", "missing", "az account set"),
        (401, "ExpiredAuthenticationToken", "missing", "az login"),
        (429, "TooManyRequests", "unknown", ""),
        (500, "InternalServerError", "unknown", ""),
    ],
)
def test_what_the_subscription_is_refused_for_decides(linked, status, code, state, remedy):
    linked.refuses["subscription"] = (status, code, {})
    found = look()
    assert states(found)["subscription"] == state
    assert one_of(found, "subscription").remedy.startswith(remedy)
    assert code in one_of(found, "subscription").what
    assert list(not_asked(found)) == SINGLE[1:]
    assert set(linked.asked()) == {"subscription"}


def test_the_tenant_of_the_subscription_is_named(linked):
    challenge = f'Bearer authorization_uri="https://login.windows.net/{TENANT}", error="invalid_token"'
    linked.refuses["subscription"] = (401, "InvalidAuthenticationTokenTenant", {"WWW-Authenticate": challenge})
    assert one_of(look(), "subscription").remedy == f"az login --tenant {TENANT}"


def test_providers_that_are_not_registered_are_each_named(linked):
    linked.providers = {"Microsoft.KeyVault": "NotRegistered", "Microsoft.Network": "Registering"}
    found = look()
    assert one_of(found, "providers").what == "8 of 10 are registered"
    vault = one_of(found, "Microsoft.KeyVault")
    assert (vault.state, vault.what) == ("missing", "the resource provider is NotRegistered")
    assert vault.remedy == f"az provider register --namespace Microsoft.KeyVault --subscription {SUBSCRIPTION}"
    assert states(found)["Microsoft.Network"] == "warning"
    assert QUOTA[0] in states(found)


def test_a_new_subscription_has_every_provider_to_register(linked):
    linked.providers = dict.fromkeys(PROVIDERS, "NotRegistered")
    found = look()
    assert [states(found)[name] for name in PROVIDERS] == ["missing"] * 10
    assert "providers" not in states(found)


def test_quota_is_not_asked_of_a_provider_that_is_not_registered(linked):
    linked.providers = {"Microsoft.MachineLearningServices": "NotRegistered"}
    found = look()
    assert not_asked(found) == {"quota": "not asked: Microsoft.MachineLearningServices comes first"}
    assert not {"sizes", "usages"} & set(linked.asked())
    assert states(found)["role on runs"] == "ok"


@pytest.mark.parametrize(("operation", "subject"), [("provider", "providers"), ("sizes", "quota"), ("usages", "quota")])
def test_what_the_control_plane_does_not_tell_is_unknown_and_the_next_is_asked(linked, operation, subject):
    linked.refuses[operation] = (403, "AuthorizationFailed", {})
    found = look()
    assert states(found)[subject] == "unknown"
    assert one_of(found, subject).what.startswith("the control plane refused (403 AuthorizationFailed): No, ...")
    assert states(found)["role on runs"] == "ok"


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["warning", "unknown", "missing", "missing"], "2"),
        (["warning", "ok", "unknown"], "2"),
        (["ok", "warning", "warning"], "1"),
        (["ok", "ok"], None),
    ],
)
def test_what_is_missing_comes_first_then_what_is_unknown(states, expected):
    diagnoses = tuple(Diagnosis("x", state, "", str(index)) for index, state in enumerate(states))
    assert Examination(machine=diagnoses[:1], azure=diagnoses[1:]).next == expected


def test_what_no_command_mends_is_not_next():
    unknown, warning = Diagnosis("x", "unknown", ""), Diagnosis("y", "warning", "", "do it")
    assert Examination(machine=(unknown,), azure=(warning,)).next == "do it"
