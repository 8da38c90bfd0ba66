"""Saleshandy's API for one import: within the budget that all imports share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from email_accounts.errors import RetryAfterError, ThrottledError
from email_accounts.models.account import Account
from email_accounts.models.imports import Import
from email_accounts.models.policy import Policy
from email_accounts.models.service import CallKind, ListedAccount, ListQuery, RequestStatus
from email_accounts.ports import Clock, Ledger, Saleshandy

SAFE_MARGIN = 90.0
"""Seconds an invocation keeps in reserve: longer than one request can take, time-outs included."""

_READERS = "readers of the account list"
"""Who holds the turn for lookups: imports read the list one at a time, and each for all others."""
_SHORTEST_REST = 10.0
_AGES_PER_REST = 300
"""An import's age through its rest: so many rests at most make its age grow by e, which keeps the
steps of an execution within what it may have, however long Saleshandy is out of order."""


def backoff(imported: Import, now: float) -> float:
    """Return the seconds to wait after Saleshandy failed."""
    return max(_SHORTEST_REST, shortest_wait(imported, now))


def shortest_wait(imported: Import, now: float) -> float:
    """Return the minimum, in seconds, of a limit on the waits of an import."""
    return (now - imported.began_at) / _AGES_PER_REST


@dataclass(frozen=True, slots=True)
class RateLimitedClient:
    """Makes the calls of one import, each in its turn."""

    saleshandy: Saleshandy
    ledger: Ledger
    policy: Policy
    now: Clock
    imported: Import

    def turn(
        self, wanted: int = 1, kind: CallKind = CallKind.LOOKUP, rank: float | None = None
    ) -> None:
        """Take the turn for one call; `wanted` is how many could be made at once.

        The rank is that of the import's first batch if not given.

        Raises:
            RetryAfterError: it is not this import's turn yet.
        """
        wait = self._take(wanted, kind, rank)
        if wait:
            raise RetryAfterError(wait)

    def connect(self, accounts: Sequence[Account]) -> str:
        """Send accounts once and return the request id; the turn has been taken before.

        The caller keeps the request id first, then calls `respect_limit`.
        """
        with self._throttling():
            return self.saleshandy.connect(accounts)

    def status(self, request_id: str) -> RequestStatus:
        """Return the status of a request; the turn has been taken before."""
        with self._throttling():
            status = self.saleshandy.status(request_id)
        self.respect_limit()
        return status

    def listed(self, query: ListQuery) -> Sequence[ListedAccount]:
        """Return a page of the account list; the turn has been taken before."""
        with self._throttling():
            accounts = self.saleshandy.listed(query)
        self.respect_limit()
        return accounts

    def respect_limit(self) -> None:
        """Close the budget for as long as the last answer allows no further call."""
        closed_for = self.saleshandy.closed_for()
        if closed_for:
            now = self.now()
            self.ledger.close_budget(self.imported.upload.workspace, now, now + closed_for)

    @contextmanager
    def _throttling(self) -> Iterator[None]:
        """Close the budget for all imports of the API key when Saleshandy throttles."""
        now = self.now()
        try:
            yield
        except ThrottledError as error:
            wait = max(error.retry_after_seconds, backoff(self.imported, now))
            self.ledger.close_budget(self.imported.upload.workspace, now, now + wait)
            raise RetryAfterError(self._take(1, CallKind.BATCH, None) or wait) from None

    def _take(self, wanted: int, kind: CallKind, rank: float | None) -> float:
        is_lookup = kind is CallKind.LOOKUP
        return self.ledger.take_call(
            self.imported.upload.workspace,
            _READERS if is_lookup else self.imported.id,
            wanted,
            self.now(),
            self.policy.calls_per_minute,
            kind=kind,
            rank=self.imported.began_at if rank is None else rank,
        )
