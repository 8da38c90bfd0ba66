"""A file goes end to end, under the permissions of the template."""

import csv
import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from boto3.dynamodb.types import TypeDeserializer

from email_accounts.models.upload import import_id
from tests.support.cloud import SAMPLE, LocalCloud

pytestmark = pytest.mark.e2e

SUBJECT = "[default] accounts.csv, 246 rows: 234 connected, 6 failed, 5 rejected, 1 duplicate"
OUTCOMES = {"connected": 234, "failed": 6, "rejected": 5, "duplicate": 1}
CONNECT = "/v1/email-accounts/connect"
COPIES = 4
SECONDS_UNTIL_IT_COMES_AGAIN = 5


def import_state(cloud: LocalCloud, identity: str) -> str:
    """Ask the ledger for the state of an import."""
    item = cloud.client("dynamodb").get_item(
        TableName=cloud.environment["LEDGER_TABLE"],
        Key={"pk": {"S": f"IMPORT#{identity}"}, "sk": {"S": "IMPORT"}},
    )["Item"]
    return str(TypeDeserializer().deserialize(item["state"]))


def test_sample(cloud: LocalCloud) -> None:
    """Every row of the sample gets its outcome, in three requests, and the mail counts them."""
    cloud.control("POST", "reset")
    cloud.control("PUT", "behaviour", {"completion_seconds": 1})
    shown = cloud.take(SAMPLE)
    folder = Path(shown.splitlines()[-1].removeprefix("Reports: "))
    with (folder / "outcome.csv").open(newline="", encoding="utf-8-sig") as file:
        outcomes = list(csv.DictReader(file))

    assert f"Subject: {SUBJECT}\n" in shown
    assert len(outcomes) == 246
    assert Counter(row["outcome"] for row in outcomes) == OUTCOMES
    assert cloud.calls(CONNECT) == 3
    known = cloud.control("GET", "accounts").json()
    assert sum(account["status"] == 1 for account in known) == 234


def test_event_that_comes_five_times(cloud: LocalCloud) -> None:
    """An upload whose event is delivered five times at once is one import, sent once.

    Those that come while the first one plans come again later, here after seconds.
    """
    inbox, key = cloud.environment["INBOX_BUCKET"], "uploads/five times.csv"
    cloud.control("DELETE", "calls")
    content = SAMPLE.read_bytes()
    stored = cloud.client("s3").put_object(Bucket=inbox, Key=key, Body=content)
    detail = {
        "bucket": {"name": inbox},
        "object": {"key": key, "size": len(content), "version-id": stored["VersionId"]},
    }
    event = {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}

    def deliver_again(_: int) -> None:
        cloud.client("sqs").send_message(
            QueueUrl=cloud.environment["UPLOAD_QUEUE_URL"], MessageBody=json.dumps(event)
        )

    identity = import_id(inbox, key, stored["VersionId"])
    with visibility(cloud, SECONDS_UNTIL_IT_COMES_AGAIN), ThreadPoolExecutor(COPIES) as pool:
        list(pool.map(deliver_again, range(COPIES)))
        queue = {"QueueUrl": cloud.environment["UPLOAD_QUEUE_URL"], "AttributeNames": ["All"]}
        end = time.monotonic() + 60
        while time.monotonic() < end:
            waiting = cloud.client("sqs").get_queue_attributes(**queue)["Attributes"]
            counts = [int(n) for name, n in waiting.items() if name.startswith("ApproximateNumber")]
            if not any(counts) and import_state(cloud, identity) == "notified":
                break
            time.sleep(0.5)

    executions = cloud.client("stepfunctions").list_executions(
        stateMachineArn=cloud.environment["TRACK_IMPORT_STATE_MACHINE_ARN"]
    )["executions"]
    assert import_state(cloud, identity) == "notified"
    assert [execution["name"] for execution in executions].count(identity) == 1
    assert cloud.calls(CONNECT) == 3


@contextmanager
def visibility(cloud: LocalCloud, seconds: int) -> Iterator[None]:
    """Have the upload queue deliver what failed again after so many seconds."""
    client, url = cloud.client("sqs"), cloud.environment["UPLOAD_QUEUE_URL"]
    before = client.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    client.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)})
    try:
        yield
    finally:
        client.set_queue_attributes(QueueUrl=url, Attributes=before["Attributes"])
