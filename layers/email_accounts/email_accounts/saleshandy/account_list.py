"""The account list: the ground truth about an account.

A scan goes from the newest account back to a moment. It takes a call per page and may be
interrupted by the budget after any of them; what it has read is kept in the reports bucket.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import pairwise

from email_accounts.errors import RequestRefusedError, RetryAfterError
from email_accounts.models.imports import AccountScan
from email_accounts.models.service import AccountStatus, ListedAccount
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

    def scan(  # noqa: PLR0913  where to, and from when on
        self,
        owner: str,
        saleshandy: RateLimitedClient,
        *,
        fresh: float,
        since: float,
        time_left: Callable[[], float],
        wanted: AbstractSet[str] = frozenset(),
    ) -> AccountScan:
        """Return a finished scan that began at the time `fresh` or later.

        It ends where it reaches back to `since`, or where all the `wanted` addresses are found.

        Raises:
            RetryAfterError: it is not finished yet.
            RequestRefusedError: the list is refused, or shows the same page for every page.
            SaleshandyError: the list cannot be had now.
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
        missing = set(wanted)
        kept = scan if wanted else replace(scan, parts=scan.parts[-2:])
        read = [one.address for one in self.accounts(owner, kept)]
        missing.difference_update(read)
        try:
            while not done:
                if time_left() < SAFE_MARGIN:
                    raise RetryAfterError(0)
                saleshandy.turn(_PAGES_WANTED)
                listed = saleshandy.listed(page + 1)
                addresses = [one.address for one in listed]
                if _repeats(addresses, read):
                    raise RequestRefusedError("the account list shows the same page for every page")
                read += addresses
                missing.difference_update(addresses)
                page += 1
                accounts += listed
                done = not listed or _reaches_back_to(scan.since, accounts)
                if not done and wanted and not missing:
                    done, since = True, scan.began_at
                    scan = replace(scan, since=since)
        finally:
            if page > scan.pages:
                self._write(owner, scan, page, accounts)
                scan = replace(scan, parts=(*scan.parts, page), done=done)
            self.ledger.save_scan(owner, scan)
        if scan.began_at < fresh or scan.since > since:
            raise RetryAfterError(0)
        return scan

    def accounts(self, owner: str, scan: AccountScan) -> Iterator[ListedAccount]:
        """Yield each account found."""
        for page in scan.parts:
            with self.reports.open(owner, _part(scan, page)) as part:
                for address, status, created_at in csv.reader(part):
                    yield ListedAccount(
                        address, AccountStatus(status), float(created_at) if created_at else None
                    )

    def _write(
        self, owner: str, scan: AccountScan, page: int, accounts: Sequence[ListedAccount]
    ) -> None:
        with self.reports.writer(owner, _part(scan, page), "text/csv") as part:
            csv.writer(part).writerows(
                (one.address, one.status.value, "" if one.created_at is None else one.created_at)
                for one in accounts
            )


def _reaches_back_to(moment: float, accounts: Sequence[ListedAccount]) -> bool:
    """Say whether accounts that are seen to come newest first have come to a moment.

    A list that is sorted otherwise, or whose times are not known for sure, is read to its end.
    """
    times = [account.created_at for account in accounts]
    if None in times:
        return False
    known = [time for time in times if time is not None]
    newest_first = known[0] > known[-1] and all(one >= next_ for one, next_ in pairwise(known))
    return newest_first and known[-1] < moment


def _repeats(page: list[str], read: list[str]) -> bool:
    """Say whether a page is the same as the two before it.

    One page may be the same as the one before: as many accounts have come in meanwhile.
    """
    size = len(page)
    return size > 0 and read[-size:] == page == read[-2 * size : -size]


def _part(scan: AccountScan, page: int) -> str:
    return f"{scan.began_at:.3f}/{page:06d}.csv"
