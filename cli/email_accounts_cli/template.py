"""Accounts files to fill in: the 15 fields, an example, and what to write into each field."""

import csv
import io
import sys
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING

import click

from email_accounts.models.account import ENCRYPTIONS, FIELDS, PROVIDERS, RULES
from email_accounts.models.providers import providers
from email_accounts_cli.terminal import ALL_WELL, CommandError, tell_program

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

NOTES_COLUMN = "allowedValues"
"""Ignored when the file is read. A CSV has no other place for what its fields may hold."""

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
    "emailServiceProvider": "recognised by the servers, without any by the address; else other",
    "fromFirstName": "no name",
    "fromLastName": "no name",
    "smtpEmailAddress": "as imapEmailAddress",
    "smtpUserName": f"the address; for SendGrid {providers()['sendgrid'].user_name}",
    "smtpPassword": "not possible",
    "smtpHost": "the provider's",
    "smtpPort": "the usual one, where the host is a known provider's",
    "smtpEncryption": "by the port",
    "imapEmailAddress": "as smtpEmailAddress",
    "imapUserName": "as smtpUserName",
    "imapPassword": "as smtpPassword",
    "imapHost": "the provider's",
    "imapPort": "the usual one, where the host is a known provider's",
    "imapEncryption": "by the port",
}
"""What an empty cell stands for."""

_LAST_ROW = 1_048_576
_WIDTH = 24
_AS_TEXT = "@"


def write_template(kind: str | None, output: Path | None, *, as_json: bool) -> int:
    """Write a template into a new file or to stdout, or print its fields; return the exit code."""
    if as_json:
        for field, rule in RULES.items():
            tell_program(
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
        raise click.UsageError("A workbook is nothing for a terminal: name a file with --output.")
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
    """Return the template as a workbook: lists to choose from, and a sheet that explains."""
    from openpyxl import Workbook  # noqa: PLC0415  slow, and needed here alone

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
    """Keep the header in sight, and texts as they are typed: a password may look like a date."""
    sheet.freeze_panes = "A2"
    for field in FIELDS:
        column = sheet.column_dimensions[_letter(field)]
        column.width = _WIDTH
        if not field.endswith("Port"):
            column.number_format = _AS_TEXT


def _allow(sheet: "Worksheet", values: tuple[str, ...], *fields: str) -> None:
    """Offer a list of values in the columns of these fields; others are refused by the sheet."""
    from openpyxl.worksheet.datavalidation import DataValidation  # noqa: PLC0415  as above

    listed = DataValidation(
        type="list",
        formula1=f'"{",".join(values)}"',
        showErrorMessage=True,
        errorTitle="Not known",
        error=f"Choose one of {', '.join(values)}, or leave it blank.",
    )
    for field in fields:
        listed.add(f"{_letter(field)}2:{_letter(field)}{_LAST_ROW}")
    sheet.add_data_validation(listed)


def _letter(field: str) -> str:
    return ascii_uppercase[FIELDS.index(field)]
