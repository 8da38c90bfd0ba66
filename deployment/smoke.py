"""Imports a file without accounts through a deployed stack; nothing is connected.

    python -m deployment.smoke STACK

It shows that upload, rule, queue, functions, ledger, machine, reports and topic work together
with their own permissions, without a call to Saleshandy.

S3 sends events some minutes after a bucket was created, and none for objects that
were put before. So the file is put again until an import has started.
"""

import json
import sys
import time
from itertools import count
from typing import Any

import boto3

from email_accounts.models.upload import import_id

KEY = "uploads/smoke-test.csv"
CONTENT = b"emailServiceProvider,smtpEmailAddress,smtpPassword\n"
PUTS = 15
"""How often the file is put; the documentation names about five minutes."""
BETWEEN_PUTS = 60
"""Seconds in which an event arrives, once S3 sends events."""
TO_THE_END = 300
"""Seconds in which an import that has started ends."""
_PAUSE = 2


def main(stack: str) -> None:
    """Drop the file and wait for its end; exit with 1 where it does not come or is not good."""
    described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in described["Outputs"]}
    smoke(outputs["InboxBucketName"], outputs["TrackImportStateMachineArn"])


def smoke(inbox: str, machine: str) -> None:
    """Put the file until an import starts, and wait for its end."""
    executions: list[str] = []
    for number in count(1):
        stored = boto3.client("s3").put_object(Bucket=inbox, Key=KEY, Body=CONTENT)
        identity = import_id(inbox, KEY, stored["VersionId"])
        executions.append(f"{machine.replace(':stateMachine:', ':execution:')}:{identity}")
        if started := _started(executions):
            break
        if number == PUTS:
            sys.exit(
                "no import has started: see docs/runbook.md, 'The event of an upload was lost'"
            )
        _say("No event yet: after a first deployment S3 takes some minutes. The file is put again.")
    for _ in range(0, TO_THE_END, _PAUSE):
        if started["status"] != "RUNNING":
            break
        time.sleep(_PAUSE)
        started = _described(started["executionArn"])
    output = started.get("output", "{}")
    _say(f"{started['status']}: {output}")
    if started["status"] != "SUCCEEDED" or json.loads(output).get("status") != "refused":
        sys.exit(
            f"import {started['name']} should have been answered as refused: see docs/runbook.md"
        )
    _say("The deployment works: it refused the file, which has no accounts, and sent the result.")


def _started(executions: list[str]) -> dict[str, Any]:
    """Wait for one of the executions; {} where none starts in time."""
    for _ in range(0, BETWEEN_PUTS, _PAUSE):
        for execution in executions:
            if found := _described(execution):
                return found
        time.sleep(_PAUSE)
    return {}


def _described(execution: str) -> dict[str, Any]:
    machines = boto3.client("stepfunctions")
    try:
        return dict(machines.describe_execution(executionArn=execution))
    except machines.exceptions.ExecutionDoesNotExist:
        return {}


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  a command says what it found


if __name__ == "__main__":
    main(sys.argv[1])
