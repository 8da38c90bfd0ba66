"""The Saleshandy Open API, spoken over HTTP.

Nothing here is repeated: a connect may have been carried out although its answer was lost, and
a status that did not come is asked for again at the next poll. Only fetching a report, which
changes nothing and has no budget, is tried again at once; how that is done is in `safe_fetch`.

How one call is made, and within which bounds its answer is read, is in `exchange`.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

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
from email_accounts.models.service import (
    PAGE_SIZE,
    AccountStatus,
    ListedAccount,
    ListQuery,
    RequestStatus,
)
from email_accounts.ports import ApiKey, Clock
from email_accounts.saleshandy.safe_fetch import fetch
from email_accounts.text.secret import Redactor, Secret

if TYPE_CHECKING:
    from email_accounts.saleshandy.exchange import Answer

_DEFAULT_RETRY_AFTER = 60.0
_LONGEST_RETRY_AFTER = 3600.0
_LONGEST_TEXT = 500
_LONGEST_LINK = 8192
_SHORTEST_EPOCH = 1e9
_SHORTEST_EPOCH_IN_MILLISECONDS = 1e11
_ADDRESS = re.compile(r"[^\s@]{1,255}@[^\s@]{1,255}")
_REQUEST_ID = re.compile("[!-~]{1,200}")
_CODE = re.compile("[0-9]{1,9}")
_REPORT_FIELD = re.compile("report|url|link|csv|file", re.IGNORECASE)
_BAD_KEY_CODE = 1001
_BAD_REQUEST_CODE = 40000
_STATUSES: Final = {
    "0": AccountStatus.INACTIVE,
    "1": AccountStatus.ACTIVE,
    "2": AccountStatus.SUSPENDED,
}
_STATUS_NUMBERS: Final = {status: int(number) for number, status in _STATUSES.items()}
_FROM_THE_NETWORK = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.MISDIRECTED_REQUEST,
        HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS,
        HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED,
    }
)
"""Refusals by a firewall, a proxy or a gateway, unless their body is Saleshandy's."""


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

        `count` gets each of the metrics Calls, Throttles and ApiKeyRefusals.
        """
        self._count = count
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._trusted_hosts = trusted_hosts
        self._now = now
        self._closed_for = 0.0

    def connect(self, accounts: Sequence[Account]) -> str:
        """Send accounts once and return the request id.

        Raises:
            SaleshandyError: one of its kinds; after OutcomeUnknownError alone it is unknown
                whether the accounts arrived.
        """
        body = [_body_of(account) for account in accounts]
        answer = self._call("POST", "/email-accounts/connect", body, secrets_of(accounts))
        request_id = _fields(answer).get("requestId")
        if type(request_id) not in (str, int) or not _REQUEST_ID.fullmatch(str(request_id)):
            raise OutcomeUnknownError("Saleshandy accepted the request, but returned no request id")
        return str(request_id)

    def status(self, request_id: str) -> RequestStatus:
        """Ask how far a request is.

        Raises:
            SaleshandyError: one of its kinds.
        """
        answer = self._call("GET", f"/email-accounts/connect/status/{quote(request_id, safe='')}")
        fields = _fields(answer)
        return RequestStatus(fields.get("isCompleted") is True, _report_link(answer))

    def listed(self, query: ListQuery) -> list[ListedAccount]:
        """Return one page of the account list; empty after the end.

        Raises:
            SaleshandyError: one of its kinds.
        """
        body: dict[str, object] = {"page": query.page, "pageSize": PAGE_SIZE}
        if query.order:
            body |= {"sortByKey": "created-date", "sort": query.order.value}
        if query.status:
            body["status"] = _STATUS_NUMBERS[query.status]
        if query.search:
            body["search"] = query.search
        try:
            answer = self._call("POST", "/email-accounts", body)
        except RequestNotFoundError:
            if query.page > 1 or query.search or query.status:
                return []
            raise
        accounts = _fields(answer).get("emails")
        if not isinstance(accounts, list):
            raise OutcomeUnknownError("Saleshandy's account list is not readable")
        return [_listed(one) for one in accounts if isinstance(one, dict)]

    def key(self) -> Secret:
        """Return the API key; ApiKeyMissingError where none has been put in."""
        return self._api_key()

    def closed_for(self) -> float:
        """Return the seconds for which the last answer allows no further call; 0 for none."""
        return self._closed_for

    def report(self, link: str) -> AbstractContextManager[Iterator[bytes]]:
        """Fetch a report without the API key, in chunks; see `safe_fetch.fetch`."""
        return fetch(link, self._trusted_hosts)

    def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        hidden: Iterable[Secret] | None = None,
    ) -> object:
        """Call the API once and return the answer's JSON; `hidden` is kept out of errors.

        Without it, no error quotes a response, which may repeat a secret.
        """
        try:
            key = self._api_key()
        except ApiKeyMissingError:
            self._count("ApiKeyRefusals")
            raise
        self._count("Calls")
        # Only who calls the API pays for loading requests.
        from email_accounts.saleshandy.exchange import exchange  # noqa: PLC0415  see above

        answer = exchange(method, self._base_url + path, body, key)
        self._closed_for = _closed_for(answer, self._now())
        if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            if answer.json is None:
                raise OutcomeUnknownError("Saleshandy's response is not readable")
            return answer.json
        redactor = None if hidden is None else Redactor([key, *hidden])
        refusal = _error_of(answer, redactor, self._now())
        if isinstance(refusal, ApiKeyRefusedError):
            self._api_key.forget()
            if self._api_key() != key:
                raise NotSentError("the API key has changed: the new one is used next")
            self._api_key.forget()  # or one that is put in from now on would wait for minutes
            self._count("ApiKeyRefusals")
        elif isinstance(refusal, ThrottledError):
            self._count("Throttles")
        raise refusal


def _error_of(answer: "Answer", redactor: Redactor | None, now: float) -> SaleshandyError:
    """Return the API's error as an exception; see its three shapes in docs/remote-api.md.

    They quote Saleshandy only in redacted text. What a firewall, a proxy or a
    gateway answers in its place was not carried out.
    """
    status = answer.status
    code, text = _shape(answer.json)
    words = " ".join(redactor.clean(text).split())[:_LONGEST_TEXT] if redactor else ""
    said = f"{words} (HTTP {status})" if words else f"HTTP {status}"
    bad_request = status == HTTPStatus.BAD_REQUEST
    if status == HTTPStatus.TOO_MANY_REQUESTS or (bad_request and "rate limit" in text.lower()):
        return ThrottledError(_retry_after(answer, now))
    if (
        status < HTTPStatus.BAD_REQUEST
        or status == HTTPStatus.METHOD_NOT_ALLOWED
        or (status in _FROM_THE_NETWORK and not isinstance(answer.json, dict))
    ):
        return NotSentError(f"Saleshandy cannot be reached: another server answered HTTP {status}")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or (
        bad_request and code == _BAD_KEY_CODE
    ):
        return ApiKeyRefusedError(f"Saleshandy refused the API key: {said}")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return OutcomeUnknownError(f"Saleshandy failed: {said}")
    if code == _BAD_REQUEST_CODE and "not found" in text.lower():
        return RequestNotFoundError(said)
    return RequestRefusedError(said)


def _shape(body: object) -> tuple[int | None, str]:
    """Return the code and the text of an error body in any of its shapes, or none."""
    if not isinstance(body, dict):
        return None, ""
    code = str(body.get("code", body.get("error_code")))
    names = ("message", "messages", "error_message", "error")
    text = next((body[name] for name in names if body.get(name)), "")
    if isinstance(text, list):
        text = "; ".join(item for item in text if isinstance(item, str))
    return (int(code) if _CODE.fullmatch(code) else None), text if isinstance(text, str) else ""


def _retry_after(answer: "Answer", now: float) -> float:
    """Return the seconds to wait: from either header, as seconds, epoch or date."""
    seconds = _moment(answer.headers.get("retry-after", ""), now)
    if seconds is None:
        seconds = _moment(answer.headers.get("x-ratelimit-reset", ""), now)
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
    """Read a date as HTTP, JavaScript or ISO 8601 has it; without a zone it is in UTC."""
    value = value.replace("GMT+", "+").replace("GMT-", "-")
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError, OverflowError):
            moment = parse(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    return None


def _closed_for(answer: "Answer", now: float) -> float:
    """Return the seconds until Saleshandy's own limit is reset, if it is used up."""
    if answer.headers.get("x-ratelimit-remaining", "").strip() != "0":
        return 0.0
    return _retry_after(answer, now)


def _listed(account: dict[str, Any]) -> ListedAccount:
    """Read an account of the list; what is kept of it cannot be a password."""
    address = str(account.get("fromEmail") or "").strip().lower()
    return ListedAccount(
        address=address if _ADDRESS.fullmatch(address) else "",
        status=_STATUSES.get(str(account.get("status")), AccountStatus.UNKNOWN),
        created_at=_epoch(account.get("createdAt")),
        id=hashlib.blake2b(str(account.get("id") or "").encode(), digest_size=5).hexdigest(),
    )


def _epoch(value: object) -> float | None:
    """Read a point in time: an epoch in seconds or milliseconds, or an ISO date with its zone.

    Without a zone it may be half a day off, which is worse than no time.
    """
    try:
        number = float(str(value))
    except ValueError:
        return _iso_date(str(value))
    if not math.isfinite(number) or number < _SHORTEST_EPOCH:
        return None
    return number / 1000 if number > _SHORTEST_EPOCH_IN_MILLISECONDS else number


def _iso_date(value: str) -> float | None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else None


def _fields(answer: object) -> dict[str, Any]:
    """Return the fields of an answer, which are under `payload` or at the top level."""
    if not isinstance(answer, dict):
        return {}
    payload = answer.get("payload")
    return answer | payload if isinstance(payload, dict) else answer


def _report_link(answer: object) -> str | None:
    """Return the link to the report; empty where there is none, None where it is not understood.

    It may be under `payload` or next to it. A filled field that may be a link in another
    form, or under another name, is not 'no link', which may mean that nothing failed.
    """
    if not isinstance(answer, dict):
        return ""
    payload = answer.get("payload")
    places = (payload if isinstance(payload, dict) else {}, answer)
    named = [place["reportURL"] for place in places if place.get("reportURL")]
    if named and isinstance(named[0], str) and len(named[0]) <= _LONGEST_LINK:
        return named[0]
    maybe = any(value and _REPORT_FIELD.search(name) for at in places for name, value in at.items())
    return None if named or maybe else ""


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
