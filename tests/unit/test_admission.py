"""Whether an import can end before its deadline under the API budget."""

import json
from dataclasses import replace

import pytest

from email_accounts.models.imports import (
    LONGEST_DEADLINE,
    Batch,
    BatchRange,
    BatchState,
    Import,
    ImportState,
)
from email_accounts.models.messages import IMPORT_ESTIMATED
from email_accounts.models.upload import Upload
from email_accounts.submission.admission import estimate, expected_end, refusal
from email_accounts.text.display import iso
from tests.support.fakes import INBOX, World
from tests.support.files import accounts_file

HOUR = 3600.0
NOW = 1_790_000_000.0


def submitted(world: World, upload: Upload) -> None:
    """Start an import and submit once."""
    world.submitter().start_import(upload)
    world.submitter().submit(upload.import_id, lambda: 900.0)


def test_a_file_that_fits_keeps_the_deadline(world: World) -> None:
    """Its end is expected when its calls are made."""
    policy = replace(world.policy, calls_per_minute=20, deadline=6 * HOUR)
    expected = estimate(10, NOW, NOW, policy)
    assert (expected.calls, expected.deadline) == (30, NOW + 6 * HOUR)
    waits = policy.initial_poll_delay + policy.settle
    assert expected.expected_end == pytest.approx(NOW + 99 + waits)


def test_a_long_import_gets_a_later_deadline(world: World) -> None:
    """One and a half times what it takes, those who wait already included."""
    policy = replace(world.policy, calls_per_minute=20, deadline=1 * HOUR)
    expected = estimate(1000, NOW, NOW + HOUR, policy)
    assert expected.expected_end > NOW + 3.75 * HOUR
    assert expected.deadline == pytest.approx(NOW + 1.5 * (expected.expected_end - NOW))


def test_no_queue_moves_a_deadline_beyond_a_day(world: World) -> None:
    """The execution ends an hour later; and the file is not refused for what others wait for."""
    policy = replace(world.policy, calls_per_minute=20, deadline=1 * HOUR)
    expected = estimate(1000, NOW, NOW + 30 * HOUR, policy)
    assert expected.deadline == NOW + LONGEST_DEADLINE


def test_a_file_that_takes_more_than_a_day_is_refused_with_the_numbers(world: World) -> None:
    """It says how large a file may be."""
    policy = replace(world.policy, calls_per_minute=20, batch_size=100)
    assert estimate(8727, NOW, NOW, policy).admitted
    expected = estimate(10_000, NOW, NOW, policy)
    assert not expected.admitted
    message = str(refusal(expected, policy))
    for number in ("10,000 batches", "30,000 API calls", "28 hours", "20 calls", "872,700"):
        assert number in message


def test_the_estimate_is_made_at_intake(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """It is in the ledger with the later deadline, and in the log."""
    world.policy = replace(world.policy, calls_per_minute=1, deadline=60.0, batch_size=1)
    upload = world.uploads.put("uploads/a.csv", accounts_file("a@x.example", "b@x.example"))
    submitted(world, upload)
    imported = world.ledger.get(upload.import_id)
    assert imported.expected_end >= imported.began_at + 2 * 3 * 66
    assert imported.deadline > imported.expected_end
    assert "2 batches, 6 calls, expected end" in caplog.text


@pytest.mark.parametrize(
    ("calls", "told"), [(1000, (True, False)), (3, (True, True)), (1, (False, False))]
)
def test_other_systems_learn_the_estimate(
    world: World, calls: int, told: tuple[bool, bool]
) -> None:
    """Once, before anything is called: whether it starts, and whether its deadline is moved."""
    world.policy = replace(world.policy, calls_per_minute=calls, deadline=HOUR, batch_size=1)
    rows = [f"a{number}@x.example" for number in range(500)]
    upload = world.uploads.put("uploads/a.csv", accounts_file(*rows, "wrong"))
    submitted(world, upload)
    (event,) = world.events.of(IMPORT_ESTIMATED)
    detail = json.loads(event.document)
    imported = world.ledger.get(upload.import_id)
    assert (detail["admitted"], detail["deadlineMoved"] and detail["admitted"]) == told
    assert [detail[name] for name in ("rows", "accounts", "batches", "calls")] == [
        501,
        500,
        500,
        1500,
    ]
    if detail["admitted"]:
        assert detail["expectedEnd"] == iso(imported.expected_end)
        assert detail["deadline"] == iso(imported.deadline)
        assert world.journal.names().index("put") < world.journal.names().index("take call")
    else:
        assert imported.state is ImportState.REFUSED
        assert "500 batches" in imported.refusal


def test_an_import_goes_on_where_no_event_can_be_put(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is announced is not what is done."""
    monkeypatch.setattr(type(world.events), "put", lambda *_: 1 / 0)
    upload = world.uploads.put("uploads/a.csv", accounts_file("a@x.example"))
    submitted(world, upload)
    (batch,) = world.ledger.batches(upload.import_id)
    assert batch.state is BatchState.SUBMITTED
    assert "the event cannot be put" in caplog.text


# Again, while it runs


def running(planned: int, sent: int, since: float = 0.0, **changed: object) -> float:
    """Return the seconds to the expected end of an import, at a call a second.

    It waits for 100 seconds more; its batches were sent in the seconds `since`.
    """
    known = Import(
        *("1", Upload(INBOX, "uploads/a.csv", "v1", 1), ImportState.PLANNED),
        *(NOW - HOUR, NOW - HOUR, NOW + 24 * HOUR, 0.0),
        expected_end=NOW - 9,
    )
    batches = [
        Batch(BatchRange(number, number, number, 1), state, sent_at=sent_at, next_poll_at=next_poll)
        for state, count, sent_at, next_poll in (
            (BatchState.SUBMITTED, sent, NOW - since, NOW + 5),
            (BatchState.PLANNED, planned, 0.0, 0.0),
        )
        for number in range(count)
    ]
    imported = replace(known, **changed)  # type: ignore[arg-type]
    return expected_end(imported, batches, NOW + 100, NOW, 66, tail=50) - NOW


def test_the_expected_end_moves_with_the_batches() -> None:
    """By the budget for those left, or as slowly as those before; then by the next poll."""
    assert running(10, 0) == 100 + 10 * 3 + 50
    assert running(5, 5) == 100 + 5 * 3 + 50
    assert running(5, 5, since=300) == 100 + 5 * 60 + 50
    assert running(0, 10, since=300) == 5


def test_the_expected_end_is_within_a_day() -> None:
    """Its deadline moves while it is sent, and no further; one that is stopped sends no more."""
    assert running(10, 0, deadline=NOW + 120) == 100 + 10 * 3 + 50
    assert running(10, 0, began_at=NOW + 120 - LONGEST_DEADLINE) == 120
    assert running(10, 0, began_at=NOW - 1 - LONGEST_DEADLINE) == 0
    assert running(5, 5, stopped="the API key was refused") == 5
    assert running(5, 5, expected_end=0.0) == -NOW
