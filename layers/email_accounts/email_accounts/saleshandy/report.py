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
from enum import Enum, auto
from itertools import chain
from typing import TextIO

from email_accounts.errors import FileRefusedError, ReportUnavailableError
from email_accounts.models.account import is_address
from email_accounts.models.causes import UNKNOWN, cause_of
from email_accounts.parsing.encoding import Text, lines_in, whole_lines
from email_accounts.text.display import visible
from email_accounts.text.headers import normalize_header
from email_accounts.text.secret import HIDDEN, Redactor
from email_accounts.text.spreadsheet import escape_formula, unescape_formula

_SECRET_HEADER = re.compile("pass|pwd|secret|token|credential|apikey|kennwort|contrase|motdepasse")
_ADDRESS_HEADERS = (
    *("email", "emailaddress", "smtpemailaddress", "fromemail", "imapemailaddress"),
    *("emailaccount", "mailbox", "address", "account"),
)
"""The likeliest first."""
_ADDRESS_HINT = re.compile("mail")
_SIGNS_IN_HEADER = re.compile("user|login|signin|owner|by$")
"""What may be the address of another account: that of a mailbox to which this one is an alias."""

_ERROR_HEADER = re.compile("reason|error|fault|fehler|grund|erreur|motiv")
_MESSAGE_HEADER = re.compile("message|detail|remark|comment|description|mensaje")
_FAILED_HEADER = re.compile("(?:dis|not|un)connected|failed")
_STATUS_HEADER = re.compile("status|result|state|outcome|connected|success|(?:smtp|imap)ok")
_SERVER_HEADER = re.compile(
    "(?:smtp|imap)(?:connection|check|test|login|signin|auth|response|reply|answer)?(?:code)?"
)
_OTHER_STATUS_HEADER = re.compile(
    "warm|plan|billing|subscription|campaign|sequence|sending|verification|tracking|client|user"
)
"""Statuses of something else than the connection."""
_IS_SETTING = re.compile(
    r"[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}(?::\d+)?|(?![45][0-5]\d$)\d{2,5}|ssl|tls"
    r"|\d{4}-\d\d-\d\d.*|\d\d?[./]\d\d?[./]\d{2,4}.*"
)
"""A host, a port, an encryption, a date: what else a column named after a server may contain."""
_FAILURE_WORDS = re.compile(
    r"\b[45][0-5]\d\b|fail|refus|denied|invalid|error|time[d -]*out|\bnot\b|n't\b|unable|cannot"
    r"|disabled|wrong|incorrect|reject|already exists|unsuccessful"
)
_NO_FAILURE = re.compile(r"\b(?:no|without|0) (?:errors?|failures?|problems?|issues?)\b")
_SUCCESS_WORDS = re.compile(r"\b(?:connected|succe\w+|ok|fine|good|done)\b")
_WORDS_OF_SUCCESS = frozenset(
    {"connected", "success", "successful", "successfully", "succeeded", "ok", "accepted"}
)
_WORDS_BESIDE = frozenset(
    {"account", "email", "e", "mail", "mailbox", "smtp", "imap", "login", "authentication"}
    | {"added", "verified", "authenticated", "has", "been", "is", "was", "now", "the", "and"}
)
_GOOD_CODE = re.compile(r"2\d\d")
_GOOD_STATUSES = frozenset({"true", "active", "1", "yes", "done"})
_STATUS_WORDS = frozenset(
    {"connected", "success", "successful", "succeeded", "ok"}
    | {"failed", "failure", "error", "disconnected", "not connected", "unsuccessful"}
)
"""Values that mark a status column if its name is unclear: no numbers, no yes or no."""

_EMPTY = frozenset({"", "-", "n/a", "na", "none", "null", "nil", "undefined"})
_NOTHING = _EMPTY | {HIDDEN}
_NO_ERROR = frozenset({"0", "false", "no"})
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
    commas, whatever the layout was. The first column has the addresses.

    Raises:
        ReportUnavailableError: this is not a readable CSV about these accounts. A report that
            is not understood must not pass for one that names no failures.
    """
    table = _Table(chunks, addresses)
    if table.is_headless and any(map(redactor.may_be_parted_by, (table.delimiter, '"', "\n"))):
        raise ReportUnavailableError("it does not name its columns")
    others = [
        at
        for at, name in enumerate(table.header)
        if at != table.address_at and not _SECRET_HEADER.search(normalize_header(name))
    ]
    kept = [table.address_at, *others]
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
            if _is_about_one(record, addresses):
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
        self.address_at = _column_of_addresses(self.header, first, addresses)
        below = above[above.index(self.header) + 1 :] if named else above
        others = (record for record in below if named or any(_addresses(record)))
        self.records = self._checked(chain(others, [first], lines) if first else iter(()))

    def _checked(self, records: Iterator[list[str]]) -> Iterator[list[str]]:
        shortest, last = len(self.header), len(self.header)
        for record in records:
            shortest, last = min(shortest, last), len(record)
            if len(record) > len(self.header):
                raise ReportUnavailableError("a line of it has more cells than there are columns")
            if self.is_headless and len(record) < len(self.header):
                raise ReportUnavailableError("its lines differ in length, and it has no header row")
            if _is_about_one(record[self.address_at : self.address_at + 1], self._addresses):
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
    is_said = any(_kind(normalize_header(name)) is not _Kind.OTHER for name in record)
    return _address_column(record) is not None and is_said


def _is_total(record: Sequence[str]) -> bool:
    return bool(_TOTALS.match(record[0].strip())) and _address_column(record) is None


def _names_columns(record: Sequence[str], width: int) -> bool:
    filled = [cell for cell in record if cell.strip()]
    if any(_addresses(record)):
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
            _is_about_one(_parted(line, delimiter), addresses) for delimiter in _DELIMITERS
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
        is_about_one = _is_about_one(last, addresses)
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

    The names of the columns say what each may be about. A row is a failure unless a status, or
    all that is said of it, says otherwise.
    """
    records = ([unescape_formula(cell) for cell in record] for record in csv.reader(report))
    header = next(records, [])
    lines: dict[str, list[list[str]]] = {}
    for record in records:
        of_one = lines.setdefault(next(_addresses(record), ""), [])
        if len(of_one) < _LINES_OF_ONE:
            of_one.append(record)
    kinds = [_Kind.OTHER, *(_kind(normalize_header(name)) for name in header[1:])]
    if not _STATUSES.intersection(kinds):
        every = [record for of_one in lines.values() for record in of_one]
        for at in range(1, len(header)):
            if _are_statuses(every, at):
                kinds[at] = _Kind.STATUS
    return {
        address: _worst([_verdict(record, kinds) for record in of_one])
        for address, of_one in lines.items()
    }


class _Kind(Enum):
    """What the cells of a column are about."""

    STATUS = auto()
    FAILED = auto()
    ERROR = auto()
    MESSAGE = auto()
    OTHER = auto()


_STATUSES = frozenset({_Kind.STATUS, _Kind.FAILED})


def _kind(name: str) -> _Kind:
    """Return what a column is about by its name."""
    if _ERROR_HEADER.search(name):
        return _Kind.ERROR
    if _MESSAGE_HEADER.search(name):
        return _Kind.MESSAGE
    if _FAILED_HEADER.search(name):
        return _Kind.FAILED
    is_status = _STATUS_HEADER.search(name) and not _OTHER_STATUS_HEADER.search(name)
    return _Kind.STATUS if is_status or _SERVER_HEADER.fullmatch(name) else _Kind.OTHER


def _verdict(record: Sequence[str], kinds: Sequence[_Kind]) -> Verdict:
    """Read one line: whatever in it is a failure makes it one, whatever else it says."""
    said = [(kind, _said(cell.strip())) for kind, cell in zip(kinds, record, strict=False)]
    read = [(kind, cell, _is_good(kind, cell)) for kind, cell in said if cell.lower() not in _EMPTY]
    statuses = [one for one in read if one[0] in _STATUSES and one[2] is not None]
    reasons = [cell for kind, cell, _ in read if kind in (_Kind.ERROR, _Kind.MESSAGE)]
    bad = [cell for _, cell, good in statuses if not good]
    quoted = reasons or bad or [cell for _, cell, _ in statuses] or [_last(record)]
    reason = "; ".join(quoted)[:_LONGEST_REASON]
    if any(good is False for _, _, good in read):
        return Verdict(connected=False, reason=reason)
    return Verdict(bool(statuses) or _is_success(reason.lower()), reason or _NO_REASON)


def _is_good(kind: _Kind, cell: str) -> bool | None:
    """Say whether a cell that is filled speaks of a success; None where it speaks of neither.

    What is hidden was about a password, as failures are.
    """
    text = cell.lower()
    if kind is _Kind.OTHER:
        return None
    if text == HIDDEN:
        return False
    if kind is _Kind.FAILED:
        return text in _NO_ERROR
    return _is_good_status(text) if kind is _Kind.STATUS else _is_good_reason(kind, text)


def _is_good_status(text: str) -> bool | None:
    if text in _GOOD_STATUSES or _is_success(text):
        return True
    return None if _IS_SETTING.fullmatch(text) or is_address(text) else False


def _is_good_reason(kind: _Kind, text: str) -> bool | None:
    text = _NO_FAILURE.sub("ok", text)
    if _FAILURE_WORDS.search(text):
        return False
    unclear = [part for part in text.split(";") if not _SUCCESS_WORDS.search(part)]
    if kind is _Kind.ERROR:
        return text in _NO_ERROR or not unclear
    return None if all(cause_of(part, ()) is UNKNOWN for part in unclear) else False


def _is_success(text: str) -> bool:
    """Say whether a text in lower case speaks of a success, and of nothing else."""
    words = set(re.findall(r"\w+", text))
    codes = {word for word in words if _GOOD_CODE.fullmatch(word)}
    rest = {word for word in words - codes if not (word.isdigit() and len(word) == 1)}
    return bool(codes or rest & _WORDS_OF_SUCCESS) and rest <= _WORDS_OF_SUCCESS | _WORDS_BESIDE


def _worst(found: Sequence[Verdict]) -> Verdict:
    """Of several lines on one address the first failure counts."""
    return next((verdict for verdict in found if not verdict.connected), found[0])


def _are_statuses(records: Sequence[Sequence[str]], column: int) -> bool:
    """Say whether each cell of a column that is filled, and not hidden, is a status."""
    cells = {_said(record[column].strip()).lower() for record in records if column < len(record)}
    cells -= _NOTHING
    return bool(cells) and cells <= _STATUS_WORDS


def _address_column(header: Sequence[str]) -> int | None:
    names = [normalize_header(name) for name in header]
    return next((names.index(name) for name in _ADDRESS_HEADERS if name in names), None)


def _column_of_addresses(
    header: Sequence[str], first: Sequence[str], addresses: AbstractSet[str]
) -> int:
    """Return the likeliest column of those with an address in the first line about an account."""

    def rank(at: int) -> int:
        name = normalize_header(header[at])
        if name in _ADDRESS_HEADERS:
            return _ADDRESS_HEADERS.index(name)
        if _SIGNS_IN_HEADER.search(name):
            return len(_ADDRESS_HEADERS) + 2
        return len(_ADDRESS_HEADERS) + (not _ADDRESS_HINT.search(name))

    named = [
        at for at in range(min(len(header), len(first))) if _is_about_one([first[at]], addresses)
    ]
    return min(named, key=rank, default=0)


def _is_about_one(cells: Iterable[str], addresses: AbstractSet[str]) -> bool:
    return not addresses.isdisjoint(_addresses(cells))


def _addresses(cells: Iterable[str]) -> Iterator[str]:
    for cell in cells:
        found = _ADDRESS_AT_THE_END.fullmatch(cell.strip()) if len(cell) < _LONGEST_NAME else None
        if found and is_address(found[1].lower()):
            yield found[1].lower()


def _said(cell: str) -> str:
    """Return what a cell says; what is decoded only now may hold anything."""
    if not _may_be_answer(cell):
        return cell
    try:
        answer = json.loads(cell)
    except (ValueError, RecursionError):
        return cell
    said = (answer.get(name) for name in ("error", "message", "reason"))
    return visible("; ".join(text for text in said if isinstance(text, str) and text)) or cell


def _last(record: Sequence[str]) -> str:
    cells = (_said(cell.strip()) for cell in reversed(record))
    return next((c for c in cells if c.lower() not in _NOTHING and not is_address(c)), "")
