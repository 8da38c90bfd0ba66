"""The API key in Secrets Manager."""

import boto3
import pytest
from botocore.exceptions import ClientError

from email_accounts.aws.services import ApiKeySecret
from email_accounts.errors import ApiKeyMissingError
from email_accounts.secret import Secret
from tests.aws import new_name, new_secret

KEY = "key-of-the-workspace"


def api_key(name: str) -> ApiKeySecret:
    """Prepare to fetch a key."""
    return ApiKeySecret(boto3.client("secretsmanager"), name)


@pytest.mark.parametrize("stored", [KEY, f" {KEY}\n"])
def test_the_key_is_the_secret_without_blanks_around_it(stored: str) -> None:
    """The line break that an editor leaves behind is no part of the key."""
    assert api_key(new_secret(stored))() == Secret(KEY)


def test_a_secret_without_a_key_says_what_to_do() -> None:
    """A secret of blanks, one never filled and one that is not there are named, with the cure."""
    unfilled = new_name("secret")
    boto3.client("secretsmanager").create_secret(Name=unfilled)
    for name in (new_secret(" \n"), unfilled, new_name("secret")):
        with pytest.raises(ApiKeyMissingError, match=f"{name}: put it there"):
            api_key(name)()


def test_the_key_is_fetched_once_and_again_after_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls within five minutes use the key in memory; later ones see a changed key."""
    now = 1000.0
    monkeypatch.setattr("email_accounts.aws.services.time.monotonic", lambda: now)
    client, name = boto3.client("secretsmanager"), new_secret(KEY)
    fetched: list[object] = []
    client.meta.events.register(
        "before-call.secretsmanager.GetSecretValue", lambda **_: fetched.append(1)
    )
    key = ApiKeySecret(client, name)
    assert [key() for _ in range(3)] == [Secret(KEY)] * 3
    client.put_secret_value(SecretId=name, SecretString="changed")
    now += 299
    assert key() == Secret(KEY)
    assert len(fetched) == 1
    now += 2
    assert key() == Secret("changed")
    assert len(fetched) == 2


def test_a_forgotten_key_is_fetched_anew() -> None:
    """After a refusal the key that was put in meanwhile is used at once."""
    client, name = boto3.client("secretsmanager"), new_secret(KEY)
    key = ApiKeySecret(client, name)
    key()
    client.put_secret_value(SecretId=name, SecretString="mended")
    key.forget()
    assert key() == Secret("mended")


def test_a_key_put_in_later_is_found() -> None:
    """That there was no key is not remembered."""
    client, name = boto3.client("secretsmanager"), new_secret(" ")
    key = ApiKeySecret(client, name)
    with pytest.raises(ApiKeyMissingError):
        key()
    client.put_secret_value(SecretId=name, SecretString=KEY)
    assert key() == Secret(KEY)


def test_other_troubles_are_not_taken_for_a_missing_key() -> None:
    """A secret marked for deletion is a fault that shows as one."""
    client, name = boto3.client("secretsmanager"), new_secret(KEY)
    client.delete_secret(SecretId=name)
    with pytest.raises(ClientError, match="InvalidRequest"):
        ApiKeySecret(client, name)()


@pytest.mark.parametrize("stored", ["two\nlines", "“quoted”", "key\x00", "kéy"])
def test_a_key_that_no_header_can_carry_is_no_key(stored: str) -> None:
    """What was pasted along with a key is noticed before a call is made, and not quoted."""
    with pytest.raises(ApiKeyMissingError) as caught:
        api_key(new_secret(stored))()
    assert stored not in str(caught.value)
