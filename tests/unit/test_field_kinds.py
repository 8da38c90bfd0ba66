"""More files of each kind that people really have: other languages, exporters and spellings."""

import io
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from email_accounts.errors import FileRefusedError
from email_accounts.intake.accounts_file import open_accounts_file
from email_accounts.intake.rows import Accepted, Rejected, RowResult
from email_accounts.models.account import FIELDS

KINDS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "samples/tables/field-kinds.jsonl")
    .read_text("utf-8")
    .splitlines()
]
PASSWORD = "abcdefghijklmnop"
HEADER = ("Email", "Password")


def became(rows: Iterable[RowResult]) -> str:
    """Return what each row is: ok, duplicate, or the codes of its problems."""
    return " ".join(
        "ok"
        if isinstance(one, Accepted)
        else "+".join(problem.code for problem in one.problems)
        if isinstance(one, Rejected)
        else "duplicate"
        for one in rows
    )


@pytest.mark.parametrize("case", KINDS, ids=[case["name"] for case in KINDS])
def test_a_file_comes_out_as_its_owner_expects(case: dict[str, Any]) -> None:
    """Rows, warnings, values of the first account, or a refusal; PASSWORD is an undamaged one."""
    content = case["text"].replace("PASSWORD", PASSWORD).encode(case["encoding"])
    if case["rows"] == "refused":
        with pytest.raises(FileRefusedError):
            became(open_accounts_file(io.BytesIO(content)).rows)
        return
    file = open_accounts_file(io.BytesIO(content))
    rows = [*file.rows]
    assert became(rows) == case["rows"]
    assert " ".join(sorted(one.code for one in file.warnings)) == case["warnings"]
    if expected := case.get("values"):
        first = next(one for one in rows if isinstance(one, Accepted))
        values = dict(zip(FIELDS, first.reader.read(first.cells).values, strict=True))
        assert {name: values[name].replace(PASSWORD, "PASSWORD") for name in expected} == expected


def written(fill: Callable[[xlsxwriter.Workbook], object], **options: bool) -> bytes:
    """Return a workbook that XlsxWriter writes: shared strings, or inline ones."""
    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, options)
    fill(book)
    book.close()
    return content.getvalue()


DAY = datetime(2024, 5, 3, tzinfo=UTC).replace(tzinfo=None)
CELLS: list[tuple[str, str, Callable[[xlsxwriter.Workbook, Worksheet, int], object]]] = [
    (
        "date",
        "",
        lambda b, s, r: s.write_datetime(r, 1, DAY, b.add_format({"num_format": "d-mmm"})),
    ),
    ("time", "", lambda b, s, r: s.write_number(r, 1, 0.5, b.add_format({"num_format": "h:mm"}))),
    ("percent", "", lambda b, s, r: s.write_number(r, 1, 0.5, b.add_format({"num_format": "0%"}))),
    ("zeros", "", lambda b, s, r: s.write_number(r, 1, 12, b.add_format({"num_format": "0000"}))),
    ("money", "", lambda b, s, r: s.write_number(r, 1, 12, b.add_format({"num_format": "0.00 €"}))),
    ("long number", "", lambda _b, s, r: s.write_number(r, 1, 1234567890123456)),
    ("fraction", "", lambda _b, s, r: s.write_number(r, 1, 1234567.12345678)),
    ("boolean", "", lambda _b, s, r: s.write_boolean(r, 1, True)),  # noqa: FBT003  XlsxWriter's
    ("error", "", lambda _b, s, r: s.write_formula(r, 1, "=1/0", None, "#DIV/0!")),
    ("no value", "", lambda _b, s, r: s.write_formula(r, 1, "=A1", None, "")),
    ("number", "1234", lambda _b, s, r: s.write_number(r, 1, 1234)),
    ("formula", "xy", lambda _b, s, r: s.write_formula(r, 1, '="x"&"y"', None, "xy")),
    *(
        (text, text, lambda _b, s, r, text=text: s.write_string(r, 1, text))
        for text in (
            "x_x005F_cd",
            "=1+1",
            "'0123",
            "0000123",
            "1.5E+3x",
            "ü&<>\"'",
            "12345678901234567890",
        )
    ),
    (
        "rich",
        "abcdef",
        lambda b, s, r: s.write_rich_string(r, 1, "abc", b.add_format({"bold": True}), "def"),
    ),
]
"""What a cell holds, the password that it is ("" for none), and how it is written."""


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize(
    ("password", "write"), [one[1:] for one in CELLS], ids=[one[0] for one in CELLS]
)
def test_a_cell_is_read_to_the_letter_or_rejected(
    password: str, write: Callable[[xlsxwriter.Workbook, Worksheet, int], object], *, inline: bool
) -> None:
    """Whatever a password cell holds, its neighbours are accepted, and no other text is sent."""

    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEADER)
        for row in (1, 2, 3):
            sheet.write_row(row, 0, (f"a{row}@gmail.com", PASSWORD))
        write(book, sheet, 2)

    before, one, after = open_accounts_file(
        io.BytesIO(written(fill, in_memory=True, constant_memory=inline))
    ).rows
    assert isinstance(before, Accepted)
    assert isinstance(after, Accepted)
    if password:
        assert isinstance(one, Accepted)
        assert one.account().smtp.password.reveal() == password
    else:
        assert isinstance(one, Rejected)
        assert [problem.code for problem in one.problems] == ["password_damaged"]


def test_a_name_without_a_value_is_sent_blank_with_a_warning() -> None:
    """A formula whose value was never computed."""

    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, (*HEADER, "First Name"))
        sheet.write_row(1, 0, ("a@gmail.com", PASSWORD))
        sheet.write_formula(1, 2, "=A1", None, "")

    file = open_accounts_file(io.BytesIO(written(fill)))
    (one,) = file.rows
    assert isinstance(one, Accepted)
    assert one.account().first_name == ""
    assert [one.code for one in file.warnings] == ["name_damaged"]


SHEETS: dict[str, tuple[dict[str, list[tuple[str, ...]]], str, str]] = {
    "cover": (
        {"Cover": [("North",), ("2026",)], "Mailboxes": [HEADER, ("a@gmail.com", PASSWORD)]},
        "ok",
        "sheets_left_out",
    ),
    "titles": (
        {"Users": [("Exported",), (), ("E-Mail", "Passwort"), ("a@gmail.com", PASSWORD)]},
        "ok",
        "",
    ),
    "two": (
        {"A": [HEADER, ("a@gmail.com", PASSWORD)], "B": [HEADER[::-1], (PASSWORD, "b@gmail.com")]},
        "ok ok",
        "",
    ),
    "no header": (
        {"A": [HEADER, ("a@gmail.com", PASSWORD)], "B": [("b@gmail.com", PASSWORD)]},
        "ok",
        "sheets_left_out",
    ),
    "instructions": (
        {
            "Read me": [
                ("How to fill this",),
                ("Email", "The mailbox"),
                ("Password", "Its password"),
            ],
            "Data": [HEADER, ("a@gmail.com", PASSWORD)],
        },
        "ok",
        "sheets_left_out",
    ),
    "leads": (
        {
            "Leads": [("Email", "Company"), ("lead@x.example", "X")],
            "Mailboxes": [HEADER, ("a@gmail.com", PASSWORD)],
        },
        "ok",
        "sheets_left_out",
    ),
    "notes": (
        {
            "Log": [("time", "what")],
            "Users": [HEADER, ("a@gmail.com", PASSWORD)],
            "Notes": [("x",)],
        },
        "ok",
        "sheets_left_out",
    ),
}


@pytest.mark.parametrize(("sheets", "rows", "warnings"), SHEETS.values(), ids=SHEETS)
def test_accounts_are_found_in_any_sheet(
    sheets: dict[str, list[tuple[str, ...]]], rows: str, warnings: str
) -> None:
    """Cover sheets, titles, several sheets; what is skipped is named."""

    def fill(book: xlsxwriter.Workbook) -> None:
        for title, lines in sheets.items():
            sheet = book.add_worksheet(title)
            for at, line in enumerate(lines):
                sheet.write_row(at, 0, line)

    file = open_accounts_file(io.BytesIO(written(fill)))
    assert became(file.rows) == rows
    assert " ".join(one.code for one in file.warnings) == warnings


def test_merged_servers_count_for_every_row_they_cover() -> None:
    """The provider's servers do not replace them."""

    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, (*HEADER, "SMTP Host", "SMTP Port", "IMAP Host", "IMAP Port"))
        for row in (1, 2, 3):
            sheet.write_row(row, 0, (f"a{row}@gmail.com", PASSWORD))
        for at, text in enumerate(("mail.n.example", "465", "imap.n.example", "993"), 2):
            sheet.merge_range(1, at, 3, at, text)

    rows = [*open_accounts_file(io.BytesIO(written(fill))).rows]
    assert [one.account().smtp.host for one in rows if isinstance(one, Accepted)] == [
        "mail.n.example"
    ] * 3
