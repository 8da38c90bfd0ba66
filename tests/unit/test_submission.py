"""Submitting, on fakes: what is sent, in which order, and what comes next."""

from contextlib import suppress
from dataclasses import replace

import pytest

from email_accounts.errors import (
    ApiKeyMissingError,
    ApiKeyRefusedError,
    NotSentError,
    RequestRefusedError,
    ThrottledError,
    UnansweredError,
)
from email_accounts.ledger import BatchState, ImportState
from email_accounts.ports import WORKSPACE, Step
from email_accounts.submission import SAFE_MARGIN
from email_accounts.upload import Upload
from tests.fakes import INBOX, World
from tests.files import PASSWORD, accounts_file, row

ADDRESSES = tuple(f"a{number}@reach.example" for number in range(1, 6))
BATCHES = [ADDRESSES[:2], ADDRESSES[2:4], ADDRESSES[4:]]
CHECK = Step(Step.CHECK, 10.0)
DELIVER = Step(Step.DELIVER)
KEY_REFUSED = ApiKeyRefusedError("the service refused the API key: Unauthorized (HTTP 401)")


def plenty() -> float:
    """Return the seconds of an invocation that has just begun."""
    return 300.0


@pytest.fixture
def world() -> World:
    """Give a world in which nothing has happened; a batch has two accounts."""
    return World()


def five(world: World) -> Upload:
    """Upload a file of five accounts, which is three batches."""
    return world.uploads.put("uploads/accounts.csv", accounts_file(*ADDRESSES))


def sent(world: World) -> list[object]:
    """Return the addresses of each request, in the order of sending."""
    return [about for name, about in world.journal.entries if name == "connect"]


def states(world: World, upload: Upload) -> list[BatchState]:
    """Return the states of the batches."""
    return [batch.state for batch in world.ledger.batches(upload.import_id)]


# The way when all is well


def test_every_account_is_sent_once_in_batches(world: World) -> None:
    """Five accounts go out as two, two and one; each batch has its request id."""
    upload = five(world)
    assert world.submitter().take(upload, plenty) == CHECK
    assert sent(world) == BATCHES
    batches = list(world.ledger.batches(upload.import_id))
    assert [batch.request_id for batch in batches] == ["request-1", "request-2", "request-3"]
    assert {batch.state for batch in batches} == {BatchState.SUBMITTED}


def test_the_order_of_effects(world: World) -> None:
    """Claim, plan, execution, and only then each request between its intent and its request id."""
    world.submitter().take(five(world), plenty)
    per_batch = ["take call", "intend", "connect", "submitted"]
    assert world.journal.names() == [
        *("claim", "plan batches", "plan", "start"),
        *(per_batch * 3),
        "release",
    ]


def test_the_execution_begins_with_a_look(world: World) -> None:
    """The execution is named by the import, knows the file, and waits for the first look."""
    upload = five(world)
    world.submitter().take(upload, plenty)
    assert world.executions.started == {upload.import_id: ("accounts.csv", CHECK)}


def test_the_deadline_runs_from_the_claim(world: World) -> None:
    """An import ends at the latest so long after it was taken on as the owner set."""
    upload = five(world)
    began = world.clock()
    world.submitter().take(upload, plenty)
    assert world.ledger.get(upload.import_id).deadline == began + world.policy.deadline


def test_rejected_and_duplicate_rows_are_not_sent(world: World) -> None:
    """Only accounts are sent; a file without any sends nothing and is looked at all the same."""
    bad = row("bad@reach.example", smtpPort="0")
    upload = world.uploads.put("uploads/a.csv", accounts_file("a@x.example", bad, "A@x.example"))
    assert world.submitter().take(upload, plenty) == CHECK
    assert sent(world) == [("a@x.example",)]
    upload = world.uploads.put("uploads/b.csv", accounts_file(bad))
    assert world.submitter().take(upload, plenty) == CHECK
    assert len(sent(world)) == 1
    assert states(world, upload) == []


def test_columns_nobody_knows_are_remembered(world: World) -> None:
    """What was not used of a file is known when it is answered."""
    extra = row("a@x.example") | {"Notes": "x"}
    content = accounts_file(extra)
    upload = world.uploads.put("uploads/a.csv", content)
    world.submitter().take(upload, plenty)
    assert world.ledger.get(upload.import_id).unknown_columns == ("Notes",)


# Once


def test_five_deliveries_are_one_import(world: World) -> None:
    """An event delivered five times starts one execution and sends each batch once."""
    upload = five(world)
    for _ in range(5):
        world.submitter().take(upload, plenty)
    assert sent(world) == BATCHES
    assert world.journal.names().count("start") == 1
    assert world.journal.names().count("plan") == 1


def test_an_upload_somebody_holds_is_left_alone(world: World) -> None:
    """While its first taker may still run, a second delivery has no effect at all."""
    upload = five(world)
    now = world.clock()
    world.ledger.claim(upload, now, now + 9999, now + 300)
    before = world.journal.names()
    assert world.submitter().take(upload, plenty) is None
    assert world.journal.names() == before


def test_an_import_that_was_answered_is_left_alone(world: World) -> None:
    """A delivery after the message has no effect at all."""
    upload = five(world)
    world.submitter().take(upload, plenty)
    world.ledger.notified(upload.import_id)
    before = world.journal.names()
    world.clock.advance(99_999)
    assert world.submitter().take(upload, plenty) is None
    assert world.journal.names() == before


def test_an_upload_whose_taker_died_is_taken_over(world: World) -> None:
    """After a claim that led to nothing the next delivery does the whole work."""
    upload = five(world)
    now = world.clock()
    world.ledger.claim(upload, now, now + 9999, now + 300)
    world.clock.advance(300)
    assert world.submitter().take(upload, plenty) == CHECK
    assert sent(world) == BATCHES


def test_a_batch_that_was_being_sent_is_not_sent_again(world: World) -> None:
    """Whoever takes over leaves a batch alone whose sending was begun, and sends the others."""
    upload = five(world)
    assert world.submitter().take(upload, lambda: SAFE_MARGIN - 1) == Step(Step.SUBMIT)
    world.ledger.intend(upload.import_id, 2, world.clock())
    assert world.submitter().resume(upload.import_id, plenty) == CHECK
    assert sent(world) == [BATCHES[0], BATCHES[2]]
    assert states(world, upload)[1] is BatchState.SENDING


def test_two_versions_of_a_file_are_two_imports(world: World) -> None:
    """The same name dropped again is a new import, each reading its own version."""
    first = world.uploads.put("uploads/a.csv", accounts_file("one@x.example"))
    second = world.uploads.put("uploads/a.csv", accounts_file("two@x.example"))
    for upload in (second, first):
        world.submitter().take(upload, plenty)
    assert sent(world) == [("two@x.example",), ("one@x.example",)]
    assert len(world.executions.started) == 2


def test_an_event_without_a_version_means_the_newest(world: World) -> None:
    """Where the event does not name a version, the inbox does; the import is that version's."""
    upload = five(world)
    submitter = world.submitter()
    submitter.take(submitter.identified(replace(upload, version="")), plenty)
    assert world.ledger.get(upload.import_id).upload == upload
    assert sent(world) == BATCHES


# Files that cannot be used


@pytest.mark.parametrize(
    ("key", "content", "said"),
    [
        ("uploads/a.csv", b"x" * 1_000_001, "1.0 MB, the limit is 1 MB"),
        ("other/a.csv", accounts_file("a@x.example"), "Drop it again as uploads/a.csv"),
        ("uploads/a.xlsx", b"PK\x03\x04...", "It is a damaged workbook"),
        ("uploads/a.csv", b"\xff\xfea", "It ends inside a character"),
        ("uploads/a.csv", b"caf\xe9\x81\r\n" + accounts_file("a@x.example"), "neither text"),
        ("uploads/a.csv", b"name,phone\nx,y\n", "smtpEmailAddress"),
        ("uploads/a.csv", accounts_file(), "no rows"),
        ("uploads/a.json", b'[{"smtpEmailAddress": "a@x.example"}, {', "Item 2 of its JSON array"),
    ],
)
def test_a_file_that_cannot_be_used_sends_nothing(
    world: World, key: str, content: bytes, said: str
) -> None:
    """A refused file says why, sends nothing, and its execution goes straight to the answer."""
    upload = world.uploads.put(key, content)
    assert world.submitter().take(upload, plenty) == DELIVER
    imported = world.ledger.get(upload.import_id)
    assert imported.state is ImportState.REFUSED
    assert said in imported.refusal
    assert sent(world) == []
    assert world.executions.started == {upload.import_id: (upload.name, DELIVER)}


def test_a_file_too_large_is_not_opened(world: World) -> None:
    """The size in the event is enough to refuse a file."""
    upload = Upload(INBOX, "uploads/a.csv", "v1", 1_000_001)
    assert world.submitter().take(upload, plenty) == DELIVER
    assert "limit" in world.ledger.get(upload.import_id).refusal


@pytest.mark.parametrize("version", ["v1", ""])
def test_a_file_deleted_before_it_was_read_is_answered(world: World, version: str) -> None:
    """What is gone is refused with a cure, whether or not the event named its version."""
    upload = five(world)
    world.uploads.delete_version(upload)
    upload = replace(upload, version=version)
    assert world.submitter().take(upload, plenty) == DELIVER
    assert "Drop it again" in world.ledger.get(upload.import_id).refusal
    assert list(world.executions.started) == [upload.import_id]


def test_a_refused_file_delivered_again_changes_nothing(world: World) -> None:
    """The second delivery of a refused file finds everything done."""
    upload = world.uploads.put("uploads/a.csv", b"%PDF-1.7")
    for _ in range(2):
        world.submitter().take(upload, plenty)
        world.clock.advance(300)
    assert world.journal.names().count("refuse") == 1
    assert world.journal.names().count("start") == 1


def test_a_refusal_quotes_no_password(world: World) -> None:
    """A file whose first line is an account is refused without a word of it."""
    content = accounts_file("a@x.example").split(b"\r\n")[1]
    upload = world.uploads.put("uploads/a.csv", content)
    world.submitter().take(upload, plenty)
    assert PASSWORD not in repr(world.ledger.get(upload.import_id))


# What the service answers


@pytest.mark.parametrize("error", [KEY_REFUSED, ApiKeyMissingError("no API key is in x")])
def test_a_refused_key_stops_after_one_call(
    world: World, error: ApiKeyRefusedError | ApiKeyMissingError
) -> None:
    """Nothing more is sent, the reason is remembered, the batch is known not to have arrived."""
    upload = five(world)
    world.remote.connect_errors.append(error)
    assert world.submitter().take(upload, plenty) == DELIVER
    assert len(sent(world)) == 1
    assert world.ledger.get(upload.import_id).stopped == str(error)
    assert states(world, upload) == [BatchState.PLANNED] * 3


def test_a_refused_key_stays_refused_for_every_delivery(world: World) -> None:
    """Five deliveries with a wrong key are one call: a stopped import sends nothing more."""
    upload = five(world)
    world.remote.connect_errors.extend([KEY_REFUSED] * 5)
    assert [world.submitter().take(upload, plenty) for _ in range(5)] == [DELIVER] * 5
    assert world.submitter().resume(upload.import_id, plenty) == DELIVER
    assert len(sent(world)) == 1


def test_a_throttled_batch_waits_as_long_as_told(world: World) -> None:
    """The batch is planned again and the step waits; resumed, all are sent, none twice."""
    upload = five(world)
    world.remote.connect_errors.extend([None, ThrottledError(42.5)])
    assert world.submitter().take(upload, plenty) == Step(Step.SUBMIT, 42.5)
    assert states(world, upload) == [
        BatchState.SUBMITTED,
        BatchState.PLANNED,
        BatchState.PLANNED,
    ]
    assert world.submitter().resume(upload.import_id, plenty) == CHECK
    assert list(world.remote.requests.values()) == BATCHES


def test_a_service_that_cannot_be_reached_is_tried_later(world: World) -> None:
    """What never left is planned again, and tried after a while."""
    upload = five(world)
    world.remote.connect_errors.append(NotSentError("the service cannot be reached"))
    assert world.submitter().take(upload, plenty) == Step(Step.SUBMIT, 30)
    assert states(world, upload) == [BatchState.PLANNED] * 3
    assert world.submitter().resume(upload.import_id, plenty) == CHECK
    assert list(world.remote.requests.values()) == BATCHES


def test_a_refused_request_ends_its_batch_alone(world: World) -> None:
    """The service's own words are kept; the other batches go out."""
    upload = five(world)
    world.remote.connect_errors.extend([None, RequestRefusedError("3.smtpPort: no (HTTP 400)")])
    assert world.submitter().take(upload, plenty) == CHECK
    assert states(world, upload) == [
        BatchState.SUBMITTED,
        BatchState.REFUSED,
        BatchState.SUBMITTED,
    ]
    refused = list(world.ledger.batches(upload.import_id))[1]
    assert refused.reason == "3.smtpPort: no (HTTP 400)"


def test_an_unanswered_request_is_never_sent_again(world: World) -> None:
    """It may have arrived: it is unconfirmed, and stays so whoever resumes the import."""
    upload = five(world)
    world.remote.connect_errors.append(UnansweredError("the service did not answer (ReadTimeout)"))
    world.submitter().take(upload, plenty)
    world.submitter().resume(upload.import_id, plenty)
    world.submitter().take(upload, plenty)
    assert sent(world) == BATCHES
    unconfirmed = next(iter(world.ledger.batches(upload.import_id)))
    assert unconfirmed.state is BatchState.UNCONFIRMED
    assert unconfirmed.reason == "the service did not answer (ReadTimeout)"


# Budget, time, deadline


def test_a_spent_budget_waits_for_its_turn(world: World) -> None:
    """The step waits until the next call is free; no call is made and no intent written before."""
    world.policy = replace(world.policy, calls_per_minute=2)
    upload = five(world)
    world.clock.advance(5)
    assert world.submitter().take(upload, plenty) == Step(Step.SUBMIT, 60)
    assert sent(world) == BATCHES[:2]
    assert states(world, upload)[2] is BatchState.PLANNED
    world.clock.advance(60)
    assert world.submitter().resume(upload.import_id, plenty) == CHECK
    assert sent(world) == BATCHES


def test_one_budget_for_all_imports(world: World) -> None:
    """What one import has spent is missing to the next."""
    world.policy = replace(world.policy, calls_per_minute=3)
    world.submitter().take(five(world), plenty)
    other = world.uploads.put("uploads/other.csv", accounts_file("b@x.example"))
    assert world.submitter().take(other, plenty) == Step(Step.SUBMIT, 60)
    assert sent(world) == BATCHES


def test_an_invocation_stops_before_its_time_is_up(world: World) -> None:
    """No request is begun that could be cut off; the rest is resumed at once."""
    upload = five(world)
    left = iter([300.0, 300.0, SAFE_MARGIN, SAFE_MARGIN - 0.1])
    assert world.submitter().take(upload, lambda: next(left)) == Step(Step.SUBMIT)
    assert sent(world) == BATCHES[:2]
    assert world.submitter().resume(upload.import_id, plenty) == CHECK
    assert sent(world) == BATCHES


def test_nothing_is_sent_after_the_deadline(world: World) -> None:
    """An import past its deadline goes to its answer."""
    upload = five(world)
    assert world.submitter().take(upload, lambda: 0.0) == Step(Step.SUBMIT)
    world.clock.advance(world.policy.deadline)
    assert world.submitter().resume(upload.import_id, plenty) == DELIVER
    assert sent(world) == []


def test_a_resumption_while_somebody_submits_looks_instead(world: World) -> None:
    """Two never submit one import at a time: the second goes on looking."""
    upload = five(world)
    now = world.clock()
    world.ledger.claim(upload, now, now + 9999, now + 300)
    assert world.submitter().resume(upload.import_id, plenty) == CHECK
    assert sent(world) == []


@pytest.mark.parametrize(
    "error", [None, KEY_REFUSED, ThrottledError(5), NotSentError("x"), ValueError("a fault")]
)
def test_whoever_stops_submitting_lets_go(world: World, error: Exception | None) -> None:
    """However a submission ends, the next submitter need not wait for the end of the lease."""
    upload = five(world)
    world.remote.connect_errors.append(error)
    with suppress(ValueError):
        world.submitter().take(upload, plenty)
    now = world.clock()
    assert world.ledger.lease(upload.import_id, now, now + 300)


def test_a_call_that_is_taken_is_of_the_one_workspace(world: World) -> None:
    """Every call is counted against the budget of the API key that makes it."""
    world.submitter().take(five(world), plenty)
    taken = [about for name, about in world.journal.entries if name == "take call"]
    assert taken == [WORKSPACE] * 3
