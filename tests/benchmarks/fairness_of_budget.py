"""How a budget of 20 calls a minute is shared, by the real budget with a clock of its own.

    python -m tests.benchmarks.fairness_of_budget

Each import is a file of some batches. A batch takes a call and is polled as often as the real
tracker would poll it, until the service is done. Each comes back when it is told, a little late.
"""

import heapq
import statistics
import sys
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from itertools import count

from email_accounts.models.service import CallKind
from email_accounts.saleshandy.budget import CALL_RANK, Budget

CALLS_PER_MINUTE = 20
_FIRST_POLL = 30.0
_GROWTH = 1 / 6
_LATE = (0.2, 1.1, 2.4)


@dataclass(slots=True)
class File:
    """One import of so many batches, each of which the service works on for `takes` seconds."""

    name: str
    dropped_at: float
    batches: int
    takes: float = 60.0
    sent: int = 0
    running: list[tuple[float, float]] = field(default_factory=list)
    done_at: float = 0.0
    first_call_at: float = 0.0

    def asks(self, now: float) -> tuple[CallKind, float, int] | float:
        """Return the next call it asks for, or when it has one."""
        if self.running and self.running[0][0] <= now:
            due = sum(at <= now for at, _ in self.running)
            return CallKind.POLL, self.running[0][0], due
        if self.sent < self.batches:
            rank = self.dropped_at + CALL_RANK * self.sent
            return CallKind.BATCH, rank, self.batches - self.sent
        return self.running[0][0]

    def called(self, kind: CallKind, now: float) -> None:
        """Make the call."""
        self.first_call_at = self.first_call_at or now
        if kind is CallKind.BATCH:
            self.sent += 1
            heapq.heappush(self.running, (now + _FIRST_POLL, now))
            return
        _, sent_at = heapq.heappop(self.running)
        if now < sent_at + self.takes:
            wait = max(1.5 * _FIRST_POLL, _GROWTH * (now - sent_at))
            heapq.heappush(self.running, (now + wait, sent_at))
        elif not self.running and self.sent == self.batches:
            self.done_at = now


@dataclass(slots=True)
class Run:
    """What came of it."""

    calls: list[float] = field(default_factory=list)
    kinds: Counter[CallKind] = field(default_factory=Counter)
    takes: int = 0
    largest_item: int = 0

    @property
    def most_in_a_minute(self) -> int:
        """The most calls in any 60 seconds."""
        return max(bisect_left(self.calls, at + 60) - index for index, at in enumerate(self.calls))


def run(files: list[File], calls_per_minute: int = CALLS_PER_MINUTE) -> Run:
    """Let the files be imported by one budget."""
    budget, result, order = Budget(), Run(), count()
    coming = [(file.dropped_at, next(order), file) for file in files]
    heapq.heapify(coming)
    while coming:
        now, _, file = heapq.heappop(coming)
        asked = file.asks(now)
        if isinstance(asked, float):
            heapq.heappush(coming, (asked, next(order), file))
            continue
        kind, rank, wanted = asked
        result.takes += 1
        budget, wait = budget.take(file.name, wanted, now, calls_per_minute, kind=kind, rank=rank)
        if result.takes % 50 == 0:
            result.largest_item = max(result.largest_item, len(budget.dumped()))
        if wait:
            wait += _LATE[result.takes % len(_LATE)]
            if kind is CallKind.BATCH and file.running:
                wait = min(wait, max(file.running[0][0] - now, 0.1))
        else:
            result.calls.append(now)
            result.kinds[kind] += 1
            file.called(kind, now)
            wait = 0.3
        if not file.done_at:
            heapq.heappush(coming, (now + wait, next(order), file))
    return result


def small_behind_a_large_one() -> tuple[list[File], Run]:
    """300 files of 100 rows, one every 2 seconds, behind one of 100,000 rows."""
    large = File("0" * 32, 0.0, 1000)
    small = [File(f"{number:032x}", 60.0 + 2 * number, 1) for number in range(1, 301)]
    return [large, *small], run([large, *small])


def many_waiting(files: int = 10_000) -> tuple[list[File], Run]:
    """So many files of one batch, all dropped within ten minutes."""
    dropped = [
        File(f"{number:032x}", 600.0 * number / files, 1, takes=20.0) for number in range(files)
    ]
    return dropped, run(dropped)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _report(title: str, files: list[File], result: Run) -> None:
    waits = sorted(file.first_call_at - file.dropped_at for file in files)
    ends = sorted(file.done_at - file.dropped_at for file in files)
    at_best = len(result.calls) / CALLS_PER_MINUTE
    _say(title)
    _say(
        f"  first call after: median {statistics.median(waits) / 60:.1f} min, "
        f"worst {waits[-1] / 60:.1f} min"
    )
    _say(
        f"  done after: median {statistics.median(ends) / 60:.1f} min, "
        f"worst {ends[-1] / 60:.1f} min"
    )
    _say(
        f"  {len(result.calls):,} calls {dict(result.kinds)} in {result.calls[-1] / 60:.0f} min "
        f"(at best {at_best:.0f}); most in a minute {result.most_in_a_minute}; "
        f"asked {result.takes:,} times; largest item {result.largest_item:,} bytes"
    )


def main() -> int:
    """Run both and print them."""
    files, result = small_behind_a_large_one()
    _report("300 files of 100 rows behind one of 100,000: the small ones", files[1:], result)
    _report("  the large one", files[:1], result)
    files, result = many_waiting()
    _report("10,000 imports of one batch", files, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
