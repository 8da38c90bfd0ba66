"""Which addresses have been seen, and where."""

import gc
import io
from collections.abc import Iterator

import pytest

from email_accounts.intake.accounts_file import open_accounts_file
from email_accounts.intake.seen_addresses import SeenAddresses
from tests.support.files import accounts_file


class Hashed(str):
    """A text whose hash is what it says."""

    __slots__ = ()

    def __hash__(self) -> int:
        """Return the number that the text is."""
        return int(self)


def test_an_address_is_known_by_the_row_it_stood_in_first() -> None:
    """A second row for it changes nothing."""
    seen = SeenAddresses()
    assert seen.row_of("a@b.example") == 0
    assert seen.add("a@b.example", 2) == 0
    assert seen.add("c@d.example", 3) == 0
    assert seen.add("a@b.example", 4) == 2
    assert (seen.row_of("a@b.example"), seen.row_of("c@d.example")) == (2, 3)


@pytest.mark.parametrize("slots", [2, 4, 64])
def test_the_table_grows_with_its_addresses(slots: int) -> None:
    """Whatever it began with, it keeps every address with its row and takes none for another."""
    seen = SeenAddresses(slots)
    for row in range(1, 3001):
        assert seen.add(f"mailbox{row}@north.example", row) == 0
    assert [seen.row_of(f"mailbox{row}@north.example") for row in range(3001)] == [*range(3001)]
    assert len(seen._hashes) == len(seen._rows) >= 6000  # noqa: SLF001  its memory


def test_the_table_grows_for_rows_with_high_numbers() -> None:
    """Blank rows count: the first account may be far below, and so may each next one."""
    seen = SeenAddresses(4)
    for row in (1_000_000, 2_000_000, 4_000_000_000):
        assert seen.add(f"mailbox{row}@north.example", row) == 0
    assert seen.add("mailbox2000000@north.example", 4_000_000_001) == 2_000_000


def test_a_small_file_does_not_make_the_table_grow() -> None:
    """Its memory is that of the beginning, up to half as many rows as slots."""
    seen = SeenAddresses(64)
    for row in range(1, 33):
        seen.add(f"mailbox{row}@north.example", row)
    assert len(seen._hashes) == 64  # noqa: SLF001  its memory
    seen.add("one.more@north.example", 33)
    assert len(seen._hashes) == 128  # noqa: SLF001  its memory


def test_addresses_that_fall_into_one_place_are_told_apart() -> None:
    """They are behind one another, over the end of the table, too, and when it grows."""
    seen = SeenAddresses(16)
    same = [Hashed(f"{15 + 16 * at}") for at in range(1, 21)]
    for row, address in enumerate(same, 1):
        assert [seen.row_of(one) for one in same] == [*range(1, row), *[0] * (21 - row)]
        assert seen.add(address, row) == 0
    assert [seen.add(address, 99) for address in same] == [*range(1, 21)]


def test_no_hash_is_taken_for_an_empty_slot() -> None:
    """An address whose hash is 0, or negative, is kept like any other."""
    seen = SeenAddresses(4)
    for row, hashed in enumerate(("0", "-7", "-9223372036854775808", "9223372036854775807"), 1):
        assert seen.add(Hashed(hashed), row) == 0
    assert [seen.row_of(Hashed(hashed)) for hashed in ("0", "-7")] == [1, 2]
    assert seen.add(Hashed("0"), 9) == 1


@pytest.fixture
def _no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_garbage_collection")
@pytest.mark.parametrize("rows_read", [0, 1, 3])
def test_the_table_goes_with_its_file(rows_read: int) -> None:
    """At 24 MB each, tables that wait for a full garbage collection fill a warm function."""
    content = accounts_file("a@x.example", "b@x.example", "c@x.example")
    file = open_accounts_file(io.BytesIO(content))
    for _ in range(rows_read):
        next(file.rows)
    tables = [one for one in gc.get_objects() if isinstance(one, SeenAddresses)]
    assert len(tables) == min(rows_read, 1)
    tables.clear()
    del file
    assert not any(isinstance(one, SeenAddresses) for one in gc.get_objects())
