"""Reading files made for one test, and making the files."""

import hashlib
import io
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import BinaryIO, cast

import openpyxl
import pytest

from email_accounts.errors import FileRefusedError
from email_accounts.intake.columns import recognized
from email_accounts.parsing.detect import open_records
from email_accounts.parsing.records import Record, Records, Unreadable

Row = tuple[int, list[str]]


def opened(content: bytes) -> Records:
    """Open a file with this content."""
    return open_records(io.BytesIO(content), recognized)


def everything(content: bytes) -> list[Record]:
    """Return all that a file yields, unreadable rows by number only as `Unreadable(n, "")`."""
    return list(map(_without_reason, opened(content).records))


def _without_reason(record: Record) -> Record:
    return Unreadable(record.number, "") if isinstance(record, Unreadable) else record


def bad(number: int) -> Unreadable:
    """Return what `everything` gives for an unreadable row."""
    return Unreadable(number, "")


def reasons(content: bytes) -> list[str]:
    """Return why rows of a file are unreadable."""
    return [one.reason for one in opened(content).records if isinstance(one, Unreadable)]


def refusal(content: bytes) -> str:
    """Read a file to its end and return why it is refused."""
    return refusal_of(io.BytesIO(content))


def refusal_of(stream: io.RawIOBase | io.BytesIO) -> str:
    """Read a stream to its end and return why it is refused."""
    with pytest.raises(FileRefusedError) as refused:
        list(streamed(stream).records)
    return str(refused.value)


def streamed(stream: io.RawIOBase | io.BytesIO) -> Records:
    """Open a file that comes as a stream."""
    return open_records(cast("BinaryIO", stream), recognized)


class Stream(io.RawIOBase):
    """A stream of pieces that are made when they are asked for; it cannot seek."""

    def __init__(self, *pieces: Iterable[bytes]) -> None:
        """Give these pieces, of any sizes."""
        super().__init__()
        self._pieces: Iterator[bytes] = chain(*pieces)
        self._rest = b""

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        """Give what is left of a piece, or the next one."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def noise(size: int) -> bytes:
    """Return bytes that cannot be compressed."""
    return hashlib.shake_128(b"noise").digest(size)


def peak_of(run: Callable[[], object]) -> int:
    """Return how many bytes more than before were in use at most."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def workbook(*rows: Iterable[object]) -> bytes:
    """Return a workbook as openpyxl writes it."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in rows:
        sheet.append(list(row))
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def sheets(**rows: Iterable[Iterable[object]]) -> openpyxl.Workbook:
    """Make a workbook of sheets with these rows."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, cells in rows.items():
        sheet = book.create_sheet(title)
        for row in cells:
            sheet.append(list(row))
    return book


def saved(book: openpyxl.Workbook) -> bytes:
    """Return a workbook as a file."""
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PARTS = {
    "[Content_Types].xml": "<Types/>",
    "_rels/.rels": (
        f'<Relationships><Relationship Id="a" Type="{_OFFICE}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
        '<sheet name="One" sheetId="1" r:id="b"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships><Relationship Id="b" Type="{_OFFICE}/worksheet" Target="sheet.xml"/>'
        f'<Relationship Id="c" Type="{_OFFICE}/sharedStrings" Target="/xl/texts.xml"/>'
        "</Relationships>"
    ),
    "xl/texts.xml": f'<sst xmlns="{_MAIN}"><si><t>email</t></si></sst>',
}
HEADER = '<row r="1"><c r="A1" t="s"><v>0</v></c></row>'


def parts(rows: str = "", changed: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Return the parts of a workbook with these rows; a part that is None is skipped."""
    sheet = f'<worksheet xmlns="{_MAIN}"><sheetData>{rows}</sheetData></worksheet>'
    given = {**_PARTS, "xl/sheet.xml": sheet, **(changed or {})}
    return {name: part for name, part in given.items() if part is not None}


def archive(members: Mapping[str, str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as file:
        for name, member in members.items():
            file.writestr(name, member)
    return content.getvalue()
