"""The formats an upload can have: CSV, and a JSON array of objects."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import BinaryIO, TextIO, cast

from email_accounts.account import ADDRESS_FIELD
from email_accounts.errors import FileRefusedError
from email_accounts.reading.layouts import Layout, resolve

LONGEST_ITEM = 1 << 20
_WINDOW = 1 << 16
_ENDS = frozenset(" \t\r\n,]")
_BLANK = re.compile(r"[ \t\r\n]*")
_KNOWN_FORMATS = "Save it as CSV (UTF-8) or as a JSON array and drop it again."
_OTHER_FORMATS = {
    b"PK\x03\x04": "an Excel workbook or a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"%PDF": "a PDF",
}

csv.field_size_limit(LONGEST_ITEM)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the file: the number a person sees, and its values in the order of FIELDS.

    Where the row cannot be read at all, `unreadable` says why and the values are empty.
    """

    number: int
    values: list[str]
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class AccountsFile:
    """A file that holds accounts: what it was found to be, and its rows, to be read once."""

    format: str
    unknown_columns: tuple[str, ...]
    rows: Iterator[Row]


def open_accounts_file(stream: BinaryIO) -> AccountsFile:
    """Recognise the format from the content and resolve the columns.

    Raises:
        FileRefusedError: the content as a whole cannot be read as accounts. Text that turns
            out not to be UTF-8 is found while the rows are read, and raises it then.
    """
    buffered = io.BufferedReader(cast("io.RawIOBase", stream), _WINDOW)
    start = buffered.peek(_WINDOW)[:_WINDOW]
    if b"\0" in start[:2]:
        raise FileRefusedError("It is UTF-16 text, which cannot be read.", _KNOWN_FORMATS)
    for magic, name in _OTHER_FORMATS.items():
        if start.startswith(magic):
            raise FileRefusedError(f"It is {name}, which cannot be read.", _KNOWN_FORMATS)
    text = io.TextIOWrapper(buffered, encoding="utf-8-sig", newline="")
    is_json = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{")
    opener: Callable[[TextIO], AccountsFile] = _open_json if is_json else _open_csv
    try:
        opened = opener(text)
    except UnicodeDecodeError as error:
        raise _not_utf8(error) from None
    return AccountsFile(opened.format, opened.unknown_columns, _decoded(opened.rows))


def _decoded(rows: Iterator[Row]) -> Iterator[Row]:
    try:
        yield from rows
    except UnicodeDecodeError as error:
        raise _not_utf8(error) from None


def _not_utf8(error: UnicodeDecodeError) -> FileRefusedError:
    byte = error.object[error.start]
    return FileRefusedError(
        f"It is neither UTF-8 text nor a known format (byte 0x{byte:02x}).", _KNOWN_FORMATS
    )


def _open_csv(text: TextIO) -> AccountsFile:
    records = csv.reader(_lines(text), strict=True)
    try:
        headers = next(records)
    except StopIteration:
        raise FileRefusedError("It is empty.", "The first line names the columns.") from None
    except csv.Error:
        raise FileRefusedError(
            "Its first line cannot be read as the names of columns.", _KNOWN_FORMATS
        ) from None
    layout = resolve(headers)
    return AccountsFile("csv", layout.unknown, _csv_rows(records, layout))


def _lines(text: TextIO) -> Iterator[str]:
    while line := text.readline(LONGEST_ITEM):
        if len(line) == LONGEST_ITEM:
            raise FileRefusedError(
                f"It has a line of over {LONGEST_ITEM:,} characters.", _KNOWN_FORMATS
            )
        yield line


def _csv_rows(records: Iterator[list[str]], layout: Layout) -> Iterator[Row]:
    number = 1
    while True:
        number += 1
        try:
            cells = next(records)
        except StopIteration:
            return
        except csv.Error as error:
            if "expected after" not in str(error):
                raise FileRefusedError(
                    f"A quote that opens in row {number} is never closed.",
                    "Close it, or double the quotes inside the cell.",
                ) from None
            yield Row(number, [], "a quote stands inside a quoted cell")
            continue
        if len(cells) > layout.width and any(map(str.strip, cells[layout.width :])):
            yield Row(number, [], "it has more cells than the first line has columns")
        elif any(map(str.strip, cells)):
            yield Row(number, layout.values(cells))


def _open_json(text: TextIO) -> AccountsFile:
    items = _json_items(text)
    try:
        first = next(items)
    except StopIteration:
        raise FileRefusedError(
            "It is an empty JSON array.", "Put one object per account into it."
        ) from None
    if not isinstance(first, dict):
        raise FileRefusedError(
            "The first item of its JSON array is not an object.",
            "Put one object per account into the array.",
        )
    return AccountsFile("json", resolve(list(first)).unknown, _json_rows(first, items))


def _json_rows(first: object, items: Iterator[object]) -> Iterator[Row]:
    for number, item in enumerate(chain([first], items), start=1):
        if not isinstance(item, dict):
            yield Row(number, [], "it is not an object")
            continue
        layout = _layout_of(tuple(item))
        if layout is None:
            yield Row(number, [], f"none of its fields is {ADDRESS_FIELD}")
        elif any(isinstance(value, dict | list) for value in item.values()):
            yield Row(number, [], "one of its fields holds a list or an object")
        else:
            yield Row(number, layout.values([_json_text(value) for value in item.values()]))


@lru_cache(maxsize=64)
def _layout_of(keys: tuple[str, ...]) -> Layout | None:
    try:
        return resolve(keys)
    except FileRefusedError:
        return None


def _json_text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _json_items(text: TextIO) -> Iterator[object]:
    """Yield the items of a JSON array; only a window of the text is in memory."""
    window = _Window(text)
    if window.peek() != "[":
        raise FileRefusedError(
            "It is JSON, but not an array.", "Put the objects into one array: [ … ]."
        )
    window.skip()
    if window.peek() == "]":
        return
    while True:
        yield window.value()
        separator = window.peek()
        if separator not in (",", "]"):
            raise window.broken()
        window.skip()
        if separator == "]":
            if window.peek():
                raise window.broken()
            return


class _Window:
    """A part of a JSON text that slides along it."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._decoder = json.JSONDecoder()
        self._buffer = ""
        self._at = 0
        self._items = 0

    def peek(self) -> str:
        """Return the next character that is not blank, or '' at the end."""
        while True:
            self._at = _BLANK.match(self._buffer, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._read_on():
                return ""

    def skip(self) -> None:
        """Go past the character that `peek` showed."""
        self._at += 1

    def value(self) -> object:
        """Return the value that starts at the next character that is not blank."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._at)
            except (ValueError, RecursionError):
                end = len(self._buffer)
                value = None
            if self._buffer[end : end + 1] in _ENDS:
                self._at = end
                self._items += 1
                return value
            if len(self._buffer) - self._at > LONGEST_ITEM or not self._read_on():
                raise self.broken()

    def broken(self) -> FileRefusedError:
        """Return the error for a text that is not a JSON array from here on."""
        message = f"Its JSON cannot be read behind item {self._items}."
        return FileRefusedError(
            message, "Mend it there, or export it again: perhaps it was cut off."
        )

    def _read_on(self) -> bool:
        chunk = self._text.read(_WINDOW)
        self._buffer = self._buffer[self._at :] + chunk
        self._at = 0
        return chunk != ""
