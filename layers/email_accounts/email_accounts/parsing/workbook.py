"""Excel workbooks: the archive, its parts, and the first sheet that a person sees."""

import posixpath
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import SEEK_END, SEEK_SET
from typing import IO, BinaryIO, cast
from xml.parsers import expat

from email_accounts.errors import FileRefusedError
from email_accounts.parsing.records import (
    KNOWN_FORMATS,
    Record,
    Unreadable,
    are_names,
    is_blank,
    not_text,
)
from email_accounts.parsing.source import WINDOW
from email_accounts.parsing.worksheet import Elements, SharedStrings, Worksheet, XmlPart, damaged

_SMALLEST_ARCHIVE = 98
_LARGEST_DIRECTORY = 1 << 20
_LARGEST_UNPACKED = 300_000_000
_LARGEST_RATIO = 200
_FREE_OF_RATIO = 1_000_000
_LARGEST_LIST = 4 << 20
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HIDDEN = ("hidden", "veryHidden")
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    expat.ExpatError,
    struct.error,
    EOFError,
    ValueError,
    LookupError,
    NotImplementedError,
    OverflowError,
)
"""What zipfile and expat raise for archives and parts that are not what they say they are."""


def open_workbook(file: BinaryIO) -> tuple[tuple[str, ...], Iterator[Record]]:
    """Return the cells of the first row that is not blank, and the rows below it.

    The file has to be one that can seek.
    """
    rows = _rows(file)
    for _, cells, _ in rows:
        if not is_blank(cells):
            if not are_names(cells):
                raise not_text()
            return tuple(cells), _records(rows, len(cells))
    raise FileRefusedError("Its first sheet is empty.", "The first row names the columns.")


def _records(rows: Iterator[tuple[int, list[str], bool]], width: int) -> Iterator[Record]:
    for number, cells, surplus in rows:
        if surplus:
            yield Unreadable(number, f"it has more cells than the {width} columns of the header")
        elif cells[0].strip() or not is_blank(cells):
            yield number, cells


def _rows(file: BinaryIO) -> Iterator[tuple[int, list[str], bool]]:
    with _damage_refused():
        archive = _Archive(file)
        part, texts_part = archive.first_sheet()
        texts = SharedStrings()
        if texts_part:
            archive.parse(texts_part, texts)
        sheet = Worksheet(texts)
        for window in archive.windows(part):
            if not sheet.ended:
                sheet.feed(window)
            yield from sheet.rows
            sheet.rows.clear()
        if not sheet.ended:
            raise damaged("its sheet ends too early")


@contextmanager
def _damage_refused() -> Iterator[None]:
    try:
        yield
    except _BROKEN:
        raise damaged("it cannot be unpacked and parsed to its end") from None


class _Archive:
    """The parts of a workbook by their names, all bounded before one is unpacked."""

    def __init__(self, file: BinaryIO) -> None:
        self._zip = zipfile.ZipFile(cast("IO[bytes]", _Bounded(file)))
        members = self._zip.infolist()
        _refuse_bomb(members)
        self._members = {_name(member.filename): member for member in members}
        if "[content_types].xml" not in self._members:
            kind = "an OpenDocument file" if "content.xml" in self._members else "a zip archive"
            raise FileRefusedError(f"It is {kind}, not an Excel workbook.", KNOWN_FORMATS)

    def first_sheet(self) -> tuple[str, str]:
        """Return the names of the first visible sheet and of the shared texts, "" for none."""
        [book] = self._targets("", "/officeDocument").values()
        if not book.startswith("xl/") or book.endswith(".bin"):
            raise FileRefusedError(
                "It is an Office document, but no workbook in the format .xlsx.", KNOWN_FORMATS
            )
        sheets = self._targets(book, "/worksheet")
        texts = self._targets(book, "/sharedStrings")
        for sheet in self._elements(book, "workbook", "sheet"):
            name = sheets.get(_relationship(sheet))
            if name and sheet.get("state") not in _HIDDEN:
                return name, next(iter(texts.values()), "")
        raise damaged("it has no sheet")

    def parse(self, name: str, part: XmlPart) -> None:
        """Parse a part from its beginning to its end."""
        for window in self.windows(name):
            part.feed(window)
        part.feed(b"")

    def windows(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of a part; zipfile never gives more than it declares."""
        member = self._members[name.lower()]
        if member.flag_bits & _ENCRYPTED:
            raise FileRefusedError("It is protected by a password.", "Save it without one.")
        if member.compress_type not in _METHODS:
            raise NotImplementedError
        with self._zip.open(member) as part:
            while window := part.read(WINDOW):
                yield window

    def _targets(self, source: str, kind: str) -> dict[str, str]:
        """Return what a part (the package: "") refers to in this role, by relationship."""
        folder, name = posixpath.split(source)
        reconciliation = posixpath.join(folder, "_rels", f"{name}.rels")
        return {
            element["Id"]: posixpath.normpath(
                posixpath.join("/", folder, element["Target"].replace("\\", "/"))
            ).lstrip("/")
            for element in self._elements(reconciliation, "Relationships", "Relationship")
            if element["Type"].endswith(kind)
        }

    def _elements(self, name: str, root: str, element: str) -> list[dict[str, str]]:
        if self._members[name.lower()].file_size > _LARGEST_LIST:
            raise damaged("a list of its parts is too large")
        elements = Elements(root, element)
        self.parse(name, elements)
        return elements.found


def _name(filename: str) -> str:
    return filename.replace("\\", "/").lstrip("/").lower()


def _relationship(sheet: dict[str, str]) -> str:
    return next((value for key, value in sheet.items() if key.endswith(":id")), "")


def _refuse_bomb(members: list[zipfile.ZipInfo]) -> None:
    unpacked = sum(member.file_size for member in members)
    swollen = any(
        member.file_size > max(_FREE_OF_RATIO, _LARGEST_RATIO * member.compress_size)
        for member in members
    )
    if swollen or unpacked > _LARGEST_UNPACKED:
        raise FileRefusedError(
            f"It unpacks to more than {_LARGEST_RATIO} times its size or "
            f"{_LARGEST_UNPACKED / 1e6:g} MB.",
            "Split it, or save it as CSV.",
        )


class _Bounded:
    """A file that gives zipfile no more at once than the list of a workbook's parts takes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        if file.seek(0, SEEK_END) < _SMALLEST_ARCHIVE:
            raise zipfile.BadZipFile

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        if whence == SEEK_SET and offset < 0:
            raise zipfile.BadZipFile
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        if size > _LARGEST_DIRECTORY:
            raise zipfile.BadZipFile
        return self._file.read(size)

    def seekable(self) -> bool:
        return True
