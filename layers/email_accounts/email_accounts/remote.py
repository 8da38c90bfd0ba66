"""The remote API, spoken over HTTP.

Nothing here is repeated: a connect may have been carried out although its answer was lost, and
a status that did not come is asked for again at the next look. Only fetching a report, which
changes nothing and has no budget, is tried again at once.
"""

import ipaddress
import logging
import math
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.util.retry import Retry

from email_accounts.account import Account, Server
from email_accounts.errors import (
    ApiKeyRefusedError,
    NotSentError,
    RemoteError,
    ReportUnavailableError,
    RequestNotFoundError,
    RequestRefusedError,
    ThrottledError,
    UnansweredError,
)
from email_accounts.ports import ApiKey, Clock, Listed, Status
from email_accounts.secret import Redactor, Secret

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0
LARGEST_REPORT = 50_000_000
"""Bytes of a report that are read at most."""
REPORT_SECONDS = 30.0
"""Seconds after which no more of a report is waited for."""

_TIMEOUTS: Final = (CONNECT_TIMEOUT, READ_TIMEOUT)
_REPORT_TIMEOUTS: Final = (5.0, 10.0)
_CHUNK = 1 << 16
_PAGE_SIZE = 100
_REDIRECTS = 3
_DEFAULT_RETRY_AFTER = 60.0
_LONGEST_RETRY_AFTER = 3600.0
_LONGEST_TEXT = 500
_SHORTEST_EPOCH = 1e9
_SHORTEST_EPOCH_IN_MILLISECONDS = 1e11
_BAD_KEY_CODE = 1001
_BAD_REQUEST_CODE = 40000

# Its warnings about repeated fetches quote the report's link.
logging.getLogger("urllib3").setLevel(logging.ERROR)


class RemoteApi:
    """A client of the Saleshandy Open API with one API key.

    `trusted_hosts` may serve reports although the link is not https at a public address.
    """

    def __init__(
        self,
        base_url: str,
        api_key: ApiKey,
        trusted_hosts: frozenset[str],
        now: Clock,
    ) -> None:
        """Prepare the client; the key is asked for at each call, nothing is called yet."""
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._trusted_hosts = trusted_hosts
        self._now = now
        self._closed_for = 0.0
        self._api = requests.Session()
        self._reports = requests.Session()
        again = Retry(
            total=1,
            backoff_factor=0.5,
            status_forcelist=(500, 502, 503, 504),
            allowed_methods=("GET",),
            redirect=False,
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        for session in (self._api, self._reports):
            session.trust_env = False
        for scheme in ("https://", "http://"):
            self._reports.mount(scheme, HTTPAdapter(max_retries=again))

    def connect(self, accounts: Sequence[Account]) -> str:
        """Send accounts once and return the request id.

        Raises:
            RemoteError: one of its kinds; after UnansweredError alone it is unknown whether
                the accounts arrived.
        """
        body = [_body_of(account) for account in accounts]
        hidden = [secret for account in accounts for secret in account.secrets]
        answer = self._call("POST", "/email-accounts/connect", body, hidden)
        request_id = _fields(answer).get("requestId")
        if not isinstance(request_id, str | int) or not str(request_id):
            raise UnansweredError("the service took the request but named no request id")
        return str(request_id)

    def status(self, request_id: str) -> Status:
        """Look at a request.

        Raises:
            RemoteError: one of its kinds.
        """
        answer = self._call("GET", f"/email-accounts/connect/status/{quote(request_id, safe='')}")
        fields = _fields(answer)
        link = fields.get("reportURL")
        return Status(fields.get("isCompleted") is True, link if isinstance(link, str) else "")

    def listed(self, page: int) -> list[Listed]:
        """Return one page of the account list, from 1, the newest first; empty after the end.

        Raises:
            RemoteError: one of its kinds.
        """
        order = {"page": page, "pageSize": _PAGE_SIZE, "sortByKey": "createdAt", "sort": "desc"}
        accounts = _fields(self._call("POST", "/email-accounts", order)).get("emails")
        if not isinstance(accounts, list):
            raise UnansweredError("the service's account list is not readable")
        return [_listed(one) for one in accounts if isinstance(one, dict)]

    def closed_for(self) -> float:
        """Return the seconds for which the last answer allows no further call; 0 for none."""
        return self._closed_for

    @contextmanager
    def report(self, link: str) -> Iterator[Iterator[bytes]]:
        """Fetch a report without the API key, in chunks.

        Raises:
            ReportUnavailableError: the link leads to no place that is allowed, or the report
                does not come, or is too large.
        """
        until = time.monotonic() + REPORT_SECONDS
        response = self._follow(link, until)
        with response:
            if response.status_code != requests.codes.ok:
                raise ReportUnavailableError(
                    f"the link was answered with HTTP {response.status_code}"
                )
            yield _limited(response, until)

    def _follow(self, link: str, until: float) -> requests.Response:
        for _ in range(_REDIRECTS + 1):
            self._refuse_unsafe(link)
            if time.monotonic() > until:
                raise ReportUnavailableError("the link took too long")
            try:
                response = self._reports.get(
                    link, timeout=_REPORT_TIMEOUTS, stream=True, allow_redirects=False
                )
            except (requests.RequestException, ValueError) as error:
                raise ReportUnavailableError(
                    f"the link was not answered ({type(error).__name__})"
                ) from None
            if not response.is_redirect:
                return response
            link = _joined(link, response.headers["location"])
            response.close()
        raise ReportUnavailableError(f"the link redirects more than {_REDIRECTS} times")

    def _refuse_unsafe(self, link: str) -> None:
        try:
            parts = urlsplit(link)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port, parts = None, None, urlsplit("")
        if not host or parts.scheme not in ("https", "http"):
            raise ReportUnavailableError("the link is no web address")
        if host in self._trusted_hosts:
            return
        if parts.scheme != "https":
            raise ReportUnavailableError("the link is not https")
        if not _is_public(host, port or 443):
            raise ReportUnavailableError("the link does not lead to a public address")

    def _call(
        self, method: str, path: str, body: object = None, hidden: Iterable[Secret] = ()
    ) -> object:
        """Call the API once and return the answer's JSON; `hidden` is kept out of errors."""
        key = self._api_key()
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
                raise UnansweredError("the service's answer is not readable") from None
        refusal = _error_of(response, Redactor([key, *hidden]), self._now())
        if isinstance(refusal, ApiKeyRefusedError):
            self._api_key.forget()
        raise refusal


def _translated(error: Exception) -> RemoteError:
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
    return UnansweredError(f"the service did not answer ({type(error).__name__})")


def _error_of(response: requests.Response, redactor: Redactor, now: float) -> RemoteError:
    """Tell the API's errors apart; see its three shapes in docs/remote-api.md."""
    status = response.status_code
    code, text = _shape(response)
    text = " ".join(redactor.clean(text).split())[:_LONGEST_TEXT]
    said = f"{text} (HTTP {status})" if text else f"HTTP {status}"
    if status == requests.codes.too_many_requests or (
        status == requests.codes.bad_request and "rate limit" in text.lower()
    ):
        return ThrottledError(_retry_after(response, now))
    if status in (requests.codes.unauthorized, requests.codes.forbidden) or (
        status == requests.codes.bad_request and code == _BAD_KEY_CODE
    ):
        return ApiKeyRefusedError(f"the service refused the API key: {said}")
    if status >= requests.codes.server_error or status == requests.codes.request_timeout:
        return UnansweredError(f"the service failed to answer: {said}")
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


def _listed(account: dict[str, Any]) -> Listed:
    """Read an account of the list; status 1 is one that works."""
    created_at = str(account.get("createdAt") or "")
    return Listed(
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


def _limited(response: requests.Response, until: float) -> Iterator[bytes]:
    size = 0
    try:
        # Whatever has come is taken: waiting for a full chunk would never look at the clock.
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            size += len(chunk)
            if size > LARGEST_REPORT:
                raise ReportUnavailableError(f"it is larger than {LARGEST_REPORT // 1_000_000} MB")
            if time.monotonic() > until:
                raise ReportUnavailableError("it came too slowly")
            yield chunk
    except HTTPError as error:
        raise ReportUnavailableError(f"it broke off ({type(error).__name__})") from None


def _joined(link: str, location: str) -> str:
    try:
        return urljoin(link, location)
    except ValueError:
        return ""


def _is_public(host: str, port: int) -> bool:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    addresses = [ipaddress.ip_address(str(entry[4][0]).split("%")[0]) for entry in found]
    return all(_is_public_address(address) for address in addresses)


def _is_public_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_global and not (mapped or address).is_multicast
