"""What reading yields, whatever the format: rows of cells with the number a person sees."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from email_accounts.errors import FileRefusedError

SHEET_ROWS = 1 << 20
"""The most rows that a sheet has."""

KNOWN_FORMATS = "Save it as CSV, as an Excel workbook (.xlsx) or as JSON, and upload it again."
EXPORT_AGAIN = (
    "Export it again and upload the new file. It may have been cut off or changed in transfer."
)

SAVE_AS_UTF_8 = "Save it as 'CSV UTF-8' and upload it again."

NOT_TEXT = "it contains bytes or characters that are not text: save the file as 'CSV UTF-8'"

_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_IN_NAMES = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

Recognizes = Callable[[Sequence[str]], int]
"""Counts the cells of a row that are known names of columns; 0 without one for the address.

It is given to `open_records`, because what names mean is not known here. The header of a table
is the row among the first `bounds.SAMPLE` with the highest count; without any, the first one
that is not blank. A row that holds an address should count 0: it is no header. A name for the
password adds WITH_PASSWORD.
"""
WITH_PASSWORD = 1 << 10


class Damage(StrEnum):
    """Why the text of a cell may not be what its owner typed."""

    DATE = "date"
    ERROR = "error"
    BOOLEAN = "boolean"
    NUMBER = "number"
    """It shows other digits than are stored, or digits were lost."""
    FORMULA = "formula"
    """It has no value; its text is blank."""
    ENCODING = "encoding"
    """It is not ASCII, in a file that is neither UTF-8 nor UTF-16."""


@dataclass(frozen=True, slots=True)
class NewHeader:
    """From here on the cells follow these names: of other keys in JSON, or of another sheet."""

    header: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One row that cannot be read at all; the rows after it can."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class DamagedRow:
    """A row in which cells are not what was typed; `damage` has their positions."""

    number: int
    cells: list[str] = field(repr=False)
    damage: dict[int, Damage] = field(repr=False)


Record = tuple[int, list[str]] | NewHeader | Unreadable | DamagedRow


@dataclass(frozen=True, slots=True)
class Place:
    """Where a person finds a row: its number there, and the sheet, "" outside of workbooks."""

    sheet: str
    row: int


@dataclass(frozen=True, slots=True)
class Records:
    """A file found to be rows of cells, to be read once.

    `format` is "CSV", "JSON", "JSON Lines" or "XLSX", with " (gzip)" or " (zip)" behind it where
    that had to be undone; `header` has the names of the columns, or the keys of the first item;
    `header_number` is the number of its row, 0 in JSON.

    Numbers of rows are unique and ascend. In the first sheet that is read they are its own; each
    further sheet adds SHEET_ROWS. `place` returns what a person sees. `left_out` names the sheets
    that are not read though they hold something, because they have no column for the address or
    are hidden.

    Blank rows are skipped. A row may have fewer cells than the header, never
    more, and its cells are text that any encoding of Unicode can write. Reading on raises
    FileRefusedError where the file turns out to be damaged as a whole or to pass a bound.
    """

    format: str
    header: tuple[str, ...]
    records: Iterator[Record]
    _encoding: Callable[[], str]
    header_number: int = 0
    sheets: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    delimiter: str = ""

    @property
    def encoding(self) -> str:
        """How the text is encoded, "" for a workbook.

        A file that is ASCII for long is taken for UTF-8 until its first other character.
        """
        return self._encoding()

    @property
    def header_place(self) -> str:
        """Where people find the header; "" in JSON."""
        sheet = f" of the sheet {self.sheets[0]}" if self.sheets else ""
        return f"row {self.header_number:,}{sheet}" if self.header_number else ""

    def place(self, number: int) -> Place:
        """Return where the row of a number is."""
        if not self.sheets:
            return Place("", number)
        sheet, row = divmod(number - 1, SHEET_ROWS)
        return Place(self.sheets[sheet], row + 1)


def is_blank(cells: list[str]) -> bool:
    """Return whether a row is blank."""
    return not any(map(str.strip, cells))


def is_text(cells: list[str]) -> bool:
    """Return whether the cells are text: lone surrogates are bytes that could not be decoded."""
    return not _SURROGATE.search("".join(cells))


def not_ascii(cells: list[str]) -> dict[int, Damage]:
    """Return which cells may be other text than was written, where the encoding is not sure."""
    return {at: Damage.ENCODING for at, cell in enumerate(cells) if not cell.isascii()}


def are_names(cells: Sequence[str]) -> bool:
    """Return whether the cells can be column names, as opposed to the bytes of a picture."""
    return not _NOT_IN_NAMES.search("".join(cells))


def not_text() -> FileRefusedError:
    """Return the error for bytes that are no text in a known encoding."""
    return FileRefusedError("It is neither text nor a supported format.", KNOWN_FORMATS)
