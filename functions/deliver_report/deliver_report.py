"""Delivers the answer: the reports and the one message."""

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from email_accounts.delivery.deliverer import Deliverer
from email_accounts.delivery.result import ImportResult
from email_accounts.lambda_runtime.container import container
from email_accounts.lambda_runtime.observability import (
    bind_import_id,
    instrumented,
    logger,
    metrics,
)

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@instrumented
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, object] | None:
    """Return how the import ended to the state machine.

    The queue of executions that ended without success needs no answer: an import that has no
    message yet gets one at best effort.
    """
    time_left = context.get_remaining_time_in_millis() / 1000
    for record in event.get("Records", ()):
        detail = json.loads(record["body"])["detail"]
        failure = detail.get("cause") or f"its execution was {detail['status'].lower()}"
        execution = detail["name"]
        import_id = execution.partition("-")[0]
        _deliver(import_id, failure, execution, time_left, best_effort=True)
    if "importId" not in event:
        return None
    import_id = event["importId"]
    answer = _deliver(import_id, event["failure"], event.get("execution", ""), time_left)
    return {"importId": import_id} | ({"status": answer.status} if answer else {})


def _deliver(
    import_id: str, failure: str, execution: str, time_left: float, *, best_effort: bool = False
) -> ImportResult | None:
    bind_import_id(import_id)
    answer = _deliverer().deliver(
        import_id, failure, execution=execution, time_left=time_left, best_effort=best_effort
    )
    if answer is None:
        logger.info("answered before")
        return None
    metrics.add_metric(name="ImportsAnswered", unit=MetricUnit.Count, value=1)
    for outcome, rows in answer.summary.outcomes.items():
        metrics.add_metric(name=f"Rows_{outcome}", unit=MetricUnit.Count, value=rows)
    logger.info("answered", extra={"status": answer.status})
    return answer


@cache
def _deliverer() -> Deliverer:
    return container().deliverer()
