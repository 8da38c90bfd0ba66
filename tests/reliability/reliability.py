"""Runs into every fault once, on a local cloud of its own, and writes down what came of each.

    python -m tests.reliability.reliability             every case; writes docs/reliability.md
    python -m tests.reliability.reliability WORD …      those with one of these words in their name

Where a case does not end as it must this is printed, and nothing is written.
"""

import json
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.e2e.conftest import PARAMETERS, PATIENCE, ROOT, LocalCloud, Subscriber, subscribed
from tests.load.load import PAGE, filled
from tests.reliability.cases import CASES, Case

STATE = ROOT / ".local/reliability"
OPERATIONS = ("connect", "status", "report", "list")
HEADER = ("what goes wrong", "rows", *OPERATIONS, "message")
NAME = "accounts.csv"
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
    cases = [case for case in CASES if not words or any(word in case.fault for word in words)]
    cloud = LocalCloud(STATE)
    cloud.command("down")
    lines, wrong = [], 0
    try:
        cloud.up(
            "--auth", "--wait-scale", "0.05", *PARAMETERS, "--parameter", "LongestWaitSeconds=3"
        )
        with subscribed(cloud) as subscriber:
            for case in cases:
                began = time.monotonic()
                found = run(cloud, subscriber, case)
                wrong += bool(found.problems)
                lines.append(found.line)
                seconds = time.monotonic() - began
                print(f"{seconds:5.1f} s  {' | '.join(found.line)}", flush=True)  # noqa: T201
                for problem in found.problems:
                    print(f"  wrong: {problem}", flush=True)  # noqa: T201
    finally:
        cloud.command("down")
    if wrong:
        print(f"{wrong} of {len(cases)} cases did not end as they must")  # noqa: T201
        return 1
    if not words:
        rows = (HEADER, ["---"] * len(HEADER), *lines)
        text = "".join(f"| {' | '.join(row)} |\n" for row in rows)
        page = filled(PAGE.read_text(encoding="utf-8"), "faults", text)
        PAGE.write_text(page, encoding="utf-8")
    return 0


def run(cloud: LocalCloud, subscriber: Subscriber, case: Case) -> Found:
    """Drop a file into a fault, wait for its answer, and look at what came of it."""
    cloud.behave(**case.switches)
    try:
        with case.around(cloud) as meanwhile:
            cloud.control("POST", "faults", list(case.rules))
            identity = cloud.upload(f"uploads/{NAME}", case.content)
            meanwhile(identity)
            envelopes = _answers(cloud, subscriber, identity, case.messages)
    except AssertionError as error:
        return Found((case.fault,), [str(error)])
    documents = [json.loads(envelope["Message"]) for envelope in envelopes]
    subject = envelopes[-1]["Subject"].removeprefix(f"{NAME}: ")
    trouble = documents[-1]["trouble"]
    counts = documents[-1]["counts"]
    calls = Counter(call["operation"] for call in cloud.control("GET", "calls").json())
    most = max((one["most_times_sent"] for one in cloud.control("GET", "totals").json()), default=0)
    rows = Counter(_outcomes(cloud, identity)) if documents[-1]["reports"].get("outcome") else None
    problems = [
        f"{what}: {seen!r}, not {wanted!r}"
        for what, seen, wanted in (
            ("messages", len(envelopes), case.messages),
            ("subject", subject, case.subject),
            ("trouble", trouble[: len(case.trouble) or None], case.trouble),
            ("connects", calls["connect"], case.connects),
            ("rows", None if rows is None else dict(rows), _counted(counts, rows)),
        )
        if seen != wanted
    ]
    if most > 1:
        problems.append(f"an account was sent {most} times")
    outcomes = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in (rows or {}).items())
    said = f"{subject} ({trouble})" if trouble else subject
    again = f"{len(envelopes)}, the last: " if len(envelopes) > 1 else ""
    numbers = [str(calls[operation]) for operation in OPERATIONS]
    return Found((case.fault, outcomes or "not named", *numbers, again + said), problems)


def _counted(counts: dict[str, int], rows: Counter[str] | None) -> dict[str, int] | None:
    """Return what outcome.csv must count, by the message."""
    if rows is None:
        return None
    return {name: n for name, n in counts.items() if n and name != "rows"}


def _outcomes(cloud: LocalCloud, identity: str) -> list[str]:
    return [line["outcome"] for line in cloud.outcomes(identity)]


def _answers(
    cloud: LocalCloud, subscriber: Subscriber, identity: str, wanted: int
) -> list[dict[str, Any]]:
    """Wait for the messages about an import, and for silence after them."""
    queues = cloud.client("sqs")
    stack = cloud.client("cloudformation").describe_stack_resource(
        StackName=cloud.environment["STACK_NAME"], LogicalResourceId="FailureQueue"
    )
    failures = stack["StackResourceDetail"]["PhysicalResourceId"]
    machine = cloud.client("stepfunctions")
    arn = cloud.environment["TRACK_IMPORT_STATE_MACHINE_ARN"]
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        time.sleep(0.3)
        subscriber.receive()
        about = [one for one in subscriber.envelopes if identity in one["Message"]]
        if len(about) < wanted or cloud.waiting_events():
            continue
        of_failures = queues.get_queue_attributes(QueueUrl=failures, AttributeNames=["All"])
        held = re.findall(r"'ApproximateNumber\w+': '(\d+)'", str(of_failures["Attributes"]))
        running = machine.list_executions(stateMachineArn=arn, statusFilter="RUNNING")
        if not running["executions"] and not any(map(int, held)):
            time.sleep(SETTLING_SECONDS)
            subscriber.receive()
            return [one for one in subscriber.envelopes if identity in one["Message"]]
    raise AssertionError(f"no end after {PATIENCE} s; messages: {len(about)}")


if __name__ == "__main__":
    sys.exit(main())
