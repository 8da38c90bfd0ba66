"""Validate files and print the result.

Memory does not grow with the file: people get the first problems only, and problems for programs
wait in a temporary file until the counts are known.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile

from email_accounts.errors import FileRefusedError
from email_accounts.intake.accounts_file import AccountsFile
from email_accounts.intake.rows import Duplicate, Rejected, shortened
from email_accounts.models.account import Problem
from email_accounts.models.imports import Plan, ReasonCode
from email_accounts.models.upload import NO_OPTIONS, UploadOptions
from email_accounts_cli.terminal import (
    ALL_WELL,
    IMPOSSIBLE,
    NOT_ALL_WELL,
    console,
    counted,
    echo,
    print_json,
    printable,
    table,
)
from email_accounts_cli.validation import LocalLookup, Validation, validate

_LARGEST_IN_MEMORY = 1 << 20
_PROBLEMS_SHOWN = 20
_DUPLICATES_SHOWN = 5
_TABLE_WIDTH = 100
"""Columns that the table of problems needs; narrower terminals get lines."""
_DOMAINS_SHOWN = 20
_BETWEEN = ", "


def check_files(  # noqa: PLR0913  options of the command
    names: Sequence[str],
    preview: int,
    options: UploadOptions = NO_OPTIONS,
    *,
    offline: bool,
    as_json: bool,
    signs_in: bool = False,
    sample: int | None = None,
) -> int:
    """Check files one after the other; return the worst exit code.

    0: all rows are accepted, 1: some are not, 2: a file is refused. `signs_in` also signs in to
    the mailboxes, or to a `sample` of them: 1 if a sign-in fails.
    """
    check = _check_for_program if as_json else _check_for_person

    def exit_code(name: str) -> int:
        # A pipe cannot be read a second time.
        servers = LocalLookup() if Path(name).is_file() and not offline else None
        try:
            validation = check(name, preview, options, servers)
        except FileRefusedError as error:
            if as_json:
                print_json(_refused(name, error))
            else:
                echo(f"{printable(name)}: {error}", err=True)
            return IMPOSSIBLE
        all_well, accepted = validation.is_clean, validation.plan.accepted
        if signs_in and accepted:
            from email_accounts_cli.sign_in import try_sign_ins  # noqa: PLC0415  only on request

            all_well &= try_sign_ins(
                name, accepted, sample, servers, as_json=as_json, options=options
            )
        return ALL_WELL if all_well else NOT_ALL_WELL

    return max([exit_code(name) for name in names])


# For programs: one complete document per file.


def _refused(name: str, error: FileRefusedError) -> dict[str, object]:
    why = {"code": ReasonCode.FILE_REFUSED, "message": error.problem, "fix": error.fix}
    return {"file": name, "refused": why}


def _check_for_program(
    name: str, preview: int, options: UploadOptions, servers: LocalLookup | None
) -> Validation:
    with SpooledTemporaryFile(_LARGEST_IN_MEMORY, "w+", encoding="ascii") as problems:

        def collect(row: Rejected | Duplicate) -> None:
            for problem in row.problems if isinstance(row, Rejected) else ():
                problems.write(_BETWEEN + json.dumps(_document(row.row, problem)))

        validation = validate(name, preview, collect, options, servers)
        if servers and servers.has_more():
            problems.seek(0)
            problems.truncate()
            validation = validate(name, preview, collect, options, servers)
        problems.seek(len(_BETWEEN))
        before = json.dumps(_summary(name, validation)).removesuffix("}")
        after = json.dumps([*validation.preview.values()])
        sys.stdout.write(f'{before}, "problems": [')
        copyfileobj(problems, sys.stdout)
        sys.stdout.write(f'], "preview": {after}}}\n')
        sys.stdout.flush()
    return validation


def _document(row: int, problem: Problem) -> dict[str, str | int]:
    return {
        "row": row,
        "field": problem.field,
        "code": problem.code,
        "message": problem.message,
        "column": problem.column,
        "fix": problem.fix,
    }


def _summary(name: str, validation: Validation) -> dict[str, object]:
    return {
        "file": name,
        "format": validation.file.format,
        "encoding": validation.file.encoding,
        "layout": validation.file.layout,
        "rows": validation.plan.rows,
        "accepted": validation.plan.accepted,
        "rejected": validation.plan.rejected,
        "duplicates": validation.plan.duplicates,
        "warnings": validation.warnings,
        "warningDetails": [
            {
                "code": one.code,
                "message": one.message,
                "rows": one.rows,
                "firstRows": one.first_rows,
            }
            for one in validation.file.warnings
        ],
        "sheets": list(validation.file.sheets),
    }


# For people


class _Findings:
    """The first problems and duplicates of a file, and how many there are."""

    def __init__(self) -> None:
        self.problems: list[tuple[int, Problem]] = []
        self.duplicates: list[Duplicate] = []
        self.problem_count = 0

    def add(self, row: Rejected | Duplicate) -> None:
        if isinstance(row, Duplicate):
            if len(self.duplicates) < _DUPLICATES_SHOWN:
                self.duplicates.append(row)
            return
        room = max(_PROBLEMS_SHOWN - self.problem_count, 0)
        self.problems += [(row.row, problem) for problem in row.problems[:room]]
        self.problem_count += len(row.problems)


def _check_for_person(
    name: str, preview: int, options: UploadOptions, servers: LocalLookup | None
) -> Validation:
    found = _Findings()
    validation = validate(name, preview, found.add, options, servers)
    if servers and servers.has_more():
        found = _Findings()
        validation = validate(name, preview, found.add, options, servers)
    _print(printable(name), validation, found)
    return validation


def _print(name: str, validation: Validation, found: _Findings) -> None:
    screen = console()
    file = validation.file
    known_as = f"layout {file.layout}" if file.layout else "columns recognized by name"
    screen.print(name, style="bold")
    screen.print(", ".join(filter(None, (file.format, file.encoding, known_as))))
    for row, account in validation.preview.items():
        screen.print(f"\nRow {file.shown(row)} as it would be sent", style="bold")
        screen.print(table((), account.items()))
    if found.problems:
        rows = [
            (file.shown(row), _column(one), one.message, one.fix) for row, one in found.problems
        ]
        screen.print()
        if screen.width >= _TABLE_WIDTH:
            screen.print(table(("Row", "Column", "Problem", "How to fix it"), rows))
        else:
            for number, column, problem, fix in rows:
                echo(f"Row {number}, {column}: {problem}\n  {fix}")
    if more := found.problem_count - len(found.problems):
        screen.print(f"and {more:,} more; --json lists them all")
    screen.print()
    if found.duplicates:
        screen.print(_repeats(file, found.duplicates, validation.plan.duplicates))
    if servers := file.servers_found:
        screen.print(
            "\n  ".join(["Servers found:", *shortened(servers, _DOMAINS_SHOWN, "domains")])
        )
    for warning in validation.warnings:
        screen.print(f"Warning: {warning}", style="yellow")
    screen.print(counts(validation.plan), style="bold")
    screen.print()


def _column(problem: Problem) -> str:
    if problem.code == "row_unreadable":
        return "whole row"
    return problem.column or problem.field


def _repeats(file: AccountsFile, first: Sequence[Duplicate], count: int) -> str:
    repeats = ", ".join(
        f"row {file.shown(one.row)} repeats row {file.shown(one.first_row)}" for one in first
    )
    more = f" and {count - len(first):,} more" if count > len(first) else ""
    return f"Duplicates: {repeats}{more}"


def counts(plan: Plan) -> str:
    """Return `3 rows: 1 accepted, 1 rejected, 1 duplicate`."""
    return (
        f"{counted(plan.rows, 'row')}: {plan.accepted:,} accepted, {plan.rejected:,} rejected, "
        f"{counted(plan.duplicates, 'duplicate')}"
    )
