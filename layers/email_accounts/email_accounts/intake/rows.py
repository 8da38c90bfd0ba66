"""What each row is: its cells brought into the 15 fields, by the layout of its file."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from string import Template
from typing import NamedTuple, cast

from email_accounts.intake.layouts import ADDRESS, FULL_NAME, PASSWORD, Layout
from email_accounts.intake.seen_addresses import SeenAddresses
from email_accounts.intake.settings import (
    PROVIDER_OF_DOMAIN,
    SENDGRID_USER,
    SSL_PORTS,
    TLS_PORTS,
    domains_that_matter,
    settings_of,
)
from email_accounts.models.account import (
    ADDRESS_FIELD,
    FIELDS,
    LONGEST_PLAIN,
    LONGEST_TEXT,
    PLAIN_ADDRESS,
    RULES,
    SETTINGS,
    Account,
    Problem,
    account_of,
    problem_with,
    sendgrid_problems,
)
from email_accounts.parsing.records import DamagedRow, NewHeader, Record, Unreadable

_APP_PASSWORD = re.compile("[a-z]{16}")
_GROUPED_APP_PASSWORD = re.compile("[a-z]{4}(?:[ \xa0][a-z]{4}){3}")
_GOOGLE = frozenset({"gmail", "gsuite"})
_MICROSOFT = frozenset({"microsoft", "o365"})
_MEMO_SIZE = 4096
_LONGEST_REMEMBERED = 1000
_FIRST_ROWS = 3
_PERSONAL_COLUMNS = (
    "smtpEmailAddress",
    ADDRESS,
    "imapEmailAddress",
    "fromFirstName",
    "fromLastName",
    FULL_NAME,
    "smtpUserName",
    "imapUserName",
    "smtpPassword",
    PASSWORD,
    "imapPassword",
)
_PERSONAL_FIELDS = (
    "fromFirstName",
    "fromLastName",
    "smtpEmailAddress",
    "smtpUserName",
    "smtpPassword",
    "imapEmailAddress",
    "imapUserName",
    "imapPassword",
)
_PERSONAL_CHECKS = tuple((problem_with(field), RULES[field].holds) for field in _PERSONAL_FIELDS)
_NO_ADDRESS = problem_with(ADDRESS_FIELD)
_ORDER = tuple((*_PERSONAL_FIELDS, *SETTINGS).index(field) for field in FIELDS)

MICROSOFT_SIGN_IN = (
    "Microsoft 365 and Outlook mostly refuse passwords, for IMAP since 2022 and for SMTP from "
    "the end of 2026 on: connect these by signing in on Saleshandy's web page"
)
GOOGLE_SIGN_IN = (
    "Google refuses a password that is no app password (16 letters): make one in the account's "
    "security settings, with 2-Step Verification on"
)
ENCRYPTION_AND_PORT = (
    "encryption and port do not match, which looks like a server that does not answer: "
    "465 and 993 want ssl; 587, 143 and 2525 want tls"
)


class Accepted(NamedTuple):
    """A row that is an account, its address as it stands. A tuple, because rows are many."""

    row: int
    address: str
    cells: list[str]
    reader: "RowReader"

    def __repr__(self) -> str:
        """Name the row without its cells, of which two are passwords."""
        return f"Accepted(row={self.row}, address={self.address!r})"

    def account(self) -> Account:
        """Make the account of this row."""
        return account_of(self.reader.values(self.cells))

    @property
    def settings(self) -> tuple[str, ...]:
        """The values of SETTINGS, without an account being made."""
        return self.reader.settings_in(self.cells, self.address)


class Rejected(NamedTuple):
    """A row that is no account, with every reason why; its address where it has one."""

    row: int
    address: str
    problems: tuple[Problem, ...]


class Duplicate(NamedTuple):
    """A row with the address of an accepted one before it."""

    row: int
    address: str
    first_row: int


RowResult = Accepted | Rejected | Duplicate


@dataclass(frozen=True, slots=True)
class _Settings:
    """Normalised settings, what is wrong with them, and what is to be watched.

    `differs` are the domains of addresses for which the same settings become others.
    """

    values: tuple[str, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    google: bool
    differs: tuple[str, ...]

    @classmethod
    def of(cls, raw: Sequence[str], domain: str) -> "_Settings":
        """Normalise settings and ask the rules about them."""
        values = settings_of(raw, domain)
        problems = tuple(
            problem_with(field)
            for field, value in zip(SETTINGS, values, strict=True)
            if not RULES[field].holds(value)
        )
        provider, _, smtp_port, smtp_encryption, imap_host, imap_port, imap_encryption = values
        if provider == "sendgrid" and not imap_host:
            problems = sendgrid_problems(problems)
        warnings = []
        if provider in _MICROSOFT:
            warnings.append(MICROSOFT_SIGN_IN)
        if not (_match(smtp_port, smtp_encryption) and _match(imap_port, imap_encryption)):
            warnings.append(ENCRYPTION_AND_PORT)
        google = provider in _GOOGLE
        differs = domains_that_matter(raw)
        return cls(values, problems, tuple(warnings), google, differs)


def _match(port: str, encryption: str) -> bool:
    return port not in (TLS_PORTS if encryption == "ssl" else SSL_PORTS)


class Warnings:
    """What will probably fail though it is valid: how often, and in which rows first."""

    def __init__(self) -> None:
        """Begin without any."""
        self._rows: dict[str, int] = {}
        self._first: dict[str, list[int]] = {}

    def add(self, warning: str, row: int) -> None:
        """Count a warning about a row."""
        rows = self._rows[warning] = self._rows.get(warning, 0) + 1
        if rows <= _FIRST_ROWS:
            self._first.setdefault(warning, []).append(row)

    def texts(self) -> list[str]:
        """Return a line per warning, the most frequent first."""
        most_first = sorted(self._rows.items(), key=itemgetter(1), reverse=True)
        return [self._text(warning, rows) for warning, rows in most_first]

    def _text(self, warning: str, rows: int) -> str:
        first = self._first[warning]
        more = f" and {rows - len(first):,} more" if rows > len(first) else ""
        return f"row{'s' if rows > 1 else ''} {', '.join(map(str, first))}{more}: {warning}"


class RowReader:
    """Reads the rows of one layout.

    Rules are asked about settings when they are first seen. Most rows are plain besides: their
    address is of the simplest form, and their texts, looked at together, hold what the rules
    want of each. `examine` accepts these at a glance; it accepts nothing `judge` would not.
    """

    def __init__(self, layout: Layout, seen: SeenAddresses, warnings: Warnings) -> None:
        """Prepare for a layout; `seen` and `warnings` are those of the file and are added to."""
        columns, width = layout.columns, layout.width
        self._blanks = [""] * (width + 1)
        self._shared = itemgetter(*(columns.get(name, width) for name in SETTINGS))
        self._personal = itemgetter(*(columns.get(name, width) for name in _PERSONAL_COLUMNS))
        self._seen = seen
        self._warnings = warnings
        self._by_domain: dict[tuple[tuple[str, ...], str], _Settings] = {}
        self._layout = layout
        self.next_header: tuple[str, ...] = ()

    def examine(self, records: Iterator[Record], *, compiled: bool) -> Iterator[RowResult]:
        """Yield what each row is, up to another header, which is then `next_header`.

        Compiling pays from some hundred rows on.
        """
        self.next_header = ()
        if compiled:
            return _compiled(self._layout, self, self._seen)(records)
        return self._judged(records)

    def _judged(self, records: Iterator[Record]) -> Iterator[RowResult]:
        for record in records:
            if isinstance(record, NewHeader):
                self.next_header = record.header
                return
            yield self.judge(record)

    def judge(self, record: tuple[int, list[str]] | Unreadable | DamagedRow) -> RowResult:
        """Ask the rules about a row, one by one."""
        if isinstance(record, Unreadable):
            return Rejected(record.number, "", (_unreadable(record.reason),))
        if isinstance(record, DamagedRow):
            record = record.number, record.cells
        number, cells = record
        settings, personal = self._read(cells)
        problems = settings.problems
        found = [
            problem
            for (problem, holds), value in zip(_PERSONAL_CHECKS, personal, strict=True)
            if not holds(value)
        ]
        if found:
            problems = tuple(sorted((*found, *problems), key=_place))
        # What is no address is not shown: where columns are shifted it may be a password.
        address = "" if _NO_ADDRESS in found else personal[2]
        first_row = self._seen.row_of(address.lower()) if address else 0
        if first_row:
            return Duplicate(number, address, first_row)
        if problems:
            return Rejected(number, address, problems)
        self._seen.add(address.lower(), number)
        self.warn(number, settings, personal[4])
        return Accepted(number, address, cells, self)

    def values(self, cells: list[str]) -> list[str]:
        """Return the row's values, normalised, in the order of FIELDS."""
        settings, personal = self._read(cells)
        both = (*personal, *settings.values)
        return [both[at] for at in _ORDER]

    def settings_in(self, cells: list[str], address: str) -> tuple[str, ...]:
        """Return the settings of a row with this address, normalised, in the order of SETTINGS."""
        whole = cells + self._blanks[len(cells) :]
        return self.settings(self._shared(whole), address).values

    def _read(self, cells: list[str]) -> tuple[_Settings, tuple[str, ...]]:
        """Return the settings, and the values of _PERSONAL_FIELDS."""
        stripped = [*map(str.strip, cells)]
        stripped += self._blanks[len(stripped) :]
        stripped[len(self._blanks) - 1 :] = [""]
        (
            smtp_address,
            address,
            imap_address,
            first,
            last,
            full_name,
            smtp_user,
            imap_user,
            smtp_password,
            password,
            imap_password,
        ) = self._personal(stripped)
        smtp_address = smtp_address or address or imap_address
        imap_address = imap_address or address or smtp_address
        if full_name and not first and not last:
            first, _, last = full_name.partition(" ")
        settings = self.settings(self._shared(stripped), smtp_address)
        sends_only = settings.values[0] == "sendgrid"
        imap_user = imap_user or (not sends_only and smtp_user) or imap_address
        smtp_user = smtp_user or (SENDGRID_USER if sends_only else smtp_address)
        smtp_password = smtp_password or password
        imap_password = imap_password or password or smtp_password
        if settings.google:
            smtp_password = _ungrouped(smtp_password)
            imap_password = _ungrouped(imap_password)
        return settings, (
            first,
            last.strip(),
            smtp_address,
            smtp_user,
            smtp_password,
            imap_address,
            imap_user,
            imap_password,
        )

    def settings(self, raw: tuple[str, ...], address: str) -> _Settings:
        """Return the settings made of raw ones, which the address's domain may complete."""
        domain = address[address.rfind("@") :].lower()
        key = (raw, domain if domain in PROVIDER_OF_DOMAIN else "")
        settings = self._by_domain.get(key)
        if settings is None:
            if len(self._by_domain) >= _MEMO_SIZE:
                self._by_domain.clear()
            settings = _Settings.of(raw, domain)
            if _is_worth_remembering(raw):
                self._by_domain[key] = settings
        return settings

    def warn(self, number: int, settings: _Settings, password: str) -> None:
        """Remember what will probably fail about a row."""
        for warning in settings.warnings:
            self._warnings.add(warning, number)
        if settings.google and not _APP_PASSWORD.fullmatch(_ungrouped(password.strip())):
            self._warnings.add(GOOGLE_SIGN_IN, number)


def _is_worth_remembering(raw: tuple[str, ...]) -> bool:
    """Say so of settings as they occur; a cell may also hold a megabyte of something else."""
    return sum(map(len, raw)) <= _LONGEST_REMEMBERED


def _place(problem: Problem) -> int:
    return FIELDS.index(problem.field)


def _ungrouped(password: str) -> str:
    """Join the four groups in which Google shows an app password."""
    if _GROUPED_APP_PASSWORD.fullmatch(password):
        return password.replace(" ", "").replace("\xa0", "")
    return password


def _unreadable(reason: str) -> Problem:
    return Problem("unreadable", "row_unreadable", reason, "Mend the row, or take it out.")


_EXAMINE = """
def examine(records):
    hashes, rows, mask, limit = seen.hashes, seen.rows, seen.mask, seen.limit
    for record in records:
        try:
            number, ($cells) = record
        except (TypeError, ValueError):  # another kind of record, or a row with cells missing
            if record.__class__ is NewHeader:
                reader.next_header = record.header
                return
            yield judge(record)
            hashes, rows, mask, limit = seen.hashes, seen.rows, seen.mask, seen.limit
            continue
        settings = known.get($key) or learn($key)
        if settings.differs and $address.endswith(settings.differs):
            settings = settings_of($key, $address)
        text = $text
        $more_texts
        if (
            settings.problems
            or not plain($address)
            or len($address) > LONGEST_PLAIN
            or not $password.strip()
            or len(text) > LONGEST_TEXT
            or not text.isprintable()
            $other_addresses
        ):
            yield judge(record)
            hashes, rows, mask, limit = seen.hashes, seen.rows, seen.mask, seen.limit
            continue
        if number > limit:
            seen.make_room(number)
            hashes, rows, mask, limit = seen.hashes, seen.rows, seen.mask, seen.limit
        hashed = hash($address) or 1
        place = hashed & mask
        while found := hashes[place]:
            if found == hashed:
                yield Duplicate(number, $address, rows[place])
                break
            place = (place + 1) & mask
        else:
            hashes[place] = hashed
            rows[place] = number
            if settings.warnings or settings.google and not app_password($password):
                warn(number, settings, $password)
            yield new(Accepted, (number, $address, record[1], reader))
"""


def _compiled(
    layout: Layout, reader: RowReader, seen: SeenAddresses
) -> Callable[[Iterator[Record]], Iterator[RowResult]]:
    """Make `examine(records)` for a layout.

    It is unrolled for the layout and holds the look-up of seen addresses in full, because it
    runs for each row: calls and loops over columns took longer than all that they did.
    """
    at = {target: f"c{position}" for target, position in layout.columns.items()}

    def columns(*targets: str) -> list[str]:
        return [at[target] for target in targets if target in at]

    address, *addresses = columns(*_PERSONAL_COLUMNS[:3]) or ["''"]
    password, *passwords = columns("smtpPassword", PASSWORD) or ["''"]
    passwords += columns("imapPassword")
    users = columns("smtpUserName", "imapUserName")
    more = [f"if {one} != {password}: text += {one}" for one in passwords]
    more += [f"if {one} != {address}: text += {one}" for one in users]
    fits = "or not ({0} in ({1}, '') or plain({0}) and len({0}) <= LONGEST_PLAIN)"
    others = [fits.format(one, address) for one in addresses]
    known: dict[tuple[str, ...], _Settings] = {}

    def learn(raw: tuple[str, ...]) -> _Settings:
        settings = _Settings.of(raw, "")
        if len(known) >= _MEMO_SIZE:
            known.clear()
        if _is_worth_remembering(raw):
            known[raw] = settings
        return settings

    source = Template(_EXAMINE).substitute(
        cells="".join(f"c{position}, " for position in range(layout.width)),
        key=f"({', '.join(at.get(field, repr('')) for field in SETTINGS)})",
        address=address,
        password=password,
        text=" + ".join([*columns("fromFirstName", "fromLastName", FULL_NAME), password]),
        more_texts="\n        ".join(more),
        other_addresses="\n            ".join(others),
    )
    names = {
        "Accepted": Accepted,
        "app_password": _APP_PASSWORD.fullmatch,
        "Duplicate": Duplicate,
        "LONGEST_PLAIN": LONGEST_PLAIN,
        "LONGEST_TEXT": LONGEST_TEXT,
        "NewHeader": NewHeader,
        "judge": reader.judge,
        "known": known,
        "learn": learn,
        "new": tuple.__new__,
        "plain": PLAIN_ADDRESS.fullmatch,
        "reader": reader,
        "seen": seen,
        "settings_of": reader.settings,
        "warn": reader.warn,
    }
    exec(source, names)  # noqa: S102  made of this file's text and column numbers
    # Left in its own globals it would hold the table of addresses until a full garbage collection.
    return cast("Callable[[Iterator[Record]], Iterator[RowResult]]", names.pop("examine"))
