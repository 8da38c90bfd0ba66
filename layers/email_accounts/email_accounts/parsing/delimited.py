"""Tables of delimited text: CSV with comma, semicolon or tab."""

import csv
import io
import re
from collections.abc import Iterator
from itertools import chain

from email_accounts.errors import FileRefusedError
from email_accounts.parsing.encoding import Text, lines_in, whole_lines
from email_accounts.parsing.records import (
    KNOWN_FORMATS,
    LONGEST_CELL,
    NOT_TEXT,
    Record,
    Unreadable,
    are_names,
    is_blank,
    is_text,
    not_text,
)
from email_accounts.parsing.source import WINDOW

_DELIMITERS = "\t;,"
"""The likeliest first: a comma may well stand in the names of columns parted by another."""

_NAMED_DELIMITER = re.compile(r"\"?sep=([^\w\s\"]|\t)\"?[,;\t]*(?:\r\n|\r|\n)", re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"?')
_MOST_COLUMNS = 16_384
_LONGEST_ROW = 12 << 20
_MOST_CELLS = 1 << 20
_NEVER_CLOSED = "a quote that opens in it is never closed"
_MEND_QUOTES = "Close it there, or double each quote that is part of a quoted cell."

_LINE_ENDS = io.IncrementalNewlineDecoder(None, translate=True)

csv.field_size_limit(LONGEST_CELL)


def open_table(text: Text) -> tuple[tuple[str, ...], Iterator[Record]]:
    """Return the names of the columns, and the rows below them.

    The first row that is not blank names the columns. A line like `sep=;` above it, which
    spreadsheets follow and do not show, is no row.
    """
    chunks = text.chunks()
    start = next(chunks, "")
    if named := _NAMED_DELIMITER.match(start):
        delimiter, start = named[1], start[named.end() :]
    else:
        delimiter = _delimiter(start)
    table = _Table(text, chain([start], chunks), delimiter)
    return table.header, table.rows


def _delimiter(start: str) -> str:
    names = re.split(r"[\r\n]", _QUOTED.sub("", start).lstrip("\r\n"), maxsplit=1)[0]
    return max(_DELIMITERS, key=names.count) if set(_DELIMITERS) & set(names) else ","


class _Table:
    """A table whose rows csv.reader reads wherever it takes more than parting lines and cells.

    It is watched for rows that do not end.
    """

    def __init__(self, text: Text, chunks: Iterator[str], delimiter: str) -> None:
        """Read the names of the columns."""
        self._text = text
        self._delimiter = delimiter
        self._number = self._waited = 0
        self._lines: list[str] = []
        self._lines_before = self._lines_done = 0
        self._windows = self._watched(chunks)
        self._width = _MOST_COLUMNS
        self.rows: Iterator[Record] = chain.from_iterable(map(self._read, self._windows))
        self.header = self._header()
        self._width = len(self.header)

    def _header(self) -> tuple[str, ...]:
        match next(self.rows, None):
            case (_, list(cells)) if are_names(cells):
                return tuple(cells)
            case None:
                raise FileRefusedError("It has no rows.", "The first line names the columns.")
            case (_, _):
                raise not_text()
            case _:
                raise FileRefusedError(
                    "Its first line cannot be read as the names of columns.", KNOWN_FORMATS
                )

    def _watched(self, chunks: Iterator[str]) -> Iterator[str]:
        """Yield whole lines as long as rows end in them."""
        for lines in whole_lines(chunks):
            self._waited += 1
            if self._waited * WINDOW > _LONGEST_ROW:
                raise self._endless(_NEVER_CLOSED)
            # Its cells would take more memory than the text itself.
            if self._waited * WINDOW > LONGEST_CELL and lines.count(self._delimiter) > _MOST_CELLS:
                raise self._endless(f"it has more than {_MOST_CELLS:,} cells")
            if lines:
                yield lines

    def _endless(self, how: str) -> FileRefusedError:
        return FileRefusedError(f"Row {self._number + 1} does not end: {how}.", _MEND_QUOTES)

    def _read(self, lines: str) -> Iterator[Record]:
        """Read the rows that begin in these lines."""
        self._waited = 0
        if '"' in lines or len(lines) > LONGEST_CELL or self._text.damaged:
            return self._parsed(lines)
        return self._parted(lines)

    def _parted(self, lines: str) -> Iterator[Record]:
        """Read lines without quotes: many times faster than csv.reader does, to the same end."""
        delimiter = self._delimiter
        parted = _LINE_ENDS.decode(lines, final=True).removesuffix("\n").split("\n")
        first, self._number = self._number + 1, self._number + len(parted)
        for number, line in enumerate(parted, first):
            cells = line.split(delimiter)
            if len(cells) > self._width or not cells[0].strip():
                yield from self._judged(number, cells)
            else:
                yield number, cells

    def _parsed(self, lines: str) -> Iterator[Record]:
        self._lines, self._lines_before, self._lines_done = lines_in(lines), 0, 0
        fed = chain.from_iterable(self._fed())
        reader = csv.reader(fed, delimiter=self._delimiter, strict=True)
        self._reader = reader
        while True:
            try:
                for number, cells in enumerate(reader, self._number + 1):
                    self._number = number
                    self._lines_done = reader.line_num
                    if (
                        not cells
                        or not cells[0].strip()
                        or len(cells) > self._width
                        or self._text.damaged
                    ):
                        yield from self._judged(number, cells)
                    else:
                        yield number, cells
            except csv.Error as error:
                self._number += 1
                yield self._broken(self._number, error)
            else:
                return

    def _fed(self) -> Iterator[list[str]]:
        """Yield the lines in hand, and those behind them until a row ends where they do."""
        yield self._lines
        while self._reader.line_num > self._lines_done:
            if self._lines_done > self._lines_before:  # rows ended before the one that goes on
                self._waited = 0
            lines = next(self._windows, None)
            if lines is None:
                raise self._endless(_NEVER_CLOSED)
            self._lines_before += len(self._lines)
            self._lines = lines_in(lines)
            yield self._lines

    def _judged(self, number: int, cells: list[str]) -> Iterator[Record]:
        if is_blank(cells):
            return
        if not is_blank(cells[self._width :]):
            reason = f"it has more cells than the {self._width} columns of the first line"
            yield Unreadable(number, reason)
        elif self._text.damaged and not is_text(cells):
            yield Unreadable(number, NOT_TEXT)
        else:
            yield number, cells[: self._width]

    def _broken(self, number: int, error: csv.Error) -> Unreadable:
        """Say what is wrong with a row; the next one begins with the next line."""
        lines = self._reader.line_num - self._lines_done
        line = self._lines[self._reader.line_num - self._lines_before - 1]
        self._lines_done = self._reader.line_num
        if "field limit" not in str(error):
            over = f" and goes on over {lines:,} lines" if lines > 1 else ""
            return Unreadable(number, f"a quote stands inside a quoted cell{over}")
        if lines > 1 or line.count('"') % 2:
            raise FileRefusedError(
                f"A cell in row {number} has more than {LONGEST_CELL:,} characters, as if a quote "
                "that opens there were never closed.",
                _MEND_QUOTES,
            )
        return Unreadable(number, f"a cell has more than {LONGEST_CELL:,} characters")
