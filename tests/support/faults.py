"""What our own side can suffer in the local cloud: functions that die, and those that kill them."""

import re
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from local.faults import ActiveRule, Rule, activate
from tests.support.cloud import LocalCloud, wait_until

_WORKER = re.compile(r"ministack-lambda-[^/]*-(\w+)-[^-/]+/_worker\.py$")


@contextmanager
def crash_at(cloud: LocalCloud, rule: Rule) -> Iterator[ActiveRule]:
    """End a function at a point while the block runs; fail where it never came to the point."""
    laid = activate(cloud.state / "emulator/faults", rule)
    try:
        yield laid
    finally:
        laid.remove()
    assert laid.fired(), f"{rule.function} never came to {rule.point}"


def workers(state: Path) -> dict[str, list[psutil.Process]]:
    """Find the processes of each function of the cloud with this state directory."""
    found = defaultdict(list)
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            script = (process.cmdline() or [""])[-1]
            function = _WORKER.search(script)
            if function and Path(script).is_relative_to(state):
                found[function[1]].append(process)
    return found


def kill_workers(cloud: LocalCloud, function: str) -> int:
    """End every process of a function by SIGKILL, whatever it is doing; return how many."""
    found = workers(cloud.state)[function]
    for process in found:
        process.kill()
    return len(found)


def end_lease(cloud: LocalCloud, identity: str) -> None:
    """End the time for which an import belongs to an invocation, dead or not."""
    ledger = cloud.client("dynamodb")
    key = {"pk": {"S": f"IMPORT#{identity}"}, "sk": {"S": "IMPORT"}}
    item = {"TableName": cloud.environment["LEDGER_TABLE"], "Key": key}
    wait_until(lambda: "Item" in ledger.get_item(**item))
    ledger.update_item(
        **item,
        UpdateExpression="SET lease_until = :now",
        ExpressionAttributeValues={":now": {"N": str(time.time())}},
    )


@contextmanager
def impatient_queue(cloud: LocalCloud, name: str = "UPLOAD", seconds: int = 20) -> Iterator[None]:
    """Have an event whose handling failed come again after seconds instead of half an hour.

    They must be longer than its handling takes, cold start on a busy machine included: or it
    comes again meanwhile, and is a dead letter after five times. A function that hangs is ended
    at its own timeout; see `timeout`.
    """
    queues, url = cloud.client("sqs"), cloud.environment[f"{name}_QUEUE_URL"]
    wanted = {"QueueUrl": url, "AttributeNames": ["VisibilityTimeout"]}
    before = queues.get_queue_attributes(**wanted)["Attributes"]
    queues.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)})
    try:
        yield
    finally:
        queues.set_queue_attributes(QueueUrl=url, Attributes=before)


@contextmanager
def timeout(cloud: LocalCloud, function: str, seconds: int) -> Iterator[None]:
    """Give a function less time, in new processes."""
    functions, name = cloud.client("lambda"), f"{cloud.environment['STACK_NAME']}-{function}"

    def give(seconds: int) -> None:
        functions.update_function_configuration(FunctionName=name, Timeout=seconds)
        wait_until(lambda: configuration()["LastUpdateStatus"] == "Successful")

    def configuration() -> dict[str, object]:
        return dict(functions.get_function_configuration(FunctionName=name))

    before = functions.get_function_configuration(FunctionName=name)["Timeout"]
    try:
        give(seconds)
        yield
    finally:
        give(before)
