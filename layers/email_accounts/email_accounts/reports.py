"""The remote's report on a batch: a CSV of unknown columns that may hold passwords."""

import codecs
import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from email_accounts.account import is_address
from email_accounts.errors import ReportUnavailableError
from email_accounts.secret import HIDDEN, Redactor
from email_accounts.spreadsheet import no_formula, unmarked
from email_accounts.values import folded

_SECRET_HEADER = re.compile("pass|pwd|secret|token|credential|apikey")
_ADDRESS_HEADERS = frozenset(
    {
        "email",
        "emailaddress",
        "smtpemailaddress",
        "fromemail",
        "account",
        "emailaccount",
        "mailbox",
        "address",
        "imapemailaddress",
    }
)
_REASON_HEADER = re.compile("reason|error|message|fault|detail|remark|comment|description")
_STATUS_HEADER = re.compile("status|result|state|outcome|connected|success")
_GOOD_STATUSES = frozenset(
    {"connected", "success", "successful", "succeeded", "ok", "true", "active", "1", "yes", "done"}
)
_LONGEST_LINE = 1 << 20
_LONGEST_REASON = 500
_NO_REASON = "the service gave no reason"


def report_name(batch_number: int) -> str:
    """Name the cleaned copy of the report on a batch."""
    return f"remote/batch-{batch_number:06d}.csv"


def copy_without_secrets(
    chunks: Iterable[bytes], copy: TextIO, addresses: set[str], redactor: Redactor
) -> None:
    """Copy a report as it streams in, without its password columns and values.

    `addresses` are those of the batch, in lower case. They are never redacted, though a
    password may be part of one, because a verdict must find its row.

    Raises:
        ReportUnavailableError: this is not a readable CSV about these accounts. A report that
            is not understood must not pass for one that names no failures.
    """
    records = _records(chunks)
    header = next(records, [])
    if any(cell.strip().lower() in addresses for cell in header):
        raise ReportUnavailableError("its first line does not name columns")
    kept = [at for at, name in enumerate(header) if not _SECRET_HEADER.search(folded(name))]
    address_at = _address_column(header)
    writer = csv.writer(copy, lineterminator="\r\n")
    writer.writerow(no_formula(redactor.clean(header[at])) for at in kept)
    understood = address_at is not None
    for record in records:
        if not any(map(str.strip, record)):
            continue
        if len(record) > len(header):
            raise ReportUnavailableError("a line of it has more cells than there are columns")
        address = _address_in(record, address_at)
        if address not in addresses:
            raise ReportUnavailableError("a line of it names none of the accounts that were sent")
        understood = True
        cells = [record[at] if at < len(record) else "" for at in kept]
        writer.writerow(
            no_formula(cell if cell.strip().lower() in addresses else redactor.clean(cell))
            for cell in cells
        )
    if not understood:
        raise ReportUnavailableError("it names no accounts")


def _records(chunks: Iterable[bytes]) -> Iterator[list[str]]:
    try:
        yield from csv.reader(_lines(chunks), strict=True)
    except (csv.Error, UnicodeDecodeError):
        raise ReportUnavailableError("it is not a readable CSV") from None


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield lines with their ends, as csv.reader wants them, from chunks of any size."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    rest = ""
    for chunk in chunks:
        lines = (rest + decoder.decode(chunk)).split("\n")
        rest = lines.pop()
        yield from (line + "\n" for line in lines)
        if len(rest) > _LONGEST_LINE:
            raise ReportUnavailableError(f"it has a line of over {_LONGEST_LINE} characters")
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a report says of one address."""

    connected: bool
    reason: str


def verdicts(report: TextIO) -> dict[str, Verdict]:
    """Read a cleaned report: what it says of each address, in lower case.

    The columns are unknown: the address is looked for by likely headers, then by content; the
    reason by likely headers, else in the last cell that is filled. A row is a failure unless
    a status column says otherwise.
    """
    records = ([unmarked(cell) for cell in record] for record in csv.reader(report))
    header = next(records, [])
    address_at = _address_column(header)
    reasons_at = _columns(header, _REASON_HEADER)
    statuses_at = _columns(header, _STATUS_HEADER)
    found: dict[str, Verdict] = {}
    for record in records:
        statuses = _filled(record, statuses_at)
        connected = bool(statuses) and all(status.lower() in _GOOD_STATUSES for status in statuses)
        reasons = _filled(record, reasons_at) or statuses or [_last(record)]
        reason = "; ".join(reasons)[:_LONGEST_REASON] or _NO_REASON
        address = _address_in(record, address_at)
        if address not in found or found[address].connected:
            found[address] = Verdict(connected, reason)
    return found


def _address_column(header: Sequence[str]) -> int | None:
    names = [folded(name) for name in header]
    return next((at for at, name in enumerate(names) if name in _ADDRESS_HEADERS), None)


def _address_in(record: Sequence[str], column: int | None) -> str:
    """Return the address a line is about: in its column, else the first there is, else ''."""
    likely = record[column : column + 1] if column is not None else []
    cells = (cell.strip().lower() for cell in (*likely, *record))
    return next(filter(is_address, cells), "")


def _columns(header: Sequence[str], likely: re.Pattern[str]) -> list[int]:
    return [at for at, name in enumerate(header) if likely.search(folded(name))]


def _filled(record: Sequence[str], columns: Sequence[int]) -> list[str]:
    cells = (record[at].strip() for at in columns if at < len(record))
    return list(filter(None, cells))


def _last(record: Sequence[str]) -> str:
    cells = (cell.strip() for cell in reversed(record))
    return next((c for c in cells if c and c != HIDDEN and not is_address(c)), "")
