"""What each row of a file is: an account, a rejected row or a duplicate."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

from email_accounts.intake.cells import PLAIN_PASSWORD
from email_accounts.intake.columns import Columns
from email_accounts.intake.seen_addresses import SeenAddresses
from email_accounts.intake.settings import SERVERS_FOUND_FOR, Settings
from email_accounts.intake.values import (
    ADDRESSES,
    APP_PASSWORD,
    GOOGLE_SIGN_IN,
    MEMO_SIZE,
    NAMES,
    PASSWORDS,
    USERS,
    ValueReader,
    is_worth_remembering,
)
from email_accounts.models.account import (
    LONGEST_PLAIN,
    LONGEST_TEXT,
    PLAIN_ADDRESS,
    SETTINGS,
    Account,
    Problem,
    RowWarning,
    WarningCode,
    account_of,
)
from email_accounts.parsing.records import DamagedRow, NewHeader, Record, Unreadable

_FIRST_ROWS = 3
_DOMAINS_NAMED = 8
_FIX_UNREADABLE = "Fix the row, or take it out."


class Accepted(NamedTuple):
    """A row that is an account, its address as it is sent. A tuple, because rows are many."""

    row: int
    address: str
    cells: list[str]
    reader: ValueReader
    warnings: tuple[RowWarning, ...] = ()

    def __repr__(self) -> str:
        """Name the row without its cells, of which two are passwords."""
        return f"Accepted(row={self.row}, address={self.address!r})"

    def account(self) -> Account:
        """Make the account of this row."""
        return account_of(self.reader.read(self.cells).values)

    @property
    def settings(self) -> tuple[str, ...]:
        """The values of SETTINGS, without an account being made."""
        return self.reader.settings(self.cells, self.address).values


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


@dataclass(slots=True)
class WarningCount:
    """A warning, how many rows it is about, and the first of them; 0 for the file as a whole.

    `first_places` is where people find the first rows.
    """

    code: WarningCode
    message: str
    rows: int = 0
    first_rows: list[int] = field(default_factory=list)
    first_places: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The warning as a person reads it, with its first rows."""
        if not self.rows:
            return self.message
        others = self.rows - len(self.first_rows)
        more = f" and {others:,} more" if others else ""
        named = ", ".join(self.first_places)
        return f"row{'s' if self.rows > 1 else ''} {named}{more}: {self.message}"


def shortened(names: Sequence[str], most: int, what: str) -> list[str]:
    """Return the first names, and how many more there are of what they name."""
    more = len(names) - most
    return [*names[:most], *([f"{more:,} more {what}"] if more > 0 else [])]


class Warnings:
    """Warnings about the rows of a file, counted."""

    def __init__(self) -> None:
        """Begin without any."""
        self._counts: dict[RowWarning, WarningCount] = {}

    def add(self, warning: RowWarning, row: int, place: str = "") -> None:
        """Count a warning about a row. Of ever new ones only the first are kept."""
        count = self._counts.get(warning)
        if count is None:
            if len(self._counts) >= MEMO_SIZE:
                return
            count = self._counts[warning] = WarningCount(warning.code, warning.message)
        count.rows += 1
        if count.rows <= _FIRST_ROWS:
            count.first_rows.append(row)
            count.first_places.append(place)

    def counts(self) -> list[WarningCount]:
        """Return each warning, the most frequent first; all servers found are one warning."""
        counts = [one for one in self._counts.values() if one.code != WarningCode.SERVERS_FOUND]
        if found := self._found():
            first = min(found, key=lambda one: one.first_rows)
            text = "; ".join(shortened(self.servers_found(), _DOMAINS_NAMED, "domains"))
            merged = WarningCount(WarningCode.SERVERS_FOUND, f"servers found by DNS: {text}")
            merged.rows = sum(one.rows for one in found)
            merged.first_rows, merged.first_places = [*first.first_rows], [*first.first_places]
            counts.append(merged)
        return sorted(counts, key=lambda count: -count.rows)

    def servers_found(self) -> list[str]:
        """Return what was found for each domain, and for how many rows; the most rows first."""
        return [
            f"{one.message.removeprefix(SERVERS_FOUND_FOR)}, "
            f"{one.rows:,} row{'s' if one.rows > 1 else ''}"
            for one in self._found()
        ]

    def _found(self) -> list[WarningCount]:
        found = (one for one in self._counts.values() if one.code == WarningCode.SERVERS_FOUND)
        return sorted(found, key=lambda one: -one.rows)


class RowReader:
    """Validates the rows under one header.

    Most rows are plain: their settings have been seen before, both sides have the same address
    and password, and these are of the simplest form. `rows` accepts these at a glance; it accepts
    nothing that `validate` would not.
    """

    def __init__(self, values: ValueReader, seen: SeenAddresses, warnings: Warnings) -> None:
        """Prepare for columns; `seen` and `warnings` are those of the file and are added to."""
        self._values = values
        self._seen = seen
        self._warnings = warnings
        self._known: dict[tuple[str, ...], Settings] = {}
        self.next_header: tuple[str, ...] = ()

    def rows(self, records: Iterator[Record]) -> Iterator[RowResult]:
        """Yield what each row is, up to another header, which is then `next_header`."""
        self.next_header = ()
        glance = _Glance.of(self._values.columns)
        return self._at_a_glance(records, glance) if glance else self._validated(records)

    def _validated(self, records: Iterator[Record]) -> Iterator[RowResult]:
        for record in records:
            if isinstance(record, NewHeader):
                self.next_header = record.header
                return
            yield self.validate(record)

    def _at_a_glance(  # noqa: C901  one loop, as it runs for each row
        self, records: Iterator[Record], glance: "_Glance"
    ) -> Iterator[RowResult]:
        width, known, seen, new = glance.width, self._known, self._seen, tuple.__new__
        address_at, users, passwords = glance.address, glance.users, glance.passwords
        password_at, settings_in, twins_in = glance.password, glance.settings, glance.twins
        names_in, plain = glance.names, PLAIN_ADDRESS.fullmatch
        plain_password = PLAIN_PASSWORD.fullmatch
        for record in records:
            if record.__class__ is not tuple:
                if isinstance(record, NewHeader):
                    self.next_header = record.header
                    return
                yield self.validate(record)
                continue
            number, cells = record
            if len(cells) != width:
                yield self.validate(record)
                continue
            address, password = cells[address_at], cells[password_at]
            key = settings_in(cells)
            settings = known.get(key) or self._learn(key, cells)
            if settings.domains and address.endswith(settings.domains):
                settings = self._values.settings(cells, address)
            names = "".join(names_in(cells))
            if (
                not plain_password(password)
                or not plain(address)
                or twins_in(cells) != (address,) * users + (password,) * passwords
                or len(address) > LONGEST_PLAIN
                or len(names) > LONGEST_TEXT
                or not names.isprintable()
                or "#" in names
            ):
                yield self.validate(record)
            elif settings.problems:
                before = seen.row_of(address)
                yield (
                    Duplicate(number, address, before)
                    if before
                    else Rejected(number, address, settings.problems)
                )
            elif before := seen.add(address, number):
                yield Duplicate(number, address, before)
            else:
                warnings = settings.warnings
                if settings.google and not APP_PASSWORD.fullmatch(password):
                    warnings = (*warnings, GOOGLE_SIGN_IN)
                for warning in warnings:
                    self._warnings.add(warning, number)
                yield new(Accepted, (number, address, cells, self._values, warnings))

    def _learn(self, key: tuple[str, ...], cells: list[str]) -> Settings:
        """Read settings as they are at any domain, and remember them for rows with these cells."""
        settings = self._values.settings(cells, "")
        if len(self._known) >= MEMO_SIZE:
            self._known.clear()
        if is_worth_remembering(key):
            self._known[key] = settings
        return settings

    def validate(self, record: tuple[int, list[str]] | DamagedRow | Unreadable) -> RowResult:
        """Ask all rules about a row."""
        if isinstance(record, Unreadable):
            problem = Problem("unreadable", "row_unreadable", record.reason, _FIX_UNREADABLE)
            return Rejected(record.number, "", (problem,))
        if isinstance(record, DamagedRow):
            number, cells = record.number, record.cells
            read = self._values.read(cells, record.damage)
        else:
            number, cells = record
            read = self._values.read(cells)
        address = read.address
        first_row = self._seen.row_of(address.lower()) if address else 0
        if first_row:
            return Duplicate(number, address, first_row)
        if read.problems:
            return Rejected(number, address, read.problems)
        self._seen.add(address.lower(), number)
        for warning in read.warnings:
            self._warnings.add(warning, number)
        return Accepted(number, address, cells, self._values, read.warnings)


@dataclass(frozen=True, slots=True)
class _Glance:
    """Where the cells are by which a plain row is known.

    `twins` are the addresses and user names, `users` many, then the `passwords`.
    """

    width: int
    address: int
    password: int
    settings: Callable[[list[str]], tuple[str, ...]]
    twins: Callable[[list[str]], tuple[str, ...]]
    names: Callable[[list[str]], tuple[str, ...]]
    users: int
    passwords: int

    @classmethod
    def of(cls, columns: Columns) -> "_Glance | None":
        """Return it, where one column is for each thing and nothing is unclear."""

        def at(names: Sequence[str]) -> list[int]:
            return [columns.targets[name][0] for name in names if name in columns.targets]

        addresses, passwords = at(ADDRESSES), at(PASSWORDS)
        is_single = all(len(positions) == 1 for positions in columns.targets.values())
        has_password = {*PASSWORDS[:2]} & {*columns.targets}
        if columns.unclear or not (is_single and addresses and has_password):
            return None
        users = [*addresses, *at(USERS)]
        return cls(
            columns.width,
            addresses[0],
            passwords[0],
            _cells_at(at(SETTINGS)),
            _cells_at([*users, *passwords]),
            _cells_at(at(NAMES)),
            len(users),
            len(passwords),
        )


def _cells_at(positions: Sequence[int]) -> Callable[[list[str]], tuple[str, ...]]:
    """Return what picks the cells at some positions, as a tuple."""
    if len(positions) > 1:
        return itemgetter(*positions)
    return lambda cells: tuple(cells[at] for at in positions)
