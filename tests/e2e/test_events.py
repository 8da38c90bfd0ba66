"""Other systems: one says that a file is ready, another hears that it is imported."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from email_accounts.models.upload import import_id
from tests.support.cloud import SMALL, LocalCloud, Subscriber, listening, wait_until

pytestmark = pytest.mark.e2e


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
    pattern = {
        "source": ["email-accounts-importer"],
        "detail-type": ["Email Accounts Import Completed"],
        "detail": {"counts": {"failed": [{"numeric": [">", 0]}]}},
    }
    with listening(cloud, pattern) as heard, unheard(cloud):
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
