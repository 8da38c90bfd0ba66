"""Walks through the account list: how far, in how many pieces, and by whom."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import replace

import pytest

from email_accounts.errors import OutcomeUnknownError, RequestRefusedError, RetryAfterError
from email_accounts.models.imports import AccountScan
from email_accounts.models.service import AccountStatus, ListedAccount
from email_accounts.models.upload import Upload
from email_accounts.saleshandy.rate_limit import SAFE_MARGIN, RateLimitedClient
from tests.support.fakes import INBOX, FakeRemote, World

OWNER = "default"
UPLOAD = Upload(INBOX, "uploads/a.csv", "v1", 1)


def plenty() -> float:
    """Return the seconds of an invocation that has just begun."""
    return 300.0


@pytest.fixture
def world() -> World:
    """Give a world in which an import is under way, with two accounts on each page."""
    world = World()
    world.saleshandy.page_size = 2
    now = world.clock()
    world.ledger.claim(UPLOAD, now, now + 9999)
    return world


def have(world: World, *ages: float) -> None:
    """Have accounts of these ages in seconds, the oldest first."""
    world.saleshandy.accounts += [
        ListedAccount(
            f"a{age:g}@x{'x' * ages[:at].count(age)}.example",
            _status(age),
            created_at=world.clock() - age,
        )
        for at, age in enumerate(ages)
    ]


def _status(age: float) -> AccountStatus:
    return AccountStatus.INACTIVE if age == 5 else AccountStatus.ACTIVE


def scan(
    world: World,
    *,
    fresh: float | None = None,
    since: float = 0.0,
    time_left: Callable[[], float] = plenty,
    wanted: AbstractSet[str] = frozenset(),
) -> AccountScan:
    """Walk, anew unless a walk is fresh enough."""
    imported = world.ledger.get(UPLOAD.import_id)
    saleshandy = RateLimitedClient(
        world.saleshandy, world.ledger, world.policy, world.clock, imported
    )
    return world.account_list.scan(
        OWNER,
        saleshandy,
        fresh=world.clock() if fresh is None else fresh,
        since=since,
        time_left=time_left,
        wanted=wanted,
    )


def pages(world: World) -> list[object]:
    """Return the pages that were asked for."""
    return [about for name, about in world.journal.entries if name == "list"]


def found(world: World, done: AccountScan) -> list[tuple[str, AccountStatus]]:
    """Return the addresses a walk has found, and their statuses."""
    return [(one.address, one.status) for one in world.account_list.accounts(OWNER, done)]


def test_a_walk_reads_the_whole_list(world: World) -> None:
    """Every account is found, the newest first, with whether it works."""
    have(world, 30, 20, 5)
    done = scan(world)
    assert (done.done, done.began_at) == (True, world.clock())
    assert found(world, done) == [
        ("a5@x.example", AccountStatus.INACTIVE),
        ("a20@x.example", AccountStatus.ACTIVE),
        ("a30@x.example", AccountStatus.ACTIVE),
    ]
    assert list(world.account_list.accounts(OWNER, done)) == world.saleshandy.accounts[::-1]
    assert pages(world) == [1, 2, 3]


def test_an_empty_list_is_a_list(world: World) -> None:
    """Nobody has an account yet."""
    done = scan(world)
    assert (done.done, found(world, done)) == (True, [])


def test_a_walk_ends_at_its_moment(world: World) -> None:
    """It is over with the first page that reaches back before it."""
    have(world, 70, 60, 50, 40, 30, 20, 10)
    done = scan(world, since=world.clock() - 45)
    assert pages(world) == [1, 2, 3]
    assert len(found(world, done)) == 6


def test_a_walk_reads_on_while_it_has_not_come_to_its_moment(world: World) -> None:
    """An account made exactly then is not before it."""
    have(world, 60, 50, 40, 30)
    scan(world, since=world.clock() - 40)
    assert pages(world) == [1, 2]


@pytest.mark.parametrize(
    "ages",
    [(10, 20, 70, 80, 90), (50, 50, 50, 50, 50), (90, 80, 70, 10, 60)],
    ids=["oldest first", "all at once", "in no order"],
)
def test_a_list_that_is_not_newest_first_is_read_to_its_end(
    world: World, ages: tuple[float, ...]
) -> None:
    """Where the order is not seen to be as asked for, nothing can be left out."""
    have(world, *ages)
    assert len(found(world, scan(world, since=world.clock() - 45))) == 5
    assert pages(world) == [1, 2, 3, 4]


def test_a_list_that_tells_no_times_is_read_to_its_end(world: World) -> None:
    """One account without a time is enough."""
    have(world, 90, 80, 70, 60, 50)
    world.saleshandy.accounts[3] = replace(world.saleshandy.accounts[3], created_at=None)
    scan(world, since=world.clock() - 45)
    assert pages(world) == [1, 2, 3, 4]


def test_a_walk_ends_where_all_that_is_wanted_is_found(world: World) -> None:
    """Whatever the order of the list, and whatever the moment it would go back to."""
    have(world, 10, 70, 60, 20, 50, 40, 30)
    done = scan(world, wanted={"a30@x.example", "a20@x.example"})
    assert (done.done, pages(world)) == (True, [1, 2])


def test_a_walk_for_something_is_none_for_anything_else(world: World) -> None:
    """It ended early, so that what it did not find may be there all the same."""
    have(world, 70, 60, 50, 40, 30, 20, 10)
    scan(world, wanted={"a10@x.example"})
    began = world.clock()
    scan(world, fresh=began, wanted={"a70@x.example"})
    assert pages(world) == [1, 1, 2, 3, 4]


def test_what_is_wanted_may_be_found_by_several_invocations(world: World) -> None:
    """What the ones before have found is known to the next."""
    have(world, 40, 30, 20, 10)
    world.saleshandy.list_errors.extend([None, OutcomeUnknownError("HTTP 502")])
    wanted = {"a10@x.example", "a30@x.example"}
    began = world.clock()
    with pytest.raises(OutcomeUnknownError):
        scan(world, fresh=began, wanted=wanted)
    scan(world, fresh=began, wanted=wanted)
    assert pages(world) == [1, 2, 2]


@pytest.mark.parametrize("calls_per_minute", [1000, 1])
def test_a_list_that_ignores_the_page_is_not_read_for_ever(
    world: World, calls_per_minute: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third time the same page comes it is refused, however few calls an invocation has."""
    world.policy = replace(world.policy, calls_per_minute=calls_per_minute)
    have(world, 40, 30, 20, 10)
    listed = FakeRemote.listed
    monkeypatch.setattr(FakeRemote, "listed", lambda fake, page: listed(fake, page and 1))
    began = world.clock()
    for _ in range(10):
        try:
            scan(world, fresh=began)
        except RetryAfterError as later:
            world.clock.advance(later.wait_seconds)
        except RequestRefusedError:
            break
    assert len(pages(world)) == 3


def test_a_page_that_comes_twice_is_no_list_without_pages(world: World) -> None:
    """Accounts that come in meanwhile move the others back by as many places."""
    have(world, 40, 30, 20, 10)
    left = iter([300.0])

    def time_left() -> float:
        if next(left, None) is None and len(world.saleshandy.accounts) == 4:
            have(world, 0, 0)
        return 300.0

    assert len(found(world, scan(world, time_left=time_left))) == 6


# Walks that are there already


def test_a_fresh_walk_is_used_again(world: World) -> None:
    """It costs no call, whoever asks."""
    have(world, 20)
    first = scan(world)
    began = world.clock()
    world.clock.advance(500)
    assert scan(world, fresh=began) == first
    assert pages(world) == [1, 2]


def test_a_walk_that_is_too_old_is_made_anew(world: World) -> None:
    """What has come since then is found."""
    scan(world)
    world.clock.advance(1)
    have(world, 0)
    assert [address for address, _ in found(world, scan(world))] == ["a0@x.example"]


def test_a_walk_that_does_not_reach_back_far_enough_is_made_anew(world: World) -> None:
    """What is older than the last walk went may be what is looked for."""
    have(world, 90, 80, 70, 60, 50, 40, 30, 20)
    began = world.clock()
    scan(world, since=began - 25)
    assert pages(world) == [1]
    done = scan(world, fresh=began, since=began - 75)
    assert (done.since, len(found(world, done))) == (began - 75, 8)


# Walks that are broken off


def test_a_walk_goes_on_where_the_budget_broke_it_off(world: World) -> None:
    """The pages that were read are kept; those that come next are added to them."""
    have(world, 40, 30, 20, 10)
    world.policy = replace(world.policy, calls_per_minute=2)
    began = world.clock()
    with pytest.raises(RetryAfterError) as caught:
        scan(world, fresh=began)
    assert 65 <= caught.value.wait_seconds <= 66
    seen = world.ledger.scan(OWNER)
    assert seen is not None
    assert (seen.parts, seen.done) == ((2,), False)
    world.clock.advance(caught.value.wait_seconds)
    done = scan(world, fresh=began)
    assert (done.parts, done.done, done.began_at) == ((2, 3), True, began)
    assert len(found(world, done)) == 4
    assert pages(world) == [1, 2, 3]


def test_a_walk_goes_on_where_the_time_was_up(world: World) -> None:
    """An invocation that ends leaves the rest to the next one, at once."""
    have(world, 40, 30, 20, 10)
    left = iter([300.0, 300.0, SAFE_MARGIN - 1])
    began = world.clock()
    with pytest.raises(RetryAfterError) as caught:
        scan(world, fresh=began, time_left=lambda: next(left))
    assert caught.value.wait_seconds == 0
    assert len(found(world, scan(world, fresh=began))) == 4
    assert pages(world) == [1, 2, 3]


def test_a_walk_goes_on_where_the_service_failed(world: World) -> None:
    """The page that did not come is asked for again, and none of those before it."""
    have(world, 40, 30, 20, 10)
    world.saleshandy.list_errors.extend([None, OutcomeUnknownError("HTTP 502")])
    began = world.clock()
    with pytest.raises(OutcomeUnknownError):
        scan(world, fresh=began)
    assert len(found(world, scan(world, fresh=began))) == 4
    assert pages(world) == [1, 2, 2, 3]


def test_a_walk_in_which_nothing_was_read_leaves_no_part(world: World) -> None:
    """There is nothing to keep, and the next one may begin at once."""
    world.saleshandy.list_errors.append(OutcomeUnknownError("HTTP 502"))
    with pytest.raises(OutcomeUnknownError):
        scan(world)
    seen = world.ledger.scan(OWNER)
    assert seen is not None
    assert (seen.parts, seen.done) == ((), False)
    assert scan(world).done


def test_a_walk_under_way_is_finished_though_it_is_not_fresh(world: World) -> None:
    """It is of use to others; who needs a fresher one makes it after that."""
    have(world, 40, 30, 20, 10)
    world.saleshandy.list_errors.extend([None, OutcomeUnknownError("HTTP 502")])
    with pytest.raises(OutcomeUnknownError):
        scan(world)
    world.clock.advance(100)
    with pytest.raises(RetryAfterError) as caught:
        scan(world)
    assert caught.value.wait_seconds == 0
    seen = world.ledger.scan(OWNER)
    assert seen is not None
    assert seen.done
    done = scan(world)
    assert done.began_at == world.clock()
    assert pages(world) == [1, 2, 2, 3, 1, 2, 3]


def test_a_walk_that_was_left_lying_is_made_anew(world: World) -> None:
    """Of a list that was read in part an hour ago the rest is no use."""
    have(world, 40, 30)
    world.saleshandy.list_errors.extend([None, OutcomeUnknownError("HTTP 502")])
    with pytest.raises(OutcomeUnknownError):
        scan(world)
    world.clock.advance(3601)
    assert scan(world).began_at == world.clock()
    assert pages(world) == [1, 2, 1, 2]


def test_one_walks_at_a_time(world: World) -> None:
    """While one is under way the others wait, and make no call."""
    now = world.clock()
    assert world.ledger.lease_scan(OWNER, None, AccountScan(now, 0.0), now, now + 300)
    with pytest.raises(RetryAfterError) as caught:
        scan(world)
    assert 0 < caught.value.wait_seconds <= 10
    assert pages(world) == []
    world.clock.advance(300)
    assert scan(world, fresh=now).done


def test_what_was_read_lies_there_before_it_is_remembered(world: World) -> None:
    """A crash between the two costs a page; the other way round it would lose one."""
    have(world, 10)
    before = len(world.journal.entries)
    scan(world)
    names = world.journal.names()[before:]
    assert names.index("take walk") < names.index("list")
    assert names.index("report") < names.index("walked")


def test_no_walk_is_mixed_up_with_another(world: World) -> None:
    """Two walks of one owner have pieces of their own."""
    have(world, 20, 10)
    first = scan(world)
    world.clock.advance(1)
    world.saleshandy.accounts.clear()
    second = scan(world)
    assert (len(found(world, first)), len(found(world, second))) == (2, 0)
