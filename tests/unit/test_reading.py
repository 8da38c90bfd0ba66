"""From the bytes of an upload to its rows."""

import gzip
import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from email_accounts.account import FIELDS
from email_accounts.errors import FileRefusedError
from email_accounts.reading import AccountsFile, Row, formats, open_accounts_file
from tests.files import PASSWORD, accounts_file, row

SAMPLES = Path(__file__).parents[1] / "samples"
ADDRESS = "robin.stone@north.example"
HEADER = ",".join(FIELDS).encode()
LINE = ",".join(row(ADDRESS).values()).encode()
MEGABYTE = 1 << 20


def opened(content: bytes) -> AccountsFile:
    """Open a file that is already in memory."""
    return open_accounts_file(io.BytesIO(content))


def rows(content: bytes) -> list[Row]:
    """Read a file to its end."""
    return list(opened(content).rows)


def numbered(content: bytes) -> dict[int, str]:
    """Read the addresses of a file by the numbers of their rows."""
    at = FIELDS.index("smtpEmailAddress")
    return {one.number: one.values[at] for one in rows(content)}


def refusal(content: bytes) -> str:
    """Read a file that is refused, and return what its owner is told."""
    with pytest.raises(FileRefusedError) as caught:
        rows(content)
    assert caught.value.problem.endswith((".", "]."))
    assert caught.value.cure
    return str(caught.value)


def as_json(*items: object) -> bytes:
    """Write a JSON array."""
    return json.dumps(items).encode()


# What a CSV is.


def test_a_csv_gives_its_rows_in_the_order_of_the_fields() -> None:
    """The values of a row come in one order, whatever the order of the columns."""
    names = list(reversed(FIELDS))
    values = row(ADDRESS)
    text = f"{','.join(names)}\n{','.join(values[name] for name in names)}\n"
    assert rows(text.encode()) == [Row(2, list(values.values()))]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_in_any_usual_way(end: str) -> None:
    """Unix, Windows and old Mac files read alike."""
    text = end.join(["smtpEmailAddress", "a@b.example", "", "c@d.example", ""])
    assert numbered(text.encode()) == {2: "a@b.example", 4: "c@d.example"}


def test_a_byte_order_mark_is_no_part_of_the_first_header() -> None:
    """Excel writes one in front of UTF-8."""
    assert numbered(b"\xef\xbb\xbfsmtpEmailAddress\na@b.example\n") == {2: "a@b.example"}
    assert numbered(b"\xef\xbb\xbf" + as_json(row(ADDRESS))) == {1: ADDRESS}


def test_the_last_line_needs_no_end() -> None:
    """A file may stop right behind its last value."""
    assert numbered(b"smtpEmailAddress\na@b.example") == {2: "a@b.example"}


def test_blank_rows_are_counted_and_left_out() -> None:
    """A row's number is the one that a spreadsheet shows beside it."""
    content = b"smtpEmailAddress,smtpPort\na@b.example,1\n\n,\n  ,\t\nc@d.example,2\n"
    assert numbered(content) == {2: "a@b.example", 6: "c@d.example"}


def test_a_cell_with_line_breaks_is_one_row() -> None:
    """Line breaks, commas and doubled quotes inside quotes belong to the cell."""
    content = b'note,smtpEmailAddress\n"one\ntwo, ""three""\r\nfour",a@b.example\nx,c@d.example\n'
    assert numbered(content) == {2: "a@b.example", 3: "c@d.example"}


def test_a_short_row_is_blank_where_it_ends() -> None:
    """Cells that are missing at the end of a row are empty."""
    assert rows(HEADER + b"\nother,Robin\n") == [Row(2, ["other", "Robin", *[""] * 13])]


def test_a_row_with_more_cells_than_columns_is_unreadable() -> None:
    """Its values may stand in the wrong columns: none of them is taken."""
    (first, second) = rows(HEADER + b"\n" + LINE + b",extra\n" + LINE + b",,\n")
    assert (first.number, first.values) == (2, [])
    assert "more cells" in first.unreadable
    assert second == Row(3, list(row(ADDRESS).values()))


def test_a_stray_quote_spoils_its_row_alone() -> None:
    """A quote inside a quoted cell makes one row unreadable; the next ones are read."""
    content = b'smtpEmailAddress,note\na@b.example,"x"y\nc@d.example,z\n'
    first, second = rows(content)
    assert (first.number, first.values) == (2, [])
    assert "quote" in first.unreadable
    assert second.number == 3


def test_nul_bytes_do_not_stop_the_reading() -> None:
    """They are characters like any other here; the rules of an account refuse them."""
    content = b"smtpEmailAddress,fromFirstName\na@b.example,Ro\x00bin\nc@d.example,Robin\n"
    assert numbered(content) == {2: "a@b.example", 3: "c@d.example"}


# What a JSON array is.


def test_a_json_array_reads_like_the_csv_of_the_same_accounts() -> None:
    """Numbers and nulls become the texts that a CSV has; items count from 1."""
    account = row(ADDRESS)
    item = account | {"smtpPort": 465, "imapPort": 993, "fromLastName": None}
    assert rows(as_json(item)) == [Row(1, list((account | {"fromLastName": ""}).values()))]


def test_the_items_of_an_array_may_have_different_fields() -> None:
    """Each object is read by its own keys."""
    one = {"smtpEmailAddress": "a@b.example"}
    two = {"note": "x", "fromFirstName": "Robin", "smtpEmailAddress": "c@d.example"}
    assert numbered(as_json(one, two)) == {1: "a@b.example", 2: "c@d.example"}


@pytest.mark.parametrize(
    "item",
    [
        7,
        1.5,
        None,
        "text",
        [],
        {},
        {"note": "x"},
        {"smtpEmailAddress": ["a@b.example"]},
        {"smtpEmailAddress": "a@b.example", "smtpHost": {"name": "smtp.north.example"}},
    ],
)
def test_an_item_that_cannot_be_a_row_is_unreadable_alone(item: object) -> None:
    """Its neighbours are read; it keeps its number."""
    read = rows(as_json(row(ADDRESS), item, row(ADDRESS)))
    assert [(one.number, bool(one.values), bool(one.unreadable)) for one in read] == [
        (1, True, False),
        (2, False, True),
        (3, True, False),
    ]


def test_a_json_array_may_be_laid_out_with_blanks() -> None:
    """Blanks around items, and behind the array, mean nothing."""
    content = (
        b' \r\n[\t{"smtpEmailAddress" : "a@b.example"} \n'
        b' , {"smtpEmailAddress":"c@d.example"}\n] \n'
    )
    assert numbered(content) == {1: "a@b.example", 2: "c@d.example"}


@pytest.mark.parametrize("overhang", range(-4, 5))
def test_a_value_may_lie_across_the_windows_edge(overhang: int) -> None:
    """Numbers, escapes, letters of several bytes: nothing is cut where a window ends."""
    start = '[{"smtpEmailAddress":"'
    tails = ['"},1.5e3,{"smtpEmailAddress":"z"}]', '\\u00e9é😀"},true]', '\\"\\\\"} , null ]']
    for tail in tails:
        text = start + "a" * (formats._WINDOW - len(start) + overhang) + tail  # noqa: SLF001  its edge is the point
        expected = [item for item in json.loads(text) if isinstance(item, dict)]
        read = [address for address in numbered_items(text) if address]
        assert read == [item["smtpEmailAddress"] for item in expected]


def numbered_items(text: str) -> list[str]:
    """Read the addresses of a JSON text; '' for items that cannot be read."""
    at = FIELDS.index("smtpEmailAddress")
    return [one.values[at] if one.values else "" for one in rows(text.encode())]


# The columns.


@pytest.mark.parametrize(
    "header",
    ["smtpEmailAddress", "SMTP Email Address", "smtp_email_address", " SmtpEmail-address "],
)
def test_a_header_may_be_written_in_any_usual_way(header: str) -> None:
    """Case, blanks and separators do not matter."""
    assert numbered(f"{header}\na@b.example\n".encode()) == {2: "a@b.example"}


def test_columns_that_are_not_used_are_named() -> None:
    """Their owner may have meant something by them; blank ones are nobody's."""
    file = opened(b"Daily Limit,smtpEmailAddress,, Tag \x07,smtp_email_address\n1,a@b.example,,,\n")
    assert file.unknown_columns == ("Daily Limit", "Tag ?")
    file = opened(as_json({"smtpEmailAddress": "a@b.example", "w\ud800arm": 1}))
    assert file.unknown_columns == ("w?arm",)


def test_of_two_equal_columns_the_first_counts() -> None:
    """A second column of the same name changes nothing."""
    assert numbered(b"smtpEmailAddress,SMTP_EMAIL_ADDRESS\na@b.example,c@d.example\n") == {
        2: "a@b.example"
    }


# What is no file of accounts.


def workbook() -> bytes:
    """Make the start of an Excel workbook, as any zip has it."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
    return target.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (workbook(), "an Excel workbook or a zip archive"),
        (gzip.compress(accounts_file(ADDRESS)), "a gzip archive"),
        (accounts_file(ADDRESS).decode().encode("utf-16"), "UTF-16"),
        (b"\xfe\xff" + accounts_file(ADDRESS).decode().encode("utf-16-be"), "UTF-16"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "neither UTF-8 text nor a known format"),
        (HEADER + b"\nM\xfcller" + LINE, "0xfc"),
        (as_json(row(ADDRESS))[:-3] + b'\xff"}]', "0xff"),
        (accounts_file(ADDRESS) * 2000 + b"\xe9\n", "0xe9"),
        (HEADER + b"\n" + LINE + b"\xc3", "0xc3"),
        (b"", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"\n\n", "None of its columns is smtpEmailAddress"),
        (b"name;smtpEmailAddress\nRobin;a@b.example\n", "None of its columns is smtpEmailAddress"),
        (accounts_file(ADDRESS).decode().encode("utf-16-le"), "UTF-16"),
        (b"[]", "empty JSON array"),
        (b" [ \n ] ", "empty JSON array"),
        (b'{"smtpEmailAddress": "a@b.example"}', "not an array"),
        (
            b'{"smtpEmailAddress": "a@b.example"}\n{"smtpEmailAddress": "c@d.example"}',
            "not an array",
        ),
        (b"[null]", "not an object"),
        (b'["a@b.example"]', "not an object"),
        (b'[[{"smtpEmailAddress": "a@b.example"}]]', "not an object"),
        (b'[{"note": "x"}]', "None of its columns is smtpEmailAddress"),
        (b"[", "behind item 0"),
        (b"[{", "behind item 0"),
        (as_json(row(ADDRESS), row(ADDRESS))[:-1], "behind item 1"),
        (as_json(row(ADDRESS), row(ADDRESS))[:-9], "behind item 1"),
        (as_json(row(ADDRESS))[:-1] + b",]", "behind item 1"),
        (as_json(row(ADDRESS))[:-1] + b" {}]", "behind item 1"),
        (as_json(row(ADDRESS)) * 2, "behind item 1"),
        (as_json(row(ADDRESS)) + b"x", "behind item 1"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_reason(content: bytes, said: str) -> None:
    """The refusal says what the file is taken for, and how to mend it."""
    assert said in refusal(content)


def test_a_file_without_header_is_refused_without_quoting_it() -> None:
    """Its first row is taken for names of columns and holds passwords."""
    said = refusal(LINE + b"\n" + LINE + b"\n")
    assert "smtpEmailAddress" in said
    assert PASSWORD not in said
    assert ADDRESS not in said


@pytest.mark.parametrize(
    "content",
    [
        HEADER + b"\nM\xfcller" + LINE,
        as_json(row(ADDRESS))[:-3],
        b"[" + LINE,
        HEADER + b'\n"' + LINE,
    ],
)
def test_a_refusal_quotes_no_password(content: bytes) -> None:
    """Whatever is wrong with a file, what stands in it is not repeated."""
    assert PASSWORD not in refusal(content)


@pytest.mark.parametrize("digits", [4_300, 4_301, 50_000])
def test_a_number_without_end_is_no_crash(digits: int) -> None:
    """Python refuses to convert very long numbers; the file is refused or its row rejected."""
    content = b'[{"smtpEmailAddress":"a@b.example","smtpPort":' + b"1" * digits + b"}]"
    try:
        (read,) = rows(content)
    except FileRefusedError:
        return
    assert len(read.values[FIELDS.index("smtpPort")]) == digits


@pytest.mark.parametrize("depth", [*range(940, 1_010, 3), 5_000, 300_000])
def test_deep_nesting_is_no_crash(depth: int) -> None:
    """However deep the brackets of an item go, it is unreadable or the file is refused."""
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        deep = opening * depth + (b"1" + closing * depth if depth < 300_000 else b"")
        content = b'[{"smtpEmailAddress":"a@b.example","note":' + deep + b"}]"
        try:
            (read,) = rows(content)
        except FileRefusedError:
            continue
        assert read.unreadable


@pytest.mark.parametrize(
    "content",
    [
        HEADER + b'\nother,"' + (LINE + b"\n") * 3,
        b'smtpEmailAddress,note\na@b.example,"hello\nc@d.example,x\ne@f.example,y\n',
    ],
)
def test_a_quote_that_is_never_closed_refuses_the_file(content: bytes) -> None:
    """Otherwise all rows behind it would vanish into one cell."""
    said = refusal(content)
    assert "row 2" in said
    assert "never closed" in said


# Memory.


class Endless(io.RawIOBase):
    """A file of any size that is made while it is read: a head, then a pattern again and again."""

    def __init__(self, head: bytes, pattern: bytes, size: int) -> None:
        """Make `size` bytes behind the head."""
        self._head = head
        self._pattern = pattern
        self._left = size
        self._ready = b""

    def readable(self) -> bool:
        """Say that it is there to be read."""
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer."""
        while len(self._ready) < len(target) and self._left > 0:
            self._ready += self._head + self._pattern * (len(target) // len(self._pattern) + 1)
            self._head = b""
            self._left -= len(self._ready)
        count = min(len(target), len(self._ready))
        target[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


def peak(use: Callable[[], object]) -> int:
    """Return the most bytes that Python held at once meanwhile."""
    tracemalloc.start()
    try:
        use()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("head", "pattern"),
    [
        (b"", b"a"),
        (HEADER + b"\n", b"a"),
        (HEADER + b"\n", "€".encode()),
        (HEADER + b"\n", b"\x00"),
        (HEADER + b'\n"', b"a" * 1000 + b"\n"),
        (HEADER + b"\n", b"a,"),
        (b'[{"smtpEmailAddress":"', b"a"),
        (b'[{"smtpEmailAddress":', b"["),
        (b'[{"smtpEmailAddress":"a@b.example","note":', b"1"),
    ],
)
def test_a_monstrous_item_is_refused_in_bounded_memory(head: bytes, pattern: bytes) -> None:
    """A line, cell or item that does not end is given up on, not collected."""

    def read() -> None:
        with pytest.raises(FileRefusedError):
            list(open_accounts_file(Endless(head, pattern, 32 * MEGABYTE)).rows)  # type: ignore[arg-type]

    assert peak(read) < 16 * MEGABYTE


def test_an_item_of_two_megabytes_is_refused() -> None:
    """An account is a few hundred characters long."""
    item = row(ADDRESS, fromFirstName="x" * 2 * MEGABYTE)
    assert "behind item 1" in refusal(as_json(row(ADDRESS), item, row(ADDRESS)))
    assert "1,048,576 characters" in refusal(accounts_file(ADDRESS, item))


@pytest.mark.parametrize(
    ("head", "pattern"),
    [
        (HEADER + b"\n", LINE + b"\n"),
        (b"[" + as_json(row(ADDRESS))[1:-1], b"," + as_json(row(ADDRESS))[1:-1]),
    ],
)
def test_reading_needs_the_same_memory_for_any_number_of_rows(head: bytes, pattern: bytes) -> None:
    """Only the row in hand and a window of the file are in memory."""

    def read(size: int) -> None:
        file = open_accounts_file(Endless(head, pattern, size))  # type: ignore[arg-type]
        try:
            for _ in file.rows:
                pass
        except FileRefusedError:
            assert file.format == "json"  # it has no closing bracket

    read(MEGABYTE)
    assert peak(lambda: read(6 * MEGABYTE)) < 1.2 * peak(lambda: read(MEGABYTE))


def test_objects_with_ever_new_fields_do_not_pile_up() -> None:
    """Each item may have keys of its own without costing memory for good."""

    def used(count: int) -> int:
        items = ({"smtpEmailAddress": "a", f"note{at}": 1} for at in range(count))
        file = opened(as_json(*items))
        return peak(lambda: [None for _ in file.rows if False])

    used(4_000)
    assert used(16_000) - used(4_000) < 100_000


# The samples.


@pytest.mark.parametrize(
    ("name", "format_", "count", "first"),
    [("accounts.csv", "csv", 246, 2), ("accounts.json", "json", 30, 1)],
)
def test_a_sample_is_read_whole(name: str, format_: str, count: int, first: int) -> None:
    """Every row comes once, in order, with a value in each field that has one."""
    file = opened((SAMPLES / name).read_bytes())
    read = list(file.rows)
    assert (file.format, file.unknown_columns) == (format_, ())
    assert [one.number for one in read] == list(range(first, first + count))
    assert not any(one.unreadable for one in read)
