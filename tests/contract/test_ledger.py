"""The ledger: what the domain relies on, held against the fake and against DynamoDB."""

import heapq
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from email_accounts.aws.dynamodb import DynamoLedger
from email_accounts.errors import ImporterError, LedgerConflictError
from email_accounts.models.account_index import AccountIndex, Honoured, Reading
from email_accounts.models.host_brake import Admission, Reply
from email_accounts.models.imports import (
    Batch,
    BatchRange,
    BatchState,
    Import,
    ImportState,
    Plan,
    ReasonCode,
    SignIns,
    SignInState,
)
from email_accounts.models.service import CallKind
from email_accounts.models.upload import Upload
from email_accounts.ports import Ledger
from tests.support.aws import new_table
from tests.support.fakes import FakeLedger, Journal
from tests.support.ledger import answer, downgrade, leased, lose, send

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


def claimed(ledger: Ledger) -> str:
    """Bring the import to its first state, and take its lease for 300 seconds."""
    assert ledger.claim(UPLOAD, NOW, NOW + 3600)[1]
    return leased(ledger, ID, NOW)


def planned(ledger: Ledger) -> str:
    """Bring the import to the state of its batches, under a lease of 300 seconds."""
    lease = claimed(ledger)
    ledger.plan(ID, lease, PLAN, ("Notes",))
    return lease


def batch(ledger: Ledger, number: int = 1) -> Batch:
    """Return one batch."""
    return list(ledger.batches(ID))[number - 1]


# The import


def test_a_claim_remembers_the_import(ledger: Ledger) -> None:
    """What a claim is told is what the import is, to the fraction of a second."""
    upload = replace(UPLOAD, uploaded_at=NOW - 12.5)
    imported, is_new = ledger.claim(upload, NOW, NOW + 3600)
    assert is_new
    assert imported == Import(
        id=ID,
        upload=upload,
        state=ImportState.RECEIVED,
        received_at=NOW,
        began_at=NOW,
        deadline=NOW + 3600,
        lease_until=0.0,
    )
    assert ledger.get(ID) == imported
    assert ledger.get(ID).dropped_at == NOW - 12.5
    assert list(ledger.batches(ID)) == []


def test_an_upload_is_claimed_once(ledger: Ledger) -> None:
    """Claimed again, it is the import that it is by now, and nothing of it has changed."""
    planned(ledger)
    before = ledger.get(ID)
    assert ledger.claim(UPLOAD, NOW + 1, NOW + 9999) == (before, False)
    assert ledger.get(ID) == before


def test_versions_of_one_object_are_imports_of_their_own(ledger: Ledger) -> None:
    """Two versions of one key are claimed as two imports."""
    claimed(ledger)
    assert ledger.claim(OTHER, NOW, NOW + 3600)[1]
    assert ledger.get(OTHER.import_id).upload == OTHER
    assert ledger.get(ID).upload == UPLOAD


def test_one_submitter_at_a_time(ledger: Ledger) -> None:
    """A lease is given when the last one has ended or was given back, not before."""
    first = claimed(ledger)
    assert ledger.lease(ID, NOW + 299.9, NOW + 500) is None
    second = leased(ledger, ID, NOW + 300)
    ledger.release(ID, first)
    assert ledger.lease(ID, NOW + 301, NOW + 302) is None
    ledger.release(ID, second)
    assert ledger.get(ID).lease_until == 0
    third = leased(ledger, ID, NOW + 301)
    assert len({first, second, third}) == 3
    assert ledger.get(ID).lease_until == NOW + 601


def test_attempts_are_counted_until_one_gives_the_lease_back(ledger: Ledger) -> None:
    """A killed one gives nothing back; one that ends well ends the count."""
    claimed(ledger)
    assert ledger.get(ID).attempts == 1
    lease = leased(ledger, ID, NOW + 300)
    assert ledger.get(ID).attempts == 2
    ledger.release(ID, lease, attempts=1)
    assert ledger.get(ID).attempts == 1
    ledger.release(ID, leased(ledger, ID, NOW + 300))
    assert ledger.get(ID).attempts == 0


def test_an_import_nobody_knows(ledger: Ledger) -> None:
    """Without an import there is nothing to lease, to deliver or to show."""
    claimed(ledger)
    unknown = OTHER.import_id
    assert ledger.lease(unknown, NOW, NOW + 300) is None
    ledger.release(unknown, "no lease")
    assert not ledger.notified(unknown, "no lease")
    assert list(ledger.batches(unknown)) == []
    imported = replace(ledger.get(ID), id=unknown)
    assert ledger.deliver(imported, NOW, NOW + 300) is None
    with pytest.raises(LedgerConflictError):
        ledger.stop(imported, ReasonCode.UPLOAD_DELETED, "why")
    with pytest.raises(ImporterError, match=unknown):
        ledger.get(unknown)


def test_a_refusal_is_remembered(ledger: Ledger) -> None:
    """A refused file keeps its reason, also after the message, and its lease has ended.

    It is delivered at once: nothing of it is sent, so nobody has to be waited for.
    """
    lease = claimed(ledger)
    ledger.refuse(ID, lease, ReasonCode.FILE_REFUSED, "It is empty. Fill it.")
    imported = ledger.get(ID)
    assert (imported.state, imported.lease_until) == (ImportState.REFUSED, 0)
    assert ledger.lease(ID, NOW + 300, NOW + 600) is None
    assert deliver(ledger, NOW + 1)
    assert deliver(ledger, NOW + 2) is None
    answered = answer(ledger, ID)
    assert answered.refusal == "It is empty. Fill it."
    assert answered.reason_code is ReasonCode.FILE_REFUSED


def test_a_stop_is_of_one_run_and_changes_no_state(ledger: Ledger) -> None:
    """Why nothing more is sent is beside the state; a late stop is about the run that has ended."""
    planned(ledger)
    before = ledger.get(ID)
    ledger.stop(before, ReasonCode.API_KEY_REFUSED, "Unauthorized")
    imported = ledger.get(ID)
    assert (imported.state, imported.stopped, imported.reason_code) == (
        ImportState.PLANNED,
        "Unauthorized",
        ReasonCode.API_KEY_REFUSED,
    )
    answer(ledger, ID)
    for _ in range(2):
        with pytest.raises(LedgerConflictError):
            ledger.stop(before, ReasonCode.API_KEY_REFUSED, "late")
        ledger.restart(ID, NOW + 9999, NOW + 20_000)
    assert ledger.get(ID).stopped == ""


def test_a_deadline_is_moved_by_whoever_saw_it(ledger: Ledger) -> None:
    """Once, and not after its report was begun."""
    planned(ledger)
    before = ledger.get(ID)
    ledger.extend(before, NOW + 8000)
    ledger.extend(before, NOW + 9000)
    assert ledger.get(ID).deadline == NOW + 8000
    answer(ledger, ID)
    ledger.extend(ledger.get(ID), NOW + 9000)
    assert ledger.get(ID).deadline == NOW + 8000


def test_one_delivers_at_a_time(ledger: Ledger) -> None:
    """Delivering waits for the end of the lease; after it nobody leases.

    Two at once would both send the message; only the one who has the lease has sent it.
    """
    planned(ledger)
    assert deliver(ledger, NOW + 299) is None
    assert ledger.get(ID).state is ImportState.PLANNED
    first = deliver(ledger, NOW + 300)
    assert first
    assert ledger.get(ID).state is ImportState.DELIVERING
    assert deliver(ledger, NOW + 599) is None
    second = deliver(ledger, NOW + 600)
    assert second
    assert ledger.lease(ID, NOW + 9999, NOW + 10999) is None
    assert not ledger.notified(ID, first)
    assert [ledger.notified(ID, second) for _ in range(2)] == [True, False]
    assert ledger.get(ID).state is ImportState.NOTIFIED
    assert deliver(ledger, NOW + 9999) is None


def test_a_late_delivery_does_not_end_a_restarted_import(ledger: Ledger) -> None:
    """Neither does one begin that saw the import before."""
    planned(ledger)
    before = ledger.get(ID)
    lease = deliver(ledger, NOW + 300)
    assert lease
    assert ledger.notified(ID, lease)
    assert ledger.restart(ID, NOW + 9999, NOW + 20_000)
    assert not ledger.notified(ID, lease)
    assert ledger.deliver(before, NOW + 10_000, NOW + 10_300) is None
    assert ledger.get(ID).state is ImportState.PLANNED


def deliver(ledger: Ledger, now: float) -> str | None:
    """Begin to deliver, for 300 seconds."""
    return ledger.deliver(ledger.get(ID), now, now + 300)


def test_a_file_is_refused_or_planned_but_once(ledger: Ledger) -> None:
    """What was planned, refused or answered is neither refused nor planned."""
    lease = claimed(ledger)
    ledger.refuse(ID, lease, ReasonCode.FILE_REFUSED, "first")
    for _ in range(2):
        with pytest.raises(LedgerConflictError):
            ledger.refuse(ID, lease, ReasonCode.FILE_REFUSED, "second")
        with pytest.raises(LedgerConflictError):
            ledger.plan(ID, lease, PLAN, ())
        if ledger.get(ID).state is not ImportState.NOTIFIED:
            answer(ledger, ID)
    assert ledger.get(ID).refusal == "first"
    assert list(ledger.batches(ID)) == []


def test_whoever_lost_the_lease_neither_refuses_nor_plans(ledger: Ledger) -> None:
    """A reader that was thought dead may live on; the import is another's."""
    late = claimed(ledger)
    leased(ledger, ID, NOW + 300)
    with pytest.raises(LedgerConflictError):
        ledger.refuse(ID, late, ReasonCode.FILE_REFUSED, "late")
    with pytest.raises(LedgerConflictError):
        ledger.plan(ID, late, PLAN, ())
    assert ledger.get(ID).state is ImportState.RECEIVED


def test_a_plan_that_comes_too_late_changes_no_batch(ledger: Ledger) -> None:
    """A second plan is refused and lets no batch be sent again."""
    lease = planned(ledger)
    send(ledger, ID, 1, NOW)
    with pytest.raises(LedgerConflictError):
        ledger.plan(ID, lease, PLAN, ())
    assert batch(ledger).state is BatchState.SENDING


def test_nothing_is_restarted_that_nobody_claimed(ledger: Ledger) -> None:
    """It does not come to be."""
    with pytest.raises(ImporterError):
        ledger.restart(ID, NOW, NOW + 3600)


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
    """The batches are there as planned, the unknown columns beside the import."""
    planned(ledger)
    assert ledger.get(ID).state is ImportState.PLANNED
    assert ledger.get(ID).unknown_columns == ("Notes",)
    assert list(ledger.batches(ID)) == [Batch(one, BatchState.PLANNED) for one in PLAN.batches]


def test_many_batches_come_in_their_order(ledger: Ledger) -> None:
    """A hundred and thirty batches are all there, by number and not by spelling."""
    ranges = tuple(BatchRange(n, n * 100 - 98, n * 100 + 1, 100) for n in range(1, 131))
    ledger.plan(ID, claimed(ledger), Plan(ranges, 13_000, 0, 0), ())
    assert [one.range for one in ledger.batches(ID)] == list(ranges)


def test_batches_of_seven_digits_come_after_those_of_six() -> None:
    """Batches of one account of a file of more than a million rows keep their order."""
    ledger = dynamo_ledger()
    ledger.claim(UPLOAD, NOW, NOW + 3600)
    numbers = (1, 999_999, 1_000_000, 1_000_001)
    ranges = tuple(BatchRange(number, number, number, 1) for number in numbers)
    ledger.plan(ID, leased(ledger, ID, NOW), Plan(ranges, 4, 0, 0), ())
    assert [one.number for one in ledger.batches(ID)] == list(numbers)


def test_a_plan_may_have_no_batches(ledger: Ledger) -> None:
    """An import of no batches is planned as well: every row may be wrong."""
    ledger.plan(ID, claimed(ledger), Plan((), 3, 3, 0), ())
    assert ledger.get(ID).state is ImportState.PLANNED
    assert list(ledger.batches(ID)) == []


def test_a_batch_is_saved_whole(ledger: Ledger) -> None:
    """Every attribute comes back, to the fraction of a second; other batches are untouched."""
    planned(ledger)
    wanted = Batch(
        PLAN.batches[0],
        BatchState.UNCONFIRMED,
        request_id="0012",
        sent=2,
        sent_at=NOW + 0.5,
        next_poll_at=NOW + 40.5,
        changed_at=NOW + 30,
        reason="no answer came",
        reason_code=ReasonCode.ANSWER_LOST,
        reports_missed=2,
        report=True,
        reconciliation=True,
    )
    assert ledger.save(ID, batch(ledger), wanted) == wanted
    assert batch(ledger) == wanted
    assert batch(ledger, 2) == Batch(PLAN.batches[1], BatchState.PLANNED)
    plain = Batch(PLAN.batches[0], BatchState.PLANNED)
    ledger.save(ID, batch(ledger), plain)
    assert batch(ledger) == plain


def test_a_batch_is_saved_by_whoever_saw_it_last(ledger: Ledger) -> None:
    """Of two who saw the same the second is refused, in whatever state it is by then."""
    planned(ledger)
    seen = batch(ledger)
    sending = ledger.save(ID, seen, seen.sending(NOW, reconciliation=False))
    with pytest.raises(LedgerConflictError):
        ledger.save(ID, seen, seen.sending(NOW + 1, reconciliation=True))
    back = ledger.save(ID, sending, sending.withdrawn())
    again = ledger.save(ID, back, back.sending(NOW + 2, reconciliation=False))
    for late in (seen, sending, back):
        with pytest.raises(LedgerConflictError):
            ledger.save(ID, late, late)
    assert batch(ledger) == again
    assert again.sent_at == NOW + 2


def test_a_batch_nobody_planned_is_not_saved(ledger: Ledger) -> None:
    """It does not come to be."""
    claimed(ledger)
    made_up = Batch(PLAN.batches[0], BatchState.PLANNED)
    with pytest.raises(LedgerConflictError):
        ledger.save(ID, made_up, made_up)
    assert list(ledger.batches(ID)) == []


# An import taken up again


def test_an_answered_import_is_restarted(ledger: Ledger) -> None:
    """It is under way again from now to its new deadline, nobody has it, nothing stops it.

    One under way continues as it is; a second restart finds one that is under way.
    """
    planned(ledger)
    before = ledger.get(ID)
    assert not ledger.restart(ID, NOW + 1, NOW + 9999)
    assert ledger.get(ID) == before
    ledger.stop(before, ReasonCode.API_KEY_REFUSED, "Saleshandy refused the API key")
    answer(ledger, ID)
    assert [ledger.restart(ID, NOW + 9999 + at, NOW + 20_000) for at in (0, 1)] == [True, False]
    assert ledger.get(ID) == replace(
        before,
        state=ImportState.PLANNED,
        began_at=NOW + 9999,
        deadline=NOW + 20_000,
        lease_until=0,
        attempts=0,
        resumed=1,
    )
    assert ledger.get(ID).execution == f"{ID}-2"
    assert ledger.lease(ID, NOW + 9999, NOW + 10_299)
    answer(ledger, ID)
    assert ledger.restart(ID, NOW + 30_000, NOW + 40_000)
    assert ledger.get(ID).resumed == 2


def test_batches_whose_end_is_not_sure_are_reopened(ledger: Ledger) -> None:
    """The others stay as they are."""
    planned(ledger)
    send(ledger, ID, 1, NOW)
    lose(ledger, ID, 1, NOW, NOW + 10)
    before = list(ledger.batches(ID))
    answer(ledger, ID)
    assert ledger.restart(ID, NOW + 9999, NOW + 20_000)
    assert list(ledger.batches(ID)) == [one.reopened(NOW + 9999) for one in before]
    assert batch(ledger).next_poll_at == NOW + 9999


# The account index

INDEX = AccountIndex(
    parts=("00000001.csv",),
    packed_at=NOW,
    complete_at=NOW - 300.5,
    pages=3,
    newest_at=NOW - 20,
    stopped_at=NOW - 30,
    scan=Reading(NOW - 9, NOW - 8, 7),
    stopped=Reading(NOW - 7, NOW - 6, 2, 1),
    probed=2,
)


@pytest.fixture
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the real ledger live at the time of these tests."""
    monkeypatch.setattr("email_accounts.aws.dynamodb.time.time", lambda: NOW)


@pytest.mark.usefixtures("_now")
def test_the_index_is_remembered(ledger: Ledger) -> None:
    """With all that it says, for its workspace alone; a version counts its writes.

    Where nobody has read the list nothing is known.
    """
    assert ledger.index("default") == AccountIndex()
    assert ledger.lease_index("default", NOW, NOW + 300) == AccountIndex()
    assert ledger.index("default") == AccountIndex()
    ledger.save_index("default", INDEX)
    assert ledger.index("default") == replace(INDEX, version=1)
    assert ledger.lease_index("default", NOW + 1, NOW + 301) == replace(INDEX, version=1)
    assert ledger.index("other") == AccountIndex()


def test_one_changes_the_index_at_a_time(ledger: Ledger) -> None:
    """Until its lease ends or it has saved the index, nobody else does."""
    assert ledger.lease_index("default", NOW, NOW + 300)
    assert ledger.lease_index("default", NOW + 299, NOW + 600) is None
    ledger.save_index("default", INDEX)
    assert ledger.lease_index("default", NOW + 5, NOW + 305)
    assert ledger.lease_index("default", NOW + 304, NOW + 605) is None
    assert ledger.lease_index("default", NOW + 305, NOW + 605)


def test_who_lost_the_lease_changes_nothing(ledger: Ledger) -> None:
    """What another one has saved since stays."""
    late = ledger.lease_index("default", NOW, NOW + 300)
    other = ledger.lease_index("default", NOW + 300, NOW + 600)
    assert late is not None
    assert other is not None
    ledger.save_index("default", replace(other, pages=5))
    with pytest.raises(LedgerConflictError):
        ledger.save_index("default", replace(late, pages=1))
    assert ledger.index("default").pages == 5


def test_what_the_service_honours_is_remembered(ledger: Ledger) -> None:
    """Until it is found out again, of each workspace."""
    assert ledger.honoured("default") is None
    for search in (True, False):
        honoured = Honoured(page=True, sort=False, status=True, search=search)
        ledger.save_honoured("default", honoured)
        assert ledger.honoured("default") == honoured
    assert ledger.honoured("other") is None


# The brakes of hosts


def test_both_sides_of_a_host_share_its_brake(ledger: Ledger) -> None:
    """Two attempts at once, half a second apart; the third waits for one to end."""
    assert ledger.enter_host("mail.x.example", "a", NOW) == Admission()
    assert ledger.enter_host("mail.x.example", "b", NOW).wait == pytest.approx(0.5)
    assert ledger.enter_host("mail.x.example", "b", NOW + 1) == Admission()
    assert ledger.enter_host("mail.x.example", "c", NOW + 2).wait
    assert ledger.enter_host("mail.y.example", "c", NOW + 2) == Admission()
    ledger.leave_host("mail.x.example", "a", Reply.SIGNED_IN, NOW + 3)
    assert ledger.enter_host("mail.x.example", "c", NOW + 3) == Admission()


def test_refusals_close_a_host_for_everybody(ledger: Ledger) -> None:
    """Anyone who asks next is told why."""
    for number in range(3):
        now = NOW + number
        assert ledger.enter_host("mail.x.example", f"{number}", now) == Admission()
        ledger.leave_host("mail.x.example", f"{number}", Reply.REFUSED, now)
    assert "3 sign-ins in a row" in ledger.enter_host("mail.x.example", "next", NOW + 9).closed


def test_of_many_attempts_at_once_a_host_sees_as_many_as_it_takes() -> None:
    """In DynamoDB, where sixteen come at one moment."""
    ledger = dynamo_ledger()
    with ThreadPoolExecutor(16) as pool:
        told = list(
            pool.map(lambda one: ledger.enter_host("imap.gmail.com", str(one), NOW), range(16))
        )
    assert [one for one in told if not one.wait] == [Admission()]


def test_a_batch_is_tried_once(ledger: Ledger) -> None:
    """Trying is written under the state that was seen, so that one of two tries."""
    planned(ledger)
    seen = batch(ledger)
    trying = ledger.save(ID, seen, seen.trying())
    with pytest.raises(LedgerConflictError):
        ledger.save(ID, seen, seen.trying())
    found = ledger.save(ID, trying, trying.found(SignIns(3, 2, 1)))
    ledger.save(ID, found, found.checked())
    assert [one.sign_ins for one in ledger.batches(ID)] == [SignIns(3, 2, 1), SignIns()]
    assert [one.sign_in for one in ledger.batches(ID)] == [SignInState.CHECKED, SignInState.NONE]


# The budget. A ledger that has to be reached takes a moment, in which the clock continues.

MOMENT = 0.5


def take(ledger: Ledger, at: float, allowed: int, holder: str = "one", wanted: int = 1) -> float:
    """Take a call out of the default workspace's budget."""
    return ledger.take_call("default", holder, wanted, at, allowed, rank=NOW)


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


def test_turns_are_given_in_the_order_of_asking(ledger: Ledger) -> None:
    """Who asked first has the earlier turn, and nobody takes it from them."""
    take(ledger, NOW, 1)
    waits = {one: take(ledger, NOW + 1, 1, one) for one in ("first", "second", "third")}
    assert sorted(waits, key=waits.__getitem__) == ["first", "second", "third"]
    assert take(ledger, NOW + 66, 1, "third") > 60
    assert take(ledger, NOW + 66, 1, "first") == 0


def test_the_budget_serves_more_imports_than_it_has_reservations(ledger: Ledger) -> None:
    """Each comes back when it was told, polls among them; no minute has more calls than 20."""
    calls = list[float]()
    coming = [(NOW + number / 10, f"{number:032x}") for number in range(150)]
    while coming:
        now, holder = heapq.heappop(coming)
        rank = NOW + int(holder, 16)
        kind = list(CallKind)[int(holder, 16) % 3]
        wait = ledger.take_call("default", holder, 1, now, 20, kind=kind, rank=rank)
        if wait:
            heapq.heappush(coming, (now + wait + MOMENT, holder))
        else:
            calls.append(now)
    assert len(calls) == 150
    assert max(sum(at <= one < at + 60 - MOMENT for one in calls) for at in calls) <= 20
    assert calls[-1] < NOW + 1.5 * 150 / 20 * 66


def test_each_workspace_has_a_budget(ledger: Ledger) -> None:
    """The calls of one API key are not those of another."""
    assert ledger.take_call("default", "one", 1, NOW, 1) == 0
    assert ledger.take_call("second", "one", 1, NOW, 1) == 0
    assert ledger.take_call("second", "one", 1, NOW + 1, 1) > 0


def test_a_closed_budget_gives_no_call(ledger: Ledger) -> None:
    """Until the time Saleshandy said nobody calls, and turns promised before come after it."""
    take(ledger, NOW, 1, "one")
    turn = take(ledger, NOW, 1, "two")
    ledger.close_budget("default", NOW, NOW + 100)
    assert take(ledger, NOW, 1000, "three") >= 100 - MOMENT
    assert take(ledger, NOW, 1, "two") == pytest.approx(turn + 100, abs=MOMENT)
    assert ledger.take_call("second", "one", 1, NOW, 1) == 0


# Many at once, on DynamoDB


@pytest.mark.parametrize(
    "take",
    [
        lambda ledger: ledger.claim(OTHER, NOW, NOW + 9)[1],
        lambda ledger: ledger.lease(ID, NOW + 300, NOW + 600),
        lambda ledger: deliver(ledger, NOW + 300),
        lambda ledger: ledger.lease_index("default", NOW, NOW + 300),
    ],
    ids=["claim", "lease", "deliver", "index"],
)
def test_of_many_at_once_one_wins(take: Callable[[Ledger], object]) -> None:
    """One of eight makes the import, gets the lease, writes the answer, reads the list."""
    ledger = dynamo_ledger()
    planned(ledger)
    with ThreadPoolExecutor(8) as pool:
        assert sum(map(bool, pool.map(lambda _: take(ledger), range(8)))) == 1


def test_of_many_senders_at_once_one_wins() -> None:
    """One of eight may send a batch."""
    ledger = dynamo_ledger()
    planned(ledger)
    seen = batch(ledger)

    def sends(_: int) -> bool:
        try:
            ledger.save(ID, seen, seen.sending(NOW, reconciliation=False))
        except LedgerConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(sends, range(8))).count(True) == 1


def test_of_many_resumptions_at_once_one_wins() -> None:
    """Eight operators at one moment make one new execution."""
    ledger = dynamo_ledger()
    planned(ledger)
    answer(ledger, ID)
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda at: ledger.restart(ID, NOW + 1 + at, NOW + 9999), range(8)))
    assert won.count(True) == 1
    assert ledger.get(ID).resumed == 1


def test_many_callers_at_once_share_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of sixteen callers at one moment as many get a call as the budget has, the rest a turn."""
    monkeypatch.setattr("email_accounts.aws.dynamodb._PAUSE", 0.001)
    ledger = dynamo_ledger()

    def take_one(number: int) -> float:
        return ledger.take_call("default", f"import {number}", 1, NOW, 5, rank=NOW)

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
    """An import outlives the name of its execution; a scan of the list is kept as long as set."""
    monkeypatch.setattr("email_accounts.aws.dynamodb.time.time", lambda: NOW)
    ledger = dynamo_ledger()
    planned(ledger)
    ledger.lease_index("default", NOW, NOW + 300)
    table = ledger._table  # noqa: SLF001
    items = boto3.client("dynamodb").scan(TableName=table)["Items"]
    expiries = {item["sk"]["S"]: float(item["expires_at"]["N"]) - NOW for item in items}
    assert expiries == {
        "IMPORT": pytest.approx(91 * 86_400, abs=1),
        "BATCH#000001": pytest.approx(91 * 86_400, abs=1),
        "BATCH#000002": pytest.approx(91 * 86_400, abs=1),
        "INDEX": pytest.approx(RETENTION, abs=1),
    }


def test_an_index_whose_files_may_have_expired_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says is in them is there no longer."""
    ledger = dynamo_ledger()
    ledger.lease_index("default", NOW, NOW + 300)
    ledger.save_index("default", INDEX)
    for seconds, index in (
        (RETENTION - 3601, replace(INDEX, version=1)),
        (RETENTION - 3599, AccountIndex(version=1)),
    ):
        monkeypatch.setattr("email_accounts.aws.dynamodb.time.time", lambda at=seconds: NOW + at)
        assert ledger.index("default") == index


def test_what_a_plan_that_broke_off_left_behind_is_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With BatchSize raised before the next attempt, the batches of the first are too many."""
    ledger = dynamo_ledger()
    lease = claimed(ledger)
    with monkeypatch.context() as patched:
        patched.setattr(ledger, "_change_received", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ledger.plan(ID, lease, PLAN, ())
    whole = Plan((BatchRange(1, 2, 110, 107),), 110, 2, 1)
    ledger.plan(ID, lease, whole, ())
    assert [one.range for one in ledger.batches(ID)] == list(whole.batches)


def test_items_of_the_first_release_are_read() -> None:
    """Attributes it did not have are as they are by default; two had other names."""
    ledger = dynamo_ledger()
    planned(ledger)
    seen = ledger.save(ID, batch(ledger), batch(ledger).sending(NOW, reconciliation=True))
    seen = ledger.save(ID, seen, seen.submitted("request-1", NOW + 1, NOW + 11))
    downgrade(ledger._table)  # noqa: SLF001
    assert batch(ledger) == seen
    polled = ledger.save(ID, batch(ledger), batch(ledger).polled(NOW + 99))
    assert batch(ledger) == polled
    assert ledger.get(ID).attempts == 0
    assert leased(ledger, ID, NOW + 300)
    assert ledger.get(ID).attempts == 1


def test_columns_nobody_knows_are_kept_in_small() -> None:
    """Of many columns the first are remembered, and how many more there are; of names the start."""
    ledger = dynamo_ledger()
    ledger.plan(ID, claimed(ledger), PLAN, ["🙂" * 1000] * 5000)
    *columns, more = ledger.get(ID).unknown_columns
    assert columns == ["🙂" * 24 + "…"] * 20
    assert more == "4,980 more"


@pytest.mark.parametrize("text", ["x" * 1_000_000, "🙂" * 200_000, "\ud800" * 500_000])
def test_no_text_outgrows_its_item(text: str) -> None:
    """DynamoDB takes no item of more than 400 KB; of a text from outside the beginning is kept."""
    refusing, stopping = dynamo_ledger(), dynamo_ledger()
    refusing.refuse(ID, claimed(refusing), ReasonCode.FILE_REFUSED, text)
    assert len(refusing.get(ID).refusal.encode()) <= 2000
    assert refusing.get(ID).refusal.endswith("…")
    stopping.plan(ID, claimed(stopping), PLAN, [])
    stopping.stop(stopping.get(ID), ReasonCode.API_KEY_REFUSED, text)
    assert len(stopping.get(ID).stopped.encode()) <= 2000
    batch = next(stopping.batches(ID))
    sending = stopping.save(ID, batch, batch.sending(NOW, reconciliation=False))
    stopping.save(ID, sending, sending.refused(text, NOW))
    assert len(next(stopping.batches(ID)).reason.encode()) <= 2000
