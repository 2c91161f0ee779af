"""The policy pack under Pulumi's real engine: silent for the estate as it is, and each broken property is reported."""

import shutil

import pytest

from .engine.stack import PROGRAM

pytestmark = pytest.mark.slow

EDITS = {
    "accounts-have-no-keys": ("storage.py", "allow_shared_key_access=False", "allow_shared_key_access=True"),
    "networks-are-closed": ("storage.py", "default_action=storage.DefaultAction.DENY", "default_action='Allow'"),
    "rewritten-data-is-not-kept-for-long": ("storage.py", "_RUNS_DAYS = 1", "_RUNS_DAYS = 7"),
    "nobody-has-a-password": ("registry.py", "admin_user_enabled=False", "admin_user_enabled=True"),
    "idle-clusters-cost-nothing": ("compute.py", "min_node_count=0", "min_node_count=1"),
    "the-factory-is-whole": ("pipelines.py", "secure_input=True", "secure_input=False"),
    "what-cannot-be-made-again-is-protected": ("registry.py", "protect=args.protect", "protect=False"),
}
"""A policy, and the line of the program without which it is broken."""


def test_the_estate_breaks_no_policy_before_it_is_made_nor_after(made, estate, policies_python):
    assert estate.check(policies_python).broken == []


def test_the_signed_address_of_what_stops_clusters_breaks_no_policy_once_it_is_known(estate, policies_python):
    """The engine shows secrets to policies without their marks."""
    estate.set(stopAtBudget=True)
    assert estate.check(policies_python).broken == []
    assert estate.up().error == ""
    again = estate.check(policies_python)
    assert (again.broken, again.error) == ([], "")


@pytest.mark.parametrize("policy", EDITS)
def test_a_preview_reports_what_is_not_safe(estate, policies_python, tmp_path, policy):
    file, before, after = EDITS[policy]
    program = tmp_path / "infra"
    shutil.copytree(PROGRAM, program, ignore=shutil.ignore_patterns("__pycache__"))
    text = (program / file).read_text()
    assert before in text
    (program / file).write_text(text.replace(before, after))
    done = estate.run_by(program).check(policies_python)
    assert {name for name, _ in done.broken} == {policy}
    assert done.error  # of a mandatory policy
