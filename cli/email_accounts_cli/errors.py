"""Explain errors of AWS in one line, with a fix."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

NOT_AWS = "The endpoint does not answer as AWS does. Check AWS_ENDPOINT_URL."
_SIGN_IN = "Sign in (aws sso login, or aws configure), or choose a profile with --profile."
_SIGN_IN_AGAIN = "Sign in again: aws sso login, or get new credentials."
_UNREACHABLE = (
    "Check the network, the region (--region) and, if it is set, the AWS_ENDPOINT_URL variable."
)
_FIXES = {
    "ExpiredToken": ("Your AWS credentials have expired", _SIGN_IN_AGAIN),
    "ExpiredTokenException": ("Your AWS credentials have expired", _SIGN_IN_AGAIN),
    "RequestExpired": ("Your AWS credentials have expired", _SIGN_IN_AGAIN),
    "InvalidClientTokenId": ("AWS does not accept your access key", _SIGN_IN),
    "UnrecognizedClientException": ("AWS does not accept your access key", _SIGN_IN),
    "InvalidAccessKeyId": ("AWS does not accept your access key", _SIGN_IN),
    "AuthFailure": ("AWS does not accept your access key", _SIGN_IN),
    "SignatureDoesNotMatch": (
        "AWS does not accept your secret access key",
        "Check it, and this computer's clock.",
    ),
    "RequestTimeTooSkewed": ("This computer's clock is wrong", "Set it."),
}
"""AWS error codes about credentials: the meaning and the fix."""
_DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}


def explained(error: Exception) -> str:
    """Explain an error of AWS or of the importer; "" for a bug."""
    if "botocore" in sys.modules and (text := _of_aws(error)):
        return text
    from email_accounts.errors import ImporterError  # noqa: PLC0415  only when something failed

    return str(error) if isinstance(error, ImporterError) else ""


def _of_aws(error: Exception) -> str:
    from boto3.exceptions import Boto3Error  # noqa: PLC0415  loaded already
    from botocore import exceptions  # noqa: PLC0415  loaded already
    from botocore.parsers import ResponseParserError  # noqa: PLC0415  loaded already

    texts: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
        (
            (exceptions.NoCredentialsError, exceptions.PartialCredentialsError),
            f"No AWS credentials found. {_SIGN_IN}",
        ),
        (
            (
                exceptions.SSOError,
                exceptions.TokenRetrievalError,
                exceptions.CredentialRetrievalError,
            ),
            f"Your AWS session has expired or cannot be read. {_SIGN_IN_AGAIN}",
        ),
        ((exceptions.InvalidRegionError,), f"{error} Use a region such as us-east-1."),
        (
            (exceptions.ConnectionError, exceptions.HTTPClientError),
            f"Cannot reach AWS: {str(error).rstrip('.')}. {_UNREACHABLE}",
        ),
        ((ResponseParserError,), NOT_AWS),
        ((exceptions.BotoCoreError, Boto3Error), f"AWS error: {error}"),
    )
    if isinstance(error, exceptions.ClientError):
        return _refused(error)
    if isinstance(error, ValueError) and str(error).startswith("Invalid endpoint"):
        return f"{error}. Set AWS_ENDPOINT_URL to a URL such as http://localhost:4566, or unset it."
    return next((text for types, text in texts if isinstance(error, types)), "")


def _refused(error: "ClientError") -> str:
    said = error.response["Error"]
    code = said.get("Code", "")
    if code in _FIXES:
        return "{}. {}".format(*_FIXES[code])
    text = f"AWS refused {error.operation_name}: {said.get('Message') or code}"
    if code in _DENIED:
        return f"{text.rstrip('.')}. Ask for this permission, or choose a profile with --profile."
    if code.isdecimal():  # the answer has no error document that botocore can read
        return f"{text.rstrip('.')} (HTTP {code}). Check AWS_ENDPOINT_URL and the region."
    return text
