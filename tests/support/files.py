"""Accounts files made for one test, and who may read files."""

import csv
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import pytest

from email_accounts.intake.accounts_file import AccountsFile, open_accounts_file
from email_accounts.intake.seen_addresses import SeenAddresses
from email_accounts.models.account import FIELDS, Account, account_of

MARK = "app-3f9c2a7e51d0b864"
"""What stays of a password as it is, however it is quoted; its shape is known to `leaks.py`."""
PASSWORD = f"""{MARK} "ü'&<%+/=>\\,;#9"""
"""What JSON, URLs, HTML, CSV and Python each quote in their own way."""
PASSWORDS = (
    "Tom&Jerry!1",
    "Pass!word(1)",
    "pässwörd1",
    "a=b+c'd\"9",
    "Qwertz12345",
    "with blank/%41",
    "€²o#7ü😀",
    "ab#1",
    "x\\n<y>~z",
)
"""Passwords of other lengths, each with signs that some services write differently."""


def api_key(name: str) -> str:
    """Return a key of that name, of the shape and the signs that a password has."""
    return f"key-{hashlib.sha256(name.encode()).hexdigest()[:16]}\"'&<%+/=>\\,;#9"


def row(address: str, /, **changed: str) -> dict[str, str]:
    """Return the fifteen fields of a valid row, some of them changed."""
    values = ("gsuite", "Robin", "Stone", *_server(address, 465), *_server(address, 993))
    return dict(zip(FIELDS, values, strict=True)) | changed


def accounts_file(*rows: str | dict[str, str]) -> bytes:
    """Return a CSV of these rows, or of valid rows with these addresses."""
    text = io.StringIO(newline="")
    whole = [row(one) if isinstance(one, str) else one for one in rows]
    writer = csv.DictWriter(text, dict.fromkeys([*FIELDS, *chain(*whole)]))
    writer.writeheader()
    writer.writerows(whole)
    return text.getvalue().encode()


def opened(content: bytes) -> AccountsFile:
    """Open a file that is already in memory."""
    return open_accounts_file(io.BytesIO(content))


def account(address: str, /, **changed: str) -> Account:
    """Return the account of a row."""
    return account_of(list(row(address, **changed).values()))


@contextmanager
def small_tables() -> Iterator[None]:
    """Begin with tables for thousands of addresses: one for a million costs more than a file."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SeenAddresses.__init__, "__defaults__", (1 << 14,))
        yield


def open_to_others(folder: Path) -> list[str]:
    """Name what other users may do anything with, the folder included."""
    return [
        str(path)
        for path in (folder, *folder.rglob("*"))
        if not path.is_symlink() and path.stat().st_mode & 0o077
    ]


def _server(address: str, port: int) -> tuple[str, ...]:
    return address, address, PASSWORD, "mail.example", str(port), "ssl"
