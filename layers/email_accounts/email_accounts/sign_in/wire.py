"""A connection to a mail server that a stranger chose: bounded in time, lines and bytes."""

import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import certifi

from email_accounts.models.host_brake import machine_of
from email_accounts.resolving import is_public, resolve
from email_accounts.sign_in.findings import Finding, Verdict

SECONDS = 25.0
"""Seconds for one attempt, from resolving to the last reply. Dovecot delays every sign-in from an
address for up to 15 s after wrong passwords, right ones too.
Source: https://doc.dovecot.org/2.3/configuration_manual/authentication/auth_penalty/
"""
PORTS = {"smtp": frozenset({465, 587, 2525}), "imap": frozenset({993, 143})}
_LOOPBACK = "127.0.0.1"
_CONNECT_SECONDS = 10.0
_SILENCE_SECONDS = 6.0
"""After this a port that says nothing is asked whether it speaks TLS."""
_LONGEST_LINE = 8192
_MOST_LINES = 64
_MOST_BYTES = 65_536
_CHUNK = 4096
_NOT_TLS = frozenset(
    {
        "HTTP_REQUEST",
        "PACKET_LENGTH_TOO_LONG",
        "RECORD_LAYER_FAILURE",
        "UNKNOWN_PROTOCOL",
        "WRONG_VERSION_NUMBER",
    }
)
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


class EndedError(Exception):
    """The attempt ends here: how, and what was said."""

    def __init__(self, verdict: Verdict, said: str) -> None:
        """Remember both."""
        super().__init__(said)
        self.verdict = verdict
        self.said = said


@cache
def tls() -> ssl.SSLContext:
    """Return the settings of TLS: certificates and names are checked, form is not.

    Python 3.13 refuses certificates for their form that every mail program accepts.
    `SSL_CERT_FILE` can name further authorities.
    """
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


class Wire:
    """A connection to one side of a mailbox, in the shape that smtplib and imaplib read from.

    To them it is a socket, its file and the context of TLS at once.
    """

    def __init__(self, host: str, port: int, address: str) -> None:
        """Connect to an address of a host; see `locate`. No TLS yet."""
        self._until = time.monotonic() + SECONDS
        self._host, self._port = host, port
        self._heard = b""
        self._lines = self._bytes = 0
        self._address = address
        self._socket = self._connected()

    def start_tls(self) -> None:
        """Go over to TLS."""
        if self._heard:  # said in the clear, to be taken for said under TLS
            raise EndedError(Verdict.MISMATCH, "the server spoke between STARTTLS and TLS")
        self._socket = self._secured(self._socket)

    def expect_greeting(self) -> None:
        """Wait for the greeting of a port without TLS; find out early that it waits for TLS."""
        try:
            self._receive(_SILENCE_SECONDS)
        except TimeoutError:
            if self._speaks_tls():
                raise EndedError(
                    Verdict.MISMATCH, "this port speaks TLS from the start: ssl, not tls"
                ) from None

    def _connected(self) -> socket.socket:
        return socket.create_connection(
            (self._address, self._port), timeout=self._left(_CONNECT_SECONDS)
        )

    def _secured(self, plain: socket.socket) -> ssl.SSLSocket:
        plain.settimeout(self._left(_CONNECT_SECONDS))
        try:
            return tls().wrap_socket(plain, server_hostname=self._host)
        except BaseException:
            plain.close()
            raise

    def _speaks_tls(self) -> bool:
        try:
            self._secured(self._connected()).close()
        except OSError as error:
            return isinstance(error, ssl.SSLCertVerificationError)
        return True

    def _left(self, most: float = SECONDS) -> float:
        left = min(self._until - time.monotonic(), most)
        if left <= 0:
            raise TimeoutError
        return left

    def _receive(self, most: float = SECONDS) -> None:
        self._socket.settimeout(self._left(most))
        received = self._socket.recv(_CHUNK)
        if not received:
            said = self._heard.decode("utf-8", "replace")
            raise EndedError(Verdict.NO_ANSWER, said or "connection closed by the server")
        self._heard += received
        self._bytes += len(received)
        if self._bytes > _MOST_BYTES:
            raise EndedError(Verdict.NO_ANSWER, "the server says too much")

    def _receive_more(self) -> None:
        try:
            self._receive()
        except OSError as error:  # smtplib would take it for a connection that was closed
            raise _end_of(error) from None

    # What smtplib and imaplib call

    def wrap_socket(self, *_: object, **__: object) -> "Wire":
        """Go over to TLS, as a context."""
        self.start_tls()
        return self

    def makefile(self, *_: object) -> "Wire":
        """Be the file, as a socket."""
        return self

    def sendall(self, data: bytes) -> None:
        """Send, as a socket."""
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(data)
        except OSError as error:
            raise _end_of(error) from None

    def readline(self, _: int = -1) -> bytes:
        """Read a line, as a file."""
        while (end := self._heard.find(b"\n") + 1) == 0:
            if len(self._heard) > _LONGEST_LINE:
                raise EndedError(Verdict.NO_ANSWER, "the server says too much")
            self._receive_more()
        self._lines += 1
        if self._lines > _MOST_LINES:
            raise EndedError(Verdict.NO_ANSWER, "the server says too much")
        return self._taken(end)

    def read(self, size: int) -> bytes:
        """Read so many bytes, as a file."""
        while len(self._heard) < size:
            self._receive_more()
        return self._taken(size)

    def _taken(self, size: int) -> bytes:
        taken, self._heard = self._heard[:size], self._heard[size:]
        return taken

    def close(self) -> None:
        """Close it."""
        self._socket.close()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a host is: the address to connect to, and the machine whose brake counts."""

    address: str
    machine: str


def locate(side: str, host: str, port: int, trusted_hosts: frozenset[str]) -> Place | Finding:
    """Resolve a host once; a finding where the port or an address is not allowed, or none is there.

    A host at or below one of the `trusted_hosts` is on this computer, at any port, and is never
    resolved.
    """
    labels = host.lower().split(".")
    if any(".".join(labels[at:]) in trusted_hosts for at in range(len(labels))):
        return Place(_LOOPBACK, host)
    if port not in PORTS[side]:
        said = f"port {port} is not a usual port of mail programs"
        return Finding(side, Verdict.NOT_TRIED, said)
    try:
        addresses = resolve(host, port)
    except UnicodeError:
        addresses = []
    except socket.gaierror as error:
        if error.errno not in _NO_SUCH_NAME:
            return Finding(side, Verdict.NO_ANSWER, "EAI_AGAIN: the name server did not answer")
        addresses = []
    if not addresses:
        said = "ENOTFOUND: the name of the host does not exist"
        return Finding(side, Verdict.NO_SUCH_HOST, said)
    # Which of its addresses answers is not ours to say, so all must be public.
    if not all(map(is_public, addresses)):
        return Finding(side, Verdict.NOT_TRIED, "the host has no public address")
    machine, address = machine_of(host, addresses)
    return Place(address, machine)


def ended(dialogue: Callable[[], tuple[Verdict, str]]) -> tuple[Verdict, str]:
    """Carry a dialogue out; return how it ended and what was said, whatever happens."""
    try:
        return dialogue()
    except EndedError as end:
        return end.verdict, end.said
    except OSError as error:
        failed = _end_of(error)
        return failed.verdict, failed.said
    except ValueError:  # smtplib and imaplib read numbers, letters and base64 of a stranger
        return Verdict.NO_ANSWER, "the server's reply is malformed"


def _end_of(error: OSError) -> EndedError:
    match error:
        case TimeoutError():
            return EndedError(Verdict.NO_ANSWER, "connection timed out")
        case ssl.SSLCertVerificationError():
            return EndedError(Verdict.CERTIFICATE, f"certificate: {error.verify_message}")
        case ssl.SSLError():
            verdict = Verdict.MISMATCH if error.reason in _NOT_TLS else Verdict.NO_ANSWER
            return EndedError(verdict, f"TLS handshake failed: {error.reason}")
        case ConnectionRefusedError():
            return EndedError(Verdict.NO_ANSWER, "connection refused")
    return EndedError(Verdict.NO_ANSWER, f"connection failed ({type(error).__name__})")
