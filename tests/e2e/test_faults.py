"""The local cloud's own faults: functions end where they are told to, and never in a crowd."""

import io
import json
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from local.faults import Rule
from tests.support.cloud import SMALL, WORKERS, LocalCloud, Subscriber, wait_until
from tests.support.faults import (
    crash_at,
    end_lease,
    impatient_queue,
    kill_workers,
    timeout,
    workers,
)

pytestmark = pytest.mark.e2e

SLOW = """
import os, time

def handler(event, context):
    began = time.time()
    time.sleep(1.1)
    return [os.getpid(), began, time.time()]
"""


def test_killed_task(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """A function killed at a point fails its task; the state machine tries again."""
    cloud.behave()
    rule = Rule("deliver_report", "notifications.publish", "before")
    with crash_at(cloud, rule) as laid:
        identity = cloud.upload("uploads/killed.csv", SMALL)
        wait_until(lambda: laid.fired() == 1)
        # The lease of a killed delivery outlasts the time that its function had.
        end_lease(cloud, identity)
        answer = subscriber.answer(identity)
    assert laid.fired() == 1
    assert cloud.history(identity).count("TaskFailed") >= 1
    assert answer.subject == "[default] killed.csv, 3 rows: 2 connected, 1 failed"


def test_killed_from_outside(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """A function that hangs and is killed with its process is tried again."""
    cloud.behave()
    rule = Rule("check_status", "uploads.open", "before", "hang")
    with crash_at(cloud, rule) as laid:
        identity = cloud.upload("uploads/hanging.csv", SMALL)
        wait_until(lambda: laid.fired() == 1)
        assert kill_workers(cloud, "check_status") >= 1
        answer = subscriber.answer(identity)
    assert cloud.history(identity).count("TaskFailed") >= 1
    assert answer.subject == "[default] hanging.csv, 3 rows: 2 connected, 1 failed"


def test_hanging_task(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """A function that hangs is ended at its own timeout and tried again."""
    cloud.behave()
    rule = Rule("deliver_report", "notifications.publish", "before", "hang")
    with timeout(cloud, "deliver_report", 4), crash_at(cloud, rule) as laid:
        identity = cloud.upload("uploads/timed out.csv", SMALL)
        wait_until(lambda: laid.fired() == 1)
        end_lease(cloud, identity)
        answer = subscriber.answer(identity)
    assert cloud.history(identity).count("TaskFailed") >= 1
    assert answer.subject == "[default] timed out.csv, 3 rows: 2 connected, 1 failed"


def test_killed_while_taking_an_event(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """An event whose function was killed comes again when the queue has waited for it."""
    cloud.behave()
    rule = Rule("submit_accounts", "ledger.claim", "before")
    with impatient_queue(cloud), crash_at(cloud, rule) as laid:
        identity = cloud.upload("uploads/again.csv", SMALL)
        answer = subscriber.answer(identity)
        wait_until(lambda: not cloud.waiting_events())
    assert laid.fired() == 1
    assert answer.subject == "[default] again.csv, 3 rows: 2 connected, 1 failed"


def test_bounded_processes(cloud: LocalCloud) -> None:
    """Calls beyond the bound wait for a process, and none is refused or times out by that."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("slow.py", SLOW)
    functions = cloud.client("lambda")
    name = "bounded-slow"
    role = cloud.client("lambda").list_functions()["Functions"][0]["Role"]
    functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="slow.handler",
        Role=role,
        Code={"ZipFile": archive.getvalue()},
        Timeout=2,
    )

    def call(_: int) -> list[float]:
        answer = cloud.client("lambda").invoke(FunctionName=name)
        assert "FunctionError" not in answer
        return list(json.load(answer["Payload"]))

    try:
        began = time.monotonic()
        with ThreadPoolExecutor(3 * WORKERS) as pool:
            calls = list(pool.map(call, range(3 * WORKERS)))
        assert time.monotonic() - began > 3 * 1.1  # the last ones waited for longer than a timeout
    finally:
        functions.delete_function(FunctionName=name)
    processes = {pid for pid, _, _ in calls}
    at_once = max(sum(a <= began < b for _, a, b in calls) for _, began, _ in calls)
    assert at_once <= WORKERS == len(processes)


def test_processes_of_functions(cloud: LocalCloud, second: LocalCloud) -> None:
    """The processes of this cloud's functions are found by name, and no other cloud's."""
    cloud.behave()
    cloud.upload("uploads/process.csv", SMALL)
    wait_until(lambda: "check_status" in workers(cloud.state))
    found = workers(cloud.state)
    assert set(found) <= {"submit_accounts", "check_sign_in", "check_status", "deliver_report"}
    assert all(isinstance(one, psutil.Process) for one in found["submit_accounts"])
    assert workers(second.state) == {}
