"""`mrikit doctor`: what it prints, and how it ends."""

import json

import pytest
from azurite import make_token
from estates import example_estate
from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.storage.estate import save_estate

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

HERE = "  no estate is linked; everything above is enough to work on this machine"


def doctor(*words):
    return CliRunner().invoke(app, ["doctor", *words])


@pytest.fixture
def compiler(tmp_path, fake_arm):
    """A machine that has one."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "c++").write_text("#!/bin/sh\n")
    (folder / "c++").chmod(0o755)


@pytest.fixture
def enough_disk(monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("usage", (), {"free": 10**12}))


@pytest.fixture
def no_gpu(monkeypatch):
    """Whatever the machine of this test has."""
    monkeypatch.setattr("pathlib.Path.glob", lambda path, pattern: iter(()))


def test_who_works_on_this_machine_only_reads_four_lines_and_is_not_scared(compiler, enough_disk, no_gpu, fake_arm):
    done = doctor()
    title, *lines, azure, here, sums = done.stdout.splitlines()
    assert (done.exit_code, title, azure, here, sums) == (0, "this machine", "Azure", HERE, "4 ok")
    assert [line.split()[:2] for line in lines] == [["ok", "Python"], ["ok", "torch"], ["ok", "C++"], ["ok", "disk"]]
    assert fake_arm.requests == []


def test_a_machine_without_a_compiler_is_still_enough(enough_disk, no_gpu, fake_arm):
    done = doctor()
    assert (done.exit_code, done.stdout.splitlines()[-2]) == (0, HERE)
    assert done.stdout.splitlines()[-1] == "1 warning, 3 ok; next: apt install g++"


def test_a_machine_that_lacks_something_is_not_said_to_be_enough(compiler, enough_disk, no_gpu, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = doctor()
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-2:] == [
        "  no estate is linked; nothing was asked",
        "1 missing, 3 ok; next: pip install -e .",
    ]


def test_what_mends_something_stands_whole_below_it(compiler, enough_disk, no_gpu, fake_arm):
    save_estate(example_estate())
    fake_arm.roles["runs"] = ["Reader"]
    done = doctor()
    lines = done.stdout.splitlines()
    (index,) = [index for index, line in enumerate(lines) if line.startswith("  missing")]
    arrow, _, command = lines[index + 1].strip().partition(" ")
    assert lines[index].split()[1:4] == ["role", "on", "runs"]
    assert arrow == "->"
    assert command.startswith("az role assignment create --assignee 22222222-2222-2222-2222-222222222222 --role 'Stor")
    assert command.endswith("/blobServices/default/containers/runs")
    assert lines[-1] == f"1 missing, 2 warnings, 19 ok; next: {command}"
    assert done.exit_code == 1


def test_warnings_and_what_is_unknown_do_not_fail(compiler, enough_disk, no_gpu, fake_arm):
    save_estate(example_estate())
    fake_arm.refuses["permissions"] = (403, "AuthorizationFailed", {})
    done = doctor()
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == (
        "2 warnings, 8 unknown, 12 ok; next: install Pulumi's CLI; pip does not bring it"
    )


def test_a_program_reads_json(compiler, enough_disk, no_gpu, fake_arm):
    save_estate(example_estate())
    fake_arm.providers["Microsoft.Storage"] = "NotRegistered"
    done = doctor("--json")
    found = json.loads(done.stdout)
    command = "az provider register --namespace Microsoft.Storage --subscription 0a1b2c3d-0000-4000-8000-00000000000f"
    assert done.exit_code == 1
    assert (found.keys(), found["num_missing"]) == ({"findings", "num_missing", "next"}, 1)
    assert found["next"] == command
    assert {
        "subject": "Microsoft.Storage",
        "state": "missing",
        "what": "the resource provider is NotRegistered",
        "remedy": command,
    } in found["findings"]


def test_json_of_a_machine_that_lacks_nothing_has_no_next(compiler, enough_disk, no_gpu):
    done = doctor("--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["num_missing"], found["next"], len(found["findings"])) == (0, 0, None, 4)


def test_a_stack_is_looked_at_before_it_is_deployed(fake_arm, monkeypatch):
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", "0a1b2c3d-0000-4000-8000-00000000000f")
    fake_arm.limits["totalLowPriorityCores"] = 0
    done = doctor("--stack", "example")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-1].endswith(
        "next: ask for 24 vCPUs of low-priority in westeurope: Azure ML studio, Quota"
    )


@pytest.mark.parametrize("operation", ["subscription", "provider", "sizes", "usages", "permissions"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500])
@pytest.mark.parametrize("words", [(), ("--json",)])
def test_no_token_is_ever_shown(fake_arm, operation, status, words):
    save_estate(example_estate())
    fake_arm.refuses[operation] = (status, "Code", {"Retry-After": "900"})
    done = doctor(*words)
    assert f"{status} Code" in done.output or "(Code)" in done.output
    token = make_token("https://management.azure.com")
    assert not [part for part in (*token.split(".")[::2], "eyJ", "Bearer ") if part in done.output]
    assert all(token.split(".")[0] in headers["Authorization"] for _, _, headers in fake_arm.requests)
