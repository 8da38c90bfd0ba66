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
from email_accounts.models.account import secrets_of
from email_accounts.models.imports import (
    ANSWER_LOST,
    MOST_UNCONFIRMED,
    UPLOAD_DELETED,
    Batch,
    BatchState,
    Import,
    ImportState,
)
from email_accounts.models.policy import Policy
from email_accounts.models.steps import Step
from email_accounts.ports import ClientFactory, Clock, Ledger, Originals, Reports, Uploads
from email_accounts.saleshandy.account_list import AccountList
from email_accounts.saleshandy.rate_limit import SAFE_MARGIN, RateLimitedClient, backoff
from email_accounts.saleshandy.reconciliation import (
    AccountStatus,
    read_reconciliation,
    reconciliation_name,
    write_reconciliation,
)
from email_accounts.saleshandy.report import copy_without_secrets, report_name
from email_accounts.text.secret import Redactor

NO_PROGRESS = "the service took the request, but made no progress for an hour"

_HOUR = 3600.0
_UNKNOWN_REQUEST_GRACE = 600.0
"""Seconds after its submission for which 'request not found' is taken to mean 'not yet'."""
_GROWTH = 1 / 6
_SHORTEST_WAIT = 1.5
"""In first looks: the second look comes so much later."""
_REPORTS_MISSED = 3
_MOST_SENT = 3
_TAKEN_ALONG = 20
_CLOCKS_APART = 300.0
"""Seconds by which the remote's clock may differ."""

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
        unconfirmed = [batch for batch in round_.due if batch.state is BatchState.UNCONFIRMED]
        if unconfirmed:
            unconfirmed.sort(key=lambda batch: batch.next_poll_at)
            reconciled = unconfirmed[:MOST_UNCONFIRMED]
            judged = self._reconcile(imported, reconciled, round_, saleshandy, time_left)
            for batch in unconfirmed[judged:]:
                round_.poll_again_at(batch.next_poll_at)

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
            elif status.report_link:
                self._fetch_report(imported, batch, status.report_link, round_, reader)
            else:
                self.ledger.settle(imported.id, batch.number, BatchState.COMPLETED, now)
                round_.mark_settled(batch, now)

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
        if batch.state is BatchState.UNCONFIRMED and now < grace_ends:
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
        saleshandy = self.client_for(imported.upload.workspace)
        redactor = Redactor([saleshandy.key(), *secrets_of(accounts)])
        addresses = {account.smtp.address.lower() for account in accounts}
        name = report_name(batch.number)
        try:
            with (
                saleshandy.report(link) as chunks,
                self.reports.writer(imported.id, name, "text/csv") as copy,
            ):
                if self.originals:
                    chunks = self.originals.keep(imported.id, name, chunks)  # noqa: PLW2901  the same ones
                copy_without_secrets(chunks, copy, addresses, redactor)
        except ReportUnavailableError as error:
            missed = batch.reports_missed + 1
            if missed < _REPORTS_MISSED:
                self._poll_again(imported, batch, round_, reports_missed=missed)
                return
            why = redactor.clean(str(error))
            reason = f"the service finished, but its report is missing: {why}"
            self._unconfirmed(imported, batch, reason, round_)
        else:
            self.ledger.settle(
                imported.id, batch.number, BatchState.COMPLETED, self.now(), report=True
            )
            round_.mark_settled(batch, self.now())

    def _reconcile(
        self,
        imported: Import,
        batches: Sequence[Batch],
        round_: "_PollRound",
        saleshandy: RateLimitedClient,
        time_left: Callable[[], float],
    ) -> int:
        """Look in the account list for what became of unconfirmed batches.

        They come in the order of their `look_at`. Returns how many of them were judged: those
        whose time had come when the walk through the list began.
        """
        try:
            scan = self.account_list.scan(
                imported.id,
                saleshandy,
                fresh=batches[0].next_poll_at,
                since=min(batch.sent_at for batch in batches) - _CLOCKS_APART,
                time_left=time_left,
            )
        except RequestRefusedError as error:
            raise OutcomeUnknownError(str(error)) from None
        sent = self._addresses(
            imported, [one for one in batches if one.next_poll_at <= scan.began_at]
        )
        wanted = {address for addresses in sent.values() for address in addresses}
        statuses = {
            address: AccountStatus.CONNECTED if connected else AccountStatus.NOT_WORKING
            for address, connected in self.account_list.accounts(imported.id, scan)
            if address in wanted
        }
        for batch, addresses in sent.items():
            found = {one: statuses[one] for one in addresses if one in statuses}
            self._resolve(imported, batch, addresses, found, round_)
        return len(sent)

    def _addresses(self, imported: Import, batches: Sequence[Batch]) -> dict[Batch, set[str]]:
        """Return the addresses, in lower case, that were sent with each batch."""
        with closing(UploadReader(self.uploads, imported.upload)) as reader:
            return {
                batch: {account.smtp.address.lower() for account in reader.accounts_of(batch.range)}
                - self._connected_before(imported, batch).keys()
                for batch in batches
            }

    def _connected_before(self, imported: Import, batch: Batch) -> dict[str, AccountStatus]:
        """Return the addresses of a batch that were left out."""
        if not batch.reconciliation:
            return {}
        with self.reports.open(imported.id, reconciliation_name(batch.number)) as evidence:
            return {
                address: account_status
                for address, account_status in read_reconciliation(evidence).items()
                if account_status is AccountStatus.CONNECTED_BEFORE
            }

    def _resolve(
        self,
        imported: Import,
        batch: Batch,
        addresses: set[str],
        found: dict[str, AccountStatus],
        round_: "_PollRound",
    ) -> None:
        """Decide on a batch by what the list shows of it.

        It is sent again only where its answer was lost and, after the grace period, the list
        shows none of its addresses.
        """
        all_connected = list(found.values()) == [AccountStatus.CONNECTED] * len(addresses)
        grace_over = batch.next_poll_at >= batch.sent_at + self.policy.grace
        may_be_sent_again = not (found or batch.request_id or batch.sent >= _MOST_SENT)
        if grace_over and may_be_sent_again:
            self.ledger.withdraw(imported.id, batch.number)
            round_.planned += 1
            round_.unconfirmed -= 1
        elif grace_over or all_connected:
            statuses = self._connected_before(imported, batch) | found
            name = reconciliation_name(batch.number)
            with self.reports.writer(imported.id, name, "text/csv") as evidence:
                write_reconciliation(evidence, statuses)
            self.ledger.settle(
                imported.id,
                batch.number,
                BatchState.RECONCILED,
                self.now(),
                reason=batch.reason,
                reconciliation=True,
            )
            round_.unconfirmed -= 1
        else:
            self._poll_again(imported, batch, round_)


@dataclass(slots=True)
class _PollRound:
    """What there is to do for an import.

    `running` are the batches with the remote, by number; `moved_at` is when one last changed its
    state, `next_look` when the import is to be looked at again.
    """

    submitting: bool
    running: dict[int, Batch] = field(default_factory=dict)
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
