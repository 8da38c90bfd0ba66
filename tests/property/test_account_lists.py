"""Whatever the account list honours: outcomes are right, and nothing is sent twice."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import pytest

from email_accounts.errors import OutcomeUnknownError
from email_accounts.models.account import Account
from email_accounts.models.service import AccountStatus, ListedAccount
from email_accounts.models.steps import NextAction, TaskResult
from email_accounts.models.upload import Upload
from tests.support.fakes import FakeRemote, World
from tests.support.files import accounts_file

PARAMETERS = ("page", "sort", "status", "search")
COMBINATIONS = [
    frozenset(name for name, ignored in zip(PARAMETERS, given, strict=True) if ignored)
    for given in product([False, True], repeat=4)
]
OLD = [f"old{number}@x.example" for number in range(60)]
STOPPED = OLD[20]
NEW, LATE, FAILING = (f"{name}@x.example" for name in ("new", "late", "failing"))


def followed(world: World, upload: Upload) -> dict[str, str]:
    """Follow an import to its end; return the outcome of each address."""

    def left() -> Callable[[], float]:
        until = world.clock() + 300
        return lambda: until - world.clock()

    world.receive(upload, left())
    result = TaskResult(NextAction.CHECK, 10)
    while result.next is not NextAction.DELIVER:
        world.clock.advance(result.wait_seconds + 0.1)
        run = world.submitter().submit if result.next is NextAction.SUBMIT else world.poller().poll
        result = run(upload.import_id, left())
    world.deliverer().deliver(upload.import_id)
    return {row["address"]: row["outcome"] for row in world.outcome(upload)}


@dataclass(slots=True)
class Losing(FakeRemote):
    """A service that takes a request, whose answer is lost."""

    loses: bool = False

    def connect(self, accounts: Sequence[Account]) -> str:
        """Take accounts; answer, or do not."""
        request_id = FakeRemote.connect(self, accounts)
        if self.loses:
            self.loses = False
            raise OutcomeUnknownError("no answer came")
        return request_id


@pytest.mark.parametrize("has_times", [True, False], ids=["times", "no times"])
@pytest.mark.parametrize("calls", [4, 1000])
@pytest.mark.parametrize("answer", ["comes", "is lost", "never arrives"])
@pytest.mark.parametrize("ignores", COMBINATIONS, ids=lambda one: "-".join(sorted(one)) or "none")
def test_every_combination(
    ignores: frozenset[str], answer: str, calls: int, *, has_times: bool
) -> None:
    """A first file, then its fixed row and a new one, whose answer may be lost."""
    world = World()
    saleshandy = Losing(world.journal, world.clock, page_size=2, ignores=ignores)
    world.saleshandy = saleshandy
    saleshandy.failing[FAILING] = "535 refused"
    saleshandy.accounts = [
        ListedAccount(
            address,
            AccountStatus.INACTIVE if address == STOPPED else AccountStatus.ACTIVE,
            world.clock() - 10_000 + at if has_times else None,
            f"id{at}",
        )
        for at, address in enumerate(OLD)
    ]
    world.policy = replace(
        world.policy,
        calls_per_minute=calls,
        skip_connected=True,
        verify_connected=True,
        deadline=86_400.0,
    )
    first = world.uploads.put("uploads/1.csv", accounts_file(OLD[3], STOPPED, NEW, FAILING))
    found = followed(world, first)
    _check(world, found)
    can_be_read = not {"page", "search"} <= ignores
    is_known_absent = "search" not in ignores or ("sort" not in ignores and has_times)
    if can_be_read:
        assert [found[one] for one in (OLD[3], NEW, FAILING)] == [
            *("already_connected", "connected", "failed")
        ]
        assert found[STOPPED] == "connected"
    assert sent(world)[OLD[3]] == (not can_be_read)

    world.clock.advance(600)
    saleshandy.failing.clear()
    saleshandy.loses = answer == "is lost"
    if answer == "never arrives":
        saleshandy.connect_errors.append(OutcomeUnknownError("no answer came"))
    before = sent(world)
    found = followed(world, world.uploads.put("uploads/2.csv", accounts_file(FAILING, LATE)))
    _check(world, found)
    assert all(many - before[one] <= 1 for one, many in sent(world).items()), "sent twice"
    if can_be_read and (answer == "comes" or "page" not in ignores):
        less = set() if is_known_absent else {"already_connected"}
        if not is_known_absent and "status" in ignores and answer == "never arrives":
            less = {"failed", "unconfirmed"}  # what it was before is not known: not sent again
        assert set(found.values()) <= {"connected"} | less


def sent(world: World) -> Counter[str]:
    """Count how often each address arrived."""
    return Counter(address for some in world.saleshandy.requests.values() for address in some)


def _check(world: World, found: dict[str, str]) -> None:
    """See that nothing is claimed that is not so."""
    listed = {one.address: one.status for one in world.saleshandy.accounts}
    for address, outcome in found.items():
        is_active = listed.get(address) is AccountStatus.ACTIVE
        truths = {
            "connected": is_active,
            "already_connected": is_active,
            "failed": not is_active,
            "unconfirmed": True,
        }
        assert truths[outcome], (address, outcome)
