"""Measures what hostile files cost: seconds of the processor, memory, and the answer.

Each file is read in a process of its own. `python -m tests.benchmarks.hostile 100` writes files
of about 100 MB.
"""

import gzip
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[2]
_MEGABYTES = int(sys.argv[1]) if sys.argv[1:] else 500
_HEAD = b"email,password\n"
_RUN = """
import collections, pathlib, sys, time
from email_accounts.errors import FileRefusedError
from email_accounts.intake.layouts import recognized
from email_accounts.parsing.detect import open_records
with open(sys.argv[1], "rb") as file:
    try:
        last = collections.deque(enumerate(open_records(file, recognized).records, 1), 1)
        answer = f"{last[0][0] if last else 0:,} records"
    except FileRefusedError as error:
        answer = error.problem[:90]
peak = int(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
print(f"{time.process_time():.1f} | {peak >> 10} | {answer}")
"""

Made = Iterator[bytes]


def _repeated(start: bytes, piece: bytes, megabytes: int, end: bytes = b"") -> Made:
    yield start
    many = piece * max((1 << 20) // len(piece), 1)
    for _ in range(megabytes):
        yield many
    yield end


def _sheet(rows: Iterable[bytes], shared: bytes = b"") -> bytes:
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as file:
        file.writestr("[Content_Types].xml", "<Types/>")
        file.writestr(
            "_rels/.rels",
            f'<Relationships><Relationship Id="a" Type="{office}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        file.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns:r="{office}"><sheets><sheet name="A" r:id="b"/></sheets></workbook>',
        )
        file.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships><Relationship Id="b" Type="{office}/worksheet" Target="s.xml"/>'
            f'<Relationship Id="c" Type="{office}/sharedStrings" Target="t.xml"/></Relationships>',
        )
        file.writestr("xl/t.xml", b"<sst>" + shared + b"</sst>")
        with file.open("xl/s.xml", "w") as part:
            part.write(b"<worksheet><sheetData>" + _FIRST)
            for piece in rows:
                part.write(piece)
            part.write(b"</sheetData></worksheet>")
    return content.getvalue()


_FIRST = b'<row r="1"><c r="A1" t="str"><v>email</v></c><c r="B1" t="str"><v>password</v></c></row>'
_MERGED = b"".join(b'<mergeCell ref="A%d:A1048576"/>' % n for n in range(1, 90_000))


def _numbered(piece: bytes, count: int) -> Made:
    return (piece.replace(b"#", b"%d" % n) for n in range(2, count))


_CSV: dict[str, Callable[[], Made]] = {
    "rows without an address": lambda: _repeated(_HEAD, b"x" * 250 + b",p\n", _MEGABYTES),
    "short rows": lambda: _repeated(_HEAD, b"x,p\n", _MEGABYTES),
    "blank lines": lambda: _repeated(_HEAD, b"\n", _MEGABYTES),
    "commas without end": lambda: _repeated(_HEAD, b",", _MEGABYTES),
    "999 columns in every row": lambda: _repeated(
        b"email" + b"," * 998 + b"\n", b"," * 998 + b"x\n", _MEGABYTES
    ),
    "a quote that is never closed": lambda: _repeated(_HEAD + b'"', b"x\n", _MEGABYTES),
    "quoted line breaks in every cell": lambda: _repeated(_HEAD, b'"x\n",', _MEGABYTES),
    "a broken quote in every row": lambda: _repeated(_HEAD, b'"a"b",c\n', _MEGABYTES),
    "cells of a megabyte": lambda: _repeated(_HEAD, b"x" * ((1 << 20) - 2) + b"\n,", _MEGABYTES),
    "not UTF-8": lambda: _repeated(_HEAD, b"\xe9@x.example,\xe9\n", _MEGABYTES),
    "not UTF-8, damaged": lambda: _repeated(
        _HEAD + b"\xc3\xa9,", b"\xe9@x.example,\xe9\n", _MEGABYTES
    ),
}
_JSON: dict[str, Callable[[], Made]] = {
    "empty objects": lambda: _repeated(b"[", b"{},", _MEGABYTES),
    "numbers": lambda: _repeated(b'[{"email":"a"},', b"1,", _MEGABYTES),
    "open brackets": lambda: _repeated(b"[", b"[", _MEGABYTES),
    "open objects": lambda: _repeated(b"", b'{"a":', _MEGABYTES),
    "other keys in every item": lambda: _numbered(b'{"email":"#","k#":"x"}\n', 2_000_000),
    "900 keys in every item": lambda: _repeated(
        b"", b"{" + b",".join(b'"k%d":"x"' % n for n in range(900)) + b"}\n", _MEGABYTES
    ),
    "100,000 keys in every item": lambda: _repeated(
        b"", b"{" + b",".join(b'"k%d":1' % n for n in range(90_000)) + b"}\n", 300
    ),
    "nested keys that multiply": lambda: _repeated(
        b"",
        b'{"' + b"k" * 500_000 + b'":{' + b",".join(b'"%d":1' % n for n in range(50_000)) + b"}}\n",
        _MEGABYTES,
    ),
    "an item that never ends": lambda: _repeated(b'[{"a":"', b"x", _MEGABYTES),
    "quotes in a list that never begins": lambda: _repeated(b'{"a":"', b'\\"', _MEGABYTES),
    "surrogates": lambda: _repeated(b"", b'{"email":"\\ud800"}\n', _MEGABYTES),
}
_XLSX: dict[str, Callable[[], bytes]] = {
    "empty rows": lambda: _sheet(_repeated(b"", b"<row/>", 200)),
    "empty cells": lambda: _sheet(_repeated(b'<row r="2">', b"<c/>", 200, b"</row>")),
    "columns to the last": lambda: _sheet(
        _numbered(b'<row r="#"><c r="XFD#"><v>1</v></c></row>', 1_000_000)
    ),
    "nested tags": lambda: _sheet(_repeated(b'<row r="2">', b"<x>", 200)),
    "unique names of attributes": lambda: _sheet(_numbered(b'<row r="#" a#="1"/>', 1_000_000)),
    "unique names of tags": lambda: _sheet(_numbered(b"<t#/>", 5_000_000)),
    "a tag without end": lambda: _sheet(_repeated(b'<row a="', b"x", 200)),
    "a reference of 100,000 letters": lambda: _sheet(
        _repeated(b'<row r="2">', b'<c r="' + b"A" * 100_000 + b'2"/>', 1)
    ),
    "comments": lambda: _sheet(_repeated(b"", b"<!---->", 200)),
    "90,000 merged cells over all rows": lambda: _sheet(
        chain(
            _numbered(b'<row r="#"><c r="B#"><v>1</v></c></row>', 900_000),
            [b"</sheetData><mergeCells>" + _MERGED + b"</mergeCells><sheetData>"],
        )
    ),
    "shared texts without number": lambda: _sheet(iter(()), b"<si/>" * 20_000_000),
    "styles in a cell of text": lambda: _sheet(
        _repeated(b'<row r="2"><c t="inlineStr"><is>', b"<r><t>x</t></r>", 200)
    ),
}


def main() -> None:
    """Print a table."""
    (ROOT / ".local").mkdir(exist_ok=True)
    print("| format | file | seconds | MiB | answer |\n|---|---|---|---|---|")  # noqa: T201
    with tempfile.TemporaryDirectory(dir=ROOT / ".local") as folder:
        path = Path(folder) / "hostile"
        for kind, files in (("CSV", _CSV), ("JSON", _JSON)):
            for name, made in files.items():
                with path.open("wb") as file:
                    file.writelines(made())
                _show(kind, name, path)
        path.write_bytes(gzip.compress(_HEAD + b"\n" * (_MEGABYTES << 20), 9))
        _show("gzip", "blank lines", path)
        for name, book in _XLSX.items():
            path.write_bytes(book())
            _show("XLSX", name, path)


def _show(kind: str, name: str, path: Path) -> None:
    command = [sys.executable, "-c", _RUN, str(path)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    print(f"| {kind} | {name} | {result.stdout.strip()} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
