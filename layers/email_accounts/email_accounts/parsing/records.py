"""What reading yields, whatever the format: rows of cells with the number a person sees."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from email_accounts.errors import FileRefusedError

LONGEST_CELL = 1 << 20
"""Characters. Longer ones are no setting of an account, but would have to be kept in memory."""

KNOWN_FORMATS = "Save it as CSV, as an Excel workbook (.xlsx) or as JSON, and drop it again."
EXPORT_AGAIN = (
    "Export it again and drop the new file: perhaps it was cut off or changed on its way."
)

NOT_TEXT = "it holds bytes or characters that are no text"

_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_IN_NAMES = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class NewHeader:
    """From here on the cells follow these names: JSON items may each have other keys."""

    header: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One row that cannot be read at all; the rows after it can."""

    number: int
    reason: str


Record = tuple[int, list[str]] | NewHeader | Unreadable


@dataclass(frozen=True, slots=True)
class Records:
    """A file found to be rows of cells, to be read once.

    `format` is "CSV", "JSON", "JSON Lines" or "XLSX", with " (gzip)" behind it where that had
    to be undone; `header` has the names of the columns, or the keys of the first item.

    Rows that are all blank are left out. A row may have fewer cells than the header, never
    more, and its cells are text that any encoding of Unicode can write. Reading on raises
    FileRefusedError where the file turns out to be damaged as a whole.
    """

    format: str
    header: tuple[str, ...]
    records: Iterator[Record]
    _encoding: Callable[[], str]

    @property
    def encoding(self) -> str:
        """How the text is encoded, "" for a workbook.

        A file that is ASCII for long is taken for UTF-8 until its first other character.
        """
        return self._encoding()


def is_blank(cells: list[str]) -> bool:
    """Tell whether a row has nothing but blanks."""
    return not any(map(str.strip, cells))


def is_text(cells: list[str]) -> bool:
    """Tell whether the cells are text: lone surrogates stand for what could not be decoded."""
    return not _SURROGATE.search("".join(cells))


def are_names(cells: Sequence[str]) -> bool:
    """Tell whether the cells can be the names of columns, as opposed to the bytes of a picture."""
    return not _NOT_IN_NAMES.search("".join(cells))


def not_text() -> FileRefusedError:
    """Return the error for bytes that are no text in a known encoding."""
    return FileRefusedError("It is neither text nor a format that can be read.", KNOWN_FORMATS)
