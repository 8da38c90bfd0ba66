"""A file of accounts: what it was found to be, and what each of its rows is."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain, islice
from typing import BinaryIO

from email_accounts.intake.columns import (
    Columns,
    find_columns,
    folded,
    recognized,
    refuse_unused,
    refuse_without_password,
    resolve,
)
from email_accounts.intake.options import ReadOptions, understood
from email_accounts.intake.rows import RowReader, RowResult, WarningCount, Warnings
from email_accounts.intake.seen_addresses import SeenAddresses
from email_accounts.intake.values import ValueReader
from email_accounts.models.account import WarningCode
from email_accounts.models.servers import ServersOf
from email_accounts.models.upload import NO_OPTIONS, UploadOptions
from email_accounts.parsing.bounds import SAMPLE
from email_accounts.parsing.detect import open_records
from email_accounts.parsing.records import NewHeader, Place, Record, Records
from email_accounts.parsing.table import cells_of

_LONGEST_SAMPLE = 1 << 16
_HEADERS_KEPT = 64


class AccountsFile:
    """What a file was found to be, and its rows, to be read once."""

    def __init__(
        self, records: Records, options: ReadOptions, servers_of: ServersOf | None = None
    ) -> None:
        """Read records. Raises FileRefusedError where no column is the address of an account.

        `servers_of` finds the servers of rows that have none.
        """
        self._records = records
        self._options = options
        self._warnings = Warnings()
        sample, rest = _sampled(records.records)
        self.columns = resolve(records.header, sample, options.columns, records.header_place)
        self.format = records.format
        by_header = _rows_by_header(
            rest,
            records.header,
            self.columns,
            lambda columns: ValueReader(columns, servers_of, options.values),
            options.columns,
            self._warnings,
        )
        self.rows: Iterator[RowResult] = chain.from_iterable(by_header)

    @property
    def layout(self) -> str:
        """The name of the layout that the columns are of; "" for none."""
        return self.columns.layout

    @property
    def unknown_columns(self) -> tuple[str, ...]:
        """The columns that are not used."""
        return self.columns.unknown

    @property
    def encoding(self) -> str:
        """How the text is encoded, as far as rows have been read; '' for a workbook."""
        return self._records.encoding

    @property
    def warnings(self) -> list[WarningCount]:
        """What its owner should know though it is valid, as far as rows have been read."""
        counts = self._warnings.counts()
        for count in counts:
            count.first_places = [*map(self.shown, count.first_rows)]
        return [*self.notes, *counts]

    @property
    def servers_found(self) -> list[str]:
        """What was found for domains of rows without servers, those with most rows first."""
        return self._warnings.servers_found()

    @property
    def notes(self) -> list[WarningCount]:
        """The warnings about the file as a whole."""
        about = (*self._options.notes, *self.columns.notes)
        notes = [WarningCount(one.code, one.message) for one in about]
        if left_out := self._records.left_out:
            sheets = f"these sheets are not read: {', '.join(left_out)}"
            notes.append(WarningCount(WarningCode.SHEETS_LEFT_OUT, sheets))
        return notes

    @property
    def sheets(self) -> tuple[str, ...]:
        """The sheets that are read, in the order of their rows; none outside of workbooks."""
        return self._records.sheets

    @property
    def has_several_sheets(self) -> bool:
        """Whether the number of a row says less than its place."""
        return len(self.sheets) > 1

    def place(self, number: int) -> Place:
        """Return where a person finds the row of a number."""
        return self._records.place(number)

    def shown(self, number: int) -> str:
        """Return the number of a row as people know it, after its sheet if there are several."""
        place = self.place(number)
        return f"{place.sheet} {place.row:,}" if self.has_several_sheets else f"{place.row:,}"


def _sampled(records: Iterator[Record]) -> tuple[list[list[str]], Iterator[Record]]:
    """Return the cells of the first records, few and short ones, and all records."""
    taken, cells, room = list[Record](), list[list[str]](), _LONGEST_SAMPLE
    for record in islice(records, SAMPLE):
        taken.append(record)
        if isinstance(record, NewHeader):
            break
        row = cells_of(record) or []
        cells.append(row)
        room -= sum(map(len, row))
        if room < 0:
            break
    return cells, chain(taken, records)


def _rows_by_header(  # noqa: PLR0913, PLR0917  what a reading is made of
    records: Iterator[Record],
    header: tuple[str, ...],
    columns: Columns,
    reader_of: Callable[[Columns], ValueReader],
    mapped: Mapping[str, str],
    warnings: Warnings,
) -> Iterator[Iterator[RowResult]]:
    """Yield the rows up to another header, then those up to the next, and so on.

    It knows nothing of the file: one that is not read to its end would hold itself, and with it
    the table of addresses, until a full garbage collection.
    """
    seen = SeenAddresses()
    first, unused, has_password = columns, {*mapped}, columns.has_password
    readers = {header: RowReader(reader_of(columns), seen, warnings)}
    while header:
        if unused:
            unused -= {*map(folded, header)}
        reader = readers[header]
        yield reader.rows(records)
        header = reader.next_header
        if header not in readers:
            if len(readers) >= _HEADERS_KEPT:
                readers.clear()
            columns = find_columns(header, mapped=mapped)
            has_password |= columns.has_password
            readers[header] = RowReader(reader_of(columns), seen, warnings)
    refuse_unused(unused, first.names)
    if not has_password:
        refuse_without_password(first)


def open_accounts_file(
    stream: BinaryIO, servers_of: ServersOf | None = None, options: UploadOptions = NO_OPTIONS
) -> AccountsFile:
    """Recognize format, encoding and columns from the content.

    Rows without servers get those that `servers_of` finds, if it is given.

    Raises:
        FileRefusedError: the content as a whole cannot be read as accounts. Damage further on
            is found while the rows are read, and raises it then.
    """
    given = understood(options)
    records = open_records(stream, partial(recognized, mapped=given.columns))
    return AccountsFile(records, given, servers_of)
