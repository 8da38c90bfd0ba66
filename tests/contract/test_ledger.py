"""The ledger: what the domain relies on, held against the fake and against DynamoDB."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from email_accounts.aws.dynamodb import DynamoLedger
from email_accounts.errors import ImporterError, LedgerConflictError
from email_accounts.models.imports import (
    AccountScan,
    Batch,
    BatchRange,
    BatchState,
    Import,
    ImportState,
    Plan,
)
from email_accounts.models.upload import Upload
from email_accounts.ports import Ledger
from tests.support.aws import new_table
from tests.support.fakes import FakeLedger, Journal

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
        began_at=NOW,
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
    assert not ledger.intend(ID, 1, NOW, reconciliation=False)
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


def test_the_time_of_the_upload_is_remembered(ledger: Ledger) -> None:
    """When the file was dropped is known for as long as its import."""
    upload = replace(UPLOAD, uploaded_at=NOW - 12.5)
    assert ledger.claim(upload, NOW, NOW + 3600, NOW + 300)
    assert ledger.get(ID).upload.uploaded_at == NOW - 12.5
    assert ledger.get(ID).dropped_at == NOW - 12.5


def test_nobody_submits_what_is_being_delivered(ledger: Ledger) -> None:
    """Delivering waits for the end of the lease and may begin again; after it nobody leases."""
    planned(ledger)
    assert not deliver(ledger, NOW + 299)
    assert ledger.get(ID).state is ImportState.PLANNED
    assert all(deliver(ledger, NOW + at) for at in (300, 301))
    assert ledger.get(ID).state is ImportState.DELIVERING
    assert not ledger.lease(ID, NOW + 9999, NOW + 10999)
    assert not ledger.claim(UPLOAD, NOW + 9999, NOW + 99999, NOW + 10999)
    assert ledger.notified(ID)
    assert not deliver(ledger, NOW + 9999)
    assert not deliver(ledger, NOW + 9999, best_effort=True)


def test_the_last_resort_waits_for_whoever_delivers(ledger: Ledger) -> None:
    """Two who deliver at once would both send the message."""
    planned(ledger)
    assert deliver(ledger, NOW + 300)
    assert not deliver(ledger, NOW + 599, best_effort=True)
    assert deliver(ledger, NOW + 599)
    assert not deliver(ledger, NOW + 600, best_effort=True)
    assert deliver(ledger, NOW + 899, best_effort=True)
    for best_effort in (False, True):
        assert not deliver(ledger, NOW + 1198, best_effort=best_effort)
    assert deliver(ledger, NOW + 1199)


def deliver(ledger: Ledger, now: float, *, best_effort: bool = False) -> bool:
    """Begin to deliver, for 300 seconds."""
    return ledger.deliver(ID, now, now + 300, best_effort=best_effort)


def test_a_refused_file_is_delivered_at_once(ledger: Ledger) -> None:
    """Nothing of it is sent, so nobody has to be waited for."""
    claimed(ledger)
    ledger.refuse(ID, "It is empty. Fill it.")
    assert deliver(ledger, NOW + 1)
    assert not deliver(ledger, NOW + 2, best_effort=True)
    assert ledger.get(ID).refusal == "It is empty. Fill it."


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
    ledger.intend(ID, 1, NOW, reconciliation=False)
    with pytest.raises(LedgerConflictError):
        ledger.plan(ID, PLAN, ())
    assert batch(ledger).state is BatchState.SENDING


@pytest.mark.parametrize(
    "change",
    [
        lambda ledger: ledger.release(ID),
        lambda ledger: ledger.stop(ID, "why"),
        lambda ledger: ledger.restart(ID, NOW, NOW + 3600),
        lambda ledger: ledger.refuse(ID, "why"),
        lambda ledger: ledger.plan(ID, PLAN, ()),
    ],
    ids=["release", "stop", "reopen", "refuse", "plan"],
)
def test_nothing_is_remembered_of_an_import_nobody_claimed(
    ledger: Ledger, change: Callable[[Ledger], object]
) -> None:
    """A change to an import that does not exist is refused and makes none."""
    with pytest.raises(ImporterError):
        change(ledger)
    with pytest.raises(ImporterError):
        ledger.get(ID)


# Its batches


def test_items_that_were_not_written_are_written_after_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DynamoDB leaves items out when it is busy, and asks for pauses that grow.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
    """
    client = boto3.client("dynamodb")
    write, pauses = client.batch_write_item, list[float]()

    def busy(*, RequestItems: dict[str, Any]) -> object:  # noqa: N803  as boto3 calls it
        if len(pauses) < 3:
            return {"UnprocessedItems": RequestItems}
        return write(RequestItems=RequestItems)

    monkeypatch.setattr(client, "batch_write_item", busy)
    monkeypatch.setattr("random.uniform", lambda _, most: most)
    monkeypatch.setattr("time.sleep", pauses.append)
    ledger = DynamoLedger(client, new_table(), RETENTION)
    planned(ledger)
    assert len(list(ledger.batches(ID))) == 2
    assert len(pauses) == 3
    assert pauses == sorted(set(pauses))
    assert pauses[0] > 0


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


@pytest.mark.parametrize("reconciliation", [True, False])
def test_a_batch_is_intended_once(ledger: Ledger, reconciliation: bool) -> None:  # noqa: FBT001  a pair of cases
    """The intent is given to one, with the time of it; other batches are untouched."""
    planned(ledger)
    won = [ledger.intend(ID, 1, NOW + at, reconciliation=reconciliation) for at in (5.5, 6, 7)]
    assert won == [True, False, False]
    assert batch(ledger) == Batch(
        PLAN.batches[0],
        BatchState.SENDING,
        sent=1,
        sent_at=NOW + 5.5,
        changed_at=NOW + 5.5,
        reconciliation=reconciliation,
    )
    assert batch(ledger, 2) == Batch(PLAN.batches[1], BatchState.PLANNED)
    assert not ledger.intend(ID, 3, NOW, reconciliation=reconciliation)


def test_a_batch_that_was_withdrawn_can_be_sent(ledger: Ledger) -> None:
    """What was not carried out is planned again, and sent at its new time."""
    planned(ledger)
    for at in (0, 60, 120):
        assert ledger.intend(ID, 1, NOW + at, reconciliation=True)
        ledger.withdraw(ID, 1)
        assert batch(ledger).state is BatchState.PLANNED
    assert ledger.intend(ID, 1, NOW + 180, reconciliation=False)
    again = batch(ledger)
    assert (again.sent, again.sent_at, again.reconciliation) == (1, NOW + 180, False)


def test_sendings_that_may_have_arrived_are_counted(ledger: Ledger) -> None:
    """One whose answer was lost counts, though it is sent again."""
    planned(ledger)
    for at in (0, 60):
        assert ledger.intend(ID, 1, NOW + at, reconciliation=False)
        ledger.unconfirmed(ID, 1, "no answer came", NOW + at, NOW + at)
        ledger.withdraw(ID, 1)
    assert (batch(ledger).state, batch(ledger).sent) == (BatchState.PLANNED, 2)


def test_a_submitted_batch_has_its_request_id(ledger: Ledger) -> None:
    """The request id stands beside the time of sending, letters or digits alike."""
    planned(ledger)
    for number, request_id in ((1, "129a184"), (2, "0012")):
        ledger.intend(ID, number, NOW, reconciliation=False)
        ledger.submitted(ID, number, request_id, NOW + 2.5, NOW + 12.5)
        assert batch(ledger, number) == Batch(
            PLAN.batches[number - 1],
            BatchState.SUBMITTED,
            request_id,
            sent=1,
            sent_at=NOW,
            next_poll_at=NOW + 12.5,
            changed_at=NOW + 2.5,
        )


@pytest.mark.parametrize("request_id", ["", "129a184"])
def test_what_is_not_known_of_a_batch_is_remembered(ledger: Ledger, request_id: str) -> None:
    """An unconfirmed batch has its reason, when it is looked for, and its request id if any."""
    planned(ledger)
    ledger.intend(ID, 1, NOW, reconciliation=True)
    if request_id:
        ledger.submitted(ID, 1, request_id, NOW + 1, NOW + 11)
    ledger.unconfirmed(ID, 1, "no answer came", NOW + 30, NOW + 40.5)
    assert batch(ledger) == Batch(
        PLAN.batches[0],
        BatchState.UNCONFIRMED,
        request_id,
        sent=1,
        sent_at=NOW,
        next_poll_at=NOW + 40.5,
        changed_at=NOW + 30,
        reason="no answer came",
        reconciliation=True,
    )


@pytest.mark.parametrize("state", [BatchState.SUBMITTED, BatchState.UNCONFIRMED])
def test_a_look_is_remembered(ledger: Ledger, state: BatchState) -> None:
    """When the next one is due, and how many reports were missed; nothing else has changed."""
    brought_to(ledger, state)
    before = batch(ledger)
    ledger.polled(ID, 1, NOW + 99.5, reports_missed=2)
    assert batch(ledger) == replace(before, next_poll_at=NOW + 99.5, reports_missed=2)
    ledger.polled(ID, 1, NOW + 100)
    assert batch(ledger) == replace(before, next_poll_at=NOW + 100)


FINAL = (BatchState.COMPLETED, BatchState.REFUSED, BatchState.RECONCILED)
OPEN = (
    BatchState.PLANNED,
    BatchState.SENDING,
    BatchState.SUBMITTED,
    BatchState.UNCONFIRMED,
)


@pytest.mark.parametrize("state", OPEN)
@pytest.mark.parametrize("final", FINAL)
def test_a_batch_can_be_settled_wherever_it_stood(
    ledger: Ledger, state: BatchState, final: BatchState
) -> None:
    """It remembers how it ended, when, why, and whether a report and a reconciliation were kept."""
    brought_to(ledger, state)
    before = batch(ledger)
    ledger.settle(ID, 1, final, NOW + 77, reason="said so", report=True, reconciliation=True)
    assert batch(ledger) == replace(
        before, state=final, changed_at=NOW + 77, reason="said so", report=True, reconciliation=True
    )


@pytest.mark.parametrize("state", OPEN)
def test_what_is_not_named_at_the_end_is_nothing_but_the_listing(
    ledger: Ledger, state: BatchState
) -> None:
    """There is no reason and no report; what was left out of the batch stays left out."""
    brought_to(ledger, state)
    before = batch(ledger)
    ledger.settle(ID, 1, BatchState.COMPLETED, NOW + 77)
    assert batch(ledger) == replace(
        before, state=BatchState.COMPLETED, changed_at=NOW + 77, reason=""
    )


def test_a_listing_is_kept_or_taken_back(ledger: Ledger) -> None:
    """Settling leaves it as it was unless it is told otherwise."""
    planned(ledger)
    for number, reconciliation in ((1, None), (2, False)):
        ledger.intend(ID, number, NOW, reconciliation=True)
        ledger.settle(ID, number, BatchState.COMPLETED, NOW, reconciliation=reconciliation)
    assert [one.reconciliation for one in ledger.batches(ID)] == [True, False]


def brought_to(ledger: Ledger, state: BatchState) -> None:
    """Bring the first batch to a state by the way it takes."""
    planned(ledger)
    if state is not BatchState.PLANNED:
        ledger.intend(ID, 1, NOW, reconciliation=False)
    if state in (BatchState.SUBMITTED, BatchState.COMPLETED, BatchState.RECONCILED):
        ledger.submitted(ID, 1, "129a184", NOW + 1, NOW + 11)
    if state is BatchState.UNCONFIRMED:
        ledger.unconfirmed(ID, 1, "first", NOW + 1, NOW + 11)
    if state in FINAL:
        ledger.settle(ID, 1, state, NOW + 2, reason="first")


CHANGES: dict[str, tuple[Callable[[Ledger], None], tuple[BatchState, ...]]] = {
    "withdraw": (
        lambda ledger: ledger.withdraw(ID, 1),
        (BatchState.PLANNED, BatchState.SUBMITTED, *FINAL),
    ),
    "submitted": (
        lambda ledger: ledger.submitted(ID, 1, "other", NOW, NOW),
        (BatchState.PLANNED, BatchState.SUBMITTED, BatchState.UNCONFIRMED, *FINAL),
    ),
    "unconfirmed": (
        lambda ledger: ledger.unconfirmed(ID, 1, "other", NOW, NOW),
        (BatchState.PLANNED, BatchState.UNCONFIRMED, *FINAL),
    ),
    "looked": (
        lambda ledger: ledger.polled(ID, 1, NOW + 5),
        (BatchState.PLANNED, BatchState.SENDING, *FINAL),
    ),
    "settle": (
        lambda ledger: ledger.settle(ID, 1, BatchState.COMPLETED, NOW, reason="other"),
        FINAL,
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


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (change, state)
        for change, (_, refused) in CHANGES.items()
        for state in BatchState
        if state not in refused
    ],
)
def test_a_change_that_fits_is_made(ledger: Ledger, change: str, state: BatchState) -> None:
    """From every other state the change goes through, and says so in the batch."""
    brought_to(ledger, state)
    before = batch(ledger)
    CHANGES[change][0](ledger)
    assert batch(ledger) != before


@pytest.mark.parametrize(
    "state", [BatchState.SENDING, BatchState.SUBMITTED, BatchState.UNCONFIRMED, *FINAL]
)
def test_what_was_sent_is_not_intended_again(ledger: Ledger, state: BatchState) -> None:
    """A batch that was sent, whatever came of it, is not sent unless it is planned again."""
    brought_to(ledger, state)
    before = batch(ledger)
    assert not ledger.intend(ID, 1, NOW + 1, reconciliation=True)
    assert batch(ledger) == before


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_batch_nobody_planned_is_refused(ledger: Ledger, change: str) -> None:
    """A batch that was not planned does not come to be."""
    claimed(ledger)
    with pytest.raises(LedgerConflictError):
        CHANGES[change][0](ledger)
    assert list(ledger.batches(ID)) == []


# An import taken up again


def test_an_answered_import_is_reopened(ledger: Ledger) -> None:
    """It is under way again from now to its new deadline, nobody holds it, nothing stops it."""
    planned(ledger)
    ledger.stop(ID, "the service refused the API key")
    before = ledger.get(ID)
    ledger.notified(ID)
    assert ledger.restart(ID, NOW + 9999, NOW + 20_000)
    assert ledger.get(ID) == replace(
        before,
        state=ImportState.PLANNED,
        began_at=NOW + 9999,
        deadline=NOW + 20_000,
        lease_until=0,
        resumed=1,
        stopped="",
    )
    assert ledger.get(ID).execution == f"{ID}-2"
    assert ledger.lease(ID, NOW + 9999, NOW + 10_299)
    assert ledger.notified(ID)
    assert ledger.restart(ID, NOW + 30_000, NOW + 40_000)
    assert ledger.get(ID).resumed == 2


def test_an_import_that_was_not_answered_is_not_reopened(ledger: Ledger) -> None:
    """One under way goes on as it is; a second reopening finds one that is under way."""
    planned(ledger)
    before = ledger.get(ID)
    assert not ledger.restart(ID, NOW + 1, NOW + 9999)
    assert ledger.get(ID) == before
    ledger.notified(ID)
    assert [ledger.restart(ID, NOW + at, NOW + 9999) for at in (1, 2)] == [True, False]
    assert ledger.get(ID).began_at == NOW + 1


@pytest.mark.parametrize("state", [BatchState.UNCONFIRMED, BatchState.RECONCILED])
@pytest.mark.parametrize("request_id", ["", "129a184"])
def test_what_is_not_known_for_sure_is_looked_at_again(
    ledger: Ledger, state: BatchState, request_id: str
) -> None:
    """With a request id it is asked for at once, without one looked for; its reports count anew."""
    planned(ledger)
    ledger.intend(ID, 1, NOW, reconciliation=True)
    if request_id:
        ledger.submitted(ID, 1, request_id, NOW, NOW + 10)
        ledger.polled(ID, 1, NOW + 20, reports_missed=2)
    ledger.unconfirmed(ID, 1, "lost", NOW + 20, NOW + 30)
    if state is BatchState.RECONCILED:
        ledger.settle(ID, 1, state, NOW + 40, reason="lost", reconciliation=True)
    before = batch(ledger)
    ledger.notified(ID)
    assert ledger.restart(ID, NOW + 9999, NOW + 20_000)
    open_again = BatchState.SUBMITTED if request_id else BatchState.UNCONFIRMED
    assert batch(ledger) == replace(
        before, state=open_again, next_poll_at=NOW + 9999, reports_missed=0
    )


@pytest.mark.parametrize(
    "state",
    [
        BatchState.PLANNED,
        BatchState.SENDING,
        BatchState.SUBMITTED,
        BatchState.COMPLETED,
        BatchState.REFUSED,
    ],
)
def test_what_is_known_or_under_way_stays_as_it_is(ledger: Ledger, state: BatchState) -> None:
    """A resumption sends nothing again, and asks for nothing that has been answered."""
    brought_to(ledger, state)
    before = batch(ledger)
    ledger.notified(ID)
    assert ledger.restart(ID, NOW + 9999, NOW + 20_000)
    assert batch(ledger) == before


# The walks through the account list

WALK = AccountScan(NOW, NOW - 300.5)


def test_there_is_no_walk_at_first(ledger: Ledger) -> None:
    """Where nobody walked there is nothing to use."""
    assert ledger.scan("default") is None


def test_a_walk_is_remembered(ledger: Ledger) -> None:
    """Where it began, how far back it goes, how far it has come, and whether it is done."""
    assert ledger.lease_scan("default", None, WALK, NOW, NOW + 300)
    assert ledger.scan("default") == WALK
    further = replace(WALK, parts=(3, 10), done=True)
    ledger.save_scan("default", further)
    assert ledger.scan("default") == further


def test_each_owner_has_a_walk(ledger: Ledger) -> None:
    """A workspace and an import do not disturb each other."""
    assert ledger.lease_scan("default", None, WALK, NOW, NOW + 300)
    other = AccountScan(NOW + 1, 0)
    assert ledger.lease_scan(ID, None, other, NOW, NOW + 300)
    assert (ledger.scan("default"), ledger.scan(ID)) == (WALK, other)


def test_one_walks_at_a_time(ledger: Ledger) -> None:
    """Until its time is over or it says how far it has come, nobody else goes on."""
    assert ledger.lease_scan("default", None, WALK, NOW, NOW + 300)
    assert not ledger.lease_scan("default", None, WALK, NOW, NOW + 300)
    assert not ledger.lease_scan("default", WALK, WALK, NOW + 299, NOW + 600)
    further = replace(WALK, parts=(3,))
    ledger.save_scan("default", further)
    assert ledger.lease_scan("default", further, further, NOW + 5, NOW + 305)


def test_a_walk_whose_walker_died_is_taken_over(ledger: Ledger) -> None:
    """At the end of its lease the next one goes on where it stood, or begins anew."""
    assert ledger.lease_scan("default", None, WALK, NOW, NOW + 300)
    anew = AccountScan(NOW + 300, 0)
    assert ledger.lease_scan("default", WALK, anew, NOW + 300, NOW + 600)
    assert ledger.scan("default") == anew


def test_a_walk_that_went_on_meanwhile_is_not_taken(ledger: Ledger) -> None:
    """Of two that saw the same walk the second is told, though the first has finished by then."""
    assert ledger.lease_scan("default", None, WALK, NOW, NOW + 300)
    ledger.save_scan("default", WALK)
    assert ledger.lease_scan("default", WALK, WALK, NOW + 1, NOW + 301)
    further = replace(WALK, parts=(2,))
    ledger.save_scan("default", further)
    assert not ledger.lease_scan("default", WALK, WALK, NOW + 2, NOW + 302)
    assert not ledger.lease_scan("default", None, WALK, NOW + 2, NOW + 302)
    assert not ledger.lease_scan("default", replace(further, began_at=1), WALK, NOW, NOW + 302)
    assert ledger.scan("default") == further


# The budget. A ledger that has to be reached takes a moment, in which the clock goes on.

MOMENT = 0.5


def take(ledger: Ledger, at: float, allowed: int, holder: str = "one", wanted: int = 1) -> float:
    """Take a call out of the default workspace's budget."""
    return ledger.take_call("default", holder, wanted, at, allowed)


def test_the_budget_gives_as_many_calls_as_a_minute_may_have(ledger: Ledger) -> None:
    """After the last call of a minute the next one is free when the first is a minute old."""
    assert [take(ledger, NOW + at, 3) for at in (0, 10, 20)] == [0, 0, 0]
    assert take(ledger, NOW + 25, 3) == pytest.approx(40, abs=1 + MOMENT)
    assert take(ledger, NOW + 59, 3) == pytest.approx(6, abs=1 + MOMENT)
    assert take(ledger, NOW + 67, 3) == 0
    assert 8 - MOMENT <= take(ledger, NOW + 67, 3) <= 10 + MOMENT


def test_a_turn_is_for_as_many_calls_as_were_wanted(ledger: Ledger) -> None:
    """Who waits comes back to several calls, where there is room for them."""
    assert [take(ledger, NOW, 3) for _ in range(3)] == [0, 0, 0]
    wait = take(ledger, NOW + 1, 3, wanted=3)
    assert wait == pytest.approx(64, abs=1 + MOMENT)
    assert take(ledger, NOW + 1, 3, "two") > wait + 59
    assert [take(ledger, NOW + 66 + at, 3) for at in range(3)] == [0, 0, 0]


def test_a_call_that_was_not_given_costs_nothing(ledger: Ledger) -> None:
    """Asking often does not push one's turn away, nor take another's."""
    take(ledger, NOW, 1)
    waits = [take(ledger, NOW + at, 1) for at in (1, 2, 30)]
    assert waits == pytest.approx([64, 63, 35], abs=1 + MOMENT)
    assert take(ledger, NOW + 66, 1) == 0


def test_turns_are_given_in_the_order_of_asking(ledger: Ledger) -> None:
    """Who asked first has the earlier turn, and nobody takes it from them."""
    take(ledger, NOW, 1)
    waits = {one: take(ledger, NOW + 1, 1, one) for one in ("first", "second", "third")}
    assert sorted(waits, key=waits.__getitem__) == ["first", "second", "third"]
    assert take(ledger, NOW + 66, 1, "third") > 60
    assert take(ledger, NOW + 66, 1, "first") == 0


def test_each_workspace_has_a_budget(ledger: Ledger) -> None:
    """The calls of one API key are not those of another."""
    assert ledger.take_call("default", "one", 1, NOW, 1) == 0
    assert ledger.take_call("second", "one", 1, NOW, 1) == 0
    assert ledger.take_call("second", "one", 1, NOW + 1, 1) > 0


def test_a_budget_made_smaller_holds_at_once(ledger: Ledger) -> None:
    """Calls made under a larger budget count in the smaller one."""
    for at in range(5):
        assert take(ledger, NOW + at, 5) == 0
    assert take(ledger, NOW + 10, 2) == pytest.approx(58, abs=1 + MOMENT)


def test_a_closed_budget_gives_no_call(ledger: Ledger) -> None:
    """Until the time the remote said nobody calls, and turns promised before come after it."""
    take(ledger, NOW, 1, "one")
    turn = take(ledger, NOW, 1, "two")
    ledger.close_budget("default", NOW, NOW + 100)
    assert take(ledger, NOW, 1000, "three") >= 100 - MOMENT
    assert take(ledger, NOW, 1, "two") == pytest.approx(turn + 100, abs=MOMENT)
    assert ledger.take_call("second", "one", 1, NOW, 1) == 0


def test_a_budget_closed_for_less_stays_closed_for_longer(ledger: Ledger) -> None:
    """The later of two times holds; one that is over closes nothing."""
    ledger.close_budget("default", NOW, NOW + 100)
    ledger.close_budget("default", NOW, NOW + 5)
    assert take(ledger, NOW + 50, 5) >= 50 - MOMENT
    ledger.close_budget("second", NOW, NOW - 1)
    assert ledger.take_call("second", "one", 1, NOW, 5) == 0


@pytest.mark.parametrize("seed", range(3))
def test_no_minute_has_more_calls_than_allowed(ledger: Ledger, seed: int) -> None:
    """Wherever a minute begins it holds at most the budget, and who waits as told gets a call."""
    pick = random.Random(seed)  # noqa: S311  not for secrets
    allowed, now, given = pick.randint(1, 6), NOW, list[float]()
    for _ in range(40):
        wait = take(ledger, now, allowed, wanted=pick.randint(1, 9))
        if wait:
            now += wait + MOMENT
            assert take(ledger, now, allowed) == 0
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
        lambda ledger: ledger.intend(ID, 1, NOW, reconciliation=False),
        lambda ledger: ledger.notified(ID),
        lambda ledger: ledger.lease_scan(ID, None, WALK, NOW, NOW + 300),
    ],
    ids=["lease", "intend", "notified", "walk"],
)
def test_of_many_at_once_one_wins(take: Callable[[Ledger], bool]) -> None:
    """One of eight gets the lease, may send a batch, has sent the message, reads the list."""
    ledger = dynamo_ledger()
    planned(ledger)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: take(ledger), range(8))).count(True) == 1


def test_of_many_resumptions_at_once_one_wins() -> None:
    """Eight operators at one moment make one new execution."""
    ledger = dynamo_ledger()
    planned(ledger)
    ledger.notified(ID)
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda at: ledger.restart(ID, NOW + 1 + at, NOW + 9999), range(8)))
    assert won.count(True) == 1
    assert ledger.get(ID).resumed == 1


def test_many_callers_at_once_share_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of sixteen callers at one moment as many get a call as the budget has, the rest a turn."""
    monkeypatch.setattr("email_accounts.aws.dynamodb._PAUSE", 0.001)
    ledger = dynamo_ledger()

    def take_one(number: int) -> float:
        return ledger.take_call("default", f"import {number}", 1, NOW, 5)

    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(take_one, range(16)))
    assert waits.count(0) == 5
    turns = sorted(wait for wait in waits if wait)
    minutes = [round((wait - MOMENT) / 61) for wait in turns]
    assert minutes == [1] * 5 + [2] * 5 + [3]


def test_a_crowded_budget_asks_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is always too late is told to come again soon, and has taken no call."""
    monkeypatch.setattr("email_accounts.aws.dynamodb._PAUSE", 0.001)
    ledger = dynamo_ledger()
    monkeypatch.setattr(ledger, "_changed", lambda *_, **__: False)
    assert 0 < take(ledger, NOW, 5) <= 5


# What only DynamoDB has


def test_every_entry_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """The import and its batches carry the second in which they may be deleted."""
    monkeypatch.setattr("email_accounts.aws.dynamodb.time.time", lambda: NOW)
    ledger = dynamo_ledger()
    planned(ledger)
    ledger.lease_scan(ID, None, WALK, NOW, NOW + 300)
    table = ledger._table  # noqa: SLF001
    items = boto3.client("dynamodb").scan(TableName=table)["Items"]
    assert [item["expires_at"] for item in items] == [{"N": str(int(NOW + RETENTION))}] * 4


def test_imports_are_found_by_their_day() -> None:
    """The index holds the imports alone, by the day in UTC and in the order of their coming."""
    ledger = dynamo_ledger()
    planned(ledger)
    midnight = NOW - NOW % 86_400
    for name, at in (("late", midnight + 86_399), ("early", midnight), ("next", midnight + 86_400)):
        ledger.claim(Upload("inbox", f"uploads/{name}.csv", "v1", 1), at, at + 9, at + 9)
    ledger.lease_scan("default", None, WALK, NOW, NOW + 300)
    take(ledger, NOW, 5)
    found = boto3.client("dynamodb").query(
        TableName=ledger._table,  # noqa: SLF001
        IndexName="imports-by-day",
        KeyConditionExpression="#day = :day",
        ExpressionAttributeNames={"#day": "day"},
        ExpressionAttributeValues={
            ":day": {"S": datetime.fromtimestamp(NOW, UTC).date().isoformat()}
        },
    )
    assert [item["key"]["S"] for item in found["Items"]] == [
        "uploads/early.csv",
        UPLOAD.key,
        "uploads/late.csv",
    ]
    assert found["Items"][1]["state"]["S"] == "planned"


def test_columns_nobody_knows_are_kept_in_small() -> None:
    """Of thousands of columns and of long names only the beginning is remembered."""
    ledger = dynamo_ledger()
    claimed(ledger)
    ledger.plan(ID, PLAN, ["x" * 1000] * 1000)
    assert ledger.get(ID).unknown_columns == ("x" * 100,) * 20
