"""Mail servers that misbehave, each fault once, and what a sign-in check must make of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from email_accounts.models.account import Account, Server
from email_accounts.sign_in import wire
from email_accounts.sign_in.dialogue import sign_in
from email_accounts.sign_in.findings import Finding, Verdict
from email_accounts.text.secret import Secret
from local.mail_servers import DOMAIN, MailServers, Manner, serving

TRUSTED = frozenset({DOMAIN})
RIGHT, WRONG = "right-password", "wrong-password"


@dataclass(frozen=True, slots=True)
class Fault:
    """A server, how a row describes it, and what comes of a sign-in at each side."""

    manner: Manner
    verdict: Verdict
    cause: str
    encryption: str = "ssl"
    password: str = RIGHT
    attempts: int = 0
    certain: bool = False


def _refused(
    manner: Manner, cause: str = "wrong_password", encryption: str = "ssl", password: str = WRONG
) -> Fault:
    """Return a server that refuses the one attempt, for a reason that is proven."""
    verdict = Verdict.REFUSED
    return Fault(manner, verdict, cause, encryption, password, attempts=1, certain=True)


FAULTS = (
    _refused(Manner("wrong")),
    _refused(Manner("starttls", implicit=False), encryption="tls"),
    _refused(Manner("login-only", offers="LOGIN")),
    _refused(
        Manner(
            "app-password",
            smtp="534-5.7.9 Application-specific password\r\n534 5.7.9 required",
            imap="NO [ALERT] Application-specific password required",
        ),
        "app_password",
        password=RIGHT,
    ),
    _refused(
        Manner(
            "imap-off",
            smtp="535 5.7.8 This user does not have access rights to this service",
            imap="NO [ALERT] IMAP access is disabled for your domain.",
        ),
        "imap_off",
        password=RIGHT,
    ),
    _refused(
        Manner(
            "locked", smtp="525 5.7.13 User account disabled", imap="NO [CONTACTADMIN] account off"
        ),
        "mailbox_locked",
        password=RIGHT,
    ),
    Fault(
        Manner("oauth", offers="XOAUTH2 OAUTHBEARER"),
        Verdict.NO_PASSWORDS,
        "no_sign_in",
        certain=True,
    ),
    Fault(Manner("clear", implicit=False), Verdict.MISMATCH, "encryption_and_port", certain=True),
    Fault(
        Manner("no-starttls", implicit=False, starttls=False),
        Verdict.MISMATCH,
        "encryption_and_port",
        "tls",
    ),
    Fault(
        Manner("injects", implicit=False, injects="250 more\r\n"),
        Verdict.MISMATCH,
        "encryption_and_port",
        "tls",
    ),
    Fault(
        Manner(
            "later",
            smtp="454 4.7.0 Temporary authentication failure: Connection lost",
            imap="NO [UNAVAILABLE] Temporary authentication failure.",
        ),
        Verdict.LATER,
        "too_many_attempts",
        attempts=1,
    ),
    Fault(
        Manner(
            "held",
            smtp="534 5.7.14 <https://accounts.google.com/signin/continue?sarp=1&plt=AKgn> Please "
            "log in via your web browser",
            imap="* NO [WEBALERT https://accounts.google.com/signin/continue?sarp=1&plt=AKgn] Web "
            "login required.\nNO [ALERT] Please log in via your web browser",
        ),
        Verdict.LATER,
        "sign_in_held",
        attempts=1,
    ),
    Fault(
        Manner("blocked", greeting="554 5.7.1 Client host [203.0.113.9] blocked using a list"),
        Verdict.LATER,
        "blocked_here",
    ),
    Fault(Manner("expired", certificate="expired"), Verdict.CERTIFICATE, "certificate"),
    Fault(Manner("other-name", certificate="another name"), Verdict.CERTIFICATE, "certificate"),
    Fault(Manner("hangs-up", hangs_up=True), Verdict.NO_ANSWER, "no_answer"),
    Fault(Manner("silent", silent=True), Verdict.NO_ANSWER, "no_answer"),
    Fault(Manner("drips", drip=0.1), Verdict.NO_ANSWER, "no_answer"),
    Fault(Manner("endless", endless=True), Verdict.NO_ANSWER, "unknown"),
)


@contextmanager
def mail_servers(folder: Path, *manners: Manner) -> Iterator[MailServers]:
    """Run servers whose certificates this process trusts."""
    with serving(folder, manners) as servers, pytest.MonkeyPatch.context() as patched:
        patched.setenv("SSL_CERT_FILE", str(servers.ca_file))
        wire.tls.cache_clear()
        yield servers
    wire.tls.cache_clear()


def side_of(  # noqa: PLR0913, PLR0917  as many as a row says
    servers: MailServers,
    name: str,
    side: str,
    password: str = RIGHT,
    encryption: str = "ssl",
    user: str = "robin@reach.example",
) -> Server:
    """Return how a row describes one side of a mailbox at a server."""
    server = servers[name]
    port = server.ports[side]
    return Server(user, user, Secret(password), server.manner.host, port, encryption)


def try_once(side: str, server: Server) -> Finding:
    """Locate a server and try to sign in."""
    place = wire.locate(side, server.host, server.port, TRUSTED)
    if isinstance(place, Finding):
        return place
    return sign_in(side, server, place.address, [server.password])


def account_at(
    servers: MailServers, name: str, user: str, password: str = RIGHT, encryption: str = "ssl"
) -> Account:
    """Return an account with both sides at a server."""
    sides = (side_of(servers, name, one, password, encryption, user) for one in ("smtp", "imap"))
    return Account("other", "", "", *sides)
