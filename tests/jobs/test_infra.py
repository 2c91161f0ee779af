"""`mrikit infra plan`, `mrikit infra init` and `mrikit infra link`."""

import json
import os
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest
from estates import example_estate
from typer.testing import CliRunner

from mrikit.commands.infra import app
from mrikit.errors import ConfigError, JobError, StorageError
from mrikit.estate import declared
from mrikit.estate.declared import program_folder, record_program
from mrikit.estate.prices import PRICES_FILE, load_prices
from mrikit.estate.stack_file import read_stack
from mrikit.forecast.throughput import GPUS
from mrikit.storage.estate import load_estate

ROOT = Path(__file__).parents[2]
COPY_EXAMPLE = "cp Pulumi.example.yaml Pulumi.dev.yaml, write your settings into it, mrikit infra plan --stack dev"
runner = CliRunner()


def run(*words, code=0, text=None):
    result = runner.invoke(app, [str(word) for word in words], input=text, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(autouse=True)
def _no_estate(tmp_path, monkeypatch):
    monkeypatch.delenv("MRIKIT_ESTATE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))


@pytest.fixture
def stack_file(tmp_path):
    def write(text, name="Pulumi.dev.yaml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_the_plan_shows_parts_rights_ways_in_costs_and_rules():
    result = run("plan", "--data-tb", "2")
    assert "stack example: 49 resources in westeurope" in result.stdout
    for words in (
        "3 BlobContainer, 2 BlobServiceProperties", "Key Vault Secrets User", "203.0.113.0/24, the nodes' subnet",
        "2 TB of data, Standard_LRS, hot", "1 x Standard_NC24ads_A100_v4 at 0.73 an hour", "rules: 26 of 26 hold",
    ):  # fmt: skip
        assert words in result.stdout
    assert result.stdout.splitlines()[-1] == f"next: {COPY_EXAMPLE}"
    assert result.stderr.startswith("no account was contacted, nothing was made")


def test_the_plan_is_json_for_programs():
    facts = json.loads(run("plan", "--json").stdout)
    assert facts["num_resources"] == len(facts["resources"]) == 49
    assert facts["broken"] == {}
    assert set(facts["outputs"]) == set(asdict(example_estate()))
    assert facts["next"] == COPY_EXAMPLE


def test_what_a_stack_exports_is_what_a_link_stores(tmp_path):
    outputs = json.loads(run("plan", "--json").stdout)["outputs"]
    (tmp_path / "outputs.json").write_text(json.dumps(outputs))
    run("link", tmp_path / "outputs.json")
    assert json.loads(json.dumps(asdict(load_estate()))) == outputs


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project as `mrikit infra init` writes it, and the current folder."""
    run("init", tmp_path / "estate")
    monkeypatch.chdir(tmp_path / "estate")
    return tmp_path / "estate"


def test_a_project_has_all_that_pulumi_needs_and_names_the_next_command(tmp_path):
    result = run("init", tmp_path / "my estate")
    made = tmp_path / "my estate"
    assert {".gitignore", "Pulumi.yaml", "Pulumi.example.yaml", "infra"} <= {one.name for one in made.iterdir()}
    tracked = subprocess.run(["git", "ls-files", "infra"], cwd=ROOT, capture_output=True, text=True, check=True)
    missing = {name for name in tracked.stdout.split() if not (made / name).exists()}
    assert missing == set()
    assert result.stdout.splitlines()[-1].startswith(f"next: cd '{made}', then mrikit infra plan")


def test_the_plan_of_a_project_is_of_its_own_program_and_settings(project):
    text = (project / "Pulumi.example.yaml").read_text()
    (project / "Pulumi.ours.yaml").write_text(text.replace("owner: mri-group", "owner: somebody"))
    facts = json.loads(run("plan", "--stack", "ours", "--json").stdout)
    assert facts["next"] == (
        "pulumi stack init ours (infra/README.md, 3), then pulumi up --stack ours --policy-pack infra/policies"
    )
    (group,) = [one for one in facts["resources"] if one["type"] == "resources:ResourceGroup"]
    assert group["inputs"]["tags"]["owner"] == "somebody"
    assert program_folder() == project / "infra"
    (project / "below").mkdir()
    os.chdir(project / "below")
    assert program_folder() == project / "infra"


def test_a_project_of_something_else_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "infra").mkdir()
    (tmp_path / "Pulumi.yaml").write_text("name: website\nruntime: nodejs\n")
    monkeypatch.chdir(tmp_path)
    assert program_folder() == ROOT / "infra"


def test_outside_of_a_project_the_plan_says_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("plan")
    assert result.stdout.splitlines()[-1] == "next: mrikit infra init estate, a folder for your settings"


def test_a_folder_that_is_not_empty_is_left_as_it_is(tmp_path):
    (tmp_path / "notes.txt").touch()
    (tmp_path / "other.txt").touch()
    with pytest.raises(ConfigError, match=r"not empty, found notes\.txt and 1 more; name a new folder"):
        run("init", tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["notes.txt", "other.txt"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file/estate: Not a directory; name a folder that you may write to"):
        run("init", tmp_path / "file" / "estate")


def test_settings_of_users_are_not_tracked_in_a_clone_and_examples_are():
    names = "Pulumi.dev.yaml\nPulumi.example.yaml\nPulumi.example-group.yaml\nPulumi.yaml\n.venv-infra/bin/python"
    git = ["git", "check-ignore", "--no-index", "--stdin"]
    done = subprocess.run(git, cwd=ROOT, input=names, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["Pulumi.dev.yaml", ".venv-infra/bin/python"]


def test_a_broken_rule_is_shown_and_fails(project):
    storage = project / "infra" / "storage.py"
    storage.write_text(storage.read_text().replace("allow_shared_key_access=False", "allow_shared_key_access=True"))
    result = run("plan", code=1)
    assert "BROKEN: accounts have no keys: data: allowSharedKeyAccess is True, not False" in result.stdout
    assert "rules: 25 of 26 hold" in result.stdout
    assert "next:" not in result.stdout


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("mrikit:location: moon", "location: no region of Azure's public cloud is called 'moon'"),
        ("mrikit:adminEmail: ''", "adminEmail: missing"),
        ("mrikit:monthlyBudget: 0", "monthlyBudget: an amount above 0"),
        ("mrikit:allowedIps: [203.0.113.0/40]", "allowedIps: an IPv4 address or range"),
        (
            "mrikit:clusters: [{name: gpu, sku: Standard_NC6s_v3, priority: lowPriority}]",
            r"clusters\[0\].maxNodes: missing",
        ),
        ("other:location: westeurope", "other:location: belongs to another project"),
        ("mrikit:adminEmail: {secure: AAABA}", r"mrikit:adminEmail is encrypted, but the estate needs no secret"),
    ],
)
def test_a_stack_that_cannot_be_meant_is_one_line(stack_file, config, message):
    lines = ["config:", "  mrikit:adminEmail: you@example.org", f"  {config}"]
    with pytest.raises(ConfigError, match=message) as caught:
        run("plan", "--stack", stack_file("\n".join(lines)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", r"Pulumi\.dev\.yaml: not a YAML file \(.*line 1"),
        ("- a", r"Pulumi\.dev\.yaml: not a table of settings; found list"),
        ("", r"Pulumi\.dev\.yaml: not a table of settings; found nothing"),
        ("config: {mrikit:budgetStart: 2026-02-30}", r"Pulumi\.dev\.yaml: not a YAML file \(day is out of range"),
        ("config: 3", r"Pulumi\.dev\.yaml: config is a table of keys and values; found int"),
    ],
)
def test_a_file_that_is_no_stack_is_named(stack_file, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        run("plan", "--stack", stack_file(text))
    assert "\n" not in str(caught.value)


def test_a_stack_that_is_not_there_names_those_that_are():
    with pytest.raises(ConfigError, match=r"Pulumi\.test\.yaml: .*; there are the stacks example, example-group"):
        run("plan", "--stack", "test")


def test_defaults_are_those_of_the_project_and_values_are_texts_or_json(stack_file):
    file = stack_file("config:\n  mrikit:adminEmail: me@example.org\n  mrikit:tags: {owner: mri}\n", "Pulumi.team.yaml")
    found = read_stack(str(file), ROOT)
    assert found.stack == "team"
    assert found.config["mrikit:monthlyBudget"] == "500"
    assert found.config["mrikit:protectData"] == "true"
    assert json.loads(found.config["mrikit:tags"]) == {"owner": "mri"}


def test_an_unquoted_date_is_the_text_that_it_looks_like(stack_file):
    file = stack_file("config:\n  mrikit:adminEmail: me@example.org\n  mrikit:budgetStart: 2026-12-01\n")
    assert read_stack(str(file), ROOT).config["mrikit:budgetStart"] == "2026-12-01"


def test_a_program_that_breaks_is_one_line(tmp_path):
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "__main__.py").write_text('raise ValueError("two\\nlines")')
    with pytest.raises(JobError, match=r"the estate's program breaks: ValueError: two lines$"):
        record_program({}, "dev", tmp_path / "infra")


def test_a_program_that_declares_something_new_names_what_has_to_learn_it(tmp_path):
    (tmp_path / "infra").mkdir()
    program = (
        "from pulumi_azure_native import batch\nbatch.BatchAccount('b', resource_group_name='g', account_name='a')\n"
    )
    (tmp_path / "infra" / "__main__.py").write_text(program)
    with pytest.raises(JobError, match=r"azure_types\.py lacks batch:BatchAccount"):
        record_program({}, "dev", tmp_path / "infra")


def test_without_pulumis_packages_the_plan_says_how_to_get_them(monkeypatch):
    monkeypatch.setattr(declared.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"packages that are not installed; `pip install -e '\.\[infra\]'`"):
        record_program({}, "dev")


def outputs(**changes):
    return json.dumps({**json.loads(json.dumps(asdict(example_estate()))), **changes})


def test_a_link_is_written_from_a_file_and_from_standard_input(tmp_path):
    (tmp_path / "outputs.json").write_text(outputs())
    result = run("link", tmp_path / "outputs.json")
    assert load_estate() == example_estate()
    file = tmp_path / "settings" / "mrikit" / "estate.json"
    first, last = result.stdout.splitlines()
    assert first == f"{file}: mrikit-dev in westeurope, https://mrikitdev.blob.core.windows.net"
    assert last == "next: mrikit doctor"
    run("link", "-", text=outputs(resource_group="mrikit-prod"))
    assert load_estate().resource_group == "mrikit-prod"


@pytest.fixture
def pulumi(tmp_path, monkeypatch):
    """A stand-in for Pulumi's command line, which no registry of packages has."""
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")

    def answer(script):
        (tools / "pulumi").write_text(f"#!/bin/sh\n{script}\n")
        (tools / "pulumi").chmod(0o755)

    return answer


def test_a_link_asks_pulumi_in_the_folder_of_the_project(pulumi, tmp_path):
    (tmp_path / "outputs.json").write_text(outputs())
    pulumi(f'echo "$PWD $*" > {tmp_path}/asked; cat {tmp_path}/outputs.json')
    run("link", "--stack", "prod")
    assert (tmp_path / "asked").read_text() == f"{program_folder().parent} stack output --json --stack prod\n"
    run("link")
    assert (tmp_path / "asked").read_text() == f"{program_folder().parent} stack output --json\n"
    assert load_estate() == example_estate()


def test_without_pulumi_a_link_says_what_else_would_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JobError, match=r"Pulumi's command line is not on the PATH; .* outputs\.json`"):
        run("link")


def test_what_pulumi_says_is_passed_on(pulumi):
    pulumi("echo 'error: no stack selected' >&2; exit 255")
    with pytest.raises(JobError, match="`pulumi stack output --json` fails: error: no stack selected"):
        run("link")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"not JSON \(.*\); `pulumi stack output --json` prints it"),
        ("[]", "an estate is an object with .*; is it a stack of this program"),
        ('{"url": "x"}', "estate has no setting 'url'"),
        (outputs(blob_endpoint="https://a.blob.core.windows.net?sig=CANARY"), "holds more than an address"),
    ],
)
def test_outputs_of_something_else_are_refused_and_nothing_is_written(tmp_path, text, message):
    (tmp_path / "outputs.json").write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        run("link", tmp_path / "outputs.json")
    assert "CANARY" not in str(caught.value)
    assert load_estate() is None


def test_a_file_that_is_not_there_says_what_writes_it(tmp_path):
    with pytest.raises(StorageError, match=r"no\.json: No such file or directory; `pulumi stack output --json > "):
        run("link", tmp_path / "no.json")


def test_a_stack_and_a_file_are_one_too_many(tmp_path):
    with pytest.raises(ConfigError, match="--stack asks Pulumi; leave it out where a file is given"):
        run("link", tmp_path / "outputs.json", "--stack", "dev")


def test_the_price_table_names_its_date_currency_and_region():
    prices = load_prices()
    assert (prices.date, prices.currency, prices.region) == ("2025-10-01", "USD", "eastus")
    dedicated, low = (prices.node_price("Standard_NC24ads_A100_v4", one) for one in ("Dedicated", "LowPriority"))
    assert low.hour == pytest.approx(dedicated.hour * prices.low_priority_share)
    assert (low.source, low.is_sure) == ("table of 2025-10-01", False)
    assert prices.node_price("Standard_X1", "Dedicated") is None


def test_every_size_with_gpus_says_which_so_that_its_time_can_be_predicted():
    assert {sku: machine.gpu in GPUS for sku, machine in load_prices().machines.items()} == {
        sku: machine.gpus > 0 for sku, machine in load_prices().machines.items()
    }


def test_a_table_of_ones_own_is_counted_with(tmp_path):
    table = tmp_path / "ours.toml"
    table.write_text(PRICES_FILE.read_text().replace("hour = 3.673", "hour = 100.0").replace('"USD"', '"EUR"'))
    result = run("plan", "--prices", table)
    assert "at 20.00 an hour" in result.stdout
    assert "EUR a month" in result.stdout
    assert "own table of 2025-10-01" in result.stdout


def test_a_table_of_ones_own_may_be_named_once_for_all_commands(tmp_path, monkeypatch):
    table = tmp_path / "ours.toml"
    table.write_text(PRICES_FILE.read_text())
    monkeypatch.setenv("MRIKIT_PRICES", str(table))
    price = load_prices().node_price("Standard_D16s_v3", "Dedicated")
    assert (price.source, price.is_sure) == ("own table of 2025-10-01", True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("date = 2025-10-01\n", ""), "currency, date, low_priority_share, machines, region, services are needed"),
        (("currency =", "money ="), "found date, money"),
        (("hour = 3.673, ", ""), "machines.Standard_NC24ads_A100_v4 lacks hour"),
        (("hour = 3.673", "hour = 'much'"), "machines.Standard_NC24ads_A100_v4.hour is of type float, found 'much'"),
        (("logs_gb = 2.3\n", ""), "logs_gb"),
        (("[machines]", "[machines"), "not a TOML file"),
    ],
)
def test_a_table_of_another_form_is_refused_by_its_key(tmp_path, change, message):
    table = tmp_path / "ours.toml"
    table.write_text(PRICES_FILE.read_text().replace(*change))
    with pytest.raises(ConfigError, match=message):
        load_prices(table)


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no\.toml: No such file or directory; .*prices\.toml is an example"):
        load_prices(tmp_path / "no.toml")
