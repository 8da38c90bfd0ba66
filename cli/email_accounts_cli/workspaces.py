"""Workspaces: one API key each, and a share of the inbox. A key is taken in, never given out."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from botocore.exceptions import ClientError

from email_accounts.aws.secrets_manager import ApiKeySecret
from email_accounts.errors import (
    ApiKeyMissingError,
    ApiKeyRefusedError,
    SaleshandyError,
    ThrottledError,
)
from email_accounts.models.upload import ALLOWED_NAME, DEFAULT_WORKSPACE, PREFIX, WORKSPACE_NAME
from email_accounts.saleshandy.client import SaleshandyClient
from email_accounts.text.secret import Secret
from email_accounts_cli.stack import CONFIG, Stack
from email_accounts_cli.terminal import (
    ALL_WELL,
    NOT_ALL_WELL,
    CommandError,
    console,
    echo,
    local_time,
    printable,
    table,
    tell_program,
)

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import DescribeSecretResponseTypeDef

_RECOVERY_DAYS = 7


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace; `changed_at` in seconds since the epoch."""

    name: str
    has_key: bool
    changed_at: float


@dataclass(frozen=True, slots=True)
class Trial:
    """Whether a key works, and what the service said."""

    works: bool
    said: str


def add(stack: Stack, name: str, key_file: Path | None, *, replace: bool, as_json: bool) -> int:
    """Put a key into the secret of a workspace, which is made where there is none."""
    _check_name(name)
    store = stack.session.client("secretsmanager", config=CONFIG)
    secret = _secret_name(stack, name)
    found = _described(store, secret)
    removed = found is not None and "DeletedDate" in found
    if found and found.get("VersionIdsToStages") and not removed and not replace:
        since = local_time(found["LastChangedDate"].timestamp())
        raise CommandError(
            f"The workspace {name} has a key since {since}. "
            "Put another one in its place with --replace."
        )
    key = _read_key(key_file)
    if found is None:
        what = "A Saleshandy API key, as plain text."
        store.create_secret(
            Name=secret,
            Description=what,
            SecretString=key.reveal(),
            KmsKeyId=f"alias/{stack.name}",  # the key of all that the stack keeps
        )
    else:
        if removed:
            store.restore_secret(SecretId=secret)
        store.put_secret_value(SecretId=secret, SecretString=key.reveal())
    share = PREFIX if name == DEFAULT_WORKSPACE else f"{PREFIX}{name}/"
    if as_json:
        tell_program({"workspace": name, "secret": secret, "uploads": share})
    else:
        echo(
            f"The key is in the secret {secret}. Files under {share} use it.\n"
            f"Try it: email-accounts workspace test {name}"
        )
    return ALL_WELL


def listed(stack: Stack, *, as_json: bool) -> int:
    """Print the workspaces of a stack."""
    found = workspaces(stack)
    if as_json:
        for one in found:
            tell_program({"workspace": one.name, "hasKey": one.has_key})
        return ALL_WELL
    rows = (
        (one.name, f"since {local_time(one.changed_at)}" if one.has_key else "none: add one")
        for one in found
    )
    console().print(table(("Workspace", "Key"), rows))
    return ALL_WELL


def remove(stack: Stack, name: str, *, sure: bool, as_json: bool) -> int:
    """Delete the secret of a workspace, which AWS keeps for some days; ask before if not sure."""
    _check_known(stack, name)
    if name == DEFAULT_WORKSPACE:
        raise CommandError(
            "The workspace default belongs to the stack and stays. Put another key into it: "
            "email-accounts workspace add default --replace"
        )
    if not (sure or click.confirm(f"Remove the workspace {name} and its key?", err=True)):
        raise CommandError("Nothing is removed.")
    store = stack.session.client("secretsmanager", config=CONFIG)
    secret = _secret_name(stack, name)
    store.delete_secret(SecretId=secret, RecoveryWindowInDays=_RECOVERY_DAYS)
    if as_json:
        tell_program({"workspace": name, "secret": secret, "recoverableDays": _RECOVERY_DAYS})
    else:
        echo(
            f"The workspace {name} is removed: files under uploads/{name}/ are refused, at the "
            f"latest in five minutes. Within {_RECOVERY_DAYS} days AWS can bring its key back: "
            f"aws secretsmanager restore-secret --secret-id {secret}"
        )
    return ALL_WELL


def try_workspace(stack: Stack, name: str, *, as_json: bool) -> int:
    """Make one harmless call with the key of a workspace, and say whether it works."""
    _check_known(stack, name)
    result = try_key(stack, name)
    if as_json:
        tell_program({"workspace": name, "works": result.works, "said": result.said})
    else:
        echo(f"The key of the workspace {name} {result.said}.")
    return ALL_WELL if result.works else NOT_ALL_WELL


def try_key(stack: Stack, name: str) -> Trial:
    """List accounts with the key of a workspace. It is no call of any import's budget."""
    store = stack.session.client("secretsmanager", config=CONFIG)
    api = SaleshandyClient(
        stack.parameter("ApiBaseUrl"),
        ApiKeySecret(store, _secret_name(stack, name)),
        frozenset(),
        time.time,
    )
    try:
        api.listed(1)
    except (ApiKeyMissingError, ApiKeyRefusedError) as error:
        return Trial(works=False, said=f"does not work: {error}")
    except ThrottledError as error:
        return Trial(works=False, said=f"cannot be tried now: {error}")
    except SaleshandyError as error:
        return Trial(works=False, said=f"cannot be tried: {error}")
    return Trial(works=True, said="works")


def workspaces(stack: Stack) -> list[Workspace]:
    """Return the workspaces of a stack by their names."""
    store = stack.session.client("secretsmanager", config=CONFIG)
    prefix = _secret_name(stack, "")
    pages = store.get_paginator("list_secrets").paginate(
        Filters=[{"Key": "name", "Values": [prefix]}]
    )
    found = [
        Workspace(
            name=entry["Name"].removeprefix(prefix),
            has_key=bool(entry.get("SecretVersionsToStages")),
            changed_at=entry["LastChangedDate"].timestamp() if "LastChangedDate" in entry else 0,
        )
        for page in pages
        for entry in page["SecretList"]
        if entry["Name"].startswith(prefix)
    ]
    return sorted(found, key=lambda one: one.name)


def is_known(stack: Stack, name: str) -> bool | None:
    """Say whether there is such a workspace; None for one who may not look at secrets."""
    if name == DEFAULT_WORKSPACE:
        return True
    _check_name(name)
    store = stack.session.client("secretsmanager", config=CONFIG)
    try:
        secret = _described(store, _secret_name(stack, name))
    except ClientError as error:
        if error.response["Error"]["Code"] == "AccessDeniedException":
            return None
        raise
    return secret is not None and "DeletedDate" not in secret


def _described(
    store: "SecretsManagerClient", secret: str
) -> "DescribeSecretResponseTypeDef | None":
    """Return what is known of a secret, the time of its deletion included; None for nothing."""
    try:
        return store.describe_secret(SecretId=secret)
    except store.exceptions.ResourceNotFoundException:
        return None


def _check_known(stack: Stack, name: str) -> None:
    known = [one.name for one in workspaces(stack)]
    if name not in known:
        raise CommandError(
            f"There is no workspace {printable(name)}. There are: {', '.join(known)}."
        )


def _check_name(name: str) -> None:
    if not WORKSPACE_NAME.fullmatch(name):
        raise CommandError(
            f"{printable(name)} is no name for a workspace: it may have {ALLOWED_NAME}."
        )


def _secret_name(stack: Stack, name: str) -> str:
    return f"{stack.name}/workspaces/{name}"


def _read_key(file: Path | None) -> Secret:
    """Read a key from a file, from what is piped in, or typed unseen; CommandError for none."""
    if file:
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            raise CommandError(f"{file} cannot be read: name a text file with the key.") from None
    elif sys.stdin.isatty():
        text = str(click.prompt("API key (not shown)", hide_input=True, err=True))
    else:
        text = sys.stdin.read()
    text = text.strip()
    if not text or not text.isascii() or not text.isprintable():
        raise CommandError(
            "That is no API key: it is one line of letters, digits and signs, as Saleshandy shows "
            "it under Settings, API keys."
        )
    return Secret(text)
