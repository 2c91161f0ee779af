"""What a stack may ask for, and the one line that says what is wrong otherwise."""

import datetime as dt
import json
import re
from pathlib import Path

import pytest
import yaml

from infra.config import DEFAULT_CLUSTERS, Settings, read_settings
from infra.values import SettingsError

ROOT = Path(__file__).parents[2]
SUBNET = "/subscriptions/a/resourceGroups/b/providers/Microsoft.Network/virtualNetworks/c/subnets/d"
GPU = {"name": "gpu", "sku": "Standard_NC24ads_A100_v4", "priority": "lowPriority", "maxNodes": 4, "idleMinutes": 15}


def read(stack="dev", **settings) -> Settings:
    """Settings as the engine hands them over, where the only one without a default is given."""
    given = {"adminEmail": "you@example.org", **settings}
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
    return read_settings({f"mrikit:{key}": text for key, text in texts.items()}, stack)


def refusal(stack="dev", **settings) -> str:
    with pytest.raises(SettingsError) as caught:
        read(stack, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_all_but_one_key_have_defaults():
    settings = read()
    assert settings.clusters == DEFAULT_CLUSTERS
    assert (settings.location, settings.monthly_budget, settings.is_private) == ("westeurope", 500, False)
    assert settings.protect_data
    assert settings.allowed_ips == ()


def test_the_project_file_describes_every_key_with_the_same_default():
    described = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert all(one["description"] for one in described.values())
    defaults = {key: one["default"] for key, one in described.items() if "default" in one}
    assert set(described) - set(defaults) == {"adminEmail"}
    assert read(**defaults) == read()
    with pytest.raises(SettingsError) as caught:
        read(**{**defaults, "nothing": "x"})
    known = re.findall(r"\w+", str(caught.value).partition("there are ")[2])
    assert set(known) == {*described, "clusters", "tags"}


def test_texts_are_read_as_what_they_stand_for():
    settings = read(
        location="swedencentral", monthlyBudget="1200", budgetStart="2026-12-01", protectData="False",
        allowedIps=["203.0.113.0/24", "198.51.100.7", "198.51.100.8/32"], clusters=[GPU], tags={"owner": "mri"},
    )  # fmt: skip
    assert settings.monthly_budget == 1200
    assert settings.budget_start == dt.date(2026, 12, 1)
    assert not settings.protect_data
    assert settings.allowed_ips == ("203.0.113.0/24", "198.51.100.7", "198.51.100.8")
    assert (settings.clusters[0].priority, settings.clusters[0].idle_minutes) == ("LowPriority", 15)
    assert settings.tags == {"owner": "mri"}


def test_keys_of_the_provider_may_stand_beside_ours():
    config = {"mrikit:adminEmail": "you@example.org", "azure-native:location": "westeurope"}
    assert read_settings(config, "dev").admin_email == "you@example.org"


def test_a_stack_of_another_project_is_refused():
    with pytest.raises(SettingsError, match="other:location: belongs to another project; this one is 'mrikit'"):
        read_settings({"other:location": "westeurope"}, "dev")


def test_the_name_of_the_stack_is_no_setting():
    with pytest.raises(SettingsError, match="stack: no setting; `pulumi stack select` names the stack"):
        read_settings({"mrikit:stack": "prod"}, "dev")


def test_the_one_key_without_a_default_says_how_to_set_it():
    with pytest.raises(SettingsError, match=r"adminEmail: missing; `pulumi config set adminEmail you@example\.org`"):
        read_settings({}, "dev")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"location": "westeuropa"}, "location: no region .* is called 'westeuropa'; did you mean 'westeurope'"),
        ({"location": "West Europe"}, "location: .*'West Europe'; did you mean 'westeurope'"),
        ({"adminEmail": "nobody"}, "adminEmail: an address such as you@example.org; found 'nobody'"),
        ({"monthlyBudget": 0}, "monthlyBudget: an amount above 0 for alerts, 1 to 10,000,000; found '0'"),
        ({"monthlyBudget": "-5"}, "monthlyBudget: .*; found '-5'"),
        ({"monthlyBudget": "much"}, "monthlyBudget: .*; found 'much'"),
        ({"monthlyBudget": "1.5"}, "monthlyBudget: .*; found '1.5'"),
        ({"budgetStart": "2026-12-15"}, "budgetStart: the first of a month .*; found '2026-12-15'"),
        ({"budgetStart": "2016-01-01"}, "budgetStart: .* since 2017-06"),
        ({"budgetStart": "December"}, "budgetStart: "),
        ({"allowedIps": ["203.0.113.7/24"]}, "allowedIps: an IPv4 address or range .*; found '203.0.113.7/24'"),
        ({"allowedIps": ["203.0.113.0/33"]}, "allowedIps: "),
        ({"allowedIps": ["203.0.113"]}, "allowedIps: "),
        ({"allowedIps": ["0.0.0.0/0"]}, "opens the data to 4,294,967,296 addresses; at most /16"),
        ({"allowedIps": ["10.1.0.0/16"]}, "'10.1.0.0/16' is an address inside of a network"),
        ({"allowedIps": ["192.168.1.4"]}, "inside of a network"),
        ({"allowedIps": ["172.20.0.0/24"]}, "inside of a network"),
        ({"allowedIps": ["203.0.113.2/31"]}, "takes no /31; name both addresses"),
        ({"allowedIps": ["203.0.113.7", "203.0.113.7/32"]}, "'203.0.113.7' stands there twice, .*; keep one"),
        ({"allowedIps": "203.0.113.0/24"}, "allowedIps: a list of texts; found '203.0.113.0/24'"),
        ({"allowedIps": "[203"}, "allowedIps: not JSON"),
        ({"subnetId": "my-subnet"}, "subnetId: /subscriptions/.*; found 'my-subnet'"),
        ({"teamGroupId": "mri"}, "teamGroupId: a GUID"),
        ({"storageSku": "Premium_GRS"}, "storageSku: one of Standard_LRS, .*, Premium_ZRS; found 'Premium_GRS'"),
        ({"network": "open"}, "network: one of public, private, managed; found 'open'"),
        ({"network": "private"}, "subnetId: missing; network private takes a subnet of yours, as `az .*` prints it"),
        ({"network": "managed", "subnetId": SUBNET}, "subnetId: .* goes with network private alone; found .* managed"),
        (
            {"registryTier": "Standard", "network": "managed"},
            "registryTier: only Premium has private endpoints, which network managed needs; found 'Standard'",
        ),
        ({"registryTier": "Free"}, "registryTier: one of Basic, Standard, Premium; found 'Free'"),
        ({"stopAtBudget": "often"}, "stopAtBudget: true or false; found 'often'"),
        ({"lockData": "maybe"}, "lockData: true or false; found 'maybe'"),
        ({"downloadHosts": ["https://a.org/b"]}, "downloadHosts: a host such as data.example.org; found 'https://a.org/b'"),
        ({"downloadHosts": "a.org"}, "downloadHosts: a list of texts; found 'a.org'"),
        ({"rawDeleteDays": 3}, "rawDeleteDays: more than rawCoolDays, which is 7; found 3"),
        ({"softDeleteDays": 366}, "softDeleteDays: days, 1 to 365; found '366'"),
        ({"copiesAtOnce": 51}, "copiesAtOnce: archives, 1 to 50; found '51'"),
        ({"imageTag": "0.1.0"}, "imageTag: no setting any more, because `mrikit image push` registers images; `pulumi"),
        ({"protectData": "maybe"}, "protectData: true or false; found 'maybe'"),
        ({"generation": 0}, "generation: "),
        ({"alowedIps": []}, "alowedIps: no such key; did you mean 'allowedIps'"),
        ({"tags": ["owner"]}, "tags: a table of names and texts"),
        ({"tags": {"a/b": "c"}}, "tags: a name has up to 128 characters, .*; found 'a/b'"),
        ({"tags": {"owner": 3}}, "tags.owner: a text"),
        ({"tags": {f"tag{index}": "x" for index in range(41)}}, "tags: at most 40"),
        ({"location": "[1]"}, "location: a text; found \\[1\\]"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_meant_is_one_line_with_its_key(settings, message):
    assert re.search(message, refusal(**settings))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sku": "A100"}, r"clusters\[0\].sku: a size such as Standard_NC24ads_A100_v4; found 'A100'"),
        ({"sku": "standard_nc24ads_a100_v4"}, r"clusters\[0\].sku"),
        ({"maxNodes": None}, r"clusters\[0\].maxNodes: missing; every cluster has one"),
        ({"maxNodes": 0}, r"clusters\[0\].maxNodes: nodes, 1 to 1,000; found 0"),
        ({"maxNodes": True}, r"clusters\[0\].maxNodes: nodes, 1 to 1,000; found true"),
        ({"priority": "spot"}, r"clusters\[0\].priority: one of dedicated, lowPriority; found 'spot'"),
        ({"idleMinutes": 1}, r"clusters\[0\].idleMinutes: minutes, 2 to 120; found 1"),
        ({"name": "g"}, r"clusters\[0\].name: 3 to 18 letters"),
        ({"name": "gpu-4"}, r"clusters\[0\].name: .* no hyphen and number last; found 'gpu-4'"),
        ({"minNodes": 1}, r"clusters\[0\].minNodes: no such key; .*; every cluster goes back to 0 nodes by itself"),
        ({"maxnodes": 2}, r"clusters\[0\].maxnodes: no such key; did you mean 'maxNodes'"),
    ],
)
def test_a_cluster_that_cannot_be_meant_names_its_row_and_key(changes, message):
    cluster = {key: value for key, value in {**GPU, **changes}.items() if value is not None}
    assert re.search(message, refusal(clusters=[cluster]))


@pytest.mark.parametrize("clusters", [[], {}, "gpu", ["gpu"], 3])
def test_clusters_are_a_table(clusters):
    assert refusal(clusters=clusters).startswith("clusters: a list of tables such as {name: gpu, ")


def test_two_clusters_of_one_name_are_refused_whatever_the_case():
    message = refusal(clusters=[GPU, {**GPU, "name": "GPU"}])
    assert message == "clusters: two are called 'GPU', and letters' case does not count; rename one"


def test_a_network_of_ones_own_goes_without_public_addresses():
    assert read(subnetId=SUBNET).is_private
    assert read(subnetId=SUBNET) == read(subnetId=SUBNET, network="private")
    assert refusal(subnetId=SUBNET, allowedIps=["203.0.113.0/24"]).startswith(
        "allowedIps: nothing is public with subnetId"
    )


@pytest.mark.parametrize("stack", ["", "1st", "a" * 41, "org/dev", "dev.eu"])
def test_a_stack_whose_name_cannot_be_part_of_names_is_refused(stack):
    assert refusal(stack).startswith("stack: 1 to 40 letters, digits, - or _")
