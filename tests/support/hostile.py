"""Files that want to cost time or memory: shapes that grow with a size, ten for each format.

SHAPES has for each format and name what makes its pieces, of about so many bytes in all. Each
holds SECRET, where a password would be: no answer may repeat it.
"""

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

from tests.support.reading import parts

SECRET = "Pw5hostile"
Shape = Callable[[int], Iterable[bytes]]

_PIECE = 1 << 16
_HEAD = f"email,password\na,{SECRET}\n".encode()
_ITEM = f'{{"email":"a","password":"{SECRET}"}}'.encode()


def repeated(start: bytes, piece: bytes, end: bytes = b"") -> Shape:
    """Return a shape of one piece, over and over."""

    def made(size: int) -> Iterator[bytes]:
        many = piece * max(_PIECE // len(piece), 1)
        yield start
        for _ in range(size // len(many)):
            yield many
        yield piece * (size % len(many) // len(piece))
        yield end

    return made


def numbered(start: bytes, piece: bytes, end: bytes = b"") -> Shape:
    """Return a shape of pieces that have a number for each `#`."""

    def made(size: int) -> Iterator[bytes]:
        yield start
        for number in range(2, size // len(piece) + 2):
            yield piece.replace(b"#", b"%d" % number)
        yield end

    return made


def _whole(made: Callable[[int], bytes]) -> Shape:
    return lambda size: [made(size)]


_CSV = {
    "rows without an address": repeated(_HEAD, b"x" * 250 + b",p\n"),
    "blank lines": repeated(_HEAD, b"\n"),
    "commas without end": repeated(_HEAD, b","),
    "columns without end": repeated(b"email,password", b",x"),
    "999 columns in every row": repeated(
        _HEAD[:5] + b"," * 998 + b"\n", b"," * 998 + SECRET.encode() + b"\n"
    ),
    "a quote that is never closed": repeated(_HEAD + b'"', b"x\n"),
    "quoted line breaks in every cell": repeated(_HEAD, b'"x\n",'),
    "a broken quote in every row": repeated(_HEAD, b'"a"b",c\n'),
    "one cell": repeated(_HEAD, b"x"),
    "not UTF-8, and damaged": repeated(_HEAD + b"\xc3\xa9,", b"\xe9@x.example,\xe9\n"),
    "quotes after blanks": repeated(b'"email", "password"\n', b'"a", "b\n"\n'),
    "delimiters of all kinds": repeated(_HEAD, b"a,b;c\td|e\n"),
}
_ARRAY = {
    "empty objects": repeated(b"[" + _ITEM + b",", b"{},", _ITEM + b"]"),
    "numbers": repeated(b"[" + _ITEM + b",", b"1,", b"1]"),
    "open brackets": repeated(b"[", b"["),
    "other keys in every item": numbered(
        b"[" + _ITEM + b",", b'{"email":"#","k#":"' + b"x" * 400 + b'"},', b"1]"
    ),
    "900 keys in every item": repeated(
        b"[", b"{" + b",".join(b'"k%d":"x"' % n for n in range(900)) + b"},", _ITEM + b"]"
    ),
    "an item that never ends": repeated(b'[{"email":"', b"x"),
    "escapes that never end": repeated(b'[{"email":"', b'\\"'),
    "an object that never ends": numbered(b"[{", b'"k#":1,'),
    "surrogates": repeated(b"[", b'{"email":"\\ud800"},', _ITEM + b"]"),
    "blanks between items": repeated(b"[" + _ITEM + b",", b" ", _ITEM + b"]"),
    "items without commas": repeated(b"[" + _ITEM, b"{}", b"]"),
    "nested objects": repeated(b"[" + _ITEM + b",", b'{"a":' * 20 + b"1" + b"}" * 20 + b",", b"1]"),
}
_LINES = {
    "open objects": repeated(b"", b'{"a":'),
    "quotes in a list that never begins": repeated(b'{"a":"', b'\\"'),
    "lists that are none": repeated(b'{"a":', b"[],"),
    "other keys in every line": numbered(
        _ITEM + b"\n", b'{"email":"#","k#":"' + b"x" * 400 + b'"}\n'
    ),
    "10,000 keys in every line": repeated(
        _ITEM + b"\n", b"{" + b",".join(b'"k%d":1' % n for n in range(10_000)) + b"}\n"
    ),
    "nested keys that multiply": repeated(
        _ITEM + b"\n",
        b'{"' + b"k" * 50_000 + b'":{' + b",".join(b'"%d":1' % n for n in range(5_000)) + b"}}\n",
    ),
    "a line that never ends": repeated(_ITEM + b'\n{"email":"', b"x"),
    "broken lines": repeated(_ITEM + b"\n", b"{\n"),
    "blank lines": repeated(_ITEM + b"\n", b"\n"),
    "numbers of many digits": repeated(_ITEM + b"\n", b'{"email":' + b"9" * 10_000 + b"}\n"),
    "the same key again": repeated(_ITEM + b"\n", b"{" + b'"email":"a",' * 999 + b'"email":"b"}\n'),
    "accounts by names": numbered(b"{", b'"#":' + _ITEM + b",", b'"z":' + _ITEM + b"}"),
}
_FIRST = (
    '<row r="1"><c r="A1" t="str"><v>email</v></c><c r="B1" t="str"><v>password</v></c></row>'
    f'<row r="2"><c r="A2" t="str"><v>a</v></c><c r="B2" t="str"><v>{SECRET}</v></c></row>'
).encode()
_CELL = b'<row r="#"><c r="B#"><v>1</v></c></row>'


def _book(
    rows: Shape | None = None,
    shared: Shape | None = None,
    method: int = zipfile.ZIP_STORED,
) -> Shape:
    def made(size: int) -> Iterator[bytes]:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", method) as file:
            for name, part in parts(changed={"xl/texts.xml": None, "xl/sheet.xml": None}).items():
                file.writestr(name, part)
            texts = b"<sst>" + b"".join(shared(size) if shared else ()) + b"</sst>"
            file.writestr("xl/texts.xml", texts)
            with file.open("xl/sheet.xml", "w") as sheet:
                sheet.write(b"<worksheet><sheetData>" + _FIRST)
                for piece in rows(size) if rows else ():
                    sheet.write(piece)
                sheet.write(b"</sheetData></worksheet>")
        yield content.getvalue()

    return made


def _merged(size: int) -> Iterator[bytes]:
    yield from numbered(b"", _CELL.replace(b'r="#"', b""), b"")(size // 2)
    yield b"</sheetData><mergeCells>"
    yield from islice(numbered(b"", b'<mergeCell ref="A#:A1048576"/>')(size // 2), 90_000)
    yield b"</mergeCells><sheetData>"


_XLSX = {
    "empty rows": _book(repeated(b"", b"<row/>")),
    "empty cells": _book(repeated(b"<row>", b"<c/>", b"</row>")),
    "cells in the last column": _book(
        numbered(b'<row r="3"/>', b'<row><c r="XFD1"><v>1</v></c></row>')
    ),
    "nested tags": _book(repeated(b"<row>", b"<x>")),
    "unique names of attributes": _book(numbered(b"", b'<row a#="1"/>')),
    "unique names of tags": _book(numbered(b"", b"<t#/>")),
    "a tag without end": _book(repeated(b'<row a="', b"x")),
    "references of many letters": _book(
        repeated(b"<row>", b'<c r="' + b"A" * 100_000 + b'2"/>', b"</row>")
    ),
    "comments": _book(repeated(b"", b"<!---->")),
    "a comment without end": _book(repeated(b"<!--", b"x")),
    "merged cells over all rows": _book(_merged),
    "shared texts without number": _book(shared=repeated(b"", b"<si/>")),
    "a text of many runs": _book(
        repeated(b'<row><c t="inlineStr"><is>', b"<r><t>x</t></r>", b"</is></c></row>")
    ),
    "a text without end": _book(repeated(b"<row><c><v>", b"x", b"</v></c></row>")),
}


def _zip(size: int, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as file:
        for name, data in files.items():
            file.writestr(name, data)
        file.comment = b"x" * min(size, 60_000)
    return content.getvalue()


def _lying(size: int) -> bytes:
    """Return a zip archive whose list says that its file is small."""
    data = _HEAD + b"\n" * size
    made = _zip(0, {"a.csv": data})
    return made.replace(len(data).to_bytes(4, "little"), (100).to_bytes(4, "little"))


_ARCHIVES = {
    "gzip of blank lines": _whole(lambda size: gzip.compress(_HEAD + b"\n" * size)),
    "gzip of nothing": _whole(lambda size: gzip.compress(b"\0" * size)),
    "empty members": repeated(gzip.compress(_HEAD), gzip.compress(b"")),
    "members of one byte": repeated(gzip.compress(_HEAD), gzip.compress(b"\n")),
    "NUL after the end": repeated(gzip.compress(_HEAD), b"\0"),
    "a name without end": repeated(b"\x1f\x8b\x08\x08\0\0\0\0\0\xff", b"x"),
    "gzip in gzip": _whole(lambda size: gzip.compress(gzip.compress(_HEAD + b"x\n" * size))),
    "gzip that is cut off": _whole(
        lambda size: gzip.compress(_HEAD + b"x,p\n" * (size // 16))[:-9]
    ),
    "zip of blank lines": _whole(lambda size: _zip(size, {"a.csv": _HEAD + b"\n" * size})),
    "zip of many files": _whole(
        lambda size: _zip(size, {f"{n}.csv": _HEAD for n in range(size // 200)})
    ),
    "zip in zip in zip": _whole(
        lambda size: _zip(0, {"b.zip": _zip(0, {"a.zip": _zip(0, {"a.csv": b"x" * size})})})
    ),
    "a list that lies about a size": _whole(_lying),
    "a workbook that deflates well": _book(repeated(b"", b"<row/>"), method=zipfile.ZIP_DEFLATED),
    "zlib without gzip": _whole(lambda size: zlib.compress(_HEAD * (size // len(_HEAD)))),
}
SHAPES: dict[str, dict[str, Shape]] = {
    "CSV": _CSV,
    "JSON array": _ARRAY,
    "JSON Lines": _LINES,
    "XLSX": _XLSX,
    "archive": _ARCHIVES,
}


def pieces(shape: Shape, size: int) -> Iterator[bytes]:
    """Yield the pieces of a file of about so many bytes."""
    return chain.from_iterable([shape(size)])
