"""Tables of delimited text: CSV with comma, semicolon or tab."""

import csv
import re
from collections.abc import Iterator
from itertools import chain

from email_accounts.errors import FileRefusedError
from email_accounts.reading.records import (
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
from email_accounts.reading.source import WINDOW
from email_accounts.reading.text import Text, lines_of

_DELIMITERS = "\t;,"
"""The likeliest first: a comma may well stand in the names of columns parted by another."""

_NAMED_DELIMITER = re.compile(r"\"?sep=([^\w\s\"]|\t)\"?[,;\t]*(?:\r\n|\r|\n)", re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"?')
_MOST_COLUMNS = 16_384
_LONGEST_ROW = 12 << 20
_MOST_CELLS = 1 << 20
_NEVER_CLOSED = "a quote that opens in it is never closed"
_MEND_QUOTES = "Close it there, or double each quote that is part of a quoted cell."

csv.field_size_limit(LONGEST_CELL)


class _EndlessRowError(Exception):
    """A row does not end where the file does, or not for megabytes; the text says how."""


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
    """A table as csv.reader reads it, which is watched for rows that do not end."""

    def __init__(self, text: Text, chunks: Iterator[str], delimiter: str) -> None:
        """Read the names of the columns."""
        self._text = text
        self._lines: list[str] = []
        self._lines_before = 0
        self._lines_done = 0
        lines = chain.from_iterable(self._feed(chunks))
        self._reader = csv.reader(lines, delimiter=delimiter, strict=True)
        self._width = _MOST_COLUMNS
        self.rows = self._read()
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

    def _feed(self, chunks: Iterator[str]) -> Iterator[list[str]]:
        """Yield lines for the reader as long as it finds the ends of rows in them."""
        waited = 0
        for lines in lines_of(chunks):
            waited += 1
            if waited * WINDOW > _LONGEST_ROW:
                raise _EndlessRowError(_NEVER_CLOSED)
            if waited * WINDOW > LONGEST_CELL and self._is_crowded(lines):
                raise _EndlessRowError(f"it has more than {_MOST_CELLS:,} cells")
            self._lines_before += len(self._lines)
            self._lines = lines
            yield lines
            if lines and self._reader.line_num == self._lines_done:
                waited = 0
        if self._reader.line_num > self._lines_done:
            raise _EndlessRowError(_NEVER_CLOSED)

    def _is_crowded(self, lines: list[str]) -> bool:
        """Tell a line whose cells would take more memory than the line itself."""
        return bool(lines) and lines[0].count(self._reader.dialect.delimiter) > _MOST_CELLS

    def _read(self) -> Iterator[Record]:
        number = 0
        while True:
            following = number + 1
            try:
                for number, cells in enumerate(self._reader, following):
                    self._lines_done = self._reader.line_num
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
                number += 1
                yield self._broken(number, error)
            except _EndlessRowError as error:
                problem = f"Row {number + 1} does not end: {error}."
                raise FileRefusedError(problem, _MEND_QUOTES) from None
            else:
                return

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
