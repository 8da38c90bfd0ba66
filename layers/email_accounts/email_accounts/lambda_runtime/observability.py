"""Logs and metrics of the functions."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import BotoCoreError, ClientError

from email_accounts.aws.outages import is_outage
from email_accounts.errors import ServiceUnavailableError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


logger = Logger()
metrics = Metrics()

_Handler = Callable[[dict[str, Any], "LambdaContext"], dict[str, object] | None]


def instrumented(handle: _Handler) -> _Handler:
    """Make a function a handler: errors are logged and raised, and metrics are emitted.

    An outage of AWS is raised as ServiceUnavailableError.

    What the domain logs gets the same keys, the import's id among them, and does not come a second
    time from the root logger, whose lines have none.
    """
    domain = logging.getLogger("email_accounts")
    domain.handlers, domain.propagate = logger.handlers, False
    domain.setLevel(logger.log_level)
    # At DEBUG it logs what services answer, secrets included.
    logging.getLogger("botocore").setLevel(logging.INFO)

    @logger.inject_lambda_context(clear_state=True)
    @wraps(handle)
    def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, object] | None:
        try:
            return handle(event, context)
        except Exception as error:
            # Lambda logs it as well, without the import's id.
            logger.exception("failed")
            if isinstance(error, BotoCoreError | ClientError) and is_outage(error):
                raise ServiceUnavailableError(str(error)) from None  # the state machine knows it
            raise
        finally:
            if metrics.metric_set:
                metrics.flush_metrics()

    return handler


def bind_import_id(import_id: str) -> None:
    """Name the import in every line that is logged from now on, also in those of metrics."""
    logger.append_keys(import_id=import_id)
    metrics.add_metadata("import_id", import_id)


def count(name: str) -> None:
    """Add one to a metric, which is emitted at the end of the invocation."""
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=1)
