"""The budget of one API key: who may call now, and who waits for how long."""

import json

import pytest

from email_accounts.saleshandy.budget import Budget, Reservation

NOW = 1_790_000_000.25
SECOND = int(NOW)
EMPTY = Budget()


def taken(budget: Budget, calls: int, at: float = NOW) -> Budget:
    """Take so many calls at once, each by an import that then wants no more."""
    for number in range(calls):
        budget, wait = budget.take(f"before {number}", 1, at, 1000)
        assert wait == 0
    return budget


# Room


def test_a_call_may_be_made_while_there_is_room() -> None:
    """Nobody waits below the calls of a minute, and no turn is kept."""
    budget = EMPTY
    for number in range(5):
        budget, wait = budget.take(f"import {number}", 9, NOW + number, 5)
        assert wait == 0
    assert budget.turns == ()
    assert sum(calls for *_, calls in budget.made) == 5


def test_a_full_minute_is_over_after_66_whole_seconds() -> None:
    """A minute is within 61 whole seconds; five more are for calls that arrive late."""
    budget = taken(EMPTY, 2)
    assert budget.take("one", 1, NOW, 2)[1] == SECOND + 66 - NOW
    assert budget.take("one", 1, SECOND + 65.99, 2)[1] == pytest.approx(0.01)
    assert budget.take("one", 1, SECOND + 66, 2)[1] == 0


def test_old_calls_are_forgotten() -> None:
    """The budget does not grow with the life of a workspace."""
    budget = EMPTY
    for minute in range(200):
        budget, _ = budget.take("one", 1, NOW + 7 * minute, 1000)
    assert len(budget.made) <= 66


def test_a_smaller_budget_counts_what_was_made_under_a_larger_one() -> None:
    """After the change nobody calls until enough of it is a minute old."""
    budget = EMPTY
    for second in range(5):
        budget = taken(budget, 1, SECOND + second)
    assert budget.take("one", 1, SECOND + 5.0, 2)[1] == 64


# Turns


def test_turns_come_in_the_order_of_asking() -> None:
    """Each who has to wait is told a time with room; the next one a later one."""
    budget = taken(EMPTY, 2)
    waits = []
    for name in ("a", "b", "c", "d", "e"):
        budget, wait = budget.take(name, 1, float(SECOND + 1), 2)
        waits.append(wait)
    assert waits == [65, 65, 131, 131, 197]


def test_asking_again_does_not_change_a_turn() -> None:
    """Who comes too early is told the rest of the wait, and the budget is as it was."""
    budget, _ = taken(EMPTY, 1).take("a", 3, float(SECOND), 1)
    again, wait = budget.take("a", 9, float(SECOND + 10), 1)
    assert (again.turns, wait) == (budget.turns, 56)


def test_a_turn_is_for_as_many_calls_as_fit() -> None:
    """The holder makes them one after the other, without a wait between them."""
    budget, wait = taken(EMPTY, 3).take("a", 9, float(SECOND), 3)
    assert budget.turns == (Reservation("a", SECOND + 66.0, 3, rank=float(SECOND)),)
    now = SECOND + wait
    for _ in range(3):
        budget, wait = budget.take("a", 9, now, 3)
        assert wait == 0
    assert budget.take("a", 9, now, 3)[1] == 66


def test_a_turn_is_put_off_so_that_more_calls_fit_into_it() -> None:
    """One turn of several calls is better than several of one; a wait grows by 45 s at most."""
    budget = EMPTY
    for second in (0, 20, 45, 46):
        budget = taken(budget, 1, float(SECOND + second))
    _, alone = budget.take("a", 1, float(SECOND + 50), 4)
    _, several = budget.take("a", 4, float(SECOND + 50), 4)
    assert alone == 16
    assert several == 16 + 45


def test_calls_of_a_turn_are_kept_for_its_holder() -> None:
    """Another import does not get what was promised, though the holder is late."""
    budget, wait = taken(EMPTY, 2).take("a", 2, float(SECOND), 2)
    now = SECOND + wait + 30
    budget, other = budget.take("b", 1, now, 2)
    assert other > 0
    budget, first = budget.take("a", 2, now, 2)
    assert (first, budget.take("a", 2, now, 2)[1]) == (0, 0)


def test_a_turn_that_nobody_uses_is_given_away() -> None:
    """After a minute it is nobody's: an import that has ended leaves no hole behind."""
    budget, wait = taken(EMPTY, 2).take("gone", 2, float(SECOND), 2)
    at = SECOND + wait
    assert budget.take("b", 1, at + 59, 2)[1] > 0
    given, other = budget.take("b", 1, at + 60, 2)
    assert other == 0
    assert given.turns == ()


def test_what_is_left_of_a_turn_is_given_away_as_well() -> None:
    """Who wanted nine calls and needed one does not keep the other eight forever."""
    budget, wait = taken(EMPTY, 2).take("a", 2, float(SECOND), 2)
    at = SECOND + wait
    budget, _ = budget.take("a", 2, at, 2)
    assert [turn.calls for turn in budget.turns] == [1]
    assert budget.take("b", 1, at + 61, 2)[1] == 0


def test_who_comes_to_a_turn_without_room_gets_another() -> None:
    """Where the calls of a minute were made fewer meanwhile, the turn is a later one."""
    budget, wait = taken(EMPTY, 3).take("a", 1, float(SECOND), 3)
    at = SECOND + wait
    budget = taken(budget, 1, at - 1)
    budget, later = budget.take("a", 1, at, 1)
    assert later == 65
    assert [turn.holder for turn in budget.turns] == ["a"]


# Closing


def test_a_closed_budget_gives_no_call() -> None:
    """Anyone who comes before the time waits for it, however much room there is."""
    budget = EMPTY.closed(NOW, NOW + 30)
    assert budget.take("a", 1, NOW + 10, 100)[1] == pytest.approx(20)
    assert budget.take("a", 1, NOW + 30, 100)[1] == 0


def test_closing_moves_all_turns() -> None:
    """They keep their order and their distances, so that nobody loses the place in the queue."""
    budget = taken(EMPTY, 1)
    for name in ("a", "b", "c"):
        budget, _ = budget.take(name, 1, float(SECOND), 1)
    closed = budget.closed(float(SECOND), SECOND + 100.0)
    assert [(turn.holder, turn.at - SECOND) for turn in closed.turns] == [
        ("a", 166),
        ("b", 232),
        ("c", 298),
    ]


def test_closing_again_moves_turns_by_the_difference_alone() -> None:
    """Two answers that say the same do not make everybody wait twice; a past one closes nothing."""
    budget, _ = taken(EMPTY, 1).take("a", 1, float(SECOND), 1)
    once = budget.closed(float(SECOND), SECOND + 100.0)
    assert once.closed(float(SECOND + 5), SECOND + 100.0) == once
    assert once.closed(float(SECOND + 5), SECOND + 40.0) == once
    assert once.closed(float(SECOND + 5), SECOND - 1.0) == once
    assert once.closed(float(SECOND + 5), SECOND + 130.0).turns[0].at == SECOND + 66 + 130


def test_a_turn_that_a_closing_took_is_replaced() -> None:
    """Who comes to a turn while the budget is closed is told when it is open."""
    budget, wait = taken(EMPTY, 1).take("a", 1, float(SECOND), 1)
    at = SECOND + wait
    budget = budget.closed(at - 1, at + 100)
    budget, later = budget.take("a", 1, at, 1)
    assert later >= 100
    assert budget.take("a", 1, at + later, 1)[1] == 0


# As JSON


def test_a_budget_of_an_earlier_version_keeps_its_calls() -> None:
    """A deployment forgets no call: the minute after it has no more than others."""
    earlier = {"made": [[int(NOW), 3]], "turns": [["x", NOW + 60, 2]], "closed_until": 7.5}
    budget = Budget.loaded(json.dumps(earlier))
    assert budget.closed_until == 7.5
    assert budget.turns == ()
    assert budget.take("a", 1, NOW + 1, 3)[1] > 0
    assert budget.take("a", 1, NOW + 1, 4)[1] == 0
