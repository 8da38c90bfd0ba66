"""Telling a person or a program how the rows of files were judged.

Memory does not grow with a file: of what a person is told only the beginning is kept, and
what a program is told waits in a temporary file until the counts are known.
"""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from io import TextIOWrapper
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING

import click

from email_accounts.account import Problem
from email_accounts.batches import Plan
from email_accounts.errors import FileRefusedError
from email_accounts.reading import Duplicate, Rejected
from email_accounts_cli.judging import Judgement, judge

if TYPE_CHECKING:
    from rich.table import Table

_ALL_ACCEPTED, _SOME_NOT, _REFUSED = range(3)
_LARGEST_IN_MEMORY = 1 << 20
_PROBLEMS_SHOWN = 20
_DUPLICATES_SHOWN = 5
_BETWEEN = ", "
_WIDTH_OF_NO_TERMINAL = 240


def check_files(names: Sequence[str], preview: int, *, as_json: bool) -> int:
    """Check files one after the other; return the worst exit code.

    0: all rows are accepted, 1: some are not, 2: the file as a whole is refused.
    """
    check = _check_for_program if as_json else _check_for_person
    return max([_exit_code(check, name, preview) for name in names])


def _exit_code(check: Callable[[str, int], Judgement], name: str, preview: int) -> int:
    try:
        judgement = check(name, preview)
    except FileRefusedError as error:
        click.echo(f"{_printable(name)}: {error}", err=True)
        return _REFUSED
    return _ALL_ACCEPTED if judgement.is_clean else _SOME_NOT


def _printable(name: str) -> str:
    """Keep a file's name from steering the terminal."""
    return "".join(char if char.isprintable() else "?" for char in name)


# For programs: one document per file, whole or not at all.


def _check_for_program(name: str, preview: int) -> Judgement:
    with SpooledTemporaryFile(_LARGEST_IN_MEMORY, "w+", encoding="ascii") as problems:

        def tell(row: Rejected | Duplicate) -> None:
            for problem in row.problems if isinstance(row, Rejected) else ():
                problems.write(_BETWEEN + json.dumps(_document(row.row, problem)))

        judgement = judge(name, preview, tell)
        problems.seek(len(_BETWEEN))
        before = json.dumps(_summary(name, judgement)).removesuffix("}")
        after = json.dumps([*judgement.preview.values()])
        sys.stdout.write(f'{before}, "problems": [')
        copyfileobj(problems, sys.stdout)
        sys.stdout.write(f'], "preview": {after}}}\n')
        sys.stdout.flush()
    return judgement


def _document(row: int, problem: Problem) -> dict[str, str | int]:
    return {
        "row": row,
        "field": problem.field,
        "code": problem.code,
        "message": problem.message,
    }


def _summary(name: str, judgement: Judgement) -> dict[str, object]:
    return {
        "file": name,
        "format": judgement.file.format,
        "encoding": judgement.file.encoding,
        "layout": judgement.file.layout,
        "rows": judgement.plan.rows,
        "accepted": judgement.plan.accepted,
        "rejected": judgement.plan.rejected,
        "duplicates": judgement.plan.duplicates,
        "warnings": judgement.warnings,
    }


# For people.


class _Told:
    """The first problems and duplicates of a file, and how many there are."""

    def __init__(self) -> None:
        self.problems: list[tuple[int, Problem]] = []
        self.duplicates: list[Duplicate] = []
        self.problem_count = 0

    def tell(self, row: Rejected | Duplicate) -> None:
        if isinstance(row, Duplicate):
            if len(self.duplicates) < _DUPLICATES_SHOWN:
                self.duplicates.append(row)
            return
        room = max(_PROBLEMS_SHOWN - self.problem_count, 0)
        self.problems += [(row.row, problem) for problem in row.problems[:room]]
        self.problem_count += len(row.problems)


def _check_for_person(name: str, preview: int) -> Judgement:
    told = _Told()
    judgement = judge(name, preview, told.tell)
    _print(_printable(name), judgement, told)
    return judgement


def _print(name: str, judgement: Judgement, told: _Told) -> None:
    from rich.console import Console  # noqa: PLC0415  not for programs

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # columns have names that not every terminal has
    width = None if sys.stdout.isatty() else _WIDTH_OF_NO_TERMINAL
    console = Console(width=width, markup=False, highlight=False, emoji=False, soft_wrap=True)
    file = judgement.file
    known_as = f"layout {file.layout}" if file.layout else "columns known by their names"
    console.print(name, style="bold")
    console.print(", ".join(filter(None, (file.format, file.encoding, known_as))))
    for row, account in judgement.preview.items():
        console.print(f"\nRow {row:,} as it would be sent", style="bold")
        console.print(_table((), account.items()))
    if told.problems:
        rows = ((f"{row:,}", one.field, one.message, one.cure) for row, one in told.problems)
        console.print()
        console.print(_table(("Row", "Field", "What is wrong", "How to mend it"), rows))
    if more := told.problem_count - len(told.problems):
        console.print(f"and {more:,} more; --json lists them all")
    console.print()
    if told.duplicates:
        console.print(_repeats(told.duplicates, judgement.plan.duplicates))
    for warning in judgement.warnings:
        console.print(f"Warning: {warning}", style="yellow")
    console.print(_counts(judgement.plan), style="bold")
    console.print()


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> "Table":
    from rich.table import Table  # noqa: PLC0415  as above

    table = Table(*header, box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(header))
    for row in rows:
        table.add_row(*map(str, row))
    return table


def _repeats(first: Sequence[Duplicate], count: int) -> str:
    repeats = ", ".join(f"row {one.row:,} repeats row {one.first_row:,}" for one in first)
    more = f" and {count - len(first):,} more" if count > len(first) else ""
    return f"Sent once: {repeats}{more}"


def _counts(plan: Plan) -> str:
    return (
        f"{plan.rows:,} row{_s(plan.rows)}: {plan.accepted:,} accepted, "
        f"{plan.rejected:,} rejected, {plan.duplicates:,} duplicate{_s(plan.duplicates)}"
    )


def _s(count: int) -> str:
    return "" if count == 1 else "s"
