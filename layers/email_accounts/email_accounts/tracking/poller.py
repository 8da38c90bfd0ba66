"""Tracking: polls the batches that are due, and decides what comes next."""

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from email_accounts.errors import (
    ApiKeyMissingError,
    ApiKeyRefusedError,
    LedgerConflictError,
    NotSentError,
    OutcomeUnknownError,
    ReportUnavailableError,
    RequestNotFoundError,
    RequestRefusedError,
    RetryAfterError,
    UploadMissingError,
)
from email_accounts.intake.batches import UploadReader
from email_accounts.models.account import secrets_of
from email_accounts.models.imports import (
    ANSWER_LOST,
    FINAL,
    LONGEST_DEADLINE,
    MOST_UNCONFIRMED,
    NO_PROGRESS,
    UPLOAD_DELETED,
    Batch,
    BatchState,
    Import,
    ImportState,
    ReasonCode,
)
from email_accounts.models.policy import Policy
from email_accounts.models.service import CallKind
from email_accounts.models.steps import NextAction, TaskResult
from email_accounts.ports import ClientFactory, Clock, Ledger, Reports, Uploads
from email_accounts.saleshandy.account_list import AccountList
from email_accounts.saleshandy.budget import CALL_RANK
from email_accounts.saleshandy.rate_limit import (
    SAFE_MARGIN,
    RateLimitedClient,
    backoff,
    shortest_wait,
)
from email_accounts.saleshandy.report import copy_without_secrets, report_name
from email_accounts.text.secret import Redactor
from email_accounts.tracking.reconciler import Reconciler, Resolution

_HOUR = 3600.0
_UNKNOWN_REQUEST_GRACE = 600.0
"""Seconds after its submission for which 'request not found' is taken to mean 'not yet'."""
_UNWATCHED = 600.0
"""Seconds by which a poll is so late that what happened before it is unknown."""
_WINDOWS = 6
"""Parts of the time to a deadline; an import that has sent a batch in the last gets another."""
_SHORTEST_WAIT = 1.5
"""The second poll comes this many first delays later."""
_REPORTS_MISSED = 3
_POLLED_EARLY = 20
_COALESCING_DELAY = 3600.0
"""Seconds for which reported batches wait for others that run, to be verified together."""
_LAST_SCAN = 300.0
"""Seconds before the deadline when they wait no longer."""

_REQUEST_FORGOTTEN = "Saleshandy no longer has the request"
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class PollRound:
    """One poll of an import, and what it finds.

    `running` are the batches that Saleshandy works on, by number; `moved_at` is when one last
    changed its state, `next_poll` when the import is polled again.
    """

    imported: Import
    client: RateLimitedClient
    reader: UploadReader
    time_left: Callable[[], float]
    submitting: bool
    running: dict[int, Batch] = field(default_factory=dict)
    reported: list[Batch] = field(default_factory=list)
    moved_at: float = 0.0
    planned: int = 0
    unconfirmed: int = 0
    due: list[Batch] = field(default_factory=list)
    next_poll: float = math.inf

    def add(self, batch: Batch, now: float) -> None:
        """Take a batch that is not settled into this round, or into a later one.

        Requests whose time comes soon are polled early, so that many of them make few rounds. An
        unconfirmed batch is not: a list that was read before its time would be read again.
        """
        early = 0.0
        if batch.state is BatchState.SUBMITTED:
            early = (now - batch.sent_at) / _POLLED_EARLY
        if batch.next_poll_at <= now + early:
            self.due.append(batch)
        else:
            self.poll_again_at(batch.next_poll_at)

    def verify(self, now: float, settle: float) -> None:
        """Take the reported batches into this round where their time has come.

        One scan of the list verifies them together: while others run, those of an hour, in the
        polls that these need anyway.
        """
        if not self.reported:
            return
        first = min(batch.next_poll_at for batch in self.reported)
        together = max(
            batch.next_poll_at for batch in self.reported if batch.next_poll_at <= first + settle
        )
        if self.waits_for_others:
            together = max(together, min(first + _COALESCING_DELAY, self.last_scan_at))
        for batch in self.reported:
            if together <= now and batch.next_poll_at <= now:
                self.due.append(batch)
            else:
                self.verify_at(max(together, batch.next_poll_at))

    def verify_at(self, moment: float) -> None:
        """Have reported batches verified at a moment, or with others that are polled later."""
        self.poll_again_at(max(moment, self.last_scan_at) if self.waits_for_others else moment)

    @property
    def waits_for_others(self) -> bool:
        """Whether batches that are not finished need polls of their own."""
        return bool(self.running or self.planned)

    @property
    def last_scan_at(self) -> float:
        """When reported batches wait for others no longer."""
        return self.imported.deadline - _LAST_SCAN

    def mark_settled(self, batch: Batch, now: float) -> None:
        """Take a batch out that was settled."""
        del self.running[batch.number]
        self.moved_at = now

    def poll_again_at(self, moment: float) -> None:
        """Have the import polled again at a moment, or before it."""
        self.next_poll = min(self.next_poll, moment)

    @property
    def may_submit(self) -> bool:
        """Whether planned batches may be sent, and none is being sent."""
        return self.planned > 0 and not self.submitting and self.unconfirmed < MOST_UNCONFIRMED

    def interrupted(self, wait: float) -> TaskResult:
        """Return what follows an interrupted round; submitting continues, too."""
        return TaskResult(NextAction.SUBMIT if self.may_submit else NextAction.CHECK, wait)

    def result(self, now: float, policy: Policy) -> TaskResult:
        """Return what comes after a round."""
        if self.may_submit:
            return TaskResult(NextAction.SUBMIT)
        if self.next_poll == math.inf and not self.planned:
            return TaskResult(NextAction.DELIVER)
        longest = max(policy.max_poll_interval, shortest_wait(self.imported, now))
        wait = min(self.next_poll - now, longest)
        return TaskResult(NextAction.CHECK, max(wait, 0.0))


@dataclass(frozen=True, slots=True)
class Poller:
    """Polls the batches of an import."""

    ledger: Ledger
    uploads: Uploads
    reports: Reports
    account_list: AccountList
    client_for: ClientFactory
    policy: Policy
    now: Clock

    def poll(self, import_id: str, time_left: Callable[[], float]) -> TaskResult:
        """Poll every batch that is due, fetch the reports that are ready, and decide.

        A report is fetched in the poll that finds it, because it is not known how long its link
        lives; the link itself is never stored, because it may lead to passwords.
        An import that another worker holds is not delivered: that one may have died, and is
        waited for until the lease ends.
        """
        # In this order: the sender of a batch has the lease before, so that a batch being sent
        # under no lease is one whose submitter has died.
        batches = list(self.ledger.batches(import_id))
        imported = self._extended(self.ledger.get(import_id), batches)
        result = self._polled(imported, batches, time_left)
        now = self.now()
        if result.next is NextAction.DELIVER:
            leased_for = self.ledger.get(import_id).lease_until - now
            if leased_for > 0:
                waiting = TaskResult(NextAction.CHECK, self.policy.initial_poll_delay)
                overdue = max(now - imported.deadline, 0.0)
                return replace(waiting.before(leased_for), overdue_seconds=overdue)
        return result.before(imported.deadline - now)

    def _extended(self, imported: Import, batches: Sequence[Batch]) -> Import:
        """Move the deadline of an import on while its batches are being sent.

        How many calls other imports will need is not known at its beginning.
        """
        now = self.now()
        latest = imported.began_at + LONGEST_DEADLINE
        window = min(self.policy.deadline, imported.deadline - imported.began_at) / _WINDOWS
        sent_at = max((batch.sent_at for batch in batches), default=0.0)
        is_done = all(batch.state in FINAL for batch in batches)
        if not imported.deadline <= now < latest or now - sent_at > window or is_done:
            return imported
        self.ledger.extend(imported, min(now + window, latest))
        return self.ledger.get(imported.id)

    def _polled(
        self, imported: Import, batches: Sequence[Batch], time_left: Callable[[], float]
    ) -> TaskResult:
        now = self.now()
        leased = imported.lease_until > now
        # An event that was put back late: the deadline is counted from the plan.
        was_tried = imported.attempts > 0 or imported.state is not ImportState.RECEIVED
        if imported.stopped or (now >= imported.deadline and was_tried):
            return TaskResult(NextAction.DELIVER)
        if imported.state is ImportState.RECEIVED:
            return (
                TaskResult(NextAction.CHECK, self.policy.initial_poll_delay)
                if leased
                else TaskResult(NextAction.SUBMIT)
            )
        if imported.state is not ImportState.PLANNED:
            return TaskResult(NextAction.DELIVER)
        try:
            with closing(UploadReader(self.uploads, self.reports, imported)) as reader:
                saleshandy = self.client_for(imported.upload.workspace)
                client = RateLimitedClient(saleshandy, self.ledger, self.policy, self.now, imported)
                return self._round(
                    PollRound(imported, client, reader, time_left, submitting=leased), batches
                )
        except ApiKeyRefusedError as error:
            self.ledger.stop(imported, ReasonCode.API_KEY_REFUSED, str(error))
        except ApiKeyMissingError as error:
            self.ledger.stop(imported, ReasonCode.API_KEY_MISSING, str(error))
        except UploadMissingError:
            self.ledger.stop(imported, ReasonCode.UPLOAD_DELETED, UPLOAD_DELETED)
        except LedgerConflictError as error:
            _log.warning("the poll was interrupted: %s", error)
            return TaskResult(NextAction.CHECK, self.policy.initial_poll_delay)
        return TaskResult(NextAction.DELIVER)

    def _round(self, round_: PollRound, batches: Sequence[Batch]) -> TaskResult:
        self._take_stock(round_, batches)
        try:
            self._poll_due(round_)
            self._give_up_waiting(round_)
        except RetryAfterError as later:
            return round_.interrupted(later.wait_seconds)
        except (NotSentError, OutcomeUnknownError) as error:
            _log.warning("the poll was interrupted: %s", error)
            return round_.interrupted(backoff(round_.imported, self.now()))
        return round_.result(self.now(), self.policy)

    def _take_stock(self, round_: PollRound, batches: Sequence[Batch]) -> None:
        """Read the state of all batches."""
        now = self.now()
        soon = now + self.policy.initial_poll_delay
        round_.moved_at = round_.imported.began_at
        for batch in batches:
            round_.moved_at = max(round_.moved_at, batch.changed_at)
            match batch.state:
                case BatchState.PLANNED:
                    round_.planned += 1
                    if round_.submitting:
                        round_.poll_again_at(soon)
                case BatchState.SENDING:
                    round_.poll_again_at(soon)
                    if not round_.submitting:
                        lost = batch.unconfirmed(ReasonCode.ANSWER_LOST, ANSWER_LOST, now, soon)
                        self.ledger.save(round_.imported.id, batch, lost)
                        round_.unconfirmed += 1
                case BatchState.UNCONFIRMED:
                    round_.unconfirmed += 1
                    round_.add(batch, now)
                case BatchState.SUBMITTED:
                    round_.running[batch.number] = batch
                    round_.add(batch, now)
                case BatchState.REPORTED:
                    round_.reported.append(batch)
        round_.verify(now, self.policy.settle)

    def _give_up_waiting(self, round_: PollRound) -> None:
        """Leave requests that have made no progress for an hour to the account list."""
        now = self.now()
        if round_.planned or round_.unconfirmed or now - round_.moved_at < _HOUR:
            return
        for batch in round_.running.values():
            self._unconfirmed(round_, batch, ReasonCode.NO_PROGRESS, NO_PROGRESS)

    def _poll_due(self, round_: PollRound) -> None:
        """Reconcile and poll what is due.

        The calls for polls of a large import are used up in each round: what is reported would be
        verified at its end alone.
        """
        interrupted: Exception | None = None
        others = [batch for batch in round_.due if batch.state is not BatchState.SUBMITTED]
        if others:
            try:
                self._reconcile(round_, others)
            except (RetryAfterError, NotSentError, OutcomeUnknownError) as error:
                interrupted = error
        submitted = [batch for batch in round_.due if batch.state is BatchState.SUBMITTED]
        submitted.sort(key=lambda batch: batch.next_poll_at)
        for at, batch in enumerate(submitted):
            if round_.time_left() < SAFE_MARGIN:
                raise RetryAfterError(0)
            rank = max(
                batch.next_poll_at, round_.imported.began_at + CALL_RANK * (batch.number - 1)
            )
            round_.client.turn(len(submitted) - at, CallKind.POLL, rank)
            self._poll_batch(round_, batch)
        if interrupted:
            raise interrupted

    def _poll_batch(self, round_: PollRound, batch: Batch) -> None:
        now = self.now()
        try:
            status = round_.client.status(batch.request_id)
        except RequestNotFoundError:
            if now - batch.sent_at > _UNKNOWN_REQUEST_GRACE:
                code = ReasonCode.REQUEST_FORGOTTEN
                self._unconfirmed(round_, batch, code, _REQUEST_FORGOTTEN)
            else:
                self._poll_again(round_, batch)
        except RequestRefusedError as error:
            _log.warning("batch %d: no status this time: %s", batch.number, error)
            self._poll_again(round_, batch)
        except OutcomeUnknownError:
            self._poll_again(round_, batch, is_watched=False)
            raise
        else:
            if not status.completed:
                overdue = now - batch.next_poll_at > _UNWATCHED
                self._poll_again(round_, batch, is_watched=not overdue)
            elif status.report_link is None:
                self._report_missed(round_, batch, "its link is not valid")
            elif status.report_link:
                self._fetch_report(round_, batch, status.report_link)
            else:
                self._completed(round_, batch, report=False)

    def _poll_again(
        self,
        round_: PollRound,
        batch: Batch,
        *,
        reports_missed: int | None = None,
        is_watched: bool = True,
    ) -> None:
        """Poll a batch later; the hour without progress begins again if it was not watched."""
        now = self.now()
        shortest = _SHORTEST_WAIT * self.policy.initial_poll_delay
        wait = max(shortest, _interval(now - batch.sent_at))
        longest = max(self.policy.max_poll_interval, shortest_wait(round_.imported, now))
        next_poll_at = now + min(wait, longest)
        grace_ends = batch.sent_at + self.policy.grace
        if batch.state is BatchState.REPORTED:
            grace_ends = batch.changed_at + self.policy.grace
        if batch.state is not BatchState.SUBMITTED and now < grace_ends:
            next_poll_at = min(next_poll_at, grace_ends)
        missed = batch.reports_missed if reports_missed is None else reports_missed
        polled = batch.polled(next_poll_at, reports_missed=missed)
        if not is_watched:
            round_.moved_at = now
            polled = replace(polled, changed_at=now)
        polled = self.ledger.save(round_.imported.id, batch, polled)
        if batch.number in round_.running:
            round_.running[batch.number] = polled
        round_.poll_again_at(next_poll_at)

    def _unconfirmed(self, round_: PollRound, batch: Batch, code: ReasonCode, reason: str) -> None:
        now = self.now()
        # Saleshandy may have finished it just now, while its report cannot be fetched.
        next_poll_at = now + self.policy.settle
        self.ledger.save(
            round_.imported.id, batch, batch.unconfirmed(code, reason, now, next_poll_at)
        )
        round_.poll_again_at(next_poll_at)
        round_.moved_at = now

    def _fetch_report(self, round_: PollRound, batch: Batch, link: str) -> None:
        imported = round_.imported
        accounts = round_.reader.accounts_of(batch.range)
        saleshandy = self.client_for(imported.upload.workspace)
        redactor = Redactor([saleshandy.key(), *secrets_of(accounts)])
        addresses = {account.smtp.address.lower() for account in accounts}
        name = report_name(batch.number)
        try:
            with (
                saleshandy.report(link) as chunks,
                self.reports.writer(imported.id, name, "text/csv") as copy,
            ):
                copy_without_secrets(chunks, copy, addresses, redactor)
        except ReportUnavailableError as error:
            self._report_missed(round_, batch, redactor.clean(str(error)))
        else:
            self._completed(round_, batch, report=True)

    def _report_missed(self, round_: PollRound, batch: Batch, why: str) -> None:
        """Try again, or leave a request without its report to the account list."""
        missed = batch.reports_missed + 1
        if missed < _REPORTS_MISSED:
            self._poll_again(round_, batch, reports_missed=missed)
            return
        reason = f"Saleshandy finished, but its report is missing: {why}"
        self._verify(round_, batch, report=False, missing=reason)

    def _completed(self, round_: PollRound, batch: Batch, *, report: bool) -> None:
        if self.policy.verify_connected:
            self._verify(round_, batch, report=report)
            return
        now = self.now()
        self.ledger.save(round_.imported.id, batch, batch.completed(now, report=report))
        round_.mark_settled(batch, now)

    def _verify(self, round_: PollRound, batch: Batch, *, report: bool, missing: str = "") -> None:
        """Have a request that is finished verified by the account list."""
        now = self.now()
        next_poll_at = now + self.policy.settle
        reported = batch.reported(now, next_poll_at, report=report, missing=missing)
        self.ledger.save(round_.imported.id, batch, reported)
        round_.mark_settled(batch, now)
        round_.verify_at(next_poll_at)

    def _reconcile(self, round_: PollRound, due: Sequence[Batch]) -> None:
        """Reconcile the batches that are due with the account list."""
        reconciler = Reconciler(
            self.ledger, self.uploads, self.reports, self.account_list, self.policy, self.now
        )
        left = set(due)
        for batch, resolution in reconciler.reconcile(
            round_.imported, due, round_.client, round_.time_left
        ):
            left.remove(batch)
            if resolution is Resolution.WAITING:
                self._poll_again(round_, batch)
                continue
            round_.unconfirmed -= batch.state is BatchState.UNCONFIRMED
            round_.planned += resolution is Resolution.WITHDRAWN
        for batch in left:
            round_.poll_again_at(batch.next_poll_at)


def _interval(age: float) -> float:
    """Return the seconds between two polls of a request of an age in seconds.

    A sixth of it, and less for some minutes: with the verification that follows, its result is
    known within a fifth of the time that it took, or 45 s.
    """
    return min(age / 6, max(29, age / 5 - 16))
