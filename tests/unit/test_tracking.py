"""Tracking, on fakes: what a look finds, what it remembers, and what comes next."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace

import pytest

from email_accounts.errors import (
    ApiKeyMissingError,
    ApiKeyRefusedError,
    NotSentError,
    ReportUnavailableError,
    RequestNotFoundError,
    RequestRefusedError,
    ThrottledError,
    UnansweredError,
)
from email_accounts.ledger import Batch, BatchState
from email_accounts.ports import Step
from email_accounts.submission import SAFE_MARGIN
from email_accounts.upload import Upload
from tests.fakes import World
from tests.files import PASSWORD, accounts_file

ADDRESSES = tuple(f"a{number}@reach.example" for number in range(1, 6))
DELIVER = Step(Step.DELIVER)
FIRST = "request-1"


def plenty() -> float:
    """Return the seconds of an invocation that has just begun."""
    return 300.0


@pytest.fixture
def world() -> World:
    """Give a world in which nothing has happened; a batch has two accounts."""
    return World()


def submitted(world: World, *addresses: str) -> Upload:
    """Submit a file of these accounts, or of five, which is three batches."""
    upload = world.uploads.put("uploads/a.csv", accounts_file(*(addresses or ADDRESSES)))
    world.submitter().take(upload, plenty)
    return upload


def look(world: World, upload: Upload) -> Step:
    """Look at an import as the state machine lets one look."""
    return world.tracker().look(upload.import_id, plenty)


def batch(world: World, upload: Upload, number: int = 1) -> Batch:
    """Return one batch."""
    return list(world.ledger.batches(upload.import_id))[number - 1]


def states(world: World, upload: Upload) -> list[BatchState]:
    """Return the states of the batches."""
    return [one.state for one in world.ledger.batches(upload.import_id)]


def asked(world: World) -> list[object]:
    """Return the request ids that were looked at, in their order."""
    return [about for name, about in world.journal.entries if name == "status"]


# Completed


def test_a_completed_import_is_delivered(world: World) -> None:
    """When every request is complete in one look, the answer is next."""
    upload = submitted(world)
    assert look(world, upload) == DELIVER
    assert asked(world) == ["request-1", "request-2", "request-3"]
    assert states(world, upload) == [BatchState.COMPLETED] * 3


def test_no_link_means_no_report(world: World) -> None:
    """A request that is complete without a link has no failures, and nothing is fetched."""
    upload = submitted(world)
    look(world, upload)
    assert "fetch" not in world.journal.names()
    assert not batch(world, upload).report


def test_a_report_is_fetched_once_in_the_look_that_finds_it(world: World) -> None:
    """The report lies in the bucket before the batch is complete, and is never fetched again."""
    world.remote.failing[ADDRESSES[2]] = "Sign-in refused"
    upload = submitted(world)
    world.remote.running.add(FIRST)
    look(world, upload)
    world.remote.running.clear()
    assert look(world, upload) == DELIVER
    names = world.journal.names()
    assert names.count("fetch") == 1
    assert names.index("fetch") < names.index("report") < names.index("settle")
    assert [one.report for one in world.ledger.batches(upload.import_id)] == [False, True, False]


def test_a_copy_of_a_report_holds_no_secret(world: World) -> None:
    """Password columns are gone and the passwords of the batch hidden; addresses are kept."""
    upload = submitted(world)
    world.remote.links[FIRST] = "link"
    world.remote.reports["link"] = (
        f"Email,smtpPassword,Reason\r\n{ADDRESSES[0]},{PASSWORD},refused for {PASSWORD}\r\n"
    ).encode()
    look(world, upload)
    copy = world.reports.texts[upload.import_id, "remote/batch-000001.csv"]
    assert list(csv.reader(io.StringIO(copy))) == [
        ["Email", "Reason"],
        [ADDRESSES[0], "refused for ***"],
    ]


def test_the_link_of_a_report_is_remembered_nowhere(world: World) -> None:
    """A link may lead to passwords: it stands in no batch, report or step."""
    upload = submitted(world)
    link = "https://reports.example/very-secret-link"
    world.remote.links[FIRST] = link
    world.remote.reports[link] = b"Email,Reason\n"
    step = look(world, upload)
    assert "very-secret-link" not in f"{batch(world, upload)} {step} {world.reports.texts}"


@pytest.mark.parametrize(
    "content",
    [
        b"<html><body>Sign in",
        b"Email,Reason\r\nstranger@reach.example,refused\r\n",
        b"\xff\xfe\x00",
        b'Email,Reason\n"' + b"x" * (2 << 20),
    ],
    ids=["page", "strangers", "binary", "endless"],
)
def test_a_report_that_cannot_be_read_confirms_nothing(world: World, content: bytes) -> None:
    """What is not understood must not pass for 'no failures': the batch is unconfirmed."""
    upload = submitted(world)
    world.remote.links[FIRST] = "link"
    world.remote.reports["link"] = content
    assert look(world, upload) == DELIVER
    unconfirmed = batch(world, upload)
    assert (unconfirmed.state, unconfirmed.report) == (BatchState.UNCONFIRMED, False)
    assert "its report is missing" in unconfirmed.reason
    assert world.reports.texts == {}
    assert states(world, upload)[1:] == [BatchState.COMPLETED] * 2


def test_a_report_that_does_not_come_confirms_nothing(world: World) -> None:
    """A report that cannot be fetched leaves its batch unconfirmed, with the reason."""
    upload = submitted(world)
    world.remote.links[FIRST] = "link"
    error = ReportUnavailableError(f"the link was answered with HTTP 404 {PASSWORD}")
    world.remote.report_errors.append(error)
    assert look(world, upload) == DELIVER
    unconfirmed = batch(world, upload)
    assert unconfirmed.state is BatchState.UNCONFIRMED
    assert "HTTP 404" in unconfirmed.reason
    assert PASSWORD not in unconfirmed.reason


# Waiting


def test_waits_grow_by_half_up_to_the_longest(world: World) -> None:
    """After the first wait of 10 s come 15, 22.5 and so on, and 300 s from then on."""
    upload = submitted(world)
    world.remote.running.update(world.remote.requests)
    waits = [10.0]
    for _ in range(11):
        world.clock.advance(waits[-1])
        step = look(world, upload)
        assert step.next == Step.CHECK
        waits.append(step.wait_seconds)
    expected = [min(10 * 1.5**number, 300) for number in range(12)]
    assert waits == pytest.approx(expected)
    assert waits[-2:] == [300, 300]


def test_a_wait_ends_at_the_deadline(world: World) -> None:
    """The last look is at the deadline, not after it; then the answer is next."""
    upload = submitted(world)
    world.remote.running.update(world.remote.requests)
    deadline = world.ledger.get(upload.import_id).deadline
    world.clock.time = deadline - 20
    assert look(world, upload) == Step(Step.CHECK, 20)
    world.clock.time = deadline
    assert look(world, upload) == DELIVER
    assert states(world, upload) == [BatchState.SUBMITTED] * 3


def test_a_completed_batch_is_not_looked_at_again(world: World) -> None:
    """Each look asks only for what is under way."""
    upload = submitted(world)
    world.remote.running.add("request-2")
    look(world, upload)
    look(world, upload)
    assert asked(world) == ["request-1", "request-2", "request-3", "request-2"]


# Requests nobody knows


def test_a_request_not_found_at_first_is_waited_for(world: World) -> None:
    """Right after the submission 'not found' means 'not yet'."""
    upload = submitted(world, ADDRESSES[0])
    not_found = RequestNotFoundError("Email Account connect request not found")
    world.remote.status_errors.extend([not_found] * 3)
    for _ in range(3):
        world.clock.advance(100)
        assert look(world, upload).next == Step.CHECK
    assert look(world, upload) == DELIVER
    assert batch(world, upload).state is BatchState.COMPLETED


def test_a_request_never_found_is_unconfirmed(world: World) -> None:
    """After ten minutes a request nobody knows is given up, and its accounts are not resent."""
    upload = submitted(world, ADDRESSES[0])
    world.remote.requests.clear()
    world.clock.advance(600)
    assert look(world, upload).next == Step.CHECK
    world.clock.advance(1)
    assert look(world, upload) == DELIVER
    unconfirmed = batch(world, upload)
    assert unconfirmed.state is BatchState.UNCONFIRMED
    assert "no longer knows the request" in unconfirmed.reason
    assert world.journal.names().count("connect") == 1


# Sending that was cut off


def cut_off(world: World) -> Upload:
    """Let a submission die between an intent and its answer."""
    upload = world.uploads.put("uploads/a.csv", accounts_file(ADDRESSES[0]))
    world.submitter().take(upload, lambda: SAFE_MARGIN - 1)
    now = world.clock()
    world.ledger.lease(upload.import_id, now, now + 300)
    world.ledger.intend(upload.import_id, 1, now)
    return upload


def test_a_batch_is_not_given_up_while_its_submitter_may_live(world: World) -> None:
    """Until the end of the lease its submitter may still get the answer."""
    upload = cut_off(world)
    world.clock.advance(299)
    assert look(world, upload).next == Step.CHECK
    assert batch(world, upload).state is BatchState.SENDING


def test_a_batch_whose_submitter_died_is_unconfirmed(world: World) -> None:
    """After the lease nobody will get the answer: it is unconfirmed, and never sent again."""
    upload = cut_off(world)
    world.clock.advance(300)
    assert look(world, upload) == DELIVER
    unconfirmed = batch(world, upload)
    assert unconfirmed.state is BatchState.UNCONFIRMED
    assert "may have received it" in unconfirmed.reason
    assert "connect" not in world.journal.names()


# Batches left


def test_batches_left_are_submitted_next(world: World) -> None:
    """When nobody is submitting and batches are planned, submitting is next."""
    upload = world.uploads.put("uploads/a.csv", accounts_file(*ADDRESSES))
    world.submitter().take(upload, lambda: SAFE_MARGIN - 1)
    assert look(world, upload) == Step(Step.SUBMIT)


def test_batches_left_are_left_to_who_is_submitting(world: World) -> None:
    """While somebody submits, one goes on looking."""
    upload = world.uploads.put("uploads/a.csv", accounts_file(*ADDRESSES))
    world.submitter().take(upload, lambda: SAFE_MARGIN - 1)
    now = world.clock()
    world.ledger.lease(upload.import_id, now, now + 300)
    assert look(world, upload) == Step(Step.CHECK, 10)


def test_a_file_without_accounts_is_delivered(world: World) -> None:
    """Where every row was rejected there is nothing to wait for."""
    upload = world.uploads.put("uploads/a.csv", accounts_file("no address"))
    world.submitter().take(upload, plenty)
    assert look(world, upload) == DELIVER


# Troubles


@pytest.mark.parametrize(
    "error",
    [
        NotSentError("the service cannot be reached"),
        UnansweredError("the service failed to answer: HTTP 502"),
        RequestRefusedError("HTTP 404"),
    ],
)
def test_a_status_that_does_not_come_is_asked_for_again(
    world: World, error: NotSentError | UnansweredError | RequestRefusedError
) -> None:
    """One status that fails keeps no other batch from its look, and is asked for next time."""
    upload = submitted(world)
    world.remote.status_errors.append(error)
    assert look(world, upload) == Step(Step.CHECK, 10)
    assert states(world, upload) == [
        BatchState.SUBMITTED,
        BatchState.COMPLETED,
        BatchState.COMPLETED,
    ]
    assert look(world, upload) == DELIVER


def test_a_throttled_look_waits_as_long_as_told(world: World) -> None:
    """A look the service throttles is broken off and goes on with the batch it did not get."""
    upload = submitted(world)
    world.remote.status_errors.extend([None, ThrottledError(42.5)])
    assert look(world, upload) == Step(Step.CHECK, 42.5)
    assert states(world, upload)[0] is BatchState.COMPLETED
    assert look(world, upload) == DELIVER
    assert asked(world) == ["request-1", "request-2", "request-2", "request-3"]


@pytest.mark.parametrize(
    "error", [ApiKeyRefusedError("the service refused the API key"), ApiKeyMissingError("no key")]
)
def test_a_refused_key_ends_the_tracking(
    world: World, error: ApiKeyRefusedError | ApiKeyMissingError
) -> None:
    """With a key that is not accepted nothing is asked any more: one call, then the answer."""
    upload = submitted(world)
    world.remote.status_errors.append(error)
    assert look(world, upload) == DELIVER
    assert look(world, upload) == DELIVER
    assert len(asked(world)) == 1
    assert world.ledger.get(upload.import_id).stopped == str(error)


def refused(world: World, upload: Upload) -> None:
    """Refuse the file as a whole."""
    world.ledger.refuse(upload.import_id, "It is empty.")


def stopped(world: World, upload: Upload) -> None:
    """Stop the import."""
    world.ledger.stop(upload.import_id, "why")


def notified(world: World, upload: Upload) -> None:
    """Answer the import."""
    world.ledger.notified(upload.import_id)


@pytest.mark.parametrize("end", [refused, stopped, notified])
def test_an_import_that_has_ended_is_not_looked_at(
    world: World, end: Callable[[World, Upload], None]
) -> None:
    """A refused, stopped or answered import costs no call."""
    upload = world.uploads.put("uploads/a.csv", accounts_file(ADDRESSES[0]))
    now = world.clock()
    world.ledger.claim(upload, now, now + 9999, now)
    end(world, upload)
    assert look(world, upload) == DELIVER
    assert asked(world) == []


# Budget and time


def test_a_spent_budget_breaks_a_look_off(world: World) -> None:
    """The look waits for its turn, at least the first wait, and goes on where it stopped."""
    upload = submitted(world)
    world.clock.advance(100)
    world.policy = replace(world.policy, calls_per_minute=2)
    assert look(world, upload) == Step(Step.CHECK, 60)
    assert asked(world) == ["request-1", "request-2"]
    world.clock.advance(60)
    assert look(world, upload) == DELIVER
    assert asked(world) == ["request-1", "request-2", "request-3"]


def test_a_turn_that_comes_soon_is_not_taken_at_once(world: World) -> None:
    """Looks that the budget breaks off are no closer together than the first wait."""
    upload = submitted(world)
    world.clock.advance(100)
    world.policy = replace(world.policy, calls_per_minute=1)
    world.remote.running.update(world.remote.requests)
    look(world, upload)
    world.clock.advance(59)
    assert look(world, upload) == Step(Step.CHECK, 10)


def test_stuck_batches_keep_no_other_from_its_look(world: World) -> None:
    """With one call a minute and a request that never completes, the others are found complete."""
    upload = submitted(world)
    world.policy = replace(world.policy, calls_per_minute=1)
    world.remote.running.add(FIRST)
    for _ in range(10):
        world.clock.advance(60)
        look(world, upload)
    assert states(world, upload) == [
        BatchState.SUBMITTED,
        BatchState.COMPLETED,
        BatchState.COMPLETED,
    ]


def test_a_look_stops_before_its_time_is_up(world: World) -> None:
    """A look that runs out of time goes on at once in the next invocation, where it stopped."""
    upload = submitted(world)
    left = iter([300.0, SAFE_MARGIN, SAFE_MARGIN - 0.1])
    step = world.tracker().look(upload.import_id, lambda: next(left))
    assert step == Step(Step.CHECK, 0)
    assert asked(world) == ["request-1", "request-2"]
    assert look(world, upload) == DELIVER
    assert asked(world) == ["request-1", "request-2", "request-3"]


def test_a_look_that_went_on_begins_again_with_the_first(world: World) -> None:
    """After a look that reached the last batch, the next one looks at every batch under way."""
    upload = submitted(world)
    world.remote.running.update(world.remote.requests)
    left = iter([300.0, SAFE_MARGIN - 0.1])
    world.tracker().look(upload.import_id, lambda: next(left))
    look(world, upload)
    look(world, upload)
    assert asked(world) == [
        *("request-1", "request-2", "request-3"),
        *("request-1", "request-2", "request-3"),
    ]


def test_reports_of_far_apart_batches_are_read_in_one_look(world: World) -> None:
    """The upload is read once for all reports of a look, whichever batches they belong to."""
    for address in (ADDRESSES[0], ADDRESSES[4]):
        world.remote.failing[address] = "Sign-in refused"
    upload = submitted(world)
    assert look(world, upload) == DELIVER
    assert [one.report for one in world.ledger.batches(upload.import_id)] == [True, False, True]
