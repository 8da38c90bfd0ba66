"""Validate a file on this computer with the code that validates an upload."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import BinaryIO

from email_accounts.errors import FileRefusedError
from email_accounts.intake.accounts_file import AccountsFile, open_accounts_file
from email_accounts.intake.batches import plan
from email_accounts.intake.options import understood
from email_accounts.intake.rows import Accepted, Duplicate, Rejected, RowResult
from email_accounts.intake.server_lookup import ServerLookup
from email_accounts.intake.servers import WantedDomains
from email_accounts.models.account import FIELDS, Account, Server, WarningCode, secrets_of
from email_accounts.models.imports import Plan
from email_accounts.models.providers import OTHER, ServerPreset
from email_accounts.models.servers import Found, FoundServers, NotFound, ServersOf
from email_accounts.models.upload import NO_OPTIONS, Pairs, UploadOptions, upload_options
from email_accounts.text.secret import Redactor
from email_accounts_cli.terminal import CommandError, progress

_BATCH_SIZE = 100
_COLUMNS_NAMED = 20
_LONGEST_NAME = 60
_SECONDS_WITHOUT_BAR = 1
_ROWS_BETWEEN_UPDATES = 1024
STDIN = "-"
"""The name for standard input."""

_ANY_SIDE = ServerPreset("mail.example", (("ssl", "465"),))
_FOUND_AT_IMPORT = FoundServers(OTHER, "found at the import", "DNS", _ANY_SIDE, _ANY_SIDE)

Sent = dict[str, str | int]
"""The 15 fields of an account as they would be sent, its passwords hidden."""


@dataclass(frozen=True, slots=True)
class Validation:
    """The result for a file, and its first accounts by row."""

    file: AccountsFile
    plan: Plan
    preview: dict[int, Sent]

    @property
    def is_clean(self) -> bool:
        """Whether every row would be sent."""
        return self.plan.accepted == self.plan.rows

    @property
    def warnings(self) -> list[str]:
        """Warnings about rows that are not rejected, and unused columns."""
        warnings = [one.text for one in self.file.warnings if one.code != WarningCode.SERVERS_FOUND]
        columns = [_cut(column) for column in self.file.unknown_columns]
        if not columns:
            return warnings
        more = f" and {len(columns) - _COLUMNS_NAMED} more" if columns[_COLUMNS_NAMED:] else ""
        unknown = f"columns that are not used: {', '.join(columns[:_COLUMNS_NAMED])}{more}"
        return [*warnings, unknown]


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"


def given_options(values: Pairs, columns: Pairs, *, resend: bool = False) -> UploadOptions:
    """Return the options for a file; CommandError if they are invalid."""
    try:
        options = upload_options(UploadOptions(values, columns, resend).metadata)
        understood(options)
    except FileRefusedError as error:
        raise CommandError(str(error)) from None
    return options


def validate(
    name: str,
    preview: int,
    collect: Callable[[Rejected | Duplicate], None],
    options: UploadOptions = NO_OPTIONS,
    servers_of: ServersOf | None = None,
) -> Validation:
    """Read a whole file; call `collect` with each row that would not be sent.

    It keeps only the first `preview` accounts. `servers_of` finds the servers of rows that have
    none.

    Raises:
        FileRefusedError: the file as a whole cannot be read, or not as accounts.
    """
    first: dict[int, Sent] = {}

    def watched(rows: Iterator[RowResult]) -> Iterator[RowResult]:
        for row in rows:
            if not isinstance(row, Accepted):
                collect(row)
            elif len(first) < preview:
                first[row.row] = _as_sent(row.account())
            yield row

    try:
        with _opened(name) as stream:
            file = open_accounts_file(stream, servers_of, options)
            with closing(_with_progress(file.rows, stream)) as rows:
                file.rows = watched(rows)
                planned = plan(file, _BATCH_SIZE)
    except OSError as error:
        raise FileRefusedError(
            f"{error.strerror}.", "Name a file of accounts that can be read."
        ) from None
    return Validation(file, planned, first)


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """Open a file; standard input is copied first, because workbooks are read in no order."""
    if name != STDIN:
        with Path(name).open("rb") as stream:
            yield stream
        return
    with tempfile.TemporaryFile() as copy:  # without a name: only this process can open it
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.seek(0)
        yield copy


class LocalLookup:
    """Finds the servers for one file, which is then read again."""

    def __init__(self) -> None:
        """Start without a lookup."""
        self._found: dict[str, Found] | None = None
        self._wanted = WantedDomains(lambda _: None)

    def __call__(self, domain: str) -> Found:
        """Return what was found for a domain; before the lookup, note the domain."""
        if self._found is None:
            return self._wanted(domain)
        return self._found.get(domain, NotFound.NOT_ASKED)

    def has_more(self) -> bool:
        """Look up the noted domains; return whether to read the file again."""
        if self._found is not None or not self._wanted.domains:
            return False
        self._found = ServerLookup()(self._wanted.domains)
        return True


def found_at_import(_: str) -> Found:
    """Assume that the import will find the servers, for a check without DNS."""
    return _FOUND_AT_IMPORT


def _as_sent(account: Account) -> Sent:
    """Return an account to show; a password in another field is hidden there, too."""
    redactor = Redactor(secrets_of([account]))
    servers = (
        getattr(side, one.name) for side in (account.smtp, account.imap) for one in fields(Server)
    )
    values = (account.provider, account.first_name, account.last_name, *servers)
    return {
        field: value if isinstance(value, int) else redactor.clean(str(value))
        for field, value in zip(FIELDS, values, strict=True)
    }


def _with_progress(rows: Iterator[RowResult], stream: BinaryIO) -> Generator[RowResult]:
    """Yield the rows; on a terminal, draw a bar when they take more than a moment."""
    if sys.stderr.isatty():
        start = time.monotonic()
        for count, row in enumerate(rows):
            yield row
            if (
                not count % _ROWS_BETWEEN_UPDATES
                and time.monotonic() > start + _SECONDS_WITHOUT_BAR
            ):
                yield from _with_bar(rows, stream)
    yield from rows


def _with_bar(rows: Iterator[RowResult], stream: BinaryIO) -> Generator[RowResult]:
    seekable = stream.seekable()
    size = os.fstat(stream.fileno()).st_size if seekable else None
    with progress("", size, in_bytes=True) as move:
        for count, row in enumerate(rows):
            if seekable and not count % _ROWS_BETWEEN_UPDATES:
                move(completed=stream.tell())
            yield row
