"""Whether an import can end before its deadline under the API budget."""

from dataclasses import replace

import pytest

from email_accounts.errors import FileRefusedError
from email_accounts.models.imports import ImportState
from email_accounts.submission.admission import LONGEST_DEADLINE, estimate
from tests.support.fakes import World
from tests.support.files import accounts_file

HOUR = 3600.0
NOW = 1_790_000_000.0


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
    with pytest.raises(FileRefusedError) as refused:
        estimate(10_000, NOW, NOW, policy)
    message = str(refused.value)
    for number in ("10,000 batches", "30,000 API calls", "28 hours", "20 calls", "872,700"):
        assert number in message


def test_the_estimate_is_made_at_intake(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """It is in the ledger with the later deadline, and in the log."""
    world.policy = replace(world.policy, calls_per_minute=1, deadline=60.0, batch_size=1)
    upload = world.uploads.put("uploads/a.csv", accounts_file("a@x.example", "b@x.example"))
    world.submitter().start_import(upload)
    world.submitter().submit(upload.import_id, lambda: 900.0)
    imported = world.ledger.get(upload.import_id)
    assert imported.expected_end >= imported.began_at + 2 * 3 * 66
    assert imported.deadline > imported.expected_end
    assert "2 batches, 6 calls, expected end" in caplog.text


def test_a_file_that_cannot_end_is_refused_at_intake(world: World) -> None:
    """Nothing of it is sent."""
    world.policy = replace(world.policy, calls_per_minute=1, batch_size=1)
    rows = [f"a{number}@x.example" for number in range(500)]
    upload = world.uploads.put("uploads/a.csv", accounts_file(*rows))
    world.submitter().start_import(upload)
    world.submitter().submit(upload.import_id, lambda: 900.0)
    imported = world.ledger.get(upload.import_id)
    assert imported.state is ImportState.REFUSED
    assert "500 batches" in imported.refusal
