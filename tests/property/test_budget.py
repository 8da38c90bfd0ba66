"""No minute has more calls than allowed, no matter who comes when; and everybody gets a turn."""

import heapq
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_accounts.models.service import CallKind
from email_accounts.saleshandy.budget import CALL_RANK, Budget, Reservation

NOW = 1_790_000_000.0
HOLDERS = st.sampled_from("abcde")
PAUSES = st.sampled_from([0.0, 0.01, 0.99, 1.0, 7.3, 44.0, 59.99, 60.0, 61.0, 200.0]) | st.floats(
    0, 130
)
TAKES = st.tuples(st.just("take"), HOLDERS, st.integers(1, 12), PAUSES)
CLOSINGS = st.tuples(st.just("close"), HOLDERS, st.integers(1, 200), PAUSES)


def most_in_a_minute(calls: list[float]) -> int:
    """Return the most calls that lie within 60 seconds."""
    return max((sum(at <= one < at + 60 for one in calls) for at in calls), default=0)


Events = list[tuple[str, str, int, float]]


def after_all(events: Events, allowed: int) -> Iterator[tuple[Budget, float, float | None]]:
    """Yield the budget, the time and the wait after each taking; no wait after a closing."""
    budget, now = Budget(), NOW
    for kind, holder, number, pause in events:
        now += pause
        wait = None
        if kind == "close":
            budget = budget.closed(now, now + number)
        else:
            budget, wait = budget.take(holder, number, now, allowed)
        yield budget, now, wait


@given(st.lists(TAKES, min_size=5, max_size=60), st.integers(1, 6))
def test_no_minute_has_more_calls_than_allowed(takes: Events, allowed: int) -> None:
    """Whether takers come early, in their turn, late or never again."""
    waits = [(now, wait) for _, now, wait in after_all(takes, allowed)]
    assert all(wait is not None and wait >= 0 for _, wait in waits)
    assert most_in_a_minute([now for now, wait in waits if not wait]) <= allowed


@given(st.lists(TAKES | CLOSINGS, min_size=5, max_size=60), st.integers(1, 6))
def test_no_call_is_made_while_the_budget_is_closed(events: Events, allowed: int) -> None:
    """Neither by who has a turn nor by who finds room."""
    closed_until, calls = 0.0, list[float]()
    for (kind, _, number, _), (_, now, wait) in zip(
        events, after_all(events, allowed), strict=True
    ):
        if kind == "close":
            closed_until = max(closed_until, now + number)
        elif not wait:
            assert now >= closed_until
            calls.append(now)
    assert most_in_a_minute(calls) <= allowed


@given(st.lists(TAKES | CLOSINGS, max_size=40), st.integers(1, 6), st.integers(1, 12))
def test_who_waits_as_told_gets_a_call(events: Events, allowed: int, wanted: int) -> None:
    """Whatever went before: a taker who then is alone comes back a few times at most."""
    budget, now, _ = ([(Budget(), NOW, None), *after_all(events, allowed)])[-1]
    for _ in range(4):
        budget, wait = budget.take("the last", wanted, now, allowed)
        if not wait:
            return
        now += wait
    raise AssertionError(f"still told to wait for {wait} s")


@given(st.lists(TAKES | CLOSINGS, max_size=40), st.integers(1, 6))
def test_a_budget_reads_back_as_it_was_written(events: Events, allowed: int) -> None:
    """At every moment of its life; and nobody has two turns."""
    for budget, _, _ in after_all(events, allowed):
        assert Budget.loaded(budget.dumped()) == budget
        assert max(Counter(turn.holder for turn in budget.turns).values(), default=1) == 1


def crowd(
    holders: int, calls: int, allowed: int, lateness: list[float]
) -> tuple[dict[int, list[float]], int]:
    """Let so many imports at once make so many calls each; return their times and all takes.

    Each comes back when it was told, a little late, as a state machine does.
    """
    budget, takes = Budget(), 0
    made: dict[int, list[float]] = {holder: [] for holder in range(holders)}
    coming = [(NOW, holder) for holder in range(holders)]
    while coming:
        now, holder = heapq.heappop(coming)
        late = lateness[takes % len(lateness)]
        takes += 1
        left = calls - len(made[holder])
        rank = NOW + holder / 1000 + CALL_RANK * len(made[holder])
        budget, wait = budget.take(f"import {holder}", left, now, allowed, rank=rank)
        if not wait:
            made[holder].append(now)
        if left > 1 or wait:
            heapq.heappush(coming, (now + (wait + late if wait else 0.0), holder))
    return made, takes


LATENESS = st.lists(st.floats(0, 3), min_size=1, max_size=20)


@given(st.integers(2, 25), st.integers(1, 6), st.integers(1, 6), LATENESS)
def test_a_crowd_is_served_without_waste_and_without_haste(
    holders: int, calls: int, allowed: int, lateness: list[float]
) -> None:
    """All get their calls in little more than the time these take; few come in vain."""
    made, takes = crowd(holders, calls, allowed, lateness)
    times = sorted(at for one in made.values() for at in one)
    assert [len(one) for one in made.values()] == [calls] * holders
    assert most_in_a_minute(times) <= allowed
    minutes = -(-holders * calls // allowed)
    assert times[-1] - times[0] <= 2 * 66 * minutes
    assert takes <= 6 * holders * calls


@pytest.mark.parametrize("lateness", [[0.0], [0.2, 0.7, 1.3], [2.9, 0.1, 0.4, 0.4], [30.0, 0.5]])
def test_three_hundred_imports_are_served_in_turn(lateness: list[float]) -> None:
    """With twenty calls a minute each gets its ten of them in the order of asking.

    Nobody loses the place in the queue because the one before comes a little late.
    """
    made, takes = crowd(300, 10, 20, lateness)
    together = 300 * 10 / 20 * 61
    assert max(one[-1] for one in made.values()) - NOW < 1.3 * together
    begins = [made[holder][0] for holder in range(300)]
    assert min(after - before for before, after in pairwise(begins)) > -122
    assert max(one[-1] - one[0] for one in made.values()) < 300
    assert takes < 2 * 300 * 10


def test_ten_thousand_imports_fit_into_a_small_item() -> None:
    """Those without a reservation have an estimate that spreads them, in the order of asking."""
    budget, times = Budget(), list[float]()
    for number in range(10_000):
        now = NOW + number / 100
        budget, wait = budget.take(f"{number:032x}", 1, now, 20)
        times.append(now + wait)
    assert len(budget.dumped()) < 10_000
    queued = times[200:]
    assert queued == sorted(queued)
    assert max(Counter(at // 60 for at in queued).values()) <= 20


@pytest.mark.parametrize(("kind", "share"), [(CallKind.LOOKUP, 5), (CallKind.POLL, 15)])
def test_a_share_ends_where_a_batch_waits(kind: CallKind, share: int) -> None:
    """The next call comes when the first is a minute old; with no batch waiting it comes now."""
    budget = Budget()
    for _ in range(share):
        budget, _ = budget.take("one", 1, NOW, 20, kind=kind)
    waiting = Budget(budget.made, (Reservation("batch", NOW + 9, 1, CallKind.BATCH, NOW),))
    assert waiting.take("one", 1, NOW, 20, kind=kind)[1] == pytest.approx(66)
    assert budget.take("one", 1, NOW, 20, kind=kind)[1] == 0


def test_lookups_are_not_held_back_by_batches_of_a_later_rank() -> None:
    """A small import reads the list at once, though a large one has many batches left."""
    budget = Budget(turns=(Reservation("large", NOW + 9, 10, CallKind.BATCH, NOW + 400),))
    for _ in range(10):
        budget, wait = budget.take("small", 1, NOW, 20, kind=CallKind.LOOKUP, rank=NOW)
        assert wait == 0


@pytest.mark.parametrize("kind", [CallKind.POLL, CallKind.LOOKUP])
def test_a_batch_leaves_its_call_to_polls_and_lookups_that_come_any_moment(kind: CallKind) -> None:
    """For a few seconds: then their turn is no longer waited for."""
    turns = (
        Reservation("batch", NOW, 1, CallKind.BATCH, NOW),
        Reservation("due", NOW, 2, kind, NOW),
    )
    assert Budget(turns=turns).take("batch", 1, NOW + 1, 2, rank=NOW)[1] > 0
    assert Budget(turns=turns).take("batch", 1, NOW + 3, 2, rank=NOW)[1] == 0


def test_an_import_far_behind_the_others_reserves_one_call() -> None:
    """A turn of ten would put back those who come meanwhile."""
    budget = Budget()
    for number in range(20):
        budget, _ = budget.take(f"before {number}", 1, NOW, 20)
    budget, _ = budget.take("small", 1, NOW, 20, rank=NOW)
    budget, _ = budget.take("large", 90, NOW, 20, rank=NOW + 400)
    assert [turn.calls for turn in budget.turns if turn.holder == "large"] == [1]


@pytest.mark.parametrize("kind", [CallKind.POLL, CallKind.LOOKUP])
@pytest.mark.parametrize("waiting", [40, 200])
def test_polls_and_lookups_go_before_batches_that_wait(kind: CallKind, waiting: int) -> None:
    """They take the first call that is free, no matter who asked before, or how many wait."""
    budget = Budget()
    for number in range(20 + waiting):
        budget, _ = budget.take(f"batch {number}", 1, NOW, 20)
    after, first = budget.take("due", 10, NOW + 1, 20, kind=kind)
    _, last = budget.take("another batch", 1, NOW + 1, 20)
    assert first == 65
    assert last >= 197
    (turn,) = (one for one in after.turns if one.holder == "due")
    assert turn.calls == {CallKind.POLL: 10, CallKind.LOOKUP: 5}[kind]


def test_a_small_file_goes_before_the_hundredth_batch_of_a_large_one() -> None:
    """By rank, although the large one asked first."""
    budget = Budget()
    for _ in range(20):
        budget, _ = budget.take("large", 900, NOW, 20)
    budget, _ = budget.take("large", 900, NOW, 20, rank=NOW + 100 * CALL_RANK)
    budget, wait = budget.take("small", 1, NOW + 30, 20, rank=NOW + 30)
    assert wait == 36
    assert budget.take("small", 1, NOW + 66, 20, rank=NOW + 30)[1] == 0
