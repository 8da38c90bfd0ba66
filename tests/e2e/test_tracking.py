"""The branches of the state machine that a smooth import never takes."""

import time

import pytest

from email_accounts.models.service import CallKind
from email_accounts.saleshandy.budget import Budget
from tests.support.cloud import SMALL, LocalCloud, Subscriber, wait_until
from tests.support.files import MARK, accounts_file, api_key, row

pytestmark = pytest.mark.e2e

CONNECT = "/v1/email-accounts/connect"
SECRET = {"SecretId": "email-accounts/workspaces/default"}
WRONG_KEY = api_key("wrong")


def test_check_that_keeps_failing(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """A poll that fails three times is given up: the answer says so, the rows are unconfirmed."""
    cloud.behave()
    with cloud.without("check_status", "dynamodb:Query"):
        identity = cloud.upload("uploads/unseen.csv", SMALL)
        answer = subscriber.answer(identity)

    history = cloud.history(identity)
    assert history.count("TaskFailed") == 3
    assert history[-1] == "ExecutionSucceeded"
    assert answer.subject == "[default] unseen.csv, 3 rows: not finished, 3 unconfirmed"
    assert answer.attributes == {"status": "unfinished", "workspace": "default", "failed": "0"}
    assert "The import was interrupted: check_status failed with " in answer.mail
    assert [line["outcome"] for line in cloud.outcomes(identity)] == ["unconfirmed"] * 3
    assert cloud.calls(CONNECT) == 1


def test_deadline(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """An import that the service does not complete is answered at its deadline, row by row."""
    cloud.behave(completion_seconds=3600)
    content = accounts_file(
        "a@accounts.example", row("b@accounts.example", smtpPort="no port"), "A@Accounts.example"
    )
    with cloud.environment_of("submit_accounts", DEADLINE_HOURS="0.001"):
        identity = cloud.upload("uploads/late.csv", content)
        answer = subscriber.answer(identity)

    assert (
        answer.subject
        == "[default] late.csv, 3 rows: not finished, 1 unconfirmed, 1 rejected, 1 duplicate"
    )
    assert answer.attributes == {"status": "unfinished", "workspace": "default", "failed": "0"}
    assert "The deadline passed before Saleshandy had reported" in answer.mail
    assert [line["outcome"] for line in cloud.outcomes(identity)] == [
        "unconfirmed",
        "rejected",
        "duplicate",
    ]


def test_spent_budget(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """What the budget leaves no call for is sent by the state machine when its turn comes."""
    cloud.behave()
    ledger, table = cloud.client("dynamodb"), cloud.environment["LEDGER_TABLE"]
    budget = {"pk": {"S": "BUDGET#default"}, "sk": {"S": "BUDGET"}}
    spent = Budget(made=((int(time.time()), CallKind.BATCH, 600),)).dumped()
    ledger.put_item(TableName=table, Item=budget | {"budget": {"S": spent}, "version": {"N": "1"}})
    identity = cloud.upload("uploads/later.csv", SMALL)
    # It has been polled, and could not be submitted a second time either.
    wait_until(lambda: cloud.history(identity).count("WaitStateEntered") >= 3)
    assert cloud.control("GET", "calls").json() == []

    ledger.delete_item(TableName=table, Key=budget)
    answer = subscriber.answer(identity)
    assert answer.subject == "[default] later.csv, 3 rows: 2 connected, 1 failed"
    assert cloud.calls(CONNECT) == 1


@pytest.mark.parametrize(
    ("switches", "counted"),
    [
        ({"report": "none"}, "3 connected"),
        ({"report": "all", "report_columns": "fields"}, "2 connected, 1 failed"),
        ({"top_level_fields": True}, "2 connected, 1 failed"),
        ({"status_not_found_polls": 2}, "2 connected, 1 failed"),
    ],
)
def test_unknown(
    cloud: LocalCloud, subscriber: Subscriber, switches: dict[str, object], counted: str
) -> None:
    """Whichever way the service turns out to behave, the rows are counted right."""
    cloud.behave(**switches)
    answer = subscriber.answer(cloud.upload("uploads/unknown.csv", SMALL))
    assert answer.subject == f"[default] unknown.csv, 3 rows: {counted}"


def test_report_that_echoes_passwords(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """A report with all that was sent in it is kept without the passwords, and counted right."""
    cloud.behave(report="all", report_echoes_input=True)
    identity = cloud.upload("uploads/echo.csv", SMALL)
    answer = subscriber.answer(identity)
    kept = cloud.report(identity, "remote/batch-000001.csv")
    assert answer.subject == "[default] echo.csv, 3 rows: 2 connected, 1 failed"
    assert "a@accounts.example" in kept
    assert MARK not in kept


def test_wrong_api_key(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """A key that the service refuses stops the import at its first call, and the mail says so."""
    cloud.behave()
    secrets = cloud.client("secretsmanager")
    right = secrets.get_secret_value(**SECRET)["SecretString"]
    secrets.put_secret_value(**SECRET, SecretString=WRONG_KEY)
    try:
        cloud.renew("submit_accounts")
        answer = subscriber.answer(cloud.upload("uploads/locked out.csv", SMALL))
    finally:
        secrets.put_secret_value(**SECRET, SecretString=right)

    assert answer.subject == "[default] locked out.csv, 3 rows: stopped, 3 not sent"
    assert answer.attributes == {"status": "stopped", "workspace": "default", "failed": "0"}
    assert "Saleshandy refused the API key" in answer.mail
    assert WRONG_KEY[:20] not in answer.text + answer.mail
    assert [call["path"] for call in cloud.control("GET", "calls").json()] == [CONNECT]
