"""The rows of an import that were not connected, to be mended and dropped again."""

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import IO, TextIO

from email_accounts.delivery.deliverer import OUTCOME_NAME
from email_accounts.delivery.outcomes import Outcome
from email_accounts.errors import ImporterError, UploadMissingError
from email_accounts.intake.columns import recognized
from email_accounts.models.upload import Upload
from email_accounts.parsing.detect import open_records
from email_accounts.parsing.records import NewHeader
from email_accounts.parsing.source import open_source
from email_accounts.parsing.table import cells_of, number_of
from email_accounts.text.headers import normalize_header
from email_accounts_cli.history import History
from email_accounts_cli.stack import Stack
from email_accounts_cli.terminal import (
    ALL_WELL,
    CommandError,
    counted,
    echo,
    printable,
    short,
    tell_program,
)

PROBLEM = "problem"
"""The column that says what went wrong; it is ignored when the file is dropped again."""

_WRITTEN = (Outcome.FAILED, Outcome.NOT_SENT, Outcome.REJECTED)
_DELIMITERS = ("\t", ";", ",")
_SEPARATOR = re.compile('"?sep=', re.IGNORECASE)
_ENDINGS = (".gz", ".csv", ".tsv", ".txt", ".json", ".jsonl", ".xlsx")
_OWNER_ALONE = 0o600


@dataclass(slots=True)
class _Count:
    """What was written, and what could not be or should not be."""

    written: int = 0
    unconfirmed: int = 0
    unreadable: list[int] = field(default_factory=list)


def failed(stack: Stack, given: str, output: Path | None, *, as_json: bool) -> int:
    """Write the rows of an import that were not connected into a file of their own."""
    history = History(stack)
    imported = history.find(given)
    upload = imported.upload
    if imported.resumed and not imported.is_answered:  # what is there is the answer before
        raise CommandError(_no_answer(imported.id))
    target = output or Path(f"failed-{_stem(upload.name)}.csv")
    try:
        with history.reports.open(imported.id, OUTCOME_NAME) as report:
            count = _write(history, upload, report, target)
    except UploadMissingError:
        raise CommandError(_missing(history, imported.id, upload)) from None
    if not count.written:
        target.unlink(missing_ok=True)
    if as_json:
        tell_program(
            {
                "importId": imported.id,
                "file": str(target) if count.written else "",
                "rows": count.written,
                "unconfirmed": count.unconfirmed,
                "unreadable": count.unreadable,
            }
        )
    else:
        _tell(count, target)
    return ALL_WELL


def _tell(count: _Count, target: Path) -> None:
    if count.written:
        echo(
            f"{counted(count.written, 'row')} in {target}, passwords included. Mend them by what "
            f"the column {PROBLEM} says and drop the file: it imports only these."
        )
    else:
        echo("No row is there to be mended and dropped again.")
    if count.unconfirmed:
        echo(
            f"{counted(count.unconfirmed, 'row')} left out, because they are unconfirmed: look "
            "for them in Saleshandy first."
        )
    if count.unreadable:
        rows = ", ".join(f"{row:,}" for row in count.unreadable)
        echo(f"Left out, because they cannot be read: {rows}. Mend them in the file itself.")


def _missing(history: History, import_id: str, upload: Upload) -> str:
    if not history.summary(import_id):
        return _no_answer(import_id)
    return (
        f"The upload {printable(upload.name)} or its outcome.csv is deleted by now, so its rows "
        "cannot be read. Take them from your own copy: the problems are by their rows in "
        f"outcome.csv (email-accounts report {short(import_id)})."
    )


def _no_answer(import_id: str) -> str:
    return f"There is no answer yet: email-accounts watch {short(import_id)}"


def _write(history: History, upload: Upload, report: TextIO, target: Path) -> _Count:
    columns, delimiter = _columns(history, upload)
    count = _Count()
    unmarked = (line.removeprefix("\ufeff") for line in report)
    with _created(target) as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\r\n")
        writer.writerow([*columns, PROBLEM])
        for cells, problem in _rows(history, upload, columns, csv.DictReader(unmarked), count):
            writer.writerow([*cells, problem])
            count.written += 1
    return count


def _created(target: Path) -> IO[str]:
    """Make a file that only its owner can read: it holds passwords. It overwrites nothing."""
    try:
        number = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ALONE)
    except FileExistsError:
        raise CommandError(f"{target} exists: name another file with --output.") from None
    except OSError as error:
        raise CommandError(f"{target}: {error.strerror}. Name another file.") from None
    # The mark at its beginning tells spreadsheets the encoding.
    return open(number, "w", encoding="utf-8-sig", newline="")  # noqa: PTH123  a descriptor


def _columns(history: History, upload: Upload) -> tuple[list[str], str]:
    """Return the names of all columns of a file, and its delimiter: a comma if it has none."""
    with history.uploads.open(upload) as stream:
        start = open_source(stream).head
    with history.uploads.open(upload) as stream:
        found = open_records(stream, recognized)
        columns = list(found.header)
        if found.format.startswith("JSON"):  # each item may have keys of its own
            for record in found.records:
                if isinstance(record, NewHeader):
                    columns += [name for name in record.header if name not in columns]
        delimiter = ","
        if found.format.startswith("CSV"):
            text = start.decode(found.encoding.split(" ")[0], "replace").lstrip("\ufeff")
            delimiter = _delimiter(text, found.header)
    return [name for name in columns if normalize_header(name) != PROBLEM], delimiter


def _delimiter(text: str, header: Sequence[str]) -> str:
    """Return the delimiter by which the first row of a text is the header."""
    lines = StringIO(text, newline="").readlines()
    rows = [line for line in lines[1:] if line.strip()] if _SEPARATOR.match(text) else lines
    for delimiter in _DELIMITERS:
        reader = csv.reader(rows, delimiter=delimiter)
        if next(filter(any, reader), None) == list(header):
            return delimiter
    return ","


def _rows(
    history: History,
    upload: Upload,
    columns: Sequence[str],
    outcomes: Iterator[dict[str, str]],
    count: _Count,
) -> Iterator[tuple[list[str], str]]:
    """Yield the cells of the rows to be written, and what was wrong with each."""
    with history.uploads.open(upload) as stream:
        found = open_records(stream, recognized)
        places = _places(columns, found.header)
        for record in found.records:
            if isinstance(record, NewHeader):
                places = _places(columns, record.header)
                continue
            number, cells = number_of(record), cells_of(record)
            outcome = next(outcomes, {"row": "", "outcome": ""})
            if outcome["row"] != str(found.place(number).row):
                raise ImporterError(f"row {number} of the upload is not in {OUTCOME_NAME}")
            if outcome["outcome"] == Outcome.UNCONFIRMED:
                count.unconfirmed += 1
            elif outcome["outcome"] in _WRITTEN:
                if cells is None:
                    count.unreadable.append(number)
                    continue
                yield (
                    [cells[at] if at is not None and at < len(cells) else "" for at in places],
                    outcome["reason"],
                )


def _places(columns: Sequence[str], header: Sequence[str]) -> list[int | None]:
    """Return where the cell of each column stands; of a name that is there twice, each place."""
    left: dict[str, list[int]] = {}
    for at, name in enumerate(header):
        left.setdefault(name, []).append(at)
    return [left[name].pop(0) if left.get(name) else None for name in columns]


def _stem(name: str) -> str:
    """Return a file's name without the endings of the formats that are read."""
    stem = Path(name)
    while stem.suffix.lower() in _ENDINGS:
        stem = stem.with_suffix("")
    return stem.name
