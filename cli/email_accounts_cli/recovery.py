"""Bringing back what stopped: an import that was stopped, events that could not be taken in."""

import json
from typing import Any

from email_accounts.delivery.outcomes import Outcome
from email_accounts.models.imports import Import
from email_accounts.models.upload import upload_of
from email_accounts_cli.history import Ending, History
from email_accounts_cli.stack import CONFIG, Stack
from email_accounts_cli.terminal import (
    ALL_WELL,
    NOT_ALL_WELL,
    CommandError,
    counted,
    echo,
    printable,
    short,
    tell_program,
)

_SECONDS_TO_COME = 1
_ALL_KNOWN = ("complete", "partial")
_OF_EXECUTIONS = "aws.states"
"""The source of events that tell of executions; all others tell of uploads."""


def resume(stack: Stack, given: str, *, as_json: bool) -> int:
    """Have an answered import taken up again; 1 where there is a reason not to."""
    history = History(stack)
    imported = history.find(given)
    if reason := _why_needless(imported, history.ending(imported)):
        return _tell(imported, reason, as_json=as_json)
    functions = stack.session.client("lambda", config=CONFIG)
    answer = functions.invoke(
        FunctionName=f"{stack.name}-submit_accounts",
        Payload=json.dumps({"resume": imported.id}).encode(),
    )
    said: Any = json.loads(answer["Payload"].read())
    if answer.get("FunctionError") or not isinstance(said, dict) or "resumed" not in said:
        raise CommandError(
            "The function submit_accounts failed and nothing was resumed. What happened is in its "
            f"log: aws logs tail /aws/lambda/{stack.name}-submit_accounts"
        )
    return _tell(imported, "" if said["resumed"] is True else _why_not(imported), as_json=as_json)


def _tell(imported: Import, reason: str, *, as_json: bool) -> int:
    if as_json:
        tell_program({"importId": imported.id, "resumed": not reason, "reason": reason})
    elif not reason:
        echo(
            f"{printable(imported.upload.name)} goes on. Follow: email-accounts watch "
            f"{short(imported.id)}"
        )
    else:
        echo(f"{printable(imported.upload.name)} is not resumed: {reason}")
    return NOT_ALL_WELL if reason else ALL_WELL


def _why_needless(imported: Import, ending: Ending) -> str:
    """Say why nothing would come of it; "" where something may, or where nobody knows."""
    if ending.status not in _ALL_KNOWN or ending.counts.get(Outcome.UNCONFIRMED):
        return ""
    fix = f". What failed is for email-accounts failed {short(imported.id)}"
    return f"all of it was sent and found out{fix if ending.status == 'partial' else ''}."


def _why_not(imported: Import) -> str:
    if imported.refusal:
        return "the file was refused, so nothing of it is left. Mend it and drop it again."
    return f"it has no answer yet. Follow: email-accounts watch {short(imported.id)}"


def redrive(stack: Stack, *, as_json: bool) -> int:
    """Put every dead letter back into the queue it is for.

    Each is sent before it is deleted: a crash between the two leaves an event twice, and an
    upload that is taken on already is not taken on again. AWS's own move would refuse letters
    that the rule put here, because no queue is their source.
    """
    queues = stack.session.client("sqs", config=CONFIG)
    source = stack.output("DeadLetterQueueUrl")
    uploads, failures = stack.output("UploadQueueUrl"), stack.output("FailureQueueUrl")
    moved = 0
    while letters := queues.receive_message(
        QueueUrl=source, MaxNumberOfMessages=10, WaitTimeSeconds=_SECONDS_TO_COME
    ).get("Messages"):
        for letter in letters:
            event = _event(letter["Body"])
            broken = event.get("source") == _OF_EXECUTIONS
            queues.send_message(
                QueueUrl=failures if broken else uploads, MessageBody=letter["Body"]
            )
            queues.delete_message(QueueUrl=source, ReceiptHandle=letter["ReceiptHandle"])
            moved += 1
            if not as_json:
                what = "the failure of an import" if broken else _file_of(event)
                echo(f"{what}: back in the queue")
    if as_json:
        tell_program({"moved": moved})
    else:
        echo(f"{counted(moved, 'dead letter')} moved." if moved else "No dead letters.")
    return ALL_WELL


def _event(body: str) -> dict[str, Any]:
    try:
        event = json.loads(body)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _file_of(event: dict[str, Any]) -> str:
    try:
        upload = upload_of(event)
    except (ValueError, KeyError, TypeError, AttributeError):
        return "an event that names no file"
    return printable(upload.key) if upload else "an event of no file"
