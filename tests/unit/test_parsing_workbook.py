"""Workbooks: the sheet's own numbers, every kind of cell, bounds before anything is unpacked."""

import gzip
import io
import zipfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pytest

from email_accounts.errors import FileRefusedError
from email_accounts.parsing import workbook as workbook_module
from email_accounts.parsing import worksheet as sheet_module
from email_accounts.parsing.detect import open_records
from tests.support.reading import (
    HEADER,
    Stream,
    archive,
    bad,
    everything,
    noise,
    opened,
    parts,
    peak_of,
    refusal,
    refusal_of,
    streamed,
    workbook,
)


def sheet(rows: str) -> bytes:
    """Return a workbook with one shared text, "email", and these rows below it."""
    return archive(parts(HEADER + rows))


def cell(reference: str, inner: str, kind: str = "n") -> str:
    """Return a cell."""
    return f'<c r="{reference}" t="{kind}">{inner}</c>'


def test_a_workbook() -> None:
    """The first sheet is rows with the sheet's own numbers."""
    content = workbook(["Email", "Port", "Warm"], [], ["a@x.example", 465, True], ["b", 1.5, None])
    records = opened(content)
    assert (records.format, records.encoding) == ("XLSX", "")
    assert records.header == ("Email", "Port", "Warm")
    assert everything(content) == [(3, ["a@x.example", "465", "true"]), (4, ["b", "1.5"])]


def test_packed_or_without_seeking() -> None:
    """A workbook inside gzip or from a stream that cannot seek reads the same."""
    content = workbook(["email"], ["a"])
    assert everything(gzip.compress(content)) == [(2, ["a"])]
    assert opened(gzip.compress(content)).format == "XLSX (gzip)"
    assert list(streamed(Stream([content])).records) == [(2, ["a"])]


def test_from_a_file(tmp_path: Path) -> None:
    """A file on disk is read where it lies."""
    path = tmp_path / "accounts.xlsx"
    path.write_bytes(workbook(["email"], ["a"]))
    with path.open("rb") as file:
        assert list(open_records(file).records) == [(2, ["a"])]


def test_numbers() -> None:
    """Numbers are as a person sees them, without the noise of binary fractions."""
    given = ["465", "465.0", "4.65E2", "0.30000000000000004", "-5", "12345678901", "1E+20"]
    row = "".join(f"<c><v>{number}</v></c>" for number in given)
    names = "<row>" + "<c t='str'><v>x</v></c>" * 7 + "</row>"
    seen = ["465", "465", "465", "0.3", "-5", "12345678901", "1e+20"]
    assert everything(archive(parts(f"{names}<row>{row}</row>"))) == [(2, seen)]


def test_kinds_of_cells() -> None:
    """Shared, inline, formula, boolean, error and date cells give what they show."""
    rows = [
        cell("A2", "<v>0</v>", "s"),
        cell("A3", "<is><t>in</t></is>", "inlineStr"),
        cell("A4", "<is><r><rPr><b/></rPr><t>ri</t></r><r><t>ch</t></r></is>", "inlineStr"),
        cell("A5", "<f>A1&amp;1</f><v>cached</v>", "str"),
        cell("A6", "<v>1</v>", "b"),
        cell("A7", "<v>#N/A</v>", "e"),
        cell("A8", "<v>2026-01-02T00:00:00</v>", "d"),
        cell("A9", "<is><t>漢</t><rPh sb='0' eb='1'><t>kan</t></rPh></is>", "inlineStr"),
        cell("A10", "<is><t xml:space='preserve'> a_x000D__x005F_x0041_ </t></is>", "inlineStr"),
        cell("A11", "<f>now()</f><v/>"),
    ]
    numbered = [f'<row r="{n}">{row}</row>' for n, row in enumerate(rows, 2)]
    seen = ["email", "in", "rich", "cached", "true", "#N/A", "2026-01-02T00:00:00", "漢"]
    expected = [(n, [value]) for n, value in enumerate([*seen, " a\r_x0041_ "], 2)]
    assert everything(sheet("".join(numbered))) == expected


def test_dates_are_as_they_are_stored() -> None:
    """A date is the number of its day."""
    content = workbook(["email"], [datetime(2026, 1, 2, tzinfo=UTC).replace(tzinfo=None)])
    assert everything(content) == [(2, ["46024"])]


def test_sparse_rows_and_cells() -> None:
    """Cells come into their columns and rows to their numbers, given or counted on."""
    names = "".join(cell(f"{letter}3", "<v>x</v>", "str") for letter in "ABCD")
    rows = (
        f'<row r="3">{names}</row>'
        f'<row r="7">{cell("B7", "<v>2</v>")}{cell("D7", "<v>4</v>")}</row>'
        "<row><c><v>1</v></c><c/><c><v>3</v></c></row>"
        f'<row r="20">{cell("C20", "<v>3</v>")}<c><v>4</v></c>{cell("A20", "<v>1</v>")}</row>'
    )
    expected = [(7, ["", "2", "", "4"]), (8, ["1", "", "3"]), (20, ["1", "", "3", "4"])]
    assert everything(archive(parts(rows))) == expected


def test_rows_longer_than_the_header() -> None:
    """A filled cell right of the header makes its row unreadable, a blank one does not."""
    rows = (
        f'<row r="2">{cell("A2", "<v>1</v>")}{cell("XFD2", "<v>2</v>")}</row>'
        f'<row r="3">{cell("A3", "<v>3</v>")}{cell("B3", "<v> </v>", "str")}</row>'
        f'<row r="4">{cell("C4", "<v>5</v>")}</row>'
    )
    assert everything(sheet(rows)) == [bad(2), (3, ["3"]), bad(4)]


def test_blank_rows() -> None:
    """Rows of blank or styled cells are no rows."""
    rows = f'<row r="2">{cell("A2", "<v>  </v>", "str")}</row><row r="3"><c r="A3" s="1"/></row>'
    assert everything(sheet(rows)) == []
    assert "first sheet is empty" in refusal(archive(parts(rows)))


def test_prefixed_names() -> None:
    """Writers that put a prefix before each name are read, too."""
    content = parts(HEADER + '<row r="2"><c><v>1</v></c></row>')
    content["xl/sheet.xml"] = (
        content["xl/sheet.xml"].replace("</", "</x:").replace("<", "<x:").replace("<x:/x:", "</x:")
    ).replace("xmlns=", "xmlns:x=")
    assert everything(archive(content)) == [(2, ["1"])]


def test_the_first_visible_sheet() -> None:
    """Hidden sheets and charts before the first sheet that a person sees are passed over."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    hidden = book.create_sheet("Lists")
    hidden["A1"] = "wrong"
    hidden.sheet_state = "hidden"
    book.create_chartsheet("Chart")
    shown = book.create_sheet("Accounts")
    shown.append(["email"])
    shown.append(["a"])
    content = io.BytesIO()
    book.save(content)
    assert opened(content.getvalue()).header == ("email",)


def test_many_rows_across_windows() -> None:
    """Nothing is lost or mixed up where a window ends inside a tag, a text or a number."""
    rows = [[f"a{n}@x.example", n, "Zoë & <Z>", n % 2 == 0] for n in range(5000)]
    content = workbook(["email", "n", "name", "even"], *rows)
    expected = [
        (at, [row[0], str(row[1]), row[2], str(row[3]).lower()]) for at, row in enumerate(rows, 2)
    ]
    assert everything(content) == expected


# Bad input


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"[Content_Types].xml": None}, "zip archive"),
        ({"[Content_Types].xml": None, "content.xml": "<x/>"}, "OpenDocument"),
        ({"_rels/.rels": None}, "damaged workbook"),
        ({"xl/workbook.xml": None}, "damaged workbook"),
        ({"xl/_rels/workbook.xml.rels": None}, "damaged workbook"),
        ({"xl/sheet.xml": None}, "damaged workbook"),
        ({"xl/texts.xml": None}, "damaged workbook"),
        ({"xl/workbook.xml": "<workbook><sheets/></workbook>"}, "no sheet"),
        ({"xl/sheet.xml": "<chartsheet/>"}, "something else"),
        ({"xl/sheet.xml": "<worksheet><sheetData>"}, "damaged workbook"),
        ({"xl/sheet.xml": "<worksheet></worksheet>"}, "ends too early"),
        ({"xl/sheet.xml": "<worksheet><sheetData></worksheet>"}, "damaged workbook"),
        ({"xl/sheet.xml": "not XML"}, "damaged workbook"),
        ({"xl/sheet.xml": ""}, "damaged workbook"),
        ({"xl/sheet.xml": "<?xml version='1.0' encoding='nope'?><worksheet/>"}, "damaged"),
        ({"xl/sheet.xml": "<!DOCTYPE worksheet [<!ENTITY a 'b'>]><worksheet/>"}, "entities"),
        ({"xl/texts.xml": '<!DOCTYPE sst SYSTEM "file:///etc/passwd"><sst/>'}, "entities"),
        ({"xl/texts.xml": "<sst/>"}, "damaged workbook"),
        ({"_rels/.rels": " " * 5_000_000}, "list of its parts"),
    ],
)
def test_damaged_parts(changed: dict[str, str | None], problem: str) -> None:
    """A workbook that lacks a part or has a broken one is refused."""
    assert problem in refusal(archive(parts(HEADER, changed), zipfile.ZIP_STORED))


@pytest.mark.parametrize(
    "row",
    [
        '<row r="1"/>',
        '<row r="0"/>',
        '<row r="1048577"/>',
        '<row r="x"/>',
        f'<row r="{"9" * 5000}"/>',
        '<row r="2"><c r="XFE2"><v>1</v></c></row>',
        '<row r="2"><c r="2"><v>1</v></c></row>',
        '<row r="2"><c r="é2"><v>1</v></c></row>',
        '<row r="2"><c t="s"><v>1</v></c></row>',
        '<row r="2"><c t="s"><v>-1</v></c></row>',
        '<row r="2"><c t="s"><v>x</v></c></row>',
        f'<row r="2"><c t="s"><v>{"1" * 5000}</v></c></row>',
    ],
)
def test_impossible_numbers(row: str) -> None:
    """Rows out of order, columns beyond the last and texts that are not there are damage."""
    assert "damaged workbook" in refusal(sheet(row))


def test_other_office_documents() -> None:
    """A text document or a binary workbook is named as no workbook."""
    for target in ("word/document.xml", "xl/workbook.bin"):
        rels = parts()["_rels/.rels"].replace("xl/workbook.xml", target)
        said = refusal(archive(parts(changed={"_rels/.rels": rels, target: "<x/>"})))
        assert "no workbook" in said


def test_protected() -> None:
    """Parts that need a password are not tried."""
    content = bytearray(sheet(""))
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        directory = file.start_dir
    for at in range(directory, len(content) - 4):
        if content[at : at + 4] == b"PK\x01\x02":
            content[at + 8] |= 1
    assert "password" in refusal(bytes(content))


def test_other_compression() -> None:
    """Methods that cannot be bounded while they unpack are not tried."""
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert "damaged workbook" in refusal(archive(parts(HEADER), method))


@pytest.mark.parametrize("length", [4, 30, 100, 500, 1000])
def test_cut_off(length: int) -> None:
    """A workbook that lacks its end is refused."""
    assert "damaged workbook" in refusal(sheet("")[:length])


def try_to_read(content: bytes) -> None:
    """Read a file that may be refused."""
    with suppress(FileRefusedError):
        everything(content)


def test_a_bomb_of_one_part() -> None:
    """A part that unpacks to hundreds of times its size is refused before it is unpacked."""
    content = archive(parts(HEADER + " " * 100_000_000))
    assert len(content) < 200_000
    assert peak_of(lambda: refusal(content)) < 2 << 20
    assert "200 times its size or 300 MB" in refusal(content)


def test_a_bomb_of_many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """All parts together are bounded, also those that are never read."""
    monkeypatch.setattr(workbook_module, "_LARGEST_UNPACKED", 1_000_000)
    picture = noise(50_000).hex()
    pictures = {f"xl/media/{number}.png": picture for number in range(10)}
    assert "or 1 MB" in refusal(archive({**parts(HEADER), **pictures}))
    assert everything(archive({**parts(HEADER), "xl/media/1.png": picture})) == []


def test_a_bomb_that_lies() -> None:
    """A part that declares less than it holds is read no further than declared."""
    content = archive(parts(HEADER + " " * 100_000_000))
    size = len(parts(HEADER + " " * 100_000_000)["xl/sheet.xml"]).to_bytes(4, "little")
    lying = content.replace(size, (900_000).to_bytes(4, "little"))
    assert lying != content
    assert peak_of(lambda: refusal(lying)) < 20 << 20
    assert "damaged workbook" in refusal(lying)


def test_a_directory_of_millions() -> None:
    """A list of parts that is itself too large is not read."""
    members = {f"{n:0200}": "" for n in range(6000)}
    content = archive({**parts(HEADER), **members})
    assert peak_of(lambda: refusal(content)) < 8 << 20
    assert "damaged workbook" in refusal(content)


def test_too_many_cells() -> None:
    """Rows that reach far to the right count with the cells they skip."""
    last = "".join(f'<c r="{letters}1"><v>1</v></c>' for letters in ("A", "XFD"))
    far = "".join(f'<row r="{n}"><c r="XFD{n}"><v>{n}</v></c></row>' for n in range(2, 1300))
    said = refusal(archive(parts(f'<row r="1">{last}</row>{far}')))
    assert "more than 20,000,000 cells" in said


@pytest.mark.parametrize("unusual", ["", "<!-- -->"])
def test_too_many_empty_cells(monkeypatch: pytest.MonkeyPatch, unusual: str) -> None:
    """Cells count also where they hold nothing."""
    monkeypatch.setattr(sheet_module, "_MOST_CELLS", 1000)
    row = '<row r="{0}"><c r="A{0}" s="1"/><c r="B{0}" s="1"/></row>'
    rows = unusual + "".join(row.format(number) for number in range(2, 502))
    assert "more than 1,000 cells" in refusal(sheet(rows))
    assert everything(sheet(rows[: -len(row.format(501))])) == []


def test_too_much_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """The texts that cells share are bounded, by size and by number."""
    monkeypatch.setattr(sheet_module, "_LARGEST_SHARED", 1_000_000)
    for texts in ("<si><t>1234</t></si>" * 90_000, f"<si><t>{'x' * 990_000}</t></si>" * 2):
        assert "texts take more than 1 MB" in refusal(content_with_texts(texts))
        assert everything(content_with_texts(texts[: len(texts) // 2])) == []


def content_with_texts(texts: str) -> bytes:
    """Return a workbook with these shared texts and no rows below the names."""
    names = '<row r="1"><c t="str"><v>email</v></c></row>'
    return archive(parts(names, {"xl/texts.xml": f"<sst>{texts}</sst>"}), zipfile.ZIP_STORED)


def test_shared_texts_are_held_tightly() -> None:
    """Hundreds of thousands of shared texts take their own size and little more."""
    texts = "".join(f"<si><t>first.last{number}@x.example</t></si>" for number in range(200_000))
    content = content_with_texts(texts)
    assert peak_of(lambda: everything(content)) < 8 << 20


@pytest.mark.parametrize(
    "cell_of",
    [
        "<is><t>{}</t></is>",
        "<is><r><t>{0}</t></r><r><t>{0}</t></r></is>",
        "<v>{}</v>",
        "<v a='{}'>1</v>",
        "<!--{}-->",
    ],
)
def test_a_cell_of_ten_megabytes(cell_of: str) -> None:
    """No text, tag or comment of a sheet is kept for long."""
    text = noise(5_000_000).hex()
    row = f'<row r="2">{cell("A2", cell_of.format(text), "str")}</row>'
    content = sheet(row)
    assert peak_of(lambda: try_to_read(content)) < 40 << 20


def test_a_workbook_that_cannot_be_held() -> None:
    """A large workbook in a stream that cannot seek is refused before it fills the memory."""
    megabyte = noise(1 << 20)
    stream = Stream([sheet("")], (megabyte for _ in range(500)))
    assert "workbook of more than 64 MB" in refusal_of(stream)
