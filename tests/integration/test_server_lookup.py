"""Servers found by DNS, asked of a real name server over UDP."""

import subprocess
import sys
import time

import dns.rcode
import pytest

from email_accounts.intake.server_lookup import ServerLookup
from email_accounts.intake.servers import MOST_DOMAINS
from email_accounts.models.providers import PROVIDER_TABLE, ServerPreset
from email_accounts.models.servers import FoundServers, NotFound
from local.name_server import ZONE
from tests.support.name_servers import answering

OWN = FoundServers(
    "other",
    "mail.own.example",
    "SRV",
    ServerPreset("mail.own.example", (("ssl", "465"),)),
    ServerPreset("mail.own.example", (("ssl", "993"),)),
)


def srv(domain: str, smtp: str, imap: str, kinds: str = "submissions imaps") -> dict:  # type: ignore[type-arg]  # a part of a zone
    """Return the SRV records of a domain."""
    services = zip(kinds.split(), (smtp, imap), strict=True)
    return {(f"_{kind}._tcp.{domain}", "SRV"): (target,) for kind, target in services}


@pytest.mark.parametrize(
    ("domain", "name", "hosts"),
    [
        ("workspace.example", "Google Workspace", ("smtp.gmail.com", "imap.gmail.com")),
        ("microsoft.example", "Microsoft 365", ("smtp.office365.com", "outlook.office365.com")),
        ("zoho.example", "Zoho Mail (zoho.eu)", ("smtppro.zoho.eu", "imappro.zoho.eu")),
        ("own.example", "mail.own.example", ("mail.own.example", "mail.own.example")),
    ],
)
def test_servers_are_found(domain: str, name: str, hosts: tuple[str, str]) -> None:
    """A provider is known by its MX record, a server in the domain itself by its SRV record."""
    with answering() as server:
        found = ServerLookup(server.address)([domain])[domain]
    assert isinstance(found, FoundServers)
    assert (found.name, (found.smtp.host, found.imap.host)) == (name, hosts)


@pytest.mark.parametrize(
    ("domain", "why"),
    [
        ("unknown.example", NotFound.NONE),
        ("missing.example", NotFound.NO_DOMAIN),
        ("broken.example", NotFound.NO_ANSWER),
        ("refused.example", NotFound.NO_ANSWER),
        ("silent.example", NotFound.NO_ANSWER),
    ],
)
def test_no_servers_have_their_reason(domain: str, why: NotFound) -> None:
    """No answer, or one with an error code of any kind, is not the answer that there are none."""
    with answering({**ZONE, ("refused.example", "MX"): dns.rcode.REFUSED}) as server:
        assert ServerLookup(server.address, 1)([domain]) == {domain: why}


@pytest.mark.parametrize(
    "records",
    [
        ("1 google.com.evil.example.",),
        ("1 evilgoogle.com.",),
        (r"1 evil\.google.com.",),
        (r"1 aspmx.l.google\.com.",),
        ("1 .",),
        ("10 smtp.google.com.", "5 mx.filter.example."),
    ],
)
def test_only_whole_labels_of_the_preferred_server_make_a_provider(
    records: tuple[str, ...],
) -> None:
    """Anyone who has a name that looks like a provider's is not that provider.

    A backup at a provider does not make the provider that of the mailboxes.
    """
    with answering({("a.example", "MX"): records}) as server:
        found = ServerLookup(server.address)(["a.example"])
    assert found == {"a.example": NotFound.NONE}


@pytest.mark.parametrize(
    ("records", "is_found"),
    [
        (srv("own.example", "0 1 465 mail.own.example.", "0 1 993 mail.own.example."), True),
        (srv("own.example", "0 1 465 SMTP.gmail.com.", "0 1 993 imap.gmail.com."), True),
        (srv("own.example", "0 1 465 mail.evil.example.", "0 1 993 mail.own.example."), False),
        (srv("own.example", "0 1 465 mail.own.example.", "0 1 993 mail.evil.example."), False),
        (srv("own.example", "0 1 465 evilown.example.", "0 1 993 mail.own.example."), False),
        (srv("own.example", r"0 1 465 evil\.own.example.", "0 1 993 mail.own.example."), False),
        (srv("own.example", "0 1 0 mail.own.example.", "0 1 993 mail.own.example."), False),
        (srv("own.example", "0 0 0 .", "0 1 993 mail.own.example."), False),
        (
            srv(
                *("own.example", "0 1 587 mail.own.example.", "0 1 143 mail.own.example."),
                "submission imap",
            ),
            True,
        ),
    ],
)
def test_no_password_goes_where_a_stranger_points(records: dict, is_found: bool) -> None:  # type: ignore[type-arg]  # noqa: FBT001  a part of a zone
    """A target is in the mailbox's own domain or in the table, or it does not count."""
    with answering(records) as server:
        found = ServerLookup(server.address)(["own.example"])["own.example"]
    assert isinstance(found, FoundServers) is is_found


@pytest.mark.parametrize("top_level", [dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL, None])
def test_a_resolver_of_internal_names_has_no_answer(top_level: dns.rcode.Rcode | None) -> None:
    """One that does not know `com.` cannot say that a domain does not exist.

    That is asked once, however many domains are missing.
    """
    domains = [f"d{number}.example" for number in range(40)]
    zone = dict.fromkeys(((domain, "MX") for domain in domains), dns.rcode.NXDOMAIN)
    with answering({**zone, ("com", "SOA"): top_level}) as server:
        found = ServerLookup(server.address, 3)(domains)
    assert found == dict.fromkeys(domains, NotFound.NO_ANSWER)
    assert top_level is None or server.questions.count(("com", "SOA")) == 1


def test_alias_loops_end() -> None:
    """A name that is its own alias has no answer, at once."""
    zone = {(name, "CNAME"): (f"{name}.",) for name in ("a.example", "b.example")}
    began = time.monotonic()
    with answering(zone) as server:
        found = ServerLookup(server.address)(["a.example", "b.example"])
    assert {*found.values()} == {NotFound.NO_ANSWER}
    assert time.monotonic() < began + 6


def test_a_silent_name_server_costs_no_more_than_the_bound() -> None:
    """However many domains there are, all are told to have no answer when the time is over."""
    domains = [f"d{number}.example" for number in range(MOST_DOMAINS)]
    zone = dict.fromkeys(((domain, "MX") for domain in domains), None)
    began = time.monotonic()
    with answering(zone) as server:
        found = ServerLookup(server.address, 2)(domains)
    assert found == dict.fromkeys(domains, NotFound.NO_ANSWER)
    assert time.monotonic() < began + 4


def test_a_computer_without_name_servers_has_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is told of each domain, and nothing breaks."""
    import dns.resolver  # noqa: PLC0415  it is loaded late on purpose

    def refuse() -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver, "Resolver", refuse)
    assert ServerLookup()(["a.example"]) == {"a.example": NotFound.NO_ANSWER}


@pytest.mark.parametrize(
    "mx", [name for provider in PROVIDER_TABLE for name in provider.mx], ids=str
)
def test_each_provider_is_known_by_its_records(mx: str) -> None:
    """A host below each domain of the table leads to servers with ports for both sides."""
    with answering({("a.example", "MX"): (f"1 mx1.{mx}.",)}) as server:
        found = ServerLookup(server.address)(["a.example"])["a.example"]
    assert isinstance(found, FoundServers)
    assert found.imap.port("ssl") == "993"
    assert found.smtp.port("") in {"465", "587"}


def test_only_a_lookup_loads_the_library() -> None:
    """Cold starts of files with servers do not pay for it."""
    code = "import sys, email_accounts.intake.server_lookup; sys.exit('dns' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
