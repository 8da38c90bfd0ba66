"""The rules of one account."""

import re

import pytest

from email_accounts.models.account import (
    ENCRYPTIONS,
    FIELDS,
    LONGEST_TEXT,
    PROVIDERS,
    RULES,
    account_of,
    is_address,
)
from email_accounts.text.secret import Secret
from tests.support.files import MARK, account, row
from tests.support.template import ROOT

ADDRESS = "robin.stone@north.example"


@pytest.mark.parametrize(
    "address",
    [
        "a@b.example",
        "Robin.Stone+news@mail.north.example",
        "o'neil_1@sub-domain.example",
        "x@xn--bcher-kva.example",
        "a@b.xn--p1ai",
    ],
)
def test_an_address_is_taken(address: str) -> None:
    """Addresses as mail servers know them pass, whatever their case."""
    assert is_address(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not-an-address",
        "@north.example",
        "robin@",
        "robin@north",
        "robin@@north.example",
        "robin stone@north.example",
        "<robin@north.example>",
        "robin@north.example, toni@north.example",
        ".robin@north.example",
        "robin.@north.example",
        "ro..bin@north.example",
        "robin@-north.example",
        "robin@north-.example",
        "robin@north.example.",
        "robin@north.example\n",
        "robin@north.7",
        f"robin@{'n' * 64}.example",
        f"{'r' * 250}@north.example",
        "röbin@north.example",
        "robin@nörth.example",
        "\u0131@north.example",
        "\u017f@north.example",
        "\u212a@north.example",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Blanks, brackets, lists, single labels and letters beyond ASCII are no address."""
    assert not is_address(text)


def test_no_pattern_repeats_a_group_possessively() -> None:
    """Python before 3.11.5, which Debian 12 has, finds no address where one is, and the reverse."""
    sources = sorted((ROOT / "layers/email_accounts/email_accounts").rglob("*.py"))
    found = [
        f"{path.name}: {pattern}"
        for path in sources
        for pattern in re.findall(r".*\)(?:[*+?]|\{[\d,]+\})\+.*", path.read_text("utf-8"))
    ]
    assert sources
    assert found == []


def test_the_rules_hold_for_a_good_row() -> None:
    """A row with fifteen good values is an account."""
    assert all(RULES[field].holds(value) for field, value in row(ADDRESS).items())


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("emailServiceProvider", PROVIDERS),
        ("fromFirstName", ["", "Zoë 李 😀", "x" * LONGEST_TEXT]),
        ("smtpUserName", ["apikey", "x" * LONGEST_TEXT]),
        ("smtpPassword", ["x", "a b c", "x" * LONGEST_TEXT]),
        ("imapHost", ["imap.north.example", "1.2.3.4", f"{'n' * 63}.example"]),
        ("imapPort", ["1", "993", "65535"]),
        ("smtpEncryption", ENCRYPTIONS),
    ],
)
def test_a_value_at_the_edge_is_taken(field: str, values: list[str]) -> None:
    """The rules refuse nothing that a server may know."""
    assert [value for value in values if not RULES[field].holds(value)] == []


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("emailServiceProvider", ["", "hotmail", "g mail"]),
        ("fromFirstName", ["x" * 256, "Ro\x00bin", "Ro\nbin", "\ud800"]),
        ("fromLastName", ["x" * 256, "Sto\x7fne", "\udfff"]),
        ("smtpEmailAddress", ["", "not-an-address"]),
        ("imapEmailAddress", ["", "robin@north"]),
        ("smtpUserName", ["", " ", "x" * 256]),
        ("imapUserName", ["", "a\tb"]),
        ("smtpPassword", ["", "  ", "x" * 256, "a\nb", "\ud800"]),
        ("imapPassword", ["", "\x00"]),
        ("smtpHost", ["", "localhost", "http://smtp.example", "a b.example"]),
        ("imapHost", ["imap.north.example:993", "imap..example", "ïmap.example"]),
        ("smtpPort", ["", "0", "65536", "-1", "587.5", "smtp", "4 65", "٤٦٥"]),
        ("imapPort", ["993 ssl", "99999", "+993", "true", "1e2", "9" * 5000]),
        ("smtpEncryption", ["", "none", "starttls"]),
        ("imapEncryption", ["yes", "ssl/tls"]),
    ],
)
def test_a_bad_value_breaks_the_rule_of_its_field(field: str, values: list[str]) -> None:
    """No value is sent that Saleshandy would refuse."""
    assert [value[:20] for value in values if RULES[field].holds(value)] == []


def test_an_account_takes_each_value_from_its_field() -> None:
    """No field is taken for another."""
    values = [f"v{at}" for at in range(len(FIELDS))]
    values[FIELDS.index("smtpPort")] = "1"
    values[FIELDS.index("imapPort")] = "2"
    made = account_of(values)
    assert (made.provider, made.first_name, made.last_name) == ("v0", "v1", "v2")
    smtp, imap = made.smtp, made.imap
    assert (smtp.address, smtp.user_name, smtp.host, smtp.encryption) == ("v3", "v4", "v6", "v8")
    assert (imap.address, imap.user_name, imap.host, imap.encryption) == ("v9", "v10", "v12", "v14")
    assert (smtp.port, imap.port) == (1, 2)
    assert made.secrets == (Secret("v5"), Secret("v11"))


def test_an_account_does_not_print_its_passwords() -> None:
    """An account may be logged by accident."""
    made = account(ADDRESS)
    assert MARK not in f"{made!r} {made} {made.smtp}"
    assert ADDRESS in repr(made)
