"""Which errors are AWS's own: trying again later helps."""

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as NoConnectionError

_SERVER_ERROR = 500
_THROTTLED = frozenset(
    {"Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled"}
    | {"RequestThrottledException", "RequestLimitExceeded", "TooManyRequestsException"}
    | {"ProvisionedThroughputExceededException", "LimitExceededException", "SlowDown"}
    | {"TransactionInProgressException", "ExecutionLimitExceeded"}
)
"""Codes of botocore's own retries, and that of Step Functions."""


def is_outage(error: BotoCoreError | ClientError) -> bool:
    """Say whether a service throttled, failed or was not reached."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= _SERVER_ERROR or error.response["Error"]["Code"] in _THROTTLED
    return isinstance(error, NoConnectionError | HTTPClientError | IncompleteReadError)
