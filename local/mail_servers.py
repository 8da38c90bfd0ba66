"""Mail servers that misbehave on request, each with its own name, on ports that need no root.

They speak just enough of SMTP and IMAP to be signed in to, do what a real server cannot be made to
do, and count the attempts. A certificate authority made for the run vouches for them: programs
trust it by `SSL_CERT_FILE`. Its certificates lack what RFC 5280 requires, as many do.
"""

import asyncio
import base64
import datetime as dt
import ssl
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from local.echoes import ECHOES

DOMAIN = "mail.test"
"""All names of hosts end with it."""

_DAY = dt.timedelta(days=1)
_ENDLESS = 100_000


@dataclass(frozen=True, slots=True)
class Manner:
    """How a mail server behaves. What is not given is as usual.

    `smtp` and `imap` are the replies to a sign-in, without the tag; the name of a way of
    `echoes.py`, in braces, repeats the password in it. Without them only `right` signs in.
    `penalty` is how
    many seconds each sign-in after a refused one waits. `silent` says nothing at all.
    """

    name: str
    implicit: bool = True
    greeting: str = ""
    silent: bool = False
    hangs_up: bool = False
    endless: bool = False
    drip: float = 0.0
    offers: str = "PLAIN LOGIN"
    starttls: bool = True
    injects: str = ""
    smtp: str = ""
    imap: str = ""
    right: str = "right-password"
    penalty: float = 0.0
    certificate: str = "good"

    @property
    def host(self) -> str:
        """The name of the host."""
        return f"{self.name}.{DOMAIN}"


@dataclass(slots=True)
class MailServer:
    """A running server: its ports, and how often each user tried to sign in at each side."""

    manner: Manner
    ports: dict[str, int] = field(default_factory=dict)
    attempts: Counter[tuple[str, str]] = field(default_factory=Counter)
    connections: int = 0
    refused: int = 0

    def tried(self, side: str) -> int:
        """Count the attempts at a side."""
        return sum(count for (at, _), count in self.attempts.items() if at == side)


@dataclass(frozen=True, slots=True)
class MailServers:
    """Running servers by their names, and the file of the authority that vouches for them."""

    ca_file: Path
    by_name: dict[str, MailServer]

    def __getitem__(self, name: str) -> MailServer:
        """Return the server of a name."""
        return self.by_name[name]


@contextmanager
def serving(folder: Path, manners: Sequence[Manner]) -> Iterator[MailServers]:
    """Run servers in a thread; keys and certificates are in the folder."""
    contexts = _contexts(folder)
    servers = MailServers(folder / "ca.pem", {one.name: MailServer(one) for one in manners})
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def run() -> None:
        async with _all_open(servers, contexts):
            ready.set()
            await over.wait()

    def run_to_its_end() -> None:
        loop.run_until_complete(run())
        loop.close()

    thread = threading.Thread(target=run_to_its_end, daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield servers
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)


@asynccontextmanager
async def _all_open(
    servers: MailServers, contexts: dict[str, ssl.SSLContext]
) -> AsyncIterator[None]:
    listeners = []
    for server in servers.by_name.values():
        for side in ("smtp", "imap"):
            context = contexts[server.manner.certificate]
            listener = await asyncio.start_server(
                _handler(server, side, context),
                "127.0.0.1",
                ssl=context if server.manner.implicit else None,
            )
            server.ports[side] = listener.sockets[0].getsockname()[1]
            listeners.append(listener)
    try:
        yield
    finally:
        for listener in listeners:
            listener.close()
        others = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)


_Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def _handler(server: MailServer, side: str, context: ssl.SSLContext) -> _Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        session = (_Smtp if side == "smtp" else _Imap)(server, context, reader, writer)
        with suppress(OSError, EOFError, asyncio.CancelledError, ValueError):
            await session.serve()
        writer.transport.abort() if server.manner.hangs_up else writer.close()

    return serve


class _Session:
    """One connection."""

    side = ""
    usual_greeting = ""

    def __init__(
        self,
        server: MailServer,
        context: ssl.SSLContext,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.server, self.manner, self.context = server, server.manner, context
        self.reader, self.writer = reader, writer
        self.secure = server.manner.implicit

    async def serve(self) -> None:
        if self.manner.hangs_up:
            return
        if self.manner.silent:
            await asyncio.sleep(3600)
        await self.say(self.manner.greeting or self.usual_greeting)
        for _ in range(_ENDLESS if self.manner.endless else 0):
            await self.say("* OK more" if self.side == "imap" else "220-more")
        while line := (await self.reader.readline()).decode().rstrip("\r\n"):
            await self.command(line)

    async def command(self, line: str) -> None:
        raise NotImplementedError

    async def say(self, text: str) -> None:
        data = f"{text}\r\n".encode()
        for part in [data[at : at + 1] for at in range(len(data))] if self.manner.drip else [data]:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(self.manner.drip)

    async def start_tls(self, said: str) -> None:
        self.writer.write(f"{said}\r\n{self.manner.injects}".encode())
        await self.writer.drain()
        await self.writer.start_tls(self.context)
        self.secure = True

    async def heard(self) -> str:
        return base64.b64decode(await self.reader.readline()).decode()

    async def validated(self, user: str, password: str) -> str:
        """Count an attempt; return the configured reply, or "" for the usual one."""
        self.server.attempts[self.side, user] += 1
        if self.server.refused:
            await asyncio.sleep(self.manner.penalty)
        wanted = self.manner.smtp if self.side == "smtp" else self.manner.imap
        if password != self.manner.right:
            self.server.refused += 1
        elif not wanted:
            return "good"
        for name, encode in ECHOES.items():
            if (braced := f"{{{name}}}") in wanted:
                wanted = wanted.replace(braced, "".join(encode(password).splitlines()))
        return wanted


class _Smtp(_Session):
    side = "smtp"
    usual_greeting = f"220 {DOMAIN} ESMTP"

    async def command(self, line: str) -> None:
        verb, offers = line.split(" ", maxsplit=1)[0].upper(), self.manner.offers
        if verb == "EHLO":
            more = [f"AUTH {offers}"] if offers and self.secure else []
            more += ["STARTTLS"] if self.manner.starttls and not self.secure else []
            await self.say("\r\n".join([*(f"250-{one}" for one in [DOMAIN, *more]), "250 SIZE 9"]))
        elif verb == "STARTTLS":
            await self.start_tls("220 go ahead")
        elif line.startswith("AUTH PLAIN "):
            _, user, password = base64.b64decode(line.split(" ")[2]).decode().split("\0")
            await self._reply(user, password)
        elif line == "AUTH LOGIN":
            await self.say("334 VXNlcm5hbWU6")
            user = await self.heard()
            await self.say("334 UGFzc3dvcmQ6")
            await self._reply(user, await self.heard())
        else:
            await self.say("221 bye")

    async def _reply(self, user: str, password: str) -> None:
        wanted = await self.validated(user, password)
        await self.say(
            "235 2.7.0 ok"
            if wanted == "good"
            else wanted or "535 5.7.8 Error: authentication failed: (reason unavailable)"
        )


class _Imap(_Session):
    side = "imap"
    usual_greeting = "* OK ready"

    async def command(self, line: str) -> None:
        tag, _, command = line.partition(" ")
        if command == "CAPABILITY":
            offers = " ".join(f"AUTH={one}" for one in self.manner.offers.split())
            offered = offers if self.secure else "LOGINDISABLED"
            offered += " STARTTLS" if self.manner.starttls and not self.secure else ""
            await self.say(f"* CAPABILITY IMAP4rev1 {offered}\r\n{tag} OK done")
        elif command == "STARTTLS":
            await self.start_tls(f"{tag} OK go ahead")
        elif command == "AUTHENTICATE PLAIN":
            await self.say("+ ")
            _, user, password = (await self.heard()).split("\0")
            await self._reply(tag, user, password)
        elif command == "AUTHENTICATE LOGIN":
            await self.say("+ VXNlcm5hbWU6")
            user = await self.heard()
            await self.say("+ UGFzc3dvcmQ6")
            await self._reply(tag, user, await self.heard())
        elif command.startswith("LOGIN "):
            _, user, password = (one.strip('"') for one in command.split(" "))
            await self._reply(tag, user, password)
        else:
            await self.say(f"* BYE\r\n{tag} OK bye")

    async def _reply(self, tag: str, user: str, password: str) -> None:
        wanted = await self.validated(user, password)
        if wanted == "good":
            await self.say(f"{tag} OK in")
            return
        before, _, last = (wanted or "NO [AUTHENTICATIONFAILED] Authentication failed.").rpartition(
            "\n"
        )
        await self.say(f"{before}\r\n{tag} {last}" if before else f"{tag} {last}")


# Certificates


def _contexts(folder: Path) -> dict[str, ssl.SSLContext]:
    """Make an authority, and the certificates that the servers have; none has a keyUsage."""
    now = dt.datetime.now(dt.UTC)
    authority = ec.generate_private_key(ec.SECP256R1())
    issuer = _named("authority of this run")
    ca = _certificate(issuer, issuer, authority, authority, now + _DAY, ca=True)
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    names = {
        "good": (f"*.{DOMAIN}", now + _DAY, issuer, authority),
        "expired": (f"*.{DOMAIN}", now - _DAY, issuer, authority),
        "another name": ("mail.elsewhere.test", now + _DAY, issuer, authority),
    }
    contexts = {}
    for kind, (name, until, by, signer) in names.items():
        key = ec.generate_private_key(ec.SECP256R1())
        made = _certificate(_named(name), by, key, signer, until, ca=False)
        file = folder / f"{kind.replace(' ', '-')}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        contexts[kind] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        contexts[kind].load_cert_chain(file)
    return contexts


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _certificate(  # noqa: PLR0913  the parts of one certificate
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    until: dt.datetime,
    *,
    ca: bool,
) -> x509.Certificate:
    name = str(subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)
    builder = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(until - 10 * _DAY)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, hashes.SHA256())
