"""What became of each row."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from email_accounts.causes import DUPLICATE, UNCONFIRMED, Cause, cause_of, rejection
from email_accounts.ledger import Batch, BatchState
from email_accounts.reading import Accepted, Duplicate, Examined, Rejected
from email_accounts.reports import Verdict

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
    """One line of outcome.csv.

    `reason` is what was said about the row, `causes` what that means: none where all is well,
    several where several things are wrong with a rejected row. `provider` is the account's.
    """

    row: int
    address: str
    outcome: Outcome
    reason: str
    provider: str = ""
    causes: tuple[Cause, ...] = ()

    @property
    def what_to_do(self) -> str:
        """The cures of its causes, or none."""
        return " ".join(dict.fromkeys(cause.cure for cause in self.causes))


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
            reason = "; ".join(f"{problem.field}: {problem.message}" for problem in row.problems)
            causes = tuple(map(rejection, row.problems))
            yield RowOutcome(row.row, row.address, Outcome.REJECTED, reason, causes=causes)
        elif isinstance(row, Duplicate):
            reason = f"the same address as in row {row.first_row}"
            yield RowOutcome(row.row, row.address, Outcome.DUPLICATE, reason, causes=(DUPLICATE,))
        else:
            if batch is None or row.row > batch.range.last_row:
                batch = next(batches)
                verdicts = verdicts_of(batch) if batch.report else {}
            yield _explained(_accepted(row, batch, verdicts, trouble), row.settings)


def _explained(found: RowOutcome, settings: tuple[str, ...]) -> RowOutcome:
    causes: tuple[Cause, ...] = ()
    if found.outcome is Outcome.FAILED:
        causes = (cause_of(found.reason, settings),)
    elif found.outcome is Outcome.UNCONFIRMED:
        causes = (UNCONFIRMED,)
    provider = settings[0]
    return RowOutcome(found.row, found.address, found.outcome, found.reason, provider, causes)


def _accepted(
    row: Accepted, batch: Batch, verdicts: dict[str, Verdict], trouble: str
) -> RowOutcome:
    match batch.state:
        case BatchState.COMPLETED:
            verdict = verdicts.get(row.address.lower())
            if verdict is None or verdict.connected:
                return RowOutcome(row.row, row.address, Outcome.CONNECTED, "")
            known = _ALREADY_CONNECTED.search(verdict.reason)
            outcome = Outcome.ALREADY_CONNECTED if known else Outcome.FAILED
            return RowOutcome(row.row, row.address, outcome, verdict.reason)
        case BatchState.REFUSED:
            reason = f"the service refused the request: {batch.reason}"
            return RowOutcome(row.row, row.address, Outcome.FAILED, reason)
        case BatchState.PLANNED:
            return RowOutcome(row.row, row.address, Outcome.FAILED, f"not sent: {trouble}")
        case BatchState.UNCONFIRMED:
            return RowOutcome(row.row, row.address, Outcome.UNCONFIRMED, batch.reason)
        case _:
            return RowOutcome(row.row, row.address, Outcome.UNCONFIRMED, trouble)
