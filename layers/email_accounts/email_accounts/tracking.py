"""Tracking: looks at the batches that are due, and what to do after it."""

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from email_accounts.batches import UploadReader
from email_accounts.errors import (
    ApiKeyMissingError,
    ApiKeyRefusedError,
    LaterError,
    NotSentError,
    ReportUnavailableError,
    RequestNotFoundError,
    RequestRefusedError,
    UnansweredError,
    UploadMissingError,
)
from email_accounts.evidence import Standing, evidence_name, read_evidence, write_evidence
from email_accounts.ledger import Batch, BatchState, Import, ImportState, Ledger
from email_accounts.listing import AccountList
from email_accounts.pacing import SAFE_MARGIN, PacedRemote, rest
from email_accounts.ports import Clock, Originals, Policy, Remotes, Reports, Step, Uploads
from email_accounts.reports import copy_without_secrets, report_name
from email_accounts.secret import Redactor
from email_accounts.submission import ANSWER_LOST, MOST_UNCONFIRMED, UPLOAD_DELETED

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
class Tracker:
    """Looks at the batches of an import; `originals` keeps reports as they came, if wanted."""

    ledger: Ledger
    uploads: Uploads
    reports: Reports
    account_list: AccountList
    remotes: Remotes
    policy: Policy
    now: Clock
    originals: Originals | None = None

    def look(self, import_id: str, time_left: Callable[[], float]) -> Step:
        """Look at every batch that is due, fetch the reports that are ready, and decide.

        A report is fetched in the look that finds it, because nobody knows how long its link
        lives; the link itself is remembered nowhere, because it may lead to passwords.
        An import that somebody may still be submitting is not delivered: that one may have died,
        and is waited for as long as the import is held.
        """
        step = self._looked(import_id, time_left)
        if step.next == Step.DELIVER:
            held_for = self.ledger.get(import_id).lease_until - self.now()
            if held_for > 0:
                return Step(Step.CHECK, min(held_for, self.policy.first_look))
        return step

    def _looked(self, import_id: str, time_left: Callable[[], float]) -> Step:
        imported = self.ledger.get(import_id)
        now = self.now()
        finished = imported.state is not ImportState.PLANNED or imported.stopped
        if finished or now >= imported.deadline:
            return Step(Step.DELIVER)
        left = _Left(submitting=imported.lease_until > now)
        self._take_stock(imported, left)
        try:
            self._look_at_due(imported, left, time_left)
            self._give_up_waiting(imported, left)
        except LaterError as later:
            return left.broken_off(imported, now, later.wait_seconds)
        except (NotSentError, UnansweredError) as error:
            _log.warning("the look is broken off: %s", error)
            return left.broken_off(imported, now, rest(imported, now))
        except (ApiKeyRefusedError, ApiKeyMissingError) as error:
            self.ledger.stop(import_id, str(error))
            return Step(Step.DELIVER)
        except UploadMissingError:
            self.ledger.stop(import_id, UPLOAD_DELETED)
            return Step(Step.DELIVER)
        return left.next_step(imported, self.now(), self.policy)

    def _take_stock(self, imported: Import, left: "_Left") -> None:
        """See how all batches stand."""
        now = self.now()
        left.moved_at = imported.began_at
        for batch in self.ledger.batches(imported.id):
            left.moved_at = max(left.moved_at, batch.changed_at)
            match batch.state:
                case BatchState.PLANNED:
                    left.planned += 1
                    if left.submitting:
                        left.look_again_at(now + self.policy.first_look)
                case BatchState.SENDING if left.submitting:
                    left.look_again_at(now + self.policy.first_look)
                case BatchState.SENDING:
                    look_at = now + self.policy.first_look
                    self.ledger.unconfirmed(imported.id, batch.number, ANSWER_LOST, now, look_at)
                    left.unconfirmed += 1
                    left.look_again_at(look_at)
                case BatchState.UNCONFIRMED:
                    left.unconfirmed += 1
                    left.see(batch, now)
                case BatchState.SUBMITTED:
                    left.running[batch.number] = batch
                    left.see(batch, now)

    def _give_up_waiting(self, imported: Import, left: "_Left") -> None:
        """Leave requests that have made no progress for an hour to the account list."""
        now = self.now()
        if left.planned or left.unconfirmed or now - left.moved_at < _HOUR:
            return
        for batch in left.running.values():
            self._unconfirmed(imported, batch, NO_PROGRESS, left)

    def _look_at_due(self, imported: Import, left: "_Left", time_left: Callable[[], float]) -> None:
        remote = PacedRemote(
            self.remotes(imported.upload.workspace), self.ledger, self.policy, self.now, imported
        )
        submitted = [batch for batch in left.due if batch.state is BatchState.SUBMITTED]
        submitted.sort(key=lambda batch: batch.look_at)
        with closing(UploadReader(self.uploads, imported.upload)) as reader:
            for at, batch in enumerate(submitted):
                if time_left() < SAFE_MARGIN:
                    raise LaterError(0)
                remote.turn(len(submitted) - at)
                self._look_at(imported, batch, left, remote, reader)
        unconfirmed = [batch for batch in left.due if batch.state is BatchState.UNCONFIRMED]
        if unconfirmed:
            unconfirmed.sort(key=lambda batch: batch.look_at)
            looked_for = unconfirmed[:MOST_UNCONFIRMED]
            judged = self._look_for(imported, looked_for, left, remote, time_left)
            for batch in unconfirmed[judged:]:
                left.look_again_at(batch.look_at)

    def _look_at(
        self,
        imported: Import,
        batch: Batch,
        left: "_Left",
        remote: PacedRemote,
        reader: UploadReader,
    ) -> None:
        now = self.now()
        try:
            status = remote.status(batch.request_id)
        except RequestNotFoundError:
            if now - batch.sent_at > _UNKNOWN_REQUEST_GRACE:
                self._unconfirmed(imported, batch, _REQUEST_FORGOTTEN, left)
            else:
                self._look_again(imported, batch, left)
        except RequestRefusedError as error:
            _log.warning("batch %d: no status this time: %s", batch.number, error)
            self._look_again(imported, batch, left)
        except UnansweredError:
            self._look_again(imported, batch, left)
            raise
        else:
            if not status.completed:
                self._look_again(imported, batch, left)
            elif status.report_link:
                self._fetch_report(imported, batch, status.report_link, left, reader)
            else:
                self.ledger.settle(imported.id, batch.number, BatchState.COMPLETED, now)
                left.moved(batch, now)

    def _look_again(
        self, imported: Import, batch: Batch, left: "_Left", *, reports_missed: int | None = None
    ) -> None:
        now = self.now()
        wait = max(_SHORTEST_WAIT * self.policy.first_look, _GROWTH * (now - batch.sent_at))
        look_at = now + min(wait, self.policy.longest_wait)
        grace_ends = batch.sent_at + self.policy.grace
        if batch.state is BatchState.UNCONFIRMED and now < grace_ends:
            look_at = min(look_at, grace_ends)
        missed = batch.reports_missed if reports_missed is None else reports_missed
        self.ledger.looked(imported.id, batch.number, look_at, reports_missed=missed)
        left.look_again_at(look_at)

    def _unconfirmed(self, imported: Import, batch: Batch, reason: str, left: "_Left") -> None:
        now = self.now()
        self.ledger.unconfirmed(imported.id, batch.number, reason, now, now)
        left.look_again_at(now)
        left.moved_at = now

    def _fetch_report(
        self, imported: Import, batch: Batch, link: str, left: "_Left", reader: UploadReader
    ) -> None:
        accounts = reader.accounts_of(batch.range)
        redactor = Redactor(secret for account in accounts for secret in account.secrets)
        addresses = {account.smtp.address.lower() for account in accounts}
        name = report_name(batch.number)
        try:
            with (
                self.remotes(imported.upload.workspace).report(link) as chunks,
                self.reports.writer(imported.id, name, "text/csv") as copy,
            ):
                if self.originals:
                    chunks = self.originals.keep(imported.id, name, chunks)  # noqa: PLW2901  the same ones
                copy_without_secrets(chunks, copy, addresses, redactor)
        except ReportUnavailableError as error:
            missed = batch.reports_missed + 1
            if missed < _REPORTS_MISSED:
                self._look_again(imported, batch, left, reports_missed=missed)
                return
            reason = f"the service finished, but its report is missing: {error}"
            self._unconfirmed(imported, batch, redactor.clean(reason), left)
        else:
            self.ledger.settle(
                imported.id, batch.number, BatchState.COMPLETED, self.now(), report=True
            )
            left.moved(batch, self.now())

    def _look_for(
        self,
        imported: Import,
        batches: Sequence[Batch],
        left: "_Left",
        remote: PacedRemote,
        time_left: Callable[[], float],
    ) -> int:
        """Look in the account list for what became of unconfirmed batches.

        They come in the order of their `look_at`. Returns how many of them were judged: those
        whose time had come when the walk through the list began.
        """
        try:
            walk = self.account_list.walk(
                imported.id,
                remote,
                fresh=batches[0].look_at,
                since=min(batch.sent_at for batch in batches) - _CLOCKS_APART,
                time_left=time_left,
            )
        except RequestRefusedError as error:
            raise UnansweredError(str(error)) from None
        sent = self._addresses(imported, [one for one in batches if one.look_at <= walk.began_at])
        wanted = {address for addresses in sent.values() for address in addresses}
        standings = {
            address: Standing.CONNECTED if connected else Standing.NOT_WORKING
            for address, connected in self.account_list.accounts(imported.id, walk)
            if address in wanted
        }
        for batch, addresses in sent.items():
            found = {one: standings[one] for one in addresses if one in standings}
            self._judge(imported, batch, addresses, found, left)
        return len(sent)

    def _addresses(self, imported: Import, batches: Sequence[Batch]) -> dict[Batch, set[str]]:
        """Return the addresses, in lower case, that were sent with each batch."""
        with closing(UploadReader(self.uploads, imported.upload)) as reader:
            return {
                batch: {account.smtp.address.lower() for account in reader.accounts_of(batch.range)}
                - self._connected_before(imported, batch).keys()
                for batch in batches
            }

    def _connected_before(self, imported: Import, batch: Batch) -> dict[str, Standing]:
        """Return the addresses of a batch that were left out."""
        if not batch.listing:
            return {}
        with self.reports.open(imported.id, evidence_name(batch.number)) as evidence:
            return {
                address: standing
                for address, standing in read_evidence(evidence).items()
                if standing is Standing.CONNECTED_BEFORE
            }

    def _judge(
        self,
        imported: Import,
        batch: Batch,
        addresses: set[str],
        found: dict[str, Standing],
        left: "_Left",
    ) -> None:
        """Decide on a batch by what the list shows of it.

        It is sent again only where its answer was lost and, after the grace period, the list
        shows none of its addresses.
        """
        all_connected = list(found.values()) == [Standing.CONNECTED] * len(addresses)
        grace_over = batch.look_at >= batch.sent_at + self.policy.grace
        may_be_sent_again = not (found or batch.request_id or batch.sent >= _MOST_SENT)
        if grace_over and may_be_sent_again:
            self.ledger.withdraw(imported.id, batch.number)
            left.planned += 1
            left.unconfirmed -= 1
        elif grace_over or all_connected:
            standings = self._connected_before(imported, batch) | found
            name = evidence_name(batch.number)
            with self.reports.writer(imported.id, name, "text/csv") as evidence:
                write_evidence(evidence, standings)
            self.ledger.settle(
                imported.id,
                batch.number,
                BatchState.LISTED,
                self.now(),
                reason=batch.reason,
                listing=True,
            )
            left.unconfirmed -= 1
        else:
            self._look_again(imported, batch, left)


@dataclass(slots=True)
class _Left:
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
    next_look: float = math.inf

    def see(self, batch: Batch, now: float) -> None:
        """Take a batch that is not settled: into this look, or into a later one.

        Requests whose time comes soon are taken along, so that many of them make few looks. An
        unconfirmed batch is not: a list that was read before its time would be read again.
        """
        early = 0.0
        if batch.state is BatchState.SUBMITTED:
            early = (now - batch.sent_at) / _TAKEN_ALONG
        if batch.look_at <= now + early:
            self.due.append(batch)
        else:
            self.look_again_at(batch.look_at)

    def moved(self, batch: Batch, now: float) -> None:
        """Take a batch out that was settled."""
        del self.running[batch.number]
        self.moved_at = now

    def look_again_at(self, moment: float) -> None:
        """Have one more look at a moment, or before it."""
        self.next_look = min(self.next_look, moment)

    @property
    def may_submit(self) -> bool:
        """Whether batches are waiting that nobody is sending, and that may be sent."""
        return self.planned > 0 and not self.submitting and self.unconfirmed < MOST_UNCONFIRMED

    def broken_off(self, imported: Import, now: float, wait: float) -> Step:
        """Return the step after a look that was broken off; submitting gets its turn, too."""
        step = Step.SUBMIT if self.may_submit else Step.CHECK
        return Step(step, min(wait, imported.deadline - now))

    def next_step(self, imported: Import, now: float, policy: Policy) -> Step:
        """Return the step after a look."""
        if self.may_submit:
            return Step(Step.SUBMIT)
        if self.next_look == math.inf and not self.planned:
            return Step(Step.DELIVER)
        wait = min(self.next_look - now, policy.longest_wait, imported.deadline - now)
        return Step(Step.CHECK, max(wait, 0.0))
