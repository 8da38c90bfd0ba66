"""Names of columns: which of them may be quoted."""

import pytest

from email_accounts.intake.layouts import ALIASES, IGNORED, LAYOUTS, OPTIONAL_HEADERS
from email_accounts.text.headers import holds_address, looks_like_a_name, shown_header

KNOWN = sorted(
    {
        *ALIASES,
        *(name for names in ALIASES.values() for name in names),
        *(name.rstrip("_*") for name in IGNORED),
        *(name for names in LAYOUTS.values() for name in names),
        *(name for names in OPTIONAL_HEADERS.values() for name in names),
    }
)


@pytest.mark.parametrize(
    "header",
    [
        *KNOWN,
        *("Notes", "Größe", "メモ", "Имя", "E-Mail (privat)", "Custom Field", "Sent/Received"),
        *("Grösse", "Gro\u0308ße", " Team ", "ID", "isActive", "HTTPProxy", "A [Required]"),
    ],
)
def test_names_of_columns_are_quoted(header: str) -> None:
    """All that are known, and other words in any alphabet."""
    assert looks_like_a_name(header)
    assert shown_header(header, 3) == header.strip()


@pytest.mark.parametrize(
    "header",
    [
        *("Hunter2-Secret!", "Tom&Jerry!1", "correct horse!", "a=b+c'd9XYZ", "Sommer2026", "465"),
        *("abcd efgh ijkl mnop", "abcdefghijklmnop", "abcd-efgh-ijkl-mnop", "kWqXzRtBv"),
        *("anna@acme.example", "smtp.acme.example:465", "x" * 41, "", "  ", "_-_"),
        *("Na\x1bme", "Na\u202eme", "Na\u200bme", "=cmd", "Pass+word", "Notes\nmore"),
    ],
)
def test_what_may_be_a_password_is_told_by_its_place(header: str) -> None:
    """Digits, signs, random case, app passwords, addresses and what cannot be seen."""
    assert not looks_like_a_name(header)
    assert shown_header(header, 3) == "column 3"


@pytest.mark.parametrize("header", ["anna@acme.example", "To: a@b", "anna\uff20acme.example"])
def test_an_address_is_no_name_of_a_column(header: str) -> None:
    """Nor is a text that holds one."""
    assert holds_address(header)


@pytest.mark.parametrize("header", ["email", "@type", "at @ home", ""])
def test_a_sign_alone_is_no_address(header: str) -> None:
    """An address has something on both sides."""
    assert not holds_address(header)
