"""The remote API, spoken over HTTP.

Nothing here is repeated: a connect may have been carried out although its answer was lost, and
a status that did not come is asked for again at the next look. Only fetching a report, which
changes nothing and has no budget, is tried again at once; how that is done is in `egress`.
"""

import math
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote

import requests
from urllib3.exceptions import NewConnectionError

from email_accounts.errors import (
    ApiKeyMissingError,
    ApiKeyRefusedError,
    NotSentError,
    OutcomeUnknownError,
    RequestNotFoundError,
    RequestRefusedError,
    SaleshandyError,
    ThrottledError,
)
from email_accounts.models.account import Account, Server, secrets_of
from email_accounts.models.service import ListedAccount, RequestStatus
from email_accounts.ports import ApiKey, Clock
from email_accounts.saleshandy.safe_fetch import fetch
from email_accounts.text.secret import Redactor, Secret

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0

_TIMEOUTS: Final = (CONNECT_TIMEOUT, READ_TIMEOUT)
_PAGE_SIZE = 100
_DEFAULT_RETRY_AFTER = 60.0
_LONGEST_RETRY_AFTER = 3600.0
_LONGEST_TEXT = 500
_SHORTEST_EPOCH = 1e9
_SHORTEST_EPOCH_IN_MILLISECONDS = 1e11
_BAD_KEY_CODE = 1001
_BAD_REQUEST_CODE = 40000


class SaleshandyClient:
    """A client of the Saleshandy Open API with one API key.

    `trusted_hosts` may serve reports although the link is not https at a public address.
    """

    def __init__(
        self,
        base_url: str,
        api_key: ApiKey,
        trusted_hosts: frozenset[str],
        now: Clock,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Prepare the client; the key is asked for at each call, nothing is called yet.

        `count` is told of each of the metrics Calls, Throttles and ApiKeyRefusals.
        """
        self._count = count
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._trusted_hosts = trusted_hosts
        self._now = now
        self._closed_for = 0.0
        self._api = requests.Session()
        self._api.trust_env = False

    def connect(self, accounts: Sequence[Account]) -> str:
        """Send accounts once and return the request id.

        Raises:
            RemoteError: one of its kinds; after UnansweredError alone it is unknown whether
                the accounts arrived.
        """
        body = [_body_of(account) for account in accounts]
        answer = self._call("POST", "/email-accounts/connect", body, secrets_of(accounts))
        request_id = _fields(answer).get("requestId")
        if not isinstance(request_id, str | int) or not str(request_id):
            raise OutcomeUnknownError("the service took the request but named no request id")
        return str(request_id)

    def status(self, request_id: str) -> RequestStatus:
        """Look at a request.

        Raises:
            RemoteError: one of its kinds.
        """
        answer = self._call("GET", f"/email-accounts/connect/status/{quote(request_id, safe='')}")
        fields = _fields(answer)
        link = fields.get("reportURL")
        return RequestStatus(
            fields.get("isCompleted") is True, link if isinstance(link, str) else ""
        )

    def listed(self, page: int) -> list[ListedAccount]:
        """Return one page of the account list, from 1, the newest first; empty after the end.

        Raises:
            RemoteError: one of its kinds.
        """
        order = {"page": page, "pageSize": _PAGE_SIZE, "sortByKey": "createdAt", "sort": "desc"}
        accounts = _fields(self._call("POST", "/email-accounts", order)).get("emails")
        if not isinstance(accounts, list):
            raise OutcomeUnknownError("the service's account list is not readable")
        return [_listed(one) for one in accounts if isinstance(one, dict)]

    def key(self) -> Secret:
        """Return the API key; ApiKeyMissingError where none has been put in."""
        return self._api_key()

    def closed_for(self) -> float:
        """Return the seconds for which the last answer allows no further call; 0 for none."""
        return self._closed_for

    def report(self, link: str) -> AbstractContextManager[Iterator[bytes]]:
        """Fetch a report without the API key, in chunks; see `egress.fetched`."""
        return fetch(link, self._trusted_hosts)

    def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        hidden: Iterable[Secret] | None = None,
    ) -> object:
        """Call the API once and return the answer's JSON; `hidden` is kept out of errors.

        Without it nobody knows here what an answer may repeat, so no error quotes one.
        """
        try:
            key = self._api_key()
        except ApiKeyMissingError:
            self._count("ApiKeyRefusals")
            raise
        self._count("Calls")
        try:
            response = self._api.request(
                method,
                self._base_url + path,
                json=body,
                headers={
                    "x-api-key": key.reveal(),
                    "accept": "application/json",
                    # A kept connection may have died unnoticed, which would leave a connect
                    # unanswered that never was sent.
                    "connection": "close",
                },
                timeout=_TIMEOUTS,
                allow_redirects=False,
            )
        except (requests.RequestException, ValueError) as error:
            raise _translated(error) from None
        self._closed_for = _closed_for(response, self._now())
        if response.ok and not response.is_redirect:
            try:
                return response.json()
            except ValueError:
                raise OutcomeUnknownError("the service's answer is not readable") from None
        redactor = None if hidden is None else Redactor([key, *hidden])
        refusal = _error_of(response, redactor, self._now())
        if isinstance(refusal, ApiKeyRefusedError):
            self._api_key.forget()
            if self._api_key() != key:
                raise NotSentError("the API key was changed meanwhile: the new one comes next")
            self._api_key.forget()  # or one that is put in from now on would wait for minutes
            self._count("ApiKeyRefusals")
        elif isinstance(refusal, ThrottledError):
            self._count("Throttles")
        raise refusal


def _translated(error: Exception) -> SaleshandyError:
    """Tell what never was sent from what may have arrived.

    A bare ValueError comes from an unreadable redirect, so there was an answer.
    """
    unsendable = isinstance(error, requests.RequestException) and isinstance(error, ValueError)
    cause = getattr(error.args[0] if error.args else None, "reason", None)
    never_sent = isinstance(cause, NewConnectionError) or isinstance(error, requests.ConnectTimeout)
    bad_certificate = isinstance(error, requests.exceptions.SSLError) and isinstance(
        getattr(cause, "args", (None,))[0], ssl.SSLCertVerificationError
    )
    if unsendable or never_sent or bad_certificate:
        return NotSentError(f"the service cannot be reached ({type(error).__name__})")
    return OutcomeUnknownError(f"the service did not answer ({type(error).__name__})")


def _error_of(
    response: requests.Response, redactor: Redactor | None, now: float
) -> SaleshandyError:
    """Tell the API's errors apart; see its three shapes in docs/remote-api.md.

    They quote the service only in what the redactor has cleaned.
    """
    status = response.status_code
    code, text = _shape(response)
    words = " ".join(redactor.clean(text).split())[:_LONGEST_TEXT] if redactor else ""
    said = f"{words} (HTTP {status})" if words else f"HTTP {status}"
    if status == requests.codes.too_many_requests or (
        status == requests.codes.bad_request and "rate limit" in text.lower()
    ):
        return ThrottledError(_retry_after(response, now))
    if status in (requests.codes.unauthorized, requests.codes.forbidden) or (
        status == requests.codes.bad_request and code == _BAD_KEY_CODE
    ):
        return ApiKeyRefusedError(f"the service refused the API key: {said}")
    if status >= requests.codes.server_error or status == requests.codes.request_timeout:
        return OutcomeUnknownError(f"the service failed to answer: {said}")
    if code == _BAD_REQUEST_CODE and "not found" in text.lower():
        return RequestNotFoundError(said)
    return RequestRefusedError(said)


def _shape(response: requests.Response) -> tuple[int | None, str]:
    """Return the code and the text of an error body in any of its shapes, or none."""
    try:
        body = response.json()
    except ValueError:
        return None, ""
    if not isinstance(body, dict):
        return None, ""
    code = body.get("code", body.get("error_code"))
    names = ("message", "messages", "error_message", "error")
    text = next((body[name] for name in names if body.get(name)), "")
    if isinstance(text, list):
        text = "; ".join(item for item in text if isinstance(item, str))
    return (int(str(code)) if str(code).isdecimal() else None), text if isinstance(
        text, str
    ) else ""


def _retry_after(response: requests.Response, now: float) -> float:
    """Return the seconds to wait: from either header, as seconds, epoch or date."""
    seconds = _moment(response.headers.get("retry-after", ""), now)
    if seconds is None:
        seconds = _moment(response.headers.get("x-ratelimit-reset", ""), now)
    if seconds is None:
        return _DEFAULT_RETRY_AFTER
    return min(max(seconds, 1.0), _LONGEST_RETRY_AFTER)


def _moment(value: str, now: float) -> float | None:
    """Read seconds from now, an epoch in seconds or milliseconds, or a date; None for neither."""
    try:
        number = float(value)
    except ValueError:
        return _date(value, now)
    if not math.isfinite(number):
        return None
    if number < _SHORTEST_EPOCH:
        return number
    return (number / 1000 if number > _SHORTEST_EPOCH_IN_MILLISECONDS else number) - now


def _date(value: str, now: float) -> float | None:
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            return parse(value).timestamp() - now
        except ValueError:
            continue
    return None


def _closed_for(response: requests.Response, now: float) -> float:
    """Return the seconds until the remote's own limit is reset, where it is used up."""
    if response.headers.get("x-ratelimit-remaining", "").strip() != "0":
        return 0.0
    return _retry_after(response, now)


def _listed(account: dict[str, Any]) -> ListedAccount:
    """Read an account of the list; status 1 is one that works."""
    created_at = str(account.get("createdAt") or "")
    return ListedAccount(
        address=str(account.get("fromEmail") or "").strip().lower(),
        connected=str(account.get("status")) == "1",
        created_at=_epoch(created_at),
    )


def _epoch(value: str) -> float | None:
    """Read a point in time: an epoch in seconds or milliseconds, or a date."""
    seconds = _moment(value, 0.0)
    return seconds if seconds and seconds >= _SHORTEST_EPOCH else None


def _fields(answer: object) -> dict[str, Any]:
    """Return the fields of an answer, which stand under `payload` or at the top."""
    if not isinstance(answer, dict):
        return {}
    payload = answer.get("payload")
    return payload if isinstance(payload, dict) else answer


def _body_of(account: Account) -> dict[str, str | int]:
    return {
        "emailServiceProvider": account.provider,
        "fromFirstName": account.first_name,
        "fromLastName": account.last_name,
        **_server_body("smtp", account.smtp),
        **_server_body("imap", account.imap),
    }


def _server_body(side: str, server: Server) -> dict[str, str | int]:
    return {
        f"{side}EmailAddress": server.address,
        f"{side}UserName": server.user_name,
        f"{side}Password": server.password.reveal(),
        f"{side}Host": server.host,
        f"{side}Port": server.port,
        f"{side}Encryption": server.encryption,
    }
