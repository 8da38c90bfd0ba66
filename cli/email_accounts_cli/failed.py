"""Write the rows that were not connected to a new file, to fix and drop again."""

import csv
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TextIO

from email_accounts.delivery.outcomes import Outcome
from email_accounts.errors import ImporterError, ReportMissingError, UploadMissingError
from email_accounts.intake.columns import find_columns, recognized
from email_accounts.intake.options import understood
from email_accounts.intake.values import PASSWORDS, USERS
from email_accounts.models.imports import OUTCOME_NAME, Import
from email_accounts.models.upload import DEFAULT_WORKSPACE, Upload
from email_accounts.parsing.detect import open_records
from email_accounts.parsing.records import DamagedRow, NewHeader, Place, Record, Records
from email_accounts.parsing.table import cells_of, number_of
from email_accounts.text.headers import normalize_header
from email_accounts.text.spreadsheet import escape_formula
from email_accounts_cli.formats import ENDINGS, Write, writing
from email_accounts_cli.history import History
from email_accounts_cli.stack import Stack
from email_accounts_cli.terminal import (
    ALL_WELL,
    CommandError,
    counted,
    echo,
    print_json,
    printable,
    short,
)

ADDED = ("problem", "fix", "original_row")
"""Columns that are added; they are ignored when the file is dropped again."""

_ADDED = {normalize_header(name) for name in (*ADDED, "original_sheet")}
_DAMAGED = "########"
"""Written for a password or user name that a spreadsheet changed; it is never accepted."""
_WRITTEN = (Outcome.FAILED, Outcome.NOT_SENT, Outcome.REJECTED)
_OTHER_ENDINGS = (".gz", ".zip", ".tsv", ".txt")
_OWNER_ALONE = 0o600


@dataclass(slots=True)
class _Count:
    """How many rows were written, and which were not."""

    file: Path | None = None
    written: int = 0
    unconfirmed: int = 0
    unreadable: list[Place] = field(default_factory=list)
    formulas: list[Place] = field(default_factory=list)
    """Rows of a CSV with a cell that a spreadsheet would run; a password may begin like one."""


def failed(stack: Stack, given: str, output: Path | None, *, as_json: bool) -> int:
    """Write the rows of an import that were not connected into a file of their own."""
    history = History(stack)
    imported = history.find(given)
    upload = imported.upload
    if imported.refusal:
        raise CommandError(
            f"{upload.name} was refused as a whole, so no row of it was sent: {imported.refusal}"
        )
    try:
        with history.reports.open(imported.id, OUTCOME_NAME) as report:
            count = _write(history, upload, report, output)
    except ReportMissingError:
        raise CommandError(_no_report(imported)) from None
    except UploadMissingError:
        raise CommandError(
            f"The upload {printable(upload.name)} has been deleted. Use your own copy of the file: "
            "outcome.csv lists the problems by row (email-accounts report "
            f"{short(imported.id)})."
        ) from None
    if as_json:
        print_json(
            {
                "importId": imported.id,
                "file": str(count.file or ""),
                "rows": count.written,
                "unconfirmed": count.unconfirmed,
                "unreadable": [place.row for place in count.unreadable],
                "formulas": [place.row for place in count.formulas],
            }
        )
    else:
        _print(count, upload.workspace)
    return ALL_WELL


def _print(count: _Count, workspace: str) -> None:
    if count.written:
        option = "" if workspace == DEFAULT_WORKSPACE else f"--workspace {workspace} "
        them = "it" if count.written == 1 else "them"
        echo(
            f"{counted(count.written, 'row')} in {count.file}, with passwords. Fix {them} as the "
            f"column fix says. Then: email-accounts drop {option}{shlex.quote(str(count.file))}"
        )
    else:
        echo("No rows to fix and drop again.")
    if count.unconfirmed:
        echo(
            f"{counted(count.unconfirmed, 'unconfirmed row')} not included: check them in "
            "Saleshandy first."
        )
    if count.unreadable:
        rows = _listed(count.unreadable)
        echo(f"Rows that cannot be read are not included: {rows}. Fix them in your own file.")
    if count.formulas:
        echo(
            "A spreadsheet would run cells of these rows as formulas: "
            f"{_listed(count.formulas)}. Fix them in a text editor."
        )


def _listed(places: list[Place]) -> str:
    return ", ".join(f"{place.sheet} {place.row:,}".strip() for place in places)


def _no_report(imported: Import) -> str:
    if imported.is_answered:
        return (
            f"There is no outcome.csv of {printable(imported.upload.name)}: it could not be "
            "written, or has been deleted. See what is known: email-accounts show "
            f"{short(imported.id)}"
        )
    return f"There is no result yet. Watch the import: email-accounts watch {short(imported.id)}"


def _write(history: History, upload: Upload, report: TextIO, output: Path | None) -> _Count:
    unmarked = (line.removeprefix("\ufeff") for line in report)
    outcomes = csv.DictReader(unmarked)
    mapped = understood(history.uploads.options(upload)).columns
    count = _Count()
    with history.uploads.open(upload) as stream:
        found = open_records(stream, partial(recognized, mapped=mapped))
        name = found.format.partition(" (")[0]
        target = output or Path(f"failed-{_stem(upload.name)}{ENDINGS[name]}")
        if target.suffix.lower() in {*ENDINGS.values()} - {ENDINGS[name]}:
            raise CommandError(
                f"The rows are written as they came, as {name}: name a file that ends with "
                f"{ENDINGS[name]}."
            )
        file = _created(target)
        try:
            with file, writing(file, name, found.delimiter) as write:
                _write_rows(found, mapped, outcomes, write, count)
            count.file = target if count.written else None
        finally:
            if not count.file:  # also when half written: it holds passwords
                target.unlink()
    return count


def _created(target: Path) -> IO[bytes]:
    """Create a file that only its owner can read: it holds passwords. It overwrites nothing."""
    try:
        number = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ALONE)
    except FileExistsError:
        raise CommandError(f"{target} exists: name another file with --output.") from None
    except OSError as error:
        raise CommandError(f"{target}: {error.strerror}. Name another file.") from None
    return open(number, "wb")  # noqa: PTH123  a descriptor


def _write_rows(
    found: Records,
    mapped: Mapping[str, str],
    outcomes: Iterator[dict[str, str]],
    write: Write,
    count: _Count,
) -> None:
    columns = _Columns(found.header, mapped)
    for record in found.records:
        if isinstance(record, NewHeader):
            columns = _Columns(record.header, mapped)
            continue
        number = number_of(record)
        place = found.place(number)
        outcome = next(outcomes, {"row": "", "outcome": ""})
        if outcome["row"] != str(place.row):
            raise ImporterError(f"row {number} of the upload is not in {OUTCOME_NAME}")
        if outcome["outcome"] == Outcome.UNCONFIRMED:
            count.unconfirmed += 1
        elif outcome["outcome"] in _WRITTEN:
            cells = columns.cells(record)
            if cells is None:
                count.unreadable.append(place)
                continue
            if found.format.startswith("CSV") and any(map(_is_formula, cells)):
                count.formulas.append(place)
            added = outcome["reason"], outcome.get("what to do", ""), outcome["row"]
            write(place.sheet, (*columns.names, *ADDED), (*cells, *added))
            count.written += 1


def _is_formula(cell: str) -> bool:
    return escape_formula(cell) != cell and bool(cell.strip("-"))  # a dash means blank


class _Columns:
    """The columns under one header that are written again."""

    def __init__(self, header: Sequence[str], mapped: Mapping[str, str]) -> None:
        self._kept = [at for at, name in enumerate(header) if normalize_header(name) not in _ADDED]
        self.names = [header[at] for at in self._kept]
        targets = find_columns(header, mapped=mapped).targets
        self._secret = {at for name in (*PASSWORDS, *USERS) for at in targets.get(name, ())}

    def cells(self, record: Record) -> list[str] | None:
        """Return the cells of a row; None if it has none."""
        cells = cells_of(record)
        if cells is None:
            return None
        damage = record.damage if isinstance(record, DamagedRow) else {}
        return [
            _DAMAGED
            if at in damage and at in self._secret
            else (cells[at] if at < len(cells) else "")
            for at in self._kept
        ]


def _stem(name: str) -> str:
    """Return a file's name without the endings of the formats that are read."""
    stem = Path(name)
    while stem.suffix.lower() in (*ENDINGS.values(), *_OTHER_ENDINGS):
        stem = stem.with_suffix("")
    return stem.name
