"""Works out what costs.md shows, by letting imports run on a clock of their own: `make docs`.

The tracker, the submitter and the budget are the real ones, on the fakes of the tests; the state
machine is followed by its definition.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from email_accounts.models.account import Account
from email_accounts.models.imports import Batch, BatchState, Import
from email_accounts.models.policy import Policy
from email_accounts.models.service import ListedAccount, ListQuery, RequestStatus
from email_accounts.models.steps import NextAction, TaskResult
from email_accounts.saleshandy.account_list import AccountList
from tests.support.fakes import FakeClock, FakeLedger, FakeRemote, FakeReports, World
from tests.support.files import accounts_file
from tests.support.template import of_type, state_machine, template
from tools.docs.parts import table, with_parts

PAGE = Path(__file__).parents[2] / "docs/costs.md"

MINUTE, HOUR = 60.0, 3600.0
DAY = 24 * HOUR
LOOP = 30.0
"""Seconds between two polls of the fixed loop used for comparison."""
MOST_EVENTS = 25_000
MOST_TRANSITIONS = 0.15
"""Of the fixed loop's, for a job of two hours."""
MOST_EVENTS_OF_A_DAY = MOST_EVENTS / 10
_EVENTS = {"Pass": 2, "Wait": 2, "Choice": 2, "Task": 5}
"""Events in an execution's history for each state that is entered."""
_INVOCATION = 300.0


@dataclass(frozen=True, slots=True)
class Course:
    """How one import went. Times are seconds since it was sent."""

    polls: tuple[float, ...]
    transitions: int
    events: int
    effects: Counter[str]
    noticed: tuple[float, ...]
    settled: Counter[BatchState]


class _CountingLedger(FakeLedger):
    """A ledger that writes down what is read, too."""

    def get(self, import_id: str) -> Import:
        """Return the import."""
        self.journal.effect("read import", import_id)
        return super().get(import_id)

    def batches(self, import_id: str) -> Iterator[Batch]:
        """Yield the batches."""
        self.journal.effect("read batches", import_id)
        return super().batches(import_id)


class _SlowRemote(FakeRemote):
    """A remote whose calls take a while, in seconds."""

    takes = 0.0

    def connect(self, accounts: Sequence[Account]) -> str:
        """Take accounts."""
        self.clock.advance(self.takes)
        return super().connect(accounts)

    def status(self, request_id: str) -> RequestStatus:
        """Show a request."""
        self.clock.advance(self.takes)
        return super().status(request_id)

    def listed(self, query: ListQuery) -> list[ListedAccount]:
        """Show one page of the account list."""
        self.clock.advance(self.takes)
        return super().listed(query)


def policy() -> Policy:
    """Return the policy that the template's defaults make, with batches of one account.

    What an account is costs nothing here, and an import of many batches is quickly made.
    """
    default = {name: one["Default"] for name, one in template()["Parameters"].items()}
    return Policy(
        batch_size=1,
        calls_per_minute=default["CallsPerMinute"],
        initial_poll_delay=float(default["InitialPollDelaySeconds"]),
        max_poll_interval=float(default["MaxPollIntervalSeconds"]),
        deadline=default["DeadlineHours"] * HOUR,
        grace=float(default["GraceSeconds"]),
        skip_connected=default["SkipConnected"] == "true",
        verify_connected=default["VerifyConnected"] == "true",
        settle=float(default["SettleSeconds"]),
        largest_file=default["MaxFileMegabytes"] * 1_000_000,
    )


@cache
def course(finishing: tuple[float, ...], *, call: float = 0.0, **rules: Any) -> Course:  # noqa: ANN401  as the policy has them
    """Let an import run whose batches finish so many seconds after its upload.

    `call` is how many seconds a call to Saleshandy takes; `rules` are those of the policy that
    differ from the template's defaults. The last poll is followed by the answer.
    """
    world = World()
    saleshandy = _SlowRemote(world.journal, world.clock)
    saleshandy.takes = call
    world.saleshandy = saleshandy
    world.ledger = _CountingLedger(world.journal)
    world.account_list = AccountList(world.ledger, FakeReports(world.journal), world.clock)
    world.policy = replace(policy(), **rules)
    began = world.clock()
    rows = [f"a{number}@reach.example" for number in range(len(finishing))]
    upload = world.uploads.put("uploads/accounts.csv", accounts_file(*rows))
    polls: list[float] = []
    noticed: dict[int, float] = {}

    def remote_goes_on() -> None:
        age = world.clock() - began
        world.saleshandy.running = {
            f"request-{number}" for number, end in enumerate(finishing, 1) if end > age
        }

    def poll() -> TaskResult:
        remote_goes_on()
        polls.append(world.clock() - began)
        step = world.poller().poll(upload.import_id, lambda: _INVOCATION)
        for batch in world.ledger.batches(upload.import_id):
            if batch.state in (BatchState.REPORTED, BatchState.COMPLETED):
                noticed.setdefault(batch.number, world.clock() - began)
        return step

    def submit() -> TaskResult:
        return world.submitter().submit(upload.import_id, lambda: _INVOCATION)

    def deliver() -> TaskResult:
        world.deliverer().deliver(upload.import_id)
        return TaskResult(NextAction.DELIVER)

    remote_goes_on()
    world.receive(upload, lambda: _INVOCATION)
    ((_, _, first),) = world.executions.started.values()
    tasks = {"CheckStatus": poll, "SubmitAccounts": submit, "DeliverReport": deliver}
    entered = _walk(first, tasks, world.clock.advance)
    effects = Counter(world.journal.names())
    batches = list(FakeLedger.batches(world.ledger, upload.import_id))
    return Course(
        tuple(polls),
        sum(entered.values()),
        2 + sum(_EVENTS[kind] * times for kind, times in entered.items()),
        effects,
        tuple(noticed.get(batch.number, float("nan")) for batch in batches),
        Counter(batch.state for batch in batches),
    )


def _walk(
    step: TaskResult, tasks: dict[str, Callable[[], TaskResult]], wait: Callable[[float], None]
) -> Counter[str]:
    """Run through the state machine; return how often states of each type were entered."""
    definition = state_machine()
    entered: Counter[str] = Counter()
    name = definition["StartAt"]
    while True:
        state = definition["States"][name]
        entered[state["Type"]] += 1
        if state["Type"] == "Wait":
            wait(step.wait_seconds)
        elif state["Type"] == "Task":
            step = tasks[name]()
        if state.get("End"):
            return entered
        chosen = (one for one in state.get("Choices", ()) if f"'{step.next}'" in one["Condition"])
        name = next((one["Next"] for one in chosen), state.get("Default") or state.get("Next"))


def fixed(seconds: float) -> tuple[int, int]:
    """Return polls and transitions of a loop that polls every 30 seconds, for one request."""
    clock = FakeClock(0.0)

    def poll() -> TaskResult:
        return (
            TaskResult(NextAction.DELIVER)
            if clock() >= seconds
            else TaskResult(NextAction.CHECK, LOOP)
        )

    tasks = {"CheckStatus": poll, "DeliverReport": lambda: TaskResult(NextAction.DELIVER)}
    entered = _walk(TaskResult(NextAction.CHECK, LOOP), tasks, clock.advance)
    return entered["Task"] - 1, sum(entered.values())


def evenly(batches: int, seconds: float) -> tuple[float, ...]:
    """Let batches finish one after the other, the last one after so many seconds."""
    return tuple(seconds * number / batches for number in range(1, batches + 1))


def share(batches: int, seconds: float) -> float:
    """Return how many of the fixed loop's transitions an import takes."""
    return course(evenly(batches, seconds)).transitions / fixed(seconds)[1]


def allowed(seconds: float) -> float:
    """Return how late a request may be noticed that took so many seconds."""
    return max(15.0, 0.15 * seconds)


@cache
def lateness(batches: int) -> tuple[tuple[float, float], ...]:
    """Return of many requests how long each took and how late it was noticed, in seconds.

    One request finishes at each second of the first hour, from the first poll on; many finish
    evenly over a time that is each half hour up to five.
    """
    if batches == 1:
        polls = course((DAY,)).polls
        last = min(polls[-1], HOUR)
        ends = range(int(polls[0]), int(last))
        return tuple((end, next(poll for poll in polls if poll >= end) - end) for end in ends)
    pairs: list[tuple[float, float]] = []
    for half_hours in range(1, 11):
        finishing = evenly(batches, half_hours * HOUR / 2)
        pairs += zip(finishing, course(finishing).noticed, strict=True)
    first = policy().initial_poll_delay
    return tuple((end, noticed - end) for end, noticed in pairs if end >= first)


# Tables


def _waiting() -> str:
    rows = []
    for name, seconds in (("2 min", 2 * MINUTE), ("20 min", 20 * MINUTE), ("2 h", 2 * HOUR)):
        _, transitions = fixed(seconds)
        for batches in (3, 10, 100):
            done = course(evenly(batches, seconds))
            late = done.noticed[-1] - seconds
            part = share(batches, seconds)
            met = _yes(part <= MOST_TRANSITIONS) if seconds == 2 * HOUR else ""
            rows.append(
                (
                    name,
                    batches,
                    transitions,
                    done.transitions,
                    f"{part:.3f}",
                    f"{late:.0f} s",
                    met,
                )
            )
    return table(
        (
            "Saleshandy takes",
            "batches",
            "transitions: loop",
            "transitions",
            "share",
            "last one noticed after",
            "at most 0.15",
        ),
        rows,
    )


def _noticing() -> str:
    rows = []
    for batches in (1, 10, 100):
        pairs = lateness(batches)
        within = sum(late <= allowed(end) for end, late in pairs) / len(pairs)
        worst = max(pairs, key=lambda pair: pair[1] / allowed(pair[0]))
        parts = [late / end for end, late in pairs]
        rows.append(
            (
                batches,
                f"{median(late for _, late in pairs):.0f} s",
                f"{median(parts):.1%}",
                f"{worst[1]:.0f} s after {worst[0]:,.0f} s",
                f"{worst[1] / allowed(worst[0]):.2f}",
                f"{within:.0%}",
                _yes(within == 1),
            )
        )
    return table(
        (
            "batches",
            "late, median",
            "of its duration, median",
            "worst",
            "worst, of what is allowed",
            "within the mark",
            "met",
        ),
        rows,
    )


def _day() -> str:
    rows = []
    for batches in (25, 100):
        done = course(evenly(batches, DAY - 2 * HOUR), deadline=DAY)
        met = _yes(done.events <= MOST_EVENTS_OF_A_DAY)
        rows.append((batches, len(done.polls), f"{done.events:,}", met))
    return table(("batches", "polls", "events", "at most 2,500"), rows)


def _yes(met: bool) -> str:  # noqa: FBT001  it is what is asked
    return "yes" if met else "no"


# Prices: us-east-1, on demand, in dollars, as of November 2026

_TRANSITION = 25e-6
_GIGABYTE_SECOND = {"arm64": 13.3334e-6, "x86_64": 16.6667e-6}
_INVOCATIONS = 0.2e-6
_WRITE, _READ = 0.625e-6, 0.125e-6
_PUT, _GET = 5e-6, 0.4e-6
_KEY_REQUEST = 3e-6
_LOGGED_GIGABYTE = 0.5
_ALARM_METRIC, _KEY, _SECRET, _METRIC = 0.1, 1.0, 0.4, 0.3

_CALL_SECONDS, _INVOCATION_SECONDS = 1.0, 0.5
_KEY_REQUESTS = 30
_LOGGED = 1.5e-6
"""Gigabytes that an invocation logs."""
_CALLS = ("connect", "status", "list")
_WRITES = {"claim", "lease", "release", "plan", "refuse", "stop", "notified"}
"""Of the import, which is in the index too, so each counts twice."""
_BATCH_WRITES = {"planned", "sending", "submitted", "unconfirmed", "reported", "polled", "settle"}
_BUDGET_WRITES = {"take call", "wait", "close budget"}
"""Of the budget, which may have two kilobytes."""


def price(batches: int, seconds: float) -> dict[str, float]:
    """Return what an import costs in dollars, by what it is paid for."""
    done = course(evenly(batches, seconds))
    effects = done.effects
    default = {name: one["Default"] for name, one in template()["Parameters"].items()}
    gigabytes = template()["Globals"]["Function"]["MemorySize"] / 1024
    calls = sum(effects[name] for name in _CALLS)
    invocations = effects["lease"] + len(done.polls) + 1
    ran = calls * _CALL_SECONDS + invocations * _INVOCATION_SECONDS
    writes = (
        2 * sum(effects[name] for name in _WRITES)
        + sum(effects[name] for name in _BATCH_WRITES)
        + 2 * sum(effects[name] for name in _BUDGET_WRITES)
        + batches
    )
    pages = -(-batches * 400 // 4096)
    taken = sum(effects[name] for name in _BUDGET_WRITES)
    reads = effects["read import"] + pages * effects["read batches"] + taken
    return {
        "transitions": done.transitions * _TRANSITION,
        "functions": ran * gigabytes * _GIGABYTE_SECOND[default["Architecture"]]
        + invocations * _INVOCATIONS,
        "ledger": writes * _WRITE + reads * _READ,
        "buckets": (effects["report"] + batches + 1) * _PUT + (3 * batches + 20) * _GET,
        "key and logs": _KEY_REQUESTS * _KEY_REQUEST + invocations * _LOGGED * _LOGGED_GIGABYTE,
    }


def _prices() -> str:
    alarms = sum(
        sum("MetricStat" in one for one in alarm["Metrics"]) if "Metrics" in alarm else 1
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
    )
    monthly = {
        "encryption key": _KEY,
        "secret of each workspace": _SECRET,
        f"{len(of_type('AWS::CloudWatch::Alarm'))} alarms over {alarms} metrics": (
            alarms * _ALARM_METRIC
        ),
    }
    rows = [(f"{name}, per month", f"${amount:.2f}") for name, amount in monthly.items()]
    rows.append(
        ("**idle, with one workspace, per month**", f"**${sum(monthly.values()):.2f}**"),
    )
    for batches in (1, 10, 100):
        paid = price(batches, 20 * MINUTE)
        parts = ", ".join(f"{name} ${amount:.5f}" for name, amount in paid.items())
        rows.append(
            (f"import of {batches * 100:,} accounts: {parts}", f"${sum(paid.values()):.4f}")
        )
    return table(("what", "cost"), rows)


_TABLES = {
    "waiting": _waiting,
    "noticing": _noticing,
    "day": _day,
    "prices": _prices,
}


def renewed(page: str) -> str:
    """Return the page with its tables as they are worked out."""
    return with_parts(page, _TABLES)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
