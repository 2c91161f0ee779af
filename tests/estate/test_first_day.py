"""Parts of the first day of an estate that need no service."""

import json

import pytest
from estates import example_estate

from mrikit.errors import ConfigError, JobError, StorageError
from mrikit.estate.diagnosis import Diagnosis
from mrikit.estate.first_day.container import mlflow_diagnosis, vault_diagnosis
from mrikit.estate.first_day.remedies import REMEDIES, find_remedy
from mrikit.estate.first_day.report import Report, as_json, clean, in_lines, write_report
from mrikit.estate.first_day.roles_wait import RolesWait
from mrikit.estate.first_day.step import Outcome, Step, run_steps
from mrikit.estate.first_day.tidy import Tidy

SIGNED = "https://mrikitdev.blob.core.windows.net/logs/a.txt?sv=2021&sig=abcDEF123"
GUID = "0a1b2c3d-0000-4000-8000-00000000000f"


def failing(message, kind=JobError):
    def act():
        raise kind(message)

    return act


def one_by_one(answers):
    """What each call does, as long as there is something left."""

    def act():
        return answers.pop(0)()

    return act


def patience(seconds, said):
    return RolesWait(seconds, 0.0, said.append)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"see {SIGNED} there", "see https://mrikitdev.blob.core.windows.net/logs/a.txt?... there"),
        ("with Bearer abc.def", "with ..."),
        ("token eyJhbGciOi.xyz", "token ..."),
        (f"/subscriptions/{GUID}/resourceGroups/g", "/subscriptions/0a1b2c3d-.../resourceGroups/g"),
    ],
)
def test_a_report_shows_no_secret_and_no_whole_guid(text, shown):
    assert clean(text) == shown


@pytest.mark.parametrize("name", ["report.json", "report.txt"])
def test_both_forms_of_a_report_hold_every_step_and_no_signature(tmp_path, name):
    outcomes = (
        Outcome(
            name="copy", state="failed", seconds=3.21, what=f"no {SIGNED}", remedy="pulumi up", page="https://learn"
        ),
        Outcome(name="progress", state="skipped", what="copy comes first"),
    )
    report = Report(
        estate=example_estate(),
        began_at="2026-11-30T10:00:00+00:00",
        diagnoses=(Diagnosis("login", "ok", f"as {GUID}"),),
        outcomes=outcomes,
    )
    write_report(report, tmp_path / name)
    text = (tmp_path / name).read_text()
    assert [word for word in ("copy comes first", "pulumi up", "https://learn", "login") if word not in text] == []
    assert "abcDEF123" not in text
    assert GUID not in text
    if name.endswith(".json"):
        assert json.loads(text) == as_json(report)
        assert (as_json(report)["num_failed"], as_json(report)["next"]) == (1, "pulumi up")


def test_a_remedy_stands_below_its_step():
    lines = in_lines(Outcome(name="log", state="failed", what="none", remedy="mend it", page="https://learn"), 5)
    assert lines[0].split() == ["failed", "log", "none"]
    assert [line.strip() for line in lines[1:]] == ["-> mend it", "-> https://learn"]


def test_a_step_after_one_that_failed_is_skipped_and_so_is_the_one_after_that():
    steps = [
        Step(name="a", place="blob", act=failing("AuthorizationFailure")),
        Step(name="b", place="blob", act=lambda: "never", after=("a",)),
        Step(name="c", place="blob", act=lambda: "never", after=("b",)),
        Step(name="d", place="blob", act=lambda: "works"),
    ]
    found = list(run_steps(steps, patience(0.0, [])))
    assert [(one.name, one.state, one.what) for one in found] == [
        ("a", "failed", "AuthorizationFailure"),
        ("b", "skipped", "a comes first"),
        ("c", "skipped", "b comes first"),
        ("d", "ok", "works"),
    ]
    assert "allowedIps" in found[0].remedy


@pytest.mark.parametrize("code", ["AuthorizationPermissionMismatch", "ForbiddenByRbac", "AuthorizationFailed"])
def test_a_refusal_for_a_role_is_asked_again_and_said_once(code):
    answers = [failing(code), failing(code), lambda: "at last"]
    said = []
    assert patience(600.0, said).call(one_by_one(answers), "blob") == "at last"
    assert len(said) == 1
    assert said[0].startswith("blob: refused, as for a role that is minutes old")


@pytest.mark.parametrize("code", ["AuthorizationFailure", "ForbiddenByFirewall", "NoSuchThing"])
def test_another_refusal_is_not_asked_again(code):
    answers = [failing(code), lambda: "never"]
    with pytest.raises(JobError, match=code):
        patience(600.0, []).call(one_by_one(answers), "blob")
    assert len(answers) == 1


def test_a_role_that_never_comes_is_refused_at_the_end():
    with pytest.raises(JobError, match="ForbiddenByRbac"):
        patience(0.0, []).call(failing("ForbiddenByRbac"), "secret")


def test_a_thing_that_cannot_be_deleted_is_named_and_the_others_are_deleted():
    gone = []
    tidy = Tidy()
    tidy.add("az://runs/a", failing("a lease holds it", StorageError))
    tidy.add("az://runs/b", lambda: gone.append("b"))
    tidy.add("az://runs/c", lambda: gone.append("c"))
    tidy.forget("az://runs/c")
    with pytest.raises(StorageError, match=r"^not deleted: az://runs/a \(a lease holds it\)$"):
        tidy()
    assert gone == ["b"]


@pytest.mark.parametrize(
    ("place", "said", "words"),
    [
        ("job", "key vault 'x' answered Forbidden", "Microsoft.KeyVault"),
        ("job", "AllocationFailed: not enough", "no machine of this size free"),
        ("job", "Failed to pull image: manifest unknown", "mrikit image push"),
        ("job", "does not have authorization to perform action", "SystemAssigned"),
        ("copy", "AuthorizationPermissionMismatch", "Storage Blob Data Contributor"),
        ("copy", "the host cannot be reached", "--source"),
        ("blob", "there is no container 'runs' at https://a", "mrikit infra link"),
        ("vault", "its firewall keeps this address out", "allowedIps"),
        ("node vault", "access was refused (ForbiddenByRbac)", "Key Vault Secrets User"),
    ],
)
def test_what_a_service_says_leads_to_its_remedy(place, said, words):
    assert words in find_remedy(place, said).remedy


def test_what_nobody_knows_has_no_remedy():
    assert find_remedy("job", "the moon is full") is None


def test_every_remedy_names_a_document():
    assert {one.page.partition("://")[0] for one in REMEDIES} == {"https"}


def test_a_secret_that_is_no_address_is_refused_without_its_query():
    with pytest.raises(ConfigError, match=r"found 'https://a/b\?\.\.\.'"):
        vault_diagnosis("https://a/b?sig=abcdefghi", patience(0.0, []))


def test_a_job_without_a_server_of_mlflow_is_told():
    assert mlflow_diagnosis({}).state == "unknown"
