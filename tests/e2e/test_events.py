"""Other systems: one says that a file is ready, another hears that it is imported."""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from email_accounts.models.upload import import_id
from tests.support.cloud import SMALL, LocalCloud, Subscriber, wait_until

pytestmark = pytest.mark.e2e

Received = Callable[[], list[dict[str, Any]]]


@contextmanager
def listening(cloud: LocalCloud) -> Iterator[Received]:
    """Have a queue get the events of completed imports for a time; give what it has received."""
    events, queues = cloud.client("events"), cloud.client("sqs")
    name = f"listener-{secrets.token_hex(8)}"
    queue = queues.create_queue(QueueName=name)["QueueUrl"]
    known = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    arn = known["Attributes"]["QueueArn"]
    pattern = {
        "source": ["email-accounts-importer"],
        "detail-type": ["Email Accounts Import Completed"],
        "detail": {"counts": {"failed": [{"numeric": [">", 0]}]}},
    }
    rule = events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    queues.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    received: list[dict[str, Any]] = []

    def heard() -> list[dict[str, Any]]:
        answer = queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        received.extend(json.loads(one["Body"]) for one in answer.get("Messages", ()))
        return received

    try:
        yield heard
    finally:
        events.remove_targets(Rule=name, Ids=["queue"])
        events.delete_rule(Name=name)
        queues.delete_queue(QueueUrl=queue)


@contextmanager
def unheard(cloud: LocalCloud) -> Iterator[None]:
    """Let nothing hear of uploads from S3 for a time."""
    events = cloud.client("events")
    (rule,) = [
        one["Name"]
        for one in events.list_rules()["Rules"]
        if "aws.s3" in json.loads(one["EventPattern"]).get("source", ())
    ]
    events.disable_rule(Name=rule)
    try:
        yield
    finally:
        events.enable_rule(Name=rule)


def test_a_file_that_is_said_to_be_ready(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """It is imported like an upload, and the event at its end carries the message's document."""
    cloud.behave()
    bus, inbox = cloud.client("events"), cloud.environment["INBOX_BUCKET"]
    reports = cloud.environment["REPORTS_BUCKET"]
    s3 = cloud.client("s3")

    def announce(bucket: str, version: str) -> None:
        entry = {
            "Source": "crm.example",
            "DetailType": "Email Accounts File Ready",
            "Detail": json.dumps(
                {"bucket": bucket, "key": "uploads/ready.csv", "version": version}
            ),
        }
        assert bus.put_events(Entries=[entry])["FailedEntryCount"] == 0

    foreign = s3.put_object(Bucket=reports, Key="uploads/ready.csv", Body=b"nothing to import")[
        "VersionId"
    ]
    with listening(cloud) as heard, unheard(cloud):
        stored = s3.put_object(Bucket=inbox, Key="uploads/ready.csv", Body=SMALL)["VersionId"]
        announce(reports, foreign)
        announce(inbox, stored)
        identity = import_id(inbox, "uploads/ready.csv", stored)
        answer = subscriber.answer(identity)
        wait_until(lambda: bool(heard()))
        documents = [one["detail"] for one in heard()]

    assert answer.subject == "[default] ready.csv, 3 rows: 2 connected, 1 failed"
    assert documents == [answer.document]
    assert answer.document["file"]["bytes"] == len(SMALL)
    assert cloud.history(import_id(reports, "uploads/ready.csv", foreign)) == []
    assert cloud.waiting_events() == 0
