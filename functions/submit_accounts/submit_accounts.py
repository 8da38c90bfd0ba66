"""Starts the imports of new uploads from the queue; submits, resumes or stops one import."""

import json
import os
from functools import cache
from typing import TYPE_CHECKING, Any

from email_accounts.aws.step_functions import result_document
from email_accounts.errors import WrongBucketError
from email_accounts.lambda_runtime.container import container
from email_accounts.lambda_runtime.observability import bind_import_id, instrumented, logger
from email_accounts.models.upload import upload_of
from email_accounts.submission.submitter import Submitter

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext


@instrumented
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, object] | None:
    """Return the task's result to the state machine, or to the operator what was changed.

    A message of the queue that fails comes again: it claims and starts the import, nothing more.
    """

    def time_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    if "importId" in event:
        return _act(event, time_left)
    for record in event["Records"]:
        _start(json.loads(record["body"]), time_left)
    return None


def _act(event: dict[str, Any], time_left: "Callable[[], float]") -> dict[str, object]:
    """Do with one import what the state machine or an operator asks for."""
    bind_import_id(import_id := event["importId"])
    match event.get("action"):
        case "resume":
            return {"resumed": _submitter().restart(import_id)}
        case "stop":
            return {"stopped": _submitter().stop(import_id)}
    skip = event.get("skipSignIn", False)  # executions of 0.2 lack it
    return result_document(_submitter().submit(import_id, time_left, skip_sign_in=skip))


def _start(event: dict[str, Any], time_left: "Callable[[], float]") -> None:
    """Start the import of an upload, then run the first task of its execution at once."""
    upload = upload_of(event)
    if upload is None:
        logger.info("no file: nothing to import")
        return
    if upload.bucket != os.environ["INBOX_BUCKET"]:
        raise WrongBucketError(f"the event is about {upload.bucket}, which is not the inbox")
    logger.append_keys(bucket=upload.bucket, key=upload.key)
    upload = _submitter().identified(upload)
    bind_import_id(upload.import_id)
    if _submitter().start_import(upload):
        logger.info("import started")
        _submitter().submit(upload.import_id, time_left)


@cache
def _submitter() -> Submitter:
    return container().submitter()
