"""Excel workbooks: their parts, and all sheets that have a column for the address."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from email_accounts.errors import FileRefusedError
from email_accounts.parsing.archive import Archive, damaged
from email_accounts.parsing.bounds import Meter
from email_accounts.parsing.number_formats import NumberFormats
from email_accounts.parsing.records import (
    KNOWN_FORMATS,
    SHEET_ROWS,
    WITH_PASSWORD,
    NewHeader,
    Recognizes,
    Record,
    Records,
)
from email_accounts.parsing.table import Table, check_header, find_table, sample_of
from email_accounts.parsing.worksheet import (
    Elements,
    MergedCells,
    Scope,
    SharedStrings,
    Styles,
    Worksheet,
    XmlPart,
)

_LARGEST_LIST = 4 << 20
_MOST_SHEETS = 100
_HIDDEN = ("hidden", "veryHidden")


@dataclass(frozen=True, slots=True)
class _Sheet:
    title: str
    part: str
    hidden: bool


def open_workbook(archive: Archive, name: str, recognizes: Recognizes, meter: Meter) -> Records:
    """Find the table of each sheet, and return the rows of those that have accounts.

    Sheets without a column for the password, such as one of instructions, count where no other
    has one. Where no sheet has a column for the address, the first one that holds anything counts.
    """
    with archive.damage_refused():
        book = _Book(archive, meter)
        filled = [
            (sheet, table)
            for sheet in book.sheets()
            if (table := find_table(sample_of(book.rows(sheet)), recognizes))
        ]
    shown = [(sheet, table) for sheet, table in filled if not sheet.hidden]
    known = [(sheet, table) for sheet, table in shown if table.known]
    with_password = [(sheet, table) for sheet, table in known if table.known >= WITH_PASSWORD]
    read = with_password or known or shown[:1]
    if not read:
        raise FileRefusedError("Its sheets are empty.", "The first row must be the header row.")
    left_out = [
        sheet.title
        for sheet, table in filled
        if (sheet, table) not in read and (table.known or not sheet.hidden)
    ]
    for _, table in read:
        check_header(table.header)
    first = read[0][1]
    return Records(
        name,
        first.header,
        chain.from_iterable(_records(book, read)),
        str,
        first.number,
        tuple(sheet.title for sheet, _ in read),
        tuple(left_out),
    )


def _records(book: "_Book", read: list[tuple[_Sheet, Table]]) -> Iterator[list[Record]]:
    for at, (sheet, table) in enumerate(read):
        if at:
            yield [NewHeader(table.header)]
        scope = Scope(table.number, len(table.header), at * SHEET_ROWS)
        yield from book.rows(sheet, scope)


class _Book:
    """A workbook's list of sheets, and what all of its sheets share."""

    def __init__(self, archive: Archive, meter: Meter) -> None:
        self._archive = archive
        self._meter = meter
        [self._part] = self._targets("", "/officeDocument").values()
        if not self._part.startswith("xl/") or self._part.endswith(".bin"):
            raise FileRefusedError(
                "It is an Office document, but not an .xlsx workbook.", KNOWN_FORMATS
            )
        self._texts = SharedStrings()
        for part in [*self._targets(self._part, "/sharedStrings").values()][:1]:
            self._parse(part, self._texts)
        styles = Styles()
        for part in [*self._targets(self._part, "/styles").values()][:1]:
            self._parse(part, styles)
        self._formats = NumberFormats(styles.codes())

    def sheets(self) -> list[_Sheet]:
        """Return the sheets in their order, without charts."""
        parts = self._targets(self._part, "/worksheet")
        sheets = [
            _Sheet(element.get("name", ""), part, element.get("state") in _HIDDEN)
            for element in self._elements(self._part, "workbook", "sheet")
            if (part := parts.get(_relationship(element)))
        ]
        if not sheets:
            raise damaged("it has no sheet")
        if len({sheet.part for sheet in sheets}) != len(sheets):
            raise damaged("two of its sheets share one part")
        if len(sheets) > _MOST_SHEETS:
            raise FileRefusedError(
                f"It has more than {_MOST_SHEETS} sheets.", "Put the accounts into one sheet."
            )
        return sheets

    def rows(self, sheet: _Sheet, scope: Scope | None = None) -> Iterator[list[Record]]:
        """Yield the rows of a sheet; without a scope all of them, as they are."""
        return self._meter.timed(self._rows(sheet, scope))

    def _rows(self, sheet: _Sheet, scope: Scope | None) -> Iterator[list[Record]]:
        with self._archive.damage_refused():
            merged = self._merged(sheet) if scope else MergedCells()
            rows = Worksheet(self._texts, self._formats, merged, scope or Scope())
            for window in self._archive.windows(sheet.part):
                if not rows.ended:
                    rows.feed(window)
                self._meter.add(*rows.counted())
                yield rows.taken()
            if not rows.ended:
                raise damaged("its sheet ends too early")

    def _merged(self, sheet: _Sheet) -> MergedCells:
        """Return the merged cells of a sheet: they come behind its rows."""
        merged = MergedCells()
        before = b""
        for window in self._archive.windows(sheet.part):
            if b"mergeCell" in before + window or b"\0" in window:  # NUL: it may be in UTF-16
                self._parse(sheet.part, merged)
                break
            before = window[-len(b"mergeCell") :]
        return merged

    def _parse(self, name: str, part: XmlPart) -> None:
        for window in self._archive.windows(name):
            part.feed(window)
        part.feed(b"")

    def _targets(self, source: str, kind: str) -> dict[str, str]:
        """Return what a part (the package: "") refers to in this role, by relationship."""
        folder, name = posixpath.split(source)
        relationships = posixpath.join(folder, "_rels", f"{name}.rels")
        return {
            element["Id"]: posixpath.normpath(
                posixpath.join("/", folder, element["Target"].replace("\\", "/"))
            ).lstrip("/")
            for element in self._elements(relationships, "Relationships", "Relationship")
            if element["Type"].endswith(kind)
        }

    def _elements(self, name: str, root: str, element: str) -> list[dict[str, str]]:
        if self._archive.size(name) > _LARGEST_LIST:
            raise damaged("a list of its parts is too large")
        elements = Elements(root, element)
        self._parse(name, elements)
        return elements.found


def _relationship(sheet: dict[str, str]) -> str:
    return next((value for key, value in sheet.items() if key.endswith(":id")), "")
