"""The workflow file: what it runs, with which rights, and that the service takes its form."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

FILE = Path(__file__).parents[2] / "infra" / "workflows" / "estate.yml"
TEXT = FILE.read_text()
WORKFLOW = yaml.safe_load(TEXT)
(JOB,) = WORKFLOW["jobs"].values()
ON = WORKFLOW[True]  # YAML's reading of the word `on`


def test_the_workflow_has_the_form_of_the_service():
    if importlib.util.find_spec("check_jsonschema") is None:
        if os.environ.get("CI"):
            pytest.fail("no check-jsonschema; pip install -e '.[dev]' brings it")
        pytest.skip("no check-jsonschema")
    words = ["--builtin-schema", "vendor.github-workflows", str(FILE)]
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_pull_requests_are_previewed_with_the_policies_and_nothing_is_deployed():
    assert set(ON) == {"pull_request", "schedule", "workflow_dispatch"}
    (preview,) = [step for step in JOB["steps"] if step.get("if") == "github.event_name == 'pull_request'"]
    assert re.match(r'pulumi preview --stack "\$STACK" .*--policy-pack infra/policies$', preview["run"])
    assert not re.search(r"pulumi (up|destroy|refresh)\b", TEXT)
    assert "command" not in str([step.get("with") for step in JOB["steps"]])


def test_drift_is_looked_for_on_a_schedule_and_fails_the_job():
    (drift,) = [step for step in JOB["steps"] if step.get("if") == "github.event_name != 'pull_request'"]
    assert {"--refresh", "--expect-no-changes"} <= set(drift["run"].split())
    assert len(ON["schedule"]) == 1


def test_the_login_is_by_token_and_no_secret_is_named():
    assert WORKFLOW["permissions"] == {"contents": "read", "id-token": "write"}
    assert WORKFLOW["env"]["ARM_USE_OIDC"] == "true"
    assert "secrets." not in TEXT
    (login,) = [step for step in JOB["steps"] if step.get("uses", "").startswith("azure/login@")]
    assert set(login["with"]) == {"client-id", "tenant-id", "subscription-id"}


def test_forks_and_words_of_others_get_nowhere():
    assert "head.repo.full_name == github.repository" in JOB["if"]
    assert not [step for step in JOB["steps"] if "${{" in step.get("run", "")]
