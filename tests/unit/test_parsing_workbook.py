"""Workbooks: the sheet's own numbers, every kind of cell, bounds before anything is unpacked."""

import gzip
import io
import zipfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import xlsxwriter

from email_accounts.errors import FileRefusedError
from email_accounts.intake.columns import recognized
from email_accounts.parsing import archive as archive_module
from email_accounts.parsing import bounds
from email_accounts.parsing import worksheet as sheet_module
from email_accounts.parsing.detect import open_records
from email_accounts.parsing.records import Damage, DamagedRow, NewHeader, Place
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
    saved,
    sheets,
    streamed,
    workbook,
)

SAMPLES = Path(__file__).parents[1] / "samples"


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
    assert everything(content) == [
        DamagedRow(3, ["a@x.example", "465", "TRUE"], {2: Damage.BOOLEAN}),
        (4, ["b", "1.5"]),
    ]


def test_packed_or_without_seeking() -> None:
    """A workbook inside gzip or from a stream that cannot seek reads the same."""
    content = workbook(["email"], ["a"])
    assert everything(gzip.compress(content)) == [(2, ["a"])]
    assert opened(gzip.compress(content)).format == "XLSX (gzip)"
    assert list(streamed(Stream([content])).records) == [(2, ["a"])]


def test_numbers() -> None:
    """Numbers are as a person sees them, without the noise of binary fractions."""
    given = ["465", "465.0", "4.65E2", "0.30000000000000004", "-5", "12345678901", "1E+20"]
    row = "".join(f"<c><v>{number}</v></c>" for number in given)
    names = "<row>" + "<c t='str'><v>x</v></c>" * 7 + "</row>"
    seen = ["465", "465", "465", "0.3", "-5", "12345678901", "1e+20"]
    lost = {6: Damage.NUMBER}
    assert everything(archive(parts(f"{names}<row>{row}</row>"))) == [DamagedRow(2, seen, lost)]


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
    assert everything(sheet("".join(numbered))) == [
        *((n, [value]) for n, value in enumerate(["email", "in", "rich", "cached"], 2)),
        DamagedRow(6, ["TRUE"], {0: Damage.BOOLEAN}),
        DamagedRow(7, ["#N/A"], {0: Damage.ERROR}),
        DamagedRow(8, ["2026-01-02T00:00:00"], {0: Damage.DATE}),
        (9, ["漢"]),
        (10, [" a\r_x0041_ "]),
        DamagedRow(11, [""], {0: Damage.FORMULA}),
    ]


def test_dates_are_as_they_are_stored() -> None:
    """A date is the number of its day, and marked."""
    content = workbook(["email"], [datetime(2026, 1, 2, tzinfo=UTC).replace(tzinfo=None)])
    assert everything(content) == [DamagedRow(2, ["46024"], {0: Damage.DATE})]


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
    assert "sheets are empty" in refusal(archive(parts(rows)))


def test_prefixed_names() -> None:
    """Writers that put a prefix before each name are read, too."""
    content = parts(HEADER + '<row r="2"><c><v>1</v></c></row>')
    content["xl/sheet.xml"] = (
        content["xl/sheet.xml"].replace("</", "</x:").replace("<", "<x:").replace("<x:/x:", "</x:")
    ).replace("xmlns=", "xmlns:x=")
    assert everything(archive(content)) == [(2, ["1"])]


def test_the_first_visible_sheet() -> None:
    """Hidden sheets and charts before the first sheet that a person sees are passed over."""
    book = sheets(Lists=[["wrong"]])
    book["Lists"].sheet_state = "hidden"
    book.create_chartsheet("Chart")
    shown = book.create_sheet("Accounts")
    shown.append(["email"])
    shown.append(["a"])
    assert opened(saved(book)).header == ("email",)


def test_many_rows_across_windows() -> None:
    """Nothing is lost or mixed up where a window ends inside a tag, a text or a number."""
    rows = [[f"a{n}@x.example", n, "Zoë & <Z>", n % 2 == 0] for n in range(5000)]
    content = workbook(["email", "n", "name", "even"], *rows)
    expected = [
        DamagedRow(at, [*map(str, row[:3]), str(row[3]).upper()], {3: Damage.BOOLEAN})
        for at, row in enumerate(rows, 2)
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
        ({"xl/sheet.xml": "<chartsheet/>"}, "where one is expected"),
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
        assert "not an .xlsx workbook" in said


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
    monkeypatch.setattr(archive_module, "_LARGEST_WORKBOOK", 1_000_000)
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


def test_too_many_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that reach far to the right count with the cells they skip."""
    monkeypatch.setattr(bounds, "CELLS", 100_000)
    last = "".join(f'<c r="{letters}1" t="str"><v>x</v></c>' for letters in ("A", "AKZ"))
    far = "".join(f'<row r="{n}"><c r="AKZ{n}"><v>{n}</v></c></row>' for n in range(2, 200))
    assert "more than 100,000 cells" in refusal(archive(parts(f'<row r="1">{last}</row>{far}')))


def test_a_stray_value_in_the_last_cell() -> None:
    """It is one unreadable row, and costs nothing."""
    last = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    rows = f'<row r="2"><c r="A2"><v>1</v></c></row>{last}'
    assert peak_of(lambda: everything(sheet(rows))) < 2 << 20
    assert everything(sheet(rows)) == [(2, ["1"]), bad(1_048_576)]


def test_too_many_columns() -> None:
    """A header that reaches too far is refused."""
    row = '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="XFD1"><v>1</v></c></row>'
    assert "more than 1,000 columns" in refusal(archive(parts(row)))


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("<x>" * 10_000_000, "nested more than 16 deep"),
        (f'<row r="2"><c r="{"A" * 990_000}2"/></row>', "a tag has more than"),
        (f'<row r="2"><c r="{"A" * 90_000}2"/></row>', "no column"),
        ("".join(f'<row a{n}="1"/>' for n in range(100_000)), "more than 1,000 names"),
        ("".join(f"<a{n}/>" for n in range(100_000)), "more than 1,000 names"),
        ('<row r="2"><c r="A2"><c r="A3">', "not in a row"),
        ("<c/>", "not in a row"),
        ('<row r="2"><c r="A2"><v><v>', "in another one"),
    ],
)
def test_hostile_tags(row: str, problem: str) -> None:
    """Depth, length and names of tags are bounded, in little time and memory."""
    content = archive(parts(HEADER + row), zipfile.ZIP_STORED)
    assert peak_of(lambda: try_to_read(content)) < 4 << 20
    assert problem in refusal(content)


FORMATS = {
    "xl/styles.xml": (
        '<styleSheet><numFmts count="3"><numFmt numFmtId="164" formatCode="00000000"/>'
        '<numFmt numFmtId="165" formatCode="[Red]yyyy&quot;d&quot;"/>'
        '<numFmt numFmtId="166" formatCode="&quot;day &quot;0"/>'
        '</numFmts><cellXfs count="7"><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="1"/>'
        '<xf numFmtId="9"/><xf numFmtId="165"/><xf numFmtId="14"/><xf numFmtId="49"/>'
        '<xf numFmtId="3"/><xf numFmtId="166"/></cellXfs></styleSheet>'
    )
}


@pytest.mark.parametrize(
    ("style", "value", "text", "damage"),
    [
        (0, "1234567", "1234567", None),
        (0, "123456789012", "123456789012", Damage.NUMBER),
        (0, "0.1234567890123", "0.1234567890123", Damage.NUMBER),
        (0, "1.234567890123457e+18", "1.23456789012346e+18", Damage.NUMBER),
        (0, "12345678901234567890", "12345678901234567890", Damage.NUMBER),
        (1, "1234567", "1234567", Damage.NUMBER),
        (1, "12345678", "12345678", None),
        (2, "4915112345678", "4915112345678", None),
        (2, "0.5", "0.5", Damage.NUMBER),
        (3, "0.75", "0.75", Damage.NUMBER),
        (4, "46024", "46024", Damage.DATE),
        (5, "46024", "46024", Damage.DATE),
        (6, "465", "465", None),
        (7, "993", "993", None),
        (7, "1234", "1234", Damage.NUMBER),
        (8, "465", "465", Damage.NUMBER),
        (99, "465", "465", None),
    ],
)
def test_what_a_number_shows(style: int, value: str, text: str, damage: Damage | None) -> None:
    """A number is marked where its format shows other digits, or some of them are lost."""
    rels = parts()["xl/_rels/workbook.xml.rels"].replace(
        "<Relationship Id=",
        '<Relationship Id="s" Type="/styles" Target="styles.xml"/><Relationship Id=',
        1,
    )
    row = f'<row r="2"><c r="A2" s="{style}"><v>{value}</v></c></row>'
    changed = {**FORMATS, "xl/_rels/workbook.xml.rels": rels}
    expected = DamagedRow(2, [text], {0: damage}) if damage else (2, [text])
    assert everything(archive(parts(HEADER + row, changed))) == [expected]


def test_merged_cells() -> None:
    """A merged cell counts in all rows it covers, damage included, but makes no row of its own."""
    book = sheets(Sheet=[["email", "host", "on"], ["a", "h", True], ["b"], [], ["c"], ["d", "own"]])
    for merged in ("B2:B5", "C2:C3"):
        book["Sheet"].merge_cells(merged)
    on = {2: Damage.BOOLEAN}
    assert everything(saved(book)) == [
        DamagedRow(2, ["a", "h", "TRUE"], on),
        DamagedRow(3, ["b", "h", "TRUE"], on),
        (5, ["c", "h"]),
        (6, ["d", "own"]),
    ]


def test_all_sheets_with_accounts() -> None:
    """Rows of several sheets ascend, and are shown by sheet and row; other sheets are named."""
    book = sheets(
        Readme=[["Your mailboxes"], ["See the sheet Google"]],
        Google=[["email", "pw"], ["a", "1"]],
        Prices=[["item", "price"]],
        Empty=[],
        Microsoft=[["Title"], [], ["pw", "email"], ["2", "b"]],
        Old=[["email"], ["c"]],
    )
    book["Old"].sheet_state = "hidden"
    content = saved(book)
    records = opened(content)
    assert (records.sheets, records.left_out) == (
        ("Google", "Microsoft"),
        ("Readme", "Prices", "Old"),
    )
    assert (records.header, records.header_number) == (("email", "pw"), 1)
    second = (1 << 20) + 4
    assert everything(content) == [
        (2, ["a", "1"]),
        NewHeader(("pw", "email")),
        (second, ["2", "b"]),
    ]
    assert records.place(2) == Place("Google", 2)
    assert records.place(second) == Place("Microsoft", 4)


def test_no_sheet_with_accounts() -> None:
    """The first sheet that holds anything is returned, and the others are named."""
    records = opened(saved(sheets(Empty=[], One=[["a", "b"]], Two=[["c"]])))
    assert (records.header, records.sheets, records.left_out) == (("a", "b"), ("One",), ("Two",))


def test_a_read_that_fails_is_no_damage() -> None:
    """What the storage raises is passed on, wherever it happens; so is a file that ends early."""

    class Failing(io.BytesIO):
        left = 0

        def read(self, size: int | None = -1) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise TimeoutError
            return super().read(size)

    content = workbook(["email"], *([f"a{n}@x.example"] for n in range(20_000)))
    reads = 0
    while True:
        file = Failing(content)
        file.left = reads
        try:
            list(open_records(file, recognized).records)
        except TimeoutError:
            reads += 1
        else:
            break
    assert reads > 10


@pytest.mark.parametrize("unusual", ["", "<!-- -->"])
def test_too_many_empty_cells(monkeypatch: pytest.MonkeyPatch, unusual: str) -> None:
    """Cells count also where they hold nothing."""
    monkeypatch.setattr(bounds, "CELLS", 2001)  # a sheet without rows is read twice
    row = '<row r="{0}"><c r="A{0}" s="1"/><c r="B{0}" s="1"/></row>'
    rows = unusual + "".join(row.format(number) for number in range(2, 502))
    assert "more than 2,001 cells" in refusal(sheet(rows))
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
    assert "more than 64 MB" in refusal_of(stream)


AWKWARD = (
    *("=1+1", "+49123", "-5", "@home", "'quoted", '"double"', "a\"b'c", "x_x005F_cd", "_x0041_"),
    *("_x000D_", "  lead", "trail  ", "two  inside", "12345678901234567890", "0012", "1E5", "1.50"),
    *("TRUE", "2024-05-03", "03/05", "12:30", "50%", "$5.00", "a\nb", "\U0001f332\U0001f332pass"),
    *("e\u0301clair", "\u00e9", "&amp;<b>", "]]>", "#NAME?", "\u00a0nbsp", "zero\u200bwidth"),
    *("\ufeffbom", "\ufb01", "\u03a9mega", "a" * 200),
)


def test_what_libreoffice_writes_is_read_to_the_letter() -> None:
    """Every text comes back as it was typed.

    LibreOffice 7.4.7 made the file from a flat sheet (.fods) in which each text is a cell of type
    string, with `<text:s/>` for its blanks: `soffice --headless --convert-to xlsx`.
    """
    content = (SAMPLES / "tables/libreoffice.xlsx").read_bytes()
    assert [row[1][1] for row in everything(content) if isinstance(row, tuple)] == [*AWKWARD]


def test_what_xlsxwriter_writes_is_read_to_the_letter() -> None:
    """Every text comes back as it was typed."""
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        sheet = book.add_worksheet()
        for at, text in enumerate(("password", *AWKWARD)):
            sheet.write_string(at, 0, "email" if not at else f"a{at}@b.example")
            sheet.write_string(at, 1, text)
    rows = everything(content.getvalue())
    assert [row[1][1] for row in rows if isinstance(row, tuple)] == [*AWKWARD]
