"""Submits accounts: those of new uploads from the queue, or what is left of one import."""

import json
import os
from functools import cache
from typing import TYPE_CHECKING, Any

from email_accounts.aws.step_functions import step_document
from email_accounts.errors import WrongBucketError
from email_accounts.lambda_runtime.container import container
from email_accounts.lambda_runtime.observability import bind_import_id, instrumented, logger
from email_accounts.models.upload import upload_of
from email_accounts.submission.submitter import Submitter

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@instrumented
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, object] | None:
    """Answer the state machine with a step, the operator with whether an import is resumed.

    The queue needs no answer. What fails raises: the queue delivers the message again, and an
    upload that had been taken on is not taken on twice. At the last delivery the upload is given
    up, which answers it. A delivery ends well only once the execution of its import has begun.
    """

    def time_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    if "resume" in event:
        bind_import_id(event["resume"])
        return {"resumed": _submitter().restart(event["resume"])}
    if "importId" in event:
        bind_import_id(event["importId"])
        return step_document(_submitter().resume(event["importId"], time_left))
    for record in event["Records"]:
        upload = upload_of(json.loads(record["body"]))
        if upload is None:
            logger.info("no file: nothing to import")
            continue
        if upload.bucket != os.environ["INBOX_BUCKET"]:
            raise WrongBucketError(f"the event tells of {upload.bucket}, which is not the inbox")
        logger.append_keys(bucket=upload.bucket, key=upload.key)
        upload = _submitter().identified(upload)
        bind_import_id(upload.import_id)
        received = int(record["attributes"]["ApproximateReceiveCount"])
        if received < int(os.environ["UPLOAD_ATTEMPTS"]):
            step = _submitter().take(upload, time_left)
        else:
            logger.error("the last attempt: giving up")
            step = _submitter().give_up(upload, time_left)
        logger.info("import taken on" if step else "import was taken on before")
    return None


@cache
def _submitter() -> Submitter:
    return container().submitter()
