"""The counts of an import, for page, mail and JSON, in memory that does not grow with the file."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from email_accounts.delivery.outcomes import Evidence, Outcome, RowOutcome
from email_accounts.intake.rows import WarningCount, Warnings
from email_accounts.models.causes import DUPLICATE, UNKNOWN, Cause

ROWS_KEPT = 30
_DOMAINS_KEPT = 1000
_UNKNOWN_KEPT = 20
_EXAMPLES_KEPT = 5
_NEEDS_ATTENTION = frozenset(
    {Outcome.FAILED, Outcome.UNCONFIRMED, Outcome.NOT_SENT, Outcome.REJECTED}
)
_PERSONAL = re.compile(r"\S*@\S*|\d+")

Counts = Counter[Outcome]


@dataclass(slots=True)
class Group:
    """The rows with one outcome and one cause: how many, and the first of them.

    `reason` is that of the first row, quoted.
    """

    cause: Cause
    outcome: Outcome
    reason: str
    rows: int = 0
    first_rows: list[int] = field(default_factory=list)
    first_places: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Summary:
    """Counts of outcomes, in total and by provider, domain and cause; the first bad rows.

    `other_domains` counts the rows of all domains beyond the first thousand. A rejected row counts
    once for each of its problems. `held` counts the rejected rows whose sign-in failed. `notes`
    are warnings about the file as a whole.
    """

    outcomes: Counts = field(default_factory=Counter)
    held: int = 0
    providers: defaultdict[str, Counts] = field(default_factory=partial(defaultdict, Counter))
    domains: defaultdict[str, Counts] = field(default_factory=partial(defaultdict, Counter))
    other_domains: Counts = field(default_factory=Counter)
    rows: list[RowOutcome] = field(default_factory=list)
    notes: list[WarningCount] = field(default_factory=list)
    _warnings: Warnings = field(default_factory=Warnings)
    _groups: dict[tuple[str, ...], Group] = field(default_factory=dict)
    _unknown: int = 0

    def add(self, row: RowOutcome) -> None:
        """Count one row."""
        outcome = row.outcome
        self.outcomes[outcome] += 1
        self.held += outcome is Outcome.REJECTED and row.evidence is Evidence.SIGN_IN
        if row.provider:
            self.providers[row.provider][outcome] += 1
        if row.address:
            self._domain(row.address)[outcome] += 1
        for cause in row.causes:
            self._count_cause(cause, row)
        for warning in row.warnings:
            if not (warning.about_sign_in and outcome is Outcome.CONNECTED):
                self._warnings.add(warning, row.row, row.place)
        if outcome in _NEEDS_ATTENTION and len(self.rows) < ROWS_KEPT:
            self.rows.append(row)

    @property
    def needs_attention(self) -> int:
        """How many rows need attention."""
        return sum(self.outcomes[outcome] for outcome in _NEEDS_ATTENTION)

    @property
    def groups(self) -> list[Group]:
        """The causes of rows that need attention, the most frequent first."""
        found = (group for group in self._groups.values() if group.cause is not DUPLICATE)
        return sorted(found, key=lambda group: -group.rows)

    @property
    def duplicates(self) -> Group | None:
        """The rows that are duplicates; None if there are none."""
        return self._groups.get((Outcome.DUPLICATE, DUPLICATE.code, DUPLICATE.title))

    @property
    def warnings(self) -> list[WarningCount]:
        """The warnings about the file, then those about rows, the most frequent first."""
        return [*self.notes, *self._warnings.counts()]

    def of(self, *outcomes: Outcome) -> int:
        """Count the rows with one of these outcomes."""
        return sum(self.outcomes[outcome] for outcome in outcomes)

    def _domain(self, address: str) -> Counts:
        domain = address.rpartition("@")[2].lower()
        if domain in self.domains or len(self.domains) < _DOMAINS_KEPT:
            return self.domains[domain]
        return self.other_domains

    def _count_cause(self, cause: Cause, row: RowOutcome) -> None:
        key: tuple[str, ...] = (row.outcome, cause.code, cause.title)
        if cause is UNKNOWN:
            key = self._unknown_key(key, row.reason)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(cause, row.outcome, row.reason)
        group.rows += 1
        if len(group.first_rows) < _EXAMPLES_KEPT:
            group.first_rows.append(row.row)
            group.first_places.append(row.place)

    def _unknown_key(self, key: tuple[str, ...], reason: str) -> tuple[str, ...]:
        """Keep unknown reasons apart, but for addresses and numbers, while they are few."""
        own = (*key, _PERSONAL.sub("#", reason))
        if own in self._groups:
            return own
        if self._unknown == _UNKNOWN_KEPT:
            return key
        self._unknown += 1
        return own


def most_frequent(table: Mapping[str, Counts], many: int) -> Iterator[tuple[str, Counts]]:
    """Yield the names with most rows that need attention, then those with most rows."""

    def weight(item: tuple[str, Counts]) -> tuple[int, int]:
        bad = sum(item[1][outcome] for outcome in _NEEDS_ATTENTION)
        return -bad, -item[1].total()

    yield from sorted(table.items(), key=weight)[:many]
