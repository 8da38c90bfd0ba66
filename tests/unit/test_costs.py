"""What waiting costs, worked out with the real policy, and the page that reports it."""

import math

import pytest

from email_accounts.models.imports import BatchState
from tools.docs.costs import (
    DAY,
    HOUR,
    MOST_EVENTS,
    MOST_EVENTS_OF_A_DAY,
    MOST_TRANSITIONS,
    PAGE,
    course,
    evenly,
    fixed,
    lateness,
    price,
    renewed,
    share,
)


def test_the_page_is_worked_out_anew() -> None:
    """`make docs` would change nothing."""
    page = PAGE.read_text(encoding="utf-8")
    assert renewed(page) == page


@pytest.mark.parametrize(
    ("seconds", "polls", "transitions"), [(120, 4, 16), (1200, 40, 124), (7200, 240, 724)]
)
def test_the_fixed_loop(seconds: float, polls: int, transitions: int) -> None:
    """It enters three states for each poll, and four more."""
    assert fixed(seconds) == (polls, transitions)


def test_a_course_counts_what_the_machine_does() -> None:
    """A poll enters three states and leaves nine events; the rest is the way there and the end."""
    done = course(evenly(3, 1200))
    polls = len(done.polls)
    assert (done.transitions, done.events) == (3 * polls + 4, 9 * polls + 13)
    assert done.settled == {BatchState.COMPLETED: 3}
    assert done.effects["connect"] == 3
    # The last poll verifies what the one before it noticed.
    assert max(done.noticed) == done.polls[-2] >= 1200


def test_a_job_of_two_hours_takes_few_transitions() -> None:
    """At most 0.15 of the fixed loop's where the budget spreads the first polls."""
    assert share(10, 2 * HOUR) <= MOST_TRANSITIONS


def test_calls_that_take_a_second_add_few_looks() -> None:
    """Batches that are sent one after the other are due one after the other for a while."""
    at_once = course(evenly(10, 2 * HOUR)).transitions
    slow = course(evenly(10, 2 * HOUR), call=1.0).transitions
    assert at_once < slow
    assert round(slow / fixed(2 * HOUR)[1], 2) <= MOST_TRANSITIONS


def test_a_request_that_is_done_is_noticed_soon() -> None:
    """At most a sixth of its duration later, or 15 seconds, with one batch as with ten."""
    for batches in (1, 10):
        pairs = lateness(batches)
        assert not any(math.isnan(late) for _, late in pairs)
        assert all(late <= max(15.0, end / 6 + 0.5) for end, late in pairs)


@pytest.mark.parametrize("batches", [1, 3, 10])
def test_an_answer_follows_soon(batches: int) -> None:
    """At most a fifth of the time that Saleshandy took later, or 45 seconds, verified."""
    for seconds in (60.0, 300.0, 1800.0, *(float(end) for end in range(180, 460, 4))):
        late = course((seconds,) * batches, calls_per_minute=120).polls[-1] - seconds
        assert late <= max(45.0, 0.2 * seconds)


def test_a_day_of_waiting_leaves_few_events() -> None:
    """A tenth of what an execution may have; with a crowded budget it is not near the end yet."""
    assert course(evenly(25, DAY - 2 * HOUR), deadline=DAY).events <= MOST_EVENTS_OF_A_DAY
    assert course(evenly(100, DAY - 2 * HOUR), deadline=DAY).events <= MOST_EVENTS / 2


def test_more_batches_cost_more() -> None:
    """But not much: the most is under two cents for ten thousand accounts."""
    few, many = (sum(price(batches, 1200).values()) for batches in (1, 100))
    assert few < many < 0.02
