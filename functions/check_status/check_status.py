"""Checks the status of an import's batches and fetches the reports that are ready."""

from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from email_accounts.aws.step_functions import result_document
from email_accounts.lambda_runtime.container import container
from email_accounts.lambda_runtime.observability import (
    bind_import_id,
    instrumented,
    logger,
    metrics,
)
from email_accounts.tracking.poller import Poller

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@instrumented
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, object]:
    """Return the task's result to the state machine."""
    import_id = event["importId"]
    bind_import_id(import_id)
    result = _poller().poll(import_id, lambda: context.get_remaining_time_in_millis() / 1000)
    metrics.add_metric("OverdueSeconds", MetricUnit.Seconds, result.overdue_seconds)
    logger.info("polled", extra={"next": result.next, "wait_seconds": result.wait_seconds})
    return result_document(result)


@cache
def _poller() -> Poller:
    return container().poller()
