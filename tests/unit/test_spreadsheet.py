"""Texts from outside in files that people open in a spreadsheet."""

import csv
import io
import re

import pytest
from openpyxl import Workbook

from email_accounts.text.spreadsheet import safe_cell
from tests.support import answers

HOSTILE = [
    '=HYPERLINK("http://x","y")',
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1+1",
    "\n=1+1",
    "\u00a0=1",
    "\uff1d1+1",
    "'=1",
    "535;=cmd|' /C calc'!A0",
    '535;"=1+1',
    "535\n=1+1",
    "535\t+1",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_part_of_a_text_becomes_a_formula(text: str, delimiter: str) -> None:
    """Not as a whole, and not in pieces where a spreadsheet parts columns by other characters."""
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerow(["a@b.example", safe_cell(text)])
    lines = io.StringIO(file.getvalue(), newline="")
    if delimiter == ",":
        read = csv.reader(lines)
    else:
        read = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    sheet = Workbook().active
    assert sheet is not None
    for line in read:
        sheet.append([part.strip('" ') for part in line])
    kinds = {one.data_type for row in sheet.iter_rows() for one in row}
    assert "f" not in kinds
    for row in sheet.iter_rows(values_only=True):
        assert not any(str(value or "").startswith(("=", "+", "-", "@")) for value in row)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb\u200fc\u2066d", "a?b?c?d"),
        ("nul\x00 bell\x07 escape\x1b[31m", "nul? bell? escape?[31m"),
        ("two\u2028lines\u00a0here\ttab", "two lines here tab"),
        ("line\r\nbreak", "line\r\nbreak"),
        ("zoë 名", "zoë 名"),
        ("5-7 = 2; a+b", "5-7 = 2; a+b"),
    ],
)
def test_invisible_characters_are_shown_as_such(text: str, shown: str) -> None:
    """None can turn the direction of a text or steer a terminal; letters stay as they are."""
    assert safe_cell(text) == shown


def test_a_hostile_import_is_harmless_in_a_workbook() -> None:
    """Every row is there, no cell is a formula, and none has what a workbook cannot hold."""
    text = answers.delivered(answers.hostile).outcome.removeprefix("\ufeff")
    lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    sheet = Workbook().active
    assert sheet is not None
    for line in lines:
        sheet.append(line)
    assert [line[0] for line in lines] == ["row", *map(str, range(2, 9))]
    assert not [one for row in sheet.iter_rows() for one in row if one.data_type == "f"]
    assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\u200f\u202e\u2028]", text)
    assert max(len(part) for line in lines for part in line) < 1_000
