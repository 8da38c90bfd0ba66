"""Whatever the account list honours: outcomes are right, and nothing is sent twice."""

import csv
import io
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest

from email_accounts.delivery.deliverer import OUTCOME_NAME
from email_accounts.errors import OutcomeUnknownError
from email_accounts.models.account_index import Honoured
from email_accounts.models.service import AccountStatus, ListedAccount
from email_accounts.models.steps import NextAction, TaskResult
from email_accounts.models.upload import Upload
from tests.support.fakes import World
from tests.support.files import accounts_file

PARAMETERS = ("page", "sort", "status", "search")
COMBINATIONS = [
    frozenset(name for name, ignored in zip(PARAMETERS, given, strict=True) if ignored)
    for given in product([False, True], repeat=4)
]
OLD = [f"old{number}@x.example" for number in range(60)]
STOPPED, NEW, FAILING = OLD[20], "new@x.example", "failing@x.example"


def followed(world: World, upload: Upload) -> dict[str, tuple[str, str]]:
    """Follow an import to its end; return outcome and reason of each address."""

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
    text = world.reports.texts[upload.import_id, OUTCOME_NAME].removeprefix("\ufeff")
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return {row["smtpEmailAddress"]: (row["outcome"], row["reason"]) for row in rows}


@pytest.mark.parametrize("has_times", [True, False], ids=["times", "no times"])
@pytest.mark.parametrize("calls", [4, 1000])
@pytest.mark.parametrize("answer", ["comes", "is lost", "never arrived"])
@pytest.mark.parametrize("ignores", COMBINATIONS, ids=lambda one: "-".join(sorted(one)) or "all")
def test_every_combination(
    ignores: frozenset[str], answer: str, calls: int, *, has_times: bool
) -> None:
    """A first file, a fix of a row dropped again, and a file whose answer may be lost."""
    world = World()
    world.saleshandy.page_size = 2
    world.saleshandy.ignores = ignores
    world.saleshandy.failing[FAILING] = "535 refused"
    began = world.clock()
    world.saleshandy.accounts = [
        ListedAccount(
            address,
            AccountStatus.INACTIVE if address == STOPPED else AccountStatus.ACTIVE,
            began - 10_000 + at if has_times else None,
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
    check(world, found, {OLD[3]: 1, STOPPED: 1, NEW: 1, FAILING: 0})

    world.clock.advance(600)
    world.saleshandy.failing.clear()
    if answer != "comes":
        world.saleshandy.connect_errors.append(OutcomeUnknownError("no answer came"))
    fixed = world.uploads.put("uploads/2.csv", accounts_file(FAILING, "late@x.example"))
    if answer == "is lost":
        world.saleshandy.lost_answers = True
    before = Counter(address for some in world.saleshandy.requests.values() for address in some)
    found = followed(world, fixed)
    after = Counter(address for some in world.saleshandy.requests.values() for address in some)
    assert all(after[one] - before[one] <= 1 for one in after), "something arrived twice"
    check(world, found, {})
    if answer == "is lost":
        assert all(outcome != "failed" for outcome, _ in found.values())
    honoured = world.ledger.honoured("default")
    assert honoured is not None
    wanted = {name: name not in ignores for name in PARAMETERS}
    wanted["sort"] = wanted["sort"] and has_times
    assert honoured == Honoured(**wanted)


def check(world: World, found: dict[str, tuple[str, str]], works: dict[str, int]) -> None:
    """See that nothing is claimed that is not so."""
    listed = {one.address: one.status for one in world.saleshandy.accounts}
    for address, (outcome, reason) in found.items():
        active = listed.get(address) is AccountStatus.ACTIVE
        truths = {
            "connected": active,
            "already_connected": active,
            "failed": not active,
            "unconfirmed": bool(reason),
        }
        assert truths[outcome], (address, outcome, reason)
    assert works.keys() <= found.keys()
