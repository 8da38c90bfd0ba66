"""Reconciles batches with the account list, and settles those that it shows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from enum import Enum, auto

from email_accounts.errors import (
    NotSentError,
    OutcomeUnknownError,
    ReportMissingError,
    RequestRefusedError,
)
from email_accounts.intake.batches import UploadReader
from email_accounts.models.imports import Batch, BatchState, Import
from email_accounts.models.policy import Policy
from email_accounts.models.service import AccountStatus
from email_accounts.ports import Clock, Ledger, Reports, Uploads
from email_accounts.saleshandy.account_list import AccountList, Seen
from email_accounts.saleshandy.rate_limit import SAFE_MARGIN, RateLimitedClient
from email_accounts.saleshandy.reconciliation import (
    Observation,
    read_reconciliation,
    reconciliation_name,
    write_reconciliation,
)
from email_accounts.saleshandy.report import Verdict, report_name, verdicts

_AT_ONCE = 200
"""Batches whose addresses are in memory."""
_MOST_SENT = 3
_CLOCKS_DIFFER = 1.0
"""Seconds by which a new account may seem to be older than it is."""


class Resolution(Enum):
    """What was made of a batch."""

    SETTLED = auto()
    WITHDRAWN = auto()
    WAITING = auto()


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Resolves unconfirmed and reported batches by the account list."""

    ledger: Ledger
    uploads: Uploads
    reports: Reports
    account_list: AccountList
    policy: Policy
    now: Clock

    def reconcile(
        self,
        imported: Import,
        batches: Sequence[Batch],
        saleshandy: RateLimitedClient,
        time_left: Callable[[], float],
    ) -> Iterator[tuple[Batch, Resolution]]:
        """Yield what is made of each batch; those for which no time is left are not among them.

        Raises:
            SaleshandyError: the list cannot be had now.
            RetryAfterError: it has not been read to its end yet.
        """
        in_order = sorted(batches, key=lambda batch: batch.number)
        with closing(UploadReader(self.uploads, self.reports, imported)) as reader:
            for first in range(0, len(in_order), _AT_ONCE):
                if first and time_left() < SAFE_MARGIN:
                    return
                observed = {
                    batch: self._observed(imported, batch, reader)
                    for batch in in_order[first : first + _AT_ONCE]
                }
                listed = self._listed(observed, saleshandy, time_left)
                for batch, observations in observed.items():
                    after = _after(batch, observations, listed)
                    yield batch, self._resolve(imported, batch, after)

    def _observed(
        self, imported: Import, batch: Batch, reader: UploadReader
    ) -> dict[str, Observation]:
        """Return what is observed by now of each address, in lower case, of a batch."""
        accounts = reader.accounts_of(batch.range)
        observed = {one.smtp.address.lower(): Observation() for one in accounts}
        if batch.reconciliation:
            name = reconciliation_name(batch.number)
            with suppress(ReportMissingError), self.reports.open(imported.id, name) as text:
                observed |= read_reconciliation(text)
        return observed

    def _listed(
        self,
        observed: Mapping[Batch, Mapping[str, Observation]],
        saleshandy: RateLimitedClient,
        time_left: Callable[[], float],
    ) -> Mapping[str, Seen]:
        """Return what the list shows of each address that was sent; nothing where there is none."""
        sent = [
            (batch, address, one)
            for batch, observations in observed.items()
            for address, one in observations.items()
            if one.sent
        ]
        reader = self.account_list.reader(saleshandy, time_left)
        try:
            return reader.after(
                {address: batch.next_poll_at for batch, address, _ in sent},
                {address for _, address, one in sent if one.before is not AccountStatus.ABSENT},
                {address for batch, address, _ in sent if self._may_be_sent_again(batch)},
            )
        except RequestRefusedError:
            return {}
        except (NotSentError, OutcomeUnknownError):
            is_over = all(self._grace_is_over(batch) for batch in observed)
            if is_over and reader.has_failed_for(self.policy.grace):
                return {}
            raise

    def _may_be_sent_again(self, batch: Batch) -> bool:
        is_lost = batch.state is BatchState.UNCONFIRMED and not batch.request_id
        return is_lost and batch.sent < _MOST_SENT and self._grace_is_over(batch)

    def _resolve(
        self, imported: Import, batch: Batch, observed: Mapping[str, Observation]
    ) -> Resolution:
        """Decide on a batch by what the list shows of it.

        It is sent again only where its answer was lost and, after the grace period, the list
        shows that it never arrived. What was reported waits for what the list does not show yet.
        """
        sent = [one for one in observed.values() if one.sent]
        grace_is_over = self._grace_is_over(batch)
        is_certain = False
        if batch.state is BatchState.REPORTED:
            is_certain = not self._missing(imported, batch, observed)
            has_list = all(one.after is not AccountStatus.UNKNOWN for one in sent)
            if has_list and not (is_certain or grace_is_over):
                return Resolution.WAITING
        elif self._may_be_sent_again(batch):
            if _never_arrived(sent):
                self.ledger.save(imported.id, batch, batch.withdrawn())
                return Resolution.WITHDRAWN
        elif not (grace_is_over or all(map(_is_connected_since, sent))):
            return Resolution.WAITING
        with self.reports.writer(
            imported.id, reconciliation_name(batch.number), "text/csv"
        ) as text:
            write_reconciliation(text, observed)
        now = self.now()
        settled = batch.verified(now) if is_certain else batch.reconciled(now)
        self.ledger.save(imported.id, batch, settled)
        return Resolution.SETTLED

    def _grace_is_over(self, batch: Batch) -> bool:
        began = batch.changed_at if batch.state is BatchState.REPORTED else batch.sent_at
        return batch.next_poll_at >= began + self.policy.grace

    def _missing(self, imported: Import, batch: Batch, observed: Mapping[str, Observation]) -> bool:
        """Say whether the list does not show an account that no report calls a failure."""
        reported: dict[str, Verdict] = {}
        if batch.report:
            name = report_name(batch.number)
            with suppress(ReportMissingError), self.reports.open(imported.id, name) as report:
                reported = verdicts(report)
        return any(
            one.sent
            and one.after in (AccountStatus.ABSENT, AccountStatus.UNKNOWN)
            and (address not in reported or reported[address].connected)
            for address, one in observed.items()
        )


def _after(
    batch: Batch, observed: Mapping[str, Observation], listed: Mapping[str, Seen]
) -> dict[str, Observation]:
    """Add what the list shows now."""

    def after(address: str, one: Observation) -> Observation:
        if not one.sent:
            return one
        seen = listed.get(address)
        if seen is None:
            return replace(one, after=AccountStatus.UNKNOWN)
        is_new = (seen.created_at or 0.0) >= batch.sent_at - _CLOCKS_DIFFER
        return replace(one, after=seen.status, is_new=is_new)

    return {address: after(address, one) for address, one in observed.items()}


def _never_arrived(sent: Sequence[Observation]) -> bool:
    """Say whether the list shows that accounts were not taken.

    An account that was there before, and is as it was, shows nothing.
    """
    shown = [one for one in sent if one.before in (AccountStatus.ABSENT, AccountStatus.UNKNOWN)]
    unchanged = all(one.after is one.before for one in sent if one not in shown)
    return bool(shown) and unchanged and all(one.after is AccountStatus.ABSENT for one in shown)


def _is_connected_since(one: Observation) -> bool:
    """Say whether an account is active, and was not before it was sent."""
    was_active = one.before is AccountStatus.ACTIVE
    if one.before is AccountStatus.UNKNOWN:
        was_active = not one.is_new
    return one.after is AccountStatus.ACTIVE and not was_active
