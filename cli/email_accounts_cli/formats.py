"""Write rows in the format of the upload: CSV, JSON, JSON Lines or a workbook."""

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import IO

from email_accounts.parsing.delimited import DELIMITERS

Write = Callable[[str, Sequence[str], Sequence[str]], None]
"""Writes a row: the name of its sheet ("" outside of workbooks), its header and its cells."""

ENDINGS = {"CSV": ".csv", "JSON": ".json", "JSON Lines": ".jsonl", "XLSX": ".xlsx"}
"""The ending of a file in each format."""

_AS_TEXT = "@"
_NOT_IN_XML = re.compile("_(?=x[0-9A-Fa-f]{4}_)|[\x00-\x08\x0b-\x1f\ufffe\uffff]")
_SHEET = "Accounts"


@contextmanager
def writing(file: IO[bytes], name: str, delimiter: str) -> Iterator[Write]:
    """Write rows in a format; the file is complete at the end."""
    if name == "XLSX":
        with _workbook(file) as write:
            yield write
        return
    encoding = "utf-8-sig" if name == "CSV" else "utf-8"  # Excel recognizes UTF-8 by the mark
    with TextIOWrapper(file, encoding, newline="", write_through=True) as text:
        if name == "CSV":
            yield _csv(text, delimiter if delimiter in DELIMITERS else ",")
        elif name == "JSON":
            text.write("[")
            yield _items(text, "\n", ",\n")
            text.write("\n]\n")
        else:
            yield _items(text, "", "\n")
            text.write("\n")


def _csv(text: IO[str], delimiter: str) -> Write:
    writer = csv.writer(text, delimiter=delimiter or ",", lineterminator="\r\n")
    has_header = False

    def write(_sheet: str, header: Sequence[str], cells: Sequence[str]) -> None:
        nonlocal has_header
        if not has_header:
            writer.writerow(header)
            has_header = True
        writer.writerow(cells)

    return write


def _items(text: IO[str], first: str, between: str) -> Write:
    before = first

    def write(_sheet: str, header: Sequence[str], cells: Sequence[str]) -> None:
        nonlocal before
        item = dict(zip(header, cells, strict=True))
        text.write(before + json.dumps(item, ensure_ascii=False))
        before = between

    return write


@contextmanager
def _workbook(file: IO[bytes]) -> Iterator[Write]:
    """Write sheets with text cells only, which a spreadsheet does not change."""
    from openpyxl import Workbook  # noqa: PLC0415  slow, only needed here
    from openpyxl.cell import WriteOnlyCell  # noqa: PLC0415  as above

    book = Workbook(write_only=True)
    titles: list[str] = []

    def write(sheet: str, header: Sequence[str], cells: Sequence[str]) -> None:
        if not titles or sheet != titles[-1]:
            try:
                book.create_sheet(sheet or _SHEET)
            except ValueError:  # not a valid sheet name
                book.create_sheet(_SHEET)
            titles.append(sheet)
            write(sheet, header, header)
        page = book.worksheets[-1]
        row = [WriteOnlyCell(page, _NOT_IN_XML.sub(_escaped, cell)) for cell in cells]
        for cell in row:
            cell.data_type, cell.number_format = "s", _AS_TEXT
        page.append(row)

    yield write
    if not titles:
        book.create_sheet(_SHEET)
    book.save(file)


def _escaped(found: re.Match[str]) -> str:
    return f"_x{ord(found[0]):04X}_"
