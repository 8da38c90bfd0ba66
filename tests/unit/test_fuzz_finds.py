"""What fuzzing and measuring found."""

import io

import pytest

from email_accounts.errors import FileRefusedError
from email_accounts.intake.accounts_file import open_accounts_file
from email_accounts.intake.columns import find_columns
from email_accounts.intake.rows import Accepted, Duplicate, RowReader, Warnings
from email_accounts.intake.seen_addresses import SeenAddresses
from email_accounts.intake.values import ValueReader


def test_blank_rows_take_no_memory() -> None:
    """The table of addresses grows with the accounts in it, not with the numbers of their rows."""
    seen = SeenAddresses(16)
    values = ValueReader(find_columns(("email", "password")))
    reader = RowReader(values, seen, Warnings())
    numbers = range(1_000_000, 1_000_006)
    records = [(n, [f"a{n}@gmail.com", "abcdefghijklmnop"]) for n in numbers]
    results = [*reader.rows(iter([*records, *records]))]
    assert [type(one) for one in results] == [Accepted] * 6 + [Duplicate] * 6
    assert len(seen._rows) <= 32  # noqa: SLF001  its memory


def test_a_first_row_that_cannot_be_read_is_no_header() -> None:
    """Its bytes mean nothing in Windows-1252; the row below it has an address."""
    content = b"Email,Password,Warmup\xe0\xba\x91\x9e\x9d\x93\x9a\x9e\r\nkim@reach.example,x,x\r\n"
    with pytest.raises(FileRefusedError, match="No header row found"):
        open_accounts_file(io.BytesIO(content))
