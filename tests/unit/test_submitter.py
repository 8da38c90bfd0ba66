"""Submitting, on fakes: what is sent, in which order, and what comes next."""

import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from email_accounts.errors import (
    ApiKeyMissingError,
    ApiKeyRefusedError,
    NotSentError,
    OutcomeUnknownError,
    RequestNotFoundError,
    RequestRefusedError,
    ThrottledError,
)
from email_accounts.models.account import Account
from email_accounts.models.imports import (
    OUTCOME_NAME,
    PAGE_NAME,
    SUMMARY_NAME,
    BatchState,
    ImportState,
    ReasonCode,
    SignInState,
)
from email_accounts.models.policy import SignInCheck
from email_accounts.models.service import AccountStatus
from email_accounts.models.steps import NextAction, TaskResult
from email_accounts.models.upload import Upload
from email_accounts.saleshandy.rate_limit import SAFE_MARGIN
from email_accounts.saleshandy.reconciliation import Observation, read_reconciliation
from email_accounts.text.secret import Secret
from tests.support.fakes import (
    INBOX,
    FakeExecutions,
    FakeRemote,
    Killed,
    World,
    crash,
    kill,
    plenty,
)
from tests.support.files import MARK, accounts_file, api_key, row
from tests.support.ledger import answer, change, send

ADDRESSES = tuple(f"a{number}@reach.example" for number in range(1, 6))
BATCHES = [ADDRESSES[:2], ADDRESSES[2:4], ADDRESSES[4:]]
FIVE = accounts_file(*ADDRESSES)
CHECK = TaskResult(NextAction.CHECK, 10.0)
DELIVER = TaskResult(NextAction.DELIVER)
KEY_REFUSED = ApiKeyRefusedError("Saleshandy refused the API key: Unauthorized (HTTP 401)")


def five(world: World) -> Upload:
    """Upload a file of five accounts, which is three batches."""
    return world.uploads.put("uploads/accounts.csv", accounts_file(*ADDRESSES))


# The way when all is well


def test_every_account_is_sent_once_in_batches(world: World) -> None:
    """Five accounts go out as two, two and one; each batch has its request id."""
    upload = five(world)
    assert world.receive(upload) == CHECK
    assert world.journal.about("connect") == BATCHES
    made = world.batches(upload)
    assert [batch.request_id for batch in made] == ["request-1", "request-2", "request-3"]
    assert {batch.state for batch in made} == {BatchState.SUBMITTED}
    assert {batch.next_poll_at for batch in made} == {
        world.clock() + world.policy.initial_poll_delay
    }


def test_the_order_of_effects(world: World) -> None:
    """Claim, execution, estimate, plan; then each request between its intent and its request id."""
    world.receive(five(world))
    per_batch = ["take call", "sending", "connect", "submitted"]
    assert world.journal.names() == [
        *("claim", "start", "lease", "put", "plan batches", "plan"),
        *(per_batch * 3),
        "release",
    ]
    assert world.journal.about("take call") == ["default"] * 3


def test_the_execution_begins_with_a_look(world: World) -> None:
    """The execution is named by the import, knows the file, and waits for the first poll.

    The deadline that the owner set runs from the claim.
    """
    upload = five(world)
    began = world.clock()
    world.receive(upload)
    assert world.executions.started == {upload.import_id: (upload.import_id, "accounts.csv", CHECK)}
    assert world.imported(upload).deadline == began + world.policy.deadline


def test_rejected_and_duplicate_rows_are_not_sent(world: World) -> None:
    """Only accounts are sent; a file without any sends nothing and is looked at anyway."""
    bad = row("bad@reach.example", smtpPort="0")
    upload = world.uploads.put("uploads/a.csv", accounts_file("a@x.example", bad, "A@x.example"))
    assert world.receive(upload) == CHECK
    assert world.journal.about("connect") == [("a@x.example",)]
    upload = world.uploads.put("uploads/b.csv", accounts_file(bad))
    assert world.receive(upload) == CHECK
    assert len(world.journal.about("connect")) == 1
    assert world.states(upload) == []


def test_columns_nobody_knows_are_remembered(world: World) -> None:
    """What was not used of a file is known when it is answered."""
    extra = row("a@x.example") | {"Notes": "x"}
    content = accounts_file(extra)
    upload = world.uploads.put("uploads/a.csv", content)
    world.receive(upload)
    assert world.imported(upload).unknown_columns == ("Notes",)


# Once


def test_five_deliveries_are_one_import(world: World) -> None:
    """An event delivered five times starts one execution and sends each batch once.

    A delivery after the message has no effect at all.
    """
    upload = five(world)
    for _ in range(5):
        world.receive(upload)
    assert world.journal.about("connect") == BATCHES
    assert world.journal.names().count("start") == 1
    assert world.journal.names().count("plan") == 1
    answer(world.ledger, upload.import_id)
    before = world.journal.names()
    world.clock.advance(99_999)
    assert world.receive(upload) is None
    assert world.journal.names() == before


def test_a_batch_that_was_being_sent_is_not_sent_again(world: World) -> None:
    """Anyone who takes over does not send what was being sent, but looks for it later."""
    upload = five(world)
    assert world.receive(upload, lambda: SAFE_MARGIN - 1) == TaskResult(NextAction.SUBMIT)
    send(world.ledger, upload.import_id, 2, world.clock())
    assert world.submit(upload) == CHECK
    assert world.journal.about("connect") == [BATCHES[0], BATCHES[2]]
    lost = world.batches(upload)[1]
    assert (lost.state, lost.next_poll_at) == (BatchState.UNCONFIRMED, world.clock() + 10)
    assert "may have received it" in lost.reason


def test_an_event_put_back_after_the_deadline_is_imported(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be started days ago, and never was read, is no file that cannot be read."""
    upload = world.uploads.put("uploads/a.csv", accounts_file(*ADDRESSES[:2]))
    with monkeypatch.context() as then:
        then.setattr(FakeExecutions, "start", crash)
        with pytest.raises(ZeroDivisionError):
            world.receive(upload)
    world.clock.advance(3 * 86_400)
    world.receive(upload)
    assert world.follow(upload) == DELIVER
    assert world.states(upload) == [BatchState.COMPLETED]
    assert world.imported(upload).deadline > world.clock()


def test_two_versions_of_a_file_are_two_imports(world: World) -> None:
    """The same name dropped again is a new import, each reading its own version."""
    first = world.uploads.put("uploads/a.csv", accounts_file("one@x.example"))
    second = world.uploads.put("uploads/a.csv", accounts_file("two@x.example"))
    for upload in (second, first):
        world.receive(upload)
    assert world.journal.about("connect") == [("two@x.example",), ("one@x.example",)]
    assert len(world.executions.started) == 2


def test_an_event_without_a_version_means_the_newest(world: World) -> None:
    """Where the event does not name a version, the inbox does; the import is that version's."""
    upload = five(world)
    world.receive(replace(upload, version=""))
    assert world.imported(upload).upload == upload
    assert world.journal.about("connect") == BATCHES


# Files that cannot be used


@pytest.mark.parametrize(
    ("key", "content", "said"),
    [
        ("uploads/a.csv", b"x" * 1_000_001, "1.0 MB, the limit is 1 MB"),
        ("other/a.csv", accounts_file("a@x.example"), "Upload it again as uploads/a.csv"),
        ("uploads/a.xlsx", b"PK\x03\x04...", "It is a damaged workbook"),
        ("uploads/a.csv", accounts_file(), "no rows"),
        ("uploads/a.json", b'[{"smtpEmailAddress": "a@x.example"}, {', "Item 2 of its JSON array"),
    ],
)
def test_a_file_that_cannot_be_used_sends_nothing(
    world: World, key: str, content: bytes, said: str
) -> None:
    """A refused file says why, sends nothing, and is answered at the first poll."""
    upload = world.uploads.put(key, content)
    assert world.receive(upload) == DELIVER
    imported = world.imported(upload)
    assert imported.state is ImportState.REFUSED
    assert said in imported.refusal
    assert world.journal.about("connect") == []
    assert world.executions.started == {upload.import_id: (upload.import_id, upload.name, CHECK)}
    assert world.poll(upload) == DELIVER


def test_a_file_too_large_is_not_opened(world: World) -> None:
    """The size in the event is enough to refuse a file."""
    upload = Upload(INBOX, "uploads/a.csv", "v1", 1_000_001)
    assert world.receive(upload) == DELIVER
    assert "limit" in world.imported(upload).refusal


@pytest.mark.parametrize("version", ["v1", ""])
def test_a_file_deleted_before_it_was_read_is_answered(world: World, version: str) -> None:
    """What is gone is refused with a fix, whether or not the event named its version."""
    upload = five(world)
    world.uploads.delete_version(upload)
    upload = replace(upload, version=version)
    assert world.receive(upload) == DELIVER
    assert "deleted or replaced" in world.imported(upload).refusal
    assert list(world.executions.started) == [upload.import_id]


def test_a_refused_file_delivered_again_changes_nothing(world: World) -> None:
    """The second delivery of a refused file finds everything done."""
    upload = world.uploads.put("uploads/a.csv", b"%PDF-1.7")
    for _ in range(2):
        world.receive(upload)
        world.clock.advance(300)
    assert world.journal.names().count("refuse") == 1
    assert world.journal.names().count("start") == 1


def test_a_refusal_quotes_no_password(world: World) -> None:
    """A file whose first line is an account is refused without a word of it."""
    content = accounts_file("a@x.example").split(b"\r\n")[1]
    upload = world.uploads.put("uploads/a.csv", content)
    world.receive(upload)
    assert MARK not in repr(world.imported(upload))


# What the service answers


@pytest.mark.parametrize("error", [KEY_REFUSED, ApiKeyMissingError("no API key is in x")])
def test_a_refused_key_stops_after_one_call(
    world: World, error: ApiKeyRefusedError | ApiKeyMissingError
) -> None:
    """The reason is remembered, the batch is known not to have arrived, no delivery sends more."""
    upload = five(world)
    world.saleshandy.connect_errors.append(error)
    assert world.receive(upload) == DELIVER
    assert world.imported(upload).stopped == str(error)
    assert world.states(upload) == [BatchState.PLANNED] * 3
    assert [world.receive(upload) for _ in range(4)] == [None] * 4
    assert world.submit(upload) == DELIVER
    assert len(world.journal.about("connect")) == 1


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (ThrottledError(42.5), 42.5),
        (ThrottledError(1), 10),  # a service that says 'in a second' each time is not asked so
        (NotSentError("Saleshandy cannot be reached"), 10),
    ],
    ids=["throttled", "throttled for a second", "not reached"],
)
def test_a_batch_that_was_not_taken_waits(
    world: World, error: ThrottledError | NotSentError, wait: float
) -> None:
    """The batch is planned again and the step waits; resumed, all are sent, none twice."""
    upload = five(world)
    world.saleshandy.connect_errors.append(error)
    assert world.receive(upload) == TaskResult(NextAction.SUBMIT, wait)
    assert world.states(upload) == [BatchState.PLANNED] * 3
    world.clock.advance(wait)
    assert world.submit(upload) == CHECK
    assert list(world.saleshandy.requests.values()) == BATCHES


def test_a_throttled_import_stops_all_of_its_workspace(world: World) -> None:
    """What the service says of its own limits holds for every import of the API key."""
    world.saleshandy.connect_errors.append(ThrottledError(42.5))
    world.receive(five(world))
    calls = len(world.journal.about("connect"))
    other = world.uploads.put("uploads/other.csv", accounts_file("b@x.example"))
    step = world.receive(other)
    assert step is not None
    assert (step.next, len(world.journal.about("connect"))) == (NextAction.SUBMIT, calls)
    assert step.wait_seconds >= 42.5


def test_a_service_that_allows_no_further_call_is_left_alone(world: World) -> None:
    """An answer that ends Saleshandy's own limit closes the budget before the next call."""
    world.saleshandy.closed = 33.0
    upload = five(world)
    assert world.receive(upload) == TaskResult(NextAction.CHECK, 33)
    assert world.journal.about("connect") == BATCHES[:1]
    assert world.states(upload)[0] is BatchState.SUBMITTED


@pytest.mark.parametrize(
    "error",
    [RequestRefusedError("3.smtpPort: no (HTTP 400)"), RequestNotFoundError("provider not found")],
)
def test_a_refused_request_ends_its_batch_alone(
    world: World, error: RequestRefusedError | RequestNotFoundError
) -> None:
    """It is not sent again, and the service's own words are kept; the other batches go out."""
    upload = five(world)
    world.saleshandy.connect_errors.extend([None, error])
    assert world.receive(upload) == CHECK
    assert world.journal.about("connect") == BATCHES
    first, refused, last = world.batches(upload)
    assert (refused.state, refused.reason) == (BatchState.REFUSED, str(error))
    assert {first.state, last.state} == {BatchState.SUBMITTED}


def test_an_unanswered_request_ends_the_submission(world: World) -> None:
    """It may have arrived: it is unconfirmed, and the service is left alone for a while.

    It is not sent again no matter who resumes the import; the others go out.
    """
    upload = five(world)
    world.saleshandy.connect_errors.append(
        OutcomeUnknownError("Saleshandy did not answer (ReadTimeout)")
    )
    assert world.receive(upload) == TaskResult(NextAction.CHECK, 10)
    assert world.journal.about("connect") == BATCHES[:1]
    lost = world.batches(upload)[0]
    assert (lost.state, lost.sent, lost.request_id) == (BatchState.UNCONFIRMED, 1, "")
    assert (lost.sent_at, lost.next_poll_at) == (world.clock(), world.clock() + 10)
    assert lost.reason == "Saleshandy did not answer (ReadTimeout)"
    for _ in range(2):
        assert world.submit(upload) == CHECK
    world.receive(upload)
    assert world.journal.about("connect") == BATCHES
    assert world.states(upload)[0] is BatchState.UNCONFIRMED


@pytest.mark.parametrize(
    ("error", "following"),
    [(NotSentError("x"), NextAction.SUBMIT), (OutcomeUnknownError("x"), NextAction.CHECK)],
)
def test_rests_grow_with_the_age_of_an_import(
    world: World, error: NotSentError | OutcomeUnknownError, following: NextAction
) -> None:
    """A service out of order for hours is tried ever more rarely: every 300th of the age."""
    upload = five(world)
    world.receive(upload, lambda: 0.0)
    world.clock.advance(6000)
    world.saleshandy.connect_errors.append(error)
    assert world.submit(upload) == TaskResult(following, 20)


def test_a_service_that_answers_nothing_is_not_sent_everything(world: World) -> None:
    """With ten batches unconfirmed no more are sent until some of them are known.

    The submitter of the tenth has died.
    """
    addresses = [f"m{number}@reach.example" for number in range(24)]
    upload = world.uploads.put("uploads/a.csv", accounts_file(*addresses))
    world.saleshandy.connect_errors.extend([OutcomeUnknownError("no answer")] * 9)
    world.receive(upload)
    for _ in range(8):
        world.submit(upload)
    send(world.ledger, upload.import_id, 10, world.clock())
    for _ in range(5):
        step = world.submit(upload)
    assert step == CHECK
    assert len(world.journal.about("connect")) == 9
    change(world.ledger, upload.import_id, 1, lambda one: one.reconciled(world.clock()))
    world.saleshandy.connect_errors.append(OutcomeUnknownError("no answer"))
    world.submit(upload)
    assert len(world.journal.about("connect")) == 10


# Budget, time, deadline


def test_a_spent_budget_waits_for_its_turn(world: World) -> None:
    """The step waits until the next call is free; no call is made and no intent written before."""
    world.policy = replace(world.policy, calls_per_minute=2)
    upload = five(world)
    world.clock.advance(5)
    assert world.receive(upload) == TaskResult(NextAction.CHECK, 66)
    assert world.journal.about("connect") == BATCHES[:2]
    assert world.states(upload)[2] is BatchState.PLANNED
    world.clock.advance(66)
    assert world.submit(upload) == CHECK
    assert world.journal.about("connect") == BATCHES


def test_a_spent_budget_submits_on_where_there_is_nothing_to_look_at(world: World) -> None:
    """Looking comes first only where something has been submitted that is due by then."""
    world.policy = replace(world.policy, calls_per_minute=1, initial_poll_delay=100.0)
    assert world.receive(five(world)) == TaskResult(NextAction.SUBMIT, 66)


@pytest.mark.parametrize(("calls", "others", "delay"), [(40, 0, 10), (40, 3, 30), (2, 3, 60)])
def test_a_request_is_polled_later_while_others_wait_for_calls(
    world: World, calls: int, others: int, delay: float
) -> None:
    """They have twenty calls first, but no more than a minute."""
    world.policy = replace(world.policy, batch_size=1, calls_per_minute=calls)
    addresses = [f"m{number}@reach.example" for number in range(calls + 1)]
    upload = world.drop(*addresses)
    for number in range(others):
        world.drop(*addresses, key=f"uploads/{number}.csv")
    world.clock.advance(66)
    world.submit(upload)
    assert world.batches(upload)[-1].next_poll_at == world.clock() + delay


def test_one_budget_for_all_imports(world: World) -> None:
    """What one import has spent is missing to the next."""
    world.policy = replace(world.policy, calls_per_minute=3)
    world.receive(five(world))
    other = world.uploads.put("uploads/other.csv", accounts_file("b@x.example"))
    assert world.receive(other) == TaskResult(NextAction.SUBMIT, 66)
    assert world.journal.about("connect") == BATCHES


def test_an_invocation_stops_before_its_time_is_up(world: World) -> None:
    """No request is begun that could be cut off; the rest is resumed at once."""
    upload = five(world)
    left = iter([300.0, 300.0, SAFE_MARGIN, SAFE_MARGIN - 0.1])
    assert world.receive(upload, lambda: next(left)) == TaskResult(NextAction.SUBMIT)
    assert world.journal.about("connect") == BATCHES[:2]
    assert world.submit(upload) == CHECK
    assert world.journal.about("connect") == BATCHES


def test_nothing_is_sent_after_the_deadline(world: World) -> None:
    """An import past its deadline goes to its answer."""
    upload = five(world)
    assert world.receive(upload, lambda: 0.0) == TaskResult(NextAction.SUBMIT)
    world.clock.advance(world.policy.deadline)
    assert world.submit(upload) == TaskResult(NextAction.CHECK)
    assert world.poll(upload) == DELIVER
    assert world.journal.about("connect") == []


def test_a_resumption_while_somebody_submits_looks_instead(world: World) -> None:
    """Two never submit one import at a time: the second continues looking."""
    upload = five(world)
    now = world.clock()
    world.ledger.claim(upload, now, now + 9999)
    assert world.ledger.lease(upload.import_id, now, now + 300)
    assert world.submit(upload) == CHECK
    assert world.journal.about("connect") == []


@pytest.mark.parametrize(
    "error", [None, KEY_REFUSED, ThrottledError(5), NotSentError("x"), ValueError("a fault")]
)
def test_whoever_stops_submitting_lets_go(world: World, error: Exception | None) -> None:
    """However a submission ends, the next submitter need not wait for the end of the lease."""
    upload = five(world)
    world.saleshandy.connect_errors.append(error)
    with suppress(ValueError):
        world.receive(upload)
    now = world.clock()
    assert world.ledger.lease(upload.import_id, now, now + 300)


def test_an_unknown_workspace_is_refused(world: World) -> None:
    """A file in a folder that is no workspace is refused with what to do about it."""
    upload = world.uploads.put("uploads/sales/a.csv", accounts_file("a@x.example"))
    assert world.receive(upload) == DELIVER
    imported = world.imported(upload)
    assert imported.reason_code is ReasonCode.WRONG_FOLDER
    assert "There is no workspace 'sales'." in imported.refusal
    assert imported.refusal.endswith("run email-accounts workspace add sales first.")
    assert world.journal.about("connect") == []


@pytest.mark.parametrize("folder", ["new + old", "März", "Sales", "-a", "s" * 64])
def test_a_folder_that_can_be_no_workspace_is_not_to_be_added(world: World, folder: str) -> None:
    """Where adding a workspace of this name would fail, the refusal proposes what does not."""
    upload = world.uploads.put(f"uploads/{folder}/a.csv", accounts_file("a@x.example"))
    assert world.receive(upload) == DELIVER
    refusal = world.imported(upload).refusal
    assert f"There is no workspace '{folder}'." in refusal
    assert "or directly to uploads/. The name of a workspace may have" in refusal
    assert "workspace add" not in refusal


def test_the_folder_of_the_default_workspace_is_one(world: World) -> None:
    """Directly under uploads/ or in the folder of its name is the same workspace."""
    upload = world.uploads.put("uploads/default/deeper/a.csv", accounts_file("a@x.example"))
    assert world.receive(upload) == CHECK
    assert world.journal.about("connect") == [("a@x.example",)]


# What is connected already


def skipping(world: World) -> None:
    """Leave out what is connected already."""
    world.policy = replace(world.policy, skip_connected=True)


def listings(world: World) -> list[int]:
    """Return the pages of the account list that were asked for."""
    return [query.page for query in world.journal.about("list")]


def observed(world: World, upload: Upload, number: int) -> dict[str, Observation]:
    """Return what is kept of what the list showed of a batch."""
    text = world.reports.texts[upload.import_id, f"listed/batch-{number:06d}.csv"]
    return read_reconciliation(io.StringIO(text, newline=""))


def test_what_is_connected_already_is_left_out(world: World) -> None:
    """The address is not sent, whatever its case; what was skipped is kept before the intent."""
    skipping(world)
    world.saleshandy.have("b@x.example")
    upload = world.uploads.put("uploads/a.csv", accounts_file("a@x.example", "B@x.example"))
    assert world.receive(upload) == CHECK
    assert world.journal.about("connect") == [("a@x.example",)]
    assert world.batches(upload)[0].reconciliation
    assert observed(world, upload, 1) == {
        "a@x.example": Observation(AccountStatus.ABSENT),
        "b@x.example": Observation(AccountStatus.ACTIVE, sent=False, seen_at=world.clock()),
    }
    names = world.journal.names()
    assert names.index("report", names.index("save index")) < names.index("sending")


def test_a_file_may_ask_for_everything_to_be_sent(world: World) -> None:
    """New passwords are sent if the file asks for it; the state before is kept."""
    skipping(world)
    world.saleshandy.have(*ADDRESSES)
    content = accounts_file(*ADDRESSES)
    upload = world.uploads.put("uploads/accounts.csv", content, metadata={"resend": "true"})
    world.receive(upload)
    assert world.journal.about("connect") == BATCHES
    assert observed(world, upload, 1)[ADDRESSES[0]].before is AccountStatus.ACTIVE


def test_what_was_seen_more_than_a_day_ago_is_sent(world: World) -> None:
    """Where nothing shows whether it is still active."""
    skipping(world)
    world.saleshandy.page_size = 1
    world.saleshandy.ignores = frozenset({"sort", "status", "search"})
    world.saleshandy.have(*ADDRESSES[:2], *(f"n{number}@x.example" for number in range(20)))
    expected: list[object] = []
    for name, seconds in (("a", 0.0), ("b", 80_000.0), ("c", 10_000.0)):
        world.clock.advance(seconds)
        upload = world.uploads.put(f"uploads/{name}.csv", accounts_file(*ADDRESSES[:2]))
        world.receive(upload)
        expected += [ADDRESSES[:2]] * (name == "c")
        assert world.journal.about("connect") == expected


@pytest.mark.parametrize("others", [0, 400])
def test_the_key_of_another_account_shows_another_list(
    world: World, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """What was connected with the key of the wrong team is sent with that of the right one."""
    skipping(world)
    world.saleshandy.have(*ADDRESSES[:2], *(f"n{at}@x.example" for at in range(others)))
    world.drop(*ADDRESSES[:2], key="uploads/a.csv")
    monkeypatch.setattr(FakeRemote, "key", lambda _: Secret(api_key("of the right team")))
    world.saleshandy.accounts.clear()
    world.drop(*ADDRESSES[:2], key="uploads/b.csv")
    assert world.journal.about("connect") == [ADDRESSES[:2]]


@pytest.mark.parametrize("days", [0.1, 3])
def test_what_was_deleted_meanwhile_is_new(world: World, days: float) -> None:
    """The list has just been read to its end, and does not show it any more."""
    skipping(world)
    world.saleshandy.have(*ADDRESSES[:2])
    world.drop(*ADDRESSES[:2], key="uploads/a.csv")
    world.clock.advance(days * 86_400)
    world.saleshandy.accounts.clear()
    upload = world.drop(*ADDRESSES[:2], key="uploads/b.csv")
    assert world.journal.about("connect") == [ADDRESSES[:2]]
    absent = dict.fromkeys(ADDRESSES[:2], Observation(AccountStatus.ABSENT))
    assert observed(world, upload, 1) == absent


def test_a_batch_that_is_connected_already_is_complete(world: World) -> None:
    """Where nothing is left of a batch nothing is sent, and nothing is waited for."""
    skipping(world)
    world.saleshandy.have(*ADDRESSES[:2])
    upload = five(world)
    world.receive(upload)
    assert world.journal.about("connect") == BATCHES[1:]
    first = world.batches(upload)[0]
    assert (first.state, first.sent, first.reconciliation) == (BatchState.COMPLETED, 0, True)
    assert observed(world, upload, 1) == dict.fromkeys(
        ADDRESSES[:2], Observation(AccountStatus.ACTIVE, sent=False, seen_at=world.clock())
    )


def test_what_does_not_work_is_sent_again(world: World) -> None:
    """An account that the service has saved but cannot use is what somebody wants to fix."""
    skipping(world)
    world.saleshandy.have(ADDRESSES[0], status=AccountStatus.INACTIVE)
    upload = five(world)
    world.receive(upload)
    assert world.journal.about("connect") == BATCHES
    assert observed(world, upload, 1) == {
        ADDRESSES[0]: Observation(AccountStatus.INACTIVE),
        ADDRESSES[1]: Observation(AccountStatus.ABSENT),
    }


def test_what_is_connected_is_sent_where_nothing_is_skipped(world: World) -> None:
    """What it was before is kept, so that its outcome can be told from a new connection."""
    world.policy = replace(world.policy, verify_connected=True)
    world.saleshandy.have(ADDRESSES[0])
    upload = five(world)
    world.receive(upload)
    assert world.journal.about("connect") == BATCHES
    assert observed(world, upload, 1)[ADDRESSES[0]] == Observation(
        AccountStatus.ACTIVE, seen_at=world.clock()
    )


@pytest.mark.parametrize("refused", [RequestRefusedError, RequestNotFoundError])
def test_a_list_that_is_refused_leaves_what_was_before_unknown(
    world: World, refused: type[RequestRefusedError]
) -> None:
    """An empty workspace may be told so, and there may be no list: everything is sent."""
    skipping(world)
    world.saleshandy.have(*ADDRESSES)
    world.saleshandy.list_errors.extend([refused("Email accounts not found")] * 2)
    upload = five(world)
    assert world.receive(upload) == CHECK
    assert world.journal.about("connect") == BATCHES
    assert not any(batch.reconciliation for batch in world.batches(upload))


def test_the_list_is_not_read_where_nothing_is_to_be_left_out(world: World) -> None:
    """Without the setting the list costs no call, and everything is sent."""
    world.saleshandy.have(*ADDRESSES)
    world.receive(five(world))
    assert listings(world) == []
    assert world.journal.about("connect") == BATCHES


def test_files_dropped_together_share_one_reading_of_the_list(world: World) -> None:
    """Up to half a minute after the list was read another import uses what was read."""
    skipping(world)
    world.saleshandy.have("old@x.example")
    for name, seconds in (("a", 0.0), ("b", 30.0)):
        world.clock.advance(seconds)
        upload = world.uploads.put(f"uploads/{name}.csv", accounts_file(f"{name}@x.example"))
        world.receive(upload)
    assert listings(world) == [1, 2]
    world.clock.advance(0.1)
    upload = world.drop("c@x.example", "a@x.example", key="uploads/c.csv")
    assert listings(world) == [1, 2, 1, 2]
    assert world.journal.about("connect")[-1] == ("c@x.example",)


def test_what_waited_in_the_queue_uses_a_list_read_after_it_was_dropped(world: World) -> None:
    """It is the time of the upload that counts, where the event tells it."""
    skipping(world)
    other = world.uploads.put("uploads/a.csv", accounts_file("a@x.example"))
    dropped_at = world.clock()
    world.receive(other)
    world.clock.advance(900)
    upload = replace(five(world), uploaded_at=dropped_at)
    world.receive(upload)
    assert listings(world) == [1]


def test_reading_the_list_is_within_the_budget(world: World) -> None:
    """A list of many pages is read on in the next turn, and nothing is sent before its end."""
    skipping(world)
    world.saleshandy.page_size = 1
    world.policy = replace(world.policy, calls_per_minute=2)
    world.saleshandy.have("b@x.example", "a@x.example", "c@x.example")
    upload = world.uploads.put("uploads/a.csv", accounts_file("a@x.example", "d@x.example"))
    assert world.receive(upload) == TaskResult(NextAction.SUBMIT, 66)
    assert world.journal.about("connect") == []
    world.clock.advance(66)
    assert world.submit(upload) == TaskResult(NextAction.SUBMIT, 66)
    world.clock.advance(66)
    assert world.submit(upload) == CHECK
    assert listings(world) == [1, 2, 3, 4]
    assert world.journal.about("connect") == [("d@x.example",)]


def test_a_list_that_does_not_come_is_asked_for_until_the_grace_is_over(world: World) -> None:
    """For a while it is asked for again; then everything is sent."""
    skipping(world)
    world.saleshandy.have(*ADDRESSES)
    upload = five(world)
    world.saleshandy.list_errors.extend([OutcomeUnknownError("HTTP 502")] * 2)
    assert world.receive(upload) == TaskResult(NextAction.SUBMIT, 10)
    assert world.journal.about("connect") == []
    world.clock.advance(601)
    assert world.submit(upload) == CHECK
    assert world.journal.about("connect") == BATCHES


def test_failures_of_the_list_count_from_the_last_success(world: World) -> None:
    """A second one, long after the first, has nothing sent that may be connected already."""
    skipping(world)
    error = OutcomeUnknownError("HTTP 502")
    world.saleshandy.list_errors.append(error)
    world.submit(world.drop(ADDRESSES[0]))
    world.clock.advance(700)
    world.saleshandy.list_errors.append(error)
    world.drop(ADDRESSES[1], key="uploads/b.csv")
    assert world.journal.about("connect") == [ADDRESSES[:1]]


def test_one_failed_call_of_the_list_has_nothing_sent(world: World) -> None:
    """It was asked for later than the grace period, because Saleshandy throttled until then."""
    skipping(world)
    world.saleshandy.have(*ADDRESSES)
    world.saleshandy.list_errors.extend([ThrottledError(700), OutcomeUnknownError("HTTP 502")])
    upload = five(world)
    step = world.receive(upload)
    while step and step.next is NextAction.SUBMIT:
        world.clock.advance(step.wait_seconds)
        step = world.submit(upload)
    assert world.journal.about("connect") == []
    assert world.states(upload) == [BatchState.COMPLETED] * 3


# What an attempt leaves undone


def test_the_execution_is_started_before_the_file_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the file does to its reader, the import has its driver.

    Nobody else begins before the platform has ended the one who holds the lease.
    """
    upload = five(world)
    monkeypatch.setattr(type(world.uploads), "open", kill)
    with pytest.raises(Killed):
        world.receive(upload)
    assert world.journal.names() == ["claim", "start", "lease"]
    assert world.imported(upload).lease_until > world.clock() + plenty()


def test_without_the_first_task_the_execution_does_the_same(world: World) -> None:
    """Where the triggered invocation only claims and starts, the first poll has it all done."""
    upload = five(world)
    assert world.submitter().start_import(upload)
    assert world.journal.about("connect") == []
    world.clock.advance(10)
    assert world.poll(upload) == TaskResult(NextAction.SUBMIT)
    assert world.submit(upload) == CHECK
    assert world.journal.about("connect") == BATCHES


ALL_BUT_ONE = "connected failed connected connected connected"


@pytest.mark.parametrize("first_task", [True, False], ids=["run", "left out"])
@pytest.mark.parametrize(
    ("content", "error", "outcomes"),
    [
        (FIVE, None, ALL_BUT_ONE),
        (FIVE, KEY_REFUSED, "not_sent not_sent not_sent not_sent not_sent"),
        (FIVE, ThrottledError(40), ALL_BUT_ONE),
        (FIVE, NotSentError("no"), ALL_BUT_ONE),
        (FIVE, OutcomeUnknownError("no answer"), ALL_BUT_ONE),
        (FIVE, RequestRefusedError("too young"), "failed failed connected connected connected"),
        (b"no accounts", None, ""),
    ],
    ids=["good", "key refused", "throttled", "not sent", "answer lost", "refused", "no accounts"],
)
def test_the_first_task_decides_no_outcome(
    world: World, content: bytes, error: Exception | None, outcomes: str, *, first_task: bool
) -> None:
    """Whatever happens to a file, the execution alone makes the same of it."""
    world.saleshandy.failing[ADDRESSES[1]] = "535"
    world.saleshandy.connect_errors.append(error)
    upload = world.uploads.put("uploads/a.csv", content)
    world.submitter().start_import(upload)
    if first_task:
        world.submit(upload)
    ((_, _, first),) = world.executions.started.values()
    world.clock.advance(first.wait_seconds)
    assert world.follow(upload) == DELIVER
    world.deliverer().deliver(upload.import_id)
    rows = world.outcome(upload) if outcomes else []
    assert [row["outcome"] for row in rows] == outcomes.split()
    assert len(world.notifications.messages) == 1


def test_redelivery_repeats_claim_and_start_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the first delivery died before the start, the second starts the execution."""
    upload = five(world)
    with monkeypatch.context() as patched:
        patched.setattr(type(world.executions), "start", crash)
        with pytest.raises(ZeroDivisionError):
            world.receive(upload)
    for _ in range(3):
        assert world.receive(upload) is None
    assert world.journal.names() == ["claim", "start"]


@pytest.mark.parametrize("planned", [False, True])
def test_the_third_attempt_ends_what_killed_two(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    planned: bool,  # noqa: FBT001  a pair of cases
) -> None:
    """A file that ends every process that reads it is not opened a third time."""
    upload = five(world)
    world.submitter().start_import(upload)
    if planned:
        world.submit(upload, lambda: 0.0)
    monkeypatch.setattr(type(world.uploads), "open", kill)
    for _ in range(2):
        with pytest.raises(Killed):
            world.submit(upload)
        assert world.submit(upload) == CHECK
        world.clock.advance(330)
    assert world.submit(upload) == DELIVER
    imported = world.imported(upload)
    if planned:
        assert (imported.stopped != "", imported.reason_code) == (
            True,
            ReasonCode.SUBMISSION_FAILED,
        )
    else:
        assert imported.state is ImportState.REFUSED
        assert imported.reason_code is ReasonCode.FILE_NOT_READ
        assert "Every attempt to read it failed" in imported.refusal
    assert world.journal.about("connect") == []


def test_a_sign_in_check_that_fails_is_skipped(world: World) -> None:
    """Its batches are sent untried as soon as the machine says so."""
    world.policy = replace(world.policy, sign_in_check=SignInCheck.STRICT)
    upload = five(world)
    assert world.receive(upload) == TaskResult(NextAction.SIGN_IN)
    assert world.journal.about("connect") == []
    assert world.submitter().submit(upload.import_id, plenty, skip_sign_in=True) == CHECK
    assert len(world.journal.about("connect")) == 3
    batches = world.ledger.batches(upload.import_id)
    assert {batch.sign_in for batch in batches} == {SignInState.SKIPPED}


def test_an_attempt_that_raises_is_not_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine counts those: a minute without S3 is no fault of the file."""
    upload = five(world)
    world.submitter().start_import(upload)
    with monkeypatch.context() as patched:
        patched.setattr(type(world.uploads), "open", crash)
        for _ in range(5):
            with pytest.raises(ZeroDivisionError):
                world.submit(upload)
    assert world.submit(upload) == CHECK
    assert world.imported(upload).attempts == 0


def test_kills_add_up_across_attempts_that_raise(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that raises in turn with killing ends as well."""
    upload = five(world)
    world.submitter().start_import(upload)
    for fault, error in ((kill, Killed), (crash, ZeroDivisionError), (kill, Killed)):
        monkeypatch.setattr(type(world.uploads), "open", fault)
        with pytest.raises(error):
            world.submit(upload)
        world.clock.advance(330)
    assert world.submit(upload) == DELIVER


def test_a_batch_keeps_its_request_id_before_anything_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the budget cannot be closed after the answer, the id is remembered."""
    world.saleshandy.closed = 20.0
    upload = five(world)
    monkeypatch.setattr(type(world.ledger), "close_budget", crash)
    with pytest.raises(ZeroDivisionError):
        world.receive(upload)
    assert world.batches(upload)[0].request_id == "request-1"


def test_no_wait_passes_the_deadline(world: World) -> None:
    """A throttle may say an hour; the answer comes at the deadline anyway."""
    world.policy = replace(world.policy, deadline=120.0)
    world.saleshandy.connect_errors.append(ThrottledError(3600.0))
    assert world.receive(five(world)) == TaskResult(NextAction.SUBMIT, 120.0)


def test_no_turn_of_a_long_queue_passes_the_deadline(world: World) -> None:
    """So many imports wait that the turn of the last one is hours away."""
    world.policy = replace(world.policy, calls_per_minute=1, deadline=3600.0)
    for number in range(300):
        world.ledger.take_call("default", f"other-{number}", 1, world.clock(), 1)
    upload = five(world)
    assert world.receive(upload) == TaskResult(NextAction.SUBMIT, 3600.0)
    world.clock.time = world.imported(upload).deadline
    assert world.submit(upload) == TaskResult(NextAction.CHECK)
    assert world.poll(upload) == DELIVER
    assert world.journal.about("connect") == []


@pytest.mark.parametrize("off", [20_000, 1e12, -16 * 86_400, -1e12])
def test_an_event_of_another_time_is_of_now(world: World, off: float) -> None:
    """The announcer's clock may be wrong: no list is scanned forever, and no old one is used."""
    skipping(world)
    upload = replace(five(world), uploaded_at=world.clock() + off)
    assert world.receive(upload) == CHECK
    assert world.imported(upload).dropped_at == world.clock()
    assert listings(world) == [1]


# Taking up again


def answered(world: World) -> Upload:
    """Bring an import to its answer with one batch submitted and two never sent."""
    upload = five(world)
    world.saleshandy.connect_errors.extend([None, KEY_REFUSED])
    world.receive(upload)
    world.deliverer().deliver(upload.import_id)
    return upload


def test_an_answered_import_is_taken_up_again(world: World) -> None:
    """It has a new execution and a new deadline; what was not sent is sent now."""
    upload = answered(world)
    world.clock.advance(99_999)
    assert world.submitter().restart(upload.import_id)
    imported = world.imported(upload)
    assert (imported.state, imported.stopped) == (ImportState.PLANNED, "")
    assert imported.deadline == world.clock() + world.policy.deadline
    name = f"{upload.import_id}-2"
    assert world.executions.started[name] == (
        upload.import_id,
        "accounts.csv",
        TaskResult(NextAction.CHECK),
    )
    assert world.submit(upload) == CHECK
    assert list(world.saleshandy.requests.values()) == BATCHES


def test_a_resumed_import_has_the_time_that_it_needs(world: World) -> None:
    """However short the deadline is that the owner set."""
    upload = answered(world)
    world.policy = replace(world.policy, deadline=1.0)
    assert world.submitter().restart(upload.import_id)
    needs = world.policy.initial_poll_delay + world.policy.settle
    assert world.imported(upload).deadline > world.clock() + needs


def test_a_resumption_that_was_killed_can_be_repeated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import is open again, but has no execution: the second attempt starts it."""
    upload = answered(world)
    with monkeypatch.context() as patched:
        patched.setattr(type(world.executions), "start", kill)
        with pytest.raises(Killed):
            world.submitter().restart(upload.import_id)
    assert not world.submitter().restart(upload.import_id)
    assert list(world.executions.started) == [upload.import_id, f"{upload.import_id}-2"]


def test_the_reports_of_an_answer_are_gone_before_more_is_sent(world: World) -> None:
    """Rows that they call not sent would be sent twice if anybody fixed and dropped them."""
    upload = answered(world)
    names = {OUTCOME_NAME, PAGE_NAME, SUMMARY_NAME}
    assert {name for _, name in world.reports.texts} >= names
    assert world.submitter().restart(upload.import_id)
    assert not {name for _, name in world.reports.texts} & names
    assert not world.submitter().restart(upload.import_id)
    world.deliverer().deliver(upload.import_id)
    assert {name for _, name in world.reports.texts} >= names


def test_a_refused_import_is_not_taken_up_again(world: World) -> None:
    """There is nothing to go on with: the file is to be dropped again. Its reports stay."""
    upload = world.uploads.put("uploads/a.csv", b"%PDF-1.7")
    world.receive(upload)
    world.deliverer().deliver(upload.import_id)
    reports = dict(world.reports.texts)
    assert reports
    assert not world.submitter().restart(upload.import_id)
    assert world.imported(upload).state is ImportState.NOTIFIED
    assert world.reports.texts == reports


def test_an_import_whose_file_is_gone_is_not_taken_up_again(world: World) -> None:
    """Its answer is the last that can be given, and stays."""
    upload = answered(world)
    world.uploads.delete_version(upload)
    reports = dict(world.reports.texts)
    assert not world.submitter().restart(upload.import_id)
    assert world.reports.texts == reports


def test_an_import_without_an_answer_is_not_taken_up_again(world: World) -> None:
    """It is under way, and once it is reopened it is so again; each has its own execution."""
    upload = five(world)
    world.receive(upload)
    assert not world.submitter().restart(upload.import_id)
    for _ in range(2):
        world.deliverer().deliver(upload.import_id)
        assert [world.submitter().restart(upload.import_id) for _ in range(2)] == [True, False]
    base = upload.import_id
    assert list(world.executions.started) == [base, f"{base}-2", f"{base}-3"]


# Stopping


def test_an_operator_stops_an_import(world: World) -> None:
    """Nothing more is sent, from the next batch on, and the next task leads to the report."""
    upload = five(world)
    submitter = world.submitter()
    submitter.start_import(upload)
    connect = FakeRemote.connect

    def stopped_meanwhile(remote: FakeRemote, accounts: Sequence[Account]) -> str:
        assert submitter.stop(upload.import_id)
        return connect(remote, accounts)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(FakeRemote, "connect", stopped_meanwhile)
        submitter.submit(upload.import_id, plenty)
    assert world.journal.about("connect") == BATCHES[:1]
    imported = world.imported(upload)
    assert imported.reason_code is ReasonCode.STOPPED_BY_OPERATOR
    assert submitter.submit(upload.import_id, plenty) == DELIVER
    assert world.journal.about("connect") == BATCHES[:1]


def test_only_a_running_import_is_stopped(world: World) -> None:
    """Not before it is planned, not twice, and not once its report is being written."""
    upload = five(world)
    submitter = world.submitter()
    submitter.start_import(upload)
    assert not submitter.stop(upload.import_id)
    submitter.submit(upload.import_id, plenty)
    assert submitter.stop(upload.import_id)
    assert not submitter.stop(upload.import_id)
    answer(world.ledger, upload.import_id)
    assert not submitter.stop(upload.import_id)
