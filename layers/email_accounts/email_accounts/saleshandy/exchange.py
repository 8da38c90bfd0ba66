"""One HTTP exchange with the API: sent once, and answered within bounds of seconds and bytes.

Each exchange has its own connection, which is closed after it: a kept one may have died
unnoticed, which would leave a connect unanswered that never was sent.
"""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from socket import socket
from typing import Any, cast

from requests import Request, RequestException, Response, Session
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from email_accounts.errors import NotSentError, OutcomeUnknownError
from email_accounts.saleshandy.safe_fetch import cut_off
from email_accounts.text.secret import Secret

SECONDS = 60.0
"""Seconds for one call: connecting, sending, every byte of the answer."""
LARGEST = 10_000_000
"""Bytes of an answer that are read at most, as they are after unpacking."""

_CONNECT_TIMEOUT = 5.0
_READ_TIMEOUT = 30.0
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the API; `json` is None where the body is none."""

    status: int
    headers: Mapping[str, str]
    json: object


def exchange(method: str, url: str, body: object, key: Secret) -> Answer:
    """Send one request and read its answer.

    Raises:
        NotSentError: nothing was sent: no connection came about, or the request has no form.
        OutcomeUnknownError: it may have arrived.
    """
    until = time.monotonic() + SECONDS
    with ExitStack() as stack:
        session = stack.enter_context(_Session())
        opened = False

        def on_open(wire: socket) -> None:
            nonlocal opened
            opened = True
            stack.enter_context(cut_off(wire, until))

        for scheme in ("http://", "https://"):
            session.mount(scheme, _Adapter(on_open))
        try:
            # Whatever is wrong with the parts of a request is found before its first byte is sent.
            request = session.prepare_request(_request(method, url, body, key))
        except ValueError as error:
            raise NotSentError(f"the request cannot be sent ({type(error).__name__})") from None
        try:
            timeout = (_CONNECT_TIMEOUT, _READ_TIMEOUT)
            response = session.send(request, stream=True, timeout=timeout)
            stack.enter_context(closing(response))
            return Answer(response.status_code, response.headers, _json(_content(response)))
        except (RequestException, HTTPError, OSError, ValueError) as error:
            name = type(error).__name__
            if not opened:
                raise NotSentError(f"Saleshandy cannot be reached ({name})") from None
            raise OutcomeUnknownError(f"Saleshandy did not answer ({name})") from None


class _Session(Session):
    """Takes nothing from the environment and follows no redirect, whose body has no bound."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.headers.clear()

    def get_redirect_target(self, resp: Response) -> None:
        """Take every answer as it is."""


class _Adapter(HTTPAdapter):
    """Reports the connection it opened, before anything is sent over it."""

    def __init__(self, on_open: Callable[[socket], None]) -> None:
        super().__init__()
        self._on_open = on_open

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:  # noqa: ANN401 - as requests hands them over
        """Return a pool whose connection is watched."""
        pool = cast("HTTPConnectionPool", super().get_connection_with_tls_context(*args, **kwargs))
        pool.ConnectionCls = _WatchedHTTPS if pool.scheme == "https" else _Watched
        pool.conn_kw["on_open"] = self._on_open
        return pool


class _Watched(HTTPConnection):
    def __init__(self, *args: Any, on_open: Callable[[socket], None], **kwargs: Any) -> None:  # noqa: ANN401 - as urllib3 hands them over
        super().__init__(*args, **kwargs)
        self._on_open = on_open

    def connect(self) -> None:
        super().connect()
        self._on_open(self.sock)


class _WatchedHTTPS(_Watched, HTTPSConnection):
    pass


def _request(method: str, url: str, body: object, key: Secret) -> Request:
    headers = {
        "accept": "application/json",
        "connection": "close",
        "content-type": "application/json",
        "x-api-key": key.reveal().encode("latin-1"),
    }
    return Request(method, url, headers, data=None if body is None else json.dumps(body).encode())


def _content(response: Response) -> bytes:
    content = bytearray()
    while chunk := response.raw.read1(_CHUNK, decode_content=True):
        content += chunk
        if len(content) > LARGEST:
            raise OutcomeUnknownError(
                f"Saleshandy's response is larger than {LARGEST // 1_000_000} MB"
            )
    return bytes(content)


def _json(content: bytes) -> object:
    """Read JSON; None for what is none, or nested too deeply.

    Half an emoji, as JavaScript leaves it of a text that it cuts, could not be written anywhere.
    """
    try:
        found: object = json.loads(content)
        if b"\\ud" in content.lower():
            found = json.loads(json.dumps(found, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return None
    return found
