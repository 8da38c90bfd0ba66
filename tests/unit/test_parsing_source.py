"""Bytes: gzip is undone within bounds, what cannot be read is refused by name."""

import gzip
import zlib
from collections.abc import Iterator

import pytest

from tests.support.reading import Stream, everything, opened, peak_of, refusal, refusal_of

TABLE = b"email,port\na@x.example,465\n"
ROWS = [(2, ["a@x.example", "465"])]


def test_gzip_is_undone() -> None:
    """A packed table reads like the table, and its format says so."""
    assert everything(gzip.compress(TABLE)) == ROWS
    assert opened(gzip.compress(TABLE)).format == "CSV (gzip)"


def test_gzip_of_several_members() -> None:
    """Archives appended to each other are one file, however small they are."""
    members = b"".join(gzip.compress(TABLE[at : at + 1]) for at in range(len(TABLE)))
    assert everything(members) == ROWS
    assert everything(members + bytes(512)) == ROWS


@pytest.mark.parametrize("cut", [1, 8, 9, 20])
def test_gzip_cut_off(cut: int) -> None:
    """A packed table that lacks its end is refused, though rows were read."""
    assert "ends too early" in refusal(gzip.compress(TABLE)[:-cut])


def test_gzip_damaged() -> None:
    """A wrong checksum, or something else behind the archive, is damage."""
    content = bytearray(gzip.compress(TABLE))
    assert "damaged" in refusal(bytes(content) + b"more")
    content[-6] ^= 1
    assert "damaged" in refusal(bytes(content))


def test_gzip_in_gzip() -> None:
    """Only one level is undone."""
    assert "inside a gzip" in refusal(gzip.compress(gzip.compress(TABLE)))


def packed(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Pack a table of these lines while it is read."""
    packer = zlib.compressobj(wbits=31)
    yield packer.compress(b"email\n")
    for line in lines:
        yield packer.compress(line)
    yield packer.flush()


def test_gzip_bomb() -> None:
    """What unpacks to hundreds of times its size is refused soon, in little memory."""
    endless = (bytes(1 << 20) for _ in range(500))
    peak = peak_of(lambda: refusal_of(Stream(packed(endless))))
    assert peak < 100 << 20
    blank_lines = (b"\n" * (1 << 20) for _ in range(500))
    assert "2,000,000 rows" in refusal_of(Stream(packed(blank_lines)))
    texts = (b"x" * 1000 + b"\n" for _ in range(500_000))
    assert "200 times its size or 2 GB" in refusal_of(Stream(packed(texts)))


def test_gzip_of_no_members_but_headers() -> None:
    """A hundred thousand empty members are refused: each costs time."""
    empty = gzip.compress(b"")
    assert "unpacks" in refusal_of(Stream(empty * 1000 for _ in range(1000)))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (gzip.compress(b"", mtime=0), "empty"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "protected by a password"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "PDF"),
        (b"PK\x05\x06" + bytes(18), "empty zip"),
        (b"{\\rtf1\\ansi email}", "rich text"),
        (b"BZh91AY&SY", "bzip2"),
        (b"\xfd7zXZ\x00\x00", "xz"),
        (b"\x28\xb5\x2f\xfd\x04\x58", "Zstandard"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "7-Zip"),
        (b"Rar!\x1a\x07\x01\x00", "RAR"),
        (b"\n <!DOCTYPE html><html><table>", "web page"),
        ('\ufeff<?xml version="1.0"?><Workbook/>'.encode(), "XML"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01\x00", "neither text"),
        (bytes(range(256)) * 10, "neither text"),
        (bytes(1000), "neither text"),
        (b"\xff\xfe\x00\x00e\x00\x00\x00", "neither text"),
    ],
)
def test_what_cannot_be_read_is_named(content: bytes, problem: str) -> None:
    """Other kinds of files are refused with what they are and a fix, not as bad rows."""
    said = refusal(content)
    assert problem in said
    assert said.count(".") >= 2


def test_a_table_behind_garbage_is_refused_packed_too() -> None:
    """What is inside gzip is looked at in the same way."""
    assert "PDF" in refusal(gzip.compress(b"%PDF-1.7 email"))
