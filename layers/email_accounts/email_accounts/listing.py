"""The account list: the ground truth for what no answer told.

A walk goes from the newest account back to a moment. It takes a call per page and may be broken
off by the budget after any of them; what has been read by then lies in the reports bucket.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from email_accounts.errors import LaterError
from email_accounts.ledger import Ledger, Walk
from email_accounts.pacing import SAFE_MARGIN, PacedRemote
from email_accounts.ports import Clock, Listed, Reports

_PAGES_WANTED = 10
_WHILE_ANOTHER_WALKS = 5.0
_ABANDONED = 3600.0


@dataclass(frozen=True, slots=True)
class AccountList:
    """Walks through the account list on behalf of an owner: a workspace or an import."""

    ledger: Ledger
    reports: Reports
    now: Clock

    def walk(
        self,
        owner: str,
        remote: PacedRemote,
        *,
        fresh: float,
        since: float,
        time_left: Callable[[], float],
    ) -> Walk:
        """Return a finished walk that began at the time `fresh` or later.

        Raises:
            LaterError: it is not finished yet.
            RemoteError: the list cannot be had.
        """
        now = self.now()
        seen = self.ledger.walk(owner)
        if seen and seen.done and seen.began_at >= fresh and seen.since <= since:
            return seen
        # One that is under way is never thrown away: with many pages none would be finished.
        under_way = seen is not None and not seen.done and seen.began_at > now - _ABANDONED
        walk = seen if seen and under_way else Walk(now, since)
        if not self.ledger.take_walk(owner, seen, walk, now, now + time_left()):
            raise LaterError(_WHILE_ANOTHER_WALKS)
        accounts: list[Listed] = []
        page = walk.pages
        done = False
        try:
            while not done:
                if time_left() < SAFE_MARGIN:
                    raise LaterError(0)
                remote.turn(_PAGES_WANTED)
                listed = remote.listed(page + 1)
                page += 1
                accounts += listed
                done = not listed or _reaches_back_to(walk.since, accounts)
        finally:
            if page > walk.pages:
                self._write(owner, walk, page, accounts)
                walk = replace(walk, parts=(*walk.parts, page), done=done)
            self.ledger.walked(owner, walk)
        if walk.began_at < fresh or walk.since > since:
            raise LaterError(0)
        return walk

    def accounts(self, owner: str, walk: Walk) -> Iterator[tuple[str, bool]]:
        """Yield the address, in lower case, of each account found, and whether it works."""
        for page in walk.parts:
            with self.reports.open(owner, _part(walk, page)) as part:
                for address, connected in csv.reader(part):
                    yield address, connected == "connected"

    def _write(self, owner: str, walk: Walk, page: int, accounts: Sequence[Listed]) -> None:
        with self.reports.writer(owner, _part(walk, page), "text/csv") as part:
            csv.writer(part).writerows(
                (account.address, "connected" if account.connected else "") for account in accounts
            )


def _reaches_back_to(moment: float, accounts: Sequence[Listed]) -> bool:
    """Say whether accounts that are seen to come newest first have come to a moment.

    A list that is sorted otherwise, or that names no times, is read to its end.
    """
    times = [account.created_at for account in accounts]
    if None in times:
        return False
    known = [time for time in times if time is not None]
    newest_first = known[0] > known[-1] and all(one >= next_ for one, next_ in pairwise(known))
    return newest_first and known[-1] < moment


def _part(walk: Walk, page: int) -> str:
    return f"{walk.began_at:.3f}/{page:06d}.csv"
