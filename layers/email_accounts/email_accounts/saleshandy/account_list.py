"""The account list: the ground truth for what no answer told.

A walk goes from the newest account back to a moment. It takes a call per page and may be broken
off by the budget after any of them; what has been read by then lies in the reports bucket.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from email_accounts.errors import RetryAfterError
from email_accounts.models.imports import AccountScan
from email_accounts.models.service import ListedAccount
from email_accounts.ports import Clock, Ledger, Reports
from email_accounts.saleshandy.rate_limit import SAFE_MARGIN, RateLimitedClient

_PAGES_WANTED = 10
_WHILE_ANOTHER_WALKS = 5.0
_ABANDONED = 3600.0


@dataclass(frozen=True, slots=True)
class AccountList:
    """Walks through the account list on behalf of an owner: a workspace or an import."""

    ledger: Ledger
    reports: Reports
    now: Clock

    def scan(
        self,
        owner: str,
        saleshandy: RateLimitedClient,
        *,
        fresh: float,
        since: float,
        time_left: Callable[[], float],
    ) -> AccountScan:
        """Return a finished walk that began at the time `fresh` or later.

        Raises:
            LaterError: it is not finished yet.
            RemoteError: the list cannot be had.
        """
        now = self.now()
        seen = self.ledger.scan(owner)
        if seen and seen.done and seen.began_at >= fresh and seen.since <= since:
            return seen
        # One that is under way is never thrown away: with many pages none would be finished.
        under_way = seen is not None and not seen.done and seen.began_at > now - _ABANDONED
        scan = seen if seen and under_way else AccountScan(now, since)
        if not self.ledger.lease_scan(owner, seen, scan, now, now + time_left()):
            raise RetryAfterError(_WHILE_ANOTHER_WALKS)
        accounts: list[ListedAccount] = []
        page = scan.pages
        done = False
        try:
            while not done:
                if time_left() < SAFE_MARGIN:
                    raise RetryAfterError(0)
                saleshandy.turn(_PAGES_WANTED)
                listed = saleshandy.listed(page + 1)
                page += 1
                accounts += listed
                done = not listed or _reaches_back_to(scan.since, accounts)
        finally:
            if page > scan.pages:
                self._write(owner, scan, page, accounts)
                scan = replace(scan, parts=(*scan.parts, page), done=done)
            self.ledger.save_scan(owner, scan)
        if scan.began_at < fresh or scan.since > since:
            raise RetryAfterError(0)
        return scan

    def accounts(self, owner: str, scan: AccountScan) -> Iterator[tuple[str, bool]]:
        """Yield the address, in lower case, of each account found, and whether it works."""
        for page in scan.parts:
            with self.reports.open(owner, _part(scan, page)) as part:
                for address, connected in csv.reader(part):
                    yield address, connected == "connected"

    def _write(
        self, owner: str, scan: AccountScan, page: int, accounts: Sequence[ListedAccount]
    ) -> None:
        with self.reports.writer(owner, _part(scan, page), "text/csv") as part:
            csv.writer(part).writerows(
                (account.address, "connected" if account.connected else "") for account in accounts
            )


def _reaches_back_to(moment: float, accounts: Sequence[ListedAccount]) -> bool:
    """Say whether accounts that are seen to come newest first have come to a moment.

    A list that is sorted otherwise, or that names no times, is read to its end.
    """
    times = [account.created_at for account in accounts]
    if None in times:
        return False
    known = [time for time in times if time is not None]
    newest_first = known[0] > known[-1] and all(one >= next_ for one, next_ in pairwise(known))
    return newest_first and known[-1] < moment


def _part(scan: AccountScan, page: int) -> str:
    return f"{scan.began_at:.3f}/{page:06d}.csv"
