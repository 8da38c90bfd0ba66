"""Write an accounts file to fill in: the 15 fields, an example and the allowed values."""

import csv
import io
import sys
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING

import click

from email_accounts.models.account import ENCRYPTIONS, FIELDS, PROVIDERS, RULES
from email_accounts.models.providers import providers
from email_accounts_cli.terminal import ALL_WELL, CommandError, print_json

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

NOTES_COLUMN = "allowedValues"
"""The column with the allowed values in a CSV; it is ignored when the file is read."""

_ADDRESS = "sales@company.example"
EXAMPLE: dict[str, str | int] = {
    "emailServiceProvider": "gsuite",
    "fromFirstName": "First",
    "fromLastName": "Last",
    "smtpEmailAddress": _ADDRESS,
    "smtpUserName": _ADDRESS,
    "smtpPassword": "",
    "smtpHost": "smtp.gmail.com",
    "smtpPort": 465,
    "smtpEncryption": "ssl",
    "imapEmailAddress": _ADDRESS,
    "imapUserName": _ADDRESS,
    "imapPassword": "",
    "imapHost": "imap.gmail.com",
    "imapPort": 993,
    "imapEncryption": "ssl",
}
"""A row without passwords: left in the file it is rejected, so it is never sent."""

IF_BLANK: dict[str, str] = {
    "emailServiceProvider": "recognized by the servers or the address; otherwise other",
    "fromFirstName": "no name",
    "fromLastName": "no name",
    "smtpEmailAddress": "same as imapEmailAddress",
    "smtpUserName": f"the address; for SendGrid {providers()['sendgrid'].user_name}",
    "smtpPassword": "rejected",
    "smtpHost": "the provider's",
    "smtpPort": "the usual port, if the host belongs to a known provider",
    "smtpEncryption": "by the port",
    "imapEmailAddress": "same as smtpEmailAddress",
    "imapUserName": "same as smtpUserName",
    "imapPassword": "same as smtpPassword",
    "imapHost": "the provider's",
    "imapPort": "the usual port, if the host belongs to a known provider",
    "imapEncryption": "by the port",
}
"""The value of an empty cell."""

_LAST_ROW = 1_048_576
_WIDTH = 24
_AS_TEXT = "@"


def write_template(kind: str | None, output: Path | None, *, as_json: bool) -> int:
    """Write a template into a new file or to stdout, or print its fields; return the exit code."""
    if as_json:
        for field, rule in RULES.items():
            print_json(
                {
                    "field": field,
                    "example": EXAMPLE[field],
                    "whatToWrite": rule.hint,
                    "ifBlank": IF_BLANK[field],
                }
            )
        return ALL_WELL
    if kind is None:
        kind = "xlsx" if output and output.suffix.lower() == ".xlsx" else "csv"
    if kind == "xlsx" and not output and sys.stdout.isatty():
        raise click.UsageError("A workbook needs a file: name one with --output.")
    content = xlsx_template() if kind == "xlsx" else csv_template()
    if not output:
        click.echo(content, nl=False)
        return ALL_WELL
    try:
        with output.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise CommandError(f"{output} exists: name another file.") from None
    except OSError as error:
        raise CommandError(f"{output}: {error.strerror}") from None
    return ALL_WELL


def csv_template() -> bytes:
    """Return the template as CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*FIELDS, NOTES_COLUMN])
    writer.writerow([*(EXAMPLE[field] for field in FIELDS), _notes()])
    return text.getvalue().encode()


def _notes() -> str:
    fields_of: dict[str, list[str]] = {}
    for field, rule in RULES.items():
        fields_of.setdefault(rule.hint, []).append(field)
    return " | ".join(f"{', '.join(fields)}: {fix}" for fix, fields in fields_of.items())


def xlsx_template() -> bytes:
    """Return the template as a workbook with drop-down lists and a sheet of allowed values."""
    from openpyxl import Workbook  # noqa: PLC0415  slow, only needed here

    book = Workbook()
    accounts = book.worksheets[0]
    accounts.title = "Accounts"
    accounts.append(FIELDS)
    accounts.append([EXAMPLE[field] for field in FIELDS])
    _format_columns(accounts)
    _allow(accounts, PROVIDERS, "emailServiceProvider")
    _allow(accounts, ENCRYPTIONS, "smtpEncryption", "imapEncryption")
    notes = book.create_sheet("Allowed values")
    notes.append(["field", "what to write", "if blank"])
    for field, rule in RULES.items():
        notes.append([field, rule.hint, IF_BLANK[field]])
    for column, width in (("A", _WIDTH), ("B", 4 * _WIDTH), ("C", 3 * _WIDTH)):
        notes.column_dimensions[column].width = width
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _format_columns(sheet: "Worksheet") -> None:
    """Freeze the header, and format cells as text: a password may resemble a date."""
    sheet.freeze_panes = "A2"
    for field in FIELDS:
        column = sheet.column_dimensions[_letter(field)]
        column.width = _WIDTH
        if not field.endswith("Port"):
            column.number_format = _AS_TEXT


def _allow(sheet: "Worksheet", values: tuple[str, ...], *fields: str) -> None:
    """Allow only a list of values in the columns of these fields."""
    from openpyxl.worksheet.datavalidation import DataValidation  # noqa: PLC0415  as above

    listed = DataValidation(
        type="list",
        formula1=f'"{",".join(values)}"',
        showErrorMessage=True,
        errorTitle="Unknown value",
        error=f"Choose one of {', '.join(values)}, or leave it blank.",
    )
    for field in fields:
        listed.add(f"{_letter(field)}2:{_letter(field)}{_LAST_ROW}")
    sheet.add_data_validation(listed)


def _letter(field: str) -> str:
    return ascii_uppercase[FIELDS.index(field)]
