"""One file's way through the local cloud, followed from the terminal.

Stations: uploaded, validated, submitted, waiting for the remote, delivered, notified.
"""

import json
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import boto3
from boto3.dynamodb.conditions import Key
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from email_accounts.models.upload import import_id

SENT = {"submitted", "completed", "refused", "unconfirmed"}
SETTLED = SENT - {"submitted"}


class FileError(Exception):
    """The file cannot be uploaded; the text says why."""


class NoAnswerError(Exception):
    """Nothing moved for too long; the text says where the import stood."""


@dataclass(frozen=True, slots=True)
class Station:
    """How far an import has come: in words, and in steps of how many (None: not known yet)."""

    text: str
    step: int
    steps: int | None


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A queue subscribed to the topic for the time of one journey."""

    url: str
    subscription: str


def check_file(file: Path) -> None:
    """Refuse what would never be answered."""
    if not file.is_file():
        what = "is not a file" if file.exists() else "does not exist"
        raise FileError(f"{file} {what}. Name a file of accounts: make run FILE=<path>")
    if not file.stat().st_size:
        raise FileError(f"{file} is empty. An upload without content starts no import")


def take(
    file: Path,
    outputs: Mapping[str, str],
    mail: Path,
    reports: Path,
    patience: float,
) -> Path:
    """Upload the file, follow it, print the answer; return the folder of its reports.

    `outputs` are those of the stack, `patience` is in seconds without any progress.
    """
    subscriber = _subscribe(outputs["NotificationTopicArn"])
    try:
        identity = _upload(file, outputs["InboxBucketName"])
        envelope = _follow(identity, outputs["LedgerTableName"], subscriber, patience)
    finally:
        _unsubscribe(subscriber)
    print(f"\n{_letter(mail, envelope)}\n")
    folder = reports / identity
    _download(outputs["ReportsBucketName"], f"imports/{identity}/", folder)
    return folder


def station(items: Iterable[Mapping[str, Any]]) -> Station:
    """Read from an import's ledger items how far it has come."""
    entries = {item["sk"]: item for item in items}
    state = entries.get("IMPORT", {}).get("state")
    if state in {None, "received"}:
        return Station("uploaded, being validated" if state else "uploaded", 1, None)
    if state == "refused":
        return Station("validated: refused, being answered", 2, 3)
    batches = [item["state"] for name, item in entries.items() if name.startswith("BATCH#")]
    sent = sum(batch in SENT for batch in batches)
    settled = sum(batch in SETTLED for batch in batches)
    step, steps = 2 + sent + settled, 4 + 2 * len(batches)
    if state == "notified":
        return Station("notified", steps, steps)
    if settled < len(batches):
        text = f"validated, submitted {sent} of {len(batches)} batches"
        if sent == len(batches):
            text += f", waiting for the remote: {settled} of {len(batches)} done"
        return Station(text, step, steps)
    return Station("all batches done, delivering", step + 1, steps)


# ── The way in and out ──────────────────────────────────────────────────────────────────────────


def _subscribe(topic: str) -> Subscriber:
    queues = boto3.client("sqs")
    url = queues.create_queue(QueueName=f"run-{secrets.token_hex(8)}")["QueueUrl"]
    wanted = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn = wanted["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    rules = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    queues.set_queue_attributes(QueueUrl=url, Attributes={"Policy": rules})
    subscribed = boto3.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True
    )
    return Subscriber(url, subscribed["SubscriptionArn"])


def _unsubscribe(subscriber: Subscriber) -> None:
    boto3.client("sns").unsubscribe(SubscriptionArn=subscriber.subscription)
    boto3.client("sqs").delete_queue(QueueUrl=subscriber.url)


def _upload(file: Path, bucket: str) -> str:
    """Put the file into the inbox; return the id of its import."""
    key = f"uploads/{file.name}"
    with file.open("rb") as content:
        stored = boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=content)
    return import_id(bucket, key, stored["VersionId"])


def _download(bucket: str, prefix: str, folder: Path) -> None:
    """Copy all that lies under `prefix`, folders included."""
    store = boto3.client("s3")
    folder.mkdir(parents=True, exist_ok=True)
    for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            target = folder / entry["Key"].removeprefix(prefix)
            target.parent.mkdir(parents=True, exist_ok=True)
            store.download_file(bucket, entry["Key"], str(target))


def save_logs(target: Path) -> None:
    """Write what all functions logged into one file, in the order of time."""
    logs = boto3.client("logs")
    groups = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]
    pages = [
        page
        for group in groups
        for page in logs.get_paginator("filter_log_events").paginate(
            logGroupName=group["logGroupName"]
        )
    ]
    events = [event for page in pages for event in page["events"]]
    events.sort(key=lambda event: event["timestamp"])
    target.write_text("".join(f"{event['message'].rstrip()}\n" for event in events))


# ── On the way ──────────────────────────────────────────────────────────────────────────────────


def _follow(identity: str, ledger: str, subscriber: Subscriber, patience: float) -> dict[str, Any]:
    """Show where the import stands until its message is there; return the message's envelope."""
    table = boto3.resource("dynamodb").Table(ledger)
    console = Console()
    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        seen, moved = None, time.monotonic()
        while time.monotonic() - moved < patience:
            envelope = _message_about(identity, subscriber)
            found = table.query(KeyConditionExpression=Key("pk").eq(f"IMPORT#{identity}"))
            now = Station("notified", 1, 1) if envelope else station(found["Items"])
            if now != seen:
                seen, moved = now, time.monotonic()
                progress.update(task, description=now.text, completed=now.step, total=now.steps)
                if not console.is_terminal:
                    print(now.text, flush=True)
            if envelope:
                return envelope
    raise NoAnswerError(
        f"import {identity} has not moved for {patience:.0f} s; it stands at: {seen and seen.text}."
    )


def _message_about(identity: str, subscriber: Subscriber) -> dict[str, Any] | None:
    received = boto3.client("sqs").receive_message(
        QueueUrl=subscriber.url, MaxNumberOfMessages=10, WaitTimeSeconds=1
    )
    for message in received.get("Messages", []):
        envelope: dict[str, Any] = json.loads(message["Body"])
        if identity in envelope["Message"]:
            return envelope
    return None


def _letter(mail: Path, envelope: Mapping[str, Any]) -> str:
    """Show the mail of a message as its subscriber gets it."""
    file = mail / f"{envelope['MessageId']}-1.eml"
    letter = message_from_bytes(file.read_bytes(), policy=policy.default)
    body = letter.get_body()
    head = [f"{name}: {letter[name]}" for name in ("From", "To", "Subject")]
    return "\n".join([*head, "", str(body.get_content() if body else "").rstrip()])
