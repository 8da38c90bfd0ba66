"""Encodings: found out from the bytes, the same however far the file has been read."""

import codecs

import pytest

from email_accounts.parsing.records import Damage, DamagedRow
from tests.support.reading import bad, everything, opened, reasons, refusal

TABLE = "email;first name\nj@x.example;Jürgen\nz@x.example;Zoë … “Z”\n"
ROWS = [(2, ["j@x.example", "Jürgen"]), (3, ["z@x.example", "Zoë … “Z”"])]


def doubtful(number: int, *cells: str) -> DamagedRow:
    """Return a row whose last cell may be other text than was written."""
    return DamagedRow(number, list(cells), {len(cells) - 1: Damage.ENCODING})


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (TABLE.encode(), "UTF-8"),
        (TABLE.encode("utf-8-sig"), "UTF-8 with byte-order mark"),
        (codecs.BOM_UTF16_LE + TABLE.encode("utf-16-le"), "UTF-16"),
        (codecs.BOM_UTF16_BE + TABLE.encode("utf-16-be"), "UTF-16"),
        (TABLE.encode("utf-16-le"), "UTF-16"),
        (TABLE.encode("utf-16-be"), "UTF-16"),
    ],
)
def test_each_encoding(content: bytes, encoding: str) -> None:
    """The same table is read from each encoding, which is named."""
    assert opened(content).encoding == encoding
    assert everything(content) == ROWS


def test_windows_1252() -> None:
    """It is a guess: what is not ASCII is read, and marked."""
    content = TABLE.encode("cp1252") + b"a@x.example;Ann\n"
    assert opened(content).encoding == "Windows-1252"
    rows = [doubtful(number, *cells) for number, cells in ROWS]
    assert everything(content) == [*rows, (4, ["a@x.example", "Ann"])]


def test_windows_1252_that_shows_late() -> None:
    """A file that is ASCII for megabytes goes over to Windows-1252 where that shows."""
    ascii_rows = b"a@x.example;Ann\n" * 100_000
    content = b"email;first name\n" + ascii_rows + "j@x.example;Jürgen\n".encode("cp1252")
    records = opened(content)
    assert records.encoding == "UTF-8"
    rows = list(records.records)
    assert rows[-1] == doubtful(100_002, "j@x.example", "Jürgen")
    assert len(rows) == 100_001
    assert records.encoding == "Windows-1252"


def test_a_last_byte_that_begins_a_character() -> None:
    """An accent at the very end of a Windows-1252 file is not taken for half a character."""
    assert [*everything("email\nRené".encode("cp1252"))] == [doubtful(2, "René")]


def test_characters_across_windows() -> None:
    """Characters and line ends that lie across the bytes read at a time stay whole."""
    for shift in range(6):
        note = "x" * (65_536 - 20 - shift)
        text = f"email,note\na,{note}€😀\r\n\r\nb,ü\r\n"
        for encoding in ("utf-8", "utf-16"):
            rows = [(2, ["a", f"{note}€😀"]), (4, ["b", "ü"])]
            assert everything(text.encode(encoding)) == rows


def test_line_ends_across_windows() -> None:
    """A carriage return at the end of a window and its line feed are one line end."""
    for length in range(65_520, 65_540):
        content = b"email\r\n" + b"x" * length + b"\r\nb\r\n"
        assert everything(content) == [(2, ["x" * length]), (3, ["b"])]


def test_a_row_that_is_not_utf_8() -> None:
    """A row of bytes that are no UTF-8 is unreadable, and other rows of the file are doubtful."""
    content = "email,name\na,Jürgen\n".encode() + b"b,Ren\xe9\n" + "c,Zoë\n".encode()
    assert everything(content) == [doubtful(2, "a", "Jürgen"), bad(3), doubtful(4, "c", "Zoë")]
    assert "save the file as 'CSV UTF-8'" in reasons(content)[0]
    marked = codecs.BOM_UTF8 + b"email\n\xe9\nb\n"
    assert everything(marked) == [bad(2), (3, ["b"])]


def test_half_a_character_in_utf_16() -> None:
    """A lone surrogate makes its row unreadable, half a character at the end the file."""
    table = "email,name\na,\ud83d\nb,ok\n".encode("utf-16-le", "surrogatepass")
    assert everything(codecs.BOM_UTF16_LE + table) == [bad(2), (3, ["b", "ok"])]
    assert "inside a character" in refusal(codecs.BOM_UTF16_LE + table[:-1])


def test_nul_bytes_are_left_to_the_rules() -> None:
    """A NUL in a cell is a character of the cell; in the names of columns it is not text."""
    assert everything(b"email,name\na\0,b\n") == [(2, ["a\0", "b"])]
    assert "neither text" in refusal(b"em\0ail,name\na,b\n")


def test_bytes_that_are_in_no_encoding() -> None:
    """Bytes that neither UTF-8 nor Windows-1252 has, or control characters, are no text."""
    assert "encoding that cannot be recognized" in refusal(b"email\n\x81\x8d\n")
    assert "neither text" in refusal(b"email\n\xe9\x01\n")
