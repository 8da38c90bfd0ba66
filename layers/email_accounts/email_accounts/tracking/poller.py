"""Tracking: polls the batches that are due, and decides what comes next."""

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

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
    MOST_UNCONFIRMED,
    UPLOAD_DELETED,
    Batch,
    BatchState,
    Import,
    ImportState,
    ReasonCode,
)
from email_accounts.models.policy import Policy
from email_accounts.models.steps import NextAction, TaskResult
from email_accounts.ports import ClientFactory, Clock, Ledger, Reports, Uploads
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
_POLLED_EARLY = 20
_CLOCKS_APART = 300.0
"""Seconds by which the remote's clock may differ."""

_REQUEST_FORGOTTEN = "the service no longer knows the request"
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

    def mark_settled(self, batch: Batch, now: float) -> None:
        """Take a batch out that was settled."""
        del self.running[batch.number]
        self.moved_at = now

    def poll_again_at(self, moment: float) -> None:
        """Have the import polled again at a moment, or before it."""
        self.next_poll = min(self.next_poll, moment)

    @property
    def may_submit(self) -> bool:
        """Whether batches are waiting that nobody is sending, and that may be sent."""
        return self.planned > 0 and not self.submitting and self.unconfirmed < MOST_UNCONFIRMED

    def interrupted(self, wait: float) -> TaskResult:
        """Return what comes after a round that was broken off; submitting gets its turn, too."""
        return TaskResult(NextAction.SUBMIT if self.may_submit else NextAction.CHECK, wait)

    def result(self, now: float, policy: Policy) -> TaskResult:
        """Return what comes after a round."""
        if self.may_submit:
            return TaskResult(NextAction.SUBMIT)
        if self.next_poll == math.inf and not self.planned:
            return TaskResult(NextAction.DELIVER)
        wait = min(self.next_poll - now, policy.max_poll_interval)
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

        A report is fetched in the poll that finds it, because nobody knows how long its link
        lives; the link itself is remembered nowhere, because it may lead to passwords.
        An import whose lease somebody has is not delivered: that one may have died, and is
        waited for until the lease ends.
        """
        # In this order: whoever sends a batch has the lease before, so that a batch being sent
        # under no lease is one whose submitter has died.
        batches = list(self.ledger.batches(import_id))
        imported = self.ledger.get(import_id)
        result = self._polled(imported, batches, time_left)
        if result.next is NextAction.DELIVER:
            leased_for = self.ledger.get(import_id).lease_until - self.now()
            if leased_for > 0:
                return TaskResult(NextAction.CHECK, self.policy.initial_poll_delay).before(
                    leased_for
                )
        return result.before(imported.deadline - self.now())

    def _polled(
        self, imported: Import, batches: Sequence[Batch], time_left: Callable[[], float]
    ) -> TaskResult:
        now = self.now()
        leased = imported.lease_until > now
        if imported.stopped or now >= imported.deadline:
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
            with closing(UploadReader(self.uploads, imported.upload)) as reader:
                client = self._client(imported)
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
            _log.warning("the poll is broken off: %s", error)
            return TaskResult(NextAction.CHECK, self.policy.initial_poll_delay)
        return TaskResult(NextAction.DELIVER)

    def _client(self, imported: Import) -> RateLimitedClient:
        client = self.client_for(imported.upload.workspace)
        return RateLimitedClient(client, self.ledger, self.policy, self.now, imported)

    def _round(self, round_: PollRound, batches: Sequence[Batch]) -> TaskResult:
        self._take_stock(round_, batches)
        try:
            self._poll_due(round_)
            self._give_up_waiting(round_)
        except RetryAfterError as later:
            return round_.interrupted(later.wait_seconds)
        except (NotSentError, OutcomeUnknownError) as error:
            _log.warning("the poll is broken off: %s", error)
            return round_.interrupted(backoff(round_.imported, self.now()))
        return round_.result(self.now(), self.policy)

    def _take_stock(self, round_: PollRound, batches: Sequence[Batch]) -> None:
        """See how all batches stand."""
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

    def _give_up_waiting(self, round_: PollRound) -> None:
        """Leave requests that have made no progress for an hour to the account list."""
        now = self.now()
        if round_.planned or round_.unconfirmed or now - round_.moved_at < _HOUR:
            return
        for batch in round_.running.values():
            self._unconfirmed(round_, batch, ReasonCode.NO_PROGRESS, NO_PROGRESS)

    def _poll_due(self, round_: PollRound) -> None:
        submitted = [batch for batch in round_.due if batch.state is BatchState.SUBMITTED]
        submitted.sort(key=lambda batch: batch.next_poll_at)
        for at, batch in enumerate(submitted):
            if round_.time_left() < SAFE_MARGIN:
                raise RetryAfterError(0)
            round_.client.turn(len(submitted) - at)
            self._poll_batch(round_, batch)
        unconfirmed = [batch for batch in round_.due if batch.state is BatchState.UNCONFIRMED]
        if unconfirmed:
            unconfirmed.sort(key=lambda batch: batch.next_poll_at)
            resolved = self._reconcile(round_, unconfirmed[:MOST_UNCONFIRMED])
            for batch in unconfirmed[resolved:]:
                round_.poll_again_at(batch.next_poll_at)

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
            self._poll_again(round_, batch)
            raise
        else:
            if not status.completed:
                self._poll_again(round_, batch)
            elif status.report_link:
                self._fetch_report(round_, batch, status.report_link)
            else:
                self.ledger.save(round_.imported.id, batch, batch.completed(now))
                round_.mark_settled(batch, now)

    def _poll_again(
        self, round_: PollRound, batch: Batch, *, reports_missed: int | None = None
    ) -> None:
        now = self.now()
        wait = max(_SHORTEST_WAIT * self.policy.initial_poll_delay, _GROWTH * (now - batch.sent_at))
        next_poll_at = now + min(wait, self.policy.max_poll_interval)
        grace_ends = batch.sent_at + self.policy.grace
        if batch.state is BatchState.UNCONFIRMED and now < grace_ends:
            next_poll_at = min(next_poll_at, grace_ends)
        missed = batch.reports_missed if reports_missed is None else reports_missed
        polled = batch.polled(next_poll_at, reports_missed=missed)
        polled = self.ledger.save(round_.imported.id, batch, polled)
        if batch.number in round_.running:
            round_.running[batch.number] = polled
        round_.poll_again_at(next_poll_at)

    def _unconfirmed(self, round_: PollRound, batch: Batch, code: ReasonCode, reason: str) -> None:
        now = self.now()
        self.ledger.save(
            round_.imported.id, batch, batch.unconfirmed(code, reason, now, next_poll_at=now)
        )
        round_.poll_again_at(now)
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
            missed = batch.reports_missed + 1
            if missed < _REPORTS_MISSED:
                self._poll_again(round_, batch, reports_missed=missed)
                return
            why = redactor.clean(str(error))
            reason = f"the service finished, but its report is missing: {why}"
            self._unconfirmed(round_, batch, ReasonCode.REPORT_MISSING, reason)
        else:
            now = self.now()
            self.ledger.save(imported.id, batch, batch.completed(now, report=True))
            round_.mark_settled(batch, now)

    def _reconcile(self, round_: PollRound, batches: Sequence[Batch]) -> int:
        """Look in the account list for what became of unconfirmed batches.

        They come in the order of `next_poll_at`. Returns how many of them were resolved: those
        whose time had come when the scan of the list began.
        """
        imported = round_.imported
        try:
            scan = self.account_list.scan(
                imported.id,
                round_.client,
                fresh=batches[0].next_poll_at,
                since=min(batch.sent_at for batch in batches) - _CLOCKS_APART,
                time_left=round_.time_left,
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
            self._resolve(round_, batch, addresses, found)
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
        round_: PollRound,
        batch: Batch,
        addresses: set[str],
        found: dict[str, AccountStatus],
    ) -> None:
        """Decide on a batch by what the list shows of it.

        It is sent again only where its answer was lost and, after the grace period, the list
        shows none of its addresses.
        """
        imported = round_.imported
        all_connected = list(found.values()) == [AccountStatus.CONNECTED] * len(addresses)
        grace_over = batch.next_poll_at >= batch.sent_at + self.policy.grace
        may_be_sent_again = not (found or batch.request_id or batch.sent >= _MOST_SENT)
        if grace_over and may_be_sent_again:
            self.ledger.save(imported.id, batch, batch.withdrawn())
            round_.planned += 1
            round_.unconfirmed -= 1
        elif grace_over or all_connected:
            statuses = self._connected_before(imported, batch) | found
            name = reconciliation_name(batch.number)
            with self.reports.writer(imported.id, name, "text/csv") as evidence:
                write_reconciliation(evidence, statuses)
            self.ledger.save(imported.id, batch, batch.reconciled(self.now()))
            round_.unconfirmed -= 1
        else:
            self._poll_again(round_, batch)
