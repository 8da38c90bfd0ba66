"""Measures what waiting takes on a local cloud of its own, and writes docs/waiting.csv.

    python -m tests.load.waiting

Hours pass in minutes: the clock of the functions, the waits of the state machine and the requests
of the fake API are all quicker by one factor. What a call takes stays as it is, and so counts for
more by that factor; it is worked out beside with calls that take as long as those that were
measured. Each import has a workspace, and so a budget, of its own.
"""

import csv
import math
import sqlite3
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass

from tests.load.load import FUNCTIONS
from tests.support.cloud import ROOT, LocalCloud, wait_until
from tests.support.files import accounts_file
from tools.docs.costs import HOUR, MINUTE, course, evenly, fixed

STATE = ROOT / ".local/waiting"
RESULTS = ROOT / "docs/waiting.csv"
HEADER = (
    *("Saleshandy takes", "time runs faster by", "a call takes", "batches"),
    *("status calls worked out", "status calls measured", "transitions of a loop"),
    *("transitions worked out with calls that take no time", "transitions worked out"),
    *("transitions measured", "share measured"),
    *("last one noticed after worked out", "last one noticed after measured"),
)
JOBS = (("2 min", 2 * MINUTE, 1), ("20 min", 20 * MINUTE, 5), ("2 h", 2 * HOUR, 30))
"""How long Saleshandy takes for all batches of an import, and how much faster time runs."""
BATCHES = (1, 3, 10)
_POLL_SECONDS = 2
_ENDS = {"ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"}


@dataclass(frozen=True, slots=True)
class Measured:
    """How one import went; `late` is in seconds, of the batch that was done last.

    `sent_in` is how many seconds were between its first connect and its last one.
    """

    transitions: int
    status_calls: int
    late: float
    sent_in: float


def main() -> None:
    """Run each job on a cloud of its own, and write what was measured."""
    cloud = LocalCloud(STATE)
    rows = []
    for job in JOBS:
        _, seconds, pace = job
        cloud.command("down")
        try:
            cloud.up("--wait-scale", str(1 / pace), "--parameter", "BatchSize=1")
            measured = _run(cloud, seconds, pace)
        finally:
            cloud.command("down")
        most = max(BATCHES)
        call = measured[most].sent_in / (most - 1)
        rows += [_row(job, call, one, measured[one]) for one in BATCHES]
    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows((HEADER, *rows))


def _row(
    job: tuple[str, float, int], call: float, batches: int, measured: Measured
) -> list[object]:
    name, seconds, pace = job
    finishing = evenly(batches, seconds)
    expected = course(finishing, call=call)
    _, loop = fixed(seconds)
    return [
        *(name, pace, f"{call:.1f} s", batches),
        *(expected.effects["status"], measured.status_calls),
        *(loop, course(finishing).transitions, expected.transitions, measured.transitions),
        f"{measured.transitions / loop:.3f}",
        *(_seconds(expected.noticed[-1] - seconds), _seconds(measured.late)),
    ]


def _seconds(late: float) -> str:
    return "not waited for" if math.isnan(late) else f"{late:.0f} s"


def _run(cloud: LocalCloud, seconds: float, pace: int) -> dict[int, Measured]:
    """Let imports of so many batches run side by side; return how each went."""
    with ExitStack() as stack:
        fast = {
            "PYTHONPATH": str(ROOT / "tests/load/fast"),
            "CLOCK_BEGAN": str(time.time()),
            "CLOCK_PACE": str(pace),
        }
        for function in FUNCTIONS:
            stack.enter_context(cloud.environment_of(function, **fast))
        cloud.behave()
        # What starts a process takes longer than what it is started for; this has happened then.
        first = [cloud.upload(f"uploads/{n}.csv", accounts_file(f"{n}@a.example")) for n in BATCHES]
        _wait_for_ends(cloud, first)
        cloud.control("PUT", "behaviour", {"completion_seconds": seconds / pace})
        imports = {batches: _drop(cloud, batches, seconds / pace) for batches in BATCHES}
        _wait_for_ends(cloud, [identity for identity, _ in imports.values()])
        return {
            batches: _measured(cloud, identity, tenant, pace)
            for batches, (identity, tenant) in imports.items()
        }


def _drop(cloud: LocalCloud, batches: int, seconds: float) -> tuple[str, int]:
    """Drop a file whose batches are done one after the other, the last one after so long."""
    workspace, key = f"of-{batches}", f"key-of-{batches}"
    tenant = cloud.control("POST", "keys", {"key": key}).json()["tenant"]
    cloud.operate("workspace", "add", workspace, given=key)
    began = time.time()
    addresses = [f"a{number}@a.example" for number in range(batches)]
    identity = cloud.upload(f"uploads/{workspace}/waiting.csv", accounts_file(*addresses))
    with closing(sqlite3.connect(cloud.state / "fake_api.sqlite")) as service:
        wait_until(lambda: len(_requests(service, tenant)) == batches)
        for (number, _, _), end in zip(
            _requests(service, tenant), evenly(batches, seconds), strict=True
        ):
            done = round((began + end) * 1000)
            for change in (
                "UPDATE requests SET completes_at = ? WHERE number = ?",
                "UPDATE attempts SET completes_at = ? WHERE request = ?",
            ):
                service.execute(change, (done, number))
        service.commit()
    return identity, tenant


def _requests(service: sqlite3.Connection, tenant: int) -> list[tuple[int, str, int]]:
    """Return number, id and end of the requests that a tenant has sent."""
    found = service.execute(
        "SELECT number, id, completes_at FROM requests WHERE tenant = ? ORDER BY number", (tenant,)
    )
    return found.fetchall()


def _wait_for_ends(cloud: LocalCloud, identities: list[str]) -> None:
    while not all(_ENDS.intersection(cloud.history(identity)[-1:]) for identity in identities):
        time.sleep(_POLL_SECONDS)


def _measured(cloud: LocalCloud, identity: str, tenant: int, pace: int) -> Measured:
    with closing(sqlite3.connect(cloud.state / "fake_api.sqlite")) as service:
        *_, (_, last, done) = _requests(service, tenant)
        calls = service.execute(
            "SELECT operation, at, request_id FROM calls WHERE tenant = ?", (tenant,)
        ).fetchall()
    polled = [(at, request) for operation, at, request in calls if operation == "status"]
    sent = [at for operation, at, _ in calls if operation == "connect"]
    late = max(at for at, request in polled if request == last) - done
    return Measured(
        len(_entered(cloud, identity)),
        len(polled),
        late * pace / 1000 if late >= 0 else math.nan,
        (max(sent) - min(sent)) * pace / 1000,
    )


def _entered(cloud: LocalCloud, identity: str) -> list[str]:
    """Name the states that an execution entered: what is paid for."""
    machine = cloud.environment["TRACK_IMPORT_STATE_MACHINE_ARN"]
    execution = f"{machine.replace(':stateMachine:', ':execution:')}:{identity}"
    pages = cloud.client("stepfunctions").get_paginator("get_execution_history")
    return [
        event["stateEnteredEventDetails"]["name"]
        for page in pages.paginate(executionArn=execution)
        for event in page["events"]
        if "stateEnteredEventDetails" in event
    ]


if __name__ == "__main__":
    main()
