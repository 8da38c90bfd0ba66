"""The account list at any size: what is read of it, by which calls, and what is known then."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TextIO

import pytest

from email_accounts.errors import OutcomeUnknownError, RequestRefusedError, RetryAfterError
from email_accounts.models.account_index import Honoured
from email_accounts.models.service import AccountStatus, ListedAccount, ListQuery, Order
from email_accounts.models.upload import Upload
from email_accounts.saleshandy import account_list
from email_accounts.saleshandy.account_list import AccountList, AccountListReader, Seen
from email_accounts.saleshandy.rate_limit import SAFE_MARGIN, RateLimitedClient
from tests.support.fakes import INBOX, FakeRemote, FakeReports, World, plenty

UPLOAD = Upload(INBOX, "uploads/a.csv", "v1", 1)
ALL = Honoured(page=True, sort=True, status=True, search=True)
ACTIVE, INACTIVE = AccountStatus.ACTIVE, AccountStatus.INACTIVE
ABSENT, UNKNOWN = AccountStatus.ABSENT, AccountStatus.UNKNOWN
PROBE = 8


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Give a world in which an import is under way, with two accounts on each page."""
    world = World()
    monkeypatch.setattr(account_list, "PAGE_SIZE", 2)
    world.saleshandy.page_size = 2
    now = world.clock()
    world.ledger.claim(UPLOAD, now, now + 9999)
    return world


def have(world: World, *names: str, status: AccountStatus = ACTIVE) -> None:
    """Have accounts of these names, the oldest first, each created a second after the other."""
    for name in names:
        world.clock.advance(1)
        world.saleshandy.accounts.append(
            ListedAccount(f"{name}@x.example", status, world.clock(), f"id of {name}")
        )


def many(world: World, number: int = 30) -> None:
    """Have many accounts, which were read once, and the probe, by an import of long ago."""
    have(world, *(f"old{at}" for at in range(number)))
    world.clock.advance(1)
    world.saleshandy.accounts[3] = replace(world.saleshandy.accounts[3], status=INACTIVE)
    before(world, ["a", "b"], rows=1000)
    world.clock.advance(1000)
    world.journal.entries.clear()


def reader(
    world: World, time_left: Callable[[], float] = plenty, upload: Upload = UPLOAD
) -> AccountListReader:
    """Begin an invocation."""
    imported = world.ledger.get(upload.import_id)
    saleshandy = RateLimitedClient(
        world.saleshandy, world.ledger, world.policy, world.clock, imported
    )
    return world.account_list.reader(saleshandy, time_left)


def before(  # noqa: PLR0913  as many as a case may change
    world: World,
    names: Collection[str],
    *,
    fresh: float | None = None,
    rows: int | None = None,
    time_left: Callable[[], float] = plenty,
    upload: Upload = UPLOAD,
) -> dict[str, AccountStatus]:
    """Ask what accounts were before they are sent."""
    fresh = world.clock() if fresh is None else fresh
    seen = reader(world, time_left, upload).before(
        [f"{name}@x.example" for name in names], fresh, rows or len(names)
    )
    return _named(seen)


def after(
    world: World,
    *names: str,
    kept: Collection[str] = (),
    lost: Collection[str] = (),
    late: float = 0,
) -> dict[str, AccountStatus]:
    """Ask for the outcome of accounts that were sent, which was due so many seconds ago."""
    now = world.clock() - late
    seen = reader(world).after(
        {f"{name}@x.example": now for name in names},
        {f"{name}@x.example" for name in kept},
        {f"{name}@x.example" for name in lost},
    )
    return _named(seen)


def _named(seen: dict[str, Seen]) -> dict[str, AccountStatus]:
    return {address.removesuffix("@x.example"): one.status for address, one in seen.items()}


def asked(world: World) -> list[str]:
    """Return what was asked of the list, in few words, and forget it."""
    queries = [about for name, about in world.journal.entries if name == "list"]
    world.journal.entries.clear()
    return [_shown(one) for one in queries if isinstance(one, ListQuery)]


def _shown(query: ListQuery) -> str:
    if query.search:
        return query.search.removesuffix("@x.example")
    order = {Order.NEWEST_FIRST: "newest ", Order.OLDEST_FIRST: "oldest ", None: ""}
    return f"{order[query.order]}{query.status or ''}{' ' * bool(query.status)}{query.page}"


# A list that nobody has read


def test_an_empty_list_is_a_list(world: World) -> None:
    """Nobody has an account yet."""
    assert before(world, ["a"]) == {"a": ABSENT}
    assert asked(world) == ["newest 1"]


def test_a_short_list_is_read_whole_and_not_probed(world: World) -> None:
    """Every account is found, with its id, and whether it works."""
    have(world, "a", "b")
    have(world, "c", status=INACTIVE)
    assert before(world, ["a", "c", "d"]) == {"a": ACTIVE, "c": INACTIVE, "d": ABSENT}
    assert asked(world) == ["newest 1", "newest 2", "newest 3"]
    index = world.ledger.index("default")
    assert (world.ledger.honoured("default"), index.pages, index.scan) == (None, 2, None)
    seen = reader(world).before(["a@x.example"], 0, 1)["a@x.example"]
    assert (seen.id, seen.seen_at) == ("id of a", world.clock())


def test_of_a_long_list_a_few_are_searched_for_while_it_is_read_in_slices(world: World) -> None:
    """Nobody waits for the end of a scan that is not needed; each one reads on a little."""
    have(world, *(f"old{at}" for at in range(50)))
    assert before(world, ["old3", "new"]) == {"old3": ACTIVE, "new": ABSENT}
    queries = asked(world)
    assert queries[:10] == [f"newest {page}" for page in range(1, 11)]
    assert queries[-12:] == ["old3", "new", *(f"newest {page}" for page in range(11, 21))]
    assert len(queries) == 10 + PROBE + 2 + 10
    world.clock.advance(60)
    assert before(world, ["old4"]) == {"old4": ACTIVE}
    assert asked(world) == ["old4", *(f"newest {page}" for page in range(21, 27))]
    assert world.ledger.index("default").complete_at
    world.clock.advance(60)
    assert before(world, ["old5", "other"]) == {"old5": ACTIVE, "other": ABSENT}
    assert asked(world) == ["newest 1", "old5"]


def test_a_large_import_reads_a_long_list_to_its_end(world: World) -> None:
    """A search for each of its rows would take more calls."""
    have(world, *(f"old{at}" for at in range(50)))
    assert before(world, ["old3", "new"], rows=1000) == {"old3": ACTIVE, "new": ABSENT}
    assert len(asked(world)) == 26 + PROBE


# A list that was read once


def test_new_addresses_take_the_newest_page(world: World) -> None:
    """It shows nothing new, so that what the index does not know is absent."""
    many(world)
    assert before(world, ["new", "newer"]) == {"new": ABSENT, "newer": ABSENT}
    assert asked(world) == ["newest 1"]


def test_what_was_added_is_read_from_the_newest_on(world: World) -> None:
    """Up to the first page on which everything was known before; whatever the times say."""
    many(world)
    have(world, "x", "y", "z")
    world.saleshandy.accounts = [replace(one, created_at=None) for one in world.saleshandy.accounts]
    assert before(world, ["x", "new"]) == {"x": ACTIVE, "new": ABSENT}
    assert asked(world) == ["newest 1", "newest 2", "newest 3"]


def test_a_page_of_which_a_search_knows_everything_does_not_end_what_was_added(
    world: World,
) -> None:
    """What else was added may come after it."""
    many(world)
    have(world, "v", "w", "x", "y")
    world.policy = replace(world.policy, calls_per_minute=1000)
    one = reader(world)
    with one._leased():  # noqa: SLF001  as if an import had searched for them alone
        one._search(["x@x.example", "y@x.example"])  # noqa: SLF001
    world.clock.advance(60)
    asked(world)
    assert before(world, ["v", "x"]) == {"v": ACTIVE, "x": ACTIVE}
    assert asked(world) == ["newest 1", "newest 2", "newest 3"]


def test_an_address_is_searched_for_in_every_page_that_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the end of many others, which come before it."""
    real = FakeRemote.page_of
    monkeypatch.setattr(
        FakeRemote, "page_of", lambda self, accounts, query: real(self, accounts, by_date(query))
    )
    have(world, "1", status=INACTIVE)
    many(world)
    have(world, *(f"{number}1" for number in range(3)))
    assert before(world, ["1"]) == {"1": INACTIVE}


def by_date(query: ListQuery) -> ListQuery:
    """Have a query ordered as it is by default: by date."""
    return replace(query, order=query.order or Order.NEWEST_FIRST)


def test_few_that_are_known_are_searched_for(world: World) -> None:
    """What was seen long ago may have changed."""
    many(world)
    world.saleshandy.accounts[7] = replace(world.saleshandy.accounts[7], status=INACTIVE)
    assert before(world, ["old7", "new"]) == {"old7": INACTIVE, "new": ABSENT}
    assert asked(world) == ["newest 1", "old7"]


def test_of_many_that_are_known_those_that_stopped_are_read(world: World) -> None:
    """What is not among them is active if it was seen so, and unknown if it was not."""
    many(world)
    world.saleshandy.accounts[3] = replace(world.saleshandy.accounts[3], status=ACTIVE)
    for at in (7, 8, 9):
        world.saleshandy.accounts[at] = replace(world.saleshandy.accounts[at], status=INACTIVE)
    assert before(world, [f"old{at}" for at in range(3, 9)]) == {
        "old3": UNKNOWN,
        **dict.fromkeys(("old4", "old5", "old6"), ACTIVE),
        **dict.fromkeys(("old7", "old8"), INACTIVE),
    }
    assert asked(world) == [
        "newest 1",
        *("inactive 1", "inactive 2", "inactive 3", "suspended 1"),
    ]


def test_what_was_seen_more_than_a_day_ago_is_searched_for(world: World) -> None:
    """That it has not stopped does not show that it is still there."""
    many(world)
    world.clock.advance(86_400)
    before(world, [f"old{at}" for at in range(4, 9)])
    assert asked(world)[-5:] == [f"old{at}" for at in range(4, 9)]


def test_what_is_fresh_is_not_read_again(world: World) -> None:
    """Files dropped together share what the first one read."""
    many(world)
    since = world.clock()
    before(world, ["old7", "new"])
    asked(world)
    world.clock.advance(30)
    assert before(world, ["old7", "other"], fresh=since) == {"old7": ACTIVE, "other": ABSENT}
    assert asked(world) == []


# After the sending


def test_new_accounts_are_found_on_the_newest_pages(world: World) -> None:
    """Those that are not there are absent: a page that was known before has been reached."""
    many(world)
    have(world, "x", "y")
    assert after(world, "x", "y", "z") == {"x": ACTIVE, "y": ACTIVE, "z": ABSENT}
    assert asked(world) == ["newest 1", "newest 2"]


def test_accounts_that_were_there_before_are_searched_for(world: World) -> None:
    """They have kept their old place, whatever it is."""
    many(world)
    assert after(world, "old7", "x", kept=["old7"]) == {"old7": ACTIVE, "x": ABSENT}
    assert asked(world) == ["newest 1", "old7"]


def seen_too_early(world: World) -> list[str]:
    """Have six new accounts, all of which the import of the last two has come across."""
    many(world)
    names = [f"new{at}" for at in range(6)]
    have(world, *names)
    after(world, *names[4:])
    return names


def test_accounts_that_were_seen_too_early_are_read_again(world: World) -> None:
    """An import whose accounts another one came across reads the pages from those on."""
    names = seen_too_early(world)
    world.clock.advance(9)
    world.saleshandy.accounts[-6:-5] = []
    asked(world)
    assert after(world, *names[:4]) == dict.fromkeys(names[1:4], ACTIVE) | {names[0]: ABSENT}
    assert asked(world) == ["newest 1", "newest 2", "newest 3", "newest 4", names[0]]
    assert after(world, *names) == dict.fromkeys(names[1:], ACTIVE) | {names[0]: ABSENT}
    assert asked(world) == []


@pytest.mark.parametrize(
    ("late", "calls"),
    [(0, ["newest 1", "new0"]), (60, [f"newest {page}" for page in range(1, 12)])],
)
def test_an_import_that_is_late_reads_for_all_that_wait(
    world: World, late: float, calls: list[str]
) -> None:
    """One account far down is searched for; after as long as its pages take they are read."""
    many(world)
    have(world, *(f"new{at}" for at in range(20)))
    after(world, "new19")
    world.clock.advance(late + 1)
    asked(world)
    assert after(world, "new0", late=late) == {"new0": ACTIVE}
    assert asked(world) == calls


def test_an_import_that_is_late_reads_a_list_without_order_for_all(world: World) -> None:
    """Searches by each of those that wait would take longer than the list."""
    many(world)
    world.ledger.save_honoured("default", replace(ALL, sort=False))
    assert after(world, "old1", "old2", late=0) == {"old1": ACTIVE, "old2": ACTIVE}
    assert asked(world) == ["old1", "old2"]
    world.clock.advance(100)
    assert after(world, "old1", "old2", late=99) == {"old1": ACTIVE, "old2": ACTIVE}
    assert asked(world) == [str(page) for page in range(1, 17)]


def test_the_newest_pages_are_read_again_after_ten_calls_of_the_budget(world: World) -> None:
    """They show the accounts of several imports by then."""
    many(world)
    have(world, "x")
    after(world, "x")
    asked(world)
    world.policy = replace(world.policy, calls_per_minute=20)
    have(world, "y")
    with pytest.raises(RetryAfterError) as caught:
        after(world, "y")
    assert caught.value.wait_seconds == pytest.approx(29)
    assert asked(world) == []
    world.clock.advance(29)
    assert after(world, "y") == {"y": ACTIVE}
    assert asked(world) == ["newest 1", "newest 2"]


@pytest.mark.parametrize("at", [0, 9])
def test_few_accounts_do_not_wait_for_a_long_reading(
    world: World, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """The first pages are read apart from it; what these do not show is searched for."""
    many(world)
    names = [f"new{number}" for number in range(20)]
    have(world, *names)
    monkeypatch.setattr(account_list, "PAGE_SIZE", 10)
    world.policy = replace(world.policy, calls_per_minute=6)
    with pytest.raises(RetryAfterError):
        before(world, ["z"])
    world.clock.advance(100)
    assert len(asked(world)) == 6
    assert after(world, names[-1 - at]) == {names[-1 - at]: ACTIVE}
    assert asked(world) == (["newest 1"] if at == 0 else ["newest 1", names[-1 - at]])


@pytest.mark.parametrize("sort", [True, False])
@pytest.mark.parametrize("late", [0, 99])
def test_many_that_may_be_sent_again_are_searched_for_after_the_list(
    world: World, *, sort: bool, late: float
) -> None:
    """The list is read once where that takes fewer calls, and does not replace the search."""
    many(world, 10)
    world.ledger.save_honoured("default", replace(ALL, sort=sort))
    names = [f"x{at}" for at in range(9)]
    assert after(world, *names, lost=names, late=late) == dict.fromkeys(names, ABSENT)
    queries = asked(world)
    assert queries[-9:] == names
    assert len(queries) == (1 + 6 if sort else 6) + 9


def test_a_list_read_to_its_end_alone_has_nothing_sent_again(world: World) -> None:
    """The search is made, too, where nothing of the list is left to read."""
    many(world)
    since = world.clock() - 1000.5
    seen = reader(world).after({"x@x.example": since}, set(), {"x@x.example"})
    assert _named(seen) == {"x": ABSENT}
    assert asked(world) == ["x"]


@pytest.mark.parametrize(
    ("ignores", "queries"),
    [
        (set(), ["newest 1", "x"]),  # a list that is short for once has nothing sent twice
        ({"sort"}, ["x", *(f"{page}" for page in range(1, 17))]),
        ({"search"}, ["newest 1", *(f"newest {page}" for page in range(1, 17))]),
        ({"sort", "search"}, [*(f"{page}" for page in range(1, 17))]),
        ({"status"}, ["newest 1", "x"]),
    ],
    ids=str,
)
def test_what_is_not_honoured_is_not_relied_on(
    world: World, ignores: set[str], queries: list[str]
) -> None:
    """Where nothing else tells for sure that something is absent, the whole list is read."""
    world.saleshandy.ignores = frozenset(ignores)
    many(world)
    assert after(world, "x", lost=["x"]) == {"x": ABSENT}
    assert asked(world) == queries


def test_without_pages_nothing_is_sent_again(world: World) -> None:
    """A search alone does not show that something never arrived."""
    world.saleshandy.ignores = frozenset({"page"})
    many(world)
    assert after(world, "old1", "x", lost=["old1", "x"]) == {"old1": ACTIVE, "x": UNKNOWN}
    assert after(world, "y") == {"y": ABSENT}


def test_without_pages_and_search_only_the_first_page_is_known(world: World) -> None:
    """It is found to be the same as the others, and is read once each time."""
    world.saleshandy.ignores = frozenset({"page", "search"})
    many(world)
    have(world, "x")
    assert after(world, "x", "old1") == {"x": ACTIVE, "old1": UNKNOWN}
    assert asked(world) == ["newest 1"]


# The probe


@pytest.mark.parametrize("at", range(16))
def test_the_probe_finds_what_is_honoured(world: World, at: int) -> None:
    """Each of the four parameters by itself."""
    names = ["page", "sort", "status", "search"]
    ignored = {name for bit, name in enumerate(names) if at >> bit & 1}
    world.saleshandy.ignores = frozenset(ignored)
    many(world)
    wanted = {name: name not in ignored for name in names}
    assert world.ledger.honoured("default") == Honoured(**wanted)


def test_an_order_is_not_believed_without_times(world: World) -> None:
    """Another order may turn as well when it is asked to."""
    have(world, *(f"old{at}" for at in range(30)))
    world.saleshandy.accounts = [replace(one, created_at=None) for one in world.saleshandy.accounts]
    before(world, ["a", "b"], rows=1000)
    assert world.ledger.honoured("default") == replace(ALL, sort=False)


class Strict(FakeRemote):
    """A service that refuses an order and a status."""

    def page_of(self, accounts: Sequence[ListedAccount], query: ListQuery) -> list[ListedAccount]:
        """Refuse a query, or answer it."""
        if query.order or query.status:
            raise RequestRefusedError("sort is not allowed")
        return super().page_of(accounts, query)


def test_a_list_of_one_page_shows_nothing_that_is_remembered(world: World) -> None:
    """A first call that was refused says nothing about the list of later."""
    world.saleshandy.list_errors.append(RequestRefusedError("HTTP 422"))
    before(world, ["a"])
    assert world.ledger.honoured("default") is None


def test_a_parameter_that_is_refused_is_not_honoured(world: World) -> None:
    """The list is read without it."""
    world.saleshandy = Strict(world.journal, world.clock, page_size=2)
    have(world, *(f"old{at}" for at in range(30)))
    assert before(world, ["old1", "b"], rows=1000) == {"old1": ACTIVE, "b": ABSENT}
    assert world.ledger.honoured("default") == replace(ALL, sort=False, status=False)


def test_a_service_that_stops_to_honour_pages_is_found_out(world: World) -> None:
    """Nothing is read forever."""
    many(world)
    have(world, "x")
    world.saleshandy.ignores = frozenset({"page"})
    have(world, "y", "z")
    assert after(world, "x", "y") == {"x": ACTIVE, "y": ACTIVE}
    assert world.ledger.honoured("default") == replace(ALL, page=False)


# Readings that are interrupted


def until_read(world: World, read: Callable[[], object]) -> list[float]:
    """Come back whenever it is time, and return how long each wait was."""
    waits: list[float] = []
    while True:
        try:
            read()
        except RetryAfterError as later:
            waits.append(later.wait_seconds)
            assert len(waits) < 1000, "it is read forever"
            world.clock.advance(later.wait_seconds)
        else:
            return waits


@pytest.mark.parametrize("calls", [1, 3])
def test_a_reading_goes_on_where_the_budget_broke_it_off(world: World, calls: int) -> None:
    """Nothing is asked twice, the probe included, and each answer counts for the next caller."""
    world.policy = replace(world.policy, calls_per_minute=calls)
    have(world, *(f"old{at}" for at in range(30)))
    began = world.clock()

    def read() -> None:
        assert before(world, ["a"], rows=1000, fresh=began) == {"a": ABSENT}

    waits = until_read(world, read)
    queries = asked(world)
    assert len(queries) == len(set(queries)) + 1 == 16 + PROBE
    assert len(waits) == (len(queries) - 1) // calls
    assert world.ledger.honoured("default") == ALL


@pytest.mark.parametrize("ignores", [set(), {"search", "sort"}], ids=str)
def test_a_reading_of_more_than_an_hour_goes_on(world: World, ignores: set[str]) -> None:
    """However long it takes, no page is requested twice, and it comes to its end."""
    world.saleshandy.ignores = frozenset(ignores)
    world.policy = replace(world.policy, calls_per_minute=1)
    have(world, *(f"old{at}" for at in range(140)))
    began = world.clock()
    until_read(world, lambda: before(world, ["a", "old0"], rows=1000, fresh=began))
    assert world.clock() - began > 3600
    queries = [one for one in asked(world) if one.removeprefix("newest ").isdigit()]
    assert len(queries) <= 71 + PROBE


def test_what_is_read_again_goes_on_as_well(world: World) -> None:
    """How far down it is read is kept with it."""
    names = seen_too_early(world)
    world.clock.advance(600)
    asked(world)
    world.policy = replace(world.policy, calls_per_minute=1)
    wanted = {f"{name}@x.example": world.clock() for name in names[:4]}
    with pytest.raises(RetryAfterError):
        reader(world).after(wanted, set(), set())
    fresh = world.clock()
    until_read(world, lambda: before(world, ["z"], fresh=fresh))
    reader(world).after(wanted, set(), set())
    assert asked(world) == [f"newest {page}" for page in range(1, 5)]


def test_those_who_read_the_list_hold_one_turn(world: World) -> None:
    """Each would read it for all others, so their turns would be waited for in vain."""
    have(world, *(f"old{at}" for at in range(30)))
    world.policy = replace(world.policy, calls_per_minute=1)
    began = world.clock()
    waits = set()
    for number in range(5):
        upload = replace(UPLOAD, key=f"uploads/{number}.csv")
        world.ledger.claim(upload, began, began + 9999)
        with pytest.raises(RetryAfterError) as caught:
            before(world, ["a"], rows=1000, upload=upload)
        waits.add(caught.value.wait_seconds)
    assert len(waits) == 1


@pytest.mark.parametrize("kind", ["newest", "stopped"])
def test_a_part_of_the_list_goes_on_as_well(world: World, kind: str) -> None:
    """Whatever is read, what was read of it is kept."""
    many(world)
    if kind == "newest":
        have(world, *(f"new{at}" for at in range(7)))
    names = ["a"] if kind == "newest" else [f"old{at}" for at in range(9)]
    world.policy = replace(world.policy, calls_per_minute=1)
    began = world.clock()
    until_read(world, lambda: before(world, names, fresh=began))
    queries = asked(world)
    assert len(queries) == len(set(queries)) == {"newest": 5, "stopped": 4}[kind]


@pytest.mark.parametrize("calls", [1, 2, 3, 1000])
def test_a_page_that_repeats_is_known_again_by_the_next_invocation(
    world: World, calls: int
) -> None:
    """A short list has grown, and its pages are no longer honoured: the third is one too many."""
    have(world, "a")
    before(world, ["a"])
    have(world, "b", "c", "d", "e")
    world.saleshandy.ignores = frozenset({"page"})
    world.policy = replace(world.policy, calls_per_minute=calls)
    world.clock.advance(1000)
    asked(world)
    began = world.clock()
    until_read(world, lambda: before(world, ["b"], fresh=began))
    assert world.ledger.honoured("default") == replace(ALL, page=False)
    queries = asked(world)
    assert len(queries) == 3 + PROBE + 2, queries


def test_a_reading_goes_on_where_the_time_was_up(world: World) -> None:
    """An invocation that ends leaves the rest to the next one, at once."""
    have(world, "a", "b", "c", "d")
    left = iter([300.0, 300.0, SAFE_MARGIN - 1])
    began = world.clock()
    with pytest.raises(RetryAfterError) as caught:
        before(world, ["a"], fresh=began, time_left=lambda: next(left))
    assert caught.value.wait_seconds == 0
    assert before(world, ["a"], fresh=began) == {"a": ACTIVE}
    assert asked(world) == ["newest 1", "newest 2", "newest 3"]


def test_a_reading_goes_on_where_the_service_failed(world: World) -> None:
    """The page that did not come is asked for again, and none of those before it."""
    have(world, "a", "b", "c", "d")
    world.saleshandy.list_errors.extend([None, OutcomeUnknownError("HTTP 502")])
    with pytest.raises(OutcomeUnknownError):
        before(world, ["a"])
    assert before(world, ["a"]) == {"a": ACTIVE}
    assert asked(world) == ["newest 1", "newest 2", "newest 2", "newest 3"]


def test_one_reads_at_a_time(world: World) -> None:
    """While one does the others wait, and make no call."""
    assert world.ledger.lease_index("default", world.clock(), world.clock() + 300)
    with pytest.raises(RetryAfterError) as caught:
        before(world, ["a"])
    assert 0 < caught.value.wait_seconds <= 10
    for late, wait in ((200, 50), (9999, 60)):
        with pytest.raises(RetryAfterError) as caught:
            before(world, ["a"], fresh=world.clock() - late)
        assert caught.value.wait_seconds == wait
    assert asked(world) == []
    world.clock.advance(300)
    assert before(world, ["a"]) == {"a": ABSENT}


def test_what_was_read_is_written_before_it_is_remembered(world: World) -> None:
    """A crash between the two costs a reading; the other way round it would lose one."""
    have(world, "a")
    before(world, ["a"])
    names = world.journal.names()
    assert names.index("lease index") < names.index("list") < names.index("report")
    assert names.index("report") < names.index("save index")


def test_the_files_of_the_index_stay_few(world: World) -> None:
    """They are packed into one when they are many, and once a day; nothing is forgotten."""
    many(world)
    for at in range(120):
        have(world, f"new{at}")
        world.clock.advance(1)
        assert before(world, [f"new{at}"]) == {f"new{at}": ACTIVE}
        assert len(world.ledger.index("default").parts) <= 51
    world.clock.advance(90_000)
    have(world, "last")
    assert before(world, ["last"]) == {"last": ACTIVE}
    (part,) = world.ledger.index("default").parts
    text = world.account_list.reports.texts["default", part]  # type: ignore[attr-defined]
    assert len(text.splitlines()) == 30 + 120 + 1


def test_an_index_whose_files_are_gone_is_read_again(world: World) -> None:
    """Somebody deleted them; nothing that is only remembered keeps an import from going on."""
    many(world)
    world.account_list.loaded.clear()
    world.account_list.reports.texts.clear()  # type: ignore[attr-defined]
    assert before(world, ["old1", "old3"], rows=1000) == {"old1": ACTIVE, "old3": INACTIVE}
    assert before(world, ["old1", "old3"], rows=1000) == {"old1": ACTIVE, "old3": INACTIVE}


def test_only_what_others_wrote_is_loaded_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index of many megabytes is loaded once in each process, and again where it was packed."""
    many(world)
    here, elsewhere = world.account_list, replace(world.account_list, loaded={})
    opened: list[str] = []
    load = FakeReports.open

    def counted(reports: FakeReports, folder: str, name: str) -> AbstractContextManager[TextIO]:
        opened.append(name)
        return load(reports, folder, name)

    def seen_by(account_list: AccountList, name: str) -> list[str]:
        opened.clear()
        world.account_list = account_list
        have(world, name)
        world.clock.advance(1)
        assert before(world, [name, "old0"]) == {name: ACTIVE, "old0": ACTIVE}
        return opened.copy()

    monkeypatch.setattr(FakeReports, "open", counted)
    first = world.ledger.index("default").parts
    assert seen_by(elsewhere, "a") == [*first]
    assert seen_by(elsewhere, "b") == []
    assert seen_by(here, "c") == [*world.ledger.index("default").parts[len(first) : -1]]
    world.clock.advance(90_000)
    assert seen_by(here, "d") == []
    assert seen_by(elsewhere, "e") == [*world.ledger.index("default").parts[:1]]
