"""Bringing back what stopped: an import that was stopped, events that could not be taken in."""

import json
from typing import Any

import click

from email_accounts.upload import upload_of
from email_accounts_cli.history import History
from email_accounts_cli.stack import CONFIG, Stack
from email_accounts_cli.terminal import (
    ALL_WELL,
    NOT_ALL_WELL,
    CommandError,
    counted,
    printable,
    short,
    tell_program,
)

_SECONDS_TO_COME = 1


def resume(stack: Stack, given: str, *, as_json: bool) -> int:
    """Have the rest of an import sent; 1 where there is a reason not to."""
    imported = History(stack).find(given)
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
    resumed, reason = bool(said["resumed"]), str(said.get("reason", ""))
    if as_json:
        tell_program({"importId": imported.id, "resumed": resumed, "reason": reason})
    elif resumed:
        click.echo(
            f"{printable(imported.upload.name)} goes on. Follow: email-accounts watch "
            f"{short(imported.id)}"
        )
    else:
        click.echo(f"{printable(imported.upload.name)} is not resumed: {printable(reason)}")
    return ALL_WELL if resumed else NOT_ALL_WELL


def redrive(stack: Stack, *, as_json: bool) -> int:
    """Put every dead letter back into the queue.

    Each is sent before it is deleted: a crash between the two leaves an event twice, and an
    upload that is taken on already is not taken on again. AWS's own move would refuse letters
    that the rule put here, because no queue is their source.
    """
    queues = stack.session.client("sqs", config=CONFIG)
    source, target = stack.output("DeadLetterQueueUrl"), stack.output("UploadQueueUrl")
    moved = 0
    while letters := queues.receive_message(
        QueueUrl=source, MaxNumberOfMessages=10, WaitTimeSeconds=_SECONDS_TO_COME
    ).get("Messages"):
        for letter in letters:
            queues.send_message(QueueUrl=target, MessageBody=letter["Body"])
            queues.delete_message(QueueUrl=source, ReceiptHandle=letter["ReceiptHandle"])
            moved += 1
            if not as_json:
                click.echo(f"{_file_of(letter['Body'])}: back in the queue")
    if as_json:
        tell_program({"moved": moved})
    else:
        click.echo(f"{counted(moved, 'dead letter')} moved." if moved else "No dead letters.")
    return ALL_WELL


def _file_of(body: str) -> str:
    try:
        upload = upload_of(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "an event that names no file"
    return printable(upload.key) if upload else "an event of no file"
