"""The links of a mail in a Key Vault."""

import time

import pytest
from fake_vault import vault_for
from transfer.copying import signatures_in, traces_of

from mrikit.errors import ConfigError, MrikitError, StorageError
from mrikit.storage import blob
from mrikit.transfer.link import Link
from mrikit.transfer.mail import MailArchive
from mrikit.transfer.vault import SecretAddress, delete_links, find_address, put_links, take_links

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
SIGNATURE = "canary%2BSig"
ENDS = int(time.time()) + 3600


@pytest.fixture
def vault(azure_login, monkeypatch):
    for name, value in azure_login.items():
        monkeypatch.setenv(name, value)
    blob._credential.cache_clear()
    yield from vault_for(monkeypatch)
    blob._credential.cache_clear()


@pytest.fixture
def address(vault):
    return SecretAddress(vault_uri=vault.uri, name="mrikit-copy-0123456789abcdef")


def archives(count=2, *, ends=ENDS, padding=0):
    url = "https://bucket.s3.amazonaws.com/v2.0/{}?AWSAccessKeyId=AKIACANARYKEY&x={}&Signature={}&Expires={}"
    names = [f"knee_multicoil_train_batch_{number}.tar.xz" for number in range(count)]
    return [MailArchive(link=Link(url.format(name, "x" * padding, SIGNATURE, ends)), name=name) for name in names]


def failure(act, kind: type[MrikitError] = StorageError) -> str:
    with pytest.raises(kind) as caught:
        act()
    text = str(caught.value)
    assert "\n" not in text
    assert not signatures_in(traces_of(caught.value)), "the request is no part of the error"
    return text


def test_links_are_read_as_they_were_written_and_gone_once_deleted(vault, address):
    put_links(address, archives())
    assert take_links(address) == archives()
    delete_links(address)
    assert vault.secrets == {}
    assert f"{address}: no links are there any more" in failure(lambda: take_links(address))
    delete_links(address)


def test_a_secret_expires_with_the_last_of_its_links(vault, address):
    put_links(address, [*archives(1), *archives(1, ends=ENDS + 600)])
    (secret,) = vault.secrets.values()
    assert secret["attributes"]["exp"] == ENDS + 600


def test_many_links_take_several_secrets_below_the_limit(vault, address):
    many = archives(35, padding=1500)
    put_links(address, many)
    assert len(vault.secrets) == 3
    assert all(len(secret["value"]) <= 25_000 for secret in vault.secrets.values())
    assert take_links(address) == many
    delete_links(address)
    assert vault.secrets == {}


def test_links_that_do_not_all_get_in_are_taken_out_again(vault, address):
    answer, puts = vault._server.answer, []

    def refuse_the_last(method, path, headers, body):
        if method == "PUT" and "Authorization" in headers:
            puts.append(path)
            if len(puts) == 3:
                vault.refuses["PUT"] = [(403, "Forbidden")]
        return answer(method, path, headers, body)

    vault._server.answer = refuse_the_last
    assert "access was refused" in failure(lambda: put_links(address, archives(35, padding=1500)))
    assert (len(puts), vault.secrets, len(vault.deleted)) == (3, {}, 2)


def test_deleted_links_are_written_again(vault, address):
    put_links(address, archives(1))
    delete_links(address)
    put_links(address, archives(2))
    assert take_links(address) == archives(2)
    assert vault.deleted == {}


def test_expired_links_are_not_written(vault, address):
    message = failure(lambda: put_links(address, archives(ends=ENDS - 7200)), ConfigError)
    assert "all links of the mail have expired by this computer's clock; ask for a new mail" in message
    assert vault.requests == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((403, "Forbidden"), "access was refused (403); ask for the role Key Vault Secrets Officer on it"),
        ((400, "BadParameter"), "the service refused (400 without a reason); try it again later"),
        ((401, "Unauthorized"), "not logged in to Azure; run `az login`"),
    ],
)
def test_a_refusal_is_one_line_without_the_links_that_it_repeats(vault, address, answer, said):
    vault.refuses["PUT"] = [answer]
    assert failure(lambda: put_links(address, archives())).startswith(f"Key Vault {vault.uri}: {said}")


def test_a_reader_is_told_the_role_of_readers(vault, address):
    vault.refuses["GET"] = [(403, "Forbidden")]
    assert "ask for the role Key Vault Secrets User on it" in failure(lambda: take_links(address))


def test_a_firewall_is_called_one(vault, address):
    vault.refuses["PUT"] = [(403, "Forbidden", "ForbiddenByFirewall")]
    assert "its firewall keeps this address out; add it to the stack's allowedIps" in failure(
        lambda: put_links(address, archives())
    )


def test_a_vault_that_is_not_there_is_one_line(vault, address, monkeypatch):
    monkeypatch.setattr("azure.core.pipeline.transport.RequestsTransport.sleep", lambda *_: None)
    vault.close()
    assert "cannot be reached: the connection was refused" in failure(lambda: put_links(address, archives()))


def test_a_secret_of_somebody_else_is_no_mail(vault, address):
    vault.secrets[address.name] = {"value": "a password", "attributes": {}}
    message = failure(lambda: take_links(address))
    assert message == f"{address}: no links of mrikit; name the secret that `mrikit data copy` has written"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("https://kv.vault.azure.net/secrets/mrikit-copy-1", "mrikit-copy-1"),
        ("https://kv.vault.azure.net/secrets/mrikit-copy-1/", "mrikit-copy-1"),
        ("http://kv.vault.azure.net/secrets/x", None),
        ("https://kv.vault.azure.net/keys/x", None),
        ("https://kv.vault.azure.net/secrets/x?sig=1", None),
        ("curl.txt", None),
        ("az://raw/secrets/x", None),
    ],
)
def test_an_address_is_told_from_a_file(text, name):
    found = find_address(text)
    assert (found.name if found else None) == name
