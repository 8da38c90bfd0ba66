"""What became of each row, and the counts of it."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from email_accounts.ledger import Batch, BatchState
from email_accounts.reading import Accepted, Duplicate, Examined, Rejected
from email_accounts.reports import Verdict

_REJECTIONS_KEPT = 5
_REASONS_KEPT = 1000
_ALREADY_CONNECTED = re.compile(r"already (?:exists|connected|added)", re.IGNORECASE)


class Outcome(StrEnum):
    """What can become of a row, in the order in which people want to know."""

    CONNECTED = "connected"
    ALREADY_CONNECTED = "already_connected"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """One line of outcome.csv; `fields` names those that got a row rejected."""

    row: int
    address: str
    outcome: Outcome
    reason: str
    fields: tuple[str, ...] = ()


@dataclass(slots=True)
class Tally:
    """Counts of outcomes and of the causes of failures, and the first rejected rows."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    reasons: Counter[tuple[Outcome, str]] = field(default_factory=Counter)
    rejections: list[RowOutcome] = field(default_factory=list)

    def add(self, row: RowOutcome) -> None:
        """Count one row."""
        self.outcomes[row.outcome] += 1
        if row.outcome in (Outcome.FAILED, Outcome.UNCONFIRMED):
            cause = (row.outcome, row.reason)
            if cause in self.reasons or len(self.reasons) < _REASONS_KEPT:
                self.reasons[cause] += 1
        elif row.outcome is Outcome.REJECTED and len(self.rejections) < _REJECTIONS_KEPT:
            self.rejections.append(row)


def outcomes(
    examined: Iterator[Examined],
    batches: Iterator[Batch],
    verdicts_of: Callable[[Batch], dict[str, Verdict]],
    trouble: str,
) -> Iterator[RowOutcome]:
    """Yield the outcome of each row in the order of the upload.

    `verdicts_of` reads the report on a batch. `trouble` says why the import ended early: it is
    the reason of the rows whose batch was not sent, or not completed by the remote.
    """
    batch: Batch | None = None
    verdicts: dict[str, Verdict] = {}
    for row in examined:
        if isinstance(row, Rejected):
            reason = " · ".join(
                f"{problem.field}: {problem.message}. {problem.cure}" for problem in row.problems
            )
            fields = tuple(dict.fromkeys(problem.field for problem in row.problems))
            yield RowOutcome(row.row, row.address, Outcome.REJECTED, reason, fields)
        elif isinstance(row, Duplicate):
            reason = f"the same address as in row {row.first_row}"
            yield RowOutcome(row.row, row.address, Outcome.DUPLICATE, reason)
        else:
            if batch is None or row.row > batch.range.last_row:
                batch = next(batches)
                verdicts = verdicts_of(batch) if batch.report else {}
            yield _accepted(row, batch, verdicts, trouble)


def outcome_of(verdict: Verdict | None) -> Outcome:
    """Say what became of an account that was sent, by what a report says of it, if anything."""
    if verdict is None or verdict.connected:
        return Outcome.CONNECTED
    known = _ALREADY_CONNECTED.search(verdict.reason)
    return Outcome.ALREADY_CONNECTED if known else Outcome.FAILED


def _accepted(
    row: Accepted, batch: Batch, verdicts: dict[str, Verdict], trouble: str
) -> RowOutcome:
    match batch.state:
        case BatchState.COMPLETED:
            verdict = verdicts.get(row.address.lower())
            outcome = outcome_of(verdict)
            reason = "" if verdict is None or verdict.connected else verdict.reason
            return RowOutcome(row.row, row.address, outcome, reason)
        case BatchState.REFUSED:
            reason = f"the service refused the request: {batch.reason}"
            return RowOutcome(row.row, row.address, Outcome.FAILED, reason)
        case BatchState.PLANNED:
            return RowOutcome(row.row, row.address, Outcome.FAILED, f"not sent: {trouble}")
        case BatchState.UNCONFIRMED:
            return RowOutcome(row.row, row.address, Outcome.UNCONFIRMED, batch.reason)
        case _:
            return RowOutcome(row.row, row.address, Outcome.UNCONFIRMED, trouble)
