"""The ledger: what the domain relies on, held against the fake and against DynamoDB."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from email_accounts.aws.ledger import DynamoLedger
from email_accounts.batches import BatchRange, Plan
from email_accounts.errors import ImporterError, LedgerConflictError
from email_accounts.ledger import Batch, BatchState, Import, ImportState, Ledger
from email_accounts.upload import Upload
from tests.aws import new_table
from tests.fakes import FakeLedger, Journal

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

NOW = 1_790_000_000.25
RETENTION = 86_400.0
UPLOAD = Upload("inbox", "uploads/a+b %41 é.csv", "v1", 1234)
OTHER = Upload("inbox", "uploads/a+b %41 é.csv", "v2", 1234)
ID = UPLOAD.import_id
PLAN = Plan((BatchRange(1, 2, 101, 100), BatchRange(2, 102, 110, 7)), 110, 2, 1)


def dynamo_ledger() -> DynamoLedger:
    """Make an empty ledger in DynamoDB."""
    return DynamoLedger(_client(), new_table(), RETENTION)


@cache
def _client() -> "DynamoDBClient":
    """Carry each request out whole, which DynamoDB promises and moto does not."""
    client = boto3.client("dynamodb")
    lock, call = Lock(), client._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001

    def one_at_a_time(name: str, arguments: dict[str, Any]) -> object:
        with lock:
            return call(name, arguments)

    client._make_api_call = one_at_a_time  # type: ignore[attr-defined]  # noqa: SLF001
    return client


@pytest.fixture(params=["fake", "dynamodb"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """Give an empty ledger of either kind."""
    return FakeLedger(Journal()) if request.param == "fake" else dynamo_ledger()


def claimed(ledger: Ledger) -> None:
    """Bring the import to its first station."""
    assert ledger.claim(UPLOAD, NOW, NOW + 3600, NOW + 300)


def planned(ledger: Ledger) -> None:
    """Bring the import to the station of its batches."""
    claimed(ledger)
    ledger.plan(ID, PLAN, ("Notes",))


def batch(ledger: Ledger, number: int = 1) -> Batch:
    """Return one batch."""
    return list(ledger.batches(ID))[number - 1]


# The import


def test_a_claim_remembers_the_import(ledger: Ledger) -> None:
    """What a claim is told is what the import is, to the fraction of a second."""
    claimed(ledger)
    assert ledger.get(ID) == Import(
        id=ID,
        upload=UPLOAD,
        state=ImportState.RECEIVED,
        received_at=NOW,
        deadline=NOW + 3600,
        lease_until=NOW + 300,
    )
    assert list(ledger.batches(ID)) == []


def test_an_upload_is_claimed_once(ledger: Ledger) -> None:
    """While somebody holds an upload nobody else gets it."""
    claimed(ledger)
    assert not any(ledger.claim(UPLOAD, NOW + at, NOW + 9999, NOW + 600) for at in (0, 1, 299.9))
    assert ledger.get(ID).lease_until == NOW + 300


def test_a_claim_is_taken_over_when_its_lease_has_ended(ledger: Ledger) -> None:
    """At the end of the lease the next one gets the upload; times of arrival and deadline stay."""
    claimed(ledger)
    assert ledger.claim(UPLOAD, NOW + 300, NOW + 9999, NOW + 600)
    imported = ledger.get(ID)
    assert (imported.received_at, imported.deadline) == (NOW, NOW + 3600)
    assert imported.lease_until == NOW + 600


def test_a_claim_taken_over_keeps_what_was_planned(ledger: Ledger) -> None:
    """Taking an upload over leaves its state and its batches as they were."""
    planned(ledger)
    assert ledger.claim(UPLOAD, NOW + 300, NOW + 9999, NOW + 600)
    assert ledger.get(ID).state is ImportState.PLANNED
    assert len(list(ledger.batches(ID))) == 2


def test_imports_are_found_by_their_day() -> None:
    """The index has the imports of a day in UTC by their time, and none of their batches."""
    table = new_table()
    ledger = DynamoLedger(_client(), table, RETENTION)
    midnight = NOW - NOW % 86_400
    for number, at in enumerate((midnight + 2, midnight - 0.5, midnight)):
        upload = Upload("inbox", f"uploads/{number}.csv", "v1", 1)
        assert ledger.claim(upload, at, at + 3600, at + 300)
        ledger.plan(upload.import_id, PLAN, ())
    found = _client().query(
        TableName=table,
        IndexName="imports-by-day",
        KeyConditionExpression="#day = :day",
        ExpressionAttributeNames={"#day": "day"},
        ExpressionAttributeValues={":day": {"S": "2026-09-21"}},
        ScanIndexForward=False,
    )["Items"]
    assert [item["key"]["S"] for item in found] == ["uploads/0.csv", "uploads/2.csv"]


def test_versions_of_one_object_are_imports_of_their_own(ledger: Ledger) -> None:
    """Two versions of one key are claimed, and told apart."""
    claimed(ledger)
    assert ledger.claim(OTHER, NOW, NOW + 3600, NOW + 300)
    assert ledger.get(OTHER.import_id).upload == OTHER
    assert ledger.get(ID).upload == UPLOAD


def test_an_import_that_was_answered_is_not_claimed(ledger: Ledger) -> None:
    """After its message an upload is never taken on again, nor leased."""
    planned(ledger)
    ledger.notified(ID)
    assert not ledger.claim(UPLOAD, NOW + 9999, NOW + 99999, NOW + 10999)
    assert not ledger.lease(ID, NOW + 9999, NOW + 10999)


def test_one_submitter_at_a_time(ledger: Ledger) -> None:
    """A lease is given when the last one has ended or was released, not before."""
    claimed(ledger)
    assert not ledger.lease(ID, NOW + 299, NOW + 500)
    ledger.release(ID)
    assert ledger.lease(ID, NOW + 1, NOW + 301)
    assert not ledger.lease(ID, NOW + 2, NOW + 302)
    assert ledger.get(ID).lease_until == NOW + 301


def test_an_import_nobody_knows(ledger: Ledger) -> None:
    """Without an import there is nothing to lease, to intend or to show."""
    assert not ledger.lease(ID, NOW, NOW + 300)
    assert not ledger.intend(ID, 1, NOW)
    assert list(ledger.batches(ID)) == []
    with pytest.raises(ImporterError, match=ID):
        ledger.get(ID)


def test_a_refusal_is_remembered(ledger: Ledger) -> None:
    """A refused file keeps its reason, also after the message."""
    claimed(ledger)
    ledger.refuse(ID, "It is empty. Fill it.")
    assert ledger.get(ID).state is ImportState.REFUSED
    assert ledger.notified(ID)
    assert ledger.get(ID).refusal == "It is empty. Fill it."


def test_a_stop_is_remembered_and_changes_no_state(ledger: Ledger) -> None:
    """Why nothing more is sent stands beside the state."""
    planned(ledger)
    ledger.stop(ID, "the service refused the API key")
    imported = ledger.get(ID)
    assert (imported.state, imported.stopped) == (
        ImportState.PLANNED,
        "the service refused the API key",
    )


def test_where_a_look_goes_on_is_remembered(ledger: Ledger) -> None:
    """A look begins with the first batch, until it is told to begin with another one."""
    planned(ledger)
    assert ledger.get(ID).look_from == 1
    ledger.look_from(ID, 2)
    assert ledger.get(ID).look_from == 2
    assert ledger.get(ID).state is ImportState.PLANNED


def test_the_message_is_remembered_once(ledger: Ledger) -> None:
    """The first to say so is told True, all others False."""
    planned(ledger)
    assert [ledger.notified(ID) for _ in range(3)] == [True, False, False]
    assert ledger.get(ID).state is ImportState.NOTIFIED


def test_a_file_is_refused_or_planned_but_once(ledger: Ledger) -> None:
    """What was planned, refused or answered is neither refused nor planned."""
    claimed(ledger)
    ledger.refuse(ID, "first")
    for _ in range(2):
        with pytest.raises(LedgerConflictError):
            ledger.refuse(ID, "second")
        with pytest.raises(LedgerConflictError):
            ledger.plan(ID, PLAN, ())
        ledger.notified(ID)
    assert ledger.get(ID).refusal == "first"
    assert list(ledger.batches(ID)) == []


def test_a_plan_that_comes_too_late_changes_no_batch(ledger: Ledger) -> None:
    """A second plan is refused and lets no batch be sent again."""
    planned(ledger)
    ledger.intend(ID, 1, NOW)
    with pytest.raises(LedgerConflictError):
        ledger.plan(ID, PLAN, ())
    assert batch(ledger).state is BatchState.SENDING


@pytest.mark.parametrize(
    "change",
    [
        lambda ledger: ledger.release(ID),
        lambda ledger: ledger.stop(ID, "why"),
        lambda ledger: ledger.look_from(ID, 2),
        lambda ledger: ledger.refuse(ID, "why"),
        lambda ledger: ledger.plan(ID, PLAN, ()),
    ],
    ids=["release", "stop", "look_from", "refuse", "plan"],
)
def test_nothing_is_remembered_of_an_import_nobody_claimed(
    ledger: Ledger, change: Callable[[Ledger], None]
) -> None:
    """A change to an import that does not exist is refused and makes none."""
    with pytest.raises(ImporterError):
        change(ledger)
    with pytest.raises(ImporterError):
        ledger.get(ID)


# Its batches


def test_a_plan_is_remembered(ledger: Ledger) -> None:
    """The batches stand there as planned, the unknown columns beside the import."""
    planned(ledger)
    assert ledger.get(ID).state is ImportState.PLANNED
    assert ledger.get(ID).unknown_columns == ("Notes",)
    assert list(ledger.batches(ID)) == [Batch(one, BatchState.PLANNED) for one in PLAN.batches]


def test_many_batches_come_in_their_order(ledger: Ledger) -> None:
    """A hundred and thirty batches are all there, by number and not by spelling."""
    ranges = tuple(BatchRange(n, n * 100 - 98, n * 100 + 1, 100) for n in range(1, 131))
    claimed(ledger)
    ledger.plan(ID, Plan(ranges, 13_000, 0, 0), ())
    assert [one.range for one in ledger.batches(ID)] == list(ranges)


def test_a_plan_may_have_no_batches(ledger: Ledger) -> None:
    """An import of no batches is planned as well: every row may be wrong."""
    claimed(ledger)
    ledger.plan(ID, Plan((), 3, 3, 0), ())
    assert ledger.get(ID).state is ImportState.PLANNED
    assert list(ledger.batches(ID)) == []


def test_a_batch_is_intended_once(ledger: Ledger) -> None:
    """The intent is given to one, with the time of it; other batches are untouched."""
    planned(ledger)
    assert [ledger.intend(ID, 1, NOW + at) for at in (5.5, 6, 7)] == [True, False, False]
    assert batch(ledger) == Batch(PLAN.batches[0], BatchState.SENDING, sent_at=NOW + 5.5)
    assert batch(ledger, 2).state is BatchState.PLANNED
    assert not ledger.intend(ID, 3, NOW)


def test_a_batch_that_was_withdrawn_can_be_sent(ledger: Ledger) -> None:
    """What was not carried out is planned again, and sent at its new time."""
    planned(ledger)
    ledger.intend(ID, 1, NOW)
    ledger.withdraw(ID, 1)
    assert batch(ledger).state is BatchState.PLANNED
    assert ledger.intend(ID, 1, NOW + 60)
    assert batch(ledger).sent_at == NOW + 60


def test_a_submitted_batch_has_its_request_id(ledger: Ledger) -> None:
    """The request id stands beside the time of sending, letters or digits alike."""
    planned(ledger)
    for number, request_id in ((1, "129a184"), (2, "0012")):
        ledger.intend(ID, number, NOW)
        ledger.submitted(ID, number, request_id)
    assert [(one.state, one.request_id, one.sent_at) for one in ledger.batches(ID)] == [
        (BatchState.SUBMITTED, "129a184", NOW),
        (BatchState.SUBMITTED, "0012", NOW),
    ]


@pytest.mark.parametrize("state", [BatchState.REFUSED, BatchState.UNCONFIRMED])
def test_a_batch_being_sent_can_be_settled(ledger: Ledger, state: BatchState) -> None:
    """A request that got no request id ends with its reason."""
    planned(ledger)
    ledger.intend(ID, 1, NOW)
    ledger.settle(ID, 1, state, "said so", report=False)
    assert batch(ledger) == Batch(PLAN.batches[0], state, "", NOW, "said so", report=False)


@pytest.mark.parametrize("report", [True, False])
def test_a_submitted_batch_can_be_settled(ledger: Ledger, report: bool) -> None:  # noqa: FBT001
    """A batch that is completed remembers whether a report was kept."""
    planned(ledger)
    ledger.intend(ID, 1, NOW)
    ledger.submitted(ID, 1, "129a184")
    ledger.settle(ID, 1, BatchState.COMPLETED, "", report=report)
    assert batch(ledger) == Batch(
        PLAN.batches[0], BatchState.COMPLETED, "129a184", NOW, "", report=report
    )


def brought_to(ledger: Ledger, state: BatchState) -> None:
    """Bring the first batch to a state by the way it takes."""
    planned(ledger)
    if state is not BatchState.PLANNED:
        ledger.intend(ID, 1, NOW)
    if state in (BatchState.SUBMITTED, BatchState.COMPLETED):
        ledger.submitted(ID, 1, "129a184")
    if state in (BatchState.COMPLETED, BatchState.REFUSED, BatchState.UNCONFIRMED):
        ledger.settle(ID, 1, state, "first", report=False)


FINAL = (BatchState.COMPLETED, BatchState.REFUSED, BatchState.UNCONFIRMED)
CHANGES: dict[str, tuple[Callable[[Ledger], None], tuple[BatchState, ...]]] = {
    "withdraw": (
        lambda ledger: ledger.withdraw(ID, 1),
        (BatchState.PLANNED, BatchState.SUBMITTED, *FINAL),
    ),
    "submitted": (
        lambda ledger: ledger.submitted(ID, 1, "other"),
        (BatchState.PLANNED, BatchState.SUBMITTED, *FINAL),
    ),
    "settle": (
        lambda ledger: ledger.settle(ID, 1, BatchState.COMPLETED, "other", report=True),
        (BatchState.PLANNED, *FINAL),
    ),
}


@pytest.mark.parametrize(
    ("change", "state"),
    [(change, state) for change, (_, states) in CHANGES.items() for state in states],
)
def test_a_change_that_does_not_fit_is_refused(
    ledger: Ledger, change: str, state: BatchState
) -> None:
    """A change from a state it does not start from raises, and leaves the batch as it was."""
    brought_to(ledger, state)
    before = batch(ledger)
    with pytest.raises(LedgerConflictError):
        CHANGES[change][0](ledger)
    assert batch(ledger) == before


@pytest.mark.parametrize("state", [BatchState.SUBMITTED, *FINAL])
def test_what_was_sent_is_not_intended_again(ledger: Ledger, state: BatchState) -> None:
    """A batch that was sent, whatever came of it, is never sent again."""
    brought_to(ledger, state)
    before = batch(ledger)
    assert not ledger.intend(ID, 1, NOW + 1)
    assert batch(ledger) == before


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_batch_nobody_planned_is_refused(ledger: Ledger, change: str) -> None:
    """A batch that was not planned does not come to be."""
    claimed(ledger)
    with pytest.raises(LedgerConflictError):
        CHANGES[change][0](ledger)
    assert list(ledger.batches(ID)) == []


# The budget. A ledger that has to be reached takes a moment, in which the clock goes on.

MOMENT = 0.5


def test_the_budget_gives_as_many_calls_as_a_minute_may_have(ledger: Ledger) -> None:
    """After the last call of a minute the next one is free when the first is a minute old."""
    times = [NOW, NOW + 10, NOW + 20]
    assert [ledger.take_call("default", at, 3) for at in times] == [0, 0, 0]
    assert ledger.take_call("default", NOW + 25, 3) == pytest.approx(35, abs=MOMENT)
    assert ledger.take_call("default", NOW + 59, 3) == pytest.approx(1, abs=MOMENT)
    assert ledger.take_call("default", NOW + 61, 3) == 0
    assert ledger.take_call("default", NOW + 61, 3) == pytest.approx(9, abs=MOMENT)


def test_a_call_that_was_not_given_costs_nothing(ledger: Ledger) -> None:
    """Asking often does not push one's turn away."""
    ledger.take_call("default", NOW, 1)
    waits = [ledger.take_call("default", NOW + at, 1) for at in (1, 2, 30)]
    assert waits == pytest.approx([59, 58, 30], abs=MOMENT)
    assert ledger.take_call("default", NOW + 61, 1) == 0


def test_each_workspace_has_a_budget(ledger: Ledger) -> None:
    """The calls of one API key are not those of another."""
    assert ledger.take_call("default", NOW, 1) == 0
    assert ledger.take_call("second", NOW, 1) == 0
    assert ledger.take_call("second", NOW + 1, 1) > 0


def test_a_budget_made_smaller_holds_at_once(ledger: Ledger) -> None:
    """Calls made under a larger budget count in the smaller one."""
    for at in range(5):
        assert ledger.take_call("default", NOW + at, 5) == 0
    assert ledger.take_call("default", NOW + 10, 2) == pytest.approx(53, abs=MOMENT)


@pytest.mark.parametrize("seed", range(3))
def test_no_minute_has_more_calls_than_allowed(ledger: Ledger, seed: int) -> None:
    """Wherever a minute begins it holds at most the budget, and who waits as told gets a call."""
    pick = random.Random(seed)  # noqa: S311  not for secrets
    allowed, now, given = pick.randint(1, 6), NOW, list[float]()
    for _ in range(40):
        wait = ledger.take_call("default", now, allowed)
        if wait:
            now += wait + MOMENT
            assert ledger.take_call("default", now, allowed) == 0
        given.append(now)
        now += pick.choice([0, 0.01, 1, 7, 25])
    for first, after in zip(given, given[allowed:], strict=False):
        assert after - first > 60 - MOMENT


# Many at once, on DynamoDB


def test_of_many_claims_at_once_one_wins() -> None:
    """Eight deliveries of one event at the same moment make one import."""
    ledger = dynamo_ledger()
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda _: ledger.claim(UPLOAD, NOW, NOW + 9, NOW + 300), range(8)))
    assert won.count(True) == 1


@pytest.mark.parametrize(
    "take",
    [
        lambda ledger: ledger.lease(ID, NOW + 300, NOW + 600),
        lambda ledger: ledger.intend(ID, 1, NOW),
        lambda ledger: ledger.notified(ID),
    ],
    ids=["lease", "intend", "notified"],
)
def test_of_many_at_once_one_wins(take: Callable[[Ledger], bool]) -> None:
    """One of eight gets the lease, may send a batch, has sent the message."""
    ledger = dynamo_ledger()
    planned(ledger)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: take(ledger), range(8))).count(True) == 1


def test_many_callers_at_once_share_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of sixteen callers at one moment as many get a call as the budget has, the rest a wait."""
    monkeypatch.setattr("email_accounts.aws.ledger._PAUSE", 0.001)
    ledger = dynamo_ledger()
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda _: ledger.take_call("default", NOW, 5), range(16)))
    assert waits.count(0) == 5
    assert sum(0 < wait < 60 + MOMENT for wait in waits) == 11


# What only DynamoDB has


def test_every_entry_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """The import and its batches carry the second in which they may be deleted."""
    monkeypatch.setattr("email_accounts.aws.ledger.time.time", lambda: NOW)
    ledger = dynamo_ledger()
    planned(ledger)
    table = ledger._table  # noqa: SLF001
    items = boto3.client("dynamodb").scan(TableName=table)["Items"]
    assert [item["expires_at"] for item in items] == [{"N": str(int(NOW + RETENTION))}] * 3


def test_columns_nobody_knows_are_kept_in_small() -> None:
    """Of thousands of columns and of long names only the beginning is remembered."""
    ledger = dynamo_ledger()
    claimed(ledger)
    ledger.plan(ID, PLAN, ["x" * 1000] * 1000)
    assert ledger.get(ID).unknown_columns == ("x" * 100,) * 20
