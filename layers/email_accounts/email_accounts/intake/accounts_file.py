"""A file of accounts: what it was found to be, and what each of its rows is."""

from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from email_accounts.intake.layouts import Layout, find_columns, recognized, resolve
from email_accounts.intake.rows import RowReader, RowResult, Warnings
from email_accounts.intake.seen_addresses import SeenAddresses
from email_accounts.parsing.detect import open_records
from email_accounts.parsing.records import Record, Records


class AccountsFile:
    """What a file was found to be, and its rows, to be read once."""

    def __init__(self, records: Records, layout: Layout) -> None:
        """Read the records of a file whose first header has this layout."""
        self._records = records
        self._warnings = Warnings()
        self.format = records.format
        self.layout = layout.name
        self.unknown_columns = layout.unknown
        by_header = _rows_by_header(records.records, layout, self._warnings)
        self.rows: Iterator[RowResult] = chain.from_iterable(by_header)

    @property
    def encoding(self) -> str:
        """How the text is encoded, as far as rows have been read; '' for a workbook."""
        return self._records.encoding

    @property
    def warnings(self) -> list[str]:
        """What will probably fail though it is valid, as far as rows have been read."""
        return self._warnings.texts()


def _rows_by_header(
    records: Iterator[Record], layout: Layout, warnings: Warnings
) -> Iterator[Iterator[RowResult]]:
    """Yield the rows up to another header, then those up to the next, and so on.

    It knows nothing of the file: one that is not read to its end would hold itself, and with it
    the table of addresses, until a full garbage collection.
    """
    seen = SeenAddresses()
    reader = RowReader(layout, seen, warnings)
    yield reader.examine(records, compiled=True)
    while reader.next_header:
        reader = RowReader(find_columns(reader.next_header), seen, warnings)
        yield reader.examine(records, compiled=False)


def open_accounts_file(stream: BinaryIO) -> AccountsFile:
    """Recognise format, encoding and columns from the content.

    Raises:
        FileRefusedError: the content as a whole cannot be read as accounts. Damage further on
            is found while the rows are read, and raises it then.
    """
    records = open_records(stream, recognized)
    return AccountsFile(records, resolve(records.header))
