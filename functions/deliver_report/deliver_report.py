"""Delivers the answer: the reports and the one message."""

from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from email_accounts.delivery import Deliverer
from email_accounts.runtime import logger, metrics, parts

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, object]:  # noqa: ARG001  Lambda passes it
    """Answer the state machine with how the import ended."""
    import_id = event["importId"]
    logger.append_keys(import_id=import_id)
    answer = _deliverer().deliver(import_id, event["failure"])
    if answer is None:
        logger.info("answered before")
        return {"importId": import_id}
    metrics.add_metric(name="ImportsAnswered", unit=MetricUnit.Count, value=1)
    for outcome, rows in answer.tally.outcomes.items():
        metrics.add_metric(name=f"Rows_{outcome}", unit=MetricUnit.Count, value=rows)
    metrics.flush_metrics()
    logger.info("answered", extra={"status": answer.status})
    return {"importId": import_id, "status": answer.status}


@cache
def _deliverer() -> Deliverer:
    return parts().deliverer()
