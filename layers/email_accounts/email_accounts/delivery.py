"""Delivering: one outcome per row into the reports bucket, and the one message."""

import csv
import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TextIO

from email_accounts.batches import examine_upload
from email_accounts.errors import HeldError, UploadMissingError
from email_accounts.evidence import Standing, evidence_name, read_evidence
from email_accounts.ledger import FINAL, Batch, BatchState, Import, ImportState, Ledger
from email_accounts.message import Answer, ImportStatus, Link, message_of
from email_accounts.outcomes import Outcome, RowOutcome, outcomes
from email_accounts.page import page
from email_accounts.ports import Clock, Events, Notifications, Reports, Uploads
from email_accounts.reports import Verdict, report_name, verdicts
from email_accounts.spreadsheet import harmless
from email_accounts.tally import Tally
from email_accounts.tracking import NO_PROGRESS

_log = logging.getLogger(__name__)

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
LONGEST_RUN = 300.0
"""Seconds that writing an answer may take: as long as the function may run."""
_COLUMNS = ("row", "address", "provider", "outcome", "reason", "what to do")
_BYTE_ORDER_MARK = "\ufeff"
"""By it Excel knows that a CSV is UTF-8."""

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
        self, import_id: str, failure: str = "", *, last_resort: bool = False
    ) -> Answer | None:
        """Write the reports, put the event, send the message; None when that was done before.

        `failure` says what broke the tracking off, where something did. As a last resort the
        message is sent even where the reports cannot be written or the event bus takes no event.

        Raises:
            HeldError: batches may still be sent, by a submitter that outlived its execution, so
                that what the answer said of them would not be true; or the answer is being
                written, which the last resort would send once more.
        """
        imported = self.ledger.get(import_id)
        if imported.state is ImportState.NOTIFIED:
            return None
        now = self.now()
        if not self.ledger.deliver(import_id, now, now + LONGEST_RUN, last_resort=last_resort):
            raise HeldError(import_id)
        try:
            return self._delivered(imported, failure, last_resort=last_resort)
        except Exception:
            self.ledger.release(import_id)
            raise

    def _delivered(self, imported: Import, failure: str, *, last_resort: bool) -> Answer:
        batches = list(self.ledger.batches(imported.id))
        trouble = imported.refusal or imported.stopped or self._cut_off(batches, failure)
        try:
            answer = self._reported(imported, batches, trouble)
        except UploadMissingError:
            answer = _counted(imported, batches, _UPLOAD_GONE)
        except Exception:
            if not last_resort:
                raise
            _log.exception("the reports cannot be written")
            answer = _counted(imported, batches, f"{trouble}. {_REPORTS_FAILED}")
        message = message_of(answer)
        # Before the message, so that trying again repeats the event at most: a program knows it
        # by its id and answer, a person would get a second mail.
        try:
            self.events.put(message)
        except Exception:
            if not last_resort:
                raise
            _log.exception("the event cannot be put")
        self.notifications.publish(message)
        try:
            self.ledger.notified(imported.id)
        except Exception:  # noqa: BLE001  failing now would send the answer again
            _log.exception("the answer is sent, but the ledger does not know")
        return answer

    def _cut_off(self, batches: list[Batch], failure: str) -> str:
        if failure:
            return f"the import was broken off: {failure}"
        return _PAST_DEADLINE if any(batch.state not in FINAL for batch in batches) else ""

    def _reported(self, imported: Import, batches: list[Batch], trouble: str) -> Answer:
        if imported.refusal:
            answer = self._answer(imported, Tally(), trouble)
        else:
            tally = self._write_outcomes(imported, batches, trouble)
            stuck = any(batch.reason == NO_PROGRESS for batch in batches)
            if stuck and tally.outcomes[Outcome.UNCONFIRMED]:
                trouble = trouble or NO_PROGRESS
            answer = self._answer(imported, tally, trouble, outcome=OUTCOME_NAME)
        self._write_page(answer)
        self._write_summary(answer, batches)
        return answer

    def _answer(self, imported: Import, tally: Tally, trouble: str, **written: str) -> Answer:
        names = {"page": PAGE_NAME, **written, "summary": SUMMARY_NAME}
        return Answer(
            imported,
            _status(imported, tally, trouble),
            tally,
            trouble,
            {what: self.reports.address(imported.id, name) for what, name in names.items()},
            {what: self.reports.console(imported.id, name) for what, name in names.items()},
            self._link(imported.id) if self.link_seconds else None,
        )

    def _link(self, import_id: str) -> Link:
        until = self.now() + self.link_seconds
        return Link(self.reports.link(import_id, PAGE_NAME, self.link_seconds), until)

    def _write_outcomes(self, imported: Import, batches: list[Batch], trouble: str) -> Tally:
        tally = Tally()
        with ExitStack() as stack:
            examined = stack.enter_context(closing(examine_upload(self.uploads, imported.upload)))
            report: TextIO = stack.enter_context(
                self.reports.writer(imported.id, OUTCOME_NAME, "text/csv")
            )
            report.write(_BYTE_ORDER_MARK)
            writer = csv.writer(report, quoting=csv.QUOTE_NONNUMERIC)
            writer.writerow(_COLUMNS)
            for row in outcomes(
                examined,
                iter(batches),
                lambda batch: self._verdicts(imported.id, batch),
                lambda batch: self._standings(imported.id, batch),
                trouble,
            ):
                tally.add(row)
                writer.writerow(_line(row))
        return tally

    def _verdicts(self, import_id: str, batch: Batch) -> dict[str, Verdict]:
        with self.reports.open(import_id, report_name(batch.number)) as report:
            return verdicts(report)

    def _standings(self, import_id: str, batch: Batch) -> dict[str, Standing]:
        with self.reports.open(import_id, evidence_name(batch.number)) as evidence:
            return read_evidence(evidence)

    def _write_page(self, answer: Answer) -> None:
        with self.reports.writer(answer.imported.id, PAGE_NAME, "text/html") as report:
            report.write(page(answer))

    def _write_summary(self, answer: Answer, batches: list[Batch]) -> None:
        document = answer.document() | {"batches": list(_described(batches))}
        with self.reports.writer(answer.imported.id, SUMMARY_NAME, "application/json") as report:
            json.dump(document, report, indent=2, ensure_ascii=False)


def _counted(imported: Import, batches: list[Batch], trouble: str) -> Answer:
    """Answer with what the ledger knows, where no row can be named."""
    tally = Tally()
    tally.outcomes[Outcome.REJECTED] = imported.rejected
    tally.outcomes[Outcome.DUPLICATE] = imported.duplicates
    for batch in batches:
        if batch.state is BatchState.COMPLETED and not batch.report and not batch.listing:
            outcome = Outcome.CONNECTED
        elif batch.state in (BatchState.PLANNED, BatchState.REFUSED):
            outcome = Outcome.FAILED
        else:
            outcome = Outcome.UNCONFIRMED
        tally.outcomes[outcome] += batch.range.accounts
    return Answer(imported, _status(imported, tally, trouble), tally, trouble, {}, {})


def _status(imported: Import, tally: Tally, trouble: str) -> ImportStatus:
    if imported.refusal:
        return ImportStatus.REFUSED
    if imported.stopped:
        return ImportStatus.STOPPED
    if trouble:
        return ImportStatus.UNFINISHED
    good = (Outcome.CONNECTED, Outcome.ALREADY_CONNECTED, Outcome.DUPLICATE)
    everything_good = sum(tally.outcomes[outcome] for outcome in good) == tally.outcomes.total()
    return ImportStatus.COMPLETE if everything_good else ImportStatus.PARTIAL


def _line(row: RowOutcome) -> tuple[int, str, str, str, str, str]:
    address, outcome = harmless(row.address), row.outcome.value
    if not row.reason:
        return row.row, address, row.provider, outcome, "", ""
    return row.row, address, row.provider, outcome, harmless(row.reason), row.what_to_do


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
