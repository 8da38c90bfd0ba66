"""Tries the mailboxes of an import at their own servers before they are sent."""

from functools import cache
from typing import TYPE_CHECKING, Any

from email_accounts.aws.step_functions import result_document
from email_accounts.lambda_runtime.container import container
from email_accounts.lambda_runtime.observability import bind_import_id, instrumented, logger
from email_accounts.sign_in.checker import SignInChecker

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@instrumented
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, object]:
    """Return the task's result to the state machine."""
    import_id = event["importId"]
    bind_import_id(import_id)
    result = _checker().check(import_id, lambda: context.get_remaining_time_in_millis() / 1000)
    logger.info("sign-ins tried", extra={"next": result.next})
    return result_document(result)


@cache
def _checker() -> SignInChecker:
    return container().sign_in_checker()
