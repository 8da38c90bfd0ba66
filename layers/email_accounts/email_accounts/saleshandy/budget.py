"""The budget of one API key: what was called in the last minute, and whose turn is next.

Pure values: the ledger stores them and changes them atomically. `made` alone guarantees that no
minute has more calls than allowed; it is written before each call. Reservations only say
when to come back. There are a few of them; all others get an estimate, so the item
stays small.

Who goes first:
  1. Lookups, then polls by when they are due, but not before the rank of their batch. While batches
     wait, polls have at most three quarters of the calls and lookups a quarter, so that what was
     sent is answered while others are being sent. Batches of a later rank than that of a lookup do
     not count: who reads the list to be sent is not held back by those who come after.
  2. Batches, by rank: when the import began, plus `CALL_RANK` seconds for each of its batches sent
     before. A rank never changes and newcomers have later ones, so everybody's turn comes. Who is
     more than a batch behind others reserves one call at a time.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from email_accounts.models.service import CallKind

CALL_RANK = 20.0
"""Seconds by which each batch sent puts the next one of its import back."""

COUNTED_SECONDS = 66
"""Calls are counted by whole seconds. Any minute is within 61 of those; five more are for calls
that reach the service later than others."""
_COALESCING_DELAY = 45
"""Seconds a turn is put off at most so that several calls fit into it."""
_RESERVATION_TTL = 60.0
"""Seconds after which a turn that nobody uses is given away."""
_LATENESS = 3.0
"""Seconds by which a state machine comes late to its turn."""
_MOST_TURNS = 64
"""Reservations at once. A reservation is at most 100 bytes, a second's calls at most 40."""


_ORDER = (CallKind.LOOKUP, CallKind.POLL, CallKind.BATCH)
_SHARES = {CallKind.POLL: 3 / 4, CallKind.BATCH: 1.0, CallKind.LOOKUP: 1 / 4}
"""What part of the calls of a minute each kind may have while batches wait."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """So many calls promised to an import from a time on, in seconds since the epoch.

    The lower of two ranks goes first, where both are batches or neither is.
    """

    holder: str
    at: float
    calls: int
    kind: CallKind = CallKind.BATCH
    rank: float = 0.0

    @property
    def order(self) -> tuple[int, float]:
        """The place among all who wait."""
        return _ORDER.index(self.kind), self.rank


@dataclass(frozen=True, slots=True)
class Budget:
    """Calls made, as (second, kind, calls); reservations; and until when the service is closed.

    `queue_until` is the end of the queue of those who have an estimate, and no reservation.
    """

    made: tuple[tuple[int, CallKind, int], ...] = ()
    turns: tuple[Reservation, ...] = ()
    closed_until: float = 0.0
    queue_until: float = 0.0

    def take(  # noqa: PLR0913  who, what and how much
        self,
        holder: str,
        wanted: int,
        now: float,
        calls_per_minute: int,
        *,
        kind: CallKind = CallKind.BATCH,
        rank: float | None = None,
    ) -> tuple["Budget", float]:
        """Take one call, or a turn for up to `wanted` calls where there is no room.

        The rank is `now` if not given. Returns the budget afterwards and the seconds to wait: 0
        when the call may be made now.
        """
        budget = self._as_of(now)
        asked = Reservation(holder, now, wanted, kind, now if rank is None else rank)
        mine = next((turn for turn in budget.turns if turn.holder == holder), None)
        if mine and mine.at > now and mine.order <= asked.order:
            return budget, mine.at - now
        budget = replace(budget, turns=tuple(t for t in budget.turns if t is not mine))
        room = calls_per_minute - sum(calls for *_, calls in budget.made)
        is_open = now >= budget.closed_until and room > budget.owed(asked, now)
        if mine and mine.at <= now and is_open and budget.share_left(asked, now, calls_per_minute):
            left = [replace(mine, at=now, calls=mine.calls - 1)] if mine.calls > 1 else []
            return replace(budget.called(now, kind), turns=(*left, *budget.turns)), 0.0
        if mine and rank is None:
            asked = replace(asked, rank=mine.rank)
        last = max(budget.turns, key=lambda turn: turn.order, default=asked)
        is_full = len(budget.turns) >= _MOST_TURNS
        if is_full and last.order <= asked.order:
            return budget.queued(asked, now, calls_per_minute)
        turn = budget.next_turn(asked, now, calls_per_minute)
        if turn.at <= now:
            return budget.called(now, kind), 0.0
        others = tuple(one for one in budget.turns if not (is_full and one is last))
        return replace(budget, turns=(*others, turn)), turn.at - now

    def closed(self, now: float, until: float) -> "Budget":
        """Make no call before a time; all turns move with it and keep their order."""
        later = until - max(now, self.closed_until)
        if later <= 0:
            return self
        moved = tuple(replace(turn, at=turn.at + later) for turn in self.turns)
        queue_until = self.queue_until + later if self.queue_until > now else 0.0
        return replace(self, turns=moved, closed_until=until, queue_until=queue_until)

    def dumped(self) -> str:
        """Return the budget as JSON."""
        turns = [(turn.holder, turn.at, turn.calls, turn.kind, turn.rank) for turn in self.turns]
        return json.dumps(
            {
                "made": self.made,
                "turns": turns,
                "closed_until": self.closed_until,
                "queue_until": self.queue_until,
            }
        )

    @classmethod
    def loaded(cls, text: str) -> "Budget":
        """Read a budget from JSON.

        Of one that an earlier version wrote, the calls count; those who wait ask again.
        """
        document = json.loads(text)
        if "queue_until" not in document:
            made = tuple((second, CallKind.BATCH, calls) for second, calls in document["made"])
            return cls(made, closed_until=document["closed_until"])
        return cls(
            made=tuple((second, CallKind(kind), calls) for second, kind, calls in document["made"]),
            turns=tuple(
                Reservation(holder, at, calls, CallKind(kind), rank)
                for holder, at, calls, kind, rank in document["turns"]
            ),
            closed_until=document["closed_until"],
            queue_until=document["queue_until"],
        )

    def called(self, now: float, kind: CallKind) -> "Budget":
        """Count a call."""
        made = {(second, one): calls for second, one, calls in self.made}
        made[int(now), kind] = made.get((int(now), kind), 0) + 1
        return replace(self, made=tuple((*key, calls) for key, calls in made.items()))

    def waiting_until(self, now: float) -> float:
        """Return when all current reservations will have been served."""
        return max(now, self.closed_until, self.queue_until, *(turn.at for turn in self.turns))

    def owed(self, asked: Reservation, now: float) -> int:
        """Return how many calls are left to polls and lookups that will come any moment."""
        return sum(
            turn.calls
            for turn in self.turns
            if turn.kind is not CallKind.BATCH
            and turn.order < asked.order
            and now - _LATENESS < turn.at <= now
        )

    def share_left(self, asked: Reservation, at: float, calls_per_minute: int) -> int:
        """Return how many calls of a kind at a time are within its share."""
        is_lookup = asked.kind is CallKind.LOOKUP
        waiting = (turn.rank for turn in self.turns if turn.kind is CallKind.BATCH)
        ahead = any(not is_lookup or rank <= asked.rank for rank in waiting)
        if not ahead and self.queue_until <= at:
            return calls_per_minute
        share = max(1, int(calls_per_minute * _SHARES[asked.kind]))
        counted_from = int(at) - COUNTED_SECONDS
        made = ((second, calls) for second, kind, calls in self.made if kind is asked.kind)
        return max(0, share - sum(calls for second, calls in made if second > counted_from))

    def next_turn(self, asked: Reservation, now: float, calls_per_minute: int) -> Reservation:
        """Find the first time with room; a little later one where more of the calls fit.

        Room that is promised to those who come after it in order counts as free.
        """
        booked: Counter[int] = Counter()
        for second, _, calls in self.made:
            booked[second] += calls
        ahead = [turn for turn in self.turns if turn.order <= asked.order]
        for turn in ahead:
            booked[int(max(turn.at, now))] += turn.calls
        most = asked.calls
        if self.turns:
            most = min(most, max(1, calls_per_minute // 2))
        if any(asked.kind is one.kind and one.rank + CALL_RANK < asked.rank for one in ahead):
            most = 1

        def fitting(at: float) -> int:
            share = self.share_left(asked, at, calls_per_minute)
            return min(most, share, calls_per_minute - _most_in_a_minute(booked, int(at)))

        earliest = max(now, self.closed_until)
        ends = (float(second + COUNTED_SECONDS) for second in booked)
        times = [earliest, *sorted(end for end in ends if end > earliest)]
        first = next(at for at in times if fitting(at) > 0)
        if first > now:
            within = (at for at in times if first <= at <= first + _COALESCING_DELAY)
            first = max(within, key=lambda at: (fitting(at), -at))
        return replace(asked, at=first, calls=fitting(first))

    def queued(
        self, asked: Reservation, now: float, calls_per_minute: int
    ) -> tuple["Budget", float]:
        """Return an estimate for a newcomer whom all reservations precede.

        Nothing is stored of it but the end of the queue. A queue moves on as long as it lasts, so
        an import that has waited for as long as it is now is at its head.
        """
        calls = min(asked.calls, max(1, calls_per_minute // 2)) + 1  # one more for a poll
        takes = calls * COUNTED_SECONDS / calls_per_minute
        reserved_until = max(turn.at for turn in self.turns) + takes
        tail = max(self.queue_until, reserved_until)
        at = min(asked.rank, now) + tail - now
        if at <= reserved_until:
            return self, reserved_until - now
        return replace(self, queue_until=tail + takes), at + takes - now

    def _as_of(self, now: float) -> "Budget":
        """Forget calls that no longer count and turns that nobody used."""
        return replace(
            self,
            made=tuple(call for call in self.made if call[0] > int(now) - COUNTED_SECONDS),
            turns=tuple(turn for turn in self.turns if turn.at + _RESERVATION_TTL > now),
        )


def _most_in_a_minute(booked: Mapping[int, int], second: int) -> int:
    """Return the most calls booked in any minute that a call in this second would fall into."""
    near = {at: booked[at] for at in booked if abs(at - second) < COUNTED_SECONDS}
    ends = {second, *(at for at in near if at > second)}
    return max(
        sum(calls for at, calls in near.items() if end - COUNTED_SECONDS < at <= end)
        for end in ends
    )
