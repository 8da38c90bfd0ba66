"""Delivering: one outcome per row into the reports bucket, and the one message."""

import csv
import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import TextIO, TypeVar

from email_accounts.delivery.message import ImportResult, ImportStatus, Link, message_of
from email_accounts.delivery.outcomes import Outcome, RowOutcome, outcomes
from email_accounts.delivery.page import page
from email_accounts.delivery.summary import Summary
from email_accounts.errors import ImportLockedError, UploadMissingError
from email_accounts.intake.accounts_file import AccountsFile, open_accounts_file
from email_accounts.intake.batches import UploadReader
from email_accounts.models.account import secrets_of
from email_accounts.models.imports import FINAL, Batch, BatchState, Import, ImportState, ReasonCode
from email_accounts.ports import Clock, Events, Ledger, Notifications, Reports, Uploads
from email_accounts.saleshandy.reconciliation import (
    Observation,
    read_reconciliation,
    reconciliation_name,
)
from email_accounts.saleshandy.report import Verdict, report_name, verdicts
from email_accounts.submission.submitter import FILE_NOT_READ, LEASE_MARGIN
from email_accounts.text.secret import Redactor
from email_accounts.text.spreadsheet import safe_cell
from email_accounts.tracking.poller import NO_PROGRESS

_log = logging.getLogger(__name__)
_Read = TypeVar("_Read")

OUTCOME_NAME = "outcome.csv"
PAGE_NAME = "report.html"
SUMMARY_NAME = "summary.json"
_UPLOAD_GONE = (
    "the file was deleted before its answer could be written, so its rows are counted, not named"
)
_REPORTS_FAILED = (
    "Its reports could not be written either; mend what keeps deliver_report from it, then: "
    "email-accounts resume"
)
LONGEST_RUN = 900.0
"""Seconds that the function may run."""
READERS = 16
"""Files of batches that are read at the same time."""
_READ_AHEAD = 4 * READERS
_REASONS_KEPT = 1000
_COLUMNS = (
    *("row", "address", "provider", "outcome", "evidence", "reason", "what to do"),
    *("warnings", "sheet"),
)
_BYTE_ORDER_MARK = "\ufeff"
"""By it Excel knows that a CSV is UTF-8."""

_SAID_BY_THE_SERVICE = frozenset({Outcome.FAILED, Outcome.ALREADY_CONNECTED, Outcome.UNCONFIRMED})
_PAST_DEADLINE = (
    "the deadline passed before everything was known; the service may still be working on it"
)


@dataclass(frozen=True, slots=True)
class Deliverer:
    """Ends an import with its answer.

    `link_seconds` is how long a link opens the page without signing in; 0 for no such link.
    """

    ledger: Ledger
    uploads: Uploads
    reports: Reports
    events: Events
    notifications: Notifications
    now: Clock
    link_seconds: float = 0

    def deliver(
        self,
        import_id: str,
        failure: str = "",
        *,
        best_effort: bool = False,
        time_left: float = LONGEST_RUN,
    ) -> ImportResult | None:
        """Write the reports, put the event, send the message; None when that was done before.

        `failure` says what broke the tracking off, where something did; `time_left` is how many
        seconds this invocation may still run. At best effort the message
        is sent even where the reports cannot be written or the event bus takes no event; after a
        delivery that failed it is made of the ledger's counts alone.

        Raises:
            ImportLockedError: somebody else has the import's lease, and submits it or writes its
                answer. The lease ends soon after its holder's invocation.
        """
        imported = self.ledger.get(import_id)
        return self._deliver(imported, failure, time_left, best_effort=best_effort)

    def deliver_failed(
        self, execution: str, failure: str, time_left: float = LONGEST_RUN
    ) -> ImportResult | None:
        """Deliver, at best effort, the import of an execution that ended without success.

        None where the import has its answer, or has been restarted since, under another execution.
        """
        imported = self.ledger.get(execution.partition("-")[0])
        if imported.execution != execution:
            return None
        return self._deliver(imported, failure, time_left, best_effort=True)

    def _deliver(
        self, imported: Import, failure: str, time_left: float, *, best_effort: bool
    ) -> ImportResult | None:
        if imported.state is ImportState.NOTIFIED:
            return None
        now = self.now()
        until = now + time_left + LEASE_MARGIN
        if imported.state is ImportState.RECEIVED:
            imported = self._refuse_unread(imported, now, until)
        lease = self.ledger.deliver(imported, now, until)
        if not lease:
            raise ImportLockedError(imported.id)
        try:
            return self._delivered(imported, lease, failure, best_effort=best_effort)
        except Exception:
            self.ledger.release(imported.id, lease)
            raise

    def _refuse_unread(self, imported: Import, now: float, until: float) -> Import:
        """Refuse a file that nobody could read to its end: its rows are not known."""
        lease = self.ledger.lease(imported.id, now, until)
        if not lease:
            raise ImportLockedError(imported.id)
        self.ledger.refuse(imported.id, lease, ReasonCode.FILE_NOT_READ, FILE_NOT_READ)
        return self.ledger.get(imported.id)

    def _delivered(
        self, imported: Import, lease: str, failure: str, *, best_effort: bool
    ) -> ImportResult:
        batches = list(self.ledger.batches(imported.id))
        failure_reason = imported.refusal or imported.stopped or self._cut_off(batches, failure)
        without_reports = f"{failure_reason}. {_REPORTS_FAILED}"
        try:
            if best_effort and imported.state is ImportState.DELIVERING:
                answer = _counted(imported, batches, without_reports)
            else:
                answer = self._reported(imported, batches, failure_reason)
        except UploadMissingError:
            answer = _counted(imported, batches, _UPLOAD_GONE)
        except Exception:
            if not best_effort:
                raise
            _log.exception("the reports cannot be written")
            answer = _counted(imported, batches, without_reports)
        message = message_of(answer)
        # Before the message, so that trying again repeats the event at most: a program knows it
        # by its id and answer, a person would get a second mail.
        try:
            self.events.put(message)
        except Exception:
            if not best_effort:
                raise
            _log.exception("the event cannot be put")
        self.notifications.publish(message)
        try:
            self.ledger.notified(imported.id, lease)
        except Exception:  # noqa: BLE001  failing now would send the answer again
            _log.exception("the answer is sent, but the ledger does not know")
        return answer

    def _cut_off(self, batches: list[Batch], failure: str) -> str:
        if failure:
            return f"the import was broken off: {failure}"
        return _PAST_DEADLINE if any(batch.state not in FINAL for batch in batches) else ""

    def _reported(
        self, imported: Import, batches: list[Batch], failure_reason: str
    ) -> ImportResult:
        if imported.refusal:
            answer = self._answer(imported, Summary(), failure_reason)
        else:
            summary = self._write_outcomes(imported, batches, failure_reason)
            stuck = any(batch.reason_code is ReasonCode.NO_PROGRESS for batch in batches)
            if stuck and summary.outcomes[Outcome.UNCONFIRMED]:
                failure_reason = failure_reason or NO_PROGRESS
            answer = self._answer(imported, summary, failure_reason, outcome=OUTCOME_NAME)
        self._write_page(answer)
        self._write_summary(answer, batches)
        return answer

    def _answer(
        self, imported: Import, summary: Summary, failure_reason: str, **written: str
    ) -> ImportResult:
        names = {"page": PAGE_NAME, **written, "summary": SUMMARY_NAME}
        return ImportResult(
            imported,
            _status(imported, summary, failure_reason),
            summary,
            failure_reason,
            {what: self.reports.address(imported.id, name) for what, name in names.items()},
            {what: self.reports.console(imported.id, name) for what, name in names.items()},
            self._link(imported.id) if self.link_seconds else None,
        )

    def _link(self, import_id: str) -> Link:
        until = self.now() + self.link_seconds
        return Link(self.reports.link(import_id, PAGE_NAME, self.link_seconds), until)

    def _write_outcomes(
        self, imported: Import, batches: list[Batch], failure_reason: str
    ) -> Summary:
        summary = Summary()
        with ExitStack() as stack:
            upload = imported.upload
            stream = stack.enter_context(self.uploads.open(upload))
            file = open_accounts_file(stream, self.uploads.options(upload))
            summary.notes = file.notes
            report: TextIO = stack.enter_context(
                self.reports.writer(imported.id, OUTCOME_NAME, "text/csv")
            )
            report.write(_BYTE_ORDER_MARK)
            writer = csv.writer(report, quoting=csv.QUOTE_NONNUMERIC)
            writer.writerow(_COLUMNS)
            pool = ThreadPoolExecutor(READERS)
            stack.callback(pool.shutdown, cancel_futures=True)
            rows = outcomes(
                file.rows,
                iter(batches),
                _read_ahead(
                    pool,
                    lambda batch: self._verdicts(imported.id, batch),
                    (batch for batch in batches if batch.report),
                ),
                _read_ahead(
                    pool,
                    lambda batch: self._observations(imported.id, batch),
                    (batch for batch in batches if batch.reconciliation),
                ),
                failure_reason,
                shown=file.shown,
            )
            accounts = stack.enter_context(closing(UploadReader(self.uploads, imported.upload)))
            for row in _cleaned(rows, iter(batches), accounts):
                placed = _placed(row, file) if file.has_several_sheets else row
                summary.add(placed)
                writer.writerow(_line(placed))
        return summary

    def _verdicts(self, import_id: str, batch: Batch) -> dict[str, Verdict]:
        with self.reports.open(import_id, report_name(batch.number)) as report:
            return verdicts(report)

    def _observations(self, import_id: str, batch: Batch) -> dict[str, Observation]:
        with self.reports.open(import_id, reconciliation_name(batch.number)) as evidence:
            return read_reconciliation(evidence)

    def _write_page(self, answer: ImportResult) -> None:
        with self.reports.writer(answer.imported.id, PAGE_NAME, "text/html") as report:
            report.write(page(answer))

    def _write_summary(self, answer: ImportResult, batches: list[Batch]) -> None:
        document = answer.document() | {"batches": list(_described(batches))}
        with self.reports.writer(answer.imported.id, SUMMARY_NAME, "application/json") as report:
            json.dump(document, report, indent=2, ensure_ascii=False)


def _counted(imported: Import, batches: list[Batch], failure_reason: str) -> ImportResult:
    """Answer with what the ledger knows, where no row can be named."""
    summary = Summary()
    summary.outcomes[Outcome.REJECTED] = imported.rejected
    summary.outcomes[Outcome.DUPLICATE] = imported.duplicates
    for batch in batches:
        if batch.state is BatchState.COMPLETED and not batch.report and not batch.reconciliation:
            outcome = Outcome.CONNECTED
        elif batch.state in (BatchState.PLANNED, BatchState.REFUSED):
            outcome = Outcome.FAILED
        else:
            outcome = Outcome.UNCONFIRMED
        summary.outcomes[outcome] += batch.range.accounts
    return ImportResult(
        imported, _status(imported, summary, failure_reason), summary, failure_reason, {}, {}
    )


def _status(imported: Import, summary: Summary, failure_reason: str) -> ImportStatus:
    if imported.refusal:
        return ImportStatus.REFUSED
    if imported.stopped:
        return ImportStatus.STOPPED
    if failure_reason:
        return ImportStatus.UNFINISHED
    good = (Outcome.CONNECTED, Outcome.ALREADY_CONNECTED, Outcome.DUPLICATE)
    everything_good = sum(summary.outcomes[outcome] for outcome in good) == summary.outcomes.total()
    return ImportStatus.COMPLETE if everything_good else ImportStatus.PARTIAL


def _read_ahead(
    pool: ThreadPoolExecutor, read: Callable[[Batch], _Read], batches: Iterator[Batch]
) -> Callable[[Batch], _Read]:
    """Return what reads a batch, which is asked for in their order, and has those after it read."""
    begun: dict[int, Future[_Read]] = {}

    def read_one(batch: Batch) -> _Read:
        following = islice(batches, _READ_AHEAD - len(begun))
        begun.update({one.number: pool.submit(read, one) for one in following})
        return begun.pop(batch.number).result()

    return read_one


def _cleaned(
    rows: Iterator[RowOutcome], batches: Iterator[Batch], accounts: UploadReader
) -> Iterator[RowOutcome]:
    """Hide what the service said of a row where it holds a secret of its batch.

    The report on a batch was cleaned when it was kept, but its cells are decoded to be understood.
    """
    batch: Batch | None = None
    clean: Callable[[str], str] | None = None
    for row in rows:
        if row.outcome not in _SAID_BY_THE_SERVICE or not row.reason:
            yield row
            continue
        while batch is None or row.row > batch.range.last_row:
            batch, clean = next(batches), None
        if clean is None:
            redactor = Redactor(secrets_of(accounts.accounts_of(batch.range)))
            clean = lru_cache(_REASONS_KEPT)(redactor.clean)
        yield replace(row, reason=clean(row.reason))


def _placed(row: RowOutcome, file: AccountsFile) -> RowOutcome:
    """Return a row with the number and the sheet by which a person finds it."""
    place = file.place(row.row)
    return replace(row, row=place.row, sheet=place.sheet)


def _line(row: RowOutcome) -> tuple[int | str, ...]:
    known = (row.row, safe_cell(row.address), row.provider, row.outcome.value, row.evidence.value)
    warnings = "; ".join(warning.message for warning in row.warnings)
    reason = safe_cell(row.reason) if row.reason else ""
    return *known, reason, row.what_to_do, warnings, safe_cell(row.sheet)


def _described(batches: list[Batch]) -> Iterator[dict[str, object]]:
    for batch in batches:
        yield {
            "batch": batch.number,
            "firstRow": batch.range.first_row,
            "lastRow": batch.range.last_row,
            "accounts": batch.range.accounts,
            "requestId": batch.request_id,
            "state": batch.state.value,
            "reason": batch.reason,
        }
