"""Asking the control plane: bounded, read only, silent about tokens."""

import socket
import time
import traceback

import pytest
from azurite import TENANT, make_token
from fake_arm import SUBSCRIPTION

from mrikit.errors import ConfigError
from mrikit.estate.arm import PUBLIC_CLOUD, Arm, ArmError, LoginError, UnreachableError, _is_same_place
from mrikit.storage import blob

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

PATH, VERSION = f"/subscriptions/{SUBSCRIPTION}", "2022-12-01"
SIZES = f"{PATH}/providers/Microsoft.MachineLearningServices/locations/westeurope/vmSizes"


@pytest.fixture
def arm(fake_arm):
    return Arm(retry_wait_s=0.001)


@pytest.fixture
def az(tmp_path, monkeypatch, fake_arm):
    """Azure's CLI, which says what a test makes it say; whoever asks for a token asks it."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")

    def says(words, code):
        stream = ">&2" if code else ""
        (folder / "az").write_text(f"#!/bin/sh\necho '{words}' {stream}\nexit {code}\n")
        (folder / "az").chmod(0o755)
        return Arm(retry_wait_s=0.001)

    return says


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def failure(act):
    with pytest.raises(ArmError) as caught:
        act()
    assert "\n" not in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert "eyJ" not in shown
    assert "c2ln" not in shown
    return caught.value


def test_a_question_is_answered(arm):
    assert arm.get(PATH, VERSION)["state"] == "Enabled"


def test_nothing_but_gets_with_a_token_is_sent(arm, fake_arm):
    arm.get(PATH, VERSION)
    ((method, path, headers),) = fake_arm.requests
    assert (method, path) == ("GET", f"{PATH}?api-version={VERSION}")
    assert headers["Authorization"].startswith("Bearer eyJ")


def test_a_provider_that_is_not_registered_is_not_registered_by_asking(arm, fake_arm):
    fake_arm.refuses["sizes"] = (409, "MissingSubscriptionRegistration", {})
    assert failure(lambda: arm.pages(SIZES, "2024-04-01")).code == "MissingSubscriptionRegistration"
    assert [method for method, _, _ in fake_arm.requests] == ["GET"]


def test_the_caller_is_who_the_token_says(arm):
    caller = arm.login()
    assert (caller.object_id, caller.tenant_id) == ("22222222-2222-2222-2222-222222222222", TENANT)


def test_a_token_that_cannot_be_read_is_one_of_nobody_known(az):
    arm = az('{"accessToken": "opaque", "expires_on": 4102444800}', 0)
    assert arm.login().object_id == ""


def test_all_pages_are_read(arm, fake_arm):
    fake_arm.page_size = 1
    assert arm.pages(SIZES, "2024-04-01") == fake_arm.sizes
    assert fake_arm.asked() == ["sizes"] * 3


def test_no_token_is_sent_to_where_another_host_has_the_next_page(arm, fake_arm):
    fake_arm.next_host = fake_arm.endpoint.replace("localhost", "127.0.0.1")
    error = failure(lambda: arm.pages(SIZES, "2024-04-01"))
    assert "no place to send a token to" in str(error)
    assert len(fake_arm.requests) == 1


@pytest.mark.parametrize(
    ("link", "is_same"),
    [
        ("https://management.azure.com/a?b", True),
        ("https://MANAGEMENT.azure.com:443/a", True),
        ("https://management.azure.com:444/a", False),
        ("http://management.azure.com/a", False),
        ("https://management.azure.com.example.org/a", False),
        ("https://management.azure.com@example.org/a", False),
        ("/a", False),
    ],
)
def test_the_next_page_is_where_the_first_one_was(link, is_same):
    assert _is_same_place(link, PUBLIC_CLOUD) is is_same


def test_what_stands_in_a_name_cannot_become_a_query(arm, fake_arm):
    failure(lambda: arm.get("/subscriptions/a b?c=d#e", VERSION))
    ((_, path, _),) = fake_arm.requests
    assert path == f"/subscriptions/a%20b%3Fc%3Dd%23e?api-version={VERSION}"


def test_a_redirect_is_not_followed(arm, fake_arm):
    fake_arm.refuses["subscription"] = (307, "Moved", {"Location": f"{fake_arm.endpoint}{PATH}?elsewhere"})
    assert failure(lambda: arm.get(PATH, VERSION)).status == 307
    assert len(fake_arm.requests) == 1


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_names_its_code_and_is_not_asked_again(arm, fake_arm, status):
    fake_arm.refuses["subscription"] = (status, "SomeCode", {})
    error = failure(lambda: arm.get(PATH, VERSION))
    assert (type(error), error.status, error.code) == (ArmError, status, "SomeCode")
    assert str(error).startswith(f"the control plane refused ({status} SomeCode): No, ..., not to /subscriptions/")
    assert len(fake_arm.requests) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_control_plane_is_asked_a_few_times(arm, fake_arm, status):
    fake_arm.refuses["subscription"] = (status, "TooMany", {})
    error = failure(lambda: arm.get(PATH, VERSION))
    assert str(error) == f"the control plane is busy ({status} TooMany); ask again in some minutes"
    assert len(fake_arm.requests) == 4


def test_an_hour_of_patience_is_not_had(arm, fake_arm):
    fake_arm.refuses["subscription"] = (429, "TooMany", {"Retry-After": "3600"})
    start = time.monotonic()
    assert failure(lambda: arm.get(PATH, VERSION)).status == 429
    assert time.monotonic() - start < 30
    assert len(fake_arm.requests) == 1


def test_what_passes_is_waited_for(arm, fake_arm):
    answer, answers = fake_arm.answer, iter([(429, "TooMany", {}), (503, "Down", {})])

    def patient(*request):
        refusal = next(answers, None)
        fake_arm.refuses = {"subscription": refusal} if refusal else {}
        return answer(*request)

    fake_arm.server.answer = patient
    assert arm.get(PATH, VERSION)["state"] == "Enabled"


def test_a_login_that_has_run_out_is_told_from_a_refusal(arm, fake_arm):
    fake_arm.refuses["subscription"] = (401, "ExpiredAuthenticationToken", {})
    error = failure(lambda: arm.get(PATH, VERSION))
    assert (type(error), error.tenant_id) == (LoginError, "")
    assert str(error) == "the control plane does not take this login (401 ExpiredAuthenticationToken)"


def test_the_right_tenant_is_known_from_the_challenge(arm, fake_arm):
    challenge = f'Bearer authorization_uri="https://login.windows.net/{TENANT}", error="invalid_token"'
    fake_arm.refuses["subscription"] = (401, "InvalidAuthenticationTokenTenant", {"WWW-Authenticate": challenge})
    assert failure(lambda: arm.get(PATH, VERSION)).tenant_id == TENANT


def test_a_page_that_is_no_json_is_no_answer(arm, fake_arm):
    fake_arm.server.answer = lambda *_: (200, {}, ["a proxy's"])
    assert "something else than JSON" in str(failure(lambda: arm.get(PATH, VERSION)))


def test_a_dropped_connection_is_unreachable(arm, fake_arm):
    asked = []
    fake_arm.server.answer = lambda *request: asked.append(request) or (None, {}, None)
    error = failure(lambda: arm.get(PATH, VERSION))
    assert isinstance(error, UnreachableError)
    assert len(asked) == 2
    assert str(error).startswith(f"{fake_arm.endpoint} cannot be reached: ")


def test_a_place_where_nobody_listens_is_unreachable(fake_arm, monkeypatch):
    place = f"https://localhost:{closed_port()}"
    monkeypatch.setenv("MRIKIT_ARM_ENDPOINT", place)
    error = failure(lambda: Arm(retry_wait_s=0.001).get(PATH, VERSION))
    assert isinstance(error, UnreachableError)
    assert str(error) == f"{place} cannot be reached: the connection was refused; is the network up?"


def test_a_control_plane_without_tls_is_refused(fake_arm, monkeypatch):
    monkeypatch.setenv("MRIKIT_ARM_ENDPOINT", "http://localhost:1")
    with pytest.raises(ConfigError, match="tokens travel over https only; found 'http://localhost:1'"):
        Arm()


def test_the_public_cloud_is_the_one_that_nobody_has_to_name(fake_arm, monkeypatch):
    asked = []
    monkeypatch.delenv("MRIKIT_ARM_ENDPOINT")
    monkeypatch.setattr(blob.credential(), "get_token", lambda *scopes: asked.extend(scopes) or FakeToken())
    Arm().login()
    assert asked == ["https://management.azure.com/.default"]


class FakeToken:
    token = make_token("https://management.azure.com")


@pytest.mark.parametrize(
    ("words", "kind", "told"),
    [
        ("Please run az login to setup account.", LoginError, "not logged in to Azure"),
        (
            "AADSTS700082: The refresh token has expired due to inactivity. az login",
            LoginError,
            "not logged in to Azure any more, or not for this (AADSTS700082)",
        ),
        (
            "HTTPSConnectionPool(host=login.microsoftonline.com): Max retries exceeded",
            UnreachableError,
            "the login service cannot be reached; is the network up?",
        ),
        ('{"accessToken": "eyJhbGciOi.eyJhdWQi.c2ln"', LoginError, "not logged in to Azure"),
    ],
)
def test_what_the_login_of_a_laptop_lacks_is_one_line(az, words, kind, told):
    error = failure(az(words, 1).login)
    assert (type(error), str(error)) == (kind, told)


def test_an_identity_service_that_is_down_is_unreachable(fake_arm, monkeypatch):
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{closed_port()}/token")
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the vendor's client waits between its tries
    assert isinstance(failure(Arm().login), UnreachableError)


def test_a_kind_of_login_that_is_unknown_is_named(fake_arm, monkeypatch):
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "NoSuchCredential")
    with pytest.raises(ConfigError, match="Invalid value for AZURE_TOKEN_CREDENTIALS: nosuchcredential"):
        Arm()
