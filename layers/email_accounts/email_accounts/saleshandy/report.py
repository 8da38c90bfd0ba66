"""Saleshandy's report on a batch: a CSV of unknown layout that may contain passwords.

Its layout is not published, so it is read by its content: any encoding, any of
four delimiters, titles above its columns, totals below, names of columns or none.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain
from typing import TextIO

from email_accounts.errors import FileRefusedError, ReportUnavailableError
from email_accounts.models.account import is_address
from email_accounts.parsing.encoding import Text, lines_in, whole_lines
from email_accounts.text.headers import normalize_header
from email_accounts.text.secret import HIDDEN, Redactor
from email_accounts.text.spreadsheet import escape_formula, unescape_formula

_SECRET_HEADER = re.compile("pass|pwd|secret|token|credential|apikey|kennwort|contrase|motdepasse")
_ADDRESS_HEADERS = (
    *("email", "emailaddress", "smtpemailaddress", "fromemail", "imapemailaddress"),
    *("emailaccount", "mailbox", "address", "account"),
)
"""The likeliest first."""

_REASON_HEADER = re.compile(
    "reason|error|message|fault|detail|remark|comment|description|fehler|grund|erreur|motiv|mensaje"
)
_ERROR_HEADER = re.compile("reason|error|fault|fehler|grund|erreur|motiv")
"""Of the columns of reasons those that are filled where something failed."""
_STATUS_HEADER = re.compile("status|result|state|outcome|connected|success|(?:smtp|imap)ok")
_SERVER_HEADER = re.compile("(?:smtp|imap)(?:connection|check|test|login|signin|auth)?")
_OTHER_STATUS_HEADER = re.compile(
    "warm|plan|billing|subscription|campaign|sequence|sending|verification|tracking|client|user"
)
"""Statuses of something else than the connection."""
_IS_SETTING = re.compile(r"[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}(?::\d+)?|\d{2,5}|ssl|tls", re.IGNORECASE)
"""A host, a port, an encryption: what else a column named after a server may contain."""
_FAILURE_WORDS = re.compile(
    r"\b[45]\d\d\b|fail|refus|denied|invalid|error|time[d -]*out|\bnot\b|n't\b|unable|cannot"
    r"|disabled|wrong|incorrect|reject|already exists|unsuccessful",
    re.IGNORECASE,
)
_SUCCESS_WORDS = re.compile(r"\b(?:connected|succe\w+|ok|fine|good|done)\b", re.IGNORECASE)
_GOOD_STATUSES = frozenset(
    {"connected", "success", "successful", "succeeded", "ok", "true", "active", "1", "yes", "done"}
)
_STATUS_WORDS = frozenset(
    {"connected", "success", "successful", "succeeded", "ok"}
    | {"failed", "failure", "error", "disconnected", "not connected", "unsuccessful"}
)
"""Values that mark a status column if its name is unclear: no numbers, no yes or no."""

_NOTHING = frozenset({"", "-", "n/a", "na", "none", "null", "nil", "undefined", HIDDEN})
_TOTALS = re.compile(r"(?:total|sum|summary|count|end of|generated)\b", re.IGNORECASE)
_ADDRESS_AT_THE_END = re.compile(r"(?:.*<)?\s*(?:mailto:)?([^\s<>]+@[^\s<>]+?)\s*>?", re.DOTALL)
_NAMED_DELIMITER = re.compile(r"sep=(.)")
_DELIMITERS = ",;\t|"
_HEAD = 1 << 12
_LINES_ABOVE = 20
_LINES_OF_ONE = 8
_LONGEST_LINE = 1 << 20
_LONGEST_NAME = 600
_LONGEST_REASON = 500
_NO_REASON = "Saleshandy gave no reason"


def report_name(batch_number: int) -> str:
    """Name the cleaned copy of the report on a batch."""
    return f"remote/batch-{batch_number:06d}.csv"


def copy_without_secrets(
    chunks: Iterable[bytes], copy: TextIO, addresses: set[str], redactor: Redactor
) -> None:
    """Copy a report as it streams in, without its password columns and values.

    `addresses` are those of the batch, in lower case. They are never redacted, though a
    password may be part of one, because a verdict must find its row.

    What is kept is one line of names, then one line for each that is about an account, parted by
    commas, whatever the layout was.

    Raises:
        ReportUnavailableError: this is not a readable CSV about these accounts. A report that
            is not understood must not pass for one that names no failures.
    """
    table = _Table(chunks, addresses)
    if table.is_headless and any(map(redactor.may_be_parted_by, (table.delimiter, '"', "\n"))):
        raise ReportUnavailableError("it does not name its columns")
    kept = [
        at
        for at, name in enumerate(table.header)
        if not _SECRET_HEADER.search(normalize_header(name))
    ]
    writer = csv.writer(copy, quoting=csv.QUOTE_ALL)
    writer.writerow(escape_formula(redactor.clean(table.header[at])) for at in kept)
    for record in table.records:
        cells = [record[at] if at < len(record) else "" for at in kept]
        writer.writerow(map(escape_formula, _cleaned(cells, table.delimiter, addresses, redactor)))


def _cleaned(
    cells: list[str], delimiter: str, addresses: set[str], redactor: Redactor
) -> list[str]:
    """Hide the cells with secrets, all of them where one is parted between cells.

    The addresses that cells are, or end with, stay.
    """
    is_simple = not redactor.has_short_ones and not any(map(_may_be_answer, cells))
    if is_simple and not redactor.finds_in(delimiter.join(cells)):
        return cells  # one test for all of them
    named = [_address_in(cell, addresses) for cell in cells]
    others = [
        _cleaned_cell(cell.rpartition(address)[0] if address else cell, redactor)
        for cell, address in zip(cells, named, strict=True)
    ]
    if redactor.finds_in(delimiter.join(others)):
        others = [HIDDEN] * len(cells)
    return [
        cell if address and other != HIDDEN else address or other
        for cell, address, other in zip(cells, named, others, strict=True)
    ]


def _address_in(cell: str, addresses: set[str]) -> str:
    """Return the address of an account of the batch that a cell is, or ends with."""
    found = _ADDRESS_AT_THE_END.fullmatch(cell.strip()) if len(cell) < _LONGEST_NAME else None
    return found[1] if found and found[1].lower() in addresses else ""


def _cleaned_cell(cell: str, redactor: Redactor) -> str:
    """Return a cell without secrets: in an answer, each value is free of them when decoded."""
    is_found = redactor.finds_in(cell)
    if not is_found and not _may_be_answer(cell):
        return cell
    try:
        answer = json.loads(cell)
    except (ValueError, RecursionError):
        return HIDDEN if is_found else cell
    cleaned = _cleaned_json(answer, redactor)
    return redactor.clean(json.dumps(cleaned)) if is_found or cleaned != answer else cell


def _may_be_answer(cell: str) -> bool:
    """Say whether a cell may hold an answer as the API gives it for one account."""
    return cell.lstrip().startswith("{")


def _cleaned_json(value: object, redactor: Redactor) -> object:
    if isinstance(value, dict):
        return {name: _cleaned_json(one, redactor) for name, one in value.items()}
    if isinstance(value, list):
        return [_cleaned_json(one, redactor) for one in value]
    return HIDDEN if redactor.finds_in(str(value)) else value


class _Table:
    """The lines of a report that are about accounts, and the names of their columns."""

    def __init__(self, chunks: Iterable[bytes], addresses: set[str]) -> None:
        """Read up to the first line about an account."""
        self._addresses = addresses
        self.delimiter, lines, self._end = _records(chunks, addresses)
        above: list[list[str]] = []
        first: list[str] = []
        for record in lines:
            if _addresses_in(record, None) & addresses:
                first = record
                break
            if not _is_total(record):
                above.append(record)
            if len(above) > _LINES_ABOVE:
                break
        named = [record for record in above if _names_columns(record, len(first))]
        self.is_headless = bool(first) and not named
        if not first and not (len(above) == 1 and _is_header(above[0])):
            raise ReportUnavailableError("it names no accounts")
        self.header = named[-1] if named else [f"column {at}" for at in range(1, len(first) + 1)]
        self._address_at = _address_column(self.header)
        below = above[above.index(self.header) + 1 :] if named else above
        others = (record for record in below if named or _addresses_in(record, None))
        self.records = self._checked(chain(others, [first], lines) if first else iter(()))

    def _checked(self, records: Iterator[list[str]]) -> Iterator[list[str]]:
        shortest, last = len(self.header), len(self.header)
        for record in records:
            shortest, last = min(shortest, last), len(record)
            if len(record) > len(self.header):
                raise ReportUnavailableError("a line of it has more cells than there are columns")
            if self.is_headless and len(record) < len(self.header):
                raise ReportUnavailableError("its lines differ in length, and it has no header row")
            if _addresses_in(record, self._address_at) & self._addresses:
                yield record
            elif record != self.header and not _is_total(record):
                raise ReportUnavailableError(
                    "a line of it names none of the accounts that were sent"
                )
        # Many writers leave the last line without an end; none leaves its last cells out, too.
        if last < shortest and not self._end.is_whole:
            raise ReportUnavailableError("it ends in the middle of a line")


def _is_header(record: Sequence[str]) -> bool:
    """Say whether a line alone can only be the names of columns of a report that is empty."""
    named_reasons = _columns(record, _REASON_HEADER) or _columns(record, _STATUS_HEADER)
    return _address_column(record) is not None and bool(named_reasons)


def _is_total(record: Sequence[str]) -> bool:
    return bool(_TOTALS.match(record[0].strip())) and _address_column(record) is None


def _names_columns(record: Sequence[str], width: int) -> bool:
    filled = [cell for cell in record if cell.strip()]
    if _addresses_in(record, None):
        return False
    return len(filled) > 1 or width <= 1 or _address_column(record) is not None


@dataclass(slots=True)
class _End:
    """Whether the last line that was read has an end."""

    is_whole: bool = True

    def watched(self, lines: Iterator[str]) -> Iterator[str]:
        """Pass lines on."""
        for line in lines:
            self.is_whole = line.endswith(("\n", "\r"))
            yield line


def _records(chunks: Iterable[bytes], addresses: set[str]) -> tuple[str, Iterator[list[str]], _End]:
    """Return what parts the cells of a report, its lines that are not blank, and their end."""
    end = _End()
    lines = end.watched(_lines(iter(chunks)))
    head: list[str] = []
    for line in lines:
        head.append(line)
        is_about_one = any(
            _addresses_in(_parted(line, delimiter), None) & addresses for delimiter in _DELIMITERS
        )
        if is_about_one or len(head) > _LINES_ABOVE:
            break
    delimiter = _delimiter(head, addresses)
    if head and _NAMED_DELIMITER.fullmatch(head[0].strip(' "\r\n')):
        del head[0]
    return delimiter, _cells(chain(head, lines), delimiter), end


def _delimiter(head: Sequence[str], addresses: set[str]) -> str:
    """Return what parts an address from the rest of the last line, best as the names above it."""
    if not head:
        return ","
    named = _NAMED_DELIMITER.fullmatch(head[0].strip(' "\r\n'))
    if named and named[1] in _DELIMITERS:
        return named[1]

    def merit(delimiter: str) -> tuple[bool, bool, int, int]:
        *above, last = (_parted(line, delimiter) for line in head)
        is_about_one = bool(_addresses_in(last, None) & addresses)
        widths = [*map(len, above), 0]
        is_even = len(last) > 1 and len(last) in widths
        return is_about_one and is_even, is_about_one, len(last), max(widths)

    return max(_DELIMITERS, key=merit)


def _parted(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _cells(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    try:
        for record in csv.reader(lines, delimiter=delimiter, strict=True):
            if any(map(str.strip, record)):
                yield record
    except csv.Error:
        raise ReportUnavailableError("it is not a readable CSV") from None


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Yield lines with their ends, as csv.reader wants them, from chunks of any size."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _HEAD:
            break
    try:
        for lines in whole_lines(_pieces(Text(head, chunks))):
            yield from lines_in(lines)
    except FileRefusedError:
        raise ReportUnavailableError("it is not text") from None


def _pieces(text: Text) -> Iterator[str]:
    waiting = 0
    for piece in text.chunks():
        waiting = 0 if "\n" in piece or "\r" in piece else waiting + len(piece)
        if text.damaged or waiting > _LONGEST_LINE:
            raise ReportUnavailableError("it is damaged, or a line does not end")
        yield piece


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a report says of one address."""

    connected: bool
    reason: str


def verdicts(report: TextIO) -> dict[str, Verdict]:
    """Read a cleaned report: what it says of each address, in lower case.

    The columns are unknown: the address is found by likely headers, then by content; the
    reason by likely headers, else in the last cell that is filled. A row is a failure unless
    a status, or all that is said of it, says otherwise.
    """
    records = ([unescape_formula(cell) for cell in record] for record in csv.reader(report))
    header = next(records, [])
    address_at = _address_column(header)
    lines: dict[str, list[list[str]]] = {}
    for record in records:
        for address in _addresses_in(record, address_at):
            of_one = lines.setdefault(address, [])
            if len(of_one) < _LINES_OF_ONE:
                of_one.append(record)
    reasons_at = _columns(header, _REASON_HEADER)
    errors_at = _columns(header, _ERROR_HEADER)
    servers_at = [
        at for at, name in enumerate(header) if _SERVER_HEADER.fullmatch(normalize_header(name))
    ]
    other_statuses_at = _columns(header, _OTHER_STATUS_HEADER)
    statuses_at = [
        at for at in _columns(header, _STATUS_HEADER) if at not in (*other_statuses_at, *errors_at)
    ]
    if not (statuses_at or servers_at):
        every = [record for of_one in lines.values() for record in of_one]
        statuses_at = [at for at in range(len(header)) if _are_statuses(every, at)]
        reasons_at = [at for at in reasons_at if at not in statuses_at]
    return {
        address: _worst(
            [_verdict(record, statuses_at, servers_at, reasons_at, errors_at) for record in of_one]
        )
        for address, of_one in lines.items()
    }


def _verdict(
    record: Sequence[str],
    statuses_at: Sequence[int],
    servers_at: Sequence[int],
    reasons_at: Sequence[int],
    errors_at: Sequence[int],
) -> Verdict:
    """Read one line: whatever in it is a failure makes it one, whatever else it says."""
    servers = [cell for cell in _filled(record, servers_at) if not _IS_SETTING.fullmatch(cell)]
    statuses = _filled(record, statuses_at) + servers
    reasons = _filled(record, reasons_at, nothing=_NOTHING - {HIDDEN})
    bad = [status for status in statuses if status.lower() not in _GOOD_STATUSES]
    said = "; ".join(reasons or bad or statuses or [_last(record)])[:_LONGEST_REASON]
    if not statuses:
        return Verdict(said.lower() in _GOOD_STATUSES & _STATUS_WORDS, said or _NO_REASON)
    errors = _filled(record, errors_at, nothing=_NOTHING - {HIDDEN})
    failed = (
        bool(bad)
        or any(_FAILURE_WORDS.search(reason) for reason in reasons)
        or not all(_SUCCESS_WORDS.search(error) for error in errors)
    )
    return Verdict(not failed, said)


def _worst(found: Sequence[Verdict]) -> Verdict:
    """Of several lines on one address the first failure counts."""
    return next((verdict for verdict in found if not verdict.connected), found[0])


def _are_statuses(records: Sequence[Sequence[str]], column: int) -> bool:
    cells = {cell for record in records for cell in _filled(record, [column])}
    return bool(cells) and all(cell.lower() in _STATUS_WORDS for cell in cells)


def _address_column(header: Sequence[str]) -> int | None:
    names = [normalize_header(name) for name in header]
    return next((names.index(name) for name in _ADDRESS_HEADERS if name in names), None)


def _addresses_in(record: Sequence[str], column: int | None) -> set[str]:
    """Return the addresses a line is about: that in its column, else all there are."""
    likely = record[column : column + 1] if column is not None else []
    return set(_addresses(likely)) or set(_addresses(record))


def _addresses(cells: Iterable[str]) -> Iterator[str]:
    for cell in cells:
        found = _ADDRESS_AT_THE_END.fullmatch(cell.strip()) if len(cell) < _LONGEST_NAME else None
        if found and is_address(found[1].lower()):
            yield found[1].lower()


def _columns(header: Sequence[str], likely: re.Pattern[str]) -> list[int]:
    return [at for at, name in enumerate(header) if likely.search(normalize_header(name))]


def _filled(
    record: Sequence[str], columns: Sequence[int], nothing: AbstractSet[str] = _NOTHING
) -> list[str]:
    cells = (_said(record[at].strip()) for at in columns if at < len(record))
    return [cell for cell in cells if cell.lower() not in nothing]


def _said(cell: str) -> str:
    """Return what a cell says."""
    if not _may_be_answer(cell):
        return cell
    try:
        answer = json.loads(cell)
    except (ValueError, RecursionError):
        return cell
    said = (answer.get(name) for name in ("error", "message", "reason"))
    return next((text for text in said if isinstance(text, str)), cell)


def _last(record: Sequence[str]) -> str:
    cells = (_said(cell.strip()) for cell in reversed(record))
    return next((c for c in cells if c.lower() not in _NOTHING and not is_address(c)), "")
