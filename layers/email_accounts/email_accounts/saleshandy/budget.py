"""The budget of one API key: what was called in the last minute, and whose turn is next.

Pure values: the ledger keeps them and changes them atomically. That no minute holds more calls
than allowed rests on `made` alone, which is written before each call. `turns` only spreads those
who have to wait, first come, first served, so that they come back when there is room and not all
at once.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

_COUNTED = 66
"""Calls are counted by whole seconds. Any minute lies within 61 of those; five more are for calls
that reach Saleshandy later than others."""
_GATHERING = 45
"""Seconds a turn is put off at most so that several calls fit into it."""
_PATIENCE = 60.0
"""Seconds after which an unused reservation expires."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """So many calls promised to an import from a time on, in seconds since the epoch."""

    holder: str
    at: float
    calls: int


@dataclass(frozen=True, slots=True)
class Budget:
    """Calls made, as (second, calls); turns promised; and until when Saleshandy is closed."""

    made: tuple[tuple[int, int], ...] = ()
    turns: tuple[Reservation, ...] = ()
    closed_until: float = 0.0

    def take(
        self, holder: str, wanted: int, now: float, calls_per_minute: int
    ) -> tuple["Budget", float]:
        """Take one call, or a turn for up to `wanted` calls where there is no room.

        Returns the budget afterwards and the seconds to wait: 0 when the call may be made now.
        """
        budget = self._as_of(now)
        mine = next((turn for turn in budget.turns if turn.holder == holder), None)
        if mine and mine.at > now:
            return budget, mine.at - now
        closed = now < budget.closed_until
        if mine:
            budget = replace(budget, turns=tuple(t for t in budget.turns if t is not mine))
            spent = sum(calls for _, calls in budget.made)
            if not closed and spent < calls_per_minute:
                left = [replace(mine, at=now, calls=mine.calls - 1)] if mine.calls > 1 else []
                return replace(budget.called(now), turns=(*left, *budget.turns)), 0.0
            # Those before it were late. It keeps its place instead of going behind all others.
            at = max(budget.closed_until, budget.room_at(now, calls_per_minute))
            return replace(budget, turns=(replace(mine, at=at), *budget.turns)), at - now
        turn = budget.next_turn(holder, wanted, now, calls_per_minute)
        if turn.at <= now:
            return budget.called(now), 0.0
        return replace(budget, turns=(*budget.turns, turn)), turn.at - now

    def closed(self, now: float, until: float) -> "Budget":
        """Make no call before a time; all turns move with it and keep their order."""
        later = until - max(now, self.closed_until)
        if later <= 0:
            return self
        moved = tuple(replace(turn, at=turn.at + later) for turn in self.turns)
        return replace(self, turns=moved, closed_until=until)

    def dumped(self) -> str:
        """Return the budget as JSON."""
        turns = [(turn.holder, turn.at, turn.calls) for turn in self.turns]
        return json.dumps({"made": self.made, "turns": turns, "closed_until": self.closed_until})

    @classmethod
    def loaded(cls, text: str) -> "Budget":
        """Read a budget from JSON."""
        document = json.loads(text)
        return cls(
            made=tuple((second, calls) for second, calls in document["made"]),
            turns=tuple(Reservation(*turn) for turn in document["turns"]),
            closed_until=document["closed_until"],
        )

    def _as_of(self, now: float) -> "Budget":
        """Forget calls that no longer count and unused reservations."""
        return replace(
            self,
            made=tuple(call for call in self.made if call[0] > int(now) - _COUNTED),
            turns=tuple(turn for turn in self.turns if turn.at + _PATIENCE > now),
        )

    def called(self, now: float) -> "Budget":
        """Count a call."""
        made = dict(self.made)
        made[int(now)] = made.get(int(now), 0) + 1
        return replace(self, made=tuple(made.items()))

    def room_at(self, now: float, calls_per_minute: int) -> float:
        """Return the first time at which the calls made leave room for another."""
        spent, at = sum(calls for _, calls in self.made), now
        for second, calls in sorted(self.made):
            if spent < calls_per_minute:
                break
            spent, at = spent - calls, float(second + _COUNTED)
        return max(at, now)

    def next_turn(self, holder: str, wanted: int, now: float, calls_per_minute: int) -> Reservation:
        """Find the first time with room; a little later one where more of the calls fit."""
        booked = Counter(dict(self.made))
        for turn in self.turns:
            booked[int(max(turn.at, now))] += turn.calls

        def fitting(at: float) -> int:
            return min(wanted, calls_per_minute - _most_in_a_minute(booked, int(at)))

        earliest = max(now, self.closed_until)
        ends = (float(second + _COUNTED) for second in booked)
        times = [earliest, *sorted(end for end in ends if end > earliest)]
        first = next(at for at in times if fitting(at) > 0)
        if first > now:
            gathered = (at for at in times if first <= at <= first + _GATHERING)
            first = max(gathered, key=lambda at: (fitting(at), -at))
        return Reservation(holder, first, fitting(first))


def _most_in_a_minute(booked: Mapping[int, int], second: int) -> int:
    """Return the most calls booked in any minute that a call in this second would fall into."""
    near = {at: booked[at] for at in booked if abs(at - second) < _COUNTED}
    ends = {second, *(at for at in near if at > second)}
    return max(
        sum(calls for at, calls in near.items() if end - _COUNTED < at <= end) for end in ends
    )
