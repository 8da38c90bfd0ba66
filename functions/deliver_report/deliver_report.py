"""Delivers the answer: the reports and the one message."""

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from email_accounts.delivery.deliverer import Deliverer
from email_accounts.delivery.message import ImportResult
from email_accounts.lambda_runtime.container import container
from email_accounts.lambda_runtime.observability import (
    bind_import_id,
    instrumented,
    logger,
    metrics,
)

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_IMPORT_ID = 32
"""Characters of an execution's name that are the import's id; see `Import.execution`."""


@instrumented
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, object] | None:  # noqa: ARG001  Lambda passes it
    """Answer the state machine with how the import ended.

    The queue of executions that ended without success needs no answer. There it is the last
    resort: an answer is sent unless the import has one.
    """
    for record in event.get("Records", ()):
        detail = json.loads(record["body"])["detail"]
        import_id = detail["name"][:_IMPORT_ID]
        bind_import_id(import_id)
        failure = detail.get("cause") or f"its execution was {detail['status'].lower()}"
        _tell(_deliverer().deliver(import_id, failure, best_effort=True))
    if "importId" not in event:
        return None
    import_id = event["importId"]
    bind_import_id(import_id)
    answer = _deliverer().deliver(import_id, event["failure"])
    _tell(answer)
    return {"importId": import_id} | ({"status": answer.status} if answer else {})


def _tell(answer: ImportResult | None) -> None:
    if answer is None:
        logger.info("answered before")
        return
    metrics.add_metric(name="ImportsAnswered", unit=MetricUnit.Count, value=1)
    for outcome, rows in answer.summary.outcomes.items():
        metrics.add_metric(name=f"Rows_{outcome}", unit=MetricUnit.Count, value=rows)
    logger.info("answered", extra={"status": answer.status})


@cache
def _deliverer() -> Deliverer:
    return container().deliverer()
