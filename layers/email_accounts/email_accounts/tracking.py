"""Tracking: one look at every batch under way, and what to do after it."""

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from email_accounts.batches import BatchReader, examine_upload
from email_accounts.errors import (
    ApiKeyMissingError,
    ApiKeyRefusedError,
    NotSentError,
    ReportUnavailableError,
    RequestNotFoundError,
    RequestRefusedError,
    ThrottledError,
    UnansweredError,
)
from email_accounts.ledger import Batch, BatchState, Import, ImportState, Ledger
from email_accounts.ports import (
    WORKSPACE,
    Clock,
    Originals,
    Policy,
    Remote,
    Reports,
    Status,
    Step,
    Uploads,
)
from email_accounts.reports import copy_without_secrets, report_name
from email_accounts.secret import Redactor
from email_accounts.submission import SAFE_MARGIN

_UNKNOWN_REQUEST_GRACE = 600.0
"""Seconds after its submission for which 'request not found' is taken to mean 'not yet'."""

_GROWTH = 0.5

_ANSWER_LOST = (
    "the request was being sent when it was cut off; the service may have received it. "
    "Look for the account in Saleshandy before sending it again."
)
_REQUEST_FORGOTTEN = (
    "the service no longer knows the request. "
    "Look for the account in Saleshandy before sending it again."
)
_log = logging.getLogger(__name__)


class _BrokenOffError(Exception):
    """The look has to go on later, with the batch it did not get to."""

    def __init__(self, batch: int, wait: float) -> None:
        super().__init__(batch, wait)
        self.batch = batch
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Tracker:
    """Looks at the batches of an import; `originals` keeps reports as they came, if wanted."""

    ledger: Ledger
    uploads: Uploads
    reports: Reports
    remote: Remote
    policy: Policy
    now: Clock
    originals: Originals | None = None

    def look(self, import_id: str, time_left: Callable[[], float]) -> Step:
        """Look at every batch under way, fetch the reports that are ready, and decide.

        A report is fetched in the look that finds it, because nobody knows how long its link
        lives; the link itself is remembered nowhere, because it may lead to passwords. A look
        that time or budget break off goes on next time where it stopped.
        """
        imported = self.ledger.get(import_id)
        now = self.now()
        finished = imported.state is not ImportState.PLANNED or imported.stopped
        if finished or now >= imported.deadline:
            return Step(Step.DELIVER)
        submitting = imported.lease_until > now
        try:
            left = self._look_at_batches(imported, time_left, submitting=submitting)
        except _BrokenOffError as broken_off:
            self.ledger.look_from(import_id, broken_off.batch)
            return Step(Step.CHECK, min(broken_off.wait, imported.deadline - now))
        except (ApiKeyRefusedError, ApiKeyMissingError) as error:
            self.ledger.stop(import_id, str(error))
            return Step(Step.DELIVER)
        if left.planned and not submitting:
            return Step(Step.SUBMIT)
        if not left.planned and not left.under_way:
            return Step(Step.DELIVER)
        return Step(Step.CHECK, self._next_wait(imported, left.last_sent_at or now))

    def _next_wait(self, imported: Import, last_sent_at: float) -> float:
        """Return the wait before the next look.

        Half of the time since the submission on top of the first wait is what waits that
        grow by half add up to, without remembering how often one has looked.
        """
        now = self.now()
        wait = self.policy.first_look + _GROWTH * max(0.0, now - last_sent_at)
        return max(0.0, min(wait, self.policy.longest_wait, imported.deadline - now))

    def _look_at_batches(
        self, imported: Import, time_left: Callable[[], float], *, submitting: bool
    ) -> "_Left":
        left = _Left()
        with closing(examine_upload(self.uploads, imported.upload)) as examined:
            reader = BatchReader(examined)
            for batch in self.ledger.batches(imported.id):
                match batch.state:
                    case BatchState.PLANNED:
                        left.planned += 1
                    case BatchState.SENDING if not submitting:
                        self._settle(imported.id, batch, BatchState.UNCONFIRMED, _ANSWER_LOST)
                    case BatchState.SENDING:
                        left.see_under_way(batch)
                    case BatchState.SUBMITTED if batch.number < imported.look_from:
                        left.see_under_way(batch)
                    case BatchState.SUBMITTED:
                        if time_left() < SAFE_MARGIN:
                            raise _BrokenOffError(batch.number, 0)
                        self._look_at(imported, batch, left, reader)
        if imported.look_from > 1:
            self.ledger.look_from(imported.id, 1)
        return left

    def _look_at(self, imported: Import, batch: Batch, left: "_Left", reader: BatchReader) -> None:
        status = self._status(imported, batch, left)
        if status is None:
            return
        if status.report_link:
            self._fetch_report(imported.id, batch, status.report_link, reader)
        else:
            self._settle(imported.id, batch, BatchState.COMPLETED, "")

    def _status(self, imported: Import, batch: Batch, left: "_Left") -> Status | None:
        """Return the status of a request that is complete; None while it is not."""
        now = self.now()
        wait = self.ledger.take_call(WORKSPACE, now, self.policy.calls_per_minute)
        if wait:
            raise _BrokenOffError(batch.number, max(wait, self.policy.first_look))
        try:
            status = self.remote.status(batch.request_id)
        except ThrottledError as error:
            raise _BrokenOffError(batch.number, error.retry_after_seconds) from None
        except RequestNotFoundError:
            if now - batch.sent_at > _UNKNOWN_REQUEST_GRACE:
                self._settle(imported.id, batch, BatchState.UNCONFIRMED, _REQUEST_FORGOTTEN)
                return None
        except (NotSentError, UnansweredError, RequestRefusedError) as error:
            _log.warning("batch %d: no status this time: %s", batch.number, error)
        else:
            if status.completed:
                return status
        left.see_under_way(batch)
        return None

    def _fetch_report(self, import_id: str, batch: Batch, link: str, reader: BatchReader) -> None:
        accounts = reader.accounts_of(batch.range)
        redactor = Redactor(secret for account in accounts for secret in account.secrets)
        addresses = {account.smtp.address.lower() for account in accounts}
        name = report_name(batch.number)
        try:
            with (
                self.remote.report(link) as chunks,
                self.reports.writer(import_id, name, "text/csv") as copy,
            ):
                if self.originals:
                    chunks = self.originals.keep(import_id, name, chunks)  # noqa: PLW2901  the same ones
                copy_without_secrets(chunks, copy, addresses, redactor)
        except ReportUnavailableError as error:
            reason = (
                f"the service finished, but its report is missing: {redactor.clean(str(error))}. "
                "Look for the account in Saleshandy."
            )
            self._settle(import_id, batch, BatchState.UNCONFIRMED, reason)
        else:
            self.ledger.settle(import_id, batch.number, BatchState.COMPLETED, "", report=True)

    def _settle(self, import_id: str, batch: Batch, state: BatchState, reason: str) -> None:
        self.ledger.settle(import_id, batch.number, state, reason, report=False)


@dataclass(slots=True)
class _Left:
    """What a look leaves to do."""

    planned: int = 0
    under_way: int = 0
    last_sent_at: float = 0.0

    def see_under_way(self, batch: Batch) -> None:
        """Count a batch that is not settled."""
        self.under_way += 1
        self.last_sent_at = max(self.last_sent_at, batch.sent_at)
