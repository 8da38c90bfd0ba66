"""Tracking: looks at the batches that are due, and what to do after it."""

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from email_accounts.errors import (
    ApiKeyMissingError,
    ApiKeyRefusedError,
    NotSentError,
    OutcomeUnknownError,
    ReportUnavailableError,
    RequestNotFoundError,
    RequestRefusedError,
    RetryAfterError,
    UploadMissingError,
)
from email_accounts.intake.batches import UploadReader
from email_accounts.models.imports import Batch, BatchState, Import, ImportState
from email_accounts.models.policy import Policy
from email_accounts.models.steps import Step
from email_accounts.ports import ClientFactory, Clock, Ledger, Originals, Reports, Uploads
from email_accounts.saleshandy.account_list import AccountList
from email_accounts.saleshandy.rate_limit import SAFE_MARGIN, RateLimitedClient, backoff
from email_accounts.saleshandy.report import copy_without_secrets, report_name
from email_accounts.submission.submitter import (
    ANSWER_LOST,
    MOST_UNCONFIRMED,
    UPLOAD_DELETED,
)
from email_accounts.text.secret import Redactor
from email_accounts.tracking.reconciler import Reconciler, Resolution

NO_PROGRESS = "the service took the request, but made no progress for an hour"

_HOUR = 3600.0
_UNKNOWN_REQUEST_GRACE = 600.0
"""Seconds after its submission for which 'request not found' is taken to mean 'not yet'."""
_GROWTH = 1 / 6
_SHORTEST_WAIT = 1.5
"""In first looks: the second look comes so much later."""
_REPORTS_MISSED = 3
_TAKEN_ALONG = 20
_GATHERING = 300.0
"""Seconds for which reported batches wait for others that run, to be verified together."""
_MOST_VERIFIED = 200
"""Batches that are verified by one scan."""

_REQUEST_FORGOTTEN = "the service no longer knows the request"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Poller:
    """Looks at the batches of an import; `originals` keeps reports as they came, if wanted."""

    ledger: Ledger
    uploads: Uploads
    reports: Reports
    account_list: AccountList
    client_for: ClientFactory
    policy: Policy
    now: Clock
    originals: Originals | None = None

    def poll(self, import_id: str, time_left: Callable[[], float]) -> Step:
        """Look at every batch that is due, fetch the reports that are ready, and decide.

        A report is fetched in the look that finds it, because nobody knows how long its link
        lives; the link itself is remembered nowhere, because it may lead to passwords.
        An import that somebody may still be submitting is not delivered: that one may have died,
        and is waited for as long as the import is held.
        """
        step = self._polled(import_id, time_left)
        if step.next == Step.DELIVER:
            held_for = self.ledger.get(import_id).lease_until - self.now()
            if held_for > 0:
                return Step(Step.CHECK, min(held_for, self.policy.initial_poll_delay))
        return step

    def _polled(self, import_id: str, time_left: Callable[[], float]) -> Step:
        imported = self.ledger.get(import_id)
        now = self.now()
        finished = imported.state is not ImportState.PLANNED or imported.stopped
        if finished or now >= imported.deadline:
            return Step(Step.DELIVER)
        round_ = _PollRound(submitting=imported.lease_until > now)
        self._take_stock(imported, round_)
        try:
            self._poll_due(imported, round_, time_left)
            self._give_up_waiting(imported, round_)
        except RetryAfterError as later:
            return round_.interrupted(imported, now, later.wait_seconds)
        except (NotSentError, OutcomeUnknownError) as error:
            _log.warning("the look is broken off: %s", error)
            return round_.interrupted(imported, now, backoff(imported, now))
        except (ApiKeyRefusedError, ApiKeyMissingError) as error:
            self.ledger.stop(import_id, str(error))
            return Step(Step.DELIVER)
        except UploadMissingError:
            self.ledger.stop(import_id, UPLOAD_DELETED)
            return Step(Step.DELIVER)
        return round_.next_step(imported, self.now(), self.policy)

    def _take_stock(self, imported: Import, round_: "_PollRound") -> None:
        """See how all batches stand."""
        now = self.now()
        round_.moved_at = imported.began_at
        for batch in self.ledger.batches(imported.id):
            round_.moved_at = max(round_.moved_at, batch.changed_at)
            match batch.state:
                case BatchState.PLANNED:
                    round_.planned += 1
                    if round_.submitting:
                        round_.poll_again_at(now + self.policy.initial_poll_delay)
                case BatchState.SENDING if round_.submitting:
                    round_.poll_again_at(now + self.policy.initial_poll_delay)
                case BatchState.SENDING:
                    next_poll_at = now + self.policy.initial_poll_delay
                    self.ledger.unconfirmed(
                        imported.id, batch.number, ANSWER_LOST, now, next_poll_at
                    )
                    round_.unconfirmed += 1
                    round_.poll_again_at(next_poll_at)
                case BatchState.UNCONFIRMED:
                    round_.unconfirmed += 1
                    round_.add(batch, now)
                case BatchState.SUBMITTED:
                    round_.running[batch.number] = batch
                    round_.add(batch, now)
                case BatchState.REPORTED:
                    round_.reported.append(batch)
        round_.verify(now, self.policy.settle)

    def _give_up_waiting(self, imported: Import, round_: "_PollRound") -> None:
        """Leave requests that have made no progress for an hour to the account list."""
        now = self.now()
        if round_.planned or round_.unconfirmed or now - round_.moved_at < _HOUR:
            return
        for batch in round_.running.values():
            self._unconfirmed(imported, batch, NO_PROGRESS, round_)

    def _poll_due(
        self, imported: Import, round_: "_PollRound", time_left: Callable[[], float]
    ) -> None:
        saleshandy = RateLimitedClient(
            self.client_for(imported.upload.workspace), self.ledger, self.policy, self.now, imported
        )
        submitted = [batch for batch in round_.due if batch.state is BatchState.SUBMITTED]
        submitted.sort(key=lambda batch: batch.next_poll_at)
        with closing(UploadReader(self.uploads, imported.upload)) as reader:
            for at, batch in enumerate(submitted):
                if time_left() < SAFE_MARGIN:
                    raise RetryAfterError(0)
                saleshandy.turn(len(submitted) - at)
                self._poll_batch(imported, batch, round_, saleshandy, reader)
        due = [batch for batch in round_.due if batch.state is not BatchState.SUBMITTED]
        if due:
            due.sort(key=lambda batch: batch.next_poll_at)
            self._reconcile(imported, due, round_, saleshandy, time_left)

    def _poll_batch(
        self,
        imported: Import,
        batch: Batch,
        round_: "_PollRound",
        saleshandy: RateLimitedClient,
        reader: UploadReader,
    ) -> None:
        now = self.now()
        try:
            status = saleshandy.status(batch.request_id)
        except RequestNotFoundError:
            if now - batch.sent_at > _UNKNOWN_REQUEST_GRACE:
                self._unconfirmed(imported, batch, _REQUEST_FORGOTTEN, round_)
            else:
                self._poll_again(imported, batch, round_)
        except RequestRefusedError as error:
            _log.warning("batch %d: no status this time: %s", batch.number, error)
            self._poll_again(imported, batch, round_)
        except OutcomeUnknownError:
            self._poll_again(imported, batch, round_)
            raise
        else:
            if not status.completed:
                self._poll_again(imported, batch, round_)
            elif status.report_link is None:
                self._report_missed(imported, batch, "its link is not understood", round_)
            elif status.report_link:
                self._fetch_report(imported, batch, status.report_link, round_, reader)
            else:
                self._completed(imported, batch, round_, report=False)

    def _poll_again(
        self,
        imported: Import,
        batch: Batch,
        round_: "_PollRound",
        *,
        reports_missed: int | None = None,
    ) -> None:
        now = self.now()
        wait = max(_SHORTEST_WAIT * self.policy.initial_poll_delay, _GROWTH * (now - batch.sent_at))
        next_poll_at = now + min(wait, self.policy.max_poll_interval)
        grace_ends = batch.sent_at + self.policy.grace
        if batch.state is BatchState.REPORTED:
            grace_ends = batch.changed_at + self.policy.grace
        if batch.state is not BatchState.SUBMITTED and now < grace_ends:
            next_poll_at = min(next_poll_at, grace_ends)
        missed = batch.reports_missed if reports_missed is None else reports_missed
        self.ledger.polled(imported.id, batch.number, next_poll_at, reports_missed=missed)
        round_.poll_again_at(next_poll_at)

    def _unconfirmed(
        self, imported: Import, batch: Batch, reason: str, round_: "_PollRound"
    ) -> None:
        now = self.now()
        self.ledger.unconfirmed(imported.id, batch.number, reason, now, now)
        round_.poll_again_at(now)
        round_.moved_at = now

    def _fetch_report(
        self, imported: Import, batch: Batch, link: str, round_: "_PollRound", reader: UploadReader
    ) -> None:
        accounts = reader.accounts_of(batch.range)
        redactor = Redactor(secret for account in accounts for secret in account.secrets)
        addresses = {account.smtp.address.lower() for account in accounts}
        name = report_name(batch.number)
        try:
            with (
                self.client_for(imported.upload.workspace).report(link) as chunks,
                self.reports.writer(imported.id, name, "text/csv") as copy,
            ):
                if self.originals:
                    chunks = self.originals.keep(imported.id, name, chunks)  # noqa: PLW2901  the same ones
                copy_without_secrets(chunks, copy, addresses, redactor)
        except ReportUnavailableError as error:
            self._report_missed(imported, batch, redactor.clean(str(error)), round_)
        else:
            self._completed(imported, batch, round_, report=True)

    def _report_missed(
        self, imported: Import, batch: Batch, why: str, round_: "_PollRound"
    ) -> None:
        """Try again, or leave a request whose report is not to be had to the account list."""
        missed = batch.reports_missed + 1
        if missed < _REPORTS_MISSED:
            self._poll_again(imported, batch, round_, reports_missed=missed)
            return
        reason = f"the service finished, but its report is missing: {why}"
        self._verify(imported, batch, round_, report=False, reason=reason)

    def _completed(
        self, imported: Import, batch: Batch, round_: "_PollRound", *, report: bool
    ) -> None:
        if self.policy.verify_connected:
            self._verify(imported, batch, round_, report=report)
            return
        now = self.now()
        self.ledger.settle(imported.id, batch.number, BatchState.COMPLETED, now, report=report)
        round_.mark_settled(batch, now)

    def _verify(
        self,
        imported: Import,
        batch: Batch,
        round_: "_PollRound",
        *,
        report: bool,
        reason: str = "",
    ) -> None:
        """Have a completed request verified by the account list."""
        now = self.now()
        next_poll_at = now + self.policy.settle
        self.ledger.reported(
            imported.id, batch.number, now, next_poll_at, report=report, reason=reason
        )
        round_.mark_settled(batch, now)
        round_.poll_again_at(next_poll_at)

    def _reconcile(
        self,
        imported: Import,
        due: Sequence[Batch],
        round_: "_PollRound",
        saleshandy: RateLimitedClient,
        time_left: Callable[[], float],
    ) -> None:
        """Look in the account list for what became of batches that are due."""
        reconciler = Reconciler(
            self.ledger, self.uploads, self.reports, self.account_list, self.policy, self.now
        )
        left = set(due)
        for batch, resolution in reconciler.reconcile(imported, due, saleshandy, time_left):
            left.remove(batch)
            was_unconfirmed = batch.state is BatchState.UNCONFIRMED
            if resolution is Resolution.WAITING:
                self._poll_again(imported, batch, round_)
            else:
                round_.unconfirmed -= was_unconfirmed
                round_.planned += resolution is Resolution.WITHDRAWN
        for batch in left:
            round_.poll_again_at(batch.next_poll_at)


@dataclass(slots=True)
class _PollRound:
    """What there is to do for an import.

    `running` are the batches with the remote, by number; `moved_at` is when one last changed its
    state, `next_look` when the import is to be looked at again.
    """

    submitting: bool
    running: dict[int, Batch] = field(default_factory=dict)
    reported: list[Batch] = field(default_factory=list)
    moved_at: float = 0.0
    planned: int = 0
    unconfirmed: int = 0
    due: list[Batch] = field(default_factory=list)
    next_poll: float = math.inf

    def add(self, batch: Batch, now: float) -> None:
        """Take a batch that is not settled: into this look, or into a later one.

        Requests whose time comes soon are taken along, so that many of them make few looks. An
        unconfirmed batch is not: a list that was read before its time would be read again.
        """
        early = 0.0
        if batch.state is BatchState.SUBMITTED:
            early = (now - batch.sent_at) / _TAKEN_ALONG
        if batch.next_poll_at <= now + early:
            self.due.append(batch)
        else:
            self.poll_again_at(batch.next_poll_at)

    def verify(self, now: float, settle: float) -> None:
        """Take the reported batches: into this round those whose time has come.

        They are verified together by one scan of the list, as far as that delays none for long.
        """
        if not self.reported:
            return
        first = min(batch.next_poll_at for batch in self.reported)
        together = max(
            batch.next_poll_at for batch in self.reported if batch.next_poll_at <= first + settle
        )
        if self.running or self.planned:
            together = max(together, first + _GATHERING)
        for batch in self.reported[:_MOST_VERIFIED]:
            if together <= now and batch.next_poll_at <= now:
                self.due.append(batch)
            else:
                self.poll_again_at(max(together, batch.next_poll_at))

    def mark_settled(self, batch: Batch, now: float) -> None:
        """Take a batch out that was settled."""
        del self.running[batch.number]
        self.moved_at = now

    def poll_again_at(self, moment: float) -> None:
        """Have one more look at a moment, or before it."""
        self.next_poll = min(self.next_poll, moment)

    @property
    def may_submit(self) -> bool:
        """Whether batches are waiting that nobody is sending, and that may be sent."""
        return self.planned > 0 and not self.submitting and self.unconfirmed < MOST_UNCONFIRMED

    def interrupted(self, imported: Import, now: float, wait: float) -> Step:
        """Return the step after a look that was broken off; submitting gets its turn, too."""
        step = Step.SUBMIT if self.may_submit else Step.CHECK
        return Step(step, min(wait, imported.deadline - now))

    def next_step(self, imported: Import, now: float, policy: Policy) -> Step:
        """Return the step after a look."""
        if self.may_submit:
            return Step(Step.SUBMIT)
        if self.next_poll == math.inf and not self.planned:
            return Step(Step.DELIVER)
        wait = min(self.next_poll - now, policy.max_poll_interval, imported.deadline - now)
        return Step(Step.CHECK, max(wait, 0.0))
