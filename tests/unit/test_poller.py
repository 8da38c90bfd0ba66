"""Tracking, on fakes: what a poll finds, what it remembers, and what comes next."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from email_accounts.errors import (
    ApiKeyMissingError,
    ApiKeyRefusedError,
    NotSentError,
    OutcomeUnknownError,
    ReportUnavailableError,
    RequestNotFoundError,
    RequestRefusedError,
    ThrottledError,
)
from email_accounts.models.imports import NO_PROGRESS, Batch, BatchState, Import, ReasonCode
from email_accounts.models.service import AccountStatus, ListedAccount, RequestStatus
from email_accounts.models.steps import NextAction, TaskResult
from email_accounts.models.upload import Upload
from email_accounts.saleshandy.rate_limit import SAFE_MARGIN
from email_accounts.saleshandy.reconciliation import read_reconciliation
from email_accounts.saleshandy.report import report_name
from email_accounts.tracking import reconciler
from tests.support.fakes import FakeLedger, FakeRemote, World
from tests.support.files import MARK, PASSWORD, accounts_file
from tests.support.ledger import answer, change, lose, polled_at, refuse, send

ADDRESSES = tuple(f"a{number}@reach.example" for number in range(1, 6))
DELIVER = TaskResult(NextAction.DELIVER)
FIRST = "request-1"


def submitted(world: World, *addresses: str) -> Upload:
    """Submit a file of these accounts, or of five, which is three batches; their look is due."""
    upload = world.drop(*(addresses or ADDRESSES))
    world.clock.advance(world.policy.initial_poll_delay)
    return upload


def batch(world: World, upload: Upload, number: int = 1) -> Batch:
    """Return one batch."""
    return world.batches(upload)[number - 1]


# Completed


def test_a_completed_import_is_delivered(world: World) -> None:
    """When every request is complete in one look, the answer is next.

    A request without a link has no failures, and nothing is fetched.
    """
    upload = submitted(world)
    assert world.poll(upload) == DELIVER
    assert world.journal.about("status") == ["request-1", "request-2", "request-3"]
    assert world.states(upload) == [BatchState.COMPLETED] * 3
    assert "fetch" not in world.journal.names()
    assert not batch(world, upload).report


def test_a_report_is_fetched_once_in_the_look_that_finds_it(world: World) -> None:
    """The report is in the bucket before the batch is complete, and is never fetched again."""
    world.saleshandy.failing[ADDRESSES[2]] = "Sign-in refused"
    upload = submitted(world)
    world.saleshandy.running.add(FIRST)
    world.poll(upload)
    world.saleshandy.running.clear()
    assert world.follow(upload) == DELIVER
    names = world.journal.names()
    assert names.count("fetch") == 1
    assert names.index("fetch") < names.index("report") < names.index("settle")
    assert [one.report for one in world.batches(upload)] == [False, True, False]


def test_a_copy_of_a_report_holds_no_secret(world: World) -> None:
    """Password columns are gone and the passwords of the batch hidden; addresses are kept."""
    upload = submitted(world)
    world.saleshandy.links[FIRST] = "link"
    report = io.StringIO(newline="")
    writer = csv.writer(report)
    writer.writerow(["Email", "smtpPassword", "Reason"])
    said = f"refused for {PASSWORD}, {json.dumps(PASSWORD)[1:-1]}"
    writer.writerow([ADDRESSES[0], PASSWORD, said])
    world.saleshandy.reports["link"] = report.getvalue().encode()
    assert world.poll(upload) == DELIVER
    copy = world.reports.texts[upload.import_id, "remote/batch-000001.csv"]
    assert list(csv.reader(io.StringIO(copy))) == [
        ["Email", "Reason"],
        [ADDRESSES[0], "***"],
    ]


def test_the_link_of_a_report_is_remembered_nowhere(world: World) -> None:
    """A link may lead to passwords: it is in no batch, report or step."""
    upload = submitted(world)
    link = "https://reports.example/very-secret-link"
    world.saleshandy.links[FIRST] = link
    world.saleshandy.reports[link] = b"Email,Reason\n"
    step = world.poll(upload)
    assert "very-secret-link" not in f"{batch(world, upload)} {step} {world.reports.texts}"


def test_a_report_that_cannot_be_read_confirms_nothing(world: World) -> None:
    """What is not understood must not pass for 'no failures': the batch is not complete."""
    upload = submitted(world)
    world.saleshandy.links[FIRST] = "link"
    world.saleshandy.reports["link"] = b"<html><body>Sign in"
    assert world.poll(upload) == TaskResult(NextAction.CHECK, 15)
    assert world.states(upload) == [BatchState.SUBMITTED, *[BatchState.COMPLETED] * 2]
    assert batch(world, upload).reports_missed == 1
    assert world.reports.texts == {}


def test_a_report_is_asked_for_three_times(world: World) -> None:
    """A report that comes at the third attempt is as good as one that came at once."""
    upload = submitted(world, ADDRESSES[0])
    world.saleshandy.links[FIRST] = "link"
    world.saleshandy.reports["link"] = f"Email,Reason\n{ADDRESSES[0]},535 refused\n".encode()
    world.saleshandy.report_errors.extend([ReportUnavailableError("HTTP 404")] * 2)
    assert world.follow(upload) == DELIVER
    assert (batch(world, upload).state, batch(world, upload).report) == (BatchState.COMPLETED, True)
    assert world.journal.names().count("fetch") == 3


def test_a_report_that_does_not_come_is_made_up_for_by_the_list(world: World) -> None:
    """After three attempts the account list tells what it can, and the batch is never resent."""
    world.saleshandy.failing[ADDRESSES[1]] = "Sign-in refused"
    upload = submitted(world, *ADDRESSES[:2])
    error = ReportUnavailableError(f"the link was answered with HTTP 404 {PASSWORD}")
    world.saleshandy.report_errors.extend([error] * 9)
    for _ in range(3):
        step = world.poll(upload)
        world.clock.advance(step.wait_seconds)
    unconfirmed = batch(world, upload)
    assert unconfirmed.state is BatchState.REPORTED
    assert "its report is missing" in unconfirmed.reason
    assert MARK not in unconfirmed.reason
    assert world.follow(upload) == DELIVER
    assert world.journal.names().count("fetch") == 3
    assert len(world.journal.about("connect")) == 1
    assert batch(world, upload).state is BatchState.COMPLETED
    assert evidence(world, upload) == {
        ADDRESSES[0]: AccountStatus.ACTIVE,
        ADDRESSES[1]: AccountStatus.INACTIVE,
    }


def test_a_report_that_does_not_come_for_nothing_that_arrived_sends_nothing(world: World) -> None:
    """A batch with a request id was taken: though the list shows none of it, it is not resent."""
    upload = submitted(world, ADDRESSES[0])
    world.saleshandy.links[FIRST] = "link"
    world.saleshandy.accounts.clear()
    assert world.follow(upload) == DELIVER
    assert batch(world, upload).state is BatchState.RECONCILED
    assert evidence(world, upload) == {}
    assert len(world.journal.about("connect")) == 1


# Waiting


def test_waits_grow_with_the_time_since_sending(world: World) -> None:
    """They are a sixth of it, at least one and a half first delays, at most the longest wait.

    After some minutes they are less, so that the answer follows within a fifth of the time.
    """
    upload = submitted(world)
    world.saleshandy.running.update(world.saleshandy.requests)
    sent_at = batch(world, upload).sent_at
    waits = []
    for _ in range(30):
        age = world.clock() - sent_at
        if age > 3000:
            break
        step = world.poll(upload)
        assert step.next == NextAction.CHECK
        sixth = min(max(15.0, age / 6), 300.0)
        least = 0.77 * sixth if 174 < age < 480 else sixth
        assert least - 0.001 <= step.wait_seconds <= sixth + 0.001
        waits.append(step.wait_seconds)
        world.clock.advance(step.wait_seconds)
    assert (waits[0], waits[-1]) == (15, 300)
    assert sorted(waits) == waits


def test_batches_due_soon_are_taken_along(world: World) -> None:
    """What is due within a twentieth of its time since sending is looked at in the same poll."""
    upload = submitted(world)
    now = world.clock()
    world.clock.advance(190)
    for number, seconds in ((1, 200), (2, 210), (3, 210.1)):
        polled_at(world.ledger, upload.import_id, number, now - 10 + seconds)
    assert world.poll(upload).wait_seconds == pytest.approx(10.1)
    assert world.journal.about("status") == ["request-1", "request-2"]


def test_the_next_look_is_the_earliest_that_is_due(world: World) -> None:
    """However late the others are due, the first one is looked at in its time, and not before."""
    upload = submitted(world)
    now = world.clock()
    for number, seconds in ((1, 250.0), (2, 77.0), (3, 120.0)):
        polled_at(world.ledger, upload.import_id, number, now + seconds)
    assert world.poll(upload) == TaskResult(NextAction.CHECK, 77)
    assert world.journal.about("status") == []


def test_a_wait_ends_at_the_deadline(world: World) -> None:
    """The last look is at the deadline, not after it; then the answer is next."""
    upload = submitted(world)
    world.saleshandy.running.update(world.saleshandy.requests)
    deadline = world.imported(upload).deadline
    world.clock.time = deadline - 20
    change(world.ledger, upload.import_id, 3, lambda one: one.completed(world.clock()))
    assert world.poll(upload) == TaskResult(NextAction.CHECK, 20)
    world.clock.time = deadline
    assert world.poll(upload) == DELIVER
    assert world.states(upload)[:2] == [BatchState.SUBMITTED] * 2


def test_a_turn_far_away_ends_at_the_deadline(world: World) -> None:
    """A throttle of hours does not keep anybody waiting for the answer."""
    upload = submitted(world)
    left = world.imported(upload).deadline - world.clock()
    world.saleshandy.status_errors.append(ThrottledError(10 * left))
    assert world.poll(upload).wait_seconds == left


@pytest.mark.parametrize("hours", [1, 24])
def test_polls_fit_into_the_history_of_an_execution(world: World, hours: int) -> None:
    """An execution may have 25,000 events, and a poll is nine, however short its intervals."""
    world.policy = replace(
        world.policy, initial_poll_delay=1.0, max_poll_interval=1.0, deadline=hours * 3600.0
    )
    upload = submitted(world)
    assert len(polls_until(world, upload, world.clock() + hours * 3600)) < 25_000 / 9


def polls_until(world: World, upload: Upload, end: float) -> list[TaskResult]:
    """Poll as told, while one batch after the other completes in equal times and then none."""
    began, results = world.clock(), list[TaskResult]()
    world.saleshandy.running.update(world.saleshandy.requests)
    while world.clock() < end:
        results.append(world.poll(upload))
        world.clock.advance(results[-1].wait_seconds)
        if results[-1].next == NextAction.DELIVER:
            break
        done = int(2 * (world.clock() - began) / (end - began))
        world.saleshandy.running.difference_update(f"request-{n + 1}" for n in range(done))
    return results


def test_what_makes_no_progress_for_an_hour_is_looked_for_in_the_list(world: World) -> None:
    """Requests that run forever end with what the account list shows, never resent."""
    upload = submitted(world)
    world.saleshandy.running.update(world.saleshandy.requests)
    began = world.clock()
    world.saleshandy.accounts[:] = [
        one for one in world.saleshandy.accounts if one.address != ADDRESSES[3]
    ]
    assert world.follow(upload) == DELIVER
    assert 3500 < world.clock() - began < 3600 + 300
    assert world.states(upload) == [BatchState.RECONCILED] * 3
    assert batch(world, upload).reason == NO_PROGRESS
    assert evidence(world, upload, 2) == {ADDRESSES[2]: AccountStatus.ACTIVE}
    assert len(world.journal.about("connect")) == 3


def test_what_is_finished_after_an_hour_is_not_looked_for_before_the_settling_time(
    world: World,
) -> None:
    """Its report cannot be fetched, and the list may still show what is not so."""
    upload = submitted(world, *ADDRESSES[:2])
    world.clock.advance(3600)
    world.saleshandy.links[FIRST] = "link"
    world.saleshandy.report_errors.append(ReportUnavailableError("HTTP 503"))
    assert world.poll(upload) == TaskResult(NextAction.CHECK, world.policy.settle)
    assert listings(world) == []


def test_an_hour_without_progress_is_counted_from_the_last_one(world: World) -> None:
    """As long as batches complete, the others are waited for."""
    upload = submitted(world)
    world.saleshandy.running.update(world.saleshandy.requests)
    world.clock.advance(3000)
    world.saleshandy.running.discard("request-2")
    assert world.poll(upload).next == NextAction.CHECK
    assert batch(world, upload, 2).state is BatchState.COMPLETED
    for _ in range(11):
        world.clock.advance(300)
        assert world.poll(upload).next == NextAction.CHECK
    world.clock.advance(299)
    assert world.poll(upload).next == NextAction.CHECK
    assert batch(world, upload).state is BatchState.SUBMITTED
    world.clock.advance(1)
    settling = TaskResult(NextAction.CHECK, world.policy.settle)
    assert world.poll(upload) == settling
    world.clock.advance(world.policy.settle)
    assert batch(world, upload).state is BatchState.UNCONFIRMED


@pytest.mark.parametrize("error", [OutcomeUnknownError("HTTP 502"), ThrottledError(3600)])
def test_an_hour_without_saleshandy_is_no_hour_without_progress(
    world: World, error: Exception
) -> None:
    """The first answer after it says what is now, not that nothing happened meanwhile."""
    upload = submitted(world, *ADDRESSES[:2])
    world.saleshandy.running.add(FIRST)
    end = world.clock() + 3600
    while world.clock() < end:
        world.saleshandy.status_errors.append(error)
        world.clock.advance(world.poll(upload).wait_seconds)
    world.saleshandy.status_errors.clear()
    world.poll(upload)
    assert world.states(upload) == [BatchState.SUBMITTED]
    assert world.follow(upload) == DELIVER
    assert batch(world, upload).reason == NO_PROGRESS


@pytest.mark.parametrize("settle", [15.0, 600.0])
def test_no_poll_follows_another_without_a_wait(world: World, settle: float) -> None:
    """Also in the last minutes before the deadline a batch to be verified waits for its time."""
    world.policy = replace(
        world.policy, batch_size=1, verify_connected=True, deadline=3000.0, settle=settle
    )
    upload = submitted(world, *ADDRESSES[:2])
    world.saleshandy.running |= {"request-1", "request-2"}
    while world.clock() < world.imported(upload).deadline - 200:
        world.clock.advance(world.poll(upload).wait_seconds)
    world.saleshandy.running.remove("request-1")
    waits: list[float] = []
    while (step := world.poll(upload)).next is NextAction.CHECK and len(waits) < 10:
        waits.append(step.wait_seconds)
        world.clock.advance(step.wait_seconds)
    assert waits
    assert min(waits) > 0


def test_what_waits_to_be_sent_is_no_lack_of_progress(world: World) -> None:
    """While batches are planned, the hour is not up."""
    upload = world.uploads.put("uploads/a.csv", accounts_file(*ADDRESSES))
    left = iter([300.0, SAFE_MARGIN, 0.0])
    world.receive(upload, lambda: next(left))
    world.saleshandy.running.update(world.saleshandy.requests)
    world.clock.advance(4000)
    assert world.poll(upload).next == NextAction.SUBMIT
    assert world.states(upload)[0] is BatchState.SUBMITTED


# Requests nobody knows


def test_a_request_not_found_at_first_is_waited_for(world: World) -> None:
    """Right after the submission 'not found' means 'not yet'."""
    upload = submitted(world, ADDRESSES[0])
    requests = dict(world.saleshandy.requests)
    world.saleshandy.requests.clear()
    for _ in range(3):
        assert world.poll(upload).next == NextAction.CHECK
        world.clock.advance(100)
    world.saleshandy.requests |= requests
    assert world.poll(upload) == DELIVER
    assert batch(world, upload).state is BatchState.COMPLETED


def test_a_request_never_found_is_looked_for_in_the_list(world: World) -> None:
    """After ten minutes a request nobody knows is given up, and its accounts are not resent."""
    upload = submitted(world, ADDRESSES[0])
    world.saleshandy.requests.clear()
    world.clock.advance(590)
    assert world.poll(upload).next == NextAction.CHECK
    assert batch(world, upload).state is BatchState.SUBMITTED
    world.clock.advance(300)
    assert world.poll(upload) == TaskResult(NextAction.CHECK, world.policy.settle)
    world.clock.advance(world.policy.settle)
    unconfirmed = batch(world, upload)
    assert unconfirmed.state is BatchState.UNCONFIRMED
    assert "no longer has the request" in unconfirmed.reason
    assert world.poll(upload) == DELIVER
    assert evidence(world, upload) == {ADDRESSES[0]: AccountStatus.ACTIVE}
    assert len(world.journal.about("connect")) == 1


# Sending that was cut off


def cut_off(world: World) -> Upload:
    """Let a submission die between an intent and its answer."""
    upload = world.drop(*ADDRESSES[:2], time_left=lambda: SAFE_MARGIN - 1)
    now = world.clock()
    world.ledger.lease(upload.import_id, now, now + 300)
    send(world.ledger, upload.import_id, 1, now)
    return upload


def test_a_batch_whose_submitter_died_is_unconfirmed(world: World) -> None:
    """Until the end of the lease it may get the answer; after it the outcome is unknown."""
    upload = cut_off(world)
    world.clock.advance(299)
    step = world.poll(upload)
    assert step.next == NextAction.CHECK
    assert 0 < step.wait_seconds <= 10
    assert batch(world, upload).state is BatchState.SENDING
    world.clock.advance(1)
    assert world.poll(upload) == TaskResult(NextAction.CHECK, 10)
    unconfirmed = batch(world, upload)
    assert unconfirmed.state is BatchState.UNCONFIRMED
    assert "may have received it" in unconfirmed.reason
    assert "connect" not in world.journal.names()


@pytest.mark.parametrize("first", ["get", "batches"])
def test_a_submission_that_begins_between_two_reads_is_not_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Whatever a poll reads first, a batch that is sent right after that has a live submitter."""
    upload = world.drop(*ADDRESSES[:2], time_left=lambda: SAFE_MARGIN - 1)
    world.clock.advance(world.policy.initial_poll_delay)
    read, began = getattr(world.ledger, first), False

    def read_and_begin(_: FakeLedger, import_id: str) -> object:
        nonlocal began
        found = read(import_id)
        if not isinstance(found, Import):
            found = list(found)
        if not began:
            began = True
            world.ledger.lease(import_id, world.clock(), world.clock() + 300)
            send(world.ledger, import_id, 1, world.clock())
        return found

    with monkeypatch.context() as patched:
        patched.setattr(FakeLedger, first, read_and_begin)
        world.poll(upload)
    assert batch(world, upload).state is BatchState.SENDING


# Verified by the account list


def verified(world: World, *addresses: str) -> Upload:
    """Submit a file whose outcomes the account list has to show."""
    world.policy = replace(world.policy, verify_connected=True)
    return submitted(world, *addresses)


def test_a_completed_batch_is_verified_after_the_settling_time(world: World) -> None:
    """The list is read once for all that completed together, and not before its time."""
    upload = verified(world)
    before = len(listings(world))
    assert world.poll(upload) == TaskResult(NextAction.CHECK, world.policy.settle)
    assert world.states(upload) == [BatchState.REPORTED] * 3
    world.clock.advance(world.policy.settle)
    assert world.poll(upload) == DELIVER
    assert world.states(upload) == [BatchState.COMPLETED] * 3
    assert listings(world)[before:] == [1, 2]
    assert evidence(world, upload) == dict.fromkeys(ADDRESSES[:2], AccountStatus.ACTIVE)


def test_every_batch_is_verified_however_many_there_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invocation verifies some after others, until no time is left; the next one goes on."""
    monkeypatch.setattr(reconciler, "_AT_ONCE", 1)
    upload = verified(world)
    world.clock.advance(world.poll(upload).wait_seconds)

    def left() -> float:
        verified = world.states(upload).count(BatchState.COMPLETED)
        return SAFE_MARGIN - (verified == 2)

    assert world.poll(upload, left) == TaskResult(NextAction.CHECK, 0)
    assert world.states(upload) == [*[BatchState.COMPLETED] * 2, BatchState.REPORTED]
    assert world.poll(upload) == DELIVER
    assert world.states(upload) == [BatchState.COMPLETED] * 3


def test_what_the_list_does_not_show_is_waited_for(world: World) -> None:
    """A list may lag: what was reported as good may come until the grace period is over."""
    upload = verified(world, *ADDRESSES[:2])
    hidden = world.saleshandy.accounts.pop()
    completed = world.clock()
    for _ in range(3):
        world.clock.advance(world.poll(upload).wait_seconds)
    assert batch(world, upload).state is BatchState.REPORTED
    world.saleshandy.accounts.append(hidden)
    assert world.follow(upload) == DELIVER
    assert batch(world, upload).state is BatchState.COMPLETED
    assert world.clock() < completed + world.policy.grace


def test_a_report_that_is_gone_keeps_no_batch_from_being_verified(world: World) -> None:
    """Somebody deleted its copy meanwhile: the list decides, and the file is still there."""
    world.saleshandy.failing[ADDRESSES[0]] = "Sign-in refused"
    upload = verified(world, *ADDRESSES[:2])
    world.poll(upload)
    del world.reports.texts[upload.import_id, report_name(1)]
    assert world.follow(upload) == DELIVER
    assert batch(world, upload).state is BatchState.COMPLETED
    assert not world.imported(upload).stopped


def is_hidden(world: World) -> None:
    """Have the list show none of the accounts."""
    del world.saleshandy.accounts[:]


def has_failed(world: World) -> None:
    """Have the list show none of the accounts, and the report name them as failed."""
    world.saleshandy.failing.update(dict.fromkeys(ADDRESSES[:2], "535 refused"))
    is_hidden(world)


def list_is_refused(world: World) -> None:
    """Have no list."""
    world.saleshandy.list_errors.extend([RequestNotFoundError("HTTP 400")] * 9)


@pytest.mark.parametrize(
    ("happens", "waits", "state", "shown"),
    [
        (is_hidden, "grace", BatchState.RECONCILED, None),
        (has_failed, "settle", BatchState.COMPLETED, None),
        (list_is_refused, "settle", BatchState.RECONCILED, AccountStatus.UNKNOWN),
    ],
)
def test_what_the_list_does_not_show_is_waited_for_as_long_as_it_may_come(
    world: World,
    happens: Callable[[World], None],
    waits: str,
    state: BatchState,
    shown: AccountStatus | None,
) -> None:
    """What a report calls failed, and a list that is refused, are not waited for.

    What the service calls connected may come until the end of the grace period; then the batch is
    settled, and is looked for when the import is resumed. No batch is resent.
    """
    upload = verified(world, *ADDRESSES[:2])
    happens(world)
    completed = world.clock()
    assert world.follow(upload) == DELIVER
    assert world.clock() == completed + getattr(world.policy, waits)
    assert batch(world, upload).state is state
    assert evidence(world, upload) == (dict.fromkeys(ADDRESSES[:2], shown) if shown else {})
    assert len(world.journal.about("connect")) == 1


def test_a_link_that_is_not_understood_is_a_missing_report(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for three times, then the account list is."""
    upload = submitted(world, *ADDRESSES[:2])
    monkeypatch.setattr(FakeRemote, "status", lambda *_: RequestStatus(True, None))  # noqa: FBT003  completed
    assert world.follow(upload) == DELIVER
    assert "its link is not valid" in batch(world, upload).reason
    assert evidence(world, upload) == dict.fromkeys(ADDRESSES[:2], AccountStatus.ACTIVE)


@pytest.mark.parametrize("age", [86_400, None])
def test_an_address_that_was_saved_before_does_not_say_that_its_batch_arrived(
    world: World, age: float | None
) -> None:
    """It is as it was, and the others are not there: the batch is sent again."""
    world.policy = replace(world.policy, skip_connected=True)
    created_at = None if age is None else world.clock() - age
    world.saleshandy.accounts = [ListedAccount(ADDRESSES[0], AccountStatus.INACTIVE, created_at)]
    upload = lost(world, *ADDRESSES[:2], arrived=False)
    assert world.follow(upload) == DELIVER
    assert len(world.journal.about("connect")) == 2
    assert world.states(upload) == [BatchState.COMPLETED]


def listings(world: World) -> list[int]:
    """Return the pages of the account list that were asked for."""
    return [query.page for query in world.journal.about("list")]


def lost(world: World, *addresses: str, arrived: bool = True) -> Upload:
    """Let the answer to the one request be lost, which arrived anyway, or did not."""
    upload = world.uploads.put("uploads/a.csv", accounts_file(*(addresses or ADDRESSES[:2])))
    world.saleshandy.connect_errors.append(OutcomeUnknownError("no answer came"))
    world.receive(upload)
    if arrived:
        world.saleshandy.carry_out("lost", addresses or ADDRESSES[:2])
    world.clock.advance(10)
    return upload


def evidence(world: World, upload: Upload, number: int = 1) -> dict[str, AccountStatus | None]:
    """Return what the list showed of a batch, None where it was not asked; not who is absent."""
    text = world.reports.texts[upload.import_id, f"listed/batch-{number:06d}.csv"]
    return {
        address: one.after
        for address, one in read_reconciliation(io.StringIO(text, newline="")).items()
        if one.after is not AccountStatus.ABSENT
    }


def test_a_lost_batch_that_is_connected_is_settled_at_once(world: World) -> None:
    """When the list shows every account connected, no more can be found.

    The list has addresses in lower case, and other accounts of the workspace.
    """
    world.saleshandy.have("other@reach.example")
    upload = lost(world, "Robin@Reach.example", ADDRESSES[0])
    assert world.poll(upload) == DELIVER
    found = batch(world, upload)
    assert (found.state, found.reconciliation, found.reason) == (
        BatchState.RECONCILED,
        True,
        "no answer came",
    )
    assert evidence(world, upload) == dict.fromkeys(
        ("robin@reach.example", ADDRESSES[0]), AccountStatus.ACTIVE
    )
    assert world.journal.about("status") == []


def test_the_evidence_lies_there_before_the_batch_is_settled(world: World) -> None:
    """A crash between the two leaves a batch that is looked for again."""
    upload = lost(world)
    world.poll(upload)
    names = world.journal.names()
    assert names.index("report", names.index("save index")) < names.index("settle")


def test_a_lost_batch_that_arrived_in_part_is_waited_for(world: World) -> None:
    """Until the end of the grace period the rest may come or begin to work; then it is settled."""
    world.saleshandy.failing[ADDRESSES[1]] = "refused"
    upload = lost(world)
    sent_at = batch(world, upload).sent_at
    assert world.poll(upload) == TaskResult(NextAction.CHECK, 15)
    assert batch(world, upload).state is BatchState.UNCONFIRMED
    world.clock.advance(15)
    assert world.follow(upload) == DELIVER
    assert world.clock() == sent_at + world.policy.grace
    assert batch(world, upload).state is BatchState.RECONCILED
    assert evidence(world, upload) == {
        ADDRESSES[0]: AccountStatus.ACTIVE,
        ADDRESSES[1]: AccountStatus.INACTIVE,
    }
    assert len(world.journal.about("connect")) == 1


@pytest.mark.parametrize("failures", [1, 999])
def test_a_list_that_fails_is_asked_for_during_a_grace_period(world: World, failures: int) -> None:
    """One failed call leaves nothing unconfirmed: the next shows that nothing arrived."""
    upload = lost(world, arrived=False)
    grace_is_over = batch(world, upload).sent_at + world.policy.grace
    while world.clock() < grace_is_over:
        world.clock.advance(world.poll(upload).wait_seconds)
    world.saleshandy.list_errors.extend([OutcomeUnknownError("HTTP 502")] * failures)
    assert world.follow(upload) == DELIVER
    assert len(world.journal.about("connect")) == 1 + (failures == 1)
    assert world.clock() >= grace_is_over + world.policy.grace * (failures > 1)


def test_a_lost_batch_is_not_sent_again_before_the_grace_is_over(world: World) -> None:
    """What the list does not show may still be on its way; after the grace it is sent again."""
    upload = lost(world, arrived=False)
    sent_at = batch(world, upload).sent_at
    while (step := world.poll(upload)).next == NextAction.CHECK:
        assert batch(world, upload).state is BatchState.UNCONFIRMED
        world.clock.advance(step.wait_seconds)
    assert step == TaskResult(NextAction.SUBMIT)
    assert world.clock() == sent_at + world.policy.grace
    assert batch(world, upload).state is BatchState.PLANNED
    assert world.follow(upload) == DELIVER
    assert world.journal.about("connect") == [ADDRESSES[:2]] * 2
    found = batch(world, upload)
    assert (found.state, found.sent, found.request_id) == (BatchState.COMPLETED, 2, "request-1")


def test_a_lost_batch_that_arrives_late_is_not_sent_again(world: World) -> None:
    """An account of it that appears within the grace period is enough to know that it arrived."""
    upload = lost(world, arrived=False)
    world.follow(upload, polls=4)
    world.saleshandy.have(ADDRESSES[1], status=AccountStatus.INACTIVE, created_at=world.clock())
    assert world.follow(upload) == DELIVER
    assert len(world.journal.about("connect")) == 1
    assert batch(world, upload).state is BatchState.RECONCILED
    assert evidence(world, upload) == {ADDRESSES[1]: AccountStatus.INACTIVE}


def test_a_throttled_request_does_not_count_as_sent(world: World) -> None:
    """However often it was throttled, a batch whose answer is lost then is sent again."""
    world.saleshandy.connect_errors.extend(
        [*[ThrottledError(7)] * 3, OutcomeUnknownError("HTTP 502")]
    )
    upload = world.drop(*ADDRESSES[:2])
    assert world.follow(upload) == DELIVER
    assert batch(world, upload).state is BatchState.COMPLETED
    assert len(world.journal.about("connect")) == 5


def test_a_batch_is_sent_three_times_at_most(world: World) -> None:
    """A service that never answers and never takes a batch in gets it three times, no more."""
    world.saleshandy.connect_errors.extend([OutcomeUnknownError("no answer came")] * 9)
    upload = submitted(world, ADDRESSES[0])
    assert world.follow(upload) == DELIVER
    assert len(world.journal.about("connect")) == 3
    found = batch(world, upload)
    assert (found.state, found.sent) == (BatchState.RECONCILED, 3)
    assert evidence(world, upload) == {}


@pytest.mark.parametrize("hours", [-8, 8])
def test_a_list_whose_times_are_hours_off_has_nothing_sent_again(
    world: World, hours: float
) -> None:
    """Others have filled its first pages meanwhile."""
    world.saleshandy.page_size = 2
    upload = lost(world)
    others = (f"o{at}@x.example" for at in range(4))
    world.saleshandy.have(*others, created_at=world.clock())
    world.saleshandy.accounts = [
        replace(one, created_at=(one.created_at or 0) + hours * 3600)
        for one in world.saleshandy.accounts
    ]
    assert world.follow(upload) == DELIVER
    assert len(world.journal.about("connect")) == 1


def test_every_look_for_a_batch_reads_a_list_of_its_own_time(world: World) -> None:
    """A list read before the batch was due says nothing about it: it is read again."""
    upload = lost(world, arrived=False)
    world.clock.advance(world.poll(upload).wait_seconds)
    world.saleshandy.carry_out("late", ADDRESSES[:2])
    assert world.poll(upload) == DELIVER
    assert evidence(world, upload) == dict.fromkeys(ADDRESSES[:2], AccountStatus.ACTIVE)


def test_a_list_that_does_not_come_settles_nothing(world: World) -> None:
    """Without a list nothing is known, and nothing is sent again; it is asked for later."""
    upload = lost(world, arrived=False)
    world.clock.advance(700)
    world.saleshandy.list_errors.extend([OutcomeUnknownError("HTTP 502")] * 3)
    for _ in range(3):
        assert world.poll(upload) == TaskResult(NextAction.CHECK, 10)
        assert batch(world, upload).state is BatchState.UNCONFIRMED
    assert len(listings(world)) == 3
    assert len(world.journal.about("connect")) == 1


def test_a_service_without_a_list_leaves_lost_batches_unconfirmed(world: World) -> None:
    """After the grace period they are answered as they are, never sent again."""
    upload = lost(world, arrived=False)
    world.saleshandy.list_errors.extend([RequestRefusedError("HTTP 404")] * 10_000)
    assert world.follow(upload, polls=10_000) == DELIVER
    assert world.clock() == batch(world, upload).sent_at + world.policy.grace
    assert evidence(world, upload) == dict.fromkeys(ADDRESSES[:2], AccountStatus.UNKNOWN)
    assert len(world.journal.about("connect")) == 1


def many_lost(world: World, many: int) -> Upload:
    """Have so many batches of one account that lost their reports, and are all due."""
    world.policy = replace(world.policy, batch_size=1)
    upload = submitted(world, *(f"m{number}@reach.example" for number in range(many)))
    now = world.clock()
    for number in range(1, many + 1):
        lose(world.ledger, upload.import_id, number, now, now)
    return upload


def test_many_unconfirmed_batches_are_all_settled(world: World) -> None:
    """However many there are, none is forgotten."""
    upload = many_lost(world, 23)
    assert world.follow(upload) == DELIVER
    assert world.states(upload) == [BatchState.RECONCILED] * 23


def test_an_unconfirmed_batch_that_is_due_soon_is_not_forgotten(world: World) -> None:
    """What is due a little after the look that settles another is settled in its time."""
    upload = many_lost(world, 2)
    world.clock.advance(200)
    polled_at(world.ledger, upload.import_id, 2, world.clock() + 5)
    assert world.follow(upload) == DELIVER
    assert world.states(upload) == [BatchState.RECONCILED] * 2


def test_the_list_is_not_read_before_its_time(world: World) -> None:
    """A poll at another request takes no unconfirmed batch along: its list is read when due."""
    upload = many_lost(world, 1)
    world.clock.advance(200)
    polled_at(world.ledger, upload.import_id, 1, world.clock() + 5)
    assert world.poll(upload) == TaskResult(NextAction.CHECK, 5)
    assert listings(world) == []
    world.clock.advance(5)
    assert world.poll(upload) == DELIVER


def test_an_unconfirmed_batch_due_while_a_scan_went_on_is_not_forgotten(world: World) -> None:
    """A list whose reading began before a batch was due does not settle it; a later one does."""
    world.saleshandy.page_size = 1
    upload = many_lost(world, 2)
    polled_at(world.ledger, upload.import_id, 2, world.clock() + 30)
    world.policy = replace(world.policy, calls_per_minute=2)
    assert world.follow(upload) == DELIVER
    assert world.states(upload) == [BatchState.RECONCILED] * 2


def test_a_batch_sent_long_before_the_others_is_looked_for_as_far_back(world: World) -> None:
    """What was found missing in a short reading of the list may be further back in it."""
    world.policy = replace(world.policy, batch_size=1)
    world.saleshandy.page_size = 5
    addresses = [f"m{number}@reach.example" for number in range(11)]
    upload = world.drop(*addresses, time_left=lambda: 0.0)
    send(world.ledger, upload.import_id, 11, world.clock())
    world.saleshandy.carry_out("lost", (addresses[10],))
    for _ in range(20):
        world.clock.advance(50)
        world.saleshandy.carry_out("another's", ("other@x.example",))
    for number in range(1, 11):
        send(world.ledger, upload.import_id, number, world.clock())
    for number in range(1, 12):
        now = world.clock()
        lose(world.ledger, upload.import_id, number, now, now + 600)
    world.clock.advance(700)
    for _ in range(3):
        step = world.poll(upload)
        world.clock.advance(step.wait_seconds)
    assert world.states(upload)[10] is BatchState.RECONCILED
    assert evidence(world, upload, 11) == {addresses[10]: AccountStatus.ACTIVE}


@pytest.mark.parametrize("arrived", [False, True])
def test_what_was_left_out_of_a_batch_does_not_say_that_it_arrived(
    world: World, *, arrived: bool
) -> None:
    """An address connected before is in the list anyway: the rest is sent again if it is not.

    The evidence keeps what was left out.
    """
    world.policy = replace(world.policy, skip_connected=True)
    world.saleshandy.have(ADDRESSES[0])
    upload = lost(world, *ADDRESSES[:2], arrived=False)
    if arrived:
        world.saleshandy.carry_out("lost", ADDRESSES[1:2])
        assert world.poll(upload) == DELIVER
    else:
        assert world.follow(upload) == DELIVER
        assert batch(world, upload).state is BatchState.COMPLETED
    assert world.journal.about("connect") == [ADDRESSES[1:2]] * (1 if arrived else 2)
    assert evidence(world, upload) == {
        ADDRESSES[0]: None,
        ADDRESSES[1]: AccountStatus.ACTIVE if arrived else None,
    }


def reopened(world: World, upload: Upload) -> None:
    """Answer an import, and take it up again the next day."""
    world.deliverer().deliver(upload.import_id)
    world.clock.advance(86_400)
    assert world.submitter().restart(upload.import_id)


def test_a_reopened_import_looks_for_what_was_missing(world: World) -> None:
    """A batch that arrived in part is looked for again; what has come meanwhile is found."""
    world.saleshandy.failing[ADDRESSES[1]] = "refused"
    upload = lost(world)
    world.follow(upload)
    reopened(world, upload)
    world.saleshandy.accounts[:] = [
        replace(one, status=AccountStatus.ACTIVE) for one in world.saleshandy.accounts
    ]
    assert world.follow(upload) == DELIVER
    assert evidence(world, upload) == dict.fromkeys(ADDRESSES[:2], AccountStatus.ACTIVE)
    assert len(world.journal.about("connect")) == 1


@pytest.mark.parametrize("link", ["expired", ""])
def test_a_reopened_batch_keeps_the_report_that_it_has(world: World, link: str) -> None:
    """That it cannot be fetched once more takes nothing back: the failure in it still counts."""
    world.policy = replace(world.policy, verify_connected=True)
    world.saleshandy.failing[ADDRESSES[1]] = "535 refused"
    upload = submitted(world, *ADDRESSES[:2])
    accounts = list(world.saleshandy.accounts)
    world.saleshandy.accounts.clear()
    world.follow(upload)
    reopened(world, upload)
    world.saleshandy.accounts += [replace(one, status=AccountStatus.ACTIVE) for one in accounts]
    world.saleshandy.links["request-1"] = link
    assert world.follow(upload) == DELIVER
    assert batch(world, upload).report
    world.deliverer().deliver(upload.import_id)
    assert [row["outcome"] for row in world.outcome(upload)] == ["connected", "unconfirmed"]


def test_a_reopened_batch_that_arrived_in_part_is_not_sent_again(world: World) -> None:
    """That it arrived is known from the first poll, whatever the second one finds."""
    upload = lost(world, arrived=False)
    world.saleshandy.carry_out("a part of it", ADDRESSES[:1])
    world.follow(upload)
    assert evidence(world, upload) == {ADDRESSES[0]: AccountStatus.ACTIVE}
    reopened(world, upload)
    assert world.follow(upload) == DELIVER
    assert len(world.journal.about("connect")) == 1
    assert evidence(world, upload) == {ADDRESSES[0]: AccountStatus.ACTIVE}


def test_a_reopened_request_is_asked_for_again(world: World) -> None:
    """A request that made no progress for an hour may have ended by the next day."""
    world.saleshandy.failing[ADDRESSES[1]] = "Sign-in refused"
    upload = submitted(world, *ADDRESSES[:2])
    world.saleshandy.running.update(world.saleshandy.requests)
    world.follow(upload)
    assert batch(world, upload).state is BatchState.RECONCILED
    reopened(world, upload)
    world.saleshandy.running.clear()
    assert world.follow(upload) == DELIVER
    found = batch(world, upload)
    assert (found.state, found.report, found.reason) == (BatchState.COMPLETED, True, "")


# Batches left


def test_batches_left_are_left_to_who_is_submitting(world: World) -> None:
    """While somebody submits, one continues looking, and continues itself when that has ended."""
    upload = world.drop(*ADDRESSES, time_left=lambda: SAFE_MARGIN - 1)
    now = world.clock()
    world.ledger.lease(upload.import_id, now, now + 300)
    step = world.poll(upload)
    assert step.next == NextAction.CHECK
    assert 0 < step.wait_seconds <= 300
    world.clock.advance(300)
    assert world.poll(upload) == TaskResult(NextAction.SUBMIT)


@pytest.mark.parametrize("stopped", ["", "Saleshandy refused the API key"])
def test_an_import_is_not_delivered_while_somebody_may_be_submitting(
    world: World, stopped: str
) -> None:
    """One who died after the last request holds the import for a while; then it is delivered."""
    upload = submitted(world)
    now = world.clock()
    world.ledger.lease(upload.import_id, now, now + 25)
    if stopped:
        world.ledger.stop(world.imported(upload), ReasonCode.API_KEY_REFUSED, stopped)
    assert world.poll(upload) == TaskResult(NextAction.CHECK, 10)
    world.clock.advance(20)
    assert world.poll(upload) == TaskResult(NextAction.CHECK, 5)
    world.clock.advance(5)
    assert world.poll(upload) == DELIVER


def test_an_import_is_overdue_after_its_own_deadline(world: World) -> None:
    """Not after that of the policy, where it was planned to take longer."""
    world.policy = replace(world.policy, deadline=10.0)
    upload = submitted(world)
    imported = world.imported(upload)
    assert imported.deadline > imported.began_at + 10.0
    world.ledger.lease(upload.import_id, world.clock(), imported.deadline + 5000)
    world.clock.time = imported.deadline - 1
    assert world.poll(upload).overdue_seconds == 0
    world.clock.time = imported.deadline + 3700
    overdue = world.poll(upload)
    assert (overdue.next, overdue.overdue_seconds) == (NextAction.CHECK, 3700)


def test_nothing_more_is_sent_while_ten_batches_are_unconfirmed(world: World) -> None:
    """Before more goes out to a service that does not answer, the outcome of some is known."""
    world.policy = replace(world.policy, batch_size=1)
    addresses = [f"m{number}@reach.example" for number in range(12)]
    upload = world.drop(*addresses, time_left=lambda: 0.0)
    now = world.clock()
    for number in range(1, 11):
        send(world.ledger, upload.import_id, number, now)
        lose(world.ledger, upload.import_id, number, now, now + 10)
    assert world.poll(upload) == TaskResult(NextAction.CHECK, 10)
    world.clock.advance(10)
    world.saleshandy.carry_out("lost", (addresses[3],))
    assert world.poll(upload) == TaskResult(NextAction.SUBMIT)
    assert world.states(upload)[3] is BatchState.RECONCILED


def test_a_file_without_accounts_is_delivered(world: World) -> None:
    """Where every row was rejected there is nothing to wait for."""
    upload = world.drop("no address")
    assert world.poll(upload) == DELIVER


# Failures


def test_a_status_that_is_refused_is_asked_for_again(world: World) -> None:
    """One status that is refused keeps no other batch from its look, and is asked for later."""
    upload = submitted(world)
    world.saleshandy.status_errors.append(RequestRefusedError("HTTP 404"))
    assert world.poll(upload) == TaskResult(NextAction.CHECK, 15)
    assert world.states(upload) == [BatchState.SUBMITTED, *[BatchState.COMPLETED] * 2]
    world.clock.advance(15)
    assert world.poll(upload) == DELIVER


@pytest.mark.parametrize(
    "error",
    [
        NotSentError("Saleshandy cannot be reached"),
        OutcomeUnknownError("Saleshandy failed: HTTP 502"),
    ],
)
def test_a_service_that_fails_ends_the_look(
    world: World, error: NotSentError | OutcomeUnknownError
) -> None:
    """It is left alone for a while, and asked for the rest after it."""
    upload = submitted(world)
    world.saleshandy.status_errors.append(error)
    assert world.poll(upload) == TaskResult(NextAction.CHECK, 10)
    assert world.journal.about("status") == [FIRST]
    assert world.states(upload) == [BatchState.SUBMITTED] * 3
    world.clock.advance(10)
    assert world.follow(upload, polls=2) == DELIVER
    assert world.states(upload) == [BatchState.COMPLETED] * 3


def test_a_batch_whose_status_always_fails_keeps_no_other_from_its_look(world: World) -> None:
    """What the service cannot answer is asked for later than what was not asked for yet."""
    upload = submitted(world)
    world.saleshandy.status_errors.append(OutcomeUnknownError("HTTP 500"))
    world.clock.advance(world.poll(upload).wait_seconds)
    world.poll(upload)
    assert world.journal.about("status")[:2] == ["request-1", "request-2"]


def test_rests_grow_with_the_age_of_an_import(world: World) -> None:
    """A service out of order for hours is looked at ever more rarely: every 300th of the age."""
    upload = submitted(world)
    world.clock.advance(5990)
    change(world.ledger, upload.import_id, 3, lambda one: one.completed(world.clock()))
    world.saleshandy.status_errors.append(NotSentError("Saleshandy cannot be reached"))
    assert world.poll(upload) == TaskResult(NextAction.CHECK, 20)


def test_a_throttled_look_waits_as_long_as_told(world: World) -> None:
    """A poll the service throttles is interrupted and continues with the batch it did not get."""
    upload = submitted(world)
    world.saleshandy.status_errors.extend([None, ThrottledError(42.5)])
    assert world.poll(upload) == TaskResult(NextAction.CHECK, 42.5)
    assert world.states(upload)[0] is BatchState.COMPLETED
    world.clock.advance(42.5)
    assert world.poll(upload) == DELIVER
    assert world.journal.about("status") == ["request-1", "request-2", "request-2", "request-3"]


def test_a_service_that_allows_no_further_call_is_left_alone(world: World) -> None:
    """An answer that ends Saleshandy's own limit closes the budget before the next call."""
    upload = submitted(world)
    world.saleshandy.closed = 33.0
    assert world.poll(upload) == TaskResult(NextAction.CHECK, 33)
    assert world.journal.about("status") == [FIRST]


@pytest.mark.parametrize(
    "error", [ApiKeyRefusedError("Saleshandy refused the API key"), ApiKeyMissingError("no key")]
)
def test_a_refused_key_ends_the_tracking(
    world: World, error: ApiKeyRefusedError | ApiKeyMissingError
) -> None:
    """With a key that is not accepted nothing is asked any more: one call, then the answer."""
    upload = submitted(world)
    world.saleshandy.status_errors.append(error)
    assert world.poll(upload) == DELIVER
    assert world.poll(upload) == DELIVER
    assert len(world.journal.about("status")) == 1
    assert world.imported(upload).stopped == str(error)


def refused(world: World, upload: Upload) -> None:
    """Refuse the file as a whole."""
    refuse(world.ledger, upload.import_id, "It is empty.")


def stopped(world: World, upload: Upload) -> None:
    """Stop the import."""
    world.submitter().submit(upload.import_id, lambda: 0.0)
    world.ledger.stop(world.imported(upload), ReasonCode.API_KEY_REFUSED, "why")


def notified(world: World, upload: Upload) -> None:
    """Answer the import."""
    answer(world.ledger, upload.import_id)


@pytest.mark.parametrize("end", [refused, stopped, notified])
def test_an_import_that_has_ended_is_not_looked_at(
    world: World, end: Callable[[World, Upload], None]
) -> None:
    """A refused, stopped or answered import costs no call."""
    upload = world.uploads.put("uploads/a.csv", accounts_file(ADDRESSES[0]))
    now = world.clock()
    world.ledger.claim(upload, now, now + 9999)
    end(world, upload)
    assert world.poll(upload) == DELIVER
    assert world.journal.about("status") == []


# Budget and time


def test_a_spent_budget_breaks_a_look_off(world: World) -> None:
    """The look waits for its turn, and continues where it stopped."""
    upload = submitted(world)
    world.clock.advance(100)
    world.policy = replace(world.policy, calls_per_minute=2)
    assert world.poll(upload) == TaskResult(NextAction.CHECK, 66)
    assert world.journal.about("status") == ["request-1", "request-2"]
    world.clock.advance(66)
    assert world.poll(upload) == DELIVER
    assert world.journal.about("status") == ["request-1", "request-2", "request-3"]


def test_looking_and_submitting_take_turns(world: World) -> None:
    """With few calls a minute neither the looks nor what is left to be sent waits forever."""
    world.policy = replace(world.policy, calls_per_minute=1, batch_size=1)
    addresses = [f"m{number}@reach.example" for number in range(6)]
    upload = world.uploads.put("uploads/a.csv", accounts_file(*addresses))
    step = world.receive(upload)
    assert step is not None
    while step.next != NextAction.DELIVER:
        world.clock.advance(step.wait_seconds)
        step = world.submit(upload) if step.next == NextAction.SUBMIT else world.poll(upload)
    assert world.states(upload) == [BatchState.COMPLETED] * 6
    calls = [name for name, _ in world.journal.entries if name in ("connect", "status")]
    assert calls[:2] == ["connect", "status"]
    assert world.clock() < world.imported(upload).began_at + 13 * 66


def test_stuck_batches_keep_no_other_from_its_look(world: World) -> None:
    """With one call a minute and a request that never completes, the others are found complete."""
    upload = submitted(world)
    world.policy = replace(world.policy, calls_per_minute=1)
    world.saleshandy.running.add(FIRST)
    world.clock.advance(66)
    for _ in range(5):
        world.clock.advance(world.poll(upload).wait_seconds)
    assert world.states(upload) == [BatchState.SUBMITTED, *[BatchState.COMPLETED] * 2]


def test_a_look_stops_before_its_time_is_up(world: World) -> None:
    """A poll that runs out of time continues at once in the next invocation, where it stopped."""
    upload = submitted(world)
    left = iter([300.0, SAFE_MARGIN, SAFE_MARGIN - 0.1])
    step = world.poll(upload, lambda: next(left))
    assert step == TaskResult(NextAction.CHECK, 0)
    assert world.journal.about("status") == ["request-1", "request-2"]
    assert world.poll(upload) == DELIVER
    assert world.journal.about("status") == ["request-1", "request-2", "request-3"]


def test_reports_are_read_in_one_look(world: World) -> None:
    """The upload is read once, however far apart the batches are and in which order they are due.

    Each report is read beside its own accounts.
    """
    for address in (ADDRESSES[0], ADDRESSES[4]):
        world.saleshandy.failing[address] = f"Sign-in refused: {PASSWORD}"
    upload = submitted(world)
    now = world.clock()
    for number, seconds in ((1, 30), (2, 10), (3, 20)):
        polled_at(world.ledger, upload.import_id, number, now + seconds)
    world.clock.advance(30)
    assert world.poll(upload) == DELIVER
    assert [one.report for one in world.batches(upload)] == [True, False, True]
    assert MARK not in str(world.reports.texts)


def test_a_file_deleted_while_it_is_looked_at_stops_the_import(world: World) -> None:
    """Without the file no report can be cleaned: the import ends with what is known."""
    world.saleshandy.failing[ADDRESSES[0]] = "Sign-in refused"
    upload = submitted(world)
    world.uploads.delete_version(upload)
    assert world.poll(upload) == DELIVER
    assert world.imported(upload).stopped == ("the file was deleted during its import")
