"""Delivery: one outcome per row into the reports bucket, and the one message."""

import csv
import json
import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TextIO, TypeVar

from email_accounts.delivery.message import document, message_of
from email_accounts.delivery.outcomes import BatchRecords, Outcome, RowOutcome, outcomes
from email_accounts.delivery.result import ImportResult, ImportStatus, Link
from email_accounts.delivery.summary import Summary
from email_accounts.errors import ImportLockedError, ReportMissingError, UploadMissingError
from email_accounts.intake.accounts_file import AccountsFile, open_accounts_file
from email_accounts.intake.servers import ServerRecord
from email_accounts.models.imports import (
    FILE_NOT_READ,
    FINAL,
    LEASE_MARGIN,
    NO_PROGRESS,
    OUTCOME_NAME,
    PAGE_NAME,
    SUMMARY_NAME,
    Batch,
    BatchState,
    Import,
    ImportState,
    ReasonCode,
)
from email_accounts.ports import Clock, Events, Ledger, Notifications, Reports, Uploads
from email_accounts.saleshandy.reconciliation import read_reconciliation, reconciliation_name
from email_accounts.saleshandy.report import report_name, verdicts
from email_accounts.sign_in.findings import findings_of
from email_accounts.text.spreadsheet import safe_cell

_log = logging.getLogger(__name__)
_Read = TypeVar("_Read")

_UPLOAD_GONE = (
    ReasonCode.UPLOAD_DELETED,
    "the file was deleted before its report was written, so there is no report on each row",
)
_RECORDS_GONE = "what was known of it has been deleted from the reports bucket"
_NO_REPORTS = "The reports could not be written: the log of deliver_report says why."
LONGEST_RUN = 900.0
"""Seconds that the function may run."""
READERS = 16
"""Batches whose files are read at the same time."""
_READ_AHEAD = 4 * READERS
_COLUMNS = (
    *("row", "address", "provider", "outcome", "evidence", "reason", "what to do"),
    *("warnings", "sheet"),
)
_BYTE_ORDER_MARK = "\ufeff"
"""By it Excel knows that a CSV is UTF-8."""

_EndedEarly = tuple[ReasonCode | None, str]
"""Why an import ended early: the code and the text, or None and nothing."""
_COUNTED_AS = {BatchState.PLANNED: Outcome.NOT_SENT, BatchState.REFUSED: Outcome.FAILED}
_PAST_DEADLINE = (
    "the deadline passed before Saleshandy had reported on every row; it may still be working"
)


@dataclass(frozen=True, slots=True)
class Deliverer:
    """Ends an import with its answer.

    `link_seconds` is how long links open page and outcome.csv without signing in; 0 for no links.
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
        execution: str = "",
        best_effort: bool = False,
        time_left: float = LONGEST_RUN,
    ) -> ImportResult | None:
        """Write the reports, put the event, send the message; None when that was done before.

        None as well for an `execution` that is no longer the import's: it was restarted since.
        `failure` says what broke the tracking off, where something did; `time_left` is how many
        seconds this invocation may still run. At best effort the message
        is sent even where the reports cannot be written or the event bus takes no event; after a
        delivery that failed it is made of the ledger's counts alone.

        Raises:
            ImportLockedError: another invocation has the import's lease, and submits it or writes
                its answer. The lease ends soon after its holder's invocation.
        """
        imported = self.ledger.get(import_id)
        is_over = execution not in ("", imported.execution)
        if is_over or imported.state is ImportState.NOTIFIED:
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
        """Refuse a file that could not be read completely: its rows are not known."""
        lease = self.ledger.lease(imported.id, now, until)
        if not lease:
            raise ImportLockedError(imported.id)
        self.ledger.refuse(imported.id, lease, ReasonCode.FILE_NOT_READ, FILE_NOT_READ)
        return self.ledger.get(imported.id)

    def _delivered(
        self, imported: Import, lease: str, failure: str, *, best_effort: bool
    ) -> ImportResult:
        # Batches of an interrupted plan do not count.
        batches = [] if imported.refusal else list(self.ledger.batches(imported.id))
        ended_early = _ended_early(imported, batches, failure)
        without_reports = (
            ended_early[0] or ReasonCode.EXECUTION_FAILED,
            f"{ended_early[1]}. {_NO_REPORTS}" if ended_early[1] else _NO_REPORTS,
        )
        try:
            if best_effort and imported.state is ImportState.DELIVERING:
                answer = _counted(imported, batches, without_reports)
            else:
                answer = self._reported(imported, batches, ended_early)
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
            self.events.put(message.event)
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

    def _reported(
        self, imported: Import, batches: list[Batch], ended_early: _EndedEarly
    ) -> ImportResult:
        if imported.refusal:
            answer = self._answer(imported, Summary(), ended_early)
        else:
            summary = self._write_outcomes(imported, batches, ended_early[1])
            stuck = any(batch.reason_code is ReasonCode.NO_PROGRESS for batch in batches)
            if stuck and summary.outcomes[Outcome.UNCONFIRMED] and not ended_early[1]:
                ended_early = ReasonCode.NO_PROGRESS, NO_PROGRESS
            answer = self._answer(imported, summary, ended_early, outcome=OUTCOME_NAME)
        self._write_page(answer)
        self._write_summary(answer, batches)
        return answer

    def _answer(
        self, imported: Import, summary: Summary, ended_early: _EndedEarly, **written: str
    ) -> ImportResult:
        names = {"page": PAGE_NAME, **written, "summary": SUMMARY_NAME}.items()
        return replace(
            _result(imported, summary, ended_early),
            reports={what: self.reports.address(imported.id, name) for what, name in names},
            consoles={what: self.reports.console(imported.id, name) for what, name in names},
            link=self._link(imported.id, written.get("outcome", "")) if self.link_seconds else None,
        )

    def _link(self, import_id: str, outcome: str) -> Link:
        page, csv_file = (
            self.reports.link(import_id, name, self.link_seconds) if name else ""
            for name in (PAGE_NAME, outcome)
        )
        return Link(page, csv_file, self.now() + self.link_seconds)

    def _write_outcomes(
        self, imported: Import, batches: list[Batch], failure_reason: str
    ) -> Summary:
        summary = Summary()
        with ExitStack() as stack:
            upload = imported.upload
            stream = stack.enter_context(self.uploads.open(upload))
            record = ServerRecord(self.reports, imported.id)
            file = open_accounts_file(stream, record, self.uploads.options(upload))
            summary.notes = file.notes
            report: TextIO = stack.enter_context(
                self.reports.writer(imported.id, OUTCOME_NAME, "text/csv")
            )
            report.write(_BYTE_ORDER_MARK)
            writer = csv.writer(report, quoting=csv.QUOTE_NONNUMERIC)
            writer.writerow(_COLUMNS)
            pool = ThreadPoolExecutor(READERS)
            stack.callback(pool.shutdown, cancel_futures=True)
            read = partial(self._records, imported.id)
            known = _read_ahead(pool, read, iter(batches))
            rows = outcomes(file.rows, known, failure_reason, file.shown)
            for row in rows:
                placed = _placed(row, file) if file.has_several_sheets else row
                summary.add(placed)
                writer.writerow(_line(placed))
        return summary

    def _records(self, import_id: str, batch: Batch) -> tuple[Batch, BatchRecords]:
        """Return a batch with what is recorded of it; an unconfirmed one if that is gone."""

        def read(name: str, understood: Callable[[TextIO], _Read]) -> _Read:
            with self.reports.open(import_id, name) as text:
                return understood(text)

        at = batch.number
        findings = findings_of(self.reports, import_id, batch)
        try:
            reported = read(report_name(at), verdicts) if batch.report else {}
            observed = (
                read(reconciliation_name(at), read_reconciliation) if batch.reconciliation else {}
            )
        except ReportMissingError:
            if batch.state is not BatchState.REFUSED:
                batch = replace(batch, state=BatchState.UNCONFIRMED, reason=_RECORDS_GONE)
            return batch, BatchRecords({}, {}, findings)
        return batch, BatchRecords(reported, observed, findings)

    def _write_page(self, answer: ImportResult) -> None:
        # Imported here like its templates, because not each cold start writes a page.
        from email_accounts.delivery.page import page  # noqa: PLC0415

        with self.reports.writer(answer.imported.id, PAGE_NAME, "text/html") as report:
            report.write(page(answer))

    def _write_summary(self, answer: ImportResult, batches: list[Batch]) -> None:
        described = document(answer) | {"batches": list(_described(batches))}
        with self.reports.writer(answer.imported.id, SUMMARY_NAME, "application/json") as report:
            json.dump(described, report, indent=2, ensure_ascii=False)


def _ended_early(imported: Import, batches: list[Batch], failure: str) -> _EndedEarly:
    if imported.refusal or imported.stopped:
        return imported.reason_code, imported.refusal or imported.stopped
    if failure:
        return ReasonCode.EXECUTION_FAILED, f"the import was interrupted: {failure}"
    if any(batch.state not in FINAL for batch in batches):
        return ReasonCode.DEADLINE_PASSED, _PAST_DEADLINE
    return None, ""


def _counted(imported: Import, batches: list[Batch], ended_early: _EndedEarly) -> ImportResult:
    """Answer with the counts of the ledger, if no row can be named."""
    summary = Summary()
    summary.outcomes[Outcome.REJECTED] = imported.rejected
    summary.outcomes[Outcome.DUPLICATE] = imported.duplicates
    for batch in batches:
        if batch.state is BatchState.COMPLETED and not batch.report and not batch.reconciliation:
            outcome = Outcome.CONNECTED
        else:
            outcome = _COUNTED_AS.get(batch.state, Outcome.UNCONFIRMED)
        summary.outcomes[outcome] += batch.range.accounts
    return _result(imported, summary, ended_early)


def _result(imported: Import, summary: Summary, ended_early: _EndedEarly) -> ImportResult:
    code, failure_reason = ended_early
    status = _status(imported, summary, failure_reason)
    return ImportResult(imported, status, summary, failure_reason, code, {}, {})


def _status(imported: Import, summary: Summary, failure_reason: str) -> ImportStatus:
    if imported.refusal:
        return ImportStatus.REFUSED
    if imported.stopped:
        return ImportStatus.STOPPED
    if failure_reason:
        return ImportStatus.UNFINISHED
    if not summary.needs_attention:
        return ImportStatus.COMPLETE
    connected = (Outcome.CONNECTED, Outcome.ALREADY_CONNECTED, Outcome.UNCONFIRMED)
    return ImportStatus.PARTIAL if summary.of(*connected) else ImportStatus.FAILED


def _read_ahead(
    pool: ThreadPoolExecutor, read: Callable[[Batch], _Read], batches: Iterator[Batch]
) -> Iterator[_Read]:
    """Yield what is read of each batch, while those after it are read."""
    begun = deque(pool.submit(read, one) for one in islice(batches, _READ_AHEAD))
    while begun:
        first = begun.popleft()
        begun.extend(pool.submit(read, one) for one in islice(batches, 1))
        yield first.result()


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
