"""Signing in to servers that behave as told: what it proves, what it does not do, what leaks."""

import errno
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from email_accounts.models.causes import cause_of
from email_accounts.sign_in import wire
from email_accounts.sign_in.findings import Finding, Verdict
from local.echoes import ECHOES
from local.mail_servers import MailServers, Manner
from tests.support.mail import (
    FAULTS,
    RIGHT,
    WRONG,
    Fault,
    mail_servers,
    side_of,
    try_once,
)

SIDES = ("smtp", "imap")
PASSWORD = 'pässwörd-with-signs "\\ %+/='
GOOD = Manner("good")
MALFORMED = (
    Manner("malformed-size", greeting=f"* OK {{{'9' * 5000}}}"),
    Manner("malformed-letters", offers="PLAIN ÄÖ"),
    Manner("malformed-challenge", imap="+ x\nNO [AUTHENTICATIONFAILED] no"),
)
MANNERS = (
    GOOD,
    *MALFORMED,
    Manner("good-starttls", implicit=False),
    Manner("good-login", offers="LOGIN"),
    Manner("good-command", offers=""),
    Manner("non-ascii", right=PASSWORD),
    Manner("non-ascii-login", right=PASSWORD, offers="LOGIN"),
    Manner("slow", penalty=15.0),
    *(
        Manner(
            f"echo-{number}",
            smtp=f"535 5.7.8 for you: [{{{way}}}]",
            imap=f"NO [AUTHENTICATIONFAILED] {{{way}}}",
        )
        for number, way in enumerate(ECHOES)
    ),
    *(fault.manner for fault in FAULTS),
)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServers]:
    """Run every server."""
    with mail_servers(tmp_path_factory.mktemp("mail"), *MANNERS) as servers:
        yield servers


def tried(
    servers: MailServers, name: str, side: str, password: str = RIGHT, encryption: str = "ssl"
) -> Finding:
    """Try to sign in to one side of a server."""
    server = side_of(servers, name, side, password, encryption)
    return try_once(side, server)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("name", "password", "encryption"),
    [
        ("good", RIGHT, "ssl"),
        ("good-starttls", RIGHT, "tls"),
        ("good-login", RIGHT, "ssl"),
        ("non-ascii", PASSWORD, "ssl"),
        ("non-ascii-login", PASSWORD, "ssl"),
    ],
)
def test_a_right_password_signs_in(
    servers: MailServers, side: str, name: str, password: str, encryption: str
) -> None:
    """By each mechanism, with TLS from the start and by STARTTLS, whatever its letters."""
    assert tried(servers, name, side, password, encryption) == Finding(side, Verdict.SIGNED_IN, "")


def test_an_imap_server_that_names_no_mechanism_gets_the_login_command(
    servers: MailServers,
) -> None:
    """Each one has that command unless it says otherwise."""
    assert tried(servers, "good-command", "imap").verdict is Verdict.SIGNED_IN


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.manner.name)
def test_each_fault_has_its_verdict_and_cause(
    servers: MailServers, side: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the server sees one attempt at most."""
    monkeypatch.setattr(wire, "SECONDS", 2.0)
    server = servers[fault.manner.name]
    before = server.tried(side)
    found = tried(servers, fault.manner.name, side, fault.password, fault.encryption)
    settings = ("other", server.manner.host, "465", "ssl", server.manner.host, "993", "ssl")
    cause = cause_of(found.said, settings)
    assert (found.verdict, cause.code) == (fault.verdict, fault.cause), found.said
    assert cause.certain is fault.certain
    assert server.tried(side) - before == fault.attempts <= 1


@pytest.mark.parametrize("manner", MALFORMED, ids=lambda manner: manner.name)
def test_a_malformed_reply_ends_one_attempt_alone(servers: MailServers, manner: Manner) -> None:
    """The check of all other mailboxes continues: nothing escapes that the libraries raise."""
    found = tried(servers, manner.name, "imap", WRONG)
    assert found == Finding("imap", Verdict.NO_ANSWER, "the server's reply is malformed")


@pytest.mark.parametrize("side", SIDES)
def test_a_port_that_waits_for_tls_is_found_out_early(servers: MailServers, side: str) -> None:
    """The row says tls, the port speaks TLS from the start: both would wait for the other."""
    began = time.monotonic()
    found = tried(servers, "good", side, encryption="tls")
    assert found.verdict is Verdict.MISMATCH
    assert cause_of(found.said, ()).certain
    assert time.monotonic() - began < 10


def test_a_right_password_behind_a_penalty_signs_in(servers: MailServers) -> None:
    """Dovecot delays each sign-in from an address that was refused, for up to 15 seconds."""
    assert tried(servers, "slow", "smtp", WRONG).verdict is Verdict.REFUSED
    assert tried(servers, "slow", "smtp").verdict is Verdict.SIGNED_IN


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("way", ECHOES)
def test_what_a_server_repeats_does_not_leak(servers: MailServers, side: str, way: str) -> None:
    """The password, however it is written; the codes stay, so that the cause is known."""
    found = tried(servers, f"echo-{list(ECHOES).index(way)}", side, PASSWORD)
    assert not [one for one in (PASSWORD, ECHOES[way](PASSWORD)) if one in found.said]
    assert cause_of(found.said, ()).code == "wrong_password"


@pytest.mark.parametrize("side", SIDES)
def test_a_personal_link_is_cut_out(servers: MailServers, side: str) -> None:
    """It continues the sign-in of anyone who has it."""
    said = tried(servers, "held", side).said
    assert "accounts.google.com" not in said
    assert "AKgn" not in said


# Where no connection goes


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Note where connections would go, and let none through."""
    went: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], **_: object) -> None:
        went.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    return went


def resolves(monkeypatch: pytest.MonkeyPatch, *answers: list[str] | OSError) -> list[str]:
    """Have names resolve to one answer after the other; return the names that are asked for."""
    left, asked = list(answers), list[str]()

    def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        answer = left.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return [(None, None, None, "", (one, port)) for one in answer]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def tried_at(servers: MailServers, port: int, host: str = "mail.reach.example") -> Finding:
    """Try to sign in by SMTP at a host that is not trusted."""
    server = replace(side_of(servers, "good", "smtp"), host=host, port=port)
    return try_once("smtp", server)


@pytest.mark.parametrize(
    "addresses", [["10.0.0.1"], ["::1"], ["93.184.216.34", "10.0.0.1"]], ids=" ".join
)
def test_no_connection_goes_to_an_address_that_is_not_public(
    servers: MailServers,
    connected: list[tuple[str, int]],
    monkeypatch: pytest.MonkeyPatch,
    addresses: list[str],
) -> None:
    """Nor to a public one beside it: which of them answers is not ours to say.

    Which addresses are public is held by the tests of reports.
    """
    resolves(monkeypatch, addresses)
    assert tried_at(servers, 465).verdict is Verdict.NOT_TRIED
    assert connected == []


def test_a_name_is_resolved_once(
    servers: MailServers, connected: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that answers differently the next time is not asked."""
    asked = resolves(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    assert tried_at(servers, 465).verdict is Verdict.NO_ANSWER
    assert connected == [("93.184.216.34", 465)]
    assert asked == ["mail.reach.example"]


@pytest.mark.parametrize("error", [ConnectionResetError(), OSError(errno.EHOSTUNREACH, "")])
def test_a_connection_that_fails_proves_nothing(error: OSError) -> None:
    """Whatever kind of failure it is: the server was not reached, so the row may be right."""

    def dialogue() -> tuple[Verdict, str]:
        raise error

    verdict, said = wire.ended(dialogue)
    assert (verdict, cause_of(said, ()).certain) == (Verdict.NO_ANSWER, False)


@pytest.mark.parametrize("port", [25, 22, 80, 993, 143, 6379, 9001])
def test_no_connection_goes_to_a_foreign_port(
    servers: MailServers,
    connected: list[tuple[str, int]],
    monkeypatch: pytest.MonkeyPatch,
    port: int,
) -> None:
    """Nor is the name of the host asked for; the ports of IMAP are foreign to SMTP."""
    asked = resolves(monkeypatch)
    assert tried_at(servers, port).verdict is Verdict.NOT_TRIED
    assert connected == []
    assert asked == []


@pytest.mark.parametrize(
    ("error", "verdict", "certain"),
    [
        (socket.gaierror(socket.EAI_NONAME, ""), Verdict.NO_SUCH_HOST, True),
        (socket.gaierror(socket.EAI_AGAIN, ""), Verdict.NO_ANSWER, False),
    ],
)
def test_no_name_is_not_the_same_as_no_name_server(
    servers: MailServers,
    monkeypatch: pytest.MonkeyPatch,
    error: OSError,
    verdict: Verdict,
    *,
    certain: bool,
) -> None:
    """Only the first is about the row."""
    resolves(monkeypatch, error)
    found = tried_at(servers, 465)
    cause = cause_of(found.said, ())
    assert (found.verdict, cause.code, cause.certain) == (verdict, "host_not_found", certain)


def test_a_host_that_only_looks_like_a_trusted_one_is_not(
    servers: MailServers, connected: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trusted domain means itself and the names below it."""
    resolves(monkeypatch, ["10.0.0.1"])
    assert tried_at(servers, 465, "evilmail.test").verdict is Verdict.NOT_TRIED
    assert connected == []
