"""The account list: the ground truth about an account, at any size.

What is read is kept as an index of the workspace, so that of a long list only what changed is read
again. A call may be refused by the budget at any time. What has been read by then is kept, and the
next reading continues there.
"""

import csv
import hashlib
import json
import logging
import math
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import count
from typing import NamedTuple

from email_accounts.errors import (
    NotSentError,
    OutcomeUnknownError,
    ReportMissingError,
    RequestRefusedError,
    RetryAfterError,
    SaleshandyError,
)
from email_accounts.models.account_index import AccountIndex, Honoured, Reading
from email_accounts.models.service import PAGE_SIZE, AccountStatus, ListedAccount, ListQuery, Order
from email_accounts.ports import Clock, Ledger, Reports
from email_accounts.saleshandy.budget import CALL_RANK
from email_accounts.saleshandy.probe import Answer, honoured, next_query
from email_accounts.saleshandy.rate_limit import SAFE_MARGIN, RateLimitedClient

SEEN_WITHIN = 86_400.0
"""Seconds for which an account that was seen to be active is taken to be active."""

_SMALL = 3
"""Pages of a list that is simply read again."""
_SLICE = 10
"""Pages of the first scan of a long list that an import reads for all others."""
_FEW = 100
"""Addresses that are searched for while the length of the list is not known."""
_SHARED_BY = 10
"""Imports that are taken at most to wait for the same pages."""
_PAGES_WANTED = 10
_CALLS_BETWEEN = 10
"""Calls that the budget allows between two readings of the newest pages for what was sent."""
_WHILE_ANOTHER_READS = (5.0, 60.0)
"""Seconds an import waits for another one's reading: at least and at most."""
_LATENESS_PER_WAIT = 4
"""Between these, each wait is a quarter of the delay so far: many imports do not poll at once."""
_LEFT_LYING = 86_400.0
_MOST_PARTS = 50
_PACKED_EVERY = 86_400.0
_PROBE = "probe.json"
_STOPPED = (AccountStatus.INACTIVE, AccountStatus.SUSPENDED)


class Seen(NamedTuple):
    """What the list showed of an address, and when; absent where it was searched for in vain.

    `listed_at` is when the reading of the list itself began that first came across it; 0 where only
    a search or a filter did.
    """

    status: AccountStatus
    created_at: float | None
    id: str
    seen_at: float
    listed_at: float


_Loaded = dict[str, tuple[AccountIndex, dict[str, Seen]]]
"""By workspace."""


@dataclass(frozen=True, slots=True)
class AccountList:
    """Reads the account lists of workspaces.

    `loaded` is the index that was read or written last, with its accounts: files of many megabytes
    that the next invocation in this process need not read again.
    """

    ledger: Ledger
    reports: Reports
    now: Clock
    loaded: _Loaded = field(default_factory=dict)

    def connected(self, workspace: str) -> set[str]:
        """Return the addresses that were seen to be active within a day; nothing is called."""
        index = self.ledger.index(workspace)
        accounts = _load(self.loaded, self.reports, workspace, index)
        since = max(self.now() - SEEN_WITHIN, index.complete_at)
        return {
            address
            for address, one in accounts.items()
            if one.status is AccountStatus.ACTIVE and one.seen_at >= since
        }

    def reader(
        self, saleshandy: RateLimitedClient, time_left: Callable[[], float]
    ) -> "AccountListReader":
        """Return what one invocation reads the list of an import's workspace with."""
        return AccountListReader(
            self.ledger, self.reports, self.now, self.loaded, saleshandy, time_left
        )


@dataclass(slots=True)
class AccountListReader:
    """Reads the account list of a workspace, and no more of it than is needed."""

    ledger: Ledger
    reports: Reports
    now: Clock
    loaded: _Loaded
    saleshandy: RateLimitedClient
    time_left: Callable[[], float]
    index: AccountIndex | None = None
    honoured: Honoured | None = None
    accounts: dict[str, Seen] = field(default_factory=dict)
    changed: dict[str, Seen] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    sliced: bool = False
    is_probed: bool = False

    def before(self, addresses: Collection[str], fresh: float, rows: int) -> dict[str, Seen]:
        """Return what each address was when an import was dropped, about the time `fresh`.

        The addresses are in lower case, and belong to an import of so many rows. What is not known
        of that time is unknown, except that an account seen to be active stays so.

        Raises:
            RetryAfterError: it is not read yet.
            RequestRefusedError: the list is not available.
            SaleshandyError: it is not available now.
        """
        fresh = min(fresh, self.now())
        self._read(lambda: self._step_before(addresses, fresh, rows), fresh)
        if self.honoured and self.honoured.page and not (self.sliced or self._index.complete_at):
            self._read_on()
        return {address: self._before(address, fresh) for address in addresses}

    def after(
        self,
        wanted: Mapping[str, float],
        kept: AbstractSet[str],
        lost: AbstractSet[str],
    ) -> dict[str, Seen]:
        """Return what each address is at the time wanted of it, or later.

        `kept` may have been there before, and have kept their place in the list. `lost` are sent
        again if they are absent, so that the list and a search must both show it. Raises as
        `before` does.
        """
        now = self.now()
        since = {address: min(moment, now) for address, moment in wanted.items()}
        self._read(lambda: self._step_after(since, kept, lost), max(since.values(), default=now))
        return {address: self._after(address, at, kept, lost) for address, at in since.items()}

    def has_failed_for(self, seconds: float) -> bool:
        """Say whether every call has failed for so long."""
        since = self._index.failing_since
        return since > 0 and self.now() >= since + seconds

    # What to read next

    def _step_before(  # noqa: PLR0911  one for each thing to read
        self, addresses: Collection[str], fresh: float, rows: int
    ) -> Callable[[], None] | None:
        index = self._index
        stale = [one for one in addresses if self._seen_at(one) < fresh]
        if not stale or index.complete_at >= fresh:
            return None
        if step := self._first_step(fresh):
            return step
        can = self._can
        if not index.complete_at:
            if can.search and (rows <= _FEW or not can.page):
                return partial(self._search, stale)
            return self._scan if can.page else None
        if can.newest_first and index.newest_at < fresh:
            return partial(self._read_newest, rank=self.saleshandy.imported.began_at)
        batches = rows / len(addresses)
        known = [one for one in stale if self._is_known(one)]
        wanted = [] if can.newest_first else [one for one in stale if not self._is_known(one)]
        few = can.search and len(known) * batches < self._pages_of_stopped()
        if known and can.stopped and not few:
            if index.stopped_at < fresh:
                return self._read_stopped
            known = [one for one in known if self._is_old(one)]
        wanted += known if can.search else [one for one in known if self._is_old(one)]
        if can.search and (len(wanted) * batches <= index.pages or not can.page):
            return partial(self._search, wanted) if wanted else None
        return self._scan if can.page and len(wanted) * batches > index.pages else None

    def _step_after(  # noqa: PLR0911  one for each thing to read
        self, wanted: Mapping[str, float], kept: AbstractSet[str], lost: AbstractSet[str]
    ) -> Callable[[], None] | None:
        index = self._index
        can = self._can

        def is_open(address: str, moment: float) -> bool:
            if self._seen_at(address) >= moment:
                return False
            return index.complete_at < moment or (can.search and address in lost)

        left = [address for address, moment in wanted.items() if is_open(address, moment)]
        latest = max(wanted.values(), default=0.0)
        if not left:
            absent = can.page and not all(map(self._is_known, lost))
            if can.newest_first:
                return self._read_newest if absent and index.newest_at < latest else None
            return self._scan if absent and index.complete_at < latest else None
        if step := self._first_step(latest):
            return step
        if can.newest_first:
            if step := self._step_newest(left, latest):
                return step
            left = [one for one in left if one in kept or one in lost or self._is_known(one)]
        if not left:
            return None
        is_read = index.complete_at >= latest or not can.page
        if can.search and (is_read or self._worth(len(left), latest) <= (index.pages or _FEW)):
            return partial(self._search, left)
        return self._scan if can.page else None

    def _step_newest(self, left: Sequence[str], latest: float) -> Callable[[], None] | None:
        """Return how the newest pages are read for accounts, where they are to be.

        Few accounts do not wait for a long reading: the first pages are read apart from it, and
        what these do not show is searched for.
        """
        index = self._index
        until = self._until(left, latest)
        if index.newest_at >= latest and index.newest_since <= until:
            return None
        worth = self._worth(len(left), latest)
        newest = index.newest
        pages_behind = newest.pages if newest and newest.began_at < latest else 0
        is_long = pages_behind > _SMALL
        if (is_long or until < math.inf) and len(left) * _SHARED_BY <= PAGE_SIZE:
            glance = index.glance
            if glance.began_at < latest:
                self._wait_for_more(glance.began_at)
                glance = Reading(self.now(), self.now())
            if glance.pages < worth:
                return partial(self._glance, glance)
        if is_long and self._can.search and worth < pages_behind:
            return partial(self._search, left)
        if not newest:
            self._wait_for_more(index.newest_at)
        return partial(self._read_newest, latest, until)

    def _wait_for_more(self, read_at: float) -> None:
        """Wait until the newest pages show more of what was sent.

        Raises:
            RetryAfterError: these have just been read.
        """
        apart = _CALLS_BETWEEN * 60 / self.saleshandy.policy.calls_per_minute
        wait = read_at + apart - self.now()
        if wait > 0:
            raise RetryAfterError(wait)

    def _worth(self, searches: int, due: float) -> float:
        """Return the number of pages up to which reading is better than so many searches.

        It grows with the delay: an import that has waited as long as the pages take reads them,
        because others wait by then, and the pages show the accounts of all of them.
        """
        calls = (self.now() - due) * self.saleshandy.policy.calls_per_minute / 60
        return searches + min(calls, _SHARED_BY * searches)

    def _first_step(self, moment: float) -> Callable[[], None] | None:
        """Return what comes first for any import: a short list is read, a long one probed."""
        index = self._index
        if index.probed or index.is_repeated:
            return self._probe
        if index.complete_at and index.pages <= _SMALL and self._can.page:
            return self._scan if index.complete_at < moment else None
        if self.honoured is None:
            has_begun = index.scan and index.scan.pages >= _SLICE
            return self._probe if index.complete_at or has_begun else partial(self._scan, _SLICE)
        return None if self._can.page or index.first_at >= moment else self._read_first

    # What is known

    @property
    def _index(self) -> AccountIndex:
        if self.index is None:
            self._load(self.ledger.index(self._workspace))
        assert self.index is not None  # noqa: S101  it has just been read
        return self.index

    @property
    def _can(self) -> Honoured:
        return self.honoured or _NOTHING

    @property
    def _order(self) -> Order | None:
        return Order.NEWEST_FIRST if self.honoured is None or self.honoured.sort else None

    @property
    def _workspace(self) -> str:
        return self.saleshandy.imported.upload.workspace

    def _seen_at(self, address: str) -> float:
        one = self.accounts.get(address)
        return one.seen_at if one else 0.0

    def _is_known(self, address: str) -> bool:
        one = self.accounts.get(address)
        if one is None or one.status is AccountStatus.ABSENT:
            return False
        return one.seen_at >= self._index.complete_at  # else it was deleted since

    def _is_old(self, address: str) -> bool:
        one = self.accounts[address]
        is_active = one.status is AccountStatus.ACTIVE
        return is_active and one.seen_at < self.now() - SEEN_WITHIN

    def _before(self, address: str, fresh: float) -> Seen:
        index, one = self._index, self.accounts.get(address)
        is_known = self._is_known(address)
        if one and (one.seen_at >= fresh or (is_known and one.status is AccountStatus.ACTIVE)):
            return one
        known_at = max(index.complete_at, index.newest_at) if index.complete_at else 0.0
        is_absent = not is_known and known_at >= fresh
        return _seen_nowhere(AccountStatus.ABSENT if is_absent else AccountStatus.UNKNOWN)

    def _after(
        self, address: str, moment: float, kept: AbstractSet[str], lost: AbstractSet[str]
    ) -> Seen:
        index = self._index
        can = self._can
        one = self.accounts.get(address)
        has_list = index.complete_at >= moment
        if one and one.seen_at >= moment:
            is_sure = can.page or address not in lost or one.status is not AccountStatus.ABSENT
            return one if is_sure else _seen_nowhere(AccountStatus.UNKNOWN)
        if can.newest_first and address not in kept | lost and not self._is_known(address):
            has_list = has_list or index.newest_at >= moment
        return _seen_nowhere(AccountStatus.ABSENT if has_list else AccountStatus.UNKNOWN)

    def _pages_of_stopped(self) -> int:
        stopped = sum(one.status in _STOPPED for one in self.accounts.values())
        return math.ceil(stopped / PAGE_SIZE) + len(_STOPPED)

    def _until(self, addresses: Collection[str], due: float) -> float:
        """Return since when listed accounts are read again rather than searched for, if any."""
        listed = [self.accounts[one].listed_at for one in addresses if one in self.accounts]
        since = sorted(one.listed_at for one in self.accounts.values()) if any(listed) else []
        until = math.inf
        for searches, at in enumerate(sorted(filter(None, listed), reverse=True), 1):
            pages = (len(since) - bisect_left(since, at)) / PAGE_SIZE
            if pages <= self._worth(searches, due) + _SMALL:
                until = at
        return until

    # Reading

    def _read(self, next_step: Callable[[], Callable[[], None] | None], due: float) -> None:
        """Take steps until none is left, under the lease of the index."""
        if not next_step():
            return
        with self._leased(due):
            while step := next_step():
                step()

    @contextmanager
    def _leased(self, due: float = math.inf) -> Iterator[None]:
        now = self.now()
        leased = self.ledger.lease_index(self._workspace, now, now + self.time_left())
        if leased is None:
            shortest, longest = _WHILE_ANOTHER_READS
            raise RetryAfterError(min(max((now - due) / _LATENESS_PER_WAIT, shortest), longest))
        if leased != self.index:
            self._load(leased)
        self.loaded.clear()  # what is not saved must not be known to anybody
        try:
            yield
        finally:
            self._save()

    def _read_on(self) -> None:
        """Read a slice of a list never read to its end, where the budget allows it now."""
        self.sliced = True
        with suppress(RetryAfterError, SaleshandyError), self._leased():
            scan = self._index.scan
            self._scan(scan.pages + _SLICE if scan else _SLICE)

    def _read_first(self) -> None:
        """Read the only page there is of a list that has no others."""
        at, accounts = self._page(ListQuery(order=self._order))
        self._see(at, accounts)
        self.index = replace(self._index, first_at=at)

    def _scan(self, most: float = math.inf) -> None:
        """Read the list from where the scan under way is to its end, or to a page."""
        index = self._index
        scan = index.scan
        if scan is None or scan.moved_at < self.now() - _LEFT_LYING:
            scan = Reading(self.now(), self.now(), in_order=self._order is not None)
        order = Order.NEWEST_FIRST if scan.in_order else None
        while scan.pages < most:
            try:
                at, accounts = self._page(ListQuery(scan.pages + 1, order))
            except RequestRefusedError:
                if self.honoured:
                    raise
                return self._probe()
            if _repeats(scan, accounts):
                return self._probe_again(replace(self._index, scan=_moved(scan, accounts, at)))
            if not accounts:
                self.index = replace(
                    self._index,
                    complete_at=scan.began_at,
                    pages=max(scan.pages, 1),
                    newest_at=max(self._index.newest_at, scan.began_at),
                    scan=None,
                )
                return None
            self._see(max(at, scan.began_at), accounts, scan.began_at)
            scan = _moved(scan, accounts, at)
            self.index = replace(self._index, scan=scan)
        return None

    def _read_newest(
        self, moment: float = math.inf, deeper: float = math.inf, rank: float | None = None
    ) -> None:
        """Read from the newest account on until a page shows only accounts listed before.

        One that began at a moment or later reads on to those listed before the time `deeper`. With
        the rank of a batch that waits for it, each slice of pages counts as one more batch.
        """
        index = self._index
        newest = index.newest or Reading(self.now(), self.now())
        if newest.began_at >= moment:
            newest = replace(newest, until=min(newest.until, deeper))
        until = min(newest.began_at, newest.until)
        if index.complete_at and index.scan:
            until = min(until, index.scan.began_at)  # what it comes across has a gap above
        while True:
            slices = newest.pages // _SLICE
            at, accounts = self._page(
                ListQuery(newest.pages + 1, Order.NEWEST_FIRST),
                None if rank is None else rank + CALL_RANK * slices,
            )
            if _repeats(newest, accounts):
                return self._probe_again(replace(self._index, newest=_moved(newest, accounts, at)))
            is_known = all(self._was_listed(one, until) for one in accounts)
            self._see(at, accounts, newest.began_at)
            if is_known:
                self.index = replace(
                    self._index, newest_at=newest.began_at, newest_since=until, newest=None
                )
                return None
            newest = _moved(newest, accounts, at)
            self.index = replace(self._index, newest=newest)

    def _glance(self, glance: Reading) -> None:
        """Read one of the newest pages, apart from the reading under way."""
        at, accounts = self._page(ListQuery(glance.pages + 1, Order.NEWEST_FIRST))
        self._see(at, accounts)
        self.index = replace(self._index, glance=_moved(glance, accounts, at))

    def _was_listed(self, account: ListedAccount, until: float) -> bool:
        one = self.accounts.get(account.address)
        return one is not None and 0 < one.listed_at < until and one.id == account.id

    def _read_stopped(self) -> None:
        """Read the accounts that do not work."""
        stopped = self._index.stopped
        if stopped is None or stopped.moved_at < self.now() - _LEFT_LYING:
            stopped = Reading(self.now(), self.now())
        while stopped.statuses < len(_STOPPED):
            at, accounts = self._page(
                ListQuery(stopped.pages + 1, status=_STOPPED[stopped.statuses])
            )
            if _repeats(stopped, accounts):
                return self._probe_again(
                    replace(self._index, stopped=_moved(stopped, accounts, at))
                )
            self._see(at, accounts)
            stopped = _moved(stopped, accounts, at)
            if not accounts:
                stopped = replace(stopped, pages=0, statuses=stopped.statuses + 1)
            self.index = replace(self._index, stopped=stopped)
        self.index = replace(self._index, stopped_at=stopped.began_at, stopped=None)
        return None

    def _search(self, addresses: Sequence[str]) -> None:
        """Search for addresses one by one."""
        for address in addresses:
            self._see(*self._found(address))

    def _found(self, address: str) -> tuple[float, Sequence[ListedAccount]]:
        """Return an account, and when it was searched for; a part of others has many pages."""
        for number in count(1):
            at, accounts = self._page(ListQuery(number, search=address))
            found = [one for one in accounts if one.address == address]
            if found or len(accounts) < PAGE_SIZE or not self._can.page:
                break
        return at, found or [ListedAccount(address, AccountStatus.ABSENT, None)]

    def _probe(self) -> None:
        """Find out what the service honours."""
        self.is_probed = True
        while query := next_query(self.answers):
            try:
                _, answer = self._page(query)
            except RequestRefusedError:
                if not self.answers:
                    raise
                self.answers.append(None)
            else:
                self.answers.append(answer)
            self.index = replace(self._index, probed=len(self.answers))
        shown = honoured(self.answers)
        if shown:
            self.ledger.save_honoured(self._workspace, shown)
        self.honoured = shown or _NOTHING
        self.index = self._index.probed_again()
        self.answers.clear()

    def _probe_again(self, index: AccountIndex) -> None:
        """Find out why every page is the same, now or in the next invocation."""
        if self.is_probed:
            raise RequestRefusedError("the account list shows the same page for every page")
        self.index = index
        self._probe()

    def _page(
        self, query: ListQuery, rank: float | None = None
    ) -> tuple[float, Sequence[ListedAccount]]:
        """Return a page of the list, and when it was asked for."""
        if self.time_left() < SAFE_MARGIN:
            raise RetryAfterError(0)
        self.saleshandy.turn(_PAGES_WANTED, rank=self.now() if rank is None else rank)
        at, index = self.now(), self._index
        try:
            accounts = self.saleshandy.listed(query)
        except (NotSentError, OutcomeUnknownError):
            self.index = replace(index, failing_since=index.failing_since or at)
            raise
        self.index = replace(index, failing_since=0.0)
        return at, accounts

    def _see(self, at: float, accounts: Sequence[ListedAccount], listed_at: float = 0.0) -> None:
        for one in accounts:
            seen = Seen(one.status, one.created_at, one.id, at, listed_at)
            _keep(self.accounts, one.address, seen)
            self.changed[one.address] = self.accounts[one.address]

    # What is kept

    def _load(self, index: AccountIndex) -> None:
        self.honoured = self.ledger.honoured(self._workspace)
        self.answers.clear()
        key = hashlib.sha256(self.saleshandy.saleshandy.key().reveal().encode()).hexdigest()[:16]
        if index.key not in ("", key):
            _log.warning("the account index is made again: the API key is another one")
            index = AccountIndex(index.version)
        index = replace(index, key=key)
        try:
            self._read_files(index)
        except ReportMissingError:
            _log.warning("the account index is made again: files of it are gone")
            self._read_files(AccountIndex(index.version, key))

    def _read_files(self, index: AccountIndex) -> None:
        self.index = index
        self.accounts = _load(self.loaded, self.reports, self._workspace, index)
        if index.probed:
            with self.reports.open(self._workspace, _PROBE) as text:
                self.answers += [_answer(one) for one in json.load(text)]

    def _save(self) -> None:
        index, now = self._index, self.now()
        if self.changed:
            is_long = len(index.parts) >= _MOST_PARTS and not index.scan
            is_packed = is_long or now > index.packed_at + _PACKED_EVERY
            part = f"{index.version:08d}.csv"
            with self.reports.writer(self._workspace, part, "text/csv") as text:
                csv.writer(text).writerows(
                    (address, *one)
                    for address, one in (self.accounts if is_packed else self.changed).items()
                )
            parts = () if is_packed else index.parts
            packed_at = now if is_packed else index.packed_at
            index = replace(index, parts=(*parts, part), packed_at=packed_at)
            self.changed.clear()
        if index.probed:
            with self.reports.writer(self._workspace, _PROBE, "application/json") as text:
                json.dump(
                    [answer and [asdict(one) for one in answer] for answer in self.answers], text
                )
        self.ledger.save_index(self._workspace, index)
        self.index = replace(index, version=index.version + 1)
        self.loaded[self._workspace] = self.index, self.accounts


_log = logging.getLogger(__name__)
_NOTHING = Honoured(page=True, sort=False, status=False, search=False)


def _load(
    loaded: _Loaded, reports: Reports, workspace: str, index: AccountIndex
) -> dict[str, Seen]:
    """Load the accounts of an index: only its new parts, where others wrote some meanwhile."""
    known, accounts = loaded.get(workspace, (AccountIndex(), {}))
    loaded.clear()  # one workspace fits into memory, and nothing half read is kept
    new = index.parts[len(known.parts) :]
    if known.parts + new != index.parts:
        accounts.clear()
        new = index.parts
    for part in new:
        with reports.open(workspace, part) as text:
            for address, status, created_at, id_, seen_at, listed_at in csv.reader(text):
                created = float(created_at) if created_at else None
                times = float(seen_at), float(listed_at)
                _keep(accounts, address, Seen(AccountStatus(status), created, id_, *times))
    loaded[workspace] = index, accounts
    return accounts


def _keep(accounts: dict[str, Seen], address: str, seen: Seen) -> None:
    """Put in what was seen last, and keep when it was first listed."""
    old = accounts.get(address)
    if old and old.listed_at and old.id == seen.id:
        seen = seen._replace(listed_at=old.listed_at)
    accounts[address] = seen


def _repeats(reading: Reading, accounts: Sequence[ListedAccount]) -> bool:
    """Say whether a page is the same as the two before it, in whichever invocation.

    One page may be the same as the one before: as many accounts have come in meanwhile.
    """
    return bool(accounts) and reading.repeated > 0 and reading.page == _digest(accounts)


def _moved(reading: Reading, accounts: Sequence[ListedAccount], at: float) -> Reading:
    page = _digest(accounts)
    repeated = reading.repeated + 1 if page == reading.page else 0
    return replace(reading, pages=reading.pages + 1, moved_at=at, page=page, repeated=repeated)


def _digest(accounts: Sequence[ListedAccount]) -> str:
    return hashlib.sha256("\n".join(one.address for one in accounts).encode()).hexdigest()[:16]


def _seen_nowhere(status: AccountStatus) -> Seen:
    return Seen(status, None, "", 0.0, 0.0)


def _answer(accounts: list[dict[str, object]] | None) -> Answer:
    if accounts is None:
        return None
    return [ListedAccount(**one | {"status": AccountStatus(one["status"])}) for one in accounts]  # type: ignore[arg-type]
