"""Functions and people under their policies: what is there is enough, what is taken is missed."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
import requests
from botocore.exceptions import ClientError

from email_accounts.models.upload import import_id
from tests.support.cloud import (
    QUICK,
    SMALL,
    LocalCloud,
    Subscriber,
    subscribed,
    wait_until,
)
from tests.support.faults import impatient_queue
from tests.support.files import api_key

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def impatient(cloud: LocalCloud) -> Iterator[None]:
    """Have the state machine give up at the first failure: trying again changes no permission."""
    machines = cloud.client("stepfunctions")
    machine = {"stateMachineArn": cloud.environment["TRACK_IMPORT_STATE_MACHINE_ARN"]}
    deployed = machines.describe_state_machine(**machine)["definition"]
    definition = json.loads(deployed)
    for state in definition["States"].values():
        state.pop("Retry", None)
    machines.update_state_machine(**machine, definition=json.dumps(definition))
    yield
    machines.update_state_machine(**machine, definition=deployed)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("function", "action", "said"),
    [
        ("check_status", "dynamodb:UpdateItem", "check_status failed"),
        ("check_status", "s3:GetObjectVersion", "check_status failed"),
        ("deliver_report", "s3:PutObject", "The reports could not be written"),
    ],
)
def test_permission_is_needed(
    cloud: LocalCloud, subscriber: Subscriber, function: str, action: str, said: str
) -> None:
    """Without a permission the one answer says what failed; with it all ends well."""
    cloud.behave()
    with cloud.without(function, action):
        identity = cloud.upload("uploads/without.csv", SMALL)
        wait_until(lambda: bool(subscriber.about(identity)))
        without = subscriber.answer(identity)
    allowed = subscriber.answer(cloud.upload("uploads/allowed.csv", SMALL))

    assert without.subject == "[default] without.csv, 3 rows: not finished, 3 unconfirmed"
    assert said in without.mail
    assert allowed.subject == "[default] allowed.csv, 3 rows: 2 connected, 1 failed"


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_cannot_be_sent_is_not_lost(
    cloud: LocalCloud, subscriber: Subscriber
) -> None:
    """Without the right to publish it waits in the queue of failures until it can be sent."""
    cloud.behave()
    with impatient_queue(cloud, "FAILURE"), cloud.without("deliver_report", "sns:Publish"):
        identity = cloud.upload("uploads/unsent.csv", SMALL)
        cloud.wait_for_end(identity)
        assert cloud.history(identity)[-1] == "ExecutionFailed"
        assert subscriber.about(identity) == []
    wait_until(lambda: bool(subscriber.about(identity)))
    # The last resort does less than the answer that could not be sent: it counts.
    assert (
        subscriber.answer(identity).subject
        == "[default] unsent.csv, 3 rows: not finished, 3 unconfirmed"
    )


def test_an_uploader_can_put_and_nothing_else(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """Who has the policy for uploaders drops a file, and can neither read nor list nor delete."""
    cloud.behave()
    inbox = cloud.environment["INBOX_BUCKET"]
    uploader = cloud.user("uploader", "UPLOADER")
    uploads = cloud.client("s3", uploader)
    stored = uploads.put_object(Bucket=inbox, Key="uploads/dropped.csv", Body=SMALL)
    item = {"Bucket": inbox, "Key": "uploads/dropped.csv"}
    refused: list[tuple[str, dict[str, str]]] = [
        ("get_object", item),
        ("get_object", item | {"VersionId": stored["VersionId"]}),
        ("delete_object", item),
        ("list_objects_v2", {"Bucket": inbox}),
        ("get_bucket_policy", {"Bucket": inbox}),
        ("list_objects_v2", {"Bucket": cloud.environment["REPORTS_BUCKET"]}),
        ("put_object", {"Bucket": inbox, "Key": "elsewhere.csv"}),
    ]
    for call, arguments in refused:
        with pytest.raises(ClientError, match="AccessDenied"):
            getattr(uploads, call)(**arguments)
    identity = import_id(inbox, "uploads/dropped.csv", stored["VersionId"])
    assert (
        subscriber.answer(identity).subject
        == "[default] dropped.csv, 3 rows: 2 connected, 1 failed"
    )
    cloud.operate("list", code=2, by=uploader)


def test_an_operator_runs_every_command(
    cloud: LocalCloud, subscriber: Subscriber, tmp_path: Path
) -> None:
    """The policies for people are all that the commands need, on every way they take."""
    cloud.behave()
    user = cloud.user("operator", "UPLOADER", "OPERATOR", "SECRETS")
    key = (cloud.state / "api-key").read_text()
    file = tmp_path / "operated.csv"
    file.write_bytes(SMALL)
    cloud.operate("workspace", "add", "operated", given=api_key("wrong"), code=1, by=user)
    [refused] = cloud.operate("drop", "--workspace", "operated", file, by=user)
    stopped = refused["importId"]
    *_, ended = cloud.operate("watch", stopped, code=1, by=user)
    assert ended["headline"] == "[operated] operated.csv, 3 rows: stopped, 3 not sent"
    cloud.operate("workspace", "add", "operated", "--replace", given=key, by=user)
    assert "operated" in [one["workspace"] for one in cloud.operate("workspace", "list", by=user)]
    cloud.operate("workspace", "test", "operated", by=user)
    # By the owner: the emulator does not know sns:Protocol, which the policy's condition names.
    cloud.operate("workspace", "notify", "operated", "team@accounts.example")
    [dropped] = cloud.operate("drop", "--workspace", "operated", file, by=user)
    identity = dropped["importId"]
    *_, ended = cloud.operate("watch", identity, code=1, by=user)
    assert ended["headline"] == "[operated] operated.csv, 3 rows: 2 connected, 1 failed"
    assert cloud.operate("list", "--workspace", "operated", by=user)[0]["importId"] == identity
    [shown] = cloud.operate("show", identity, by=user)
    assert shown["execution"]["status"] == "succeeded"
    [copied] = cloud.operate("report", identity, "--output", tmp_path / "reports", by=user)
    assert "outcome.csv" in copied["files"]
    [written] = cloud.operate("failed", identity, "--output", tmp_path / "failed.csv", by=user)
    assert written["rows"] == 1

    assert cloud.operate("stop", identity, code=1, by=user)[0]["code"] == "ended"
    assert cloud.operate("resume", stopped, by=user)[0]["resumed"] is True
    wait_until(lambda: len(subscriber.about(stopped)) == 2)
    inbox, key = cloud.environment["INBOX_BUCKET"], "uploads/operated/gone.csv"
    item = {"key": key, "size": 1, "version-id": "none"}
    detail = {"bucket": {"name": inbox}, "object": item}
    cloud.client("sqs").send_message(
        QueueUrl=cloud.environment["DEAD_LETTER_QUEUE_URL"],
        MessageBody=json.dumps({"detail-type": "Object Created", "detail": detail}),
    )
    assert cloud.operate("redrive", by=user) == [{"moved": 1}]
    assert subscriber.answer(import_id(inbox, key, "none")).attributes["status"] == "refused"
    assert "unknown" not in {one["state"] for one in cloud.operate("doctor", by=user)}
    cloud.operate("workspace", "remove", "operated", "--yes", by=user)


def test_an_operator_without_secrets_sees_none(cloud: LocalCloud, tmp_path: Path) -> None:
    """Without the policy for secrets uploads and API keys stay closed; all else is open."""
    cloud.behave()
    user = cloud.user("operator-without-secrets", "OPERATOR")
    file = tmp_path / "closed.csv"
    file.write_bytes(SMALL)
    [dropped, *_] = cloud.operate("drop", "--follow", file, code=1)
    identity = dropped["importId"]
    cloud.operate("show", identity, by=user)
    cloud.operate("drop", file, code=2, by=user)
    cloud.operate("failed", identity, "--output", tmp_path / "failed.csv", code=2, by=user)
    cloud.operate("workspace", "add", "default", "--replace", given="key", code=2, by=user)
    cloud.operate("workspace", "add", "closed", given="key", code=2, by=user)
    cloud.operate("workspace", "test", code=2, by=user)
    found = cloud.operate("doctor", code=1, by=user)
    assert {one["check"] for one in found if one["state"] == "unknown"} == {"keys"}
    upload = {"Bucket": cloud.environment["INBOX_BUCKET"], "Key": "uploads/closed.csv"}
    with pytest.raises(ClientError, match="AccessDenied"):
        cloud.client("s3", user).get_object(**upload)


@pytest.mark.long
def test_a_link_that_is_switched_on_opens(second: LocalCloud) -> None:
    """A link opens the page without signing in, under the right of the function that made it."""
    second.up(*QUICK, "--parameter", "PresignedReportHours=1")
    second.behave(report="all")
    with subscribed(second) as subscriber:
        answer = subscriber.answer(second.upload("uploads/linked.csv", SMALL))
    assert answer.subject == "[default] linked.csv, 3 rows: 2 connected, 1 failed"
    link = answer.document["link"]["url"]
    assert "<!doctype html>" in requests.get(link, timeout=10).text
    with second.without("deliver_report", "s3:GetObject"):
        assert requests.get(link, timeout=10).status_code == HTTPStatus.FORBIDDEN
