"""Which row of a table is its header, and what the rows below it are, measured by it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from email_accounts.errors import FileRefusedError
from email_accounts.parsing.bounds import COLUMNS, SAMPLE
from email_accounts.parsing.records import (
    DamagedRow,
    NewHeader,
    Recognizes,
    Record,
    Unreadable,
    are_names,
    is_blank,
    not_text,
)

_ADDRESS = re.compile(r"\s*[^@\s]+@[^@\s]+\.[^@\s]+\s*")
_FEWEST = 2


@dataclass(frozen=True, slots=True)
class Table:
    """A header, the number of its row, and those of the first records that are below it."""

    header: tuple[str, ...]
    number: int
    below: list[Record]
    known: int
    """The count of known names; 0 where no column is for the address."""
    delimiter: str = ""
    longest: int = 0
    """How many cells the row of the header has, with the blank ones at its end."""

    @property
    def blank_tail(self) -> int:
        """How many cells every row has, if more than the header does and all of them blank.

        A single row shows no habit: the blank cell at its end may be what a delimiter inside a
        password has moved there.
        """
        rows = [*filter(None, map(cells_of, self.below[:SAMPLE]))]
        least = min(map(len, rows), default=0)
        if len(rows) < _FEWEST or any(not is_blank(row[len(self.header) : least]) for row in rows):
            return 0
        return least


def sample_of(batches: Iterator[list[Record]]) -> list[Record]:
    """Return the first records, at least SAMPLE of them where there are as many."""
    records: list[Record] = []
    for batch in batches:
        records += batch
        if len(records) >= SAMPLE:
            break
    return records


def find_table(sample: list[Record], recognizes: Recognizes) -> Table | None:
    """Find the header among the first records; None where not one of them has cells."""
    rows = [cells_of(record) or [] for record in islice(sample, SAMPLE)]
    if not any(rows):
        return None
    at, known = header_among(rows, recognizes)
    header, below = rows[at], sample[at + 1 :]
    filled = [row for row in map(cells_of, below) if row]
    width = len(header)
    while 1 < width <= COLUMNS and not header[width - 1].strip() and not _has(width - 1, filled):
        width -= 1
    return Table(tuple(header[:width]), number_of(sample[at]), below, known, longest=len(header))


def _has(position: int, rows: list[list[str]]) -> bool:
    """Say whether every row has something in a column, which may then do without a name."""
    return bool(rows) and all(
        row[position : position + 1] and row[position].strip() for row in rows
    )


def check_header(header: tuple[str, ...]) -> None:
    """Refuse names of columns that are no text or too many."""
    if not are_names(header):
        raise not_text()
    if len(header) > COLUMNS:
        raise FileRefusedError(
            f"It has more than {COLUMNS:,} columns.",
            "Delete the columns to the right of your table, including blank ones.",
        )


def header_among(rows: list[list[str]], recognizes: Recognizes) -> tuple[int, int]:
    """Return which row is the header, and the count of its known names.

    Of the rows above the first one with an address it is the one with the most known names, else
    of all rows; where no name is known, the one above an address with the most cells, or the first
    that can be read.
    """
    first = next((at for at, row in enumerate(rows) if any(map(_ADDRESS.fullmatch, row))), None)
    for candidates in (rows[:first], rows):
        counts = [recognizes(row) if row else 0 for row in candidates]
        if any(counts):
            return counts.index(max(counts)), max(counts)
    above = rows[: first or 1]
    filled = [sum(map(bool, map(str.strip, row))) for row in above]
    if any(filled):
        return filled.index(max(filled)), 0
    return next(at for at, row in enumerate(rows) if row), 0


def fit(record: Record, width: int, longest: int) -> Record:
    """Cut blank cells beyond the header from a row of up to so many cells; refuse a longer one."""
    match record:
        case DamagedRow(number, cells, damage):
            damage = {at: what for at, what in damage.items() if at < width}
        case (int(number), cells):
            damage = {}
        case _:
            return record
    if len(cells) > width and (len(cells) > longest or not is_blank(cells[width:])):
        return Unreadable(number, more_cells(width))
    return DamagedRow(number, cells[:width], damage) if damage else (number, cells[:width])


def more_cells(width: int) -> str:
    """Return why a row with more cells than the header is not read."""
    return (
        f"it has more cells than the {width} columns of the header, probably because of a "
        "delimiter inside a password: put the password in quotes"
    )


def number_of(record: Record) -> int:
    """Return the number of a row; 0 of what is none."""
    if isinstance(record, tuple):
        return record[0]
    return 0 if isinstance(record, NewHeader) else record.number


def cells_of(record: Record) -> list[str] | None:
    """Return the cells of a row, None of what has none."""
    if isinstance(record, tuple):
        return record[1]
    return record.cells if isinstance(record, DamagedRow) else None
