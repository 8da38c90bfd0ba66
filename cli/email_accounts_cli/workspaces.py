"""Workspaces: each has an API key and a folder of the inbox. A key is stored, never shown."""

import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from dataclasses import replace as replace_fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import click
from botocore.exceptions import ClientError

from email_accounts.aws.dynamodb import DynamoLedger, LedgerReader
from email_accounts.aws.secrets_manager import ApiKeySecret
from email_accounts.errors import (
    ApiKeyMissingError,
    ApiKeyRefusedError,
    RequestRefusedError,
    SaleshandyError,
    ThrottledError,
)
from email_accounts.models.account_index import Honoured
from email_accounts.models.service import ListQuery
from email_accounts.models.upload import ALLOWED_NAME, DEFAULT_WORKSPACE, PREFIX, WORKSPACE_NAME
from email_accounts.saleshandy.client import SaleshandyClient
from email_accounts.saleshandy.probe import Answer, honoured, next_query
from email_accounts.text.secret import Secret
from email_accounts_cli.recipients import recipients, subscribe
from email_accounts_cli.stack import CONFIG, Stack
from email_accounts_cli.terminal import (
    ALL_WELL,
    NOT_ALL_WELL,
    CommandError,
    console,
    echo,
    is_confirmed,
    local_time,
    print_json,
    printable,
    table,
)

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import DescribeSecretResponseTypeDef

_RECOVERY_DAYS = 7
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace; `changed_at` in seconds since the epoch."""

    name: str
    has_key: bool
    changed_at: float


class KeyProblem(StrEnum):
    """Why a key does not work, or could not be tried."""

    MISSING = "key_missing"
    """The workspace has no key."""
    REFUSED = "key_refused"
    """Saleshandy refused it."""
    RATE_LIMITED = "rate_limited"
    """Not tried: Saleshandy throttles."""
    UNREACHABLE = "unreachable"
    """Not tried: Saleshandy did not respond as documented."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Whether a key works; `code` and `said` are the reason for programs and people.

    `honoured` names the parameters of the account list that work; None if unknown.
    """

    works: bool
    code: KeyProblem | None
    said: str
    honoured: Honoured | None = None

    def document(self, workspace: str) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "workspace": workspace,
            "works": self.works,
            "code": self.code or "",
            "said": self.said,
            "honoured": asdict(self.honoured) if self.honoured else None,
        }


def add(stack: Stack, name: str, key_file: Path | None, *, replace: bool, as_json: bool) -> int:
    """Store the key of a workspace, creating its secret if there is none, and try it."""
    _check_name(name)
    store = stack.session.client("secretsmanager", config=CONFIG)
    secret = _secret_name(stack, name)
    found = _described(store, secret)
    removed = found is not None and "DeletedDate" in found
    if found and found.get("VersionIdsToStages") and not removed and not replace:
        since = local_time(found["LastChangedDate"].timestamp())
        raise CommandError(
            f"The workspace {name} has had a key since {since}. To replace it: "
            f"email-accounts workspace add {name} --replace"
        )
    key = _read_key(key_file)
    if found is None:
        what = "A Saleshandy API key, as plain text."
        store.create_secret(
            Name=secret,
            Description=what,
            SecretString=key.reveal(),
            KmsKeyId=f"alias/{stack.name}",  # the key that encrypts all data of the stack
        )
    else:
        if removed:
            store.restore_secret(SecretId=secret)
        store.put_secret_value(SecretId=secret, SecretString=key.reveal())
    share = PREFIX if name == DEFAULT_WORKSPACE else f"{PREFIX}{name}/"
    result = _probe(stack, name)
    if as_json:
        print_json({"secret": secret, "uploads": share} | result.document(name))
    else:
        echo(f"The key is saved in the secret {secret}. Files under {share} use it.")
        _print_result(name, result)
    return ALL_WELL if result.works else NOT_ALL_WELL


def listed(stack: Stack, *, as_json: bool) -> int:
    """Print the workspaces of a stack."""
    found = workspaces(stack)
    subscribed = recipients(stack)
    if as_json:
        for one in found:
            known = [asdict(each) for each in subscribed if each.gets(one.name)]
            print_json({"workspace": one.name, "hasKey": one.has_key, "recipients": known})
        return ALL_WELL
    rows = (
        (
            one.name,
            f"since {local_time(one.changed_at)}" if one.has_key else "none: add one",
            ", ".join(each.endpoint for each in subscribed if each.gets(one.name)) or "no one",
        )
        for one in found
    )
    console().print(table(("Workspace", "Key", "Results go to"), rows))
    for each in subscribed:
        if not each.confirmed:
            echo(f"Not confirmed yet: {each.protocol} {each.endpoint}")
    return ALL_WELL


def notify(stack: Stack, name: str, address: str, *, as_json: bool) -> int:
    """Subscribe an address to the results of a workspace; AWS asks it to confirm."""
    _check_known(stack, name)
    if not _ADDRESS.fullmatch(address):
        raise CommandError(f"{address} is not an email address.")
    confirmed = subscribe(stack, name, address)
    if as_json:
        print_json({"workspace": name, "address": address, "confirmed": confirmed})
    elif confirmed:
        echo(f"{address} already gets the results of the workspace {name}.")
    else:
        echo(
            f"AWS has sent {address} a confirmation link. Once confirmed, it gets the results of "
            f"the workspace {name}. Check: email-accounts workspace list"
        )
    return ALL_WELL


def remove(stack: Stack, name: str, *, sure: bool, as_json: bool) -> int:
    """Delete the secret of a workspace, which AWS keeps for some days; ask first unless sure."""
    _check_known(stack, name)
    if name == DEFAULT_WORKSPACE:
        raise CommandError(
            "The workspace default is part of the stack and cannot be removed. To replace its key: "
            "email-accounts workspace add default --replace"
        )
    if not (sure or is_confirmed(f"Remove the workspace {name} and its key?")):
        raise CommandError("Nothing was removed.")
    store = stack.session.client("secretsmanager", config=CONFIG)
    secret = _secret_name(stack, name)
    store.delete_secret(SecretId=secret, RecoveryWindowInDays=_RECOVERY_DAYS)
    if as_json:
        print_json({"workspace": name, "secret": secret, "recoverableDays": _RECOVERY_DAYS})
    else:
        echo(
            f"The workspace {name} is removed. Files under uploads/{name}/ are refused within "
            f"five minutes. To restore its key within {_RECOVERY_DAYS} days: "
            f"aws secretsmanager restore-secret --secret-id {secret}"
        )
    return ALL_WELL


def try_workspace(stack: Stack, name: str, *, as_json: bool) -> int:
    """Make read-only calls with the key of a workspace; print the result."""
    _check_known(stack, name)
    result = _probe(stack, name)
    if as_json:
        print_json(result.document(name))
    else:
        _print_result(name, result)
    return ALL_WELL if result.works else NOT_ALL_WELL


def _print_result(name: str, result: Trial) -> None:
    echo(f"The key of the workspace {name} {result.said.rstrip('.')}.")
    if result.works:
        echo(
            "Its account list can be tested once it has more than one page."
            if result.honoured is None
            else f"Its account list supports: {result.honoured}."
        )


def known_honoured(stack: Stack, name: str) -> Honoured | None:
    """Return the result of the last probe of a workspace."""
    tables = stack.session.client("dynamodb", config=CONFIG)
    return LedgerReader(tables, stack.output("LedgerTableName")).honoured(name)


def _probe(stack: Stack, name: str) -> Trial:
    """Try a key; find and store which parameters of the account list work."""
    answers: list[Answer] = []

    def probe(api: SaleshandyClient) -> None:
        while query := next_query(answers):
            try:
                answers.append(api.listed(query))
            except RequestRefusedError:
                if not answers:
                    raise
                answers.append(None)

    result = try_key(stack, name, probe)
    found = honoured(answers) if result.works else None
    if found:
        tables = stack.session.client("dynamodb", config=CONFIG)
        ledger = DynamoLedger(tables, stack.output("LedgerTableName"), retention=0)
        ledger.save_honoured(name, found)
    return replace_fields(result, honoured=found)


def try_key(
    stack: Stack,
    name: str,
    call: Callable[[SaleshandyClient], object] = lambda api: api.listed(ListQuery()),
) -> Trial:
    """List accounts with the key of a workspace, outside the rate limit of imports."""
    store = stack.session.client("secretsmanager", config=CONFIG)
    api = SaleshandyClient(
        stack.parameter("ApiBaseUrl"),
        ApiKeySecret(store, _secret_name(stack, name)),
        frozenset(),
        time.time,
    )
    try:
        call(api)
    except ApiKeyMissingError as error:
        return Trial(works=False, code=KeyProblem.MISSING, said=f"does not work: {error}")
    except ApiKeyRefusedError as error:
        return Trial(works=False, code=KeyProblem.REFUSED, said=f"does not work: {error}")
    except ThrottledError as error:
        return Trial(
            works=False, code=KeyProblem.RATE_LIMITED, said=f"cannot be tried now: {error}"
        )
    except SaleshandyError as error:
        return Trial(works=False, code=KeyProblem.UNREACHABLE, said=f"cannot be tried: {error}")
    return Trial(works=True, code=None, said="works")


def workspaces(stack: Stack) -> list[Workspace]:
    """Return the workspaces of a stack, sorted by name."""
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
    """Return whether a workspace exists; None for someone who may not describe secrets."""
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
    """Return the description of a secret, also of a deleted one; None if there is none."""
    try:
        return store.describe_secret(SecretId=secret)
    except store.exceptions.ResourceNotFoundException:
        return None


def _check_known(stack: Stack, name: str) -> None:
    known = [one.name for one in workspaces(stack)]
    if name not in known:
        raise CommandError(
            f"There is no workspace {printable(name)}. Existing workspaces: {', '.join(known)}."
        )


def _check_name(name: str) -> None:
    if not WORKSPACE_NAME.fullmatch(name):
        raise CommandError(
            f"{printable(name)} cannot be the name of a workspace: it may have {ALLOWED_NAME}."
        )


def _secret_name(stack: Stack, name: str) -> str:
    return f"{stack.name}/workspaces/{name}"


def _read_key(file: Path | None) -> Secret:
    """Read a key from a file, from stdin, or from a prompt; CommandError if there is none."""
    if file:
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            raise CommandError(f"Cannot read {file}: name a text file with the key.") from None
    elif sys.stdin.isatty():
        text = str(click.prompt("API key (not shown)", hide_input=True, err=True))
    else:
        text = sys.stdin.read()
    text = text.strip()
    if not text or not text.isascii() or not text.isprintable():
        raise CommandError(
            "This is not an API key. A key is one line of ASCII characters; Saleshandy shows it "
            "under Settings, API keys."
        )
    return Secret(text)
