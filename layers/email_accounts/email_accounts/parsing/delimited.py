"""Tables of delimited text: CSV with comma, semicolon, tab or pipe."""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain

from email_accounts.errors import FileRefusedError
from email_accounts.parsing import bounds
from email_accounts.parsing.encoding import Text, lines_in, whole_lines
from email_accounts.parsing.records import (
    KNOWN_FORMATS,
    NOT_TEXT,
    DamagedRow,
    Recognizes,
    Record,
    Unreadable,
    is_blank,
    is_text,
    not_ascii,
)
from email_accounts.parsing.source import WINDOW
from email_accounts.parsing.table import (
    Table,
    cells_of,
    check_header,
    find_table,
    fit,
    header_among,
    sample_of,
)

DELIMITERS = "\t;,|"
"""The likeliest first: a comma may well be in the names of columns separated by another."""

_NAMED_DELIMITER = re.compile(r"\"?sep=([^\w\s\"]|\t)\"?[,;\t]*(?:\r\n|\r|\n)", re.IGNORECASE)
_OTHER_TAIL = re.compile(r"\w[\t;,|]+\s*$")
_RULE = re.compile(r"\s*:?[-=+]{2,}:?\s*|")
"""The line below the header of a table drawn with signs, as in Markdown."""
_QUOTED = re.compile(r'"[^"]*"?')
_MOST_CELLS = 1 << 20
_NEVER_CLOSED = "its opening quote is never closed"
_CLOSE_QUOTES = "Close it there, or double each quote that is part of a quoted cell."

_LINE_ENDS = io.IncrementalNewlineDecoder(None, translate=True)

csv.field_size_limit(bounds.CELL)


def open_table(
    text: Text, recognizes: Recognizes, meter: bounds.Meter
) -> tuple[Table, Iterator[list[Record]]]:
    """Return the table with its first rows, and the rows below these.

    A line like `sep=;` above it, which spreadsheets follow and do not show, is no row.
    """
    start, chunks = _sample(text.chunks())
    if named := _NAMED_DELIMITER.match(start):
        delimiter, start = named[1], start[named.end() :]
    else:
        delimiter = _delimiter(start, recognizes)
    spaced = re.search(rf'(?m)^ *"[^"\r\n]*"{re.escape(delimiter)} +"', start) is not None
    rows = _Rows(text, chain([start], chunks), delimiter, meter, spaced=spaced)
    batches = meter.timed(rows.batches)
    sample = sample_of(batches)
    table = find_table(sample, recognizes)
    if table is None:
        if sample:
            raise FileRefusedError("None of its first rows can be read.", KNOWN_FORMATS)
        raise FileRefusedError("It has no rows.", "The first line must be the header row.")
    check_header(table.header)
    if _OTHER_TAIL.search(table.header[-1]):
        raise FileRefusedError(
            f"Row {table.number} has delimiters of two kinds.",
            "Export it again with one, or delete what follows the last column in every line.",
        )
    if table.below and all(map(_RULE.fullmatch, cells_of(table.below[0]) or ["-"])):
        del table.below[0]
    table = replace(table, delimiter=delimiter)
    rows.width = len(table.header)
    rows.longest = max(table.longest, table.blank_tail)
    table.below[:] = [fit(record, rows.width, rows.longest) for record in table.below]
    return table, batches


def _sample(chunks: Iterator[str]) -> tuple[str, Iterator[str]]:
    """Return the first lines, enough to detect the delimiter, and all other text."""
    start = ""
    for chunk in chunks:
        start += chunk
        if len(start) > bounds.CELL or len(lines_in(start)) > bounds.SAMPLE:
            break
    return start, chunks


def _delimiter(start: str, recognizes: Recognizes) -> str:
    """Return the delimiter by which the header has the most known names, and then cells."""
    lines = lines_in(start[: bounds.CELL])[: bounds.SAMPLE]
    best, most = "", (0, 0)
    for delimiter in filter(start.__contains__, DELIMITERS):
        rows: list[list[str]] = []
        with suppress(csv.Error):
            rows.extend(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
        at, known = header_among(rows, recognizes) if any(rows) else (0, 0)
        found = (known, len(rows[at])) if known else (0, 0)
        if found > most and len(rows[at]) > 1:
            best, most = delimiter, found
    return best or _most_frequent(start)


def _most_frequent(start: str) -> str:
    names = re.split(r"[\r\n]", _QUOTED.sub("", start).lstrip("\r\n"), maxsplit=1)[0]
    return max(DELIMITERS, key=names.count) if set(DELIMITERS) & set(names) else ","


class _Rows:
    """Rows that csv.reader reads where splitting lines and cells is not enough.

    They are watched for those that do not end. `width` is that of the header, and up to the
    cell `longest` a row may go on with blanks; both are set when the header is known.
    """

    def __init__(
        self,
        text: Text,
        chunks: Iterator[str],
        delimiter: str,
        meter: bounds.Meter,
        *,
        spaced: bool,
    ) -> None:
        """Prepare for reading; `spaced` means that blanks precede opening quotes."""
        self._spaced = spaced
        self.width = self.longest = _MOST_CELLS
        self._text = text
        self._delimiter = delimiter
        self._meter = meter
        self._number = self._waited = 0
        self._lines: list[str] = []
        self._lines_before = self._lines_done = 0
        self._windows = self._watched(chunks)
        self.batches = map(self._read, self._windows)

    def _watched(self, chunks: Iterator[str]) -> Iterator[str]:
        """Yield whole lines as long as rows end in them."""
        for lines in whole_lines(chunks):
            self._waited += 1
            if self._waited * WINDOW > bounds.ROW:
                raise self._endless(_NEVER_CLOSED)
            cells = lines.count(self._delimiter)
            # Its cells would take more memory than the text itself.
            if self._waited * WINDOW > bounds.CELL and cells > _MOST_CELLS:
                raise self._endless(f"it has more than {_MOST_CELLS:,} cells")
            self._meter.add(0, cells)
            if lines:
                yield lines

    def _endless(self, how: str) -> FileRefusedError:
        return FileRefusedError(f"Row {self._number + 1} does not end: {how}.", _CLOSE_QUOTES)

    def _read(self, lines: str) -> list[Record]:
        """Read the rows that begin in these lines."""
        self._waited = 0
        before = self._number
        doubtful = (self._text.unsure or self._text.damaged) and not lines.isascii()
        if doubtful or '"' in lines or len(lines) > bounds.CELL:
            records = [*self._parsed(lines)]
        else:
            records = self._split(lines)
        self._meter.add(self._number - before, self._number - before)
        return records

    def _split(self, lines: str) -> list[Record]:
        """Read lines without quotes: many times faster than csv.reader does, to the same end."""
        delimiter, width = self._delimiter, self.width
        split = _LINE_ENDS.decode(lines, final=True).removesuffix("\n").split("\n")
        first, self._number = self._number + 1, self._number + len(split)
        records: list[Record] = []
        for number, line in enumerate(split, first):
            cells = line.split(delimiter)
            if len(cells) > width or not cells[0].strip():
                records += self._checked(number, cells)
            else:
                records.append((number, cells))
        return records

    def _parsed(self, lines: str) -> Iterator[Record]:
        self._lines, self._lines_before, self._lines_done = lines_in(lines), 0, 0
        fed = chain.from_iterable(self._fed())
        reader = csv.reader(
            fed, delimiter=self._delimiter, strict=True, skipinitialspace=self._spaced
        )
        self._reader = reader
        while True:
            try:
                for number, cells in enumerate(reader, self._number + 1):
                    self._number = number
                    self._lines_done = reader.line_num
                    if (
                        not cells
                        or not cells[0].strip()
                        or len(cells) > self.width
                        or self._text.unsure
                        or self._text.damaged
                    ):
                        yield from self._checked(number, cells)
                    else:
                        yield number, cells
            except csv.Error as error:
                self._number += 1
                yield self._broken(self._number, error)
            else:
                return

    def _fed(self) -> Iterator[list[str]]:
        """Yield the current lines, and the next ones until a row ends with a line."""
        yield self._lines
        while self._reader.line_num > self._lines_done:
            if self._lines_done > self._lines_before:  # rows ended before the one that continues
                self._waited = 0
            lines = next(self._windows, None)
            if lines is None:
                raise self._endless(_NEVER_CLOSED)
            self._lines_before += len(self._lines)
            self._lines = lines_in(lines)
            yield self._lines

    def _checked(self, number: int, cells: list[str]) -> Iterator[Record]:
        if is_blank(cells):
            return
        if self._text.damaged and not is_text(cells):
            yield Unreadable(number, NOT_TEXT)
        elif self._text.unsure and (damage := not_ascii(cells)):
            yield fit(DamagedRow(number, cells, damage), self.width, self.longest)
        else:
            yield fit((number, cells), self.width, self.longest)

    def _broken(self, number: int, error: csv.Error) -> Unreadable:
        """Say what is wrong with a row; the next one begins with the next line."""
        lines = self._reader.line_num - self._lines_done
        line = self._lines[self._reader.line_num - self._lines_before - 1]
        self._lines_done = self._reader.line_num
        if "field limit" not in str(error):
            over = f" and continues over {lines:,} lines" if lines > 1 else ""
            return Unreadable(number, f"a quote is inside a quoted cell{over}")
        if lines > 1 or line.count('"') % 2:
            raise FileRefusedError(
                f"A cell in row {number} has more than {bounds.CELL:,} characters, as if a quote "
                "that opens there is never closed.",
                _CLOSE_QUOTES,
            )
        return Unreadable(number, f"a cell has more than {bounds.CELL:,} characters")
