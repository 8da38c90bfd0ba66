"""What became of each row."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from email_accounts.delivery.causes import (
    DUPLICATE,
    UNCONFIRMED,
    Cause,
    cause_of,
    rejection,
)
from email_accounts.intake.rows import Accepted, Duplicate, Rejected, RowResult
from email_accounts.models.imports import Batch, BatchState, ReasonCode
from email_accounts.saleshandy.reconciliation import AccountStatus
from email_accounts.saleshandy.report import Verdict

_NOT_WORKING = "the service has saved it, but it does not work there"
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
    reason_code: ReasonCode | None = None

    @property
    def what_to_do(self) -> str:
        """The cures of its causes, or none."""
        return " ".join(dict.fromkeys(cause.fix for cause in self.causes))


def outcomes(
    examined: Iterator[RowResult],
    batches: Iterator[Batch],
    verdicts_of: Callable[[Batch], dict[str, Verdict]],
    account_statuses_of: Callable[[Batch], dict[str, AccountStatus]],
    failure_reason: str,
) -> Iterator[RowOutcome]:
    """Yield the outcome of each row in the order of the upload.

    `verdicts_of` reads the report on a batch, `standings_of` what the account list said of it.
    `trouble` says why the import ended early: it is
    the reason of the rows whose batch was not sent, or not completed by the remote.
    """
    batch: Batch | None = None
    verdicts: dict[str, Verdict] = {}
    statuses: dict[str, AccountStatus] = {}
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
                statuses = account_statuses_of(batch) if batch.reconciliation else {}
            address = row.address.lower()
            found = _accepted(
                row, batch, verdicts.get(address), statuses.get(address), failure_reason
            )
            yield _explained(found, row.settings)


def _explained(found: RowOutcome, settings: tuple[str, ...]) -> RowOutcome:
    causes: tuple[Cause, ...] = ()
    if found.outcome is Outcome.FAILED:
        causes = (cause_of(found.reason, settings, found.reason_code),)
    elif found.outcome is Outcome.UNCONFIRMED:
        causes = (UNCONFIRMED,)
    return replace(found, provider=settings[0], causes=causes)


def outcome_of(verdict: Verdict | None) -> Outcome:
    """Say what became of an account that was sent, by what a report says of it, if anything."""
    if verdict is None or verdict.connected:
        return Outcome.CONNECTED
    known = _ALREADY_CONNECTED.search(verdict.reason)
    return Outcome.ALREADY_CONNECTED if known else Outcome.FAILED


def _accepted(
    row: Accepted,
    batch: Batch,
    verdict: Verdict | None,
    account_status: AccountStatus | None,
    failure_reason: str,
) -> RowOutcome:
    code = batch.reason_code
    if account_status is AccountStatus.CONNECTED_BEFORE:
        outcome, reason = Outcome.ALREADY_CONNECTED, ""
    elif batch.state is BatchState.COMPLETED:
        outcome, reason = _reported(verdict)
    elif batch.state is BatchState.RECONCILED:
        outcome, reason = _listed(batch, account_status)
    elif batch.state is BatchState.REFUSED:
        outcome, reason = Outcome.FAILED, f"the service refused the request: {batch.reason}"
        code = ReasonCode.REQUEST_REFUSED
    elif batch.state is BatchState.PLANNED:
        outcome, reason = Outcome.FAILED, f"not sent: {failure_reason}"
        code = ReasonCode.NOT_SENT
    else:
        outcome, reason = Outcome.UNCONFIRMED, batch.reason or failure_reason
    return RowOutcome(row.row, row.address, outcome, reason, reason_code=code)


def _reported(verdict: Verdict | None) -> tuple[Outcome, str]:
    reason = "" if verdict is None or verdict.connected else verdict.reason
    return outcome_of(verdict), reason


def _listed(batch: Batch, account_status: AccountStatus | None) -> tuple[Outcome, str]:
    if account_status is AccountStatus.CONNECTED:
        return Outcome.CONNECTED, ""
    if account_status is AccountStatus.NOT_WORKING:
        if batch.reason_code is ReasonCode.NO_PROGRESS:
            return Outcome.UNCONFIRMED, batch.reason  # it may still be tried
        return Outcome.FAILED, _NOT_WORKING
    return Outcome.UNCONFIRMED, f"{batch.reason}; the account list does not show it"
