"""Tables of delimited text: delimiters, numbers as a spreadsheet counts them, bad rows."""

from collections.abc import Iterator

import pytest

from email_accounts.parsing import bounds
from email_accounts.parsing.source import WINDOW
from tests.support.reading import (
    Stream,
    bad,
    everything,
    opened,
    peak_of,
    reasons,
    refusal,
    refusal_of,
)

MEGABYTE = b"x" * (1 << 20)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_each_delimiter(delimiter: str) -> None:
    """The delimiter is found in the names of the columns."""
    content = "email,port\na,465\n".replace(",", delimiter).encode()
    records = opened(content)
    assert (records.format, records.header) == ("CSV", ("email", "port"))
    assert everything(content) == [(2, ["a", "465"])]


@pytest.mark.parametrize(
    ("content", "header"),
    [
        ('"Name, first";Email\n', ("Name, first", "Email")),
        ('"a;b;c\n;;",Email\n', ("a;b;c\n;;", "Email")),
        ("Name, first;Email;Port\n", ("Name, first", "Email", "Port")),
        ("Email;Name, first\n", ("Email", "Name, first")),
        ("Email\n", ("Email",)),
        ("\r\n\r\nEmail;Port", ("Email", "Port")),
    ],
)
def test_other_delimiters_in_names(content: str, header: tuple[str, ...]) -> None:
    """What is in quotes, or less often, or as commas do in text, is not the delimiter."""
    assert opened(content.encode()).header == header


def test_one_column() -> None:
    """Where no delimiter parts the names, it is the comma."""
    assert everything(b'email\n"a,b"\nc;d\te\n') == [(2, ["a,b"]), (3, ["c;d\te"])]


def test_a_line_that_names_the_delimiter() -> None:
    """A line `sep=` rules; spreadsheets do not show it, so row 1 is the next line."""
    for line in ("sep=|\n", "SEP=|\r\n", '"sep=|"\r', '"sep=|",,\n'):
        assert opened(f"{line}email|a,b;c\n".encode()).header == ("email", "a,b;c")
        assert everything(f"{line}email|port\na|465\n".encode()) == [(2, ["a", "465"])]
    assert opened(b"sep=\t\nemail\tport\n").header == ("email", "port")


def test_rows_are_numbered_as_a_spreadsheet_does() -> None:
    """Blank rows count, a quoted line break begins no row, all line ends are the same."""
    content = b'email,note\n\na,"one\r\ntwo\rthree\n\nfour"\n,\n  ,\t\nb,x\r\n\rc,y'
    note = "one\r\ntwo\rthree\n\nfour"
    assert everything(content) == [(3, ["a", note]), (6, ["b", "x"]), (8, ["c", "y"])]


def test_blank_rows_above_the_names() -> None:
    """The first row that is not blank names the columns, wherever it stays."""
    assert everything(b"\n,,\nemail\na\n") == [(4, ["a"])]


def test_cells_are_as_in_the_file() -> None:
    """Blanks around cells stay, doubled quotes are one, a first cell may be blank."""
    content = b'email,password,note\n a ," p""w ",\n,pw,\n\xc2\xa0,x,\n'
    rows = [(2, [" a ", ' p"w ', ""]), (3, ["", "pw", ""]), (4, ["\xa0", "x", ""])]
    assert everything(content) == rows


def test_short_and_long_rows() -> None:
    """A row may lack cells, but has none too many: perhaps half of it is in the next column."""
    content = b"a,b\n1\n1,2,, \n1,2,3\n1,2,,3\n4,5\n"
    assert everything(content) == [(2, ["1"]), bad(3), bad(4), bad(5), (6, ["4", "5"])]
    assert reasons(content)[0].startswith("it has more cells than the 2 columns of the header")


def test_a_blank_tail_that_every_row_has() -> None:
    """Blank cells at the end of each row are a habit of the writer; one row shows no habit."""
    assert everything(b"a,b\n1,2,,\n3,4,, \n") == [(2, ["1", "2"]), (3, ["3", "4"])]
    assert everything(b"a,b\n1,2,\n3,4,5\n") == [bad(2), bad(3)]
    assert everything(b"a,b\n1,2,\n") == [bad(2)]
    many = b"".join(b"%d,x,\n" % n for n in range(100))
    assert everything(b"a,b\n" + many + b"1,2,,\n1,2,3\n1,2\n")[-3:] == [
        bad(102),
        bad(103),
        (104, ["1", "2"]),
    ]


def test_no_rows() -> None:
    """A file of blank lines is refused, one with names only has no rows."""
    assert "no rows" in refusal(b"\n\n ,\n")
    assert everything(b"email,port\n") == []


def test_a_stray_quote() -> None:
    """A quote inside a quoted cell makes its row unreadable, and only that."""
    content = b'email,password\na,"p"w"\nb,"x\ny"z\nc,p"w\nd,"ok"\n'
    assert everything(content) == [bad(2), bad(3), (4, ["c", 'p"w']), (5, ["d", "ok"])]
    assert reasons(content)[1].endswith("quoted cell and continues over 2 lines")


def test_a_quote_that_is_never_closed() -> None:
    """The rows in such a quote are nobody's: the file is refused, with the row."""
    assert "Row 3 does not end" in refusal(b'email,note\na,x\nb,"hello\nc,x\nd,x\n')
    assert "Row 3 does not end" in refusal(b'email,note\na,x\nb,"hello')
    assert "Row 1 does not end" in refusal(b'"email,note\na,x\n')


def lines(count: int) -> Iterator[bytes]:
    """Give many short lines."""
    return (b"a@x.example,some note\n" * 1000 for _ in range(count))


def test_megabytes_behind_a_quote() -> None:
    """A quote with half a gigabyte behind it is refused early, in little memory."""
    start = b'email,note\na,x\nb,"hello\n'
    peak = peak_of(lambda: refusal_of(Stream([start], lines(25_000))))
    assert peak < 50 << 20
    assert "A cell in row 3 has more than" in refusal_of(Stream([start], lines(25_000)))


def test_a_row_without_end() -> None:
    """Quoted line breaks in cell after cell are no way around the bounds."""
    cells = (b'"x\n",' * 1000 for _ in range(100_000))
    stream = Stream([b"email,note\na,x\n"], cells)
    assert "Row 3 does not end" in refusal_of(stream)


@pytest.mark.parametrize("cell", [MEGABYTE * 10, b'"' + MEGABYTE * 10 + b'"'])
def test_a_cell_of_ten_megabytes(cell: bytes) -> None:
    """A cell that is too long makes its row unreadable, and only that."""
    content = b"email,note\na," + cell + b"\nb,x\n"
    assert everything(content) == [bad(2), (3, ["b", "x"])]
    assert reasons(content) == ["a cell has more than 1,048,576 characters"]
    assert peak_of(lambda: everything(content)) < 60 << 20


def test_the_longest_cell() -> None:
    """A cell of just the limit is read."""
    longest = "x" * (1 << 20)
    assert everything(b"email\n" + longest.encode() + b"\n") == [(2, [longest])]


def test_a_file_without_line_breaks() -> None:
    """Half a gigabyte in one line is refused early, in little memory, in the first row too."""
    endless = (MEGABYTE for _ in range(500))
    peak = peak_of(lambda: refusal_of(Stream([b"email\n"], endless)))
    assert peak < 60 << 20
    assert "Row 1 does not end" in refusal_of(Stream(MEGABYTE for _ in range(500)))


def test_too_many_columns() -> None:
    """A header of more than a thousand columns is refused, blank ones included."""
    assert "more than 1,000 columns" in refusal(b"email" + b"," * 1000 + b"\na\n")
    assert len(opened(b"email" + b",a" * 999 + b"\na\n").header) == 1000


def test_blank_names_at_the_end_of_the_header_are_no_columns() -> None:
    """What stands below them was moved there; a column that every row uses may have no name."""
    assert opened(b"email,b,,\na,b,,\na,b\na,b,c\n").header == ("email", "b")
    assert everything(b"email,b,,\na,b,,\na,b\na,b,c\n") == [
        (2, ["a", "b"]),
        (3, ["a", "b"]),
        bad(4),
    ]
    assert opened(b"email,b,,\na,b,c,\na,b,d\n").header == ("email", "b", "")


def test_millions_of_cells() -> None:
    """A row of millions of cells is refused, a thousand too many make it unreadable."""
    assert everything(b"email,b\n" + b"," * 1000 + b"x\na,b\n") == [bad(2), (3, ["a", "b"])]
    commas = b"email,b\n" + b"," * 10_000_000 + b"x\n"
    assert peak_of(lambda: refusal(commas)) < 60 << 20
    assert "Row 2 does not end: it has more than 1,048,576 cells" in refusal(commas)


def test_rows_that_all_go_on_in_the_next_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that ends is not endless, even if no window of the file ends where a row does."""
    monkeypatch.setattr(bounds, "ROW", 4 * WINDOW)
    signature = "a line of it\n" * 2000
    rows = "".join(f'{number},"{signature}"\n' for number in range(30))
    assert everything(f"email,signature\n{rows}".encode()) == [
        (number + 2, [f"{number}", signature]) for number in range(30)
    ]
