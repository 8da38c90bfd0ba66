"""Fetches a link from outside, from public addresses only.

The name in a link is resolved once. Its addresses are checked, and the connection goes to one of
those that were checked, so a name server that answers differently the next time is not asked.
"""

import logging
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPException
from itertools import cycle, islice
from typing import Final
from urllib.parse import urljoin

import certifi
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Url, parse_url

from email_accounts.errors import ReportUnavailableError
from email_accounts.resolving import is_public, resolve

LARGEST = 50_000_000
"""Bytes that are read at most, as they are after unpacking."""
SECONDS = 30.0
"""Seconds for all of it together: redirects, second attempts, every byte."""

_CONNECT_TIMEOUT = 5.0
_READ_TIMEOUT = 10.0
_PAUSE = 0.5
_ATTEMPTS = 2
_REDIRECTS = 3
_CHUNK = 1 << 16
_OK = 200
_PASSING_FAILURES = frozenset({500, 502, 503, 504})
_PORTS: Final[Mapping[str, int]] = {"https": 443, "http": 80}

# Its warnings about unreadable headers quote the link, which may be all that is needed to read
# what it leads to.
logging.getLogger("urllib3").setLevel(logging.ERROR)


@contextmanager
def fetch(link: str, trusted_hosts: frozenset[str]) -> Iterator[Iterator[bytes]]:
    """Fetch a link in chunks; `trusted_hosts` are called at any address and over plain HTTP.

    Raises:
        ReportUnavailableError: the link leads to no place that is allowed, or nothing comes,
            or too much, or too slowly. The link is not quoted.
    """
    until = time.monotonic() + SECONDS
    for _ in range(_REDIRECTS + 1):
        with _answered(_parsed(link), trusted_hosts, until) as response:
            location = response.get_redirect_location()
            if not location:
                if response.status != _OK:
                    raise ReportUnavailableError(
                        f"the link was answered with HTTP {response.status}"
                    )
                yield _limited(response, until)
                return
        link = _joined(link, location)
    raise ReportUnavailableError(f"the link redirects more than {_REDIRECTS} times")


def _parsed(link: str) -> Url:
    """Read a link with the one parser whose parts are both checked and connected to."""
    try:
        url = parse_url(link)
    except ValueError:
        url = Url()
    if url.scheme not in _PORTS or not url.host:
        raise ReportUnavailableError("the link is not a web address")
    if url.auth:
        raise ReportUnavailableError("the link contains a user name")
    return url


@contextmanager
def _answered(url: Url, trusted_hosts: frozenset[str], until: float) -> Iterator[BaseHTTPResponse]:
    """Ask for a link; a server that fails is asked once more."""
    for last, connection in _connections(url, trusted_hosts):
        if time.monotonic() >= until:
            break
        with ExitStack() as cleaning:
            try:
                cleaning.enter_context(closing(connection))
                connection.connect()
                cleaning.enter_context(cut_off(connection.sock, until))
                response = cleaning.enter_context(_asked(connection, url))
            except (HTTPError, HTTPException, OSError, ValueError) as error:
                if last:
                    raise ReportUnavailableError(
                        f"the link was not answered ({type(error).__name__})"
                    ) from None
            else:
                if last or response.status not in _PASSING_FAILURES:
                    yield response
                    return
        time.sleep(_PAUSE)
    raise ReportUnavailableError("the link took too long")


def _connections(url: Url, trusted_hosts: frozenset[str]) -> Iterator[tuple[bool, HTTPConnection]]:
    """Yield a connection for each attempt, and whether it is the last."""
    host = (url.host or "").strip("[]")
    trusted = host in trusted_hosts
    if url.scheme != "https" and not trusted:
        raise ReportUnavailableError("the link is not https")
    port = url.port or _PORTS[url.scheme or ""]
    addresses = _resolved(host, port)
    # Which of its addresses answers is not ours to say, so all must be public.
    if not addresses or not (trusted or all(map(is_public, addresses))):
        raise ReportUnavailableError("the link does not lead to a public address")
    for number, address in enumerate(islice(cycle(addresses), _ATTEMPTS), start=1):
        yield number == _ATTEMPTS, _connection(url, host, address, port)


def _resolved(host: str, port: int) -> list[str]:
    try:
        return resolve(host, port)
    except (OSError, UnicodeError):
        return []


def _connection(url: Url, host: str, address: str, port: int) -> HTTPConnection:
    if url.scheme == "http":
        return HTTPConnection(address, port, timeout=_CONNECT_TIMEOUT)
    return HTTPSConnection(
        address, port, timeout=_CONNECT_TIMEOUT, server_hostname=host, ca_certs=certifi.where()
    )


@contextmanager
def cut_off(wire: socket.socket, until: float) -> Iterator[None]:
    """Cut a connection off in time.

    Time-outs of a socket are for one receipt: a server that sends a byte now and then passes
    every one of them, the head of its answer included.
    """
    timer = threading.Timer(max(0.0, until - time.monotonic()), _cut, [wire])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _cut(wire: socket.socket) -> None:
    """Shut down both directions, below TLS: a pending read ends."""
    with suppress(OSError):
        socket.socket.shutdown(wire, socket.SHUT_RDWR)


def _asked(connection: HTTPConnection, url: Url) -> BaseHTTPResponse:
    connection.timeout = _READ_TIMEOUT
    headers = {"Host": url.netloc or "", "Connection": "close"}
    connection.request("GET", url.request_uri, headers=headers, preload_content=False)
    return connection.getresponse()


def _limited(response: BaseHTTPResponse, until: float) -> Iterator[bytes]:
    size = 0
    try:
        # Take what has arrived: waiting for a full chunk would skip the size check.
        while chunk := response.read1(_CHUNK, decode_content=True):
            size += len(chunk)
            if size > LARGEST:
                raise ReportUnavailableError(f"it is larger than {LARGEST // 1_000_000} MB")
            yield chunk
    except HTTPError as error:
        raise ReportUnavailableError(f"it was cut off ({type(error).__name__})") from None
    # What was cut off in time may look like the end.
    if time.monotonic() >= until:
        raise ReportUnavailableError("it arrived too slowly")


def _joined(link: str, location: str) -> str:
    try:
        return urljoin(link, location)
    except ValueError:
        return ""
