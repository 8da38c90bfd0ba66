"""Any table, written in any format, delimiter and encoding, reads back the same."""

import codecs
import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Literal
from unittest.mock import patch

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from email_accounts.errors import FileRefusedError
from email_accounts.intake.columns import recognized
from email_accounts.parsing import source
from email_accounts.parsing.records import Damage, DamagedRow, NewHeader, Record, Unreadable
from tests.support.reading import Stream, everything, streamed, workbook

Table = list[list[str]]
Rows = list[tuple[int, list[str]]]

_LETTERS = "abc,;\t\"'\n\r\\{}[]:<&_x0 \u00e9\u20ac\u2028\x85\x0b\x1c"
_TEXT = st.text(st.sampled_from(_LETTERS), max_size=8) | st.text(
    # A mark of the byte order is left out at the start of any line.
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"),
    max_size=5,
)
_NAMES = st.lists(
    st.text(st.sampled_from("abcXYZ_ \u00e9"), min_size=1, max_size=6).filter(str.strip),
    min_size=1,
    max_size=5,
    unique=True,
)


@st.composite
def tables(draw: st.DrawFn, texts: st.SearchStrategy[str] = _TEXT) -> Table:
    """Draw names of columns and rows of cells, none of which could be the header."""
    names = draw(_NAMES)
    row = st.lists(
        texts.filter(lambda text: not recognized([text])), min_size=len(names), max_size=len(names)
    )
    return [names, *draw(st.lists(row, max_size=12))]


@st.composite
def streams(draw: st.DrawFn) -> Callable[[bytes], Stream]:
    """Draw a way in which bytes come: packed or not, in pieces of some size."""
    size = draw(st.integers(1, 40))
    packed = draw(st.booleans())

    def stream(content: bytes) -> Stream:
        sent = gzip.compress(content) if packed else content
        return Stream(sent[at : at + size] for at in range(0, len(sent), size))

    return stream


def encoded(data: st.DataObject, text: str) -> bytes:
    """Encode a text in one of the encodings that have its characters."""
    codec = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"]))
    if codec == "utf-16-be":
        return codecs.BOM_UTF16_BE + text.encode(codec)
    with suppress(UnicodeEncodeError):
        if codec != "cp1252" or is_windows_1252(text.encode(codec)):
            return text.encode(codec)
    return text.encode()


def is_windows_1252(content: bytes) -> bool:
    """Return whether the first bytes that are not ASCII are no UTF-8, and nothing is a control."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return content[: error.start].isascii() and not {0x0B, 0x1C} & set(content)
    return False


def numbered(table: Table, first: int) -> Rows:
    """Return what is to be read: the rows that are not blank, with their numbers."""
    return [(n, row) for n, row in enumerate(table[1:], first) if any(map(str.strip, row))]


def read(stream: Stream) -> tuple[tuple[str, ...], list[Record]]:
    """Read a stream to its end; a row in a doubtful encoding counts as one that is not."""
    records = streamed(stream)
    return records.header, [
        (record.number, record.cells)
        if isinstance(record, DamagedRow) and {*record.damage.values()} == {Damage.ENCODING}
        else record
        for record in records.records
    ]


@given(st.data(), tables(), streams())
def test_delimited(data: st.DataObject, table: Table, stream: Callable[[bytes], Stream]) -> None:
    """A table as CSV with any delimiter, line end, quoting and encoding."""
    delimiter = data.draw(st.sampled_from(",;\t" if len(table[0]) > 1 else ","))
    quote_all = data.draw(st.booleans())
    line_end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = io.StringIO(newline="")
    quoting: Literal[0, 1] = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=line_end).writerows(table)
    # csv.writer before 3.13 leaves a lone carriage return or line feed unquoted.
    assume(quote_all or not any("\r" in c or "\n" in c for r in table for c in r))
    assume(len(table[0]) > 1 or not table[0][0].startswith("sep="))
    content = encoded(data, text.getvalue())
    assert read(stream(content)) == (tuple(table[0]), numbered(table, 2))


_HEADER = '"email",x\n'


@given(
    st.text(st.sampled_from('ab,;"\n\r \u00e9\u2028\x85\x0b\x1c'), max_size=80), st.integers(12, 40)
)
@example('"a\nb",c\r\nd,e\rf\n"g,', 12)
def test_windows_with_quotes_and_without(text: str, window: int) -> None:
    """Wherever a window ends, rows are those that csv.reader finds in the whole text."""
    content = (_HEADER + text).encode()
    whole = read_or_refusal(content)  # the quotes of the header are in its only window
    with patch.object(source, "WINDOW", window):
        assert read_or_refusal(content) == whole


def read_or_refusal(content: bytes) -> object:
    """Read a file to its end; of one that is refused, return why."""
    try:
        return read(Stream([content]))
    except FileRefusedError as error:
        return str(error)


@given(st.data(), tables(), streams())
def test_json(data: st.DataObject, table: Table, stream: Callable[[bytes], Stream]) -> None:
    """A table as JSON array or JSON Lines, escaped or not, in any encoding."""
    names = table[0]
    assume(numbered(table, 1))
    items = [dict(zip(names, row, strict=True)) for row in table[1:]]
    ascii_only = data.draw(st.booleans())
    indent = data.draw(st.sampled_from([None, 1]))
    array = json.dumps(items, ensure_ascii=ascii_only, indent=indent)
    lines = "\n".join(json.dumps(item, ensure_ascii=ascii_only) for item in items)
    for text in (array, lines):
        content = encoded(data, text)
        assert read(stream(content)) == (tuple(names), numbered(table, 1))


_XML_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).filter(
    lambda text: not text.startswith("=") and "_x" not in text and "\ufffe" not in text
)


@settings(max_examples=40, deadline=None)
@given(tables(_XML_TEXT), streams())
def test_workbook(table: Table, stream: Callable[[bytes], Stream]) -> None:
    """A table as a workbook; cells that are blank at the end of a row may be missing."""
    assume(not any("\uffff" in cell or "\ufffe" in cell for row in table for cell in row))
    header, records = read(stream(workbook(*table)))
    assert header == tuple(table[0])
    width = len(header)
    for record in records:
        if isinstance(record, tuple):
            record[1].extend([""] * (width - len(record[1])))
    assert records == numbered(table, 2)


_BOOK = workbook(["email", "port"], *([f"a{number}@x.example", number] for number in range(50)))


@given(st.dictionaries(st.integers(4, len(_BOOK) - 1), st.integers(0, 255), max_size=20))
def test_damaged_workbook(changes: dict[int, int]) -> None:
    """Whichever bytes of a workbook are wrong: rows or a refusal, never anything else."""
    content = bytearray(_BOOK)
    for at, byte in changes.items():
        content[at] = byte
    with suppress(FileRefusedError):
        everything(bytes(content))


@given(st.binary(max_size=300), streams())
@example(b"a\n\x00", lambda content: Stream([content]))
@example(b"[" * 300, lambda content: Stream([content]))
@example(b"PK\x03\x04" + bytes(100), lambda content: Stream([content]))
def test_garbage(content: bytes, stream: Callable[[bytes], Stream]) -> None:
    """Whatever the bytes are: rows or a refusal, and every cell can be written."""
    for start in (b"", b"email,x\n", b'[{"a":"', b'{"a":"1"}\n', b"PK\x03\x04", b"\xff\xfe"):
        with suppress(FileRefusedError):
            for text in texts_of(read(stream(start + content))[1]):
                text.encode()


def texts_of(records: list[Record]) -> Iterator[str]:
    """Yield all texts of records."""
    for record in records:
        match record:
            case NewHeader(header):
                yield from header
            case Unreadable(_, reason):
                yield reason
            case (int(), list(cells)) | DamagedRow(_, list(cells)):
                yield from cells
