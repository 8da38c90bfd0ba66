"""The API keys."""

import time
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from email_accounts.errors import ApiKeyMissingError, WorkspaceUnknownError
from email_accounts.models.upload import DEFAULT_WORKSPACE, WORKSPACE_NAME
from email_accounts.text.secret import Secret

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


_KEY_KEPT_FOR = 300.0
_NO_SECRET = ("ResourceNotFoundException", "InvalidRequestException")
"""What Secrets Manager says of a secret that is not there, or that is marked for deletion."""


def workspace_key(
    client: "SecretsManagerClient", workspaces: str, workspace: str
) -> "ApiKeySecret":
    """Return the API key of a workspace, whose secret is under `workspaces`.

    The default workspace is part of the stack, though its secret may be empty; any other one is
    there when its secret is. WorkspaceUnknownError where it is not.
    """
    unknown = WorkspaceUnknownError(f"there is no workspace {workspace}")
    if not WORKSPACE_NAME.fullmatch(workspace):
        raise unknown
    key = ApiKeySecret(client, f"{workspaces}/{workspace}")
    if workspace != DEFAULT_WORKSPACE:
        try:
            key()
        except ApiKeyMissingError:
            raise unknown from None
        except ClientError as error:
            # AWS denies access to a missing secret unless the caller may read all secrets.
            if error.response["Error"]["Code"] != "AccessDeniedException":
                raise
            raise unknown from None
    return key


class ApiKeySecret:
    """Fetches the API key and keeps it in memory for a few minutes."""

    def __init__(self, client: "SecretsManagerClient", name: str) -> None:
        """Use a secret by its name; nothing is called yet."""
        self._client = client
        self._name = name
        self._key: Secret | None = None
        self._fetched_at = 0.0

    def __call__(self) -> Secret:
        """Return the API key; ApiKeyMissingError where none has been put in."""
        if self._key is None or time.monotonic() - self._fetched_at > _KEY_KEPT_FOR:
            self._key = self._fetch()
            self._fetched_at = time.monotonic()
        return self._key

    def forget(self) -> None:
        """Fetch the key again next time, because it was refused and may be replaced by then."""
        self._key = None

    def _fetch(self) -> Secret:
        key = Secret("")
        try:
            answer = self._client.get_secret_value(SecretId=self._name)
            key = Secret(answer.get("SecretString", "").strip())
        except ClientError as error:
            if error.response["Error"]["Code"] not in _NO_SECRET:
                raise
        if not _is_usable(key.reveal()):
            raise ApiKeyMissingError(f"the secret {self._name} has no usable API key")
        return key


def _is_usable(key: str) -> bool:
    """Say whether a text can be sent as a header."""
    return key != "" and key.isascii() and key.isprintable()
