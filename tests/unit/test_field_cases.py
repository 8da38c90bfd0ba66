"""Files as people really have them: what becomes of each row, by codes."""

from pathlib import Path

import pytest

from email_accounts.intake.accounts_file import open_accounts_file
from email_accounts.intake.rows import Accepted, Rejected

FOLDER = Path(__file__).parents[1] / "samples/field-cases"
OK = "ok"
CASES: dict[str, tuple[list[str], list[str]]] = {
    "A01-google-admin-users.csv": (["servers_missing", "servers_missing"], []),
    "A02-masked-stars.csv": (["password_missing", "password_missing", "password_missing", OK], []),
    "A03-m365-users.csv": (["servers_missing"], ["address_column"]),
    "A04-account-label-before-email.csv": ([OK, OK], ["address_column"]),
    "A13-woodpecker-dash.csv": ([OK], []),
    "A15-instantly-codes.csv": ([OK] * 4, ["microsoft_sign_in"]),
    "A16-provider-spellings.csv": ([OK] * 18, ["microsoft_sign_in", "provider_unknown"]),
    "A17-encryption-spellings.csv": ([OK] * 16, []),
    "A21-pipe.txt": ([OK], []),
    "A22-decorated-headers.csv": ([OK], []),
    "A23-decorated-some.csv": ([OK], []),
    "A26-password-headers.csv": ([OK], []),
    "A27-email-password-header.csv": ([OK], []),
    "A29-duplicate-email-blank-first.csv": ([OK], []),
    "A34-last-first.csv": ([OK], []),
    "A35-nbsp-name.csv": ([OK], []),
    "A38-zero-width.csv": ([OK] * 4, ["invisible_removed"]),
    "A40-idn.csv": (["address_not_ascii", OK], []),
    "A41-pandas-nan.csv": (["password_missing"], []),
    "A42-usual-names.csv": ([OK], []),
    "B04-password-blanks.csv": ([OK, OK, OK], ["password_trimmed"]),
    "B10-title-rows.csv": ([OK, OK], []),
    "B11-comments.csv": ([OK], []),
    "B13-comma-in-header.csv": ([OK], []),
    "B17-cat-no-header.csv": ([OK, OK], []),
    "B22-gbk.csv": ([OK, "not_utf_8"], ["name_not_utf_8"]),
    "B24-sjis.csv": ([OK], ["name_not_utf_8"]),
    "B25-macroman.csv": (["not_utf_8"], []),
    "B29-excel-damaged.csv": (["password_damaged"] * 4, []),
    "B31-long-password.csv": (["password_too_long", "password_unusable"], []),
    "B32-app-password-groups.csv": ([OK] * 7, []),
    "B42-gbk-like-utf8.csv": (["row_unreadable", "row_unreadable"], []),
    "C02-number-password.xlsx": (
        ["password_damaged", OK, "password_damaged", OK, "password_damaged"],
        [],
    ),
    "C04-bool-password.xlsx": (["password_damaged"], []),
    "C05-error-password.xlsx": (["password_damaged"], []),
    "C06-formula-no-value.xlsx": (["user_name_damaged+password_damaged"], []),
    "C07-readme-first.xlsx": ([OK], ["sheets_left_out"]),
    "C10-two-sheets.xlsx": ([OK, OK], []),
    "C16-accounts.zip": ([OK], []),
    "C24-wrapped-oneline.json": ([OK], []),
    "C25-nested.json": ([OK], []),
}
"""By file: what each row is (accepted, or the codes of its problems), and the warnings."""


@pytest.mark.parametrize("name", CASES)
def test_a_file_comes_out_as_its_owner_expects(name: str) -> None:
    """Nothing damaged is sent in silence, and no complete row is lost."""
    with (FOLDER / name).open("rb") as stream:
        file = open_accounts_file(stream)
        rows = [
            OK if isinstance(one, Accepted) else "+".join(problem.code for problem in one.problems)
            for one in file.rows
            if isinstance(one, Accepted | Rejected)
        ]
    assert (rows, sorted({one.code for one in file.warnings})) == CASES[name]


def test_every_file_has_its_case() -> None:
    """A new file comes with what its owner expects."""
    assert {*CASES} == {file.name for file in FOLDER.iterdir()}
