"""The API key in Secrets Manager."""

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from email_accounts.aws.secrets_manager import ApiKeySecret, workspace_key
from email_accounts.errors import ApiKeyMissingError, WorkspaceUnknownError
from email_accounts.text.secret import Secret
from tests.support.aws import new_name, new_secret

KEY = "key-of-the-workspace"


def api_key(name: str) -> ApiKeySecret:
    """Prepare to fetch a key."""
    return ApiKeySecret(boto3.client("secretsmanager"), name)


@pytest.mark.parametrize("stored", [KEY, f" {KEY}\n"])
def test_the_key_is_the_secret_without_blanks_around_it(stored: str) -> None:
    """The line break that an editor leaves behind is no part of the key."""
    assert api_key(new_secret(stored))() == Secret(KEY)


def test_a_secret_without_a_key_is_named() -> None:
    """A secret of blanks, one never filled and one that is not there are named."""
    unfilled = new_name("secret")
    boto3.client("secretsmanager").create_secret(Name=unfilled)
    for name in (new_secret(" \n"), unfilled, new_name("secret")):
        with pytest.raises(ApiKeyMissingError, match=f"{name} has no usable API key"):
            api_key(name)()


def test_the_key_is_fetched_once_and_again_after_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls within five minutes use the key in memory; later ones see a changed key."""
    now = 1000.0
    monkeypatch.setattr("email_accounts.aws.secrets_manager.time.monotonic", lambda: now)
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
    """After a refusal the key that was put in meanwhile is used at once.

    That there was no key is not remembered.
    """
    client, name = boto3.client("secretsmanager"), new_secret(" ")
    key = ApiKeySecret(client, name)
    with pytest.raises(ApiKeyMissingError):
        key()
    client.put_secret_value(SecretId=name, SecretString=KEY)
    assert key() == Secret(KEY)
    client.put_secret_value(SecretId=name, SecretString="fixed")
    key.forget()
    assert key() == Secret("fixed")


def test_other_troubles_are_not_taken_for_a_missing_key() -> None:
    """A secret that may not be read is a fault that shows as one."""
    client = boto3.client("secretsmanager")
    with Stubber(client) as refusing:
        refusing.add_client_error("get_secret_value", "AccessDeniedException")
        with pytest.raises(ClientError, match="AccessDenied"):
            ApiKeySecret(client, "secret")()


@pytest.mark.parametrize("stored", ["two\nlines", "“quoted”", "key\x00", "kéy"])
def test_a_key_that_no_header_can_carry_is_no_key(stored: str) -> None:
    """What was pasted along with a key is noticed before a call is made, and not quoted."""
    with pytest.raises(ApiKeyMissingError) as caught:
        api_key(new_secret(stored))()
    assert stored not in str(caught.value)


# Workspaces


def new_workspace(name: str, key: str) -> str:
    """Put the API key of a workspace under a name that nothing has yet; return what it is under."""
    workspaces = new_name("stack/workspaces")
    boto3.client("secretsmanager").create_secret(Name=f"{workspaces}/{name}", SecretString=key)
    return workspaces


@pytest.mark.parametrize("name", ["default", "sales", "sales_2-north", "x" * 63])
def test_a_workspace_has_the_key_of_its_secret(name: str) -> None:
    """The secret is named by the workspace."""
    workspaces = new_workspace(name, KEY)
    assert workspace_key(boto3.client("secretsmanager"), workspaces, name)() == Secret(KEY)


def test_a_workspace_without_a_secret_is_unknown() -> None:
    """Neither the secret of another workspace nor an empty one of its own makes it one.

    A secret that is marked for deletion is none, though AWS keeps it for some days.
    """
    workspaces = new_workspace("sales", " ")
    client = boto3.client("secretsmanager")
    client.create_secret(Name=f"{workspaces}/removed", SecretString=KEY)
    client.delete_secret(SecretId=f"{workspaces}/removed", RecoveryWindowInDays=7)
    for name in ("other", "sales", "removed"):
        with pytest.raises(WorkspaceUnknownError, match=f"no workspace {name}"):
            workspace_key(client, workspaces, name)


@pytest.mark.parametrize("name", ["", "a/b", "märz 2026", "x" * 65, "sales\n", "*", "a b"])
def test_what_cannot_name_a_secret_is_no_workspace(name: str) -> None:
    """A folder of any name is answered, whatever Secrets Manager would say to it: nothing asks."""
    client = boto3.client("secretsmanager")
    client.meta.events.register("before-call.secretsmanager.*", lambda **_: pytest.fail("asked"))
    with pytest.raises(WorkspaceUnknownError):
        workspace_key(client, "workspaces", name)


def test_the_default_workspace_is_there_without_a_key() -> None:
    """It is part of the stack: what is missing is its key, and that is said when it is used."""
    workspaces = new_workspace("default", " ")
    key = workspace_key(boto3.client("secretsmanager"), workspaces, "default")
    with pytest.raises(
        ApiKeyMissingError, match=f"{workspaces}/default has no usable API key"
    ) as caught:
        key()
    assert not isinstance(caught.value, WorkspaceUnknownError)


def test_a_workspace_whose_secret_may_not_be_read_is_unknown() -> None:
    """AWS refuses to say more of a secret that is not there; what else it says is a fault."""
    client = boto3.client("secretsmanager")
    with Stubber(client) as refusing:
        refusing.add_client_error("get_secret_value", "AccessDeniedException")
        refusing.add_client_error("get_secret_value", "InternalServiceError")
        with pytest.raises(WorkspaceUnknownError):
            workspace_key(client, "workspaces", "sales")
        with pytest.raises(ClientError, match="InternalServiceError"):
            workspace_key(client, "workspaces", "sales")


def test_a_workspace_added_later_is_found() -> None:
    """That there was none is not remembered."""
    workspaces = new_workspace("default", KEY)
    client = boto3.client("secretsmanager")
    with pytest.raises(WorkspaceUnknownError):
        workspace_key(client, workspaces, "sales")
    client.create_secret(Name=f"{workspaces}/sales", SecretString="key of sales")
    assert workspace_key(client, workspaces, "sales")() == Secret("key of sales")
