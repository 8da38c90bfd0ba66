"""Files that people really have: where the header is, which rows there are, what is damaged."""

from pathlib import Path

import pytest

from email_accounts.parsing.records import Damage, DamagedRow, Unreadable
from email_accounts.parsing.table import cells_of, number_of
from tests.support.reading import opened

FOLDER = Path(__file__).parents[1] / "samples" / "field-cases"

ENCODING, NUMBER, FORMULA = Damage.ENCODING, Damage.NUMBER, Damage.FORMULA
OTHER_SHEET = 1 << 20

Row = tuple[int, str, dict[int, Damage]]
CASES: dict[str, tuple[int, list[Row]]] = {
    "A01-google-admin-users.csv": (1, [(2, "Vq8#tulip-Kite", {}), (3, "Zw2#stone-Oar", {})]),
    "A21-pipe.txt": (1, [(2, "Pw,a;1", {})]),
    "A22-decorated-headers.csv": (1, [(2, "abcdefghijklmnop", {})]),
    "A23-decorated-some.csv": (1, [(2, "abcdefghijklmnop", {})]),
    "B04-password-blanks.csv": (1, [(2, " lead", {}), (3, "trail ", {}), (4, "in side", {})]),
    "B10-title-rows.csv": (4, [(5, "Pw-1", {}), (6, "Pw-2", {})]),
    "B11-comments.csv": (3, [(4, "Pw-1", {})]),
    "B13-comma-in-header.csv": (1, [(2, "abcdefghijklmnop", {})]),
    "B17-cat-no-header.csv": (1, [(2, "Pw-1", {}), (3, "Pw-2", {})]),
    "B22-gbk.csv": (
        1,
        [
            (2, "Mima-1", {2: ENCODING, 3: ENCODING}),
            (3, "ÃÜÂë-2", {1: ENCODING, 2: ENCODING, 3: ENCODING}),
        ],
    ),
    "B24-sjis.csv": (1, [(2, "Himitsu-1", {2: ENCODING, 3: ENCODING})]),
    "B25-macroman.csv": (1, [(2, "ClŽ-5", {1: ENCODING, 2: ENCODING, 3: ENCODING})]),
    "B42-gbk-like-utf8.csv": (1, []),
    "C02-number-password.xlsx": (
        1,
        [
            (2, "1234567", {1: NUMBER}),
            (3, "4915112345678", {}),
            (4, "1.23456789012346e+18", {1: NUMBER}),
            (5, "100000", {}),
            (6, "0.75", {1: NUMBER}),
        ],
    ),
    "C04-bool-password.xlsx": (1, [(2, "TRUE", {1: Damage.BOOLEAN})]),
    "C05-error-password.xlsx": (1, [(2, "#NAME?", {1: Damage.ERROR})]),
    "C06-formula-no-value.xlsx": (1, [(2, "Pw-1", {6: FORMULA, 7: FORMULA})]),
    "C07-readme-first.xlsx": (1, [(2, "Pw-1", {})]),
    "C10-two-sheets.xlsx": (1, [(2, "Pw-a1", {}), (OTHER_SHEET + 2, "Pw-b1", {})]),
    "C16-accounts.zip": (1, [(2, "Pw-1", {})]),
    "C24-wrapped-oneline.json": (0, [(1, "Pw-1", {})]),
    "C25-nested.json": (0, [(1, "Pw-1", {})]),
}
"""Of each file the row of its header; of each row its number, its password, what is damaged."""


@pytest.mark.parametrize("name", CASES)
def test_field_case(name: str) -> None:
    """Each file reads as its owner expects, or says what is damaged."""
    records = opened((FOLDER / name).read_bytes())
    column = next(at for at, title in enumerate(records.header) if "assword" in title)
    rows = [
        (number_of(record), cells[column], record.damage if isinstance(record, DamagedRow) else {})
        for record in records.records
        if (cells := cells_of(record))
    ]
    assert (records.header_number, rows) == CASES[name]


def test_not_utf_8() -> None:
    """Rows in an encoding that is not known say how to save the file."""
    content = (FOLDER / "B42-gbk-like-utf8.csv").read_bytes()
    reasons = [
        record.reason for record in opened(content).records if isinstance(record, Unreadable)
    ]
    assert [("CSV UTF-8" in reason) for reason in reasons] == [True, True]


def test_sheets() -> None:
    """Sheets without accounts are named as skipped; all others are read."""
    readme = opened((FOLDER / "C07-readme-first.xlsx").read_bytes())
    assert (readme.sheets, readme.left_out) == (("Accounts",), ("Read me",))
    two = opened((FOLDER / "C10-two-sheets.xlsx").read_bytes())
    assert (two.sheets, two.left_out) == (("ash.example", "elm.example"), ())
