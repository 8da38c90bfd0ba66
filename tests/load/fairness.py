"""Simulates many imports of one workspace with a long account list.

    python -m tests.load.fairness
    python -m tests.load.fairness 100000  # 300 small files behind one of so many rows

The use cases run on fakes, and on a clock of their own: nothing is waited for. The second
takes nine minutes of a core: it reads the 100,000 rows again for each batch.
"""

import heapq
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from statistics import median

from email_accounts.errors import RetryAfterError
from email_accounts.models.account import Account
from email_accounts.models.service import AccountStatus, ListedAccount, ListQuery, RequestStatus
from email_accounts.models.steps import NextAction, TaskResult
from email_accounts.models.upload import Upload
from email_accounts.saleshandy.rate_limit import RateLimitedClient
from tests.support.fakes import INBOX, FakeRemote, World
from tests.support.files import accounts_file

CALL = 0.3
TAKES = 60.0
"""Seconds of a call, and of a request at the service."""
INVOCATION = 300.0
_INACTIVE_EVERY = 100


@dataclass(slots=True)
class Service(FakeRemote):
    """A service whose calls and requests take their time; `called` are its calls, with times."""

    sent_at: dict[str, float] = field(default_factory=dict)
    called: list[tuple[str, float]] = field(default_factory=list)

    def connect(self, accounts: Sequence[Account]) -> str:
        """Take accounts."""
        self._call("connect")
        request_id = FakeRemote.connect(self, accounts)
        self.sent_at[request_id] = self.clock()
        self.accounts.sort(key=lambda one: one.created_at or 0.0)  # the clock may have gone back
        return request_id

    def status(self, request_id: str) -> RequestStatus:
        """Show a request."""
        self._call("status")
        done = self.clock() >= self.sent_at[request_id] + TAKES
        return FakeRemote.status(self, request_id) if done else RequestStatus(completed=False)

    def listed(self, query: ListQuery) -> list[ListedAccount]:
        """Show a page of the account list."""
        self._call("list")
        return self.page_of(self.accounts, query)

    def _call(self, kind: str) -> None:
        self.clock.advance(CALL)
        self.called.append((kind, self.clock()))


@dataclass(frozen=True, slots=True)
class Answered:
    """How an import went; times in seconds from its drop, `listed` counts calls of the list.

    These are all calls of the workspace until the first request of the import.
    """

    sent: float
    done: float
    listed: int
    steps: int


def world_of(accounts: int, calls_per_minute: int = 20) -> tuple[World, Service]:
    """Return a world with so many accounts, of which one in a hundred does not work."""
    world = World()
    began = world.clock() - accounts
    service = Service(world.journal, world.clock)
    service.accounts = [
        ListedAccount(
            f"n{number}@y.example",
            AccountStatus.ACTIVE if number % _INACTIVE_EVERY else AccountStatus.INACTIVE,
            began + number,
            f"id{number}",
        )
        for number in range(accounts)
    ]
    world.saleshandy = service
    world.policy = replace(
        world.policy,
        batch_size=100,
        calls_per_minute=calls_per_minute,
        skip_connected=True,
        verify_connected=True,
        max_poll_interval=900.0,
        deadline=86_400.0,
        largest_file=100_000_000,
    )
    return world, service


def warm(world: World) -> float:
    """Read the list to its end for nobody's sake; return the seconds that this takes."""
    upload = Upload(INBOX, "uploads/first.csv", "v1", 1)
    began = world.clock()
    imported, _ = world.ledger.claim(upload, began, began + 1e6)
    client = RateLimitedClient(world.saleshandy, world.ledger, world.policy, world.clock, imported)
    while not world.ledger.index("default").complete_at:
        until = world.clock() + INVOCATION
        reader = world.account_list.reader(client, lambda end=until: end - world.clock())  # type: ignore[misc]
        try:
            reader.before(["nobody@y.example"], began, 1_000_000)
        except RetryAfterError as later:
            world.clock.advance(later.wait_seconds)
    return world.clock() - began


def simulate(  # noqa: C901  a platform in small
    world: World, service: Service, files: Iterable[tuple[float, int]]
) -> list[Answered]:
    """Drop files of so many rows, each after so many seconds; return how each import went."""
    began, order = world.clock(), count()
    due: list[tuple[float, int, str, Callable[[], TaskResult | None]]] = []
    dropped: dict[str, float] = {}
    done: dict[str, float] = {}
    steps: Counter[str] = Counter()

    def left() -> Callable[[], float]:
        until = world.clock() + INVOCATION
        return lambda: until - world.clock()

    def task(import_id: str, action: NextAction) -> Callable[[], TaskResult | None]:
        def run() -> TaskResult | None:
            if action is NextAction.SUBMIT:
                return world.submitter().submit(import_id, left())
            if action is NextAction.CHECK:
                return world.poller().poll(import_id, left())
            world.deliverer().deliver(import_id)
            done[import_id] = world.clock()
            return None

        return run

    def first(upload: Upload) -> Callable[[], TaskResult | None]:
        def run() -> TaskResult | None:
            world.receive(upload, left())
            return world.executions.started[upload.import_id][2]

        return run

    for number, (after, rows) in enumerate(files):
        content = accounts_file(*(f"f{number}.{row}@z.example" for row in range(rows)))
        upload = world.uploads.put(f"uploads/{number}.csv", content)
        upload = replace(upload, uploaded_at=began + after)
        dropped[upload.import_id] = began + after
        heapq.heappush(due, (began + after, next(order), upload.import_id, first(upload)))
    while due:
        # Each task runs at its own time, as functions run side by side: the clock goes back to it.
        world.clock.time, _, import_id, run = heapq.heappop(due)
        steps[import_id] += 1
        result = run()
        if result:
            at = world.clock() + math.ceil(result.wait_seconds)
            heapq.heappush(due, (at, next(order), import_id, task(import_id, result.next)))
    return [
        _answered(world, service, import_id, at, done[import_id], steps[import_id])
        for import_id, at in dropped.items()
    ]


def _answered(  # noqa: PLR0913, PLR0917  what is known of an import
    world: World, service: Service, import_id: str, at: float, done: float, steps: int
) -> Answered:
    first = min(batch.sent_at for batch in world.ledger.batches(import_id))
    listed = sum(kind == "list" and at <= when <= first for kind, when in service.called)
    return Answered(first - at, done - at, listed, steps)


def behind(rows: int, files: int) -> tuple[Answered, list[Answered], Service]:
    """Drop so many files of 3 rows a minute after one of many; return how it and they went."""
    world, service = world_of(0, 20)
    large, *small = simulate(world, service, [(0.0, rows), *[(60.0, 3)] * files])
    return large, small, service


def main() -> None:
    """Run every case, or one, and print what it showed."""
    if sys.argv[1:]:
        _tell_behind(int(sys.argv[1]))
        return
    world, service = world_of(130_000, 20)
    world.policy = replace(world.policy, calls_per_minute=100_000)
    warm(world)
    world.policy = replace(world.policy, calls_per_minute=20)
    world.clock.advance(3600)
    (one,) = simulate(world, service, [(0, 100)])
    _tell("130,000 accounts, known: 100 new rows", [one], service)

    world, service = world_of(130_000, 20)
    minutes = warm(world) / 60
    _print(f"130,000 accounts, never read: one import of many rows reads them in {minutes:.0f} min")
    world, service = world_of(130_000, 20)
    files = [(120.0 * number, 3) for number in range(60)]
    _tell(
        "the same, 60 files of 3 rows, each two minutes", simulate(world, service, files), service
    )
    scan = world.ledger.index("default").scan
    _print(f"  by then {scan.pages if scan else 'all'} pages of 1,300 are known")
    world, service = world_of(130_000, 20)
    _tell("the same, one file of 100 rows", simulate(world, service, [(0, 100)]), service)

    world, service = world_of(20_000, 20)
    _tell(
        "20,000 accounts, 60 files of 3 rows, each two minutes",
        simulate(world, service, files),
        service,
    )

    world, service = world_of(0, 200)
    _tell("300 files of 50 rows at once", simulate(world, service, [(0.0, 50)] * 300), service)

    _tell_behind(10_000)


def _tell_behind(rows: int) -> None:
    large, small, service = behind(rows, 300)
    _tell(f"300 files of 3 rows behind one of {rows:,}: these", small, service)
    _tell("that one", [large], service)


def _tell(title: str, answered: list[Answered], service: Service) -> None:
    calls = Counter(kind for kind, _ in service.called)
    beyond = sorted((one.done - TAKES) / 60 for one in answered)
    sent = sorted(one.sent for one in answered)
    _print(
        f"{title}: first request after {median(sent):.0f} s (worst {sent[-1]:.0f} s) and "
        f"{max(one.listed for one in answered)} calls of the list; "
        f"answered {median(beyond):.1f} min (worst {beyond[-1]:.1f} min) after the service's own; "
        f"steps at most {max(one.steps for one in answered)}; calls {dict(calls)}"
    )


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
