"""Files to measure with: the fifteen columns, some providers' settings, so many bad rows."""

import csv
import io
import json
import random
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from string import ascii_lowercase

import openpyxl

from email_accounts.models.account import FIELDS

_SERVERS = (
    ("gsuite", "smtp.gmail.com", "465", "ssl", "imap.gmail.com"),
    ("zoho", "smtp.zoho.com", "587", "tls", "imap.zoho.com"),
    ("other", "smtp.mail.example", "587", "tls", "imap.mail.example"),
)
_BAD = {
    "smtpEmailAddress": "nobody",
    "smtpPassword": "",
    "smtpPort": "70000",
    "imapHost": "bad host",
    "imapPort": "0",
}
_SHEET = "xl/worksheets/sheet1.xml"
_MAIN = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_DECLARED = {
    "[Content_Types].xml": (
        b"</Types>",
        (
            b'<Override PartName="/xl/sharedStrings.xml" ContentType="application/'
            b'vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/>'
        ),
    ),
    "xl/_rels/workbook.xml.rels": (
        b"</Relationships>",
        (
            b'<Relationship Id="texts" Target="sharedStrings.xml" Type="http://schemas.'
            b'openxmlformats.org/officeDocument/2006/relationships/sharedStrings"/>'
        ),
    ),
}
_INLINE = re.compile(rb't="inlineStr"><is><t>([^<]*)</t></is>')


def rows(count: int, bad: float = 0) -> Iterator[list[str]]:
    """Yield rows of about 290 bytes, always the same ones; of these share one field is bad."""
    chance = random.Random(count)  # noqa: S311  no secret hangs on it
    for number in range(count):
        provider, smtp_host, smtp_port, encryption, imap_host = chance.choice(_SERVERS)
        address = f"firstname.lastname{number:07}@company{number % 97:02}.example"
        password = "".join(chance.choices(ascii_lowercase, k=16))
        if provider != "gsuite":
            password = f"app-{password}"
        smtp = [address, address, password, smtp_host, smtp_port, encryption]
        imap = [address, address, password, imap_host, "993", "ssl"]
        row = [provider, "Firstname", f"Lastname{number % 500}", *smtp, *imap]
        if chance.random() < bad:
            field = chance.choice([*_BAD])
            row[FIELDS.index(field)] = _BAD[field]
        yield row


def write_csv(path: Path, count: int, bad: float = 0, *, quoted: bool = False) -> Path:
    """Write rows as CSV, with quotes around every cell or around none."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
        writer.writerow(FIELDS)
        writer.writerows(rows(count, bad))
    return path


def write_json(path: Path, count: int) -> Path:
    """Write rows as a JSON array."""
    path.write_text(json.dumps([dict(zip(FIELDS, row, strict=True)) for row in rows(count)]))
    return path


def write_workbook(path: Path, count: int) -> Path:
    """Write rows as openpyxl writes them: each text in its cell, ports as numbers."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(FIELDS)
    for row in rows(count):
        sheet.append([int(cell) if cell.isdigit() else cell for cell in row])
    book.save(path)
    return path


def shared_texts(book: bytes) -> bytes:
    """Write a workbook again as Excel does: each text once, in a part of its own."""
    with zipfile.ZipFile(io.BytesIO(book)) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    places: dict[bytes, int] = {}

    def place(text: re.Match[bytes]) -> bytes:
        return b't="s"><v>%d</v>' % places.setdefault(text[1], len(places))

    parts[_SHEET] = _INLINE.sub(place, parts[_SHEET])
    texts = b"".join(b"<si><t>%b</t></si>" % text for text in places)
    parts["xl/sharedStrings.xml"] = b'<sst xmlns="%b">%b</sst>' % (_MAIN, texts)
    for name, (end, entry) in _DECLARED.items():
        parts[name] = parts[name].replace(end, entry + end)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as new:
        for name, part in parts.items():
            new.writestr(name, part)
    return content.getvalue()
