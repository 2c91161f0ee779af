"""The linked estate: found where it belongs, refused by name where it is wrong."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from estates import example_estate

from mrikit.errors import ConfigError, StorageError
from mrikit.storage.estate import estate_file, load_estate, read_estate, require_estate, save_estate

ESTATE = example_estate()


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.delenv("MRIKIT_ESTATE", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def settings(**changes):
    return asdict(ESTATE) | changes


def test_without_a_file_no_estate_is_linked():
    assert load_estate() is None


def test_an_estate_that_was_saved_is_linked_below_home(tmp_path):
    assert save_estate(ESTATE) == tmp_path / ".config" / "mrikit" / "estate.json"
    assert load_estate() == require_estate() == ESTATE


def test_the_estate_follows_the_folder_of_configurations(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    assert estate_file() == tmp_path / "settings" / "mrikit" / "estate.json"


def test_a_named_file_goes_before_every_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    save_estate(replace(ESTATE, resource_group="other"))
    monkeypatch.setenv("MRIKIT_ESTATE", str(tmp_path / "prod.json"))
    save_estate(ESTATE)
    assert load_estate() == ESTATE


def test_a_named_file_that_is_not_there_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("MRIKIT_ESTATE", str(tmp_path / "prod.json"))
    with pytest.raises(
        ConfigError, match=r"MRIKIT_ESTATE names .*prod\.json, which is not there; `mrikit infra link` writes"
    ):
        load_estate()


def test_who_needs_an_estate_is_told_the_file_and_the_command(tmp_path):
    with pytest.raises(ConfigError) as caught:
        require_estate()
    message = str(caught.value)
    assert message.startswith("no estate in Azure is linked; `mrikit infra link` writes ")
    assert str(tmp_path / ".config" / "mrikit" / "estate.json") in message
    assert "\n" not in message


def test_the_file_holds_its_names_as_json(tmp_path):
    written = json.loads(save_estate(ESTATE).read_text())
    assert written == json.loads(json.dumps(asdict(ESTATE)))
    assert written["containers"] == ["raw", "datasets"]
    assert written["clusters"][0]["sku"] == "Standard_NC24ads_A100_v4"


def test_a_misspelt_key_names_the_nearest():
    wrong = settings(factory="mrikit-dev-factory")
    del wrong["factory_name"]
    with pytest.raises(ConfigError, match="estate has no setting 'factory'; did you mean 'factory_name'"):
        read_estate(wrong)


def test_missing_keys_are_named():
    with pytest.raises(ConfigError, match="estate lacks factory_name, copy_pipeline; it needs subscription_id, "):
        read_estate({key: value for key, value in settings().items() if key not in ("factory_name", "copy_pipeline")})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("subscription_id", "my subscription", "a GUID, as `az account show` prints it; found 'my subscription'"),
        ("tenant_id", "contoso", "a GUID, as `az account show --query tenantId` prints it; found 'contoso'"),
        ("resource_group", "a/b", "1 to 90 letters, digits or any of ._-\\(\\), without a dot at the end; found 'a/b'"),
        ("resource_group", "dot.", "found 'dot.'"),
        ("factory_name", "my_factory", "3 to 63 letters, digits and single hyphens; found 'my_factory'"),
        ("copy_pipeline", "a/b", "1 to 140 characters"),
        ("blob_endpoint", "http://a.blob.core.windows.net", "is https://NAME.blob.core.windows.net; found 'http:"),
        ("blob_endpoint", "mrikitdev", "found 'mrikitdev'"),
        ("runs_endpoint", "runs", "estate.runs_endpoint is https://NAME.blob.core.windows.net; found 'runs'"),
        ("work_endpoint", "", "estate.work_endpoint is https://NAME.blob.core.windows.net; found ''"),
        ("vault_uri", "mrikit", "estate.vault_uri is https://NAME.vault.azure.net; found 'mrikit'"),
        ("unpack_pipeline", "", "1 to 140 characters"),
        ("network", "open", "estate.network: one of public, private, managed; found 'open'"),
        ("containers", ["Raw"], "estate.containers: 3 to 63 lower-case .*; found 'Raw'"),
        ("containers", ["a-" * 40 + "b"], "estate.containers: 3 to 63 lower-case"),
        ("factory_name", "a-" * 40 + "b", "3 to 63 letters, digits and single hyphens"),
        ("containers", [], "estate.containers names no container"),
        ("containers", [3], "estate.containers is of type str, found 3"),
        ("location", "West Europe", "estate.location: a region as"),
        ("workspace_name", "a", "3 to 33 letters"),
        ("registry_server", "mrikitdev", "such as NAME.azurecr.io; found 'mrikitdev'"),
        ("compute_client_id", "jobs", "the GUID of the client that jobs act as; found 'jobs'"),
        ("clusters", [], "estate.clusters names no cluster; jobs need one"),
        ("clusters", ["gpu"], "estate.clusters is a group of settings"),
        ("clusters", [{"name": "gpu", "size": "x"}], "has no setting 'size'"),
        ("factory_name", None, "estate.factory_name is of type str, found None"),
    ],
)
def test_a_value_of_another_form_is_refused(key, value, message):
    with pytest.raises(ConfigError, match=message):
        read_estate(settings(**{key: value}))


@pytest.mark.parametrize("extra", ["?sv=2026&sig=CANARY", "#CANARY"])
@pytest.mark.parametrize("key", ["blob_endpoint", "runs_endpoint", "work_endpoint", "vault_uri"])
def test_a_signature_in_an_address_is_refused_and_not_repeated(key, extra):
    with pytest.raises(ConfigError, match=f"{key} holds more than an address; leave out signatures and keys") as caught:
        read_estate(settings(**{key: getattr(ESTATE, key) + extra}))
    assert "CANARY" not in str(caught.value)


def test_a_file_that_is_no_object_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("MRIKIT_ESTATE", str(tmp_path / "estate.json"))
    Path(tmp_path / "estate.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"estate\.json: an estate is an object with subscription_id, .*; found list"):
        load_estate()


def test_a_damaged_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("MRIKIT_ESTATE", str(tmp_path / "estate.json"))
    Path(tmp_path / "estate.json").write_text('{"subscription_id": ')
    with pytest.raises(StorageError, match=r"estate\.json: not a JSON file"):
        load_estate()
