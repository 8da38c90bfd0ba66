"""Stopping an import, resuming one that stopped early, and moving dead letters back."""

import json
from contextlib import suppress
from enum import StrEnum
from typing import Any

from email_accounts.delivery.outcomes import Outcome
from email_accounts.models.imports import Import, ImportState
from email_accounts.models.upload import upload_of
from email_accounts_cli.history import Ending, History
from email_accounts_cli.stack import CONFIG, Stack
from email_accounts_cli.terminal import (
    ALL_WELL,
    NOT_ALL_WELL,
    CommandError,
    counted,
    echo,
    print_json,
    printable,
    short,
)

_SECONDS_TO_COME = 1
_ALL_KNOWN = ("complete", "partial", "failed")
_OF_EXECUTIONS = "aws.states"
"""The source of events about executions; all others are about uploads."""


class WhyNot(StrEnum):
    """Why an import was not resumed or stopped."""

    FILE_REFUSED = "file_refused"
    """Not resumed: the file was refused."""
    UPLOAD_DELETED = "upload_deleted"
    """Not resumed: the file was deleted or has expired."""
    NOTHING_LEFT = "nothing_left"
    """Not resumed: every row has a result."""
    RUNNING = "running"
    """Not resumed: it is running."""
    VALIDATING = "validating"
    """Not stopped: the file is still read."""
    STOPPED_BEFORE = "stopped_before"
    """Not stopped: it was stopped before."""
    ENDED = "ended"
    """Not stopped: it has ended."""


_REFUSED = WhyNot.FILE_REFUSED, "the file was refused: nothing was sent. Fix the file and drop it."
_UPLOAD_GONE = (
    WhyNot.UPLOAD_DELETED,
    (
        "its file was deleted or has expired. Search for the unconfirmed addresses in Saleshandy, "
        "and drop a file of those that are missing there and of the rows that were not sent."
    ),
)


def resume(stack: Stack, given: str, *, as_json: bool) -> int:
    """Resume an import that has ended; 1 if it cannot be resumed."""
    history = History(stack)
    imported = history.find(given)
    why_not = _why_needless(imported, history.ending(imported))
    if not why_not and not _ask(stack, "resume", imported, "resumed"):
        why_not = _why_not_resumed(imported)
    return _print(imported, "resumed", why_not, _watch(imported), as_json=as_json)


def stop(stack: Stack, given: str, *, as_json: bool) -> int:
    """Stop a running import; 1 if it cannot be stopped."""
    history = History(stack)
    imported = history.find(given)
    why_not = None
    if not _ask(stack, "stop", imported, "stopped"):
        imported = history.find(imported.id)
        why_not = _why_not_stopped(imported)
    then = f"Its report follows within minutes. {_watch(imported)}"
    return _print(imported, "stopped", why_not, then, as_json=as_json)


def _ask(stack: Stack, action: str, imported: Import, done: str) -> bool:
    """Have submit_accounts change an import; return whether it did."""
    functions = stack.session.client("lambda", config=CONFIG)
    answer = functions.invoke(
        FunctionName=f"{stack.name}-submit_accounts",
        Payload=json.dumps({"importId": imported.id, "action": action}).encode(),
    )
    said: Any = json.loads(answer["Payload"].read())
    if answer.get("FunctionError") or not isinstance(said, dict) or done not in said:
        raise CommandError(
            f"The function submit_accounts failed, and nothing was {done}. Read its log: "
            f"aws logs tail /aws/lambda/{stack.name}-submit_accounts"
        )
    return said[done] is True


Reason = tuple[WhyNot, str]
"""Why nothing was done: a code and a text."""


def _print(imported: Import, done: str, why_not: Reason | None, then: str, *, as_json: bool) -> int:
    code, reason = why_not or ("", "")
    if as_json:
        document = {"importId": imported.id, done: not why_not, "code": code, "reason": reason}
        print_json(document)
    elif why_not:
        echo(f"{printable(imported.upload.name)} was not {done}: {reason}")
    else:
        echo(f"{printable(imported.upload.name)} is {done}. {then}")
    return NOT_ALL_WELL if why_not else ALL_WELL


def _watch(imported: Import) -> str:
    return f"Watch it: email-accounts watch {short(imported.id)}"


def _why_needless(imported: Import, ending: Ending) -> Reason | None:
    """Return why resuming would change nothing; None if it may."""
    if ending.status not in _ALL_KNOWN or ending.counts.get(Outcome.UNCONFIRMED):
        return None
    text = "every row already has a result."
    if ending.status != "complete":
        text += f" To fix the failed rows: email-accounts failed {short(imported.id)}"
    return WhyNot.NOTHING_LEFT, text


def _why_not_resumed(imported: Import) -> Reason:
    if imported.refusal:
        return _REFUSED
    if imported.is_answered:
        return _UPLOAD_GONE
    return WhyNot.RUNNING, f"it is running. {_watch(imported)}"


def _why_not_stopped(imported: Import) -> Reason:
    if imported.stopped:
        return WhyNot.STOPPED_BEFORE, f"it was stopped before. {_watch(imported)}"
    if imported.state is ImportState.RECEIVED:
        return WhyNot.VALIDATING, "it is still being validated. Try again in a minute."
    return WhyNot.ENDED, f"it has ended. See: email-accounts show {short(imported.id)}"


def redrive(stack: Stack, *, as_json: bool) -> int:
    """Move every dead letter back to its queue.

    Each is sent before it is deleted: a crash between the two leaves an event twice, and an
    upload that has been imported is not imported again. AWS's own redrive refuses messages that
    the rule put here, because no queue is their source.
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
                what = "a broken import" if broken else _file_of(event)
                echo(f"{what}: moved to its queue")
    if as_json:
        print_json({"moved": moved})
    else:
        echo(f"{counted(moved, 'dead letter')} moved." if moved else "No dead letters.")
    return ALL_WELL


def _event(body: str) -> dict[str, Any]:
    event = None
    with suppress(ValueError):
        event = json.loads(body)
    return event if isinstance(event, dict) else {}


def _file_of(event: dict[str, Any]) -> str:
    upload = None
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        upload = upload_of(event)
    return printable(upload.key) if upload else "an event that names no file"
