"""A server that answers as configured, and misbehaves as real ones do."""

import datetime as dt
import ipaddress
import json
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it arrived; the names of headers in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each request with the next answer that was laid down for it."""

    protocol_version = "HTTP/1.1"
    server: "Service"

    def answer(self) -> None:
        """Take the next answer."""
        self.close_connection = True
        self.server.answers.popleft()(self)

    do_GET = do_POST = answer  # noqa: N815  the names that http.server calls

    def arrived(self) -> None:
        """Read the request to its end and remember it."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.calls.append(Call(self.command, self.path, headers, body))

    def begin(self, status: int, length: int, headers: dict[str, str] | None = None) -> None:
        """Send the head of an answer."""
        self.send_response(status)
        self.send_header("content-length", str(length))
        self.send_header("connection", "close")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def reset(self) -> None:
        """Cut the connection off as a server does that has died."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.wfile = self.rfile = open("/dev/null", "r+b")  # noqa: SIM115, PTH123

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class Service(ThreadingHTTPServer):
    """A server that answers as configured, on a free port."""

    daemon_threads = True

    def __init__(self) -> None:
        """Listen."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: deque[Answer] = deque()
        self.calls: list[Call] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Keep quiet about clients that have gone."""


def said(status: int, body: object = b"", **headers: str) -> Answer:
    """Answer with a status and a body, which is JSON unless it is bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(handler: Handler) -> None:
        handler.arrived()
        spelled = {name.replace("_", "-"): value for name, value in headers.items()}
        handler.begin(status, len(content), spelled)
        handler.wfile.write(content)

    return answer


def reset_before_reading(handler: Handler) -> None:
    """Die before the body of the request has been read."""
    handler.reset()


def reset_after_reading(handler: Handler) -> None:
    """Die when the request has been read."""
    handler.arrived()
    handler.reset()


def silent(handler: Handler) -> None:
    """Say nothing until the test is over."""
    handler.arrived()
    handler.server.over.wait(10)


def truncated(handler: Handler) -> None:
    """Promise more than is sent."""
    handler.arrived()
    handler.begin(200, 1000)
    handler.wfile.write(b"Email,Reason\r\n")


def dripping(handler: Handler) -> None:
    """Send a byte now and then, without an end."""
    handler.arrived()
    handler.begin(200, 1_000_000)
    while not handler.server.over.wait(0.02):
        handler.wfile.write(b"x")


def dripping_head(handler: Handler) -> None:
    """Send the head of an answer header by header, without an end."""
    handler.arrived()
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
    while not handler.server.over.wait(0.02):
        handler.wfile.write(b"x")


@contextmanager
def serving() -> Iterator[Service]:
    """Run a server that has no answers yet."""
    with Service() as service:
        thread = threading.Thread(target=lambda: service.serve_forever(0.01))
        thread.start()
        yield service
        service.over.set()
        service.shutdown()
        thread.join()


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def speak_tls(service: Service, folder: Path, *names: str) -> Path:
    """Let a server prove these names or addresses; return the certificate that vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    service.socket = context.wrap_socket(service.socket, server_side=True)
    return file


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
