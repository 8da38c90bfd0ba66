"""What fuzzing and measuring found."""

import pytest

from email_accounts.intake.layouts import resolve
from email_accounts.intake.rows import Accepted, Duplicate, RowReader, Warnings
from email_accounts.intake.seen_addresses import SeenAddresses


@pytest.mark.parametrize("compiled", [True, False])
def test_blank_rows_take_no_memory(*, compiled: bool) -> None:
    """The table of addresses grows with the accounts in it, not with the numbers of their rows."""
    seen = SeenAddresses(16)
    reader = RowReader(resolve(("email", "password")), seen, Warnings())
    numbers = range(1_000_000, 1_000_006)
    records = [(n, [f"a{n}@gmail.com", "abcdefghijklmnop"]) for n in numbers]
    examined = [*reader.examine(iter([*records, *records]), compiled=compiled)]
    assert [type(one) for one in examined] == [Accepted] * 6 + [Duplicate] * 6
    assert len(seen.rows) <= 32
