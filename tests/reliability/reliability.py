"""Runs into every fault once, on local clouds of its own, and writes down what came of each.

    python -m tests.reliability.reliability             every case; writes docs/faults.csv
    python -m tests.reliability.reliability WORD …      those with one of these words in their name

Where a case does not end as it must this is printed, and nothing is written.
"""

import csv
import json
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from multiprocessing import Manager
from queue import Empty, Queue
from typing import Any

from tests.reliability.cases import CASES, Case
from tests.support.cloud import LONGEST_WAIT, QUICK, ROOT, LocalCloud, Subscriber, subscribed
from tests.support.leaks import Hunt, keep_messages

CLOUDS = 2  # at once; most of their time passes in waiting
STATE = ROOT / ".local/reliability"
OPERATIONS = ("connect", "status", "report", "list")
HEADER = ("what goes wrong", "rows", *OPERATIONS, "message")
NAME = "accounts.csv"
RESULTS = ROOT / "docs/faults.csv"
# A second message, or a second request, would have come by then.
SETTLING_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a case: a line of the table, and what is wrong with it."""

    line: tuple[str, ...]
    problems: list[str]


def main() -> int:
    """Run the cases; 0 when each of them ended as it must."""
    words = sys.argv[1:]
    chosen = [
        number
        for number, case in enumerate(CASES)
        if not words or any(word in case.fault for word in words)
    ]
    with Manager() as manager, ProcessPoolExecutor(CLOUDS) as pool:
        left = manager.Queue()
        for number in chosen:
            left.put(number)
        found = dict(chain.from_iterable(pool.map(_share, range(CLOUDS), [left] * CLOUDS)))
    wrong = sum(bool(one.problems) for one in found.values())
    if wrong:
        print(f"{wrong} of {len(chosen)} cases did not end as they must, leaks included")  # noqa: T201
        return 1
    if not words:
        lines = (found[number].line for number in chosen)
        with RESULTS.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows((HEADER, *lines))
    return 0


def _share(number: int, left: "Queue[int]") -> list[tuple[int, Found]]:
    """Run cases that are left, given by their numbers, on a cloud of its own."""
    cloud = LocalCloud(STATE / str(number))
    cloud.command("down")
    cloud.said.unlink()
    found = []
    try:
        cloud.up(*QUICK)
        keep_messages(cloud)
        with subscribed(cloud) as subscriber:
            while (case := _next(left)) is not None:
                began = time.monotonic()
                one = run(cloud, subscriber, CASES[case])
                found.append((case, one))
                seconds = f"{time.monotonic() - began:5.1f} s"
                wrong = [f"  wrong: {problem}" for problem in one.problems]
                print("\n".join([f"{seconds}  {' | '.join(one.line)}", *wrong]), flush=True)  # noqa: T201
        leaks = [str(leak) for leak in Hunt(cloud).leaks()]
        print(f"{len(leaks)} secrets where none may be", *leaks, sep="\n  wrong: ", flush=True)  # noqa: T201
        found.append((-1 - number, Found((), leaks)))
    finally:
        cloud.command("down")
    return found


def _next(left: "Queue[int]") -> int | None:
    try:
        return left.get_nowait()
    except Empty:
        return None


def run(cloud: LocalCloud, subscriber: Subscriber, case: Case) -> Found:
    """Drop a file into a fault, wait for its answer, and look at what came of it."""
    cloud.behave(**case.switches)
    try:
        with case.around(cloud) as meanwhile:
            cloud.control("POST", "faults", list(case.rules))
            subscriber.receive()
            before = len(subscriber.envelopes)
            meanwhile(cloud.upload(f"uploads/{NAME}", case.content))
            envelopes = _answers(cloud, subscriber, before, case.messages)
    except AssertionError as error:
        return Found((case.fault,), [str(error)])
    documents = [json.loads(envelope["Message"]) for envelope in envelopes]
    subject = envelopes[-1]["Subject"].rpartition(": ")[2]
    failure_reason = documents[-1]["failureReason"]
    counts = documents[-1]["counts"]
    calls = Counter(call["operation"] for call in cloud.control("GET", "calls").json())
    most = max((one["most_times_sent"] for one in cloud.control("GET", "totals").json()), default=0)
    has_outcomes = "outcome" in documents[-1]["reports"]
    lines = cloud.outcomes(documents[-1]["importId"]) if has_outcomes else None
    rows = None if lines is None else Counter(line["outcome"] for line in lines)
    misled = _misled(cloud, lines or [])
    problems = [
        f"{what}: {seen!r}, not {wanted!r}"
        for what, seen, wanted in (
            ("messages", len(envelopes), case.messages),
            ("subject", subject, case.subject),
            (
                "failureReason",
                failure_reason[: len(case.failure_reason) or None],
                case.failure_reason,
            ),
            ("sendings", max(most, 1), case.sendings),
            ("misled", misled, case.misled),
            ("rows", None if rows is None else dict(rows), _counted(counts, rows)),
        )
        if seen != wanted
    ]
    wanted = case.connects if isinstance(case.connects, range) else (case.connects,)
    if calls["connect"] not in wanted:
        problems.append(f"connects: {calls['connect']}, not {case.connects}")
    outcomes = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in (rows or {}).items())
    said = f"{subject} ({failure_reason})" if failure_reason else subject
    again = f"{len(envelopes)}, the last: " if len(envelopes) > 1 else ""
    numbers = [str(calls[operation]) for operation in OPERATIONS]
    if misled:
        outcomes += f" ({misled} wrongly)"
    return Found((case.fault, outcomes or "not named", *numbers, again + said), problems)


def _counted(counts: dict[str, int], rows: Counter[str] | None) -> dict[str, int] | None:
    """Return what outcome.csv must count, by the message."""
    if rows is None:
        return None
    return {name: n for name, n in counts.items() if n and name != "rows"}


def _misled(cloud: LocalCloud, lines: list[dict[str, str]]) -> int:
    """Count the rows whose outcome is not what the service holds of their account."""
    known = cloud.control("GET", "accounts").json()
    works = {one["address"]: one["status"] == 1 for one in known}
    told = {"connected": True, "already_connected": True, "failed": False}
    return sum(
        told[line["outcome"]] != works.get(line["address"], False)
        for line in lines
        if line["outcome"] in told
    )


def _answers(
    cloud: LocalCloud, subscriber: Subscriber, before: int, wanted: int
) -> list[dict[str, Any]]:
    """Wait for messages behind those before, and for silence after them."""
    end = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < end:
        time.sleep(0.3)
        subscriber.receive()
        if len(subscriber.envelopes) >= before + wanted and cloud.is_at_rest():
            time.sleep(SETTLING_SECONDS)
            subscriber.receive()
            return subscriber.envelopes[before:]
    raise AssertionError(f"no end after {LONGEST_WAIT} s")


if __name__ == "__main__":
    sys.exit(main())
