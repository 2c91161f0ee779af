"""State of a stack as the runbook keeps it, in Blob or on disk; the engine and Azurite are real."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from azurite import ACCOUNT
from estates import example_estate
from typer.testing import CliRunner
from waiting import until

from mrikit.commands.infra import app
from mrikit.estate.stack_file import read_stack
from mrikit.storage.blob import container_client
from mrikit.storage.estate import load_estate

# gRPC and Azurite listen on loopback.
pytestmark = [pytest.mark.slow, pytest.mark.allow_hosts(["127.0.0.1", "localhost"]), pytest.mark.usefixtures("pulumi")]

(BLOCK,) = re.findall(
    r"^\*\*On disk.*?^```\n(.*?)^```", (Path(__file__).parents[2] / "infra" / "README.md").read_text(), re.M | re.S
)
RUNBOOK_ON_DISK = BLOCK.splitlines()
DEPLOY = """
import json, sys, time
from pathlib import Path
import pulumi
from pulumi import automation

stack, outputs, wait = sys.argv[1:]

def program():
    for name, value in json.loads(outputs).items():
        pulumi.export(name, value)
    if wait:
        Path(wait).touch()
        while Path(wait).exists():
            time.sleep(0.01)

options = automation.LocalWorkspaceOptions(work_dir=".")
try:
    automation.create_or_select_stack(stack, project_name="mrikit", program=program, opts=options).up()
except automation.CommandError as error:
    sys.exit(str(error))
"""
"""What `pulumi up` does with the estate's program, with one that declares nothing in Azure and says the same of it."""


class Person:
    """Somebody with a home and a project; the state may be shared.

    Args:
        home: Whose Pulumi's own files are, and the project.
        environment: Where the state is, and how it is reached.
        begin: Lines of a shell that make the stack; none where the project is a clone.
        shared: Project of a colleague that this one is a clone of; None for a new one.
    """

    def __init__(self, home: Path, environment: dict[str, str], begin: str = "", shared: Path | None = None) -> None:
        home.mkdir()
        self.project = home / "estate"
        self.environment = {
            **os.environ,
            "HOME": str(home),
            "PULUMI_HOME": str(home / ".pulumi"),
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(home / ".mrikit-passphrase"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            **environment,
        }
        if shared:
            shutil.copytree(shared, self.project)
            shutil.copy(shared.parent / ".mrikit-passphrase", home)
        else:
            CliRunner().invoke(app, ["init", str(self.project)], catch_exceptions=False)
            shutil.copy(self.project / "Pulumi.example.yaml", self.project / "Pulumi.dev.yaml")
            done = self._run(["bash", "-ec", begin])
            assert done.returncode == 0, done.stderr

    def pulumi(self, *words):
        """One command in the project."""
        return self._run(["pulumi", *words, "--non-interactive"])

    def _run(self, command):
        return subprocess.run(
            command, stdin=subprocess.DEVNULL,
            cwd=self.project, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def up(self, wait="", **changes):
        """A started `pulumi up`, which goes on until the file `wait` is gone."""
        outputs = json.dumps({**asdict(example_estate()), **changes})
        return subprocess.Popen(
            [sys.executable, "-c", DEPLOY, "dev", outputs, str(wait)],
            cwd=self.project, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def link(self, monkeypatch):
        """`mrikit infra link` of this person."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(self.project)
        return CliRunner().invoke(app, ["link", "--stack", "dev"], catch_exceptions=False)


@pytest.fixture(scope="module")
def in_blob(azurite_env, pulumi):
    """A container as the runbook makes it, reached with a token of Entra as there, and no key."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in azurite_env.items():
            patch.setenv(name, value)
        container = container_client("state")
        container.create_container()
        host = azurite_env["MRIKIT_BLOB_ENDPOINT"].split("/")[2]
        # The emulator has the account in the path, which its three parameters say; in Azure the account is enough.
        url = f"azblob://state?storage_account={ACCOUNT}&domain={host}&protocol=https&localemu=true"
        yield {**azurite_env, "PULUMI_BACKEND_URL": url, "SSL_CERT_FILE": azurite_env["REQUESTS_CA_BUNDLE"]}
        container.delete_container()


@pytest.fixture(scope="module")
def people(tmp_path_factory, in_blob):
    """Two who share a state and a repository; the first has deployed."""
    homes = tmp_path_factory.mktemp("homes")
    key, _, _, stack = RUNBOOK_ON_DISK  # a key in Key Vault, which the runbook has here, cannot be had
    one = Person(homes / "one", in_blob, f"{key}\n{stack}")
    other = Person(homes / "other", in_blob, shared=one.project)
    assert said(one.up()) == (0, "")
    return one, other


@pytest.fixture
def on_disk(tmp_path):
    """One whose state is below the home, by the lines of the runbook."""
    return Person(tmp_path / "one", {}, "\n".join(RUNBOOK_ON_DISK))


def said(process):
    """How a process ended, and what it said."""
    output, errors = process.communicate(timeout=300)
    return process.returncode, output + errors


def test_a_colleague_links_the_estate_that_somebody_deployed(people, tmp_path, monkeypatch):
    _, colleague = people
    colleague.environment["MRIKIT_ESTATE"] = str(tmp_path / "estate.json")
    result = colleague.link(monkeypatch)
    assert result.exit_code == 0, result.output
    assert load_estate() == example_estate()


def test_a_second_person_with_the_same_stack_name_is_refused_in_one_line(people):
    _, other = people
    done = other.pulumi("stack", "init", "dev")
    assert done.returncode != 0
    assert "already exists" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_second_up_is_refused_in_one_line_while_the_first_goes_on(people, tmp_path):
    one, other = people
    busy = tmp_path / "busy"
    first = one.up(wait=busy)
    until(busy.exists)
    status, words = said(other.up())
    assert status == 1
    assert words.count("error: the stack is currently locked by 1 lock(s)") == 1
    busy.unlink()
    assert said(first) == (0, "")


def test_what_one_deploys_the_other_goes_on_from(people):
    one, other = people
    assert said(other.up(resource_group="mrikit-other")) == (0, "")
    outputs = json.loads(one.pulumi("stack", "output", "--json", "--stack", "dev").stdout)
    assert outputs["resource_group"] == "mrikit-other"
    history = json.loads(one.pulumi("stack", "history", "--json", "--stack", "dev").stdout)
    assert {update["result"] for update in history} == {"succeeded"}
    assert len(history) >= 2


def test_state_on_disk_needs_a_passphrase_only(on_disk, tmp_path, monkeypatch):
    assert said(on_disk.up()) == (0, "")
    on_disk.environment["MRIKIT_ESTATE"] = str(tmp_path / "estate.json")
    assert on_disk.link(monkeypatch).exit_code == 0
    assert (tmp_path / "one" / "mrikit-state" / ".pulumi" / "stacks" / "mrikit" / "dev.json").exists()


def test_a_users_settings_are_a_copy_of_the_example_that_pulumi_adds_to(on_disk):
    before = (on_disk.project / "Pulumi.example.yaml").read_text()
    assert on_disk.pulumi("config", "set", "monthlyBudget", "400").returncode == 0
    settings = (on_disk.project / "Pulumi.dev.yaml").read_text()
    assert "encryptionsalt" in settings
    assert "mrikit:adminEmail: mri-admin@example.org" in settings
    assert (on_disk.project / "Pulumi.example.yaml").read_text() == before
    chosen = read_stack("dev", on_disk.project)
    assert chosen.config["mrikit:monthlyBudget"] == "400"
