"""Servers that are found for rows without any: which rows ask, and the record of an import."""

import io
from collections.abc import Sequence

import pytest

from email_accounts.intake.accounts_file import AccountsFile, open_accounts_file
from email_accounts.intake.rows import Accepted, Rejected
from email_accounts.intake.servers import MOST_DOMAINS, RECORD_NAME, ServerRecord, WantedDomains
from email_accounts.models.providers import ServerPreset, providers
from email_accounts.models.servers import Found, FoundServers, NotFound
from tests.support.fakes import FakeReports, Journal, Killed, World

GOOGLE = FoundServers(
    "gsuite", "Google Workspace", "MX", providers()["gsuite"].smtp, providers()["gsuite"].imap
)
OWN = FoundServers(
    "other",
    "mail.own.example",
    "SRV",
    ServerPreset("mail.own.example", (("tls", "587"),)),
    ServerPreset("mail.own.example", (("ssl", "993"),)),
)
MICROSOFT = FoundServers(
    "o365", "Microsoft 365", "MX", providers()["o365"].smtp, providers()["o365"].imap
)
KNOWN: dict[str, Found] = {
    "acme.example": GOOGLE,
    "own.example": OWN,
    "office.example": MICROSOFT,
    "unknown.example": NotFound.NONE,
    "missing.example": NotFound.NO_DOMAIN,
    "silent.example": NotFound.NO_ANSWER,
    "late.example": NotFound.NOT_ASKED,
}
HEADER = "email,password"


def sheet(*lines: str, header: str = HEADER) -> bytes:
    """Return a CSV of lines."""
    return "\n".join([header, *lines, ""]).encode()


def opened(content: bytes) -> AccountsFile:
    """Open a file whose domains are known."""
    return open_accounts_file(io.BytesIO(content), KNOWN.get)


def wanted(content: bytes) -> list[str]:
    """Return the domains that a file asks for."""
    domains = WantedDomains(lambda _: None)
    for _ in open_accounts_file(io.BytesIO(content), domains).rows:
        pass
    return domains.domains


@pytest.mark.parametrize(
    ("address", "settings", "warnings"),
    [
        (
            "a@Acme.example",
            ("gsuite", "smtp.gmail.com", "465", "ssl", "imap.gmail.com", "993", "ssl"),
            ["servers_found", "google_sign_in"],
        ),
        (
            "b@own.example",
            ("other", "mail.own.example", "587", "tls", "mail.own.example", "993", "ssl"),
            ["servers_found"],
        ),
        (
            "c@office.example",
            ("o365", "smtp.office365.com", "587", "tls", "outlook.office365.com", "993", "ssl"),
            ["servers_found", "microsoft_sign_in"],
        ),
    ],
)
def test_a_row_gets_the_servers_of_its_domain(
    address: str, settings: tuple[str, ...], warnings: list[str]
) -> None:
    """Provider, hosts, ports and encryption are filled in, and the row says from where."""
    [row] = opened(sheet(f"{address},secret")).rows
    assert isinstance(row, Accepted)
    assert tuple(row.settings) == settings
    assert [one.code for one in row.warnings] == warnings


@pytest.mark.parametrize(
    ("domain", "code"),
    [
        ("unknown.example", "servers_missing"),
        ("missing.example", "domain_missing"),
        ("silent.example", "servers_unanswered"),
        ("late.example", "servers_not_asked"),
    ],
)
def test_a_row_without_servers_has_one_problem(domain: str, code: str) -> None:
    """It names the domain, except where each of thousands would have a text of its own."""
    [row] = opened(sheet(f"a@{domain},secret")).rows
    assert isinstance(row, Rejected)
    [problem] = row.problems
    assert problem.code == code
    assert (domain in problem.message) is (code != "servers_not_asked")


def test_an_address_that_is_none_is_the_only_problem() -> None:
    """Its servers are not asked for, and their lack is no second problem."""
    content = sheet("a@ acme.example,secret", "nobody,secret", "@b.example,secret")
    assert wanted(content) == []
    for row in opened(content).rows:
        assert isinstance(row, Rejected)
        assert [one.code for one in row.problems] == ["address_invalid"]


@pytest.mark.parametrize(
    ("header", "line"),
    [
        (HEADER, "a@gmail.com,secret"),
        (HEADER, "a@icloud.com,secret"),
        (f"{HEADER},provider", "a@acme.example,secret,google"),
        (f"{HEADER},provider", "a@acme.example,secret,Titan"),
        (f"{HEADER},smtp_host,smtp_port", "a@acme.example,secret,mail.acme.example,465"),
        (f"{HEADER},imap_host", "a@acme.example,secret,imap.acme.example"),
        (f"{HEADER},mail_server", "a@acme.example,secret,mail.acme.example"),
    ],
)
def test_a_row_that_says_where_is_not_looked_up(header: str, line: str) -> None:
    """Neither where it names a server, nor where its provider or its personal address does."""
    assert wanted(sheet(line, header=header)) == []


def test_each_domain_is_wanted_once_and_not_too_many() -> None:
    """The first ones count, in the order of the file."""
    lines = [f"a{n}@d{n // 2}.example,secret" for n in range(2 * MOST_DOMAINS + 10)]
    assert wanted(sheet(*lines)) == [f"d{n}.example" for n in range(MOST_DOMAINS)]


def test_what_was_found_is_one_warning() -> None:
    """It counts the rows of each domain; the most come first."""
    file = opened(
        sheet(
            *("a@own.example,secret-1", "b@acme.example,abcdefghijklmnop"),
            *("c@acme.example,abcdefghijklmnop", "d@unknown.example,secret-4"),
        )
    )
    assert len([*file.rows]) == 4
    [found] = [one for one in file.warnings if one.code == "servers_found"]
    assert (found.rows, found.first_rows) == (3, [2])
    assert file.servers_found == [
        "acme.example: Google Workspace (by MX), 2 rows",
        "own.example: mail.own.example (by SRV), 1 row",
    ]
    assert all(one in found.message for one in file.servers_found)


def test_a_row_at_a_glance_is_what_it_is_when_validated() -> None:
    """The quick way through plain rows and end to end agree on servers that are found."""
    lines = [f"a@{domain},secret" for domain in (*KNOWN, "gmail.com")]
    quick = [*opened(sheet(*lines)).rows]
    # A second column for the address takes every row end to end.
    twice = [f"{line},{line.partition(',')[0]}" for line in lines]
    whole = [*opened(sheet(*twice, header=f"{HEADER},email")).rows]
    assert [type(row) for row in quick] == [type(row) for row in whole]
    for one, other in zip(quick, whole, strict=True):
        if isinstance(one, Accepted) and isinstance(other, Accepted):
            assert (one.settings, {*one.warnings}) == (other.settings, {*other.warnings})
        elif isinstance(one, Rejected) and isinstance(other, Rejected):
            assert [part.message for part in one.problems] == [
                part.message for part in other.problems
            ]


# The record of an import


class NameServers:
    """Finds what it is told to, and remembers what it was asked."""

    def __init__(self, found: dict[str, Found]) -> None:
        """Find these."""
        self.found = found
        self.asked: list[list[str]] = []

    def __call__(self, domains: Sequence[str]) -> dict[str, Found]:
        """Find domains; those it does not know have no servers."""
        self.asked.append([*domains])
        return {domain: self.found.get(domain, NotFound.NONE) for domain in domains}


SHEET = sheet(
    *("a@acme.example,abcdefghijklmnop", "b@unknown.example,secret-2", "c@own.example,secret-3")
)


def test_what_is_found_is_recorded_before_the_plan(world: World) -> None:
    """One lookup, one record, then the plan; later readings look nothing up.

    The record names domains and servers, and no secret.
    """
    world.find_servers = NameServers(KNOWN)
    upload = world.uploads.put("uploads/a.csv", SHEET)
    world.receive(upload)
    assert world.find_servers.asked == [["acme.example", "unknown.example", "own.example"]]
    names = world.journal.names()
    assert names.index("report") < names.index("plan batches")
    assert world.journal.about("connect") == [("a@acme.example", "c@own.example")]
    assert world.deliverer().deliver(upload.import_id)
    lines = world.outcome(upload)
    assert [line["outcome"] for line in lines] == ["unconfirmed", "rejected", "unconfirmed"]
    assert "acme.example: Google Workspace (by MX)" in lines[0]["warnings"]
    assert "unknown.example" in lines[1]["reason"]
    assert len(world.find_servers.asked) == 1
    record = world.reports.texts[upload.import_id, RECORD_NAME]
    assert "secret" not in record
    assert "@" not in record


@pytest.mark.parametrize("change", [NotFound.NONE, NotFound.NO_ANSWER, GOOGLE])
def test_dns_that_changes_changes_no_import(world: World, change: Found) -> None:
    """Every reading after the record uses the record, whatever DNS says by then."""
    world.find_servers = servers = NameServers(dict(KNOWN))
    upload = world.uploads.put("uploads/a.csv", SHEET)
    world.receive(upload, lambda: 0)  # planned, nothing is sent
    assert world.journal.about("connect") == []
    servers.found = dict.fromkeys(KNOWN, change)
    world.submit(upload)
    assert world.journal.about("connect") == [("a@acme.example", "c@own.example")]


@pytest.mark.parametrize("dies_at", ["report", "plan batches"])
def test_killed_before_or_after_the_record(world: World, dies_at: str) -> None:
    """After the record it alone counts, so nothing is looked up again; before it, once more."""
    world.find_servers = servers = NameServers(dict(KNOWN))
    upload = world.uploads.put("uploads/a.csv", SHEET)
    effect = world.journal.effect

    def dying(name: str, about: object) -> None:
        if name == dies_at:
            raise Killed
        effect(name, about)

    world.journal.effect = dying  # type: ignore[method-assign]  # killed there
    with pytest.raises(Killed):
        world.receive(upload)
    world.journal.effect = effect  # type: ignore[method-assign]  # and alive again
    world.clock.advance(1_000)
    servers.found = {"acme.example": NotFound.NO_ANSWER, "own.example": OWN}
    world.submit(upload)
    if dies_at == "report":
        assert len(servers.asked) == 2
        assert world.journal.about("connect") == [("c@own.example",)]
    else:
        assert len(servers.asked) == 1
        assert world.journal.about("connect") == [("a@acme.example", "c@own.example")]


def test_of_two_records_the_first_counts() -> None:
    """Anyone who comes second, uses what the first one found."""
    reports = FakeReports(Journal())
    first, second = ServerRecord(reports, "a"), ServerRecord(reports, "a")
    assert first("acme.example") is second("acme.example") is None
    first.write({"acme.example": GOOGLE, "own.example": NotFound.NO_ANSWER})
    second.write({"acme.example": NotFound.NONE})
    for record in (first, second, ServerRecord(reports, "a")):
        assert record("acme.example") == GOOGLE
        assert record("own.example") is NotFound.NO_ANSWER
        assert record("later.example") is NotFound.NOT_ASKED


def test_a_file_with_servers_has_no_record(world: World) -> None:
    """Nothing is asked, written or read for it."""
    world.find_servers = servers = NameServers(KNOWN)
    upload = world.uploads.put("uploads/a.csv", sheet("a@gmail.com,abcdefghijklmnop"))
    world.receive(upload)
    assert servers.asked == []
    assert (upload.import_id, RECORD_NAME) not in world.reports.texts


def test_switched_off_rows_are_rejected_as_before(world: World) -> None:
    """Without lookups a row without servers has none, and no record is written."""
    upload = world.uploads.put("uploads/a.csv", SHEET)
    world.receive(upload)
    assert world.deliverer().deliver(upload.import_id)
    assert {line["outcome"] for line in world.outcome(upload)} == {"rejected"}
    assert (upload.import_id, RECORD_NAME) not in world.reports.texts
