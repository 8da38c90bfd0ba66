"""`workspace`: API keys are stored, tried and removed; recipients are subscribed."""

import io
import json
from pathlib import Path
from unittest.mock import ANY

import boto3
import pytest
from click.testing import CliRunner

from email_accounts_cli.doctor import doctor
from email_accounts_cli.main import commands
from email_accounts_cli.stack import Stack
from email_accounts_cli.terminal import CommandError
from email_accounts_cli.workspaces import add, listed, notify, remove, try_workspace
from tests.support.aws import new_name
from tests.support.deployment import (
    UNCONFIRMED,
    Captured,
    deployed,
    documents,
    ledger,
    reopened,
    served,
)
from tests.support.fake_api import API_KEY, Server, account

EVERYTHING = {"protocol": "sqs", "confirmed": True, "workspaces": None}
"""The subscription of a new stack, which has no filter."""


def key_of(stack: Stack, workspace: str) -> str:
    """Read the secret of a workspace."""
    store = boto3.client("secretsmanager")
    return store.get_secret_value(SecretId=f"{stack.name}/workspaces/{workspace}")["SecretString"]


def key_file(tmp_path: Path, key: str) -> Path:
    """Write a key into a file."""
    file = tmp_path / "key"
    file.write_text(f" {key}\n", encoding="utf-8")
    return file


def test_a_workspace_gets_and_changes_its_key(
    stack: Stack, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key comes from a file or from stdin, is replaced only if that is meant, never shown."""
    add(stack, "north", key_file(tmp_path, "first-key"), replace=False, as_json=False)
    assert key_of(stack, "north") == "first-key"
    made = boto3.client("secretsmanager").describe_secret(SecretId=f"{stack.name}/workspaces/north")
    assert made["KmsKeyId"] == f"alias/{stack.name}"
    monkeypatch.setattr("sys.stdin", io.StringIO("second-key\n"))
    with pytest.raises(CommandError, match="--replace"):
        add(stack, "north", None, replace=False, as_json=False)
    add(stack, "north", None, replace=True, as_json=False)
    assert key_of(stack, "north") == "second-key"
    listed(stack, as_json=True)
    printed = capsys.readouterr()
    assert "-key" not in printed.out + printed.err
    assert documents("\n".join(printed.out.splitlines()[-2:])) == [
        {"workspace": name, "hasKey": True, "recipients": [EVERYTHING | {"endpoint": ANY}]}
        for name in ("default", "north")
    ]


@pytest.mark.parametrize("key", ["", "two lines\nof text", "schlüssel"])
def test_what_is_no_key_is_refused(stack: Stack, tmp_path: Path, key: str) -> None:
    """A text that no header can hold is not put into the secret, and not quoted."""
    with pytest.raises(CommandError, match="This is not an API key") as error:
        add(stack, "north", key_file(tmp_path, key), replace=False, as_json=False)
    assert not key or key not in error.value.message


@pytest.mark.parametrize("name", ["North", "a/b", "", "-a", "a" * 64, "../x"])
def test_what_is_no_name_is_refused(stack: Stack, tmp_path: Path, name: str) -> None:
    """A workspace is part of paths."""
    with pytest.raises(CommandError, match="cannot be the name of a workspace"):
        add(stack, name, key_file(tmp_path, "key"), replace=False, as_json=False)


def test_a_workspace_is_removed_and_comes_back(
    stack: Stack, tmp_path: Path, capsys: Captured
) -> None:
    """A removed workspace takes no files; added again, it has the new key; default stays."""
    add(stack, "north", key_file(tmp_path, "first"), replace=False, as_json=False)
    remove(stack, "north", sure=True, as_json=False)
    assert "restore-secret" in capsys.readouterr().out
    with pytest.raises(CommandError, match="There is no workspace north"):
        try_workspace(stack, "north", as_json=False)
    add(stack, "north", key_file(tmp_path, "second"), replace=False, as_json=False)
    assert key_of(stack, "north") == "second"
    with pytest.raises(CommandError, match="cannot be removed"):
        remove(stack, "default", sure=True, as_json=False)


@pytest.mark.parametrize(
    ("typed", "code", "said"), [("n\n", 2, "Nothing was removed."), ("", 130, ""), ("y\n", 0, "")]
)
def test_a_workspace_is_removed_only_if_that_is_meant(
    stack: Stack, tmp_path: Path, typed: str, code: int, said: str
) -> None:
    """Who says no, or is interrupted, keeps it; of one that is not there nothing is asked."""
    add(stack, "north", key_file(tmp_path, "first"), replace=False, as_json=False)
    with deployed(stack):
        asked, unasked = (
            CliRunner().invoke(commands, [*words, "--stack", stack.name], input=typed)
            for words in (("workspace", "remove", "north"), ("workspace", "remove", "south"))
        )
    assert asked.exit_code == code
    assert "Remove the workspace north and its key?" in asked.stderr
    assert said in asked.stderr
    known = boto3.client("secretsmanager").describe_secret(
        SecretId=f"{stack.name}/workspaces/north"
    )
    assert ("DeletedDate" in known) == (code == 0)
    assert unasked.exit_code == 2
    assert "Remove" not in unasked.stderr


def test_a_key_is_tried(stack: Stack, tmp_path: Path, capsys: Captured, server: Server) -> None:
    """One call to the list says whether a key works; neither key is shown."""
    add(stack, "north", key_file(tmp_path, "refused-key"), replace=False, as_json=False)
    server.control("DELETE", "/calls")
    assert try_workspace(stack, "default", as_json=False) == 0
    assert try_workspace(stack, "north", as_json=False) == 1
    calls = server.control("GET", "/calls")
    assert {(one["method"], one["path"]) for one in calls} == {("POST", "/v1/email-accounts")}
    printed = capsys.readouterr().out
    assert "The key of the workspace default works." in printed
    assert "north does not work: Saleshandy refused the API key" in printed
    assert API_KEY not in printed
    assert "refused-key" not in printed


@pytest.mark.parametrize(
    ("ignores", "shown"),
    [
        ([], "page, sort, status, search"),
        (["sort", "search"], "page, status"),
        (["page", "sort", "status", "search"], "none"),
    ],
)
def test_what_the_account_list_honours_is_found_out(
    stack: Stack, capsys: Captured, server: Server, ignores: list[str], shown: str
) -> None:
    """It is shown, and remembered for the imports and `doctor`; a short list shows nothing."""
    server.control("POST", "/reset")
    assert try_workspace(stack, "default", as_json=False) == 0
    assert "once it has more than one page" in capsys.readouterr().out
    assert ledger(stack).honoured("default") is None
    server.behave(list_ignores=ignores, completion_seconds=0)
    for number in range(3):
        server.connect(*(account(f"a{number}.{at}@n.example") for at in range(40)))
    assert try_workspace(stack, "default", as_json=False) == 0
    assert f"Its account list supports: {shown}." in capsys.readouterr().out
    assert str(ledger(stack).honoured("default")) == shown
    assert try_workspace(stack, "default", as_json=True) == 0
    [document] = documents(capsys.readouterr().out)
    assert document["honoured"]["page"] == ("page" not in ignores)
    doctor(stack, as_json=True)
    found = {one["finding"]: one["state"] for one in documents(capsys.readouterr().out)}
    (said,) = [one for one in found if one.startswith("the account list of default")]
    assert said.endswith(f": {shown}")
    assert (found[said] == "ok") == (not ignores)
    server.control("POST", "/reset")


def test_a_new_key_is_tried_at_once(stack: Stack, tmp_path: Path, capsys: Captured) -> None:
    """One that does not work is stored anyway, and ends with 1."""
    assert add(stack, "north", key_file(tmp_path, API_KEY), replace=False, as_json=True) == 0
    assert add(stack, "south", key_file(tmp_path, "wrong"), replace=False, as_json=True) == 1
    found = [(one["works"], one["code"]) for one in documents(capsys.readouterr().out)]
    assert found == [(True, ""), (False, "key_refused")]
    assert key_of(stack, "south") == "wrong"


def test_each_workspace_has_its_own_recipients(
    stack: Stack, tmp_path: Path, capsys: Captured
) -> None:
    """A recipient of one workspace gets its results alone, counted at the topic."""
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    topic = stack.output("NotificationTopicArn")
    queues = {}
    for name in ("north", "south"):
        add(stack, name, key_file(tmp_path, API_KEY), replace=False, as_json=False)
        assert notify(stack, name, f"{name}@n.example", as_json=False) == 0
        [subscription] = [
            one["SubscriptionArn"]
            for one in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
            if one["Endpoint"] == f"{name}@n.example"
        ]
        known = sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
        queues[name] = sqs.create_queue(QueueName=new_name("queue"))["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queues[name], AttributeNames=["QueueArn"])
        sns.subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint=arn["Attributes"]["QueueArn"],
            Attributes={"FilterPolicy": known["FilterPolicy"]},
        )
    for name, count in (("north", 2), ("south", 1), ("default", 1)):
        for _ in range(count):
            sns.publish(
                TopicArn=topic,
                Message=name,
                MessageAttributes={"workspace": {"DataType": "String", "StringValue": name}},
            )
    for name, count in (("north", 2), ("south", 1)):
        messages = sqs.receive_message(QueueUrl=queues[name], MaxNumberOfMessages=10)["Messages"]
        assert [json.loads(one["Body"])["Message"] for one in messages] == count * [name]
    capsys.readouterr()
    listed(stack, as_json=True)
    shown = {one["workspace"]: one["recipients"] for one in documents(capsys.readouterr().out)}
    mailed = {
        name: [one["endpoint"] for one in some if one["protocol"] == "email"]
        for name, some in shown.items()
    }
    assert mailed == {"default": [], "north": ["north@n.example"], "south": ["south@n.example"]}


def test_an_address_is_subscribed_once(stack: Stack, tmp_path: Path, capsys: Captured) -> None:
    """AWS keeps one filter per address: a second workspace is refused with what to do."""
    add(stack, "north", key_file(tmp_path, API_KEY), replace=False, as_json=False)
    notify(stack, "north", "a@n.example", as_json=False)
    capsys.readouterr()
    notify(stack, "north", "a@n.example", as_json=True)
    [document] = documents(capsys.readouterr().out)
    assert document["confirmed"]
    with pytest.raises(CommandError, match=r"such as a\+2@n\.example"):
        notify(stack, "default", "a@n.example", as_json=False)
    with pytest.raises(CommandError, match="no workspace west"):
        notify(stack, "west", "b@n.example", as_json=False)
    with pytest.raises(CommandError, match="not an email address"):
        notify(stack, "north", "b", as_json=False)


def test_an_unconfirmed_recipient_is_listed(stack: Stack, capsys: Captured) -> None:
    """AWS does not tell its workspace before it has confirmed."""
    with served("SNS", 200, UNCONFIRMED):
        listed(reopened(stack), as_json=False)
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.split()[0] == "Workspace"
    assert last == "Not confirmed yet: email new@n.example"
